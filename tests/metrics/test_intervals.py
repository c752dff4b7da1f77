"""Intervals cover what they claim, say nothing too narrow, and leave global state alone."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
from scipy.stats import beta, binom, binomtest, norm
from sklearn.metrics import average_precision_score, roc_auc_score

from skdiffence.metrics import (
    accuracy_interval,
    attack_accuracy_score,
    auc_difference_interval,
    auc_interval,
    bootstrap_interval,
    cluster_bootstrap_interval,
    group_scores,
    max_null_quantile,
    tnr_at_fnr_score,
    tpr_at_fpr_score,
    wilson_interval,
)
from skdiffence.metrics._counts import OF_COUNTS
from skdiffence.metrics._exact import clopper_pearson_interval

N_MEMBERS, N_OTHERS = 60, 200
IS_MEMBER = np.repeat([True, False], [N_MEMBERS, N_OTHERS])
BOOTSTRAPPED = {
    "accuracy": attack_accuracy_score,
    # Rounded scores tie with this threshold.
    "accuracy at 1": partial(attack_accuracy_score, threshold=1.0),
    "auc": roc_auc_score,
    "oracle": partial(attack_accuracy_score, threshold="oracle"),
    "tnr": partial(tnr_at_fnr_score, max_fnr=0.1),
    "tpr": partial(tpr_at_fpr_score, max_fpr=0.1),
}
INTERVALS = {
    "accuracy": accuracy_interval,
    "auc": auc_interval,
    "bootstrap": partial(bootstrap_interval, metric=roc_auc_score),
}


def _scores(rng, mu, is_member=IS_MEMBER):
    return rng.normal(size=len(is_member)) + mu * is_member


def _coverage(interval, mu, n_repeats, truth):
    rng = np.random.default_rng(0)
    ends = np.array([interval(_scores(rng, mu)) for _ in range(n_repeats)])
    return np.mean((ends[:, 0] <= truth) & (truth <= ends[:, 1]))


@pytest.mark.parametrize("mu", [0.0, 1.0, 2.0, 3.0])
def test_auc_interval_covers(mu):
    """Normal scores of unit variance, mu apart, have an AUC of Phi(mu / sqrt 2)."""
    interval = partial(auc_interval, IS_MEMBER)
    assert 0.93 <= _coverage(interval, mu, 600, norm.cdf(mu / np.sqrt(2))) <= 0.985


@pytest.mark.parametrize("n", [16, 260])
@pytest.mark.parametrize(("mu", "nu"), [(0.0, 0.0), (0.5, 1.0), (2.0, 1.5)])
def test_auc_difference_interval_covers(n, mu, nu):
    """Two correlated normal scores of the same rows; with few rows, too, and much narrower than without pairs."""
    is_member, rng, covered, widths = np.arange(n) % 2 == 0, np.random.default_rng(0), [], []
    truth = norm.cdf(mu / np.sqrt(2)) - norm.cdf(nu / np.sqrt(2))
    for _ in range(500):
        common, *own = rng.normal(size=(3, n))
        first, second = (
            0.8 * common + 0.6 * noise + shift * is_member for noise, shift in zip(own, (mu, nu), strict=True)
        )
        low, high = auc_difference_interval(is_member, first, second)
        covered.append(low <= truth <= high)
        widths.append((high - low) / np.linalg.norm([np.ptp(auc_interval(is_member, s)) for s in (first, second)]))
    assert 0.93 <= np.mean(covered) <= (0.985 if n > 100 else 1)
    assert np.mean(widths) < 0.9


@pytest.mark.parametrize("n", [5, 10, 40])
@pytest.mark.parametrize("area", [0.7, 0.95])
def test_difference_to_equal_scores_covers(n, area):
    """An attack that finds nothing has an area of one half; perfect separation by the other is no certainty."""
    is_member, rng, covered = np.arange(2 * n) < n, np.random.default_rng(0), []
    shift = norm.ppf(area) * np.sqrt(2) * is_member
    for _ in range(300):
        low, high = auc_difference_interval(is_member, rng.normal(size=2 * n) + shift, np.zeros(2 * n))
        covered.append(low <= area - 0.5 <= high)
    assert np.mean(covered) >= 0.93


def test_difference_of_perfect_separation_is_that_of_the_area():
    """Against equal scores it is the interval of the area less one half; two rankings of one kind do not differ."""
    is_member = np.arange(20) < 10
    low, high = auc_interval(is_member, is_member + np.arange(20) / 100)
    assert auc_difference_interval(is_member, is_member + np.arange(20) / 100, np.ones(20)) == (low - 0.5, high - 0.5)
    assert auc_difference_interval(is_member, np.arange(20), np.arange(20) ** 3) == (0, 0)
    low, high = auc_difference_interval(is_member, is_member + np.arange(20) / 100, is_member - np.arange(20) / 100)
    assert low < -0.1
    assert high > 0.1


@pytest.mark.parametrize(("n", "rate"), [(100, 0.95), (200, 0.98), (500, 0.99)])
def test_auc_of_two_values_covers(n, rate):
    """Whether a label is right, where nearly all are: the area is the balanced accuracy, and has its interval."""
    is_member, rng, missed = np.arange(2 * n) < n, np.random.default_rng(0), []
    for _ in range(500):
        right = is_member | (rng.random(2 * n) < rate)
        low, high = auc_interval(is_member, right) if (~right).any() else (0, 1)
        missed.append(((1 + 1 - rate) / 2 < low, high < (1 + 1 - rate) / 2))
        assert not (~right).any() or (low, high) == accuracy_interval(is_member, right)
    assert np.max(np.mean(missed, axis=0)) <= 0.03


def test_auc_difference_of_one_row_is_unknown():
    """Scores that order rows alike differ by 0; one member alone shows nothing."""
    assert auc_difference_interval([1, 1, 0, 0], [4, 2, 3, 1], [9, 6, 7, 0]) == (0.0, 0.0)
    assert auc_difference_interval([1, 0, 0], [2, 1, 0], [0, 1, 2]) == (-1.0, 1.0)


@pytest.mark.parametrize("mu", [0.0, 1.0])
def test_bootstrap_covers_the_auc(mu):
    """The same of the bootstrap."""

    def interval(score):
        return bootstrap_interval(IS_MEMBER, score, roc_auc_score, n_resamples=250, random_state=0)

    assert _coverage(interval, mu, 300, norm.cdf(mu / np.sqrt(2))) >= 0.93


def test_confidence_is_the_coverage():
    """At 80 percent, about 80 of 100 intervals cover."""
    interval = partial(auc_interval, IS_MEMBER, confidence_level=0.8)
    assert 0.77 <= _coverage(interval, 1.0, 600, norm.cdf(1 / np.sqrt(2))) <= 0.84


@pytest.mark.parametrize("threshold", [0.5, -0.5, 2.0])
def test_accuracy_interval_covers(threshold):
    """The balanced accuracy of a fixed threshold on normal scores is known."""
    truth = (norm.sf(threshold - 1) + norm.cdf(threshold)) / 2

    def interval(score):
        return accuracy_interval(IS_MEMBER, score >= threshold)

    assert _coverage(interval, 1.0, 600, truth) >= 0.93


def _exact_coverage(m, n, tpr, tnr):
    """Sum the probability of all outcomes, of m members and n non-members, whose interval holds the truth."""
    coverage, truth = 0.0, (tpr + tnr) / 2
    is_member = np.repeat([True, False], [m, n])
    for hits in range(m + 1):
        for spared in range(n + 1):
            chance = binom.pmf(hits, m, tpr) * binom.pmf(spared, n, tnr)
            if chance > 1e-4:
                accused = np.r_[np.arange(m) < hits, np.arange(n) >= spared]
                low, high = accuracy_interval(is_member, accused)
                coverage += chance * (low - 1e-12 <= truth <= high + 1e-12)
    return coverage


@pytest.mark.parametrize(("tpr", "tnr"), [(0.5, 0.5), (0.69, 0.69), (0.98, 0.02), (0.98, 0.98), (0.93, 0.69)])
@pytest.mark.parametrize("sizes", [(8, 8), (15, 15), (5, 20)])
def test_accuracy_interval_covers_few_rows(sizes, tpr, tnr):
    """Not simulated; of Wilson's intervals, added up, 88 to 93 % cover in some of these cases."""
    assert _exact_coverage(*sizes, tpr, tnr) >= 0.94


@pytest.mark.parametrize("rate", [0.02, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("n", [60, 200])
def test_wilson_interval_covers(n, rate):
    """Summed over all outcomes, not simulated; Wilson's coverage is nominal on average and sags at the edges."""
    ends = np.array([wilson_interval(k, n) for k in range(n + 1)])
    covered = (ends[:, 0] <= rate) & (rate <= ends[:, 1])
    assert binom.pmf(np.arange(n + 1), n, rate)[covered].sum() >= 0.92


@pytest.mark.parametrize("n", [1, 7, 60])
@pytest.mark.parametrize("confidence_level", [0.5, 0.95])
def test_wilson_ends_solve_the_score_test(n, confidence_level):
    """At each end the rate is z standard errors away, with the standard error of the end itself."""
    z = norm.ppf((1 + confidence_level) / 2)
    for k in range(n + 1):
        low, high = wilson_interval(k, n, confidence_level=confidence_level)
        assert 0 <= low <= k / n <= high <= 1
        for end in (low, high):
            assert abs(k / n - end) == pytest.approx(z * np.sqrt(end * (1 - end) / n), abs=1e-9)


@pytest.mark.parametrize("n", [1, 3, 20, 500])
def test_clopper_pearson_is_that_of_scipy(n):
    """For counts that repeat, in any order."""
    counts = np.random.default_rng(0).integers(n + 1, size=40)
    ends = np.column_stack(clopper_pearson_interval(counts, n, 0.9))
    expected = [binomtest(k, n).proportion_ci(0.9, method="exact") for k in counts.tolist()]
    np.testing.assert_allclose(ends, expected, rtol=1e-7)


def test_wilson_is_near_the_exact_interval():
    """With many rows it agrees with Clopper and Pearson's."""
    exact = beta.ppf([0.025, 0.975], [300, 301], [701, 700])
    np.testing.assert_allclose(wilson_interval(300, 1000), exact, atol=1e-3)


@pytest.mark.parametrize("name", BOOTSTRAPPED)
@pytest.mark.parametrize("ties", [False, True])
def test_function_of_counts_equals_the_metric(name, ties):
    """Each metric computed from counts, on one resample of rows, is the metric of these rows."""
    metric = BOOTSTRAPPED[name]
    function, keywords = getattr(metric, "func", metric), getattr(metric, "keywords", {})
    for seed in range(20):
        rng = np.random.default_rng(seed)
        score = _scores(rng, 1.0)
        score = np.round(score) if ties else score
        rows = np.concatenate([rng.choice(60, size=60), 60 + rng.choice(200, size=200)])
        levels = np.unique(score)[::-1]
        counts = [(score[rows][IS_MEMBER[rows] == side][:, None] == levels).sum(axis=0)[None] for side in (True, False)]
        value = OF_COUNTS[function](*counts, levels, **keywords)
        assert value == pytest.approx(metric(IS_MEMBER[rows], score[rows]), abs=1e-12)


@pytest.mark.parametrize("name", BOOTSTRAPPED)
def test_counting_agrees_with_resampling_rows(name):
    """The fast way gives the interval of the plain way, up to the resamples' own noise."""
    metric = BOOTSTRAPPED[name]
    score = _scores(np.random.default_rng(0), 1.0)
    fast = bootstrap_interval(IS_MEMBER, score, metric, n_resamples=2000, random_state=0)
    plain = bootstrap_interval(IS_MEMBER, score, lambda a, b: metric(a, b), n_resamples=200, random_state=1)
    assert fast[0] < metric(IS_MEMBER, score) < fast[1]
    np.testing.assert_allclose(fast, plain, atol=0.4 * (fast[1] - fast[0]))


def test_bootstrap_agrees_with_delong():
    """Two ways to one interval."""
    score = _scores(np.random.default_rng(0), 1.0)
    fast = bootstrap_interval(IS_MEMBER, score, roc_auc_score, n_resamples=4000, random_state=0)
    np.testing.assert_allclose(fast, auc_interval(IS_MEMBER, score), atol=0.015)


def test_partial_auc_and_any_metric():
    """A keyword or metric without a counting form is called for each resample."""
    score = _scores(np.random.default_rng(0), 1.0)
    for metric in (partial(roc_auc_score, max_fpr=0.2), average_precision_score):
        low, high = bootstrap_interval(IS_MEMBER, score, metric, n_resamples=100, random_state=0)
        assert low < metric(IS_MEMBER, score) < high


def test_chunks_do_not_matter(monkeypatch):
    """However memory is divided, the resamples are the same."""
    score = _scores(np.random.default_rng(0), 1.0)
    whole = bootstrap_interval(IS_MEMBER, score, roc_auc_score, n_resamples=97, random_state=0)
    monkeypatch.setattr("skdiffence.metrics._counts._CHUNK", 2600)
    parts = bootstrap_interval(IS_MEMBER, score, roc_auc_score, n_resamples=97, random_state=0)
    np.testing.assert_allclose(parts, whole, atol=0.02)


@pytest.mark.usefixtures("untouched_generators")
@pytest.mark.parametrize("metric", [roc_auc_score, average_precision_score])
def test_seeds(metric):
    """One seed gives one interval, another seed another, no seed a new one; global generators rest."""
    score = _scores(np.random.default_rng(0), 1.0)
    interval = partial(bootstrap_interval, IS_MEMBER, score, metric, n_resamples=50)
    assert interval(random_state=3) == interval(random_state=3)
    assert interval(random_state=3) != interval(random_state=4)
    assert interval() != interval()
    state = np.random.RandomState(0)
    assert interval(random_state=state) != interval(random_state=state)
    assert interval(random_state=np.random.RandomState(0)) == interval(random_state=np.random.RandomState(0))


@pytest.mark.parametrize("name", INTERVALS)
def test_order_and_units_do_not_matter(name):
    """Permuted rows give the same interval."""
    score = (_scores(np.random.default_rng(0), 1.0) > 0.5).astype(float)
    order = np.random.default_rng(1).permutation(len(score))
    keywords = {"random_state": 0} if name == "bootstrap" else {}
    expected = INTERVALS[name](IS_MEMBER, score, **keywords)
    np.testing.assert_allclose(INTERVALS[name](IS_MEMBER[order], score[order], **keywords), expected, atol=1e-12)


@pytest.mark.parametrize("name", ["auc", "accuracy"])
@pytest.mark.parametrize(("n_members", "n_others"), [(1, 1), (3, 3), (1, 200), (60, 200)])
def test_perfect_separation_is_not_certainty(name, n_members, n_others):
    """An AUC or accuracy of 1, or 0, on few rows keeps an interval of honest width."""
    is_member = np.repeat([True, False], [n_members, n_others])
    low, high = INTERVALS[name](is_member, is_member)
    smaller = min(n_members, n_others)
    assert high == 1
    assert low < 1 - 0.3 / smaller
    wrong = INTERVALS[name](is_member, ~is_member)
    np.testing.assert_allclose(wrong, (1 - high, 1 - low), atol=1e-9)


def test_perfect_separation_narrows_with_rows():
    """The more rows are separated, the surer it is."""
    lows = [auc_interval(np.repeat([1, 0], n), np.repeat([1.0, 0.0], n))[0] for n in (2, 5, 20, 100, 1000)]
    assert (np.diff(lows) > 0).all()
    assert 0.99 < lows[-1] < 1


def test_equal_scores_say_nothing_and_are_not_certain():
    """All scores equal: an AUC of 0.5 with an interval about it."""
    low, high = auc_interval(IS_MEMBER, np.zeros(260))
    assert low < 0.45
    assert high == pytest.approx(1 - low)


@pytest.mark.parametrize("sizes", [(1, 200), (2, 200), (200, 2), (5, 200), (5, 5), (20, 200)])
@pytest.mark.parametrize("mu", [0.0, 1.0, 2.0])
def test_auc_interval_of_few_rows(mu, sizes):
    """A side of very few rows hardly shows its own variance; the interval covers all the same."""
    is_member = np.repeat([True, False], sizes)
    rng = np.random.default_rng(0)
    ends = np.array([auc_interval(is_member, _scores(rng, mu, is_member)) for _ in range(300)])
    truth = norm.cdf(mu / np.sqrt(2))
    assert np.mean((ends[:, 0] <= truth) & (truth <= ends[:, 1])) >= 0.92


def test_tiny_confidence_still_holds_the_estimate():
    """Next to no confidence leaves next to the estimate alone."""
    low, high = auc_interval([1, 0, 0, 0], [2, 1, 3, 0], confidence_level=1e-9)
    assert low <= 2 / 3 <= high
    assert high - low < 1e-3


@pytest.mark.parametrize("name", INTERVALS)
@pytest.mark.parametrize(
    ("y_true", "y_score", "keywords", "message"),
    [
        ([1, 1], [1, 0], {}, "one member and one non-member"),
        ([1, 0], [1, 0, 1], {}, "equally long"),
        ([1, 0], [1, np.nan], {}, "y_score must be finite"),
        (pd.Series([], dtype=object), [], {}, "one member and one non-member. Got 0 members and 0 non-members"),
        ([1, 0], np.array(["1", "0"], dtype=object), {}, "y_score must be an array of numbers. Got text, such as '1'"),
        ([1, 0], [1, 0], {"confidence_level": 0.0}, "'confidence_level' parameter"),
        ([1, 0], [1, 0], {"confidence_level": 95}, "'confidence_level' parameter"),
    ],
)
def test_bad_input(name, y_true, y_score, keywords, message):
    """Empty sides, lengths, values and confidences are named."""
    with pytest.raises(ValueError, match=message):
        INTERVALS[name](y_true, y_score, **keywords)


def test_accuracy_interval_wants_predictions():
    """Scores that nobody compared with a threshold are refused."""
    with pytest.raises(ValueError, match="y_pred must hold True.*Got values from 0.2 to 0.9. Compare scores"):
        accuracy_interval([1, 1, 0], [0.9, 0.4, 0.2])


class Unhashable:
    """A metric that no dict can look up."""

    __hash__ = None

    def __call__(self, y_true, y_score):
        return roc_auc_score(y_true, y_score)


def test_metrics_need_no_hash():
    """Such a metric is called, as any other that nobody here knows."""
    y_true, y_score = np.arange(30) % 2, np.random.default_rng(0).normal(size=30)
    settings = {"n_resamples": 20, "random_state": 0}
    unhashable, plain = Unhashable(), lambda a, b: roc_auc_score(a, b)
    assert bootstrap_interval(y_true, y_score, unhashable, **settings) == bootstrap_interval(
        y_true, y_score, plain, **settings
    )
    clusters = {"rows": np.arange(30) // 3} | settings
    assert cluster_bootstrap_interval(y_true, y_score, unhashable, **clusters) == cluster_bootstrap_interval(
        y_true, y_score, plain, **clusters
    )
    groups = np.arange(30) // 15
    assert group_scores(y_true, y_score, groups, unhashable, **settings) == group_scores(
        y_true, y_score, groups, plain, **settings
    )
    found = [
        max_null_quantile(y_true, y_score[:, None], metric=metric, n_permutations=20, random_state=0)
        for metric in (unhashable, plain)
    ]
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"metric": "roc_auc"}, "'metric' parameter"),
        ({"metric": roc_auc_score, "n_resamples": 0}, "'n_resamples' parameter"),
        ({"metric": roc_auc_score, "random_state": "a"}, "'random_state' parameter"),
        ({"metric": partial(tpr_at_fpr_score, max_fpr=2)}, "'max_fpr' parameter"),
    ],
)
def test_bad_bootstraps(keywords, message):
    """Parameters are checked before any resample."""
    with pytest.raises(ValueError, match=message):
        bootstrap_interval([1, 0, 1], [1, 0, 2], **keywords)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((3, 2), "successes must be at most n. Got successes=3 and n=2"),
        ((-1, 2), "'successes' parameter"),
        ((0.5, 2), "'successes' parameter"),
        ((0, 0), "'n' parameter"),
    ],
)
def test_bad_counts(arguments, message):
    """Successes are counted, and not more than rows."""
    with pytest.raises(ValueError, match=message):
        wilson_interval(*arguments)
    with pytest.raises(ValueError, match="'confidence_level' parameter"):
        wilson_interval(1, 2, confidence_level=1)

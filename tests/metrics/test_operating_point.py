"""Rates at a rate: the interval is valid for any distribution, and the operating point is on the curve."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, binomtest, chi2, norm

from skdiffence.metrics import (
    bootstrap_interval,
    operating_point,
    tnr_at_fnr_interval,
    tnr_at_fnr_score,
    tpr_at_fpr_interval,
    tpr_at_fpr_score,
)
from skdiffence.metrics._exact import pair_radius

N_REPEATS = 400
# Intervals of a true coverage of 0.95 have more misses than this in one of a thousand such tests; seeds are fixed.
MOST_MISSES = binom.ppf(0.999, N_REPEATS, 0.05)


def _attacked(seed, ties, n_members=40, n_others=60):
    rng = np.random.default_rng(seed)
    is_member = np.repeat([True, False], [n_members, n_others])
    score = rng.normal(size=len(is_member)) + is_member
    return is_member, np.round(score) if ties else score


def _tpr_ends(members, others, rate, confidence_level):
    is_member = np.repeat([True, False], [len(members), len(others)])
    score = np.concatenate([members, others])
    return tpr_at_fpr_interval(is_member, score, max_fpr=rate, confidence_level=confidence_level)


def _misses(draw, truth, rate, confidence_level=0.95):
    rng = np.random.default_rng(0)
    ends = np.array([_tpr_ends(*draw(rng), rate, confidence_level) for _ in range(N_REPEATS)])
    return np.count_nonzero(truth < ends[:, 0]), np.count_nonzero(truth > ends[:, 1])


@pytest.mark.parametrize("mu", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize(("n", "rate"), [(200, 0.01), (200, 0.1), (400, 0.03)])
def test_interval_covers_the_population_s_rate(n, rate, mu):
    """Normal scores mu apart have a TPR of Phi(mu + Phi^-1(rate)); the sample's threshold misses the population's."""
    truth = norm.cdf(mu + norm.ppf(rate))
    assert sum(_misses(lambda rng: (rng.normal(size=n) + mu, rng.normal(size=n)), truth, rate)) <= MOST_MISSES


@pytest.mark.parametrize("mu", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("rate", [0.01, 0.1, 0.16])
def test_interval_covers_under_ties(rate, mu):
    """Of scores rounded down, the population's threshold is the lowest whole number that few enough reach."""
    levels = np.arange(-10, 11)
    truth = norm.sf(levels[norm.sf(levels) <= rate].min() - mu)

    def draw(rng):
        return np.floor(rng.normal(size=200) + mu), np.floor(rng.normal(size=200))

    assert sum(_misses(draw, truth, rate)) <= MOST_MISSES


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("above", [True, False])
def test_interval_covers_where_the_curve_jumps(above, share):
    """Flat on one side of the rate and vertical on the other: where each end is as wrong as it may be."""
    first, second = (2.0, 0.9 - 1e-9) if above else (0.9 + 1e-9, -1.0)

    def draw(rng):
        return np.where(rng.random(200) < share, first, second), rng.random(200)

    misses = _misses(draw, share, 0.1)
    assert sum(misses) <= MOST_MISSES
    # The bound is nearly reached, so the interval is no wider than it has to be, and only on the one side.
    assert misses[not above] >= binom.ppf(0.001, N_REPEATS, 0.025)
    assert misses[above] <= 0.01 * N_REPEATS


def test_plain_bootstrap_covers_less_where_few_rows_count():
    """The settings above can tell: at two of 200 non-members the percentile bootstrap misses far more often."""
    n, rate, mu, n_repeats = 200, 0.01, 1.0, 150
    truth, rng = norm.cdf(mu + norm.ppf(rate)), np.random.default_rng(0)
    is_member = np.repeat([True, False], n)
    interval = partial(
        bootstrap_interval,
        is_member,
        metric=partial(tpr_at_fpr_score, max_fpr=rate),
        n_resamples=100,
        random_state=0,
    )
    ends = np.array([interval(rng.normal(size=2 * n) + mu * is_member) for _ in range(n_repeats)])
    assert np.mean((truth < ends[:, 0]) | (truth > ends[:, 1])) > 0.06


@pytest.mark.parametrize("confidence_level", [0.5, 0.8])
def test_confidence_of_the_interval(confidence_level):
    """At lower confidence fewer cover, and enough."""
    truth = norm.cdf(1 + norm.ppf(0.1))

    def draw(rng):
        return rng.normal(size=200) + 1, rng.normal(size=200)

    misses = sum(_misses(draw, truth, 0.1, confidence_level)) / N_REPEATS
    assert 0.2 * (1 - confidence_level) < misses <= 1 - confidence_level


@pytest.mark.parametrize("confidence_level", [0.3, 0.5, 0.9, 0.95, 0.999])
def test_radius_is_that_of_a_mixture_of_chi_squares(confidence_level):
    """Two deviates, those in favor counted as 0: both count in a quarter of cases, one in a half."""
    square = pair_radius(1 - confidence_level) ** 2
    assert chi2.sf(square, 1) / 2 + chi2.sf(square, 2) / 4 == pytest.approx(1 - confidence_level)


def _by_tests(members, others, rate, confidence_level):
    """Keep each true positive rate of a grid that some threshold's two binomial tests do not refute together."""
    square = pair_radius(1 - confidence_level) ** 2
    kept = {"greater": [], "less": []}
    thresholds = np.unique(others)

    def deviate(k, n, p, side):
        return max(0.0, norm.isf(binomtest(int(k), n, p, alternative=side).pvalue))

    for place in range(len(thresholds) + 1):
        n_accused = np.count_nonzero(others >= thresholds[place]) if place < len(thresholds) else 0
        at_least = np.count_nonzero(members > thresholds[place]) if place < len(thresholds) else 0
        at_most = np.count_nonzero(members > thresholds[place - 1]) if place else len(members)
        spent = {
            side: deviate(n_accused, len(others), rate, opposite)
            for side, opposite in (("greater", "less"), ("less", "greater"))
        }
        for truth in np.linspace(0, 1, 51):
            for side, found in (("greater", at_least), ("less", at_most)):
                if spent[side] ** 2 + deviate(found, len(members), truth, side) ** 2 <= square:
                    kept[side].append(truth)
    return min(kept["greater"]), max(kept["less"])


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 1.0])
def test_interval_by_binomial_tests(rate, ties):
    """The ends are those of a search with scipy's exact tests, to the width of its grid."""
    is_member, score = _attacked(1, ties, n_members=12, n_others=15)
    low, high = _by_tests(score[is_member], score[~is_member], rate, 0.9)
    ends = tpr_at_fpr_interval(is_member, score, max_fpr=rate, confidence_level=0.9)
    assert low - 0.02 <= ends[0] <= low
    assert high <= ends[1] <= high + 0.02


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    ties=st.booleans(),
    rate=st.floats(0, 1) | st.sampled_from([0.05, 0.1, 0.3, 1 - 0.9]),
    confidence_level=st.floats(1e-6, 1 - 1e-6),
)
def test_interval_holds_the_estimate(seed, ties, rate, confidence_level):
    """Whatever the rate and the confidence, the score itself is within, and order and units do not matter."""
    rng = np.random.default_rng(seed)
    is_member, score = _attacked(seed, ties, *rng.integers(1, 40, size=2))
    order = rng.permutation(len(score))
    for interval, function, name in (
        (tpr_at_fpr_interval, tpr_at_fpr_score, "max_fpr"),
        (tnr_at_fnr_interval, tnr_at_fnr_score, "max_fnr"),
    ):
        given = {name: rate, "confidence_level": confidence_level}
        low, high = interval(is_member, score, **given)
        assert 0 <= low <= function(is_member, score, **{name: rate}) <= high <= 1
        assert (low, high) == interval(
            is_member[order], 2 * score[order] + 5, **{name: rate}, confidence_level=confidence_level
        )


def test_more_rows_and_less_confidence_narrow():
    """An interval shrinks towards the truth with rows, and grows with confidence."""
    widths = [np.diff(tpr_at_fpr_interval(*_attacked(0, False, n, n), max_fpr=0.1))[0] for n in (50, 500, 5000, 50_000)]
    assert (np.diff(widths) < 0).all()
    assert widths[-1] < 0.03
    ends = [tpr_at_fpr_interval(*_attacked(0, False), max_fpr=0.1, confidence_level=c) for c in (0.5, 0.9, 0.99)]
    assert ends[2][0] < ends[1][0] < ends[0][0] < ends[0][1] < ends[1][1] < ends[2][1]


def test_ruling_out_is_finding_by_the_opposite_score():
    """The interval of the one rate is that of the other, sides and signs exchanged."""
    is_member, score = _attacked(0, ties=False)
    assert tnr_at_fnr_interval(is_member, score, max_fnr=0.1) == tpr_at_fpr_interval(~is_member, -score, max_fpr=0.1)


def test_perfect_attack_on_few_rows_is_not_certain():
    """All members found, nobody else: the lower end is well below 1, and zero where the level rests on no row."""
    is_member = np.repeat([True, False], 100)
    low, high = tpr_at_fpr_interval(is_member, is_member, max_fpr=0.1)
    assert 0.95 < low < 0.99
    assert high == 1
    assert tpr_at_fpr_interval(is_member, is_member, max_fpr=0.01) == (0, 1)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), ties=st.booleans(), rate=st.floats(0, 1))
def test_operating_point_is_what_its_threshold_does(seed, ties, rate):
    """Accusing at the threshold gives the rates told; no lower false positive rate finds as many."""
    is_member, score = _attacked(seed, ties)
    point = operating_point(is_member, score, max_fpr=rate)
    accused = score >= point.threshold
    assert point.tpr == tpr_at_fpr_score(is_member, score, max_fpr=rate) == accused[is_member].mean()
    assert point.fpr == accused[~is_member].mean() <= rate + 1e-9
    assert (point.tpr_low, point.tpr_high) == tpr_at_fpr_interval(is_member, score, max_fpr=rate)
    if point.fpr > 0:
        assert tpr_at_fpr_score(is_member, score, max_fpr=point.fpr - 1e-6) < point.tpr


def test_threshold_that_accuses_nobody():
    """If the highest scores are non-members', nobody can be accused at a rate of zero."""
    point = operating_point([1, 1, 0, 0], [1, 2, 3, 4], max_fpr=0)
    assert (point.tpr, point.fpr, point.threshold) == (0, 0, np.inf)


@pytest.mark.parametrize(
    ("n", "rate", "reliable"),
    [(100, 0.1, True), (99, 0.1, False), (1000, 0.01, True), (1000, 1 - 0.99, True), (999, 0.01, False)],
)
def test_reliable_rates_rest_on_ten_rows(n, rate, reliable):
    """Ten of the non-members, whatever the rate is in binary and however many members there are."""
    is_member = np.repeat([True, False], [7, n])
    assert operating_point(is_member, np.arange(7.0 + n), max_fpr=rate).is_reliable is reliable


@pytest.mark.parametrize(
    ("function", "rate"),
    [(tpr_at_fpr_interval, "max_fpr"), (tnr_at_fnr_interval, "max_fnr"), (operating_point, "max_fpr")],
)
@pytest.mark.parametrize(
    ("y_true", "y_score", "keywords", "message"),
    [
        ([1, 1], [1, 0], {}, "one member and one non-member"),
        ([1, 0], [1, 0, 1], {}, "equally long"),
        ([1, 0], [1, np.nan], {}, "y_score must be finite"),
        ([1, 0], [1, 0], {"confidence_level": 1.0}, "'confidence_level' parameter"),
        ([1, 0], [1, 0], {"rate": 1.5}, "parameter of"),
        ([1, 0], [1, 0], {"rate": np.nan}, "parameter of"),
    ],
)
def test_bad_input(function, rate, y_true, y_score, keywords, message):
    """Empty sides, lengths, values, rates and confidences are named."""
    keywords = {rate: 0.1} | {rate if name == "rate" else name: value for name, value in keywords.items()}
    with pytest.raises(ValueError, match=message):
        function(y_true, y_score, **keywords)

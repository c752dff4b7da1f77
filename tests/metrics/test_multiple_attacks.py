"""The maximum over attacks under permuted memberships, against enumeration."""

from functools import partial
from itertools import combinations

import numpy as np
import pytest
from scipy.stats import binom, norm
from sklearn.metrics import average_precision_score, roc_auc_score

from skdiffence.metrics import attack_accuracy_score, max_null_quantile, tnr_at_fnr_score, tpr_at_fpr_score

METRICS = {
    "accuracy": partial(attack_accuracy_score, threshold="oracle"),
    "auc": roc_auc_score,
    "tnr": partial(tnr_at_fnr_score, max_fnr=0.2),
    "tpr": partial(tpr_at_fpr_score, max_fpr=0.2),
}


def _turned(is_member, score):
    auc = roc_auc_score(is_member, score)
    return max(auc, 1 - auc)


@pytest.mark.parametrize("ties", [False, True])
def test_all_memberships_of_eight_rows(ties):
    """Every way to choose four of eight rows, each with sklearn's area of each of three attacks."""
    rng = np.random.default_rng(1)
    scores = rng.normal(size=(8, 3)) + 1.5 * (np.arange(8) < 4)[:, None]
    scores = np.round(scores) if ties else scores
    memberships = [np.isin(np.arange(8), chosen) for chosen in combinations(range(8), 4)]
    null = np.array([max(_turned(is_member, score) for score in scores.T) for is_member in memberships])
    observed = max(_turned(np.arange(8) < 4, score) for score in scores.T)
    result = max_null_quantile(np.arange(8) < 4, scores, quantile=0.8, n_permutations=20_000, random_state=0)
    assert result.observed == pytest.approx(observed)
    assert result.p_value == pytest.approx(np.mean(null >= observed - 1e-12), abs=0.01)
    assert null.min() <= result.quantile <= null.max()
    # The smallest value that four fifths of all memberships stay at or below, give or take the sampling.
    assert np.mean(null <= result.quantile + 1e-12) >= 0.79
    assert np.mean(null < result.quantile - 1e-12) <= 0.81


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("ties", [False, True])
def test_counting_equals_calling_the_metric(name, ties):
    """On the same permutations, computing all at once gives what calling the metric for each does."""
    rng = np.random.default_rng(0)
    is_member, scores = rng.random(50) < 0.4, rng.normal(size=(50, 4))
    scores = np.round(scores) if ties else scores
    metric = METRICS[name]
    called = _turned if metric is roc_auc_score else lambda a, b: metric(a, b)
    fast, slow = (
        max_null_quantile(is_member, scores, metric=m, n_permutations=30, random_state=0) for m in (metric, called)
    )
    assert fast == pytest.approx(slow)


def test_any_metric():
    """A metric that nobody here knows is called."""
    rng = np.random.default_rng(0)
    is_member, scores = rng.random(40) < 0.5, rng.normal(size=(40, 2))
    result = max_null_quantile(is_member, scores, metric=average_precision_score, n_permutations=20, random_state=0)
    assert result.observed == max(average_precision_score(is_member, score) for score in scores.T)


def test_level_of_the_test():
    """Of correlated attacks that know nothing, at most one in twenty sets has a p-value of 0.05 or less."""
    n_repeats, rng = 400, np.random.default_rng(0)
    p_values = []
    for _ in range(n_repeats):
        scores = rng.normal(size=(30, 6)) + rng.normal(size=(30, 1))
        p_values.append(max_null_quantile(np.arange(30) < 12, scores, n_permutations=99, random_state=0).p_value)
    low, high = binom.ppf([0.001, 0.999], n_repeats, 0.05)
    assert low <= np.sum(np.array(p_values) <= 0.05) <= high


def test_planted_attack_is_found_among_many():
    """One good attack of fifty has the smallest p-value there is; so has one that is good the wrong way round."""
    rng = np.random.default_rng(0)
    is_member, scores = np.repeat([True, False], 100), rng.normal(size=(200, 50))
    for sign in (1, -1):
        planted = scores + 0.0
        planted[:, 7] += sign * is_member
        result = max_null_quantile(is_member, planted, n_permutations=199, random_state=0)
        assert result.p_value == 1 / 200
        assert result.observed > result.quantile
        assert result.observed == pytest.approx(_turned(is_member, planted[:, 7]))


def test_copies_of_an_attack_count_once():
    """The quantile knows how alike attacks are: copies add nothing, others do, about as much as normal theory says."""
    rng = np.random.default_rng(0)
    is_member, scores = np.repeat([True, False], 100), rng.normal(size=(200, 30))
    quantile = partial(max_null_quantile, is_member, n_permutations=2000, random_state=0)
    alone, copies, others = (quantile(s).quantile for s in (scores[:, :1], scores[:, [0] * 30], scores))
    # Other scores are permuted otherwise: these quantiles of 2000 differ by chance.
    assert copies == pytest.approx(alone, abs=0.006)
    spread = np.sqrt(201 / (12 * 100 * 100))  # of an area under the null
    assert alone == pytest.approx(0.5 + norm.isf(0.025) * spread, abs=0.006)
    assert others == pytest.approx(0.5 + norm.isf((1 - 0.95 ** (1 / 30)) / 2) * spread, abs=0.01)


@pytest.mark.usefixtures("untouched_generators")
@pytest.mark.parametrize("name", ["auc", "tpr"])
def test_seeds_and_order(name):
    """One seed, one result, in whatever order the rows come."""
    rng = np.random.default_rng(0)
    is_member, scores = rng.random(60) < 0.5, np.round(rng.normal(size=(60, 3)), 1)
    run = partial(max_null_quantile, metric=METRICS[name], n_permutations=50)
    expected, order = run(is_member, scores, random_state=0), rng.permutation(60)
    assert run(is_member[order], scores[order], random_state=0) == expected
    assert run(is_member, scores, random_state=1) != expected


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"y_scores": [1, 2, 3, 4]}, r"one column for each attack. Got shape \(4,\)"),
        ({"y_scores": np.zeros((4, 0))}, r"one column for each attack. Got shape \(4, 0\)"),
        ({"y_scores": np.zeros((3, 2))}, "equally long"),
        ({"y_scores": [[1, 2], [1, np.nan], [1, 2], [1, 2]]}, "y_score must be finite"),
        ({"y_scores": np.ma.array(np.zeros((4, 1)), mask=np.eye(4, 1))}, "y_scores must not have masked values"),
        ({"y_scores": [["a"], ["b"], ["c"], ["d"]]}, "y_scores must be an array of numbers. Got dtype <U1"),
        ({"y_scores": [["4"], ["3"], ["2"], ["1"]]}, "y_scores must be an array of numbers. Got dtype <U1"),
        ({"y_scores": [[1], [2], [3, 4], [5]]}, "y_scores must be an array of numbers. Got list"),
        ({"y_true": [1, 1, 1, 1]}, "one member and one non-member"),
        ({"quantile": 1.0}, "'quantile' parameter"),
        ({"n_permutations": 0}, "'n_permutations' parameter"),
        ({"metric": "auc"}, "'metric' parameter"),
        ({"metric": partial(tpr_at_fpr_score, max_fpr=2)}, "'max_fpr' parameter"),
    ],
)
def test_bad_input(keywords, message):
    """What is wrong is named."""
    good = {"y_true": [1, 0, 1, 0], "y_scores": np.zeros((4, 2))}
    with pytest.raises(ValueError, match=message):
        max_null_quantile(**(good | keywords))

"""Lower bounds of epsilon: rarely above the truth, near it with many rows, and by hand."""

import numpy as np
import pytest
from scipy.stats import binom, binomtest, chi2, norm

from skdiffence.metrics import epsilon_lower_bound
from skdiffence.metrics._epsilon import _best_threshold, _bound, _counts, _pairs
from skdiffence.metrics._exact import pair_radius

N_REPEATS = 400
# A bound that is wrong in 5 % of cases is wrong more often than this in one of a thousand such tests.
MOST_WRONG = binom.ppf(0.999, N_REPEATS, 0.05)


def _respond(rng, n, truth):
    """Randomized response: the membership itself, or its opposite, with odds of exp(epsilon)."""
    is_member = np.repeat([True, False], n)
    return is_member, is_member == (rng.random(2 * n) < 1 / (1 + np.exp(-truth)))


def test_no_leak_is_no_epsilon():
    """Of scores that say nothing, at most one in twenty bounds is above zero."""
    rng, is_member = np.random.default_rng(0), np.repeat([True, False], 100)
    bounds = [epsilon_lower_bound(is_member, rng.normal(size=200), random_state=s).epsilon for s in range(N_REPEATS)]
    assert 0 <= np.count_nonzero(bounds) <= MOST_WRONG


def test_threshold_chosen_on_the_same_rows_would_leak():
    """The test above can tell: bounded on the rows that chose it, the best threshold is above zero too often."""
    rng, n, wrong = np.random.default_rng(0), 1000, 0
    for _ in range(N_REPEATS // 4):
        members, others = rng.normal(size=(2, n))
        rule, threshold = _best_threshold(members, others, 0.0, 0.05)
        tp, fp = _counts(members, others, threshold)
        wrong += _bound(*_pairs(tp, n, fp, n)[rule], 0.0, 0.05)[0] > 0
    assert wrong > binom.ppf(0.999, N_REPEATS // 4, 0.05)


@pytest.mark.parametrize("truth", [0.5, np.log(3), 3.0])
def test_bound_stays_below_the_truth(truth):
    """Randomized response has an exact epsilon."""
    rng = np.random.default_rng(0)
    # One seed for all: it must not favor the same rows in all of them.
    bounds = [epsilon_lower_bound(*_respond(rng, 300, truth), random_state=0).epsilon for _ in range(N_REPEATS)]
    assert np.sum(np.array(bounds) > truth) <= MOST_WRONG
    # And is not far below it: with 150 rows a side left, by about two standard errors of the log ratio.
    share = 1 / (1 + np.exp(-truth))
    spread = np.sqrt((1 / share - 1) / 150 + (1 / (1 - share) - 1) / 150)
    assert np.mean(bounds) > truth - 2.3 * spread


@pytest.mark.parametrize("truth", [0.5, 2.0])
def test_bound_tends_to_the_truth(truth):
    """With many rows nothing is left to be uncertain of."""
    bound = epsilon_lower_bound(*_respond(np.random.default_rng(0), 200_000, truth), random_state=0)
    assert truth - 0.06 < bound.epsilon < truth


def test_delta_is_spent_first():
    """Of members 10 % are named outright, else nothing is told: (0, 0.1)-private, and at delta 0 not private at all."""
    is_member = np.repeat([True, False], 20_000)
    score = (is_member & (np.random.default_rng(0).random(40_000) < 0.1)).astype(float)
    assert epsilon_lower_bound(is_member, score, delta=0.1, random_state=0).epsilon == 0
    assert epsilon_lower_bound(is_member, score, delta=0.05, random_state=0).epsilon > 4
    assert epsilon_lower_bound(is_member, score, random_state=0).epsilon > 5


@pytest.mark.parametrize("delta", [0.0, 0.05])
def test_bound_by_search(delta):
    """From the counts at the threshold told: every pair of rates on a grid, by scipy's binomial tests."""
    is_member = np.repeat([True, False], [80, 40])
    score = np.random.default_rng(0).normal(size=120) + 2 * is_member
    bound = epsilon_lower_bound(is_member, score, delta=delta, confidence_level=0.9, calibration=0.25, random_state=0)
    assert (bound.n_members, bound.n_non_members) == (60, 30)
    assert (bound.confidence_level, bound.delta) == (0.9, delta)
    tp, fp = round(60 * bound.tpr), round(30 * bound.fpr)
    tests = {
        "tpr": ((tp, 60, "greater"), (fp, 30, "less")),
        "tnr": ((30 - fp, 30, "greater"), (60 - tp, 60, "less")),
    }[bound.direction]
    grid = np.linspace(0.001, 0.999, 500)
    off = [np.maximum(norm.isf([binomtest(k, n, p, alternative=side).pvalue for p in grid]), 0) for k, n, side in tests]
    # The radius, from scipy's chi-squares: two deviates count in a quarter of cases, one in a half.
    square = pair_radius(0.1) ** 2
    assert chi2.sf(square, 1) / 2 + chi2.sf(square, 2) / 4 == pytest.approx(0.1)
    credible = off[0][:, None] ** 2 + off[1] ** 2 <= square
    epsilons = np.log(np.maximum(grid[:, None] - delta, 1e-9) / grid)
    assert bound.epsilon == pytest.approx(epsilons[credible].min(), abs=0.03)
    assert bound.epsilon <= epsilons[credible].min()
    assert bound.epsilon == pytest.approx(np.log((bound.low - delta) / bound.high))


@pytest.mark.parametrize("counts", [(90, 100, 10, 100), (30, 100, 1, 200), (600, 1000, 400, 1000)])
def test_bound_beats_two_intervals(counts):
    """Sharing the error between the rates gains on two exact intervals of half of it each."""
    found, m, accused, n = counts
    low = binomtest(found, m).proportion_ci(0.95).low
    high = binomtest(accused, n).proportion_ci(0.95).high
    epsilon, _, _ = _bound(*counts, 0.0, 0.05)
    assert np.log(low / high) < epsilon < np.log(found / m / (accused / n))


def test_coarse_steps_stay_on_the_safe_side(monkeypatch):
    """However few ways to share the error are tried, the bound is no higher than with many."""
    counts = (60, 100, 40, 100, 0.0, 0.05)
    epsilons = []
    for n_angles in (2, 5, 30, 1000):
        monkeypatch.setattr("skdiffence.metrics._exact._N_ANGLES", n_angles)
        epsilons.append(_bound(*counts)[0])
    assert (np.diff(epsilons) > 0).all()


def test_ruling_out_counts_too():
    """Where only some non-members can be told apart, the rule of the true negative rate is chosen."""
    is_member = np.repeat([True, False], 500)
    score = np.where(np.random.default_rng(0).random(1000) < 0.3, -1.0 * ~is_member, 0.0)
    bound = epsilon_lower_bound(is_member, score, random_state=0)
    assert (bound.direction, bound.threshold) == ("tnr", 0.0)
    assert bound.tpr == 1
    assert bound.epsilon == pytest.approx(np.log(bound.low / bound.high))
    assert bound.epsilon > 2
    mirrored = epsilon_lower_bound(~is_member, -score, random_state=0)
    assert mirrored.direction == "tpr"
    assert mirrored.epsilon == pytest.approx(bound.epsilon, abs=0.3)


def test_most_that_rows_can_show():
    """Perfect separation of n rows a side: both exact bounds are of n of n."""
    is_member = np.repeat([True, False], 200)
    bound = epsilon_lower_bound(is_member, is_member, random_state=0)
    # Nearly all of the error is best spent on the rate accused: 0 of 100.
    assert bound.epsilon == pytest.approx(-np.log(1 - norm.sf(pair_radius(0.05)) ** (1 / 100)), abs=0.02)
    assert bound.epsilon == pytest.approx(np.log(100 / 3.9), abs=0.03)


@pytest.mark.usefixtures("untouched_generators")
def test_seeds_and_order():
    """One seed divides the rows in one way, in whatever order they come."""
    rng = np.random.default_rng(0)
    is_member = rng.random(300) < 0.5
    score = np.round(rng.normal(size=300) + is_member, 1)
    order = rng.permutation(300)
    expected = epsilon_lower_bound(is_member, score, random_state=0)
    assert epsilon_lower_bound(is_member[order], score[order], random_state=0) == expected
    assert epsilon_lower_bound(is_member, score, random_state=1) != expected
    assert epsilon_lower_bound([1, 1, 0, 0], [1, 1, 0, 0], calibration=0.99).n_members == 1


@pytest.mark.parametrize(
    ("y_true", "y_score", "keywords", "message"),
    [
        ([1, 0, 0], [1, 0, 0], {}, "two members and two non-members, .* Got 1 and 2"),
        ([1, 1], [1, 0], {}, "one member and one non-member"),
        ([1, 0], [1, np.nan], {}, "y_score must be finite"),
        ([1, 0], [1, 0], {"delta": 1.0}, "'delta' parameter"),
        ([1, 0], [1, 0], {"delta": -0.1}, "'delta' parameter"),
        ([1, 0], [1, 0], {"confidence_level": 0}, "'confidence_level' parameter"),
        ([1, 0], [1, 0], {"calibration": 1.0}, "'calibration' parameter"),
        ([1, 0], [1, 0], {"random_state": "a"}, "'random_state' parameter"),
    ],
)
def test_bad_input(y_true, y_score, keywords, message):
    """What is wrong is named."""
    with pytest.raises(ValueError, match=message):
        epsilon_lower_bound(y_true, y_score, **keywords)

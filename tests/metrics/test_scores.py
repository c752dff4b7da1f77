"""Scores of an attack against counting, and of a classifier's confidence by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.metrics import balanced_accuracy_score, roc_auc_score, roc_curve

from skdiffence.metrics import (
    attack_accuracy_score,
    expected_calibration_error,
    failure_detection_auc,
    tnr_at_fnr_score,
    tpr_at_fpr_score,
)

RATES = [0.0, 0.001, 0.1, 0.3, 0.5, 0.9, 1.0]
ATTACK_SCORES = {
    "accuracy": attack_accuracy_score,
    "tnr": lambda y_true, y_score: tnr_at_fnr_score(y_true, y_score, max_fnr=0.1),
    "tpr": lambda y_true, y_score: tpr_at_fpr_score(y_true, y_score, max_fpr=0.1),
}
CONFIDENCE_SCORES = {"ece": expected_calibration_error, "failure": failure_detection_auc}


def _attacked(seed, ties):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(4, 60))
    is_member = rng.random(n) < 0.4
    is_member[:2] = True, False
    score = rng.normal(size=n) + is_member
    return is_member, np.round(score) if ties else score


def _by_counting(is_member, score, max_fpr):
    """Try every threshold, with whole numbers: at most floor(max_fpr * n) accused, 0.1 being a tenth."""
    n_members, n_others = is_member.sum(), (~is_member).sum()
    best = 0.0
    for threshold in [*np.unique(score), np.inf]:
        accused = score >= threshold
        if 1000 * (accused & ~is_member).sum() <= round(1000 * max_fpr) * n_others:
            best = max(best, (accused & is_member).sum() / n_members)
    return best


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("max_fpr", RATES)
def test_tpr_at_fpr_by_counting(max_fpr, ties):
    """The best threshold among all, tied rows accused together."""
    for seed in range(8):
        is_member, score = _attacked(seed, ties)
        tpr = tpr_at_fpr_score(is_member, score, max_fpr=max_fpr)
        assert tpr == pytest.approx(_by_counting(is_member, score, max_fpr), abs=1e-12)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("max_fnr", RATES)
def test_tnr_at_fnr_by_counting(max_fnr, ties):
    """Ruling non-members out is finding them by the opposite score."""
    for seed in range(8):
        is_member, score = _attacked(seed, ties)
        tnr = tnr_at_fnr_score(is_member, score, max_fnr=max_fnr)
        assert tnr == pytest.approx(_by_counting(~is_member, -score, max_fnr), abs=1e-12)


def test_tpr_is_read_off_the_roc_curve():
    """At each achieved rate, the score is the curve's highest point there."""
    is_member, score = _attacked(3, ties=True)
    fpr, tpr, _ = roc_curve(is_member, score, drop_intermediate=False)
    for rate in np.unique(fpr):
        assert tpr_at_fpr_score(is_member, score, max_fpr=rate) == tpr[fpr == rate].max()


def test_collinear_points_of_the_curve_count():
    """Ten levels of one member and one other each: the curve is a straight line, and each of its points counts."""
    is_member, score = np.tile([True, False], 10), np.repeat(np.arange(10), 2)
    for k in range(11):
        assert tpr_at_fpr_score(is_member, score, max_fpr=k / 10) == k / 10
        assert tnr_at_fnr_score(is_member, score, max_fnr=k / 10) == k / 10
    # As computed by users, a rate may miss its decimal by a rounding.
    assert tpr_at_fpr_score(is_member, score, max_fpr=1 - 0.9) == 0.1


@pytest.mark.parametrize("n", [10, 30, 70, 90, 1000])
def test_decimal_rates_allow_their_share(n):
    """A rate of 0.1 allows exactly n / 10 false accusations, whatever 0.1 is in binary."""
    is_member = np.repeat([True, False], n)
    score = np.concatenate([np.zeros(n), np.linspace(1, 2, n)])
    score[: n // 2] = score[n:][-n // 10] - 1e-6  # just below the n / 10 highest non-members
    assert tpr_at_fpr_score(is_member, score, max_fpr=0.1) == 0.5
    assert tpr_at_fpr_score(is_member, score, max_fpr=0.1 - 0.5 / n) == 0


def test_normal_scores_have_their_closed_form():
    """Members one standard deviation higher: TPR at f is Phi(1 + Phi^-1(f)), the best accuracy Phi(1/2)."""
    z = norm.ppf((np.arange(20_000) + 0.5) / 20_000)
    is_member, score = np.repeat([True, False], 20_000), np.concatenate([z + 1, z])
    for rate in (0.001, 0.01, 0.1):
        expected = norm.cdf(1 + norm.ppf(rate))
        assert tpr_at_fpr_score(is_member, score, max_fpr=rate) == pytest.approx(expected, abs=1e-3)
        assert tnr_at_fnr_score(is_member, score, max_fnr=rate) == pytest.approx(expected, abs=1e-3)
    assert attack_accuracy_score(is_member, score, threshold="oracle") == pytest.approx(norm.cdf(0.5), abs=1e-3)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), ties=st.booleans(), rate=st.floats(0, 1))
def test_rates_are_sane(seed, ties, rate):
    """Scores lie in [0, 1], rise with the allowed rate and know nothing of the rows' order or of units."""
    is_member, score = _attacked(seed, ties)
    order = np.random.default_rng(seed).permutation(len(score))
    for function, name in ((tpr_at_fpr_score, "max_fpr"), (tnr_at_fnr_score, "max_fnr")):
        value = function(is_member, score, **{name: rate})
        assert 0 <= value <= function(is_member, score, **{name: min(1, rate + 0.1)}) <= 1
        assert value == function(is_member[order], 3 * score[order] + 7, **{name: rate})
        assert function(is_member, score, **{name: 1.0}) == 1


@pytest.mark.parametrize("threshold", [-1.0, 0.0, 0.5, 1, np.inf])
@pytest.mark.parametrize("ties", [False, True])
def test_accuracy_is_balanced_accuracy(ties, threshold):
    """At a given threshold, and of predictions."""
    for seed in range(10):
        is_member, score = _attacked(seed, ties)
        expected = balanced_accuracy_score(is_member, score >= threshold)
        assert attack_accuracy_score(is_member, score, threshold=threshold) == pytest.approx(expected)
        assert attack_accuracy_score(is_member, score >= threshold) == pytest.approx(expected)


@pytest.mark.parametrize("ties", [False, True])
def test_oracle_accuracy_is_the_best_of_all(ties):
    """The oracle's threshold is the best of all thresholds, one that accuses nobody among them."""
    for seed in range(8):
        is_member, score = _attacked(seed, ties)
        best = max(balanced_accuracy_score(is_member, score >= t) for t in [*score, np.inf])
        assert attack_accuracy_score(is_member, score, threshold="oracle") == pytest.approx(best)


@pytest.mark.parametrize("name", ATTACK_SCORES)
@pytest.mark.parametrize("kind", [list, np.array, lambda values: np.array(values, dtype=float)])
def test_membership_as_numbers(name, kind):
    """1 and 0, as integers or floats, serve as True and False."""
    is_member, score = _attacked(0, ties=False)
    assert ATTACK_SCORES[name](kind(is_member.astype(int)), score) == ATTACK_SCORES[name](is_member, score)


@pytest.mark.parametrize("name", ATTACK_SCORES)
@pytest.mark.parametrize(
    ("y_true", "y_score", "message"),
    [
        ([1, 1, 1], [1, 2, 3], "one member and one non-member. Got 3 members and 0"),
        ([0, 0, 0], [1, 2, 3], "Got 0 members and 3"),
        ([], [], "Got 0 members and 0|must hold"),
        ([1, 0], [1, 2, 3], r"equally long. Got \(2,\) and \(3,\)"),
        ([[1, 0]], [[1, 2]], "one-dimensional"),
        ([1, 0, 2], [1, 2, 3], "True for members and False for non-members"),
        (["a", "b", "a"], [1, 2, 3], "True for members and False for non-members"),
        ([1, 0, np.nan], [1, 2, 3], "y_true must hold finite labels. Got 1 that are NaN"),
        ([1, 0, 1], [1, np.nan, np.inf], "y_score must be finite. Got 2 values"),
    ],
)
def test_bad_memberships(name, y_true, y_score, message):
    """An empty side, unequal lengths, other values and scores that are not finite."""
    with pytest.raises(ValueError, match=message):
        ATTACK_SCORES[name](y_true, y_score)


@pytest.mark.parametrize("rate", [-0.1, 1.5, "a", None])
def test_bad_rates(rate):
    """A rate is a number from 0 to 1."""
    with pytest.raises(ValueError, match="'max_fpr' parameter"):
        tpr_at_fpr_score([1, 0], [1, 0], max_fpr=rate)
    with pytest.raises(ValueError, match="'max_fnr' parameter"):
        tnr_at_fnr_score([1, 0], [1, 0], max_fnr=rate)


def test_bad_threshold():
    """A threshold is a number or "oracle"."""
    with pytest.raises(ValueError, match="'threshold' parameter"):
        attack_accuracy_score([1, 0], [1, 0], threshold="best")


def test_calibration_error_by_hand():
    """Two bins: five rows at 0.6 with three right answers are calibrated, two at 0.9 with one are off by 0.4."""
    proba = [[0.6, 0.4]] * 5 + [[0.1, 0.9]] * 2
    y = [0, 0, 0, 1, 1, 1, 0]
    assert expected_calibration_error(y, proba) == pytest.approx(2 / 7 * 0.4)
    # One bin: 4 of 7 right at a mean confidence of 4.8 / 7.
    assert expected_calibration_error(y, proba, n_bins=1) == pytest.approx(0.8 / 7)


def test_calibration_bins_are_closed_at_the_right():
    """With four bins a confidence of 0.75 shares the bin of 0.6, not that of 0.9."""
    y, proba = [0, 1], [[0.75, 0.25], [0.6, 0.4]]
    assert expected_calibration_error(y, proba, n_bins=4) == pytest.approx(abs(1 - 1.35) / 2)
    y, proba = [0, 1], [[0.75, 0.25], [0.9, 0.1]]
    assert expected_calibration_error(y, proba, n_bins=4) == pytest.approx((0.25 + 0.9) / 2)


def test_calibration_error_bin_by_bin():
    """The same as a loop over bins, of which empty ones count nothing."""
    rng = np.random.default_rng(0)
    proba, y = rng.dirichlet(np.full(4, 0.5), size=500), rng.integers(-1, 4, size=500)
    confidence, correct = proba.max(axis=1), proba.argmax(axis=1) == y
    expected = 0.0
    for low in np.arange(15) / 15:
        rows = (confidence > low) & (confidence <= low + 1 / 15)
        if rows.any():
            expected += rows.mean() * abs(correct[rows].mean() - confidence[rows].mean())
    assert expected_calibration_error(y, proba) == pytest.approx(expected)


def test_certain_answers():
    """Certain and right is perfectly calibrated; certain and wrong, or of an unknown class, as bad as can be."""
    assert expected_calibration_error([0, 1], np.eye(2)) == 0
    assert expected_calibration_error([1, -1], np.eye(2)) == 1


def test_failure_detection_is_an_auc():
    """The highest probability as a score of being right, ties included."""
    rng = np.random.default_rng(0)
    proba, y = np.round(rng.dirichlet(np.ones(3), size=300), 1), rng.integers(3, size=300)
    proba = proba / proba.sum(axis=1, keepdims=True)
    expected = roc_auc_score(proba.argmax(axis=1) == y, proba.max(axis=1))
    assert failure_detection_auc(y, proba) == pytest.approx(expected)
    assert failure_detection_auc(y, np.tile([0.5, 0.3, 0.2], (300, 1))) == 0.5


@pytest.mark.parametrize("y", [[0, 1], [1, 0]])
def test_failure_detection_needs_both_kinds(y):
    """All right, or all wrong: there is nothing to tell apart."""
    assert np.isnan(failure_detection_auc(y, np.eye(2)))


@pytest.mark.parametrize("name", CONFIDENCE_SCORES)
def test_labels_name_the_columns(name):
    """With labels=, y_true holds labels, of any type; an unknown one is a wrong answer."""
    proba = [[0.9, 0.1], [0.6, 0.4], [0.3, 0.7]]
    expected = CONFIDENCE_SCORES[name]([0, 1, -1], proba)
    assert CONFIDENCE_SCORES[name](["dog", "cat", "eel"], proba, labels=["dog", "cat"]) == expected


@pytest.mark.parametrize("name", CONFIDENCE_SCORES)
@pytest.mark.parametrize(
    ("y", "proba", "message"),
    [
        ([0, 1], [[2.0, -1.0], [0.5, 0.5]], "logits"),
        ([0], [[0.5, 0.5], [0.5, 0.5]], "one label for each of 2 rows"),
        ([0, 2], [[0.5, 0.5], [0.5, 0.5]], "from 0 to 1"),
        (["a", "b"], [[0.5, 0.5], [0.5, 0.5]], "labels=classifier.classes_"),
        (np.zeros(0, dtype=int), np.zeros((0, 2)), "at least one row"),
    ],
)
def test_bad_confidences(name, y, proba, message):
    """What is wrong with probabilities or labels is named."""
    with pytest.raises(ValueError, match=message):
        CONFIDENCE_SCORES[name](y, proba)


def test_bad_bins():
    """There is at least one bin."""
    with pytest.raises(ValueError, match="'n_bins' parameter"):
        expected_calibration_error([0], [[0.5, 0.5]], n_bins=0)

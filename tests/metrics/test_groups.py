"""Scores group by group and row by row, against the same functions called for each."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from skdiffence.metrics import (
    accuracy_interval,
    attack_accuracy_score,
    auc_interval,
    bootstrap_interval,
    group_scores,
    per_row_auc,
    tnr_at_fnr_interval,
    tnr_at_fnr_score,
    tpr_at_fpr_interval,
    tpr_at_fpr_score,
)

EXACT = {
    "accuracy": (attack_accuracy_score, lambda a, b, **k: accuracy_interval(a, b >= 0.5, **k)),
    "accuracy at 0.2": (
        partial(attack_accuracy_score, threshold=0.2),
        lambda a, b, **k: accuracy_interval(a, b >= 0.2, **k),
    ),
    "auc": (roc_auc_score, auc_interval),
    "tnr": (partial(tnr_at_fnr_score, max_fnr=0.1), partial(tnr_at_fnr_interval, max_fnr=0.1)),
    "tpr": (partial(tpr_at_fpr_score, max_fpr=0.1), partial(tpr_at_fpr_interval, max_fpr=0.1)),
}
BOOTSTRAPPED = {
    "oracle": partial(attack_accuracy_score, threshold="oracle"),
    "partial auc": partial(roc_auc_score, max_fpr=0.5),
    "precision": average_precision_score,
}


def _attacked(seed, n=300):
    rng = np.random.default_rng(seed)
    is_member = rng.random(n) < 0.5
    # Rounded, so that some scores are exactly at a threshold.
    return is_member, np.round(rng.normal(size=n) + is_member, 1), rng.integers(3, size=n)


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("confidence_level", [0.8, 0.95])
def test_each_group_is_scored_as_if_alone(name, confidence_level):
    """Value, interval and counts are those of the group's own rows."""
    is_member, score, groups = _attacked(0)
    metric, interval = EXACT[name]
    scores = group_scores(is_member, score, groups, metric, confidence_level=confidence_level)
    assert list(scores) == [0, 1, 2]
    for group, found in scores.items():
        rows = groups == group
        assert found.value == metric(is_member[rows], score[rows])
        assert (found.low, found.high) == interval(is_member[rows], score[rows], confidence_level=confidence_level)
        assert found.low < found.value < found.high
        assert (found.n_members, found.n_non_members) == (is_member[rows].sum(), (~is_member[rows]).sum())


@pytest.mark.usefixtures("untouched_generators")
@pytest.mark.parametrize("name", BOOTSTRAPPED)
def test_other_metrics_are_bootstrapped(name):
    """Their interval is like the bootstrap's, reproducible, and does not know of the other groups."""
    is_member, score, groups = _attacked(0)
    run = partial(group_scores, metric=BOOTSTRAPPED[name], n_resamples=60)
    scores = run(is_member, score, groups, random_state=0)
    rows = groups == 1
    ends = bootstrap_interval(is_member[rows], score[rows], BOOTSTRAPPED[name], n_resamples=60, random_state=1)
    np.testing.assert_allclose([scores[1].low, scores[1].high], ends, atol=0.05)
    assert run(is_member, score, groups, random_state=0) == scores
    assert run(is_member, score, groups, random_state=1) != scores
    kept = groups > 0
    assert run(is_member[kept], score[kept], groups[kept], random_state=0)[1] == scores[1]


def test_group_with_one_side_has_no_score():
    """Members without non-members, or the reverse, are counted and not scored."""
    scores = group_scores([1, 0, 1, 0], [2, 1, 2, 1], ["b", "b", "a", "c"], roc_auc_score)
    assert list(scores) == ["a", "b", "c"]
    assert scores["b"].value == 1
    for group, counts in (("a", (1, 0)), ("c", (0, 1))):
        found = scores[group]
        assert np.isnan([found.value, found.low, found.high]).all()
        assert (found.n_members, found.n_non_members) == counts


@pytest.mark.parametrize(
    "groups",
    [
        ["x", "y", "x", "y"],
        ("nan", "None", "nan", "None"),
        np.array(["x", "y", "x", "y"], dtype=object),
        np.ma.array([3, 4, 3, 4]),
        [b"x", b"y", b"x", b"y"],
        [True, False, True, False],
        [0.5, 2.5, 0.5, 2.5],
        [1, 2.5, True, 2.5],
    ],
    ids=str,
)
def test_keys_are_plain_labels(groups):
    """Groups of any one type, found again by the label that was given."""
    scores = group_scores([1, 1, 0, 0], [1, 2, 0, 3], groups, roc_auc_score)
    assert (scores[groups[0]].value, scores[groups[1]].value) == (1, 0)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"groups": [0, 1]}, "groups must hold one group for each of 4 rows"),
        ({"groups": [0, 1, np.nan, 1]}, "groups must not hold NaN, NA or None"),
        ({"groups": pd.array(["a", pd.NA, "b", "b"], dtype="string")}, "groups must not hold NaN, NA or None"),
        ({"groups": pd.array([True, pd.NA, False, True], dtype="boolean")}, "groups must not hold NaN, NA or None"),
        ({"groups": ["a", "a", np.nan, "b"]}, "groups must not hold NaN, NA or None"),
        ({"groups": ("a", "a", None, "b")}, "groups must not hold NaN, NA or None"),
        ({"groups": ["a", pd.NA, "b", "b"]}, "groups must not hold NaN, NA or None"),
        ({"groups": [1, None, 2, 2]}, "groups must not hold NaN, NA or None"),
        ({"groups": np.ma.array([0, 0, 9, 1], mask=[0, 0, 1, 0])}, "groups must not have masked values"),
        ({"groups": np.array([0, "a", 1, "b"], dtype=object)}, "groups must be all text or all numbers"),
        ({"groups": ["a", "a", 1, 1]}, "groups must be all text or all numbers"),
        ({"groups": ("a", 1.5, "b", 2.5)}, "groups must be all text or all numbers"),
        ({"groups": ["a", b"a", "b", b"b"]}, "groups must be all text or all numbers"),
        ({"groups": [[0], [0, 1], [1], [1]]}, "groups must hold one group for each row. Got a list"),
        ({"groups": [[0, 1], [0, 1], [1, 1], [1, 1]]}, r"one group for each of 4 rows. Got shape \(4, 2\)"),
        ({"y_true": [1, 1, 1, 1]}, "one member and one non-member"),
        ({"y_score": [1, 2, 3, np.nan]}, "y_score must be finite"),
        ({"confidence_level": 0}, "'confidence_level' parameter"),
        ({"metric": "auc"}, "'metric' parameter"),
        ({"metric": partial(tpr_at_fpr_score, max_fpr=2)}, "'max_fpr' parameter"),
    ],
)
def test_bad_groups(keywords, message):
    """What is wrong is named."""
    good = {"y_true": [1, 0, 1, 0], "y_score": [1, 0, 2, 3], "groups": [0, 0, 1, 1], "metric": roc_auc_score}
    with pytest.raises(ValueError, match=message):
        group_scores(**(good | keywords))


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000), ties=st.booleans(), missing=st.floats(0, 0.9), share=st.sampled_from([0.1, 0.5, 1.0])
)
def test_per_row_auc_row_by_row(seed, ties, missing, share):
    """Each row's area is sklearn's, of the models that scored it; NaN where one side has none."""
    rng = np.random.default_rng(seed)
    scores, membership = rng.normal(size=(12, 9)), rng.random((12, 9)) < share
    scores = np.round(scores + membership) if ties else scores
    scores[rng.random((12, 9)) < missing] = np.nan
    expected = []
    for score, is_member in zip(scores, membership, strict=True):
        there = ~np.isnan(score)
        both = len(np.unique(is_member[there])) == 2
        expected.append(roc_auc_score(is_member[there], score[there]) if both else np.nan)
    np.testing.assert_allclose(per_row_auc(scores, membership), expected, atol=1e-12)


def test_spread_of_a_row_that_tells_nothing():
    """The standard deviation in the documentation, of 64 models in equal halves."""
    scores = np.random.default_rng(0).normal(size=(20_000, 64))
    areas = per_row_auc(scores, np.tile(np.arange(64) < 32, (20_000, 1)))
    assert areas.std() == pytest.approx(1 / np.sqrt(3 * 64), rel=0.03)
    assert areas.max() > 0.75


@pytest.mark.parametrize(
    ("scores", "membership", "message"),
    [
        ([1, 2], [1, 0], r"shape \(n_rows, n_models\). Got \(2,\) and \(2,\)"),
        ([[1, 2]], [[1, 0, 1]], r"Got \(1, 2\) and \(1, 3\)"),
        ([[1, np.inf]], [[1, 0]], "scores must be finite, or NaN .* Got 1 infinities"),
        ([[1, 2]], [[1, 2]], "membership must hold True"),
        ([[1, 2]], [["a", "b"]], "membership must hold True"),
        (np.ma.array([[1, 2]], mask=[[False, True]]), [[1, 0]], "scores must not have masked values"),
        ([[1, 2]], np.ma.array([[1, 0]], mask=[[False, True]]), "membership must not have masked values"),
        ([["a", "b"]], [[1, 0]], "scores must be an array of numbers. Got dtype <U1"),
        ([["4", "3"]], [[1, 0]], "scores must be an array of numbers. Got dtype <U1"),
        ([[1], [2, 3]], [[1, 0], [1, 0]], "scores must be an array of numbers. Got list"),
        ([[1, 2], [2, 3]], [[1], [0, 1]], "membership must hold one label for each row"),
    ],
)
def test_bad_matrices(scores, membership, message):
    """Shapes, infinities and memberships are named."""
    with pytest.raises(ValueError, match=message):
        per_row_auc(scores, membership)


@pytest.mark.parametrize("levels", [2, 5, 1000])
def test_areas_of_groups_are_those_of_sklearn(levels):
    """They are computed by ranks, which is faster; ties count one half."""
    rng = np.random.default_rng(0)
    y_true, y_score, groups = rng.random(300) < 0.5, rng.integers(0, levels, 300), rng.integers(0, 8, 300)
    for group, score in group_scores(y_true, y_score, groups, roc_auc_score).items():
        rows = groups == group
        assert score.value == pytest.approx(roc_auc_score(y_true[rows], y_score[rows]), abs=1e-12)

"""Scores pooled over rows and models: the clustered interval covers where one for independent rows does not."""

from functools import partial

import numpy as np
import pytest
from scipy.stats import binom, norm, t
from sklearn.metrics import roc_auc_score

from skdiffence.metrics import (
    attack_accuracy_score,
    auc_interval,
    bootstrap_interval,
    cluster_bootstrap_interval,
    tnr_at_fnr_score,
    tpr_at_fpr_score,
)
from skdiffence.metrics._bootstrap import _widening

METRICS = {
    "accuracy": partial(attack_accuracy_score, threshold=0.2),
    "auc": roc_auc_score,
    "oracle": partial(attack_accuracy_score, threshold="oracle"),
    "tnr": partial(tnr_at_fnr_score, max_fnr=0.1),
    "tpr": partial(tpr_at_fpr_score, max_fpr=0.1),
}


def _pooled(rng, n_rows=24, n_models=12, of_rows=0.7, of_models=0.7):
    """Draw scores of which members' are 1 higher on average, more for some rows and some models."""
    rows, models = (places.ravel() for places in np.indices((n_rows, n_models)))
    is_member = rng.random(len(rows)) < 0.5
    shift = 1 + of_rows * rng.normal(size=n_rows)[rows] + of_models * rng.normal(size=n_models)[models]
    return is_member, rng.normal(size=len(rows)) + shift * is_member, rows, models


@pytest.mark.parametrize(("of_rows", "of_models"), [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (0.7, 0.7)])
def test_covers_where_an_interval_of_independent_rows_does_not(of_rows, of_models):
    """The area over pairs of other rows and models is Phi(1 / sqrt(2 + effects' variances))."""
    n_repeats, rng = 120, np.random.default_rng(0)
    truth = norm.cdf(1 / np.sqrt(2 + of_rows**2 + of_models**2))
    missed = {"clustered": 0, "plain": 0}
    for seed in range(n_repeats):
        is_member, score, rows, models = _pooled(rng, of_rows=of_rows, of_models=of_models)
        keywords = {"rows": rows, "models": models, "n_resamples": 120, "random_state": seed}
        low, high = cluster_bootstrap_interval(is_member, score, roc_auc_score, **keywords)
        missed["clustered"] += not low <= truth <= high
        low, high = auc_interval(is_member, score)
        missed["plain"] += not low <= truth <= high
    # At a coverage of 0.95 there are no more misses than this in 999 of a thousand such tests.
    assert missed["clustered"] <= binom.ppf(0.999, n_repeats, 0.05)
    assert (missed["plain"] > 0.12 * n_repeats) == (of_rows + of_models > 0)


def test_one_model_asked_several_times():
    """Five queries of each of 60 rows that differ among themselves know about as much as 60 rows do."""
    rng = np.random.default_rng(0)
    is_member, answer = np.repeat([True, False], 30), rng.normal(size=60)
    answer = answer + is_member
    repeated = [np.repeat(values, 5) for values in (is_member, answer, np.arange(60))]
    ends = cluster_bootstrap_interval(*repeated[:2], roc_auc_score, rows=repeated[2], random_state=0)
    once = bootstrap_interval(is_member, answer, roc_auc_score, random_state=0)
    many = bootstrap_interval(*repeated[:2], roc_auc_score, random_state=0)
    assert np.diff(ends)[0] == pytest.approx(np.diff(once)[0], rel=0.2)
    assert np.diff(ends)[0] > 2 * np.diff(many)[0]


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("ties", [False, True])
def test_counting_equals_taking_the_rows(name, ties, monkeypatch):
    """Each resample by weights is, exactly, the metric of rows repeated as often as their row times their model."""
    monkeypatch.setattr("skdiffence.metrics._counts._CHUNK", 1)  # so that both ways draw in the same order
    is_member, score, rows, models = _pooled(np.random.default_rng(0), 8, 5)
    score = np.round(score) if ties else score
    interval = partial(
        cluster_bootstrap_interval, is_member, score, rows=rows, models=models, n_resamples=40, random_state=0
    )
    metric = METRICS[name]
    expected = np.clip(interval(lambda a, b: metric(a, b)), 0, 1)  # of any metric, nobody knows the range
    np.testing.assert_allclose(interval(metric), expected, atol=1e-12)


def test_rows_of_their_own_are_the_plain_bootstrap():
    """If each score is a cluster, nothing is left to account for."""
    is_member, score, rows, _ = _pooled(np.random.default_rng(0), 400, 1, 0, 0)
    ends = cluster_bootstrap_interval(is_member, score, roc_auc_score, rows=rows, n_resamples=3000, random_state=0)
    plain = bootstrap_interval(is_member, score, roc_auc_score, n_resamples=3000, random_state=0)
    np.testing.assert_allclose(ends, plain, atol=0.006)


@pytest.mark.parametrize("n", [8, 50])
def test_few_clusters_widen_the_interval(n):
    """Of a mean of n normal values, the interval is Student's."""
    values = norm.ppf((np.arange(n) + 0.5) / n)  # without skewness, for the percentiles to be those of a normal
    ends = cluster_bootstrap_interval(
        np.arange(n + 1) > 0,
        np.r_[0.0, values],
        lambda is_member, score: score[is_member].mean(),
        rows=np.arange(n + 1),
        n_resamples=4000,
        random_state=0,
    )
    half = t.isf(0.025, n - 1) * values.std(ddof=1) / np.sqrt(n)
    np.testing.assert_allclose(ends, (-half, half), rtol=0.15)
    assert _widening(0.95, n) * norm.isf(0.025) * np.sqrt((n - 1) / n) == pytest.approx(t.isf(0.025, n - 1))


@pytest.mark.parametrize("metric", [roc_auc_score, METRICS["tpr"]])
@pytest.mark.parametrize("n_models", [2, 6])
def test_interval_holds_the_estimate_and_no_impossible_rate(metric, n_models):
    """However few models there are, the score itself is within, and the ends within 0 and 1."""
    for seed in range(10):
        is_member, score, rows, models = _pooled(np.random.default_rng(seed), 15, n_models, of_models=1)
        keywords = {"rows": rows, "models": models, "n_resamples": 50, "random_state": seed}
        low, high = cluster_bootstrap_interval(is_member, score, metric, **keywords)
        assert 0 <= low <= metric(is_member, score) <= high <= 1


@pytest.mark.usefixtures("untouched_generators")
def test_order_names_and_seeds():
    """Rows may come in any order and be called anything; one seed gives one interval."""
    is_member, score, rows, models = _pooled(np.random.default_rng(0))
    score = np.round(score, 1)
    interval = partial(cluster_bootstrap_interval, metric=roc_auc_score, n_resamples=50)
    expected = interval(is_member, score, rows=rows, models=models, random_state=0)
    order = np.random.default_rng(1).permutation(len(score))
    named = {"rows": [f"row {row:03}" for row in rows[order]], "models": models[order] / 2}
    assert interval(is_member[order], score[order], random_state=0, **named) == expected
    assert interval(is_member, score, rows=rows, models=models, random_state=1) != expected
    assert interval(is_member, score, rows=rows, models=models) != expected


def test_resamples_without_a_side_are_left_out():
    """With one member, a third of resamples have none; the others make the interval."""
    low, high = cluster_bootstrap_interval(
        [1, 0, 0, 0], [3, 4, 2, 1], roc_auc_score, rows=[0, 1, 2, 3], n_resamples=200, random_state=0
    )
    assert 0 <= low < 2 / 3 < high <= 1
    with pytest.raises(ValueError, match="members and non-members in enough of the rows"):
        cluster_bootstrap_interval([1, 0], [1, 0], roc_auc_score, rows=[0, 1], n_resamples=1, random_state=3)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"rows": [0, 1, 2]}, r"rows must hold one group for each of 4 rows. Got shape \(3,\)"),
        ({"rows": [0, 0, 0, 0]}, "rows must hold at least two groups. Got 1"),
        ({"models": [7, 7, 7, 7]}, "models must hold at least two groups. Got 1. For one model, leave it out"),
        ({"rows": [0, 1, np.nan, 3]}, "rows must not hold NaN, NA or None"),
        ({"rows": np.array(["a", None, "b", "c"], dtype=object)}, "rows must not hold NaN, NA or None"),
        ({"rows": ["a", "a", np.nan, "b"]}, "rows must not hold NaN, NA or None"),
        ({"models": ["a", None, "b", "b"]}, "models must not hold NaN, NA or None"),
        ({"models": np.array([1, "a", 2, "b"], dtype=object)}, "models must be all text or all numbers"),
        ({"models": [1, "a", 2, "b"]}, "models must be all text or all numbers"),
        ({"rows": np.ma.array([0, 0, 9, 1], mask=[0, 0, 1, 0])}, "rows must not have masked values"),
        ({"metric": "auc"}, "'metric' parameter"),
        ({"metric": partial(tpr_at_fpr_score, max_fpr=2)}, "'max_fpr' parameter"),
        ({"n_resamples": 0}, "'n_resamples' parameter"),
        ({"confidence_level": 1}, "'confidence_level' parameter"),
        ({"random_state": "a"}, "'random_state' parameter"),
        ({"y_score": [1, 2, np.inf, 4]}, "y_score must be finite"),
        ({"y_true": [1, 1, 1, 1]}, "one member and one non-member"),
    ],
)
def test_bad_input(keywords, message):
    """What is wrong is named before any resample."""
    good = {"y_true": [1, 0, 1, 0], "y_score": [1, 0, 2, 3], "metric": roc_auc_score, "rows": [0, 0, 1, 1]}
    with pytest.raises(ValueError, match=message):
        cluster_bootstrap_interval(**(good | keywords))

"""The likelihood ratio by counting."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from skdiffence.attacks import HistogramAttack, query
from skdiffence.attacks.answer._histogram import _auto_bins, _bins, _equal_frequency_edges
from skdiffence.metrics import logit_signal
from tests.attacks.targets import Dictated, normal, planted


def _answers(*phis, n=400, seed=0):
    X, y, is_member = planted(*phis, n=n, seed=seed)
    return query(Dictated().fit(), X, y), is_member


def test_ratios_are_counts():
    """Each bin's score is the ratio of the smoothed shares, counted here by comparing every row with every edge."""
    answers, is_member = _answers(normal(2), normal(1))
    attack = HistogramAttack(n_bins=7, smoothing=0.5).fit_answers(answers, is_member)
    phi = logit_signal(answers.y, answers.proba)
    edges = [-np.inf, *attack.edges_, np.inf]
    assert len(edges) == 8
    for score, low, high in zip(attack.log_ratio_, edges[:-1], edges[1:], strict=True):
        inside = (phi >= low) & (phi < high)
        share = [(inside[side].sum() + 0.5) / (side.sum() + 7 * 0.5) for side in (is_member, ~is_member)]
        assert score == pytest.approx(np.log(share[0] / share[1]))
        assert np.all(attack.score_answers(answers)[inside] == score)


def test_smoothed_shares_sum_to_one():
    """What is smoothed is still a distribution, of unequal sides too."""
    answers, is_member = _answers(normal(2), normal(1))
    rows = is_member | (np.arange(len(is_member)) < 60)
    attack = HistogramAttack(n_bins=5).fit_answers(answers.take(rows), is_member[rows])
    phi = logit_signal(answers.y, answers.proba)[rows & is_member]
    assert np.exp(attack._log_shares(phi)).sum() == pytest.approx(1)


@given(st.lists(st.integers(-4, 4), min_size=1, max_size=60), st.integers(1, 70))
def test_bins_of_ties(values, n_bins):
    """No bin is empty, no value is in two, there are no more than asked for, and two values are parted if they can."""
    values = np.array(values, dtype=float)
    edges = _equal_frequency_edges(values, n_bins)
    bins = _bins(values, edges)
    assert np.all(np.diff(edges) > 0)
    assert set(bins) == set(range(len(edges) + 1))
    assert len(edges) + 1 <= n_bins
    assert all(len(set(bins[values == value])) == 1 for value in values)
    if n_bins > 1 and len(np.unique(values)) > 1:
        assert len(edges) > 0
    if n_bins >= len(values):
        assert len(edges) + 1 == len(np.unique(values))


@given(st.integers(1, 200), st.integers(1, 30))
def test_bins_hold_equally_many(n_rows, n_bins):
    """Without ties the bins differ by one row at most."""
    signal = np.random.default_rng(n_rows).permutation(np.arange(n_rows, dtype=float))
    counts = np.bincount(_bins(signal, _equal_frequency_edges(signal, n_bins)))
    assert len(counts) == min(n_bins, n_rows)
    assert counts.max() - counts.min() <= 1


def test_neighboring_floats_are_parted():
    """Where there is no middle, the upper one is the edge."""
    signal = np.array([1.0, np.nextafter(1, 2)])
    np.testing.assert_array_equal(_bins(signal, _equal_frequency_edges(signal, 2)), [0, 1])


@pytest.mark.parametrize(("n_rows", "expected"), [(1, 1), (4, 2), (49, 7), (64, 8), (1000, 20), (8000, 40)])
def test_auto_bins(n_rows, expected):
    """Never more than the square root, and fewer of many rows."""
    assert _auto_bins(n_rows) == expected


def test_reaches_the_ideal_attack():
    """Two normal signals of known distance: the best possible area and accuracy are Phi of it."""
    known, is_known_member = _answers(normal(1.5), normal(0), n=2000)
    fresh, is_member = _answers(normal(1.5), normal(0), n=2000, seed=1)
    attack = HistogramAttack().fit_answers(known, is_known_member)
    scores = attack.score_answers(fresh)
    assert roc_auc_score(is_member, scores) == pytest.approx(norm.cdf(1.5 / np.sqrt(2)), abs=0.03)
    assert balanced_accuracy_score(is_member, scores >= attack.threshold_) == pytest.approx(norm.cdf(0.75), abs=0.03)


def test_order_of_the_signal_does_not_matter():
    """Members in the middle are found as well as members on top."""
    ends = lambda rng, n: rng.normal(3, 0.3, size=n) + 2 * rng.choice([-1, 1], size=n)  # noqa: E731
    known, is_known_member = _answers(normal(3, 0.3), ends)
    fresh, is_member = _answers(normal(3, 0.3), ends, seed=1)
    assert roc_auc_score(is_member, HistogramAttack().fit_answers(known, is_known_member).score_answers(fresh)) > 0.95


def test_no_evidence_accuses_nobody():
    """Where a bin says nothing, its rows are not called members."""
    answers, _ = _answers(normal(1), normal(1), n=40)
    is_member = np.arange(40) < 20
    attack = HistogramAttack(n_bins=1).fit_answers(answers, is_member)
    np.testing.assert_array_equal(attack.log_ratio_, [0])
    assert not (attack.score_answers(answers) >= attack.threshold_).any()


def test_correctness_has_two_bins():
    """A signal of two values makes two bins, however unequal they are in number and however many were asked for."""
    answers, is_member = _answers(normal(1.5), normal(0.3))
    assert 0.02 < 1 - answers.correct.mean() < 0.2
    attack = HistogramAttack("correctness").fit_answers(answers, is_member)
    np.testing.assert_array_equal(attack.edges_, [0.5])
    assert attack.log_ratio_[1] > 0 > attack.log_ratio_[0]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"signal": "margin"}, "'signal' parameter of HistogramAttack"),
        ({"n_bins": 0}, "'n_bins' parameter of HistogramAttack"),
        ({"n_bins": "many"}, "'n_bins' parameter of HistogramAttack"),
        ({"smoothing": 0.0}, "'smoothing' parameter of HistogramAttack"),
    ],
)
def test_bad_parameters(params, message):
    """Parameters are checked when fitting."""
    with pytest.raises(ValueError, match=message):
        HistogramAttack(**params).fit_answers(*_answers(normal(1), normal(0), n=20))

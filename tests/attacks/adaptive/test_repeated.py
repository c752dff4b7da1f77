"""Asking again takes away what noise was drawn anew, and nothing else."""

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from skdiffence.attacks import RepeatedQueryAttack
from skdiffence.metrics import entropy_signal, logit_signal
from tests.attacks.adaptive.auxiliary import FirstFeature, FreshNoise, RowNoise
from tests.attacks.targets import Counting, Dictated, normal, planted

N = 3000
IS_MEMBER = np.arange(N) % 2 == 0
ONES = np.ones(N, dtype=int)


def _rows(mean, noise, n=N):
    """Rows whose phi is normal with standard deviation 1, members' higher by ``mean``; the second feature is noise."""
    phi = np.random.default_rng(0).normal(size=n) + mean * IS_MEMBER[:n]
    return np.column_stack([phi, np.broadcast_to(noise, n)])


def _auc(attack, target, X):
    attack.fit(target.fit(), X, ONES[: len(X)], IS_MEMBER[: len(X)])
    return roc_auc_score(IS_MEMBER[: len(X)], attack.score_samples(X, ONES[: len(X)]))


def _closed_form(mean, noise, k):
    return norm.cdf(mean / np.sqrt(2 * (1 + noise**2 / k)))


@pytest.mark.parametrize("k", [1, 2, 8])
def test_mean_of_fresh_answers_has_the_closed_form(k):
    """Of k answers with fresh noise of size s, a k-th of the noise's variance is left."""
    found = _auc(RepeatedQueryAttack(k), FreshNoise(), _rows(1.5, 3.0))
    assert found == pytest.approx(_closed_form(1.5, 3.0, k), abs=0.03)


@pytest.mark.parametrize(("neighbor", "draws"), [("exact", 1), ("ulp", 1), ("quantum", 8), ("gray", 8)])
def test_noise_of_the_row_is_drawn_anew_for_what_8_bits_tell_apart(neighbor, draws):
    """Against noise that is a function of the row at 8 bits, steps below that are the same question."""
    X = np.column_stack([_rows(1.5, 0.0), np.random.default_rng(1).normal(size=(N, 6))])
    attack = RepeatedQueryAttack(8, neighbor=neighbor, value_range=(-10, 10), share=1.0, random_state=0)
    assert _auc(attack, RowNoise(), X) == pytest.approx(_closed_form(1.5, 2.0, draws), abs=0.03)


def test_nothing_is_gained_where_answers_repeat():
    """The mean of equal answers is that answer."""
    X = _rows(1.0, 0.0, n=200)
    one, eight = (
        RepeatedQueryAttack(k).fit(FirstFeature().fit(), X, ONES[:200], IS_MEMBER[:200]).score_samples(X, ONES[:200])
        for k in (1, 8)
    )
    np.testing.assert_allclose(one, eight, rtol=1e-12)


@pytest.mark.parametrize("direction", [-1, 1])
def test_spread_finds_who_is_answered_less_steadily(direction):
    """Equal phi on average, but more noise on one side: the mean finds nothing, the spread nearly everybody."""
    X = _rows(0.0, np.where((direction > 0) == IS_MEMBER, 2.0, 1.0))
    attack = RepeatedQueryAttack(16, statistic="spread")
    assert _auc(attack, FreshNoise(), X) > 0.95
    assert attack.direction_ == direction
    assert _auc(RepeatedQueryAttack(16), FreshNoise(), X) < 0.55


@pytest.mark.parametrize("statistic", ["mean", "max", "spread"])
@pytest.mark.parametrize("signal", ["logit", "answered_logit", "entropy"])
def test_scores_by_hand(statistic, signal):
    """The statistic over what each of the changed rows is answered."""
    X, y, is_member = planted(normal(2), normal(1), n=50)
    target = Dictated().fit()
    attack = RepeatedQueryAttack(4, neighbor="gray", statistic=statistic, signal=signal, random_state=0)
    attack.fit(target, X, y, is_member)
    signals = []
    for number in range(4):
        proba = target.predict_proba(attack.neighbors_.make(X, number))
        by_hand = {"logit": logit_signal(y, proba), "answered_logit": logit_signal(proba.argmax(axis=1), proba)}
        signals.append((by_hand | {"entropy": entropy_signal(None, proba)})[signal])
    expected = {"mean": np.mean, "max": np.max, "spread": np.std}[statistic](signals, axis=0)
    np.testing.assert_allclose(attack.score_samples(X, y), attack.direction_ * expected, atol=1e-12)


def test_queries_are_counted():
    """k for each row, known or scored."""
    X, y, is_member = planted(normal(2), normal(0), n=60)
    target = Counting().fit()
    attack = RepeatedQueryAttack(5, neighbor="ulp").fit(target, X, y, is_member)
    assert target.calls_.count(("predict_proba", 60)) == 5
    target.calls_.clear()
    attack.score_samples(X[:7], y[:7])
    assert target.calls_.count(("predict_proba", 7)) == 5
    assert len(target.calls_) == 10  # and as many labels


def test_images_of_bytes():
    """Images are asked about as images, in their range."""
    X = np.random.default_rng(0).integers(256, size=(30, 1, 2, 3)).astype(np.uint8)
    target = FirstFeature().fit()
    RepeatedQueryAttack(3, neighbor="gray", random_state=0).fit(target, X, ONES[:30], IS_MEMBER[:30])
    assert [asked.shape for asked in target.asked_] == [X.shape] * 3
    np.testing.assert_array_equal(target.asked_[0], X)
    assert (target.asked_[1] != X).any()


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"k": 0}, "'k' parameter of RepeatedQueryAttack"),
        ({"k": 1, "statistic": "spread"}, "k must be at least 2 for statistic='spread'. Got 1"),
        ({"neighbor": "near"}, "'neighbor' parameter"),
        ({"statistic": "median"}, "'statistic' parameter"),
        ({"signal": "loss"}, "'signal' parameter"),
        ({"share": 0.0}, "'share' parameter"),
        ({"share": 1.5}, "'share' parameter"),
        ({"random_state": "a"}, "'random_state' parameter"),
    ],
)
def test_bad_parameters(params, message):
    """Parameters are checked before anybody is asked."""
    with pytest.raises(ValueError, match=message):
        RepeatedQueryAttack(**params).fit(None, *planted(normal(2), normal(0), n=20))

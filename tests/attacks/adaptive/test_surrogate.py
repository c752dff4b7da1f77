"""Answers to an attacker's own regenerations, beside the answer for the row."""

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import roc_auc_score

from skdiffence.attacks import SurrogateRegenerationAttack, ThresholdAttack
from tests.attacks.adaptive.auxiliary import FirstFeature, Scaled
from tests.attacks.targets import Counting, normal, planted

N = 3000
IS_MEMBER = np.arange(N) % 2 == 0
ONES = np.ones(N, dtype=int)
KNOWN = np.arange(N) < N // 2


class Sum(FirstFeature):
    """Answers the sum of the features."""

    def phi(self, X):
        """Return the sum."""
        return X.sum(axis=1)

    def predict(self, X):
        """Return its sign."""
        return (X.sum(axis=1) > 0).astype(int)


class Forget:
    """Regenerates the first feature and forgets the others."""

    def regenerate(self, X, candidate):
        """Return the rows with zeros."""
        return X * (np.arange(X.shape[1]) == 0)


def _auc(attack, target, X):
    attack.fit(target.fit(), X[KNOWN], ONES[KNOWN], IS_MEMBER[KNOWN])
    return roc_auc_score(IS_MEMBER[~KNOWN], attack.score_samples(X[~KNOWN], ONES[~KNOWN]))


def _rows(seed=0):
    """Difficulty, which differs much, and what being trained on adds, 1.5 on average."""
    rng = np.random.default_rng(seed)
    return np.column_stack([4 * rng.normal(size=N), rng.normal(size=N) + 1.5 * IS_MEMBER])


def test_regenerations_show_what_the_row_has_beyond_them():
    """Where a regeneration keeps the difficulty and forgets the rest, the difference is the rest alone."""
    X = _rows()
    assert _auc(ThresholdAttack("logit"), Sum(), X) == pytest.approx(norm.cdf(1.5 / np.sqrt(2 * 17)), abs=0.03)
    found = _auc(SurrogateRegenerationAttack(Forget(), n_regenerations=2), Sum(), X)
    assert found == pytest.approx(norm.cdf(1.5 / np.sqrt(2)), abs=0.03)


def test_surrogate_tells_the_difficulty():
    """Where regenerations tell nothing, a classifier that was not trained on the row does."""
    X = _rows()
    same = Scaled(1.0)
    alone = _auc(SurrogateRegenerationAttack(same, n_regenerations=2), Sum(), X)
    assert alone == pytest.approx(norm.cdf(1.5 / np.sqrt(2 * 17)), abs=0.03)
    calibrated = SurrogateRegenerationAttack(same, FrozenEstimator(FirstFeature().fit()), n_regenerations=2)
    assert _auc(calibrated, Sum(), X) == pytest.approx(norm.cdf(1.5 / np.sqrt(2)), abs=0.03)


class LabelOnly(FirstFeature):
    """Answers its label with one and the same confidence."""

    def phi(self, X):
        """Return 2 or -2."""
        return 2.0 * np.sign(X[:, 0])


class Shifted:
    """Regenerates a row shifted by as much as the candidate's number."""

    def regenerate(self, X, candidate):
        """Return the shifted rows."""
        return X - candidate


def test_labels_alone_are_enough():
    """Members lie deeper in their class: their label holds out against more of the shifts."""
    X = np.random.default_rng(0).normal(3, 1, size=(N, 1)) + 1.5 * IS_MEMBER[:, None]
    assert _auc(ThresholdAttack("logit"), LabelOnly(), X) < 0.52
    assert _auc(SurrogateRegenerationAttack(Shifted()), LabelOnly(), X) > 0.8


def test_features_by_hand():
    """Signal, mean, deviation, and the share of true labels."""
    X = np.array([[2.5, 0.0], [0.5, 0.0], [-1.0, 0.0], [4.0, 0.0]])
    attack = SurrogateRegenerationAttack(Shifted(), n_regenerations=3)
    attack.fit(FirstFeature().fit(), X, ONES[:4], IS_MEMBER[:4])
    features = attack._observe(attack.target_, X, ONES[:4])
    first, middle = X[:, 0], X[:, 0] - 1
    expected = np.column_stack([first, middle, np.full(4, np.sqrt(2 / 3)), [1, 1 / 3, 0, 1]])
    np.testing.assert_allclose(features, expected, atol=1e-9)


def test_queries_are_counted():
    """The row and its regenerations, of the target and of the surrogate alike."""
    X, y, is_member = planted(normal(2), normal(0), n=60)
    target, surrogate, regenerator = Counting().fit(), Counting().fit(), Scaled(0.5)
    attack = SurrogateRegenerationAttack(regenerator, FrozenEstimator(surrogate), n_regenerations=5)
    attack.fit(target, X, y, is_member)
    for classifier in (target, surrogate):
        assert classifier.calls_.count(("predict_proba", 60)) == 6
    assert regenerator.made == [(candidate, 60) for candidate in range(5)]
    attack.score_samples(X[:7], y[:7])
    assert target.calls_.count(("predict_proba", 7)) == 6


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"regenerator": None}, "'regenerator' parameter of SurrogateRegenerationAttack"),
        ({"surrogate": 3}, "'surrogate' parameter"),
        ({"n_regenerations": 0}, "'n_regenerations' parameter"),
        ({"signal": "loss"}, "'signal' parameter"),
        ({"random_state": "a"}, "'random_state' parameter"),
    ],
)
def test_bad_parameters(params, message):
    """Parameters are checked when fitting."""
    attack = SurrogateRegenerationAttack(**{"regenerator": Scaled(0.5)} | params)
    with pytest.raises(ValueError, match=message):
        attack.fit(Counting().fit(), *planted(normal(2), normal(0), n=20))

"""The attack on answers and a reference model: the closed form of the best one."""

import numpy as np
import pytest
from scipy.special import ndtr
from sklearn.frozen import FrozenEstimator

from skdiffence.attacks import ReferenceAttack, ThresholdAttack
from skdiffence.metrics import auc_interval
from tests.attacks.difficulty import N_CLASSES, Knowing
from tests.attacks.targets import logits

SHIFT = 0.8


class Shifted(Knowing):
    """Answers each row with the logits in its last columns."""

    def predict_proba(self, X):
        """Return the softmax of the last columns."""
        return super().predict_proba(X[:, N_CLASSES:])


def rows(shift, n=8000):
    """Return rows whose phi at the true label is normal around the reference model's, and higher by a shift in members.

    The reference model's phi varies three times as much as the target's does around it.
    """
    rng = np.random.default_rng(0)
    is_member, y = rng.permutation(np.arange(n) % 2 == 0), rng.integers(N_CLASSES, size=n)
    expected = rng.uniform(-4, 4, size=n)
    phi = expected + shift * is_member + rng.standard_normal(n)
    return np.column_stack([logits(expected, y), logits(phi, y)]), y, is_member


def interval(attack, X, y, is_member):
    """Return the interval of the area, with the first half of the rows known."""
    half, target = len(y) // 2, Shifted().fit(None, None)
    attack.fit(target, X[:half], y[:half], is_member[:half])
    return auc_interval(is_member[half:], attack.score_samples(X[half:], y[half:]), confidence_level=0.99)


@pytest.mark.parametrize("shift", [0.0, SHIFT])
def test_best_attack_on_difference_from_reference(shift):
    """Two normal distributions at a distance of the shift; a threshold on the answer alone is far from that."""
    attack = ReferenceAttack(FrozenEstimator(Knowing().fit(None, None)))
    low, high = interval(attack, *rows(shift))
    assert low < ndtr(shift / np.sqrt(2)) < high
    if shift:
        assert interval(ThresholdAttack("logit"), *rows(shift))[1] < low - 0.05


def test_labels_that_the_target_does_not_know():
    X, y, is_member = rows(SHIFT, n=400)
    attack = ReferenceAttack(random_state=0).fit(Shifted().fit(None, None), X, y, is_member)
    assert np.isfinite(attack.score_samples(X, np.full(len(y), 7))).all()

"""The score that is learned from a few features of a row."""

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score

from skdiffence.attacks._known_rows import best_threshold
from skdiffence.attacks.adaptive._base import RegressionAttack

RNG = np.random.default_rng(0)


class OnFeatures(RegressionAttack):
    """Takes the rows for the features."""

    def _prepare(self, target, X, y):
        pass

    def _observe(self, target, X, y):
        return X


def learned(features, is_member):
    """Return an attack fitted to features."""
    return OnFeatures().fit(None, features, np.zeros(len(features)), is_member)


def scores_of(attack, features):
    """Return its scores."""
    return attack.score_samples(features, np.zeros(len(features)))


def test_score_is_the_log_odds_of_the_model():
    """Summed row by row it is the decision function, whatever else is scored with the row."""
    features, is_member = RNG.normal(size=(200, 5)), np.arange(200) % 2 == 0
    attack = learned(features, is_member)
    scores = scores_of(attack, features)
    np.testing.assert_allclose(scores, attack.model_.decision_function(features), rtol=1e-12)
    np.testing.assert_array_equal(scores_of(attack, features[7:8]), scores[7:8])


def test_order_of_known_rows_does_not_matter():
    """The same rows in another order give the same model and threshold, to the last bit, ties included."""
    features, is_member = RNG.integers(3, size=(60, 2)).astype(float), np.arange(60) % 3 == 0
    order = RNG.permutation(60)
    one, two = learned(features, is_member), learned(features[order], is_member[order])
    assert one.threshold_ == two.threshold_
    np.testing.assert_array_equal(scores_of(one, features), scores_of(two, features))


def test_threshold_is_learned_out_of_sample():
    """Thirty features of noise fit forty rows by heart: a threshold on their own scores would look nearly perfect."""
    is_member = np.arange(40) % 2 == 0
    reached = []
    for seed in range(6):
        features = np.random.default_rng(seed).normal(size=(40, 30))
        attack = learned(features, is_member)
        own = scores_of(attack, features)
        thresholds = best_threshold(is_member, own), attack.threshold_
        reached.append([balanced_accuracy_score(is_member, own >= threshold) for threshold in thresholds])
    in_sample, out_of_fold = np.mean(reached, axis=0)
    assert in_sample > 0.93
    assert out_of_fold < 0.85


@pytest.mark.parametrize("weight", [1, 20])
def test_sides_are_weighted_equally(weight):
    """With twenty members for each other row, even odds still lie halfway between the sides."""
    n = 400
    is_member = np.arange(n * (1 + weight)) >= n
    phi = RNG.normal(size=len(is_member)) + 2 * is_member
    attack = learned(phi[:, None], is_member)
    assert scores_of(attack, np.array([[1.0]]))[0] == pytest.approx(0, abs=0.3)
    assert attack.threshold_ == pytest.approx(0, abs=0.8)

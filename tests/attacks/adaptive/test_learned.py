"""The score that is learned from a few features of a row."""

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score

from skdiffence.attacks._known_rows import best_threshold
from skdiffence.attacks.adaptive._learned import learn_score, score_features

RNG = np.random.default_rng(0)


def test_score_is_the_model_s_odds():
    """Summed row by row it is what the regression decides, whatever else is asked with the row."""
    features, is_member = RNG.normal(size=(200, 5)), np.arange(200) % 2 == 0
    model, _ = learn_score(features, is_member)
    scores = score_features(model, features)
    np.testing.assert_allclose(scores, model.decision_function(features), rtol=1e-12)
    np.testing.assert_array_equal(score_features(model, features[7:8]), scores[7:8])


def test_order_of_known_rows_does_not_matter():
    """The same rows in another order give the same model and threshold, to the last bit, ties included."""
    features, is_member = RNG.integers(3, size=(60, 2)).astype(float), np.arange(60) % 3 == 0
    order = RNG.permutation(60)
    (one, first), (two, second) = learn_score(features, is_member), learn_score(features[order], is_member[order])
    assert first == second
    np.testing.assert_array_equal(score_features(one, features), score_features(two, features))


def test_threshold_does_not_know_the_rows_that_it_was_learned_with():
    """Thirty features of noise fit forty rows by heart: a threshold on their own scores would look nearly perfect."""
    is_member = np.arange(40) % 2 == 0
    reached = []
    for seed in range(6):
        features = np.random.default_rng(seed).normal(size=(40, 30))
        model, threshold = learn_score(features, is_member)
        own = score_features(model, features)
        reached.append(
            [balanced_accuracy_score(is_member, own >= t) for t in (best_threshold(is_member, own), threshold)]
        )
    in_sample, out_of_fold = np.mean(reached, axis=0)
    assert in_sample > 0.93
    assert out_of_fold < 0.85


@pytest.mark.parametrize("weight", [1, 20])
def test_sides_count_alike(weight):
    """With twenty members for each other row, even odds still lie halfway between the sides."""
    n = 400
    is_member = np.arange(n * (1 + weight)) >= n
    phi = RNG.normal(size=len(is_member)) + 2 * is_member
    model, threshold = learn_score(phi[:, None], is_member)
    assert score_features(model, np.array([[1.0]]))[0] == pytest.approx(0, abs=0.3)
    assert threshold == pytest.approx(0, abs=0.8)

"""The rows that attacks learn from."""

import numpy as np
import pytest

from skdiffence.attacks import Answers
from skdiffence.attacks._known_rows import canonical_order
from skdiffence.attacks.answer._features import answer_features, label_indicators


def _answers(proba, y):
    proba = np.asarray(proba, dtype=np.float64)
    return Answers(proba, proba.argmax(axis=1), np.asarray(y), np.arange(proba.shape[1]))


def test_features_by_hand():
    """Probabilities, the label one-hot, the loss; a class without a column has no label and the largest loss."""
    features = answer_features(_answers([[0.5, 0.25, 0.25], [0.0, 0.2, 0.8], [0.1, 0.1, 0.8]], [1, 0, -1]))
    largest = -np.log(1e-31)
    expected = [
        [0.5, 0.25, 0.25, 0, 1, 0, np.log(4)],
        [0.0, 0.2, 0.8, 1, 0, 0, largest],
        [0.1, 0.1, 0.8, 0, 0, 0, largest],
    ]
    np.testing.assert_allclose(features, expected, atol=1e-15)
    assert features.dtype == np.float64


def test_loss_of_certainty_is_zero():
    """A certain right answer costs nothing, and not minus nothing."""
    loss = answer_features(_answers([[1.0, 0.0]], [0]))[0, -1]
    assert loss == 0


@pytest.mark.parametrize(
    ("proba", "y", "message"),
    [
        ([[np.nan, 1.0]], [0], "Class probabilities must not be negative"),
        ([[3.0, -2.0]], [0], "Are these logits"),
        ([[0.5, 0.5]], [2], "Column numbers"),
    ],
)
def test_bad_answers(proba, y, message):
    """What is not probabilities, or no column of them, is refused."""
    with pytest.raises(ValueError, match=message):
        answer_features(_answers(proba, y))


def test_indicators_of_unknown_labels():
    """-1 is not the last column."""
    np.testing.assert_array_equal(label_indicators(np.array([-1, 2, 0]), 3), [[0, 0, 0], [0, 0, 1], [1, 0, 0]])


def test_canonical_order_forgets_the_order_given():
    """Rows, ties among them, come out in one order, with their memberships."""
    rng = np.random.default_rng(0)
    features, is_member = rng.integers(3, size=(50, 2)).astype(float), rng.random(50) < 0.5
    shuffled = rng.permutation(50)
    expected = canonical_order(features, is_member)
    order = shuffled[canonical_order(features[shuffled], is_member[shuffled])]
    np.testing.assert_array_equal(features[order], features[expected])
    np.testing.assert_array_equal(is_member[order], is_member[expected])
    np.testing.assert_array_equal(np.sort(expected), np.arange(50))

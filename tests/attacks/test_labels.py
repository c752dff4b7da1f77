"""Labels are compared as the target means them, from ``predict`` alone."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from skdiffence.attacks import query
from skdiffence.attacks._labels import check_labels, query_labels
from tests.nets import MLP, make_binary_net, make_net

RNG = np.random.default_rng(0)
CENTERS = np.array([[0, 0, 3, 0], [3, 0, 0, 0], [0, 3, 0, 0]])
COLUMNS = RNG.integers(3, size=90)
X = (RNG.normal(size=(90, 4)) + CENTERS[COLUMNS]).astype(np.float32)
LABELS = {
    "numbers": np.array([0, 1, 2]),
    "floats": np.array([0.0, 1.0, 2.0]),
    "spaced": np.array([-7, 10, 20]),
    "text": np.array(["ant", "bee", "cat"]),
    "objects": np.array(["ant", "bee", "cat"], dtype=object),
}


class Says(BaseEstimator):
    """Answers what it was told to."""

    def __init__(self, answer):
        self.answer = answer

    def predict(self, X):
        """Return the answer."""
        return self.answer


@pytest.mark.parametrize("labels", LABELS)
@pytest.mark.parametrize(
    "target", [KNeighborsClassifier(3), make_pipeline(StandardScaler(), LogisticRegression()), LinearSVC()]
)
def test_correct_labels(target, labels):
    """Labels of any kind, of targets with and without confidence, are right where they are equal."""
    y = LABELS[labels][COLUMNS]
    target = target.fit(X[:60], y[:60])
    checked = check_labels(target, X, list(y))
    np.testing.assert_array_equal(query_labels(target, X, checked).correct, target.predict(X) == y)


def test_answers_of_one_query_say_the_same():
    """Where there is confidence as well, the label alone says what the whole answer says."""
    net = make_net(module__n_features=4, module__n_classes=5).fit(X, COLUMNS)
    y = check_labels(net, X, COLUMNS)
    np.testing.assert_array_equal(query_labels(net, X, y).correct, query(net, X, COLUMNS).correct)


def test_bare_binary_net():
    """A net with one output answers 0 and 1."""
    y = (COLUMNS == 1).astype(np.float32)
    net = make_binary_net(module__n_features=4).fit(X, y)
    np.testing.assert_array_equal(query_labels(net, X, check_labels(net, X, y)).correct, net.predict(X) == y)


def test_class_that_the_target_does_not_know():
    """A label that was never trained on is never answered, whatever is."""
    target = KNeighborsClassifier(3).fit(X[COLUMNS < 2], COLUMNS[COLUMNS < 2])
    correct = query_labels(target, X, check_labels(target, X, COLUMNS)).correct
    assert not correct[COLUMNS == 2].any()
    assert correct[COLUMNS < 2].mean() > 0.9


@pytest.mark.parametrize("labels", ["spaced", "text"])
def test_net_whose_column_numbers_are_not_the_labels(labels):
    """A bare net answers column numbers; they are not compared with labels that they are not."""
    net = make_net(MLP, module__n_features=4, module__n_classes=3, max_epochs=1).fit(X, COLUMNS)
    with pytest.raises(ValueError, match="columns are numbered from 0 to 2, .*LabelEncoder"):
        check_labels(net, X, LABELS[labels][COLUMNS])


@pytest.mark.parametrize(
    ("target", "rows", "y", "error", "message"),
    [
        (StandardScaler(), X[:2], [0, 1], TypeError, "target must have predict. Got StandardScaler"),
        (Says([0, 1]), X[:2], [0], ValueError, "one label for each of the 2 rows of X. Got 1"),
        (Says([0, 1]), X[:2], [[0], [1]], ValueError, r"one label for each of the 2 rows of X. Got shape \(2, 1\)"),
        (Says([]), X[:0], [], ValueError, "X must hold at least one row. Got none"),
    ],
)
def test_bad_questions(target, rows, y, error, message):
    """What can't be asked is named before anything is."""
    with pytest.raises(error, match=message):
        check_labels(target, rows, y)


@pytest.mark.parametrize(
    ("answer", "y", "message"),
    [
        ([[0], [1]], [0, 1], r"one label for each row of X, 2. Got shape \(2, 1\)"),
        ([0], [0, 1], r"one label for each row of X, 2. Got shape \(1,\)"),
        ([0, 1], ["0", "1"], "both be text or both be numbers. Got labels such as .*'0'.* for classes such as .*0"),
        (["0", "1"], [0, 1], "both be text or both be numbers"),
    ],
)
def test_bad_answers(answer, y, message):
    """Answers that can't be compared are named, not called wrong."""
    with pytest.raises(ValueError, match=message):
        query_labels(Says(answer), X[:2], np.array(y))

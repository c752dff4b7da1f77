"""A target is asked once, and what it answers is never read under the wrong label."""

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from skorch import NeuralNetClassifier

from skdiffence.attacks import get_attack, get_attack_names, query
from tests.attacks.targets import Counting, Dictated, normal, planted
from tests.nets import MLP, make_binary_net, make_logit_net, make_net

RNG = np.random.default_rng(0)
CENTERS = np.array([[0, 0, 4, 0], [4, 0, 0, 0], [0, 4, 0, 0]])
COLUMNS = RNG.integers(3, size=150)
X = (RNG.normal(size=(150, 4)) + CENTERS[COLUMNS]).astype(np.float32)


class EncodedNet(NeuralNetClassifier):
    """Trains on labels of any kind, but answers column numbers, as a bare net does."""

    def get_loss(self, y_pred, y_true, *args, **kwargs):
        """Number the labels."""
        return super().get_loss(y_pred, y_true // 10, *args, **kwargs)


class DecodedNet(EncodedNet):
    """Answers its labels."""

    def predict(self, X):
        """Return labels, not column numbers."""
        return self.classes_[super().predict(X)]


def _net(kind, **params):
    settings = {"module__n_features": 4, "max_epochs": 20, "lr": 0.02, "train_split": None, "verbose": 0}
    return kind(MLP, **settings | params)


TARGETS = {
    "forest": RandomForestClassifier(10, random_state=0),
    "extra trees": ExtraTreesClassifier(10, random_state=0),
    "neighbors": KNeighborsClassifier(3),
    "pipeline": make_pipeline(StandardScaler(), LogisticRegression()),
    "search": GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=2),
}
LABELS = {
    "numbers": np.array([0, 1, 2]),
    "spaced": np.array([0, 10, 20]),
    "text": np.array(["ant", "bee", "cat"]),
    "objects": np.array(["ant", "bee", "cat"], dtype=object),
}


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("labels", LABELS)
@pytest.mark.parametrize("name", TARGETS)
def test_answers_are_the_targets(name, labels, frozen):
    """Columns, answered labels and true labels, whatever the labels are."""
    y = LABELS[labels][COLUMNS]
    target = TARGETS[name].fit(X, y)
    target = FrozenEstimator(target) if frozen else target
    answers = query(target, X, y)
    np.testing.assert_array_equal(answers.y, COLUMNS)
    np.testing.assert_array_equal(answers.classes[answers.label], target.predict(X))
    np.testing.assert_array_equal(answers.proba, target.predict_proba(X))
    np.testing.assert_array_equal(answers.correct, target.predict(X) == y)
    assert answers.proba.dtype == np.float64
    assert len(answers.take(answers.correct)) == answers.correct.sum()


def test_class_that_the_target_does_not_know():
    """Rows of a class that was never trained on are -1, and wrong."""
    target = KNeighborsClassifier(3).fit(X[COLUMNS < 2], COLUMNS[COLUMNS < 2])
    answers = query(target, X, COLUMNS)
    np.testing.assert_array_equal(answers.y, np.where(COLUMNS < 2, COLUMNS, -1))
    assert not answers.correct[COLUMNS == 2].any()


@pytest.mark.parametrize("make", [make_net, make_logit_net])
def test_bare_net(make):
    """A bare net's columns are its module's, also those of classes that it was never shown."""
    known = COLUMNS > 0
    net = make(module__n_features=4, module__n_classes=5, max_epochs=20, lr=0.02).fit(X[known], COLUMNS[known])
    answers = query(net, X, COLUMNS)
    np.testing.assert_array_equal(answers.y, COLUMNS)
    np.testing.assert_array_equal(answers.label, net.predict(X))
    assert answers.proba.shape == (150, 5)
    assert answers.correct[known].mean() > 0.8


def test_bare_binary_net():
    """One logit a row becomes two columns."""
    y = (COLUMNS == 1).astype(np.float32)
    net = make_binary_net(module__n_features=4, max_epochs=20, lr=0.02).fit(X, y)
    answers = query(net, X, y)
    assert answers.proba.shape == (150, 2)
    np.testing.assert_array_equal(answers.label, net.predict(X))
    np.testing.assert_array_equal(answers.y, y)
    assert answers.correct.mean() > 0.9


def test_net_with_a_column_for_each_number():
    """Trained on 0, 10 and 20, a net of 21 columns answers with these very numbers."""
    net = _net(NeuralNetClassifier, module__n_classes=21).fit(X, 10 * COLUMNS)
    answers = query(net, X, 10 * COLUMNS)
    np.testing.assert_array_equal(answers.y, 10 * COLUMNS)
    np.testing.assert_array_equal(answers.label, net.predict(X))
    assert answers.correct.mean() > 0.8


@pytest.mark.parametrize("frozen", [False, True])
def test_net_that_answers_column_numbers_for_other_labels(frozen):
    """Trained on 0, 10 and 20 with three columns: predict says 0, 1, 2, which must not be read as labels."""
    net = _net(EncodedNet, module__n_classes=3).fit(X, 10 * COLUMNS)
    assert set(net.predict(X)) == {0, 1, 2}
    net = FrozenEstimator(net) if frozen else net
    # All of these rows have the label 0, which is a column number too.
    for rows in (slice(None), COLUMNS == 0):
        with pytest.raises(ValueError, match=r"columns are numbered from 0 to 2, .* labels 0, 10, 20.*LabelEncoder"):
            query(net, X[rows], 10 * COLUMNS[rows])


def test_net_that_answers_its_labels():
    """A net whose predict gives labels is read by them."""
    net = _net(DecodedNet, module__n_classes=3).fit(X, 10 * COLUMNS)
    answers = query(net, X, 10 * COLUMNS)
    np.testing.assert_array_equal(answers.y, COLUMNS)
    np.testing.assert_array_equal(answers.classes[answers.label], net.predict(X))
    assert answers.correct.mean() > 0.8


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (10 * COLUMNS, "labels 0, 10, 20"),
        (COLUMNS - 1, "labels -1, 0, 1"),
        (COLUMNS + 0.5, "continuous values, such as 2.5"),
        (LABELS["text"][COLUMNS], "labels ant, bee, cat"),
    ],
)
def test_labels_that_no_net_has(y, message):
    """Trained on column numbers, asked about other labels."""
    net = _net(NeuralNetClassifier, module__n_classes=3, max_epochs=1).fit(X, COLUMNS)
    with pytest.raises(ValueError, match=message):
        query(net, X, y)


@pytest.mark.parametrize("attack", [name for name in get_attack_names() if get_attack(name).asks_once])
def test_targets_are_asked_once(attack):
    """Fitting and scoring ask for each row once, in one call; an attack on labels asks for labels only."""
    rows, y, is_member = planted(normal(2), normal(0), n=60)
    target = Counting().fit()
    methods = ["predict"] if get_attack(attack).uses == "labels" else ["predict", "predict_proba"]
    fitted = get_attack(attack).fit(target, rows, y, is_member)
    assert sorted(target.calls_) == [(method, 60) for method in methods]
    target.calls_.clear()
    fitted.score_samples(rows[:7], y[:7])
    assert sorted(target.calls_) == [(method, 7) for method in methods]


def test_forests_and_nets_are_not_asked_for_labels(monkeypatch):
    """Where predict is the argmax of predict_proba by construction, one pass gives both."""
    passes = []
    forward = MLP.forward
    monkeypatch.setattr(MLP, "forward", lambda self, rows: passes.append(len(rows)) or forward(self, rows))
    net = make_net(module__n_features=4, module__n_classes=3, max_epochs=1, batch_size=150).fit(X, COLUMNS)
    passes.clear()
    query(net, X, COLUMNS)
    assert passes == [150]


class OneRowShort(Dictated):
    """Loses a row."""

    def predict_proba(self, X):
        """Answer all but the last row."""
        return super().predict_proba(X)[:-1]


class Unknown(Dictated):
    """Answers labels that it has no column for."""

    def predict(self, X):
        """Answer a label of its own."""
        return np.full(len(X), 7)


@pytest.mark.parametrize(
    ("target", "n_labels", "error", "message"),
    [
        (LinearSVC(), 4, TypeError, "target must have predict_proba. Got LinearSVC"),
        (Dictated(), 3, ValueError, "one label for each of the 4 rows of X. Got 3"),
        (Dictated(classes=(0, 1)), 4, ValueError, "each of its 2 classes. Got 3 columns"),
        (OneRowShort(), 4, ValueError, r"one row for each of the 4 rows of X. Got shape \(3, 3\)"),
        (Unknown(), 4, ValueError, "target must predict one of its classes. Got 7"),
    ],
)
def test_bad_targets(target, n_labels, error, message):
    """What a target lacks, or answers wrongly, is named."""
    if isinstance(target, Dictated):
        target.fit()
    with pytest.raises(error, match=message):
        query(target, np.zeros((4, 3)), np.zeros(n_labels, dtype=int))

"""Answers averaged over views, against averages by hand and on a classifier that knows its training pixels."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_digits
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import roc_auc_score

from skdiffence.defenses import AugmentedClassifier, DefendedClassifier, MeanRule
from skdiffence.metrics import entropy_signal
from skdiffence.utils._views import augmentations
from tests.defenses.regenerators import NoiseRegenerator

X, y = load_digits(return_X_y=True)
X, y = X[:200].reshape(-1, 1, 8, 8) / 16, y[:200] % 3
MEMBERS, OTHERS = slice(100), slice(100, 200)


class Memorizer(ClassifierMixin, BaseEstimator):
    """Sure of the label of the exact pixels that it was trained on; of other images it is as sure as a hash is."""

    n_rows = 0

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        self.rows_ = {row.tobytes() for row in np.asarray(X, dtype=np.float64)}
        return self

    def predict_proba(self, X):
        Memorizer.n_rows += len(X)
        X = np.asarray(X, dtype=np.float64)
        label = (X[:, 0, :, :4].sum(axis=(1, 2)) * 16).round().astype(int) % len(self.classes_)
        known = np.array([row.tobytes() in self.rows_ for row in X], dtype=bool)
        confidence = np.where(known, 0.99, 0.5 + 0.3 * np.sin(X[:, 0, 3, 3] * 50) ** 2)
        rest = (1 - confidence) / (len(self.classes_) - 1)
        return np.where(label[:, None] == np.arange(len(self.classes_)), confidence[:, None], rest[:, None])

    def predict(self, X):
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


@pytest.fixture(scope="module")
def net():
    return Memorizer().fit(X[MEMBERS], y[MEMBERS])


def wrap(net, *args, **params):
    return AugmentedClassifier(FrozenEstimator(net), *args, **params).fit(X[MEMBERS], y[MEMBERS])


@pytest.mark.parametrize(("views", "n_views"), [("flips", 2), ("shifts", 9), ("flips+shifts", 18)])
def test_the_mean_over_views_with_the_label_on_top(net, views, n_views):
    """The mean of each view's own answer; where it changes the label, two entries are exchanged."""
    augmented = wrap(net, views)
    Memorizer.n_rows = 0
    proba = augmented.predict_proba(X)
    # Once more for the label, which is not known to be the argmax.
    assert Memorizer.n_rows == (n_views + 1) * len(X)
    expected = np.mean([net.predict_proba(view(X)) for view in augmentations(views)], axis=0)
    np.testing.assert_allclose(np.sort(proba), np.sort(expected))
    same = expected.argmax(axis=1) == net.predict(X)
    assert 0 < same.sum() < len(X)
    np.testing.assert_allclose(proba[same], expected[same])
    np.testing.assert_array_equal(augmented.classes_[proba.argmax(axis=1)], net.predict(X))


def test_shift_is_the_number_of_pixels(net):
    """Views by two pixels are those of ``step=2``."""
    expected = np.mean([net.predict_proba(view(X)) for view in augmentations("shifts", step=2)], axis=0)
    np.testing.assert_allclose(np.sort(wrap(net, "shifts", shift=2).predict_proba(X)), np.sort(expected))


def test_hides_pixels_learned_by_heart(net):
    """The bare answers tell members from others; averaged over views they hardly do."""
    is_member = np.arange(200) < 100
    answers = net.predict_proba(X), wrap(net).predict_proba(X)
    bare, averaged = (roc_auc_score(is_member, entropy_signal(None, proba)) for proba in answers)
    assert bare == 1.0
    assert averaged < 0.65


def test_behind_a_regenerator(net):
    """Candidates are averaged over views too, and labels stay the net's."""
    defended = DefendedClassifier(FrozenEstimator(wrap(net)), NoiseRegenerator(1e-3), selection=MeanRule(2))
    defended.fit(X[MEMBERS], y[MEMBERS], is_member=np.ones(100, dtype=bool))
    np.testing.assert_array_equal(defended.predict(X), net.predict(X))
    np.testing.assert_array_equal(defended.classes_[defended.predict_proba(X).argmax(axis=1)], net.predict(X))


def test_a_callable_makes_other_views(net):
    """Any list of arrays of as many rows."""
    augmented = wrap(net, lambda X: [0.5 * X])
    expected = (net.predict_proba(X) + net.predict_proba(0.5 * X)) / 2
    np.testing.assert_allclose(np.sort(augmented.predict_proba(X)), np.sort(expected))
    with pytest.raises(ValueError, match="views must return arrays with one row for each of the 200 rows. Got 199"):
        wrap(net, lambda X: [X[1:]]).predict_proba(X)


@pytest.mark.parametrize(
    ("params", "rows", "message"),
    [
        ({}, X.reshape(200, 64), "X must hold images"),
        ({}, X.transpose(0, 2, 3, 1), "channels first"),
        ({"views": "rotations"}, X, "views"),
        ({"views": "identity"}, X, "views"),
        ({"shift": 0}, X, "shift"),
    ],
    ids=["rows", "channels last", "unknown", "nothing", "no shift"],
)
def test_bad_input_is_refused_before_anything_is_trained(params, rows, message):
    """The parameter is named."""
    with pytest.raises(ValueError, match=message):
        AugmentedClassifier(Memorizer(), **params).fit(rows, y)

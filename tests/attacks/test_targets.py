"""Targets that are not of scikit-learn: any ``predict_proba`` will do, and what has none is told why not."""

import numpy as np
import pytest
import torch
from sklearn.ensemble import RandomForestRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression, Perceptron
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC
from torch import nn

from skdiffence import DefendedClassifier
from skdiffence.attacks import CorrectnessAttack, LabelOnlyAttack, RepeatedQueryAttack, ThresholdAttack, query
from skdiffence.inspection import audit
from skdiffence.model_selection import AttackScorer

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(80, 3)), np.arange(80) % 3
NAMES = np.array(["ant", "bee", "cat"])
IS_MEMBER = np.arange(80) < 40
MODEL = LogisticRegression().fit(X[:40], Y[:40])


class Probabilities:
    """No more than the one method, as the client of a service has."""

    def predict_proba(self, X):
        return MODEL.predict_proba(X)


class Named(Probabilities):
    """Knows its labels."""

    classes_ = NAMES


class Labels(Named):
    """Predicts labels as well."""

    def predict(self, X):
        return NAMES[MODEL.predict(X)]


class Trainable(Labels):
    """Has a ``fit``, and nothing else of an estimator."""

    def fit(self, X, y):
        return self


class Slotted(Labels):
    """Has no attributes of its own."""

    __slots__ = ()


OWN = [Probabilities, Named, Labels, Trainable, Slotted]


def labels_of(own):
    return Y if own is Probabilities else NAMES[Y]


@pytest.mark.parametrize("own", OWN)
@pytest.mark.parametrize("frozen", [False, True])
def test_any_predict_proba_is_audited_scored_and_attacked(own, frozen):
    """As the same model of scikit-learn is, to the last digit."""
    target, y = FrozenEstimator(own()) if frozen else own(), labels_of(own)
    sides = (X[:40], y[:40]), (X[40:], y[40:])
    how = {"attacks": ["entropy", "correctness"], "n_permutations": 100, "random_state": 0}
    report, plain = audit(target, *sides, **how), audit(MODEL, (X[:40], Y[:40]), (X[40:], Y[40:]), **how)
    assert report.targets["audited"].utility == plain.targets["audited"].utility
    assert report.worst.auc == plain.worst.auc
    scores = AttackScorer(["entropy"], pool=(X, y, IS_MEMBER), random_state=0)(target, X, y)
    assert scores == AttackScorer(["entropy"], pool=(X, Y, IS_MEMBER), random_state=0)(MODEL, X, Y)
    noise = LabelOnlyAttack("noise", n_queries=4, random_state=0)
    for attack in (ThresholdAttack("confidence"), CorrectnessAttack(), noise):
        said = attack.fit(target, X, y, IS_MEMBER).score_samples(X, y)
        np.testing.assert_array_equal(said, attack.fit(MODEL, X, Y, IS_MEMBER).score_samples(X, Y))


@pytest.mark.parametrize("own", [Labels, Trainable, Slotted])
def test_own_classifier_is_defended(own):
    """What predicts labels and probabilities is put behind a defense, frozen."""
    defended = DefendedClassifier(FrozenEstimator(own()), "passthrough").fit(X, NAMES[Y])
    np.testing.assert_array_equal(defended.predict(X), NAMES[MODEL.predict(X)])


def test_labels_without_classes_are_column_numbers():
    """Names can't be matched to columns; the message says what tells them."""
    with pytest.raises(ValueError, match="a Probabilities without classes_, whose columns.*give it classes_"):
        query(Probabilities(), X, NAMES[Y])


@pytest.mark.parametrize(
    ("model", "hint"),
    [
        (SVC(), r"Got SVC, which has none. CalibratedClassifierCV\(SVC\(...\)\)"),
        (LinearSVC(), "Got LinearSVC, which has none. CalibratedClassifierCV"),
        (Perceptron(), "Got Perceptron, which has none. CalibratedClassifierCV"),
        (make_pipeline(StandardScaler(), SVC()), "Got SVC, which has none"),
        (LinearRegression(), "Got LinearRegression, which has none. Regression is out of scope"),
        (make_pipeline(StandardScaler(), RandomForestRegressor(2)), "Got RandomForestRegressor.*out of scope"),
    ],
)
@pytest.mark.parametrize("frozen", [False, True])
def test_targets_without_probabilities_are_told_why(model, hint, frozen):
    """By the name of the model, not of a wrapper of ours."""
    target = model.fit(X, Y)
    target = FrozenEstimator(target) if frozen else target
    with pytest.raises(TypeError, match=f"estimator must have predict_proba. {hint}"):
        AttackScorer(["entropy"], pool=(X, Y, IS_MEMBER))(target, X, Y)
    with pytest.raises(TypeError, match=f"estimator must have predict_proba. {hint}"):
        audit(target, (X[:40], Y[:40]), (X[40:], Y[40:]), attacks=["entropy"])
    with pytest.raises(TypeError, match=f"target must have predict_proba. {hint}"):
        ThresholdAttack("entropy").fit(target, X, Y, IS_MEMBER)


@pytest.mark.parametrize("module", [nn.Linear(3, 3), nn.Linear(3, 3).state_dict()], ids=["module", "weights"])
def test_modules_and_weights_are_shown_the_way(module):
    """A torch module, or its weights, is not a classifier yet."""
    with pytest.raises(TypeError, match="must have predict_proba. Got .*skdiffence.from_module makes a classifier"):
        audit(module, (X[:40], Y[:40]), (X[40:], Y[40:]))


@pytest.mark.parametrize(
    "nothing", [None, "model.joblib", SVC, object(), {"model": MODEL}], ids=["None", "path", "class", "object", "dict"]
)
def test_what_is_no_model_at_all(nothing):
    """Neither a file name, nor a class, nor a dict of models."""
    got = "the class SVC" if nothing is SVC else type(nothing).__name__
    with pytest.raises(TypeError, match=f"estimator must .*Got {got}"):
        audit(nothing, (X[:40], Y[:40]), (X[40:], Y[40:]))
    with pytest.raises(TypeError, match=f"estimator must .*Got {got}"):
        AttackScorer(["entropy"], pool=(X, Y, IS_MEMBER))(nothing, X, Y)


@pytest.mark.parametrize("attack", [ThresholdAttack("entropy"), RepeatedQueryAttack(2)], ids=repr)
def test_tensor_that_requires_a_gradient(attack):
    """It does not become an array; torch's error would not name the parameter."""
    rows = torch.tensor(X, requires_grad=True)
    with pytest.raises(ValueError, match="X must be a tensor without a gradient"):
        attack.fit(MODEL, rows, Y, IS_MEMBER)

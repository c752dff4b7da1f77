"""Nets of double and half precision, criteria with weights of classes, and classifiers that round their answers."""

import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from skdiffence import DefendedClassifier, DiffusionRegenerator
from skdiffence.defenses import (
    DistilledDefense,
    HAMPClassifier,
    MemGuardClassifier,
    OutputClassifier,
    RelaxLossClassifier,
    SELENAClassifier,
)
from skdiffence.inspection import audit
from skdiffence.model_selection import AttackScorer
from skdiffence.utils._skorch import input_dtype
from tests.defenses.cases import digits, quiet
from tests.nets import MLP, BinaryMLP, LogitMLP, make_binary_net, make_net


class Double(MLP):
    """A net in double precision."""

    def __init__(self, **params):
        super().__init__(**params)
        self.double()


class DoubleLogits(LogitMLP):
    def __init__(self, **params):
        super().__init__(**params)
        self.double()


class DoubleBinary(BinaryMLP):
    def __init__(self, **params):
        super().__init__(**params)
        self.double()


class Half(MLP):
    """Weights of half precision that rows of single precision do not fit."""

    def __init__(self, dtype=torch.bfloat16, **params):
        super().__init__(**params)
        self.to(dtype)


class ConvertingHalf(Half):
    """Converts by itself."""

    def forward(self, X):
        return super().forward(X.to(torch.bfloat16)).float().softmax(1)


def rows(dtype=np.float32):
    X, y = digits()
    return X[:100].astype(dtype), y[:100]


DOUBLE = make_net(Double, max_epochs=2)
WRAPPERS = {
    "defended": lambda net: DefendedClassifier(net, DiffusionRegenerator(max_epochs=1), selection="swap"),
    "passthrough": lambda net: DefendedClassifier(net, "passthrough"),
    "pipeline": lambda net: DefendedClassifier(make_pipeline(StandardScaler(), net), "passthrough"),
    "output": OutputClassifier,
    "memguard": lambda net: MemGuardClassifier(net, attack_epochs=5, max_steps=3),
    "selena": lambda net: SELENAClassifier(net, n_estimators=3, n_excluded=1),
    "distilled": lambda net: DistilledDefense(
        DefendedClassifier(net, "passthrough", calibration_size=0.3), student=net
    ),
}


@pytest.mark.parametrize("given", [np.float32, np.float64])
@pytest.mark.parametrize("form", WRAPPERS)
def test_nets_of_double_precision(form, given):
    """They get the rows in double precision, as their weights are; torch refused single precision."""
    X, y = rows(given)
    fitted = quiet(WRAPPERS[form](DOUBLE).fit, X, y)
    proba = quiet(fitted.predict_proba, X)
    np.testing.assert_allclose(proba.sum(axis=1), 1, atol=1e-6)
    if form == "passthrough":
        net = fitted.estimator_
        np.testing.assert_array_equal(proba, net.predict_proba(X.astype(np.float64)))
        frozen = DefendedClassifier(FrozenEstimator(net), "passthrough").fit(X, y)
        np.testing.assert_array_equal(frozen.predict_proba(X), proba)


@pytest.mark.parametrize("training", [HAMPClassifier, RelaxLossClassifier])
def test_defended_training_in_double_precision(training):
    """A training defense behind a wrapper, too."""
    X, y = rows()
    net = training(DoubleLogits, max_epochs=1, verbose=0)
    assert DefendedClassifier(net, "passthrough").fit(X, y).predict_proba(X).dtype == np.float64


def test_binary_net_in_double_precision():
    """Its labels are numbers of the same type."""
    X, y = rows()
    net = make_binary_net(module__n_features=64).set_params(module=DoubleBinary, max_epochs=1)
    assert DefendedClassifier(net, "passthrough").fit(X, y > 4).predict_proba(X).dtype == np.float64


@pytest.mark.usefixtures("untouched_generators")
def test_precision_is_found_without_making_a_net():
    """A module's constructor is called on torch's device without memory; one that can't be is left to the training."""

    class Drawing(MLP):
        def __init__(self, **params):
            super().__init__(**params)
            self.scale = float(torch.ones(1).item())  # impossible without memory

    X, y = rows()
    net = make_net(Drawing, max_epochs=1)
    assert input_dtype(net) is np.float32
    DefendedClassifier(net, "passthrough").fit(X, y)
    with pytest.raises(TypeError, match="n_units"):
        DefendedClassifier(make_net(module__n_units=3), "passthrough").fit(X, y)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("frozen", [False, True])
def test_half_precision_is_named(dtype, frozen):
    """torch says which types do not match, not which parameter is to blame or what would help."""
    X, y = rows()
    net = make_net(Half, module__dtype=dtype, classes=list(range(10)))
    net = FrozenEstimator(net.initialize()) if frozen else net
    with pytest.raises(ValueError, match=f"estimator holds a net with weights of {dtype}.*float32.*from_module"):
        DefendedClassifier(net, "passthrough").fit(X, y)


def test_half_precision_that_converts_by_itself():
    X, y = rows()
    assert DefendedClassifier(make_net(ConvertingHalf, max_epochs=1), "passthrough").fit(X, y).score(X, y) >= 0


class Focal(nn.Module):
    """A loss of the user's own, with weights of the classes as a buffer."""

    def __init__(self, weight):
        super().__init__()
        self.register_buffer("weight", weight)

    def forward(self, logits, y):
        return (self.weight[y] * nn.functional.cross_entropy(logits, y, reduction="none")).mean()


class Learned(Focal):
    """A loss that learns its weights."""

    def __init__(self, weight):
        super().__init__(weight)
        self.scale = nn.Parameter(torch.ones(()))


class Averaging(Focal):
    """A loss that keeps averages of what it saw."""

    def __init__(self, weight):
        super().__init__(weight)
        self.norm = nn.BatchNorm1d(10, affine=False)


WEIGHTS = torch.linspace(0.5, 2, 10)


@pytest.mark.parametrize(
    ("module", "criterion"),
    [
        (LogitMLP, nn.CrossEntropyLoss(weight=WEIGHTS)),
        (LogitMLP, nn.CrossEntropyLoss(label_smoothing=0.1)),
        (MLP, nn.NLLLoss(weight=WEIGHTS)),
    ],
)
@pytest.mark.parametrize(
    "wrap",
    [
        lambda net: DefendedClassifier(net, "passthrough"),
        lambda net: DefendedClassifier(make_pipeline(StandardScaler(), net), "passthrough"),
        lambda net: SELENAClassifier(net, n_estimators=3, n_excluded=1),
    ],
)
def test_criterion_with_weights_of_classes(module, criterion, wrap):
    """It has buffers and no parameters: clones share nothing that was learned."""
    X, y = rows()
    wrapped = wrap(make_net(module, criterion=criterion, max_epochs=1))
    results = cross_validate(wrapped, X, y, cv=2, scoring=AttackScorer(["entropy"], pool=(X, y)), error_score="raise")
    assert np.isfinite(results["test_neg_log_loss"]).all()
    torch.testing.assert_close(WEIGHTS, torch.linspace(0.5, 2, 10))


def test_weights_of_classes_are_used():
    """The instance trains the same net as the class with its argument."""
    X, y = rows()
    given = {"criterion": nn.CrossEntropyLoss(weight=WEIGHTS)}
    named = {"criterion": nn.CrossEntropyLoss, "criterion__weight": WEIGHTS}
    proba = [
        DefendedClassifier(make_net(LogitMLP, **each), "passthrough", random_state=0).fit(X, y).predict_proba(X)
        for each in (given, named)
    ]
    np.testing.assert_array_equal(*proba)


def test_binary_criterion_with_a_weight():
    X, y = rows()
    criterion = nn.BCEWithLogitsLoss(pos_weight=torch.tensor(2.0))
    net = make_binary_net(module__n_features=64, criterion=criterion, max_epochs=30)
    assert DefendedClassifier(net, "passthrough", random_state=0).fit(X, y > 4).score(X, y > 4) > 0.8


def test_criterion_that_learns_is_refused():
    """Parameters or running averages pass from one fit to the next."""
    X, y = rows()
    for criterion in (Learned(WEIGHTS), Averaging(WEIGHTS)):
        with pytest.raises(ValueError, match="estimator__criterion must be a module class"):
            DefendedClassifier(make_net(LogitMLP, criterion=criterion), "passthrough").fit(X, y)
    net = make_net(LogitMLP, criterion=Focal(WEIGHTS), predict_nonlinearity=lambda logits: logits.softmax(1))
    assert DefendedClassifier(net, "passthrough", random_state=0).fit(X, y).score(X, y) > 0.2


class Service(ClassifierMixin, BaseEstimator):
    """Answers as a service does that rounds."""

    def __init__(self, digits=2):
        self.digits = digits

    def fit(self, X, y):
        self.model_ = LogisticRegression().fit(X, y)
        self.classes_ = self.model_.classes_
        return self

    def predict(self, X):
        return self.model_.predict(X)

    def predict_proba(self, X):
        return self.model_.predict_proba(X).round(self.digits)


@pytest.mark.parametrize("n_digits", [2, 3, 4])
def test_classifier_that_rounds(n_digits):
    """Audited and attacked as it answers; behind a defense its rows sum to 1."""
    X, y = rows()
    service = Service(n_digits).fit(X[:50], y[:50])
    assert audit(service, (X[:50], y[:50]), (X[50:], y[50:]), attacks=["entropy", "logit"], random_state=0).rows
    for wrap in (lambda model: DefendedClassifier(model, "passthrough"), OutputClassifier):
        proba = wrap(FrozenEstimator(service)).fit(X, y).predict_proba(X)
        np.testing.assert_allclose(proba.sum(axis=1), 1, atol=1e-3 + 1e-9)
    scorer = AttackScorer(["entropy"], pool=(X, y))
    assert cross_validate(Service(n_digits), X, y, cv=2, scoring=scorer, error_score="raise")["test_accuracy"].min() > 0


def test_diverged_net_is_named():
    """Its criterion is the right one; the learning rate is not."""
    X, y = rows()
    net = make_net(LogitMLP, criterion=nn.CrossEntropyLoss, lr=1e6, optimizer=torch.optim.SGD)
    X = 1e30 * X
    with pytest.raises(ValueError, match="Got NaN or infinity in .* rows: training diverged") as raised:
        DefendedClassifier(net, "passthrough").fit(X, y)
    assert "CrossEntropyLoss" not in str(raised.value)

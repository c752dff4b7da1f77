"""Training rows that lack a class that the net has an output for, as a fold of cross-validation may: columns stay."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import get_scorer
from sklearn.model_selection import GridSearchCV, KFold, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier
from skorch.callbacks import Callback

from skdiffence import DefendedClassifier
from skdiffence.defenses import (
    AdvRegClassifier,
    DistilledDefense,
    HAMPClassifier,
    MemGuardClassifier,
    OutputClassifier,
    OutputNoiseClassifier,
    RelaxLossClassifier,
    SELENAClassifier,
)
from skdiffence.model_selection import AttackScorer
from skdiffence.utils._random import torch_seed
from tests.defenses.cases import digits
from tests.defenses.regenerators import NoiseRegenerator
from tests.nets import LogitMLP, make_binary_net, make_logit_net, make_net

NAMES = np.array(list("jihgfedcba"))  # in no sorted order
NET = make_net(max_epochs=1)
SHORT = {"max_epochs": 1, "verbose": 0}
FEW = {"n_estimators": 3, "n_excluded": 1}
pytestmark = pytest.mark.filterwarnings(
    "ignore::skdiffence.exceptions.DefenseWarning", "ignore::skdiffence.exceptions.MembershipWarning"
)

WRAPPERS = {
    "bare": NET,
    "defended": DefendedClassifier(NET, "passthrough"),
    "logits": DefendedClassifier(make_logit_net(max_epochs=1), "passthrough"),
    "pipeline": DefendedClassifier(make_pipeline(StandardScaler(), NET), "passthrough"),
    "declared": DefendedClassifier(make_net(max_epochs=1, classes=list(range(10))), "passthrough"),
    "memguard": MemGuardClassifier(NET, attack_epochs=5, max_steps=3),
    "output": OutputClassifier(NET),
    "noise": OutputNoiseClassifier(NET),
    "selena": SELENAClassifier(NET, **FEW),
    "selena_submodels": SELENAClassifier(NET, **FEW, distill=False),
    "selena_student": SELENAClassifier(DecisionTreeClassifier(), **FEW, student=NET),
    "distilled": DistilledDefense(DefendedClassifier(NET, "passthrough", calibration_size=0.2), student=NET),
    "distilled_tree": DistilledDefense(
        DefendedClassifier(DecisionTreeClassifier(), "passthrough", calibration_size=0.2), student=NET
    ),
    "hamp": HAMPClassifier(LogitMLP, **SHORT),
    "relaxloss": RelaxLossClassifier(LogitMLP, **SHORT),
    "advreg": AdvRegClassifier(LogitMLP, **SHORT),
    "defended_defense": DefendedClassifier(RelaxLossClassifier(LogitMLP, **SHORT), "passthrough"),
}


def rows(missing):
    """Return digits of which a single one has a class, the first row."""
    X, y = digits()
    one = np.flatnonzero(y == missing)[:1]
    others = np.flatnonzero(y != missing)[:119]
    chosen = np.concatenate([one, others])
    return X[chosen].astype(np.float32), y[chosen]


@pytest.mark.parametrize("missing", [9, 4])
@pytest.mark.parametrize("form", WRAPPERS)
def test_cross_validation_with_a_class_of_one_row(form, missing):
    """The last class, or one in the middle, whose codes would shift the others'."""
    X, y = rows(missing)
    estimator, folds = WRAPPERS[form], KFold(2)
    scorer = AttackScorer(["confidence", "entropy"], pool=(X, y), random_state=0)
    scores = cross_validate(estimator, X, y, cv=folds, scoring=scorer, error_score="raise", return_estimator=True)
    assert np.isfinite(scores["test_entropy_roc_auc"]).all()
    assert np.isfinite(scores["test_neg_log_loss"]).all()
    for fitted in scores["estimator"]:
        proba = fitted.predict_proba(X)
        assert np.isfinite(proba).all()
        np.testing.assert_allclose(proba.sum(axis=1), 1, atol=1e-5)
        if form != "bare" and hasattr(fitted, "estimator_") and form != "selena_student":
            np.testing.assert_array_equal(fitted.classes_, np.arange(10))
            assert proba.shape == (len(X), 10)


@pytest.mark.parametrize("missing", [9, 4, 0])
def test_columns_are_those_of_the_net(missing):
    """The wrapped net was trained on the same codes as a bare one, and its columns are passed on in their order."""
    X, y = rows(missing)
    defended = DefendedClassifier(make_net(), "passthrough", random_state=0).fit(X[1:], y[1:])
    net = defended.estimator_
    np.testing.assert_array_equal(defended.classes_, np.arange(10))
    np.testing.assert_array_equal(defended.predict_proba(X), net.predict_proba(X))
    np.testing.assert_array_equal(defended.predict(X), net.predict(X))
    assert net.predict_proba(X)[:, missing].mean() < 0.1
    assert defended.score(X[1:], y[1:]) > 0.5


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.float64])
def test_labels_keep_their_type(dtype):
    X, y = rows(4)
    defended = DefendedClassifier(NET, "passthrough").fit(X[1:], y[1:].astype(dtype))
    assert defended.classes_.dtype == dtype
    assert len(defended.classes_) == 10


@pytest.mark.parametrize("missing", [9, 4, 0])
@pytest.mark.parametrize("wrap", [lambda net: net, lambda net: make_pipeline(StandardScaler(), net)])
def test_text_labels_need_the_classes_of_the_net(missing, wrap):
    """Declared classes are the outputs in their order, sorted or not; without them nothing tells which lacks rows.

    The answers are sorted, as scikit-learn expects them.
    """
    X, y = rows(missing)
    declared = wrap(make_net(classes=NAMES.tolist()))
    defended = DefendedClassifier(declared, "passthrough", random_state=0).fit(X[1:], NAMES[y[1:]])
    np.testing.assert_array_equal(defended.classes_, np.sort(NAMES))
    np.testing.assert_array_equal(defended.column_classes_, NAMES)
    own = defended.estimator_.predict_proba(X)
    np.testing.assert_array_equal(defended.predict_proba(X), own[:, np.argsort(NAMES)])
    np.testing.assert_array_equal(defended.predict(X), NAMES[own.argmax(axis=1)])
    assert defended.score(X[1:], NAMES[y[1:]]) > 0.5
    with pytest.raises(ValueError, match=r"each of the 9 classes. Got a net with 10 columns.*classes=\[\.\.\.\]"):
        DefendedClassifier(wrap(NET), "passthrough").fit(X[1:], NAMES[y[1:]])


def frozen(classes):
    X, y = digits()
    net = make_net(classes=classes)
    with torch_seed(0):
        return FrozenEstimator(net.fit(X.astype(np.float32), y))


@pytest.mark.parametrize("selection", [None, "first", "mean", "swap"])
def test_names_are_answered_as_numbers(selection):
    """A net under names in no sorted order and under numbers: scikit-learn's scorers give the same for both."""
    X, y = digits()
    regenerator = "passthrough" if selection is None else NoiseRegenerator(1.0)
    settings = {} if selection is None else {"selection": selection, "n_candidates": 4}
    named = DefendedClassifier(frozen(NAMES.tolist()), regenerator, random_state=0, **settings).fit(X, NAMES[y])
    numbered = DefendedClassifier(frozen(None), regenerator, random_state=0, **settings).fit(X, y)
    np.testing.assert_array_equal(named.predict(X), NAMES[numbered.predict(X)])
    np.testing.assert_array_equal(named.predict_proba(X), numbered.predict_proba(X)[:, np.argsort(NAMES)])
    for scoring in ("neg_log_loss", "roc_auc_ovr"):
        score = get_scorer(scoring)
        assert score(named, X, NAMES[y]) == pytest.approx(score(numbered, X, y), rel=1e-6)


NAMED = make_net(classes=NAMES.tolist())
NAMED_LOGITS = {"classes": NAMES.tolist(), "lr": 0.02, "optimizer": torch.optim.Adam, "max_epochs": 10, "verbose": 0}
AROUND_NAMES = {
    "bare": DefendedClassifier(NAMED, "passthrough"),
    "defended": DefendedClassifier(NAMED, NoiseRegenerator(0.1), n_candidates=4),
    "temperature": DefendedClassifier(NAMED, NoiseRegenerator(0.1), n_candidates=4, calibrate="temperature"),
    "search": DefendedClassifier(GridSearchCV(NAMED, {"lr": [0.01]}, cv=2), "passthrough"),
    "memguard": MemGuardClassifier(NAMED, attack_epochs=5, max_steps=3),
    "output": OutputClassifier(NAMED),
    "noise": OutputNoiseClassifier(NAMED),
    "selena": SELENAClassifier(NAMED, **FEW),
    "selena_submodels": SELENAClassifier(NAMED, **FEW, distill=False),
    "distilled": DistilledDefense(DefendedClassifier(NAMED, "passthrough", calibration_size=0.5), student=NAMED),
    "distilled_tree": DistilledDefense(
        DefendedClassifier(NAMED, "passthrough", calibration_size=0.5), student=DecisionTreeClassifier()
    ),
    "hamp": DefendedClassifier(HAMPClassifier(LogitMLP, **NAMED_LOGITS), "passthrough"),
    "relaxloss": OutputClassifier(RelaxLossClassifier(LogitMLP, **NAMED_LOGITS)),
    "advreg": DefendedClassifier(AdvRegClassifier(LogitMLP, **NAMED_LOGITS), "passthrough"),
}


@pytest.mark.parametrize("form", AROUND_NAMES)
def test_columns_of_declared_names_are_sorted(form):
    """Behind every defense, and again after it was pickled."""
    X, y = digits()
    fitted = clone(AROUND_NAMES[form]).set_params(random_state=0).fit(X, NAMES[y])
    np.testing.assert_array_equal(fitted.classes_, np.sort(NAMES))
    proba = fitted.predict_proba(X)
    np.testing.assert_array_equal(fitted.classes_[proba.argmax(axis=1)], fitted.predict(X))
    assert fitted.score(X, NAMES[y]) > 0.4
    assert get_scorer("roc_auc_ovr")(fitted, X, NAMES[y]) > 0.75
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(fitted)).predict_proba(X), proba)


def test_student_has_its_outputs_in_the_declared_order():
    """As weights of the classes in its criterion need it; its answers are sorted."""
    X, y = digits()
    rest = [name for name in NAMES.tolist() if name != "j"]
    for classes in (["j", *rest], [*rest, "j"]):
        weight = torch.where(torch.tensor([name == "j" for name in classes]), 1.0, 1e-6)
        student = make_net(classes=classes, criterion__weight=weight)
        fitted = DistilledDefense(DecisionTreeClassifier(), student, public=X[80:], random_state=0)
        proba = fitted.fit(X[:80], NAMES[y[:80]]).student_.predict_proba(X.astype(np.float32))
        assert (proba.argmax(axis=1) == classes.index("j")).all()


@pytest.mark.parametrize("labels", [NAMES.tolist()[:9], list(range(9)), list(range(1, 11))])
def test_labels_outside_the_declared_classes(labels):
    X, y = rows(4)
    with pytest.raises(ValueError, match=r"y must hold labels of the net's classes=.* only. Got .* as well"):
        DefendedClassifier(make_net(classes=labels), "passthrough").fit(X, NAMES[y] if labels[0] == "j" else y)


def test_numbers_that_are_no_outputs_are_encoded():
    """Labels from 1, or years, are classes like others where all of them are there."""
    X, y = digits()
    for labels in (y + 1, 2000 + y):
        defended = DefendedClassifier(make_net(), "passthrough").fit(X, labels)
        np.testing.assert_array_equal(defended.classes_, np.unique(labels))
        assert defended.score(X, labels) > 0.5
    X, y = X[np.isin(y, [3, 7])], y[np.isin(y, [3, 7])]
    assert DefendedClassifier(make_net(module__n_classes=2), "passthrough").fit(X, y).classes_.tolist() == [3, 7]
    binary = make_binary_net(module__n_features=64)
    assert DefendedClassifier(binary, "passthrough").fit(X, y).classes_.tolist() == [3, 7]


@pytest.mark.parametrize("missing", [9, 4])
@pytest.mark.parametrize("wrap", [lambda net: net, lambda net: make_pipeline(StandardScaler(), net)])
def test_frozen_net_that_never_saw_a_class(missing, wrap):
    """skorch records the classes of the training rows only."""
    X, y = rows(missing)
    net = clone(wrap(NET)).fit(X[1:], y[1:])
    assert len(net.classes_) == 9
    defended = DefendedClassifier(FrozenEstimator(net), "passthrough").fit(X, y)
    np.testing.assert_array_equal(defended.predict_proba(X), net.predict_proba(X))
    np.testing.assert_array_equal(defended.classes_, np.arange(10))


@pytest.mark.parametrize("wrap", [lambda net: net, lambda net: make_pipeline(StandardScaler().fit(digits()[0]), net)])
def test_frozen_net_without_classes(wrap):
    """Weights that were loaded into an initialized net tell no labels; the message names what does."""
    X, y = digits()
    with pytest.raises(ValueError, match=r"initialized without classes.*classes=\[\.\.\.\].*from_module"):
        DefendedClassifier(FrozenEstimator(wrap(make_net().initialize())), "passthrough").fit(X, y)
    known = wrap(make_net(classes=NAMES.tolist()).initialize())
    defended = DefendedClassifier(FrozenEstimator(known), "passthrough").fit(X, NAMES[y])
    np.testing.assert_array_equal(defended.classes_, np.sort(NAMES))
    with pytest.raises(ValueError, match="Got an unfitted one"):
        DefendedClassifier(FrozenEstimator(wrap(make_net())), "passthrough").fit(X, y)


@pytest.mark.parametrize("missing", [9, 4])
def test_net_inside_a_calibrated_classifier(missing):
    """What stands around a net knows the classes of its rows by itself."""
    X, y = rows(missing)
    calibrated = CalibratedClassifierCV(make_net(max_epochs=1), cv=2, ensemble=False)
    defended = DefendedClassifier(calibrated, "passthrough").fit(X[1:], y[1:])
    np.testing.assert_array_equal(defended.classes_, np.unique(y[1:]))
    assert defended.predict_proba(X).shape == (len(X), 9)


class Counting(Callback):
    """Counts how often a training begins."""

    n_trained = 0

    def on_train_begin(self, net, **kwargs):
        type(self).n_trained += 1


@pytest.mark.usefixtures("untouched_generators")
def test_outputs_are_counted_without_side_effects():
    """Neither a callback of the net, which may write files, nor a global generator notices."""
    X, y = rows(4)
    DefendedClassifier(make_net(max_epochs=1, callbacks=[Counting()]), "passthrough").fit(X[1:], y[1:])
    assert Counting.n_trained == 1

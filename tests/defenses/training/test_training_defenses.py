"""What the three defenses that act in training have in common: they are nets that compose, and leak nothing by it."""

import io

import joblib
import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV, ShuffleSplit, cross_val_score, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch import NeuralNetClassifier
from skorch.callbacks import EarlyStopping
from skorch.dataset import ValidSplit
from torch import nn

from skdiffence.defenses import DefendedClassifier
from skdiffence.model_selection import AttackScorer
from skdiffence.utils._skorch import predicts_argmax
from tests.defenses.cases import NAMES, defend, digits, quiet
from tests.defenses.test_nets import Interrupt
from tests.defenses.training.trained import TRAINED, codes, keepers, make
from tests.nets import LogitMLP

pytestmark = pytest.mark.parametrize("name", TRAINED)


@pytest.mark.usefixtures("untouched_generators")
@pytest.mark.parametrize("seed", [0, None])
def test_answers_are_probabilities_and_labels_their_argmax(name, seed):
    """Rows sum to one, and predict is skorch's, which others rely on; no global generator is touched."""
    X, y = codes()
    net = make(name, random_state=seed, max_epochs=1).fit(X, y)
    proba = net.predict_proba(X)
    np.testing.assert_allclose(proba.sum(axis=1), 1, rtol=1e-5)
    assert (proba >= 0).all()
    assert predicts_argmax(net)
    np.testing.assert_array_equal(net.predict(X), proba.argmax(axis=1))
    assert type(net).predict is NeuralNetClassifier.predict


def test_given_classes_are_for_what_stands_around(name):
    """The net is fitted to codes and predicts codes, which are its classes_; a wrapper answers the sorted names."""
    X, y = codes()
    given = NAMES[::-1][:10]
    net = make(name, classes=given.tolist(), max_epochs=1).fit(X, y)
    np.testing.assert_array_equal(net.classes_, np.arange(10))
    calibrated = CalibratedClassifierCV(make(name, classes=given.tolist(), max_epochs=1), cv=2).fit(X, y)
    np.testing.assert_array_equal(calibrated.classes_, np.arange(10))
    frozen = DefendedClassifier(FrozenEstimator(net), "passthrough").fit(X, given[y])
    trained = DefendedClassifier(clone(net), "passthrough").fit(X, given[y])
    for defended in (frozen, trained):
        np.testing.assert_array_equal(defended.classes_, np.sort(given))
        np.testing.assert_array_equal(defended.predict(X), given[defended.estimator_.predict(X)])
        own = defended.estimator_.predict_proba(X)
        np.testing.assert_array_equal(defended.predict_proba(X), own[:, np.argsort(given)])


def test_outputs_are_counted_where_labels_have_a_gap(name):
    """Columns stay those of the module, and the net is trained on these."""
    X, y = codes()
    keep = y != 4
    defended = DefendedClassifier(make(name, max_epochs=1), "passthrough").fit(X[keep], y[keep])
    np.testing.assert_array_equal(defended.classes_, np.arange(10))
    np.testing.assert_array_equal(defended.estimator_.classes_, np.unique(y[keep]))


def test_learns(name):
    """A few epochs label most training rows correctly."""
    X, y = codes()
    assert make(name, max_epochs=25).fit(X, y).score(X, y) > 0.8


def test_seed_decides(name):
    """One seed gives one net, another seed another, as does none; a RandomState goes on."""
    X, y = codes(60)
    first, again, other = (make(name, random_state=seed).fit(X, y).predict_proba(X) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.isclose(first, other).all()
    unseeded = [make(name, random_state=None).fit(X, y).predict_proba(X) for _ in range(2)]
    assert not np.isclose(*unseeded).all()
    net = make(name, random_state=np.random.RandomState(0))
    assert not np.isclose(*(net.fit(X, y).predict_proba(X) for _ in range(2))).all()


def test_fit_leaves_parameters_alone(name):
    """Whatever sits in a net without a trailing underscore reaches its clones: names and values stay."""
    net = make(name)
    before = net.get_params(deep=False)
    net.fit(*codes(60))
    after = net.get_params(deep=False)
    assert after.keys() == before.keys()
    assert all(after[key] is before[key] for key in before)
    assert not any(hasattr(clone(net), state) for state in ("module_", "seed_", "input_range_", "not_trained_on_"))


def test_random_labels_are_not_learned_through_clones(name):
    """Fitted, cloned and cross-validated on labels of chance, it is right as often as chance."""
    X, _ = codes()
    y = np.random.default_rng(0).integers(0, 4, len(X))
    net = make(name, module__n_classes=4, max_epochs=3).fit(X, y)
    scores = cross_val_score(clone(net), X, y, cv=3, error_score="raise")
    assert abs(scores.mean() - 0.25) < 4 * np.sqrt(0.25 * 0.75 / len(X))


def test_saved_net_answers_the_same(name):
    """Through joblib, and without any training row."""
    X, y = codes(60)
    net = make(name).fit(X, y)
    file = io.BytesIO()
    joblib.dump(net, file)
    assert all(row.tobytes() not in file.getvalue() for row in X)
    file.seek(0)
    np.testing.assert_array_equal(joblib.load(file).predict_proba(X), net.predict_proba(X))


def test_parameters_can_be_searched(name):
    """Own parameters, the module's and the optimizer's are set by name; names that are none are refused."""
    X, y = codes(60)
    grid = {"lr": [0.02], "module__width": [8, 16], "optimizer__weight_decay": [0.0]}
    search = GridSearchCV(make(name, max_epochs=1), grid, cv=2, error_score="raise").fit(X, y)
    assert search.best_params_["module__width"] in (8, 16)
    with pytest.raises(ValueError, match="widht"):
        make(name, widht=3).fit(X, y)
    with pytest.raises(ValueError, match="Invalid parameter 'widht'"):
        make(name).set_params(widht=3)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"module": LogitMLP()}, "module must be a module class"),
        ({"criterion": nn.NLLLoss}, "criterion must be torch.nn.CrossEntropyLoss"),
        ({"module__n_classes": 4}, "module must give one logit for each class"),
        ({"random_state": -1}, "random_state"),
    ],
)
def test_bad_parameters(name, params, message):
    """The parameter is named."""
    with pytest.raises(ValueError, match=message):
        make(name, **params).fit(*codes(60))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X, y: (np.where(X > 0.9, np.nan, X), y), "X must hold finite"),
        (lambda X, y: (X[:0], y[:0]), "at least one row"),
        (lambda X, y: (X, y[:-1]), "y must hold a class code for each"),
        (lambda X, y: (X, y - 1), "y must hold a class code for each"),
        (lambda X, y: (X, NAMES[y]), "DefendedClassifier takes labels of any type"),
        (lambda X, y: (X.tolist(), y), "X must be an array or a tensor"),
    ],
)
def test_bad_data(name, change, message):
    """What would fail inside torch is refused in words, and leaves nothing that looks fitted."""
    net = make(name)
    with pytest.raises(ValueError, match=message):
        net.fit(*change(*codes(60)))
    with pytest.raises(NotFittedError):
        net.predict(codes(60)[0])


def test_no_row_to_answer(name):
    """No rows, no answers."""
    X, y = codes(60)
    with pytest.raises(ValueError, match="X must hold at least one row"):
        make(name, max_epochs=1).fit(X, y).predict_proba(X[:0])


def test_unfitted(name):
    """Asked too early."""
    with pytest.raises(NotFittedError):
        make(name).predict_proba(codes()[0])


@pytest.mark.parametrize("interrupt", [Interrupt(2), Interrupt(3, in_batch=False)], ids=["batch", "epoch"])
def test_interrupted_training_is_not_a_fit(name, interrupt):
    """The interrupt that skorch swallows comes through, and a later fit is as if nothing had been."""
    X, y = codes(60)
    net = make(name, callbacks=[interrupt])
    with pytest.raises(KeyboardInterrupt):
        net.fit(X, y)
    with pytest.raises(NotFittedError):
        net.predict(X)
    net.set_params(callbacks=None).fit(X, y)
    np.testing.assert_array_equal(net.predict_proba(X), make(name).fit(X, y).predict_proba(X))


def test_early_stopping_is_a_fit(name):
    """Stopping by itself is no interrupt."""
    X, y = codes(60)
    stop = EarlyStopping(monitor="train_loss", patience=1, threshold=1e6)
    net = make(name, callbacks=[stop], max_epochs=9).fit(X, y)
    assert len(net.history) < 9
    assert net.predict(X).shape == y.shape


def test_weights_of_an_epoch_are_those_of_the_net(name, tmp_path):
    """Callbacks that keep weights write them under the names of the module, and find them again at the end."""
    X, y = codes()
    net = make(name, callbacks=keepers(tmp_path), max_epochs=3).fit(X, y)
    other = make(name).initialize()
    other.load_params(checkpoint=keepers(tmp_path)[1])
    assert set(torch.load(tmp_path / "every" / "params.pt")) == set(net.module_.state_dict())
    if name == "hamp":
        with pytest.raises(NotFittedError, match="HAMPClassifier answers with random inputs in the range"):
            other.predict_proba(X)
        for each in (net, other):
            each.set_params(modify_output=False)
    np.testing.assert_array_equal(other.predict_proba(X), net.predict_proba(X))


def test_validation_loss_is_the_cross_entropy(name):
    """A split that is asked for is used, and its loss compares with that of other nets."""
    X, y = codes()
    net = make(name, train_split=ValidSplit(4), max_epochs=2, modify_output=False) if name == "hamp" else None
    net = (net or make(name, train_split=ValidSplit(4), max_epochs=2)).fit(X, y)
    _, valid = ValidSplit(4)(net.get_dataset(X, y))
    proba = net.predict_proba(X[valid.indices])
    expected = -np.log(proba[np.arange(len(proba)), y[valid.indices]]).mean()
    assert net.history[-1, "valid_loss"] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("in_pipeline", [True, False])
def test_works_inside_a_defended_classifier(name, in_pipeline):
    """Labels of any type, its own probabilities, no word of a poor match, one seed for all."""
    X, y = digits("strings")
    net = make(name, random_state=None)
    estimator = make_pipeline(StandardScaler(), net) if in_pipeline else net
    first, again = (quiet(defend(estimator).fit, X, y) for _ in range(2))
    proba = first.predict_proba(X)
    np.testing.assert_array_equal(proba, again.predict_proba(X))
    np.testing.assert_array_equal(first.predict(X), first.classes_[proba.argmax(axis=1)])
    assert set(first.classes_) == set(NAMES)


@pytest.mark.parametrize("shell", ["bare", "pipeline", "passthrough", "defended"])
def test_scorer_knows_who_was_trained_on(name, shell):
    """In cross-validation, members are the rows that trained the net: as many as its history counts, and no others."""
    X, y = codes()
    net = make(name, max_epochs=1)
    estimator = {
        "bare": lambda: net,
        "pipeline": lambda: make_pipeline(StandardScaler(), net),
        "passthrough": lambda: defend(make_pipeline(StandardScaler(), net), "passthrough"),
        "defended": lambda: defend(net, selection="matched", calibration_size=0.2),
    }[shell]()
    if shell in ("passthrough", "defended"):
        X = X.astype(np.float64) * 0.3  # not exact in float32
    scorer = AttackScorer(["confidence"], pool=(X, y), random_state=0)
    halves = ShuffleSplit(1, test_size=0.5, random_state=0)
    results = quiet(
        cross_validate, estimator, X, y, cv=halves, scoring=scorer, return_estimator=True, error_score="raise"
    )
    fitted = results["estimator"][0]
    inner = fitted.estimator_ if shell in ("passthrough", "defended") else fitted
    inner = inner if shell in ("bare", "defended") else inner[-1]
    trained = sum(batch["train_batch_size"] for batch in inner.history[0, "batches"])
    calibrated = len(getattr(fitted, "calibrated_on_", ()))
    assert results["test_n_members"][0] <= trained
    assert results["test_n_members"][0] >= trained - calibrated
    if shell in ("passthrough", "defended"):
        assert fitted.n_samples_fit_ == trained


def test_tensors_are_rows_too(name):
    """What skorch takes, these take."""
    X, y = codes(60)
    fitted = make(name).fit(torch.from_numpy(X), torch.from_numpy(y))
    np.testing.assert_array_equal(fitted.predict_proba(X), make(name).fit(X, y).predict_proba(torch.from_numpy(X)))

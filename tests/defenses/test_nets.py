"""What skorch networks need: fresh weights, own seeds, interrupts that interrupt, parameters that stay."""

from functools import partial

import numpy as np
import pytest
import torch
from joblib import parallel_config
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback, EarlyStopping

from skdiffence import DiffusionRegenerator
from tests.defenses.cases import NAMES, bare_labels, defend, digits, quiet
from tests.nets import make_net


@pytest.mark.parametrize("in_pipeline", [True, False])
def test_random_labels_are_not_learned_through_clones(in_pipeline):
    """Fitted, cloned and cross-validated on labels of chance, a defended net is right as often as chance."""
    X, _ = digits()
    y = np.random.default_rng(0).integers(0, 4, len(X))
    net = make_net(module__n_classes=4, max_epochs=60)
    defended = defend(make_pipeline(StandardScaler(), net) if in_pipeline else net)
    quiet(defended.fit, X, y)
    assert defended.score(X, y) > 0.8
    scores = quiet(cross_val_score, clone(defended), X, y, cv=3, error_score="raise")
    assert abs(scores.mean() - 0.25) < 4 * np.sqrt(0.25 * 0.75 / len(X))


def test_threads_train_what_one_after_the_other_would():
    """torch has one generator for all of them: nets and denoisers are trained in turns."""
    X, y = digits()
    defended = defend(make_net(max_epochs=2), DiffusionRegenerator(max_epochs=1), random_state=0)
    call = partial(quiet, cross_val_predict, defended, X, y, cv=4, method="predict_proba")
    expected = call()
    with parallel_config("threading", n_jobs=4):
        np.testing.assert_array_equal(call(), expected)


class Interrupt(Callback):
    """Presses Ctrl-C, in the middle of an epoch or at its end."""

    def __init__(self, epoch=3, in_batch=True):
        self.epoch = epoch
        self.in_batch = in_batch

    def on_batch_end(self, net, *args, **kwargs):
        if self.in_batch and len(net.history) == self.epoch:
            raise KeyboardInterrupt

    def on_epoch_end(self, net, *args, **kwargs):
        if not self.in_batch and len(net.history) == self.epoch:
            raise KeyboardInterrupt


@pytest.mark.parametrize("in_pipeline", [True, False])
@pytest.mark.parametrize("callbacks", [[], [EarlyStopping(monitor="train_loss")]], ids=["plain", "early_stopping"])
@pytest.mark.parametrize("interrupt", [Interrupt(2), Interrupt(5)], ids=["second", "last"])
def test_interrupted_training_is_not_a_fit(interrupt, callbacks, in_pipeline):
    """skorch swallows the interrupt; ours comes through, and nothing half-trained looks fitted."""
    net = make_net(callbacks=[*callbacks, interrupt])
    defended = defend(make_pipeline(StandardScaler(), net) if in_pipeline else net)
    with pytest.raises(KeyboardInterrupt, match="training of the net inside"):
        defended.fit(*digits())
    assert not hasattr(defended, "estimator_")


def test_interrupt_between_epochs():
    """Between two epochs, too."""
    with pytest.raises(KeyboardInterrupt):
        defend(make_net(callbacks=[Interrupt(3, in_batch=False)])).fit(*digits())


@pytest.mark.parametrize("params", [{"callbacks": "disable"}, {"callbacks__train_loss": None}, {"max_epochs": 0}])
def test_net_that_notes_little_is_finished(params):
    """A net without callbacks, or without epochs, was not interrupted."""
    X, y = digits()
    defended = quiet(defend(make_net(**params)).fit, X, y)
    np.testing.assert_array_equal(defended.predict(X), bare_labels(defended, X))


def test_early_stopping_is_not_an_interrupt():
    """Stopping by itself is how such a net ends."""
    X, y = digits()
    stop = EarlyStopping(monitor="train_loss", patience=1, threshold=10)
    defended = quiet(defend(make_net(callbacks=[stop])).fit, X, y)
    assert len(defended.estimator_.history) < 5


@pytest.mark.parametrize("in_pipeline", [True, False])
def test_fit_leaves_parameters_alone(in_pipeline):
    """Neither names nor values change: whatever sits in a net without a trailing underscore reaches its clones."""
    net = make_net()
    estimator = make_pipeline(StandardScaler(), net) if in_pipeline else net
    defended = defend(estimator)
    before, stored = set(defended.get_params()), dict(vars(net))
    quiet(defended.fit, *digits())
    assert set(defended.get_params()) == before
    assert vars(net) == stored
    assert set(defended.estimator_.get_params()) == set(estimator.get_params())
    assert not getattr(net, "initialized_", False)


@pytest.mark.usefixtures("untouched_generators")
def test_global_generators_are_untouched():
    """Neither training, nor keys, nor answers read or seed a global generator."""
    X, y = digits()
    for random_state in (0, None):
        defended = quiet(defend(make_net(), selection="matched", random_state=random_state).fit, X, y)
        defended.predict_proba(X)


def weights_of(defended):
    return torch.cat([weights.ravel() for weights in defended.estimator_.module_.parameters()]).detach().numpy()


def test_same_seed_same_net_other_rows_other_net():
    """A seed gives a net again; on other rows it gives another one, from its very first weights."""
    X, y = digits()
    net = make_net(max_epochs=0)
    first, again = (quiet(defend(net).fit, X, y) for _ in range(2))
    other_rows, other_seed = quiet(defend(net).fit, X[1:], y[1:]), quiet(defend(net, random_state=1).fit, X, y)
    np.testing.assert_array_equal(weights_of(first), weights_of(again))
    for other in (other_rows, other_seed):
        assert not np.isclose(weights_of(first), weights_of(other)).any()
    unseeded = [quiet(defend(net, random_state=None).fit, X, y) for _ in range(2)]
    # Of thousands of independent weights a pair may be close by chance.
    assert np.isclose(*map(weights_of, unseeded)).mean() < 0.01


def test_estimators_inside_are_seeded():
    """A forest without a seed gets one from ours, and keeps one of its own."""
    X, y = digits()
    first, again = (quiet(defend(RandomForestClassifier(5)).fit, X, y) for _ in range(2))
    np.testing.assert_array_equal(first.predict_proba(X), again.predict_proba(X))
    own = quiet(defend(RandomForestClassifier(5, random_state=7)).fit, X, y)
    assert own.estimator_.random_state == 7


@pytest.mark.parametrize("selection", ["first", "mean"])
def test_number_of_jobs_changes_nothing(selection):
    """Folds trained in other processes answer the same."""
    X, y = digits()
    defended = defend(make_net(), selection=selection)
    answers = [
        quiet(cross_val_predict, defended, X, y, cv=3, method="predict_proba", n_jobs=n_jobs)
        for n_jobs in (1, 2)
    ]
    np.testing.assert_array_equal(*answers)


def test_labels_that_training_rows_lack():
    """A net has an output for every label in y, also for those of known non-members only."""
    X, y = digits()
    defended = quiet(defend(make_net()).fit, X, NAMES[y], is_member=y > 0)
    assert set(defended.classes_) == set(NAMES)
    np.testing.assert_array_equal(defended.predict(X), bare_labels(defended, X))


def test_net_inside_a_calibrated_classifier():
    """What stands around a net learns codes, and labels come back as they were given."""
    X, y = digits()
    defended = quiet(defend(CalibratedClassifierCV(make_net(), cv=2, ensemble=False)).fit, X, NAMES[y])
    assert defended.score(X, NAMES[y]) > 0.5
    np.testing.assert_array_equal(defended.predict(X), defended.classes_[defended.predict_proba(X).argmax(axis=1)])

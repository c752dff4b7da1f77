"""Every other defense behind a regenerator: composed, cross-validated, saved, and with the labels that it had."""

import io

import joblib
import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skdiffence.attacks import ThresholdAttack
from skdiffence.defenses import DPSGDClassifier, MemGuardClassifier, OutputClassifier, SELENAClassifier
from skdiffence.model_selection import AttackScorer
from tests.defenses.cases import defend, digits, half, quiet
from tests.defenses.regenerators import NoiseRegenerator
from tests.defenses.training.trained import TRAINED
from tests.defenses.training.trained import make as make_trained
from tests.nets import LogitMLP, make_net

pytestmark = pytest.mark.filterwarnings("ignore:Optimal order is the:UserWarning")


def dpsgd():
    pytest.importorskip("opacus")
    settings = {"max_epochs": 6, "batch_size": 40, "lr": 0.5, "verbose": 0, "random_state": 0}
    return DPSGDClassifier(LogitMLP, noise_multiplier=0.5, **settings)


DEFENSES = {
    "dpsgd": dpsgd,
    "memguard": lambda: MemGuardClassifier(make_net(max_epochs=8), max_steps=20, attack_epochs=20, random_state=0),
    "rounded": lambda: OutputClassifier(make_net(max_epochs=8), random_state=0),
    "selena": lambda: SELENAClassifier(make_net(max_epochs=4), n_estimators=3, n_excluded=1, random_state=0),
} | {name: lambda name=name: make_trained(name) for name in TRAINED}


def data():
    """Return rows and labels in the types of a bare net."""
    X, y = digits()
    return X.astype(np.float32), y.astype(np.int64)


@pytest.mark.parametrize("selection", ["first", "swap"])
@pytest.mark.parametrize("name", DEFENSES)
def test_labels_are_those_of_the_defense_below(name, selection):
    """On every row, as the answer's label and as its largest probability; no answer is the undefended one."""
    X, y = data()
    below = DEFENSES[name]().fit(X[half(y)], y[half(y)])
    on_top = defend(FrozenEstimator(below), NoiseRegenerator(0.2), selection=selection)
    on_top = quiet(on_top.fit, X, y, is_member=half(y))
    labels, proba = below.predict(X), on_top.predict_proba(X)
    np.testing.assert_array_equal(on_top.predict(X), labels)
    np.testing.assert_array_equal(on_top.classes_[proba.argmax(axis=1)], labels)
    # Rounded answers, and values of other inputs, may be equal by chance.
    if name not in ("rounded", "hamp"):
        assert not (proba == below.predict_proba(X)).all(axis=1).any()


@pytest.mark.parametrize("name", DEFENSES)
def test_cross_validated_and_saved_with_diffence_on_top(name):
    """Trained in each fold, attacked, and the same after joblib."""
    X, y = data()
    scorer = AttackScorer([ThresholdAttack("confidence")], pool=(X, y), random_state=0)
    on_top = defend(DEFENSES[name](), NoiseRegenerator(0.2))
    results = quiet(cross_validate, on_top, X, y, cv=2, scoring=scorer, return_estimator=True, error_score="raise")
    assert np.isfinite(results["test_confidence_roc_auc"]).all()
    fitted, file = results["estimator"][0], io.BytesIO()
    joblib.dump(fitted, file)
    file.seek(0)
    np.testing.assert_array_equal(joblib.load(file).predict_proba(X[:20]), fitted.predict_proba(X[:20]))


# What the shared tests of the other defenses leave out of DP-SGD


def test_dpsgd_in_a_pipeline_cross_validated():
    """Behind a scaler, with an attack on it, and the accountant's figure within reach."""
    X, y = data()
    scorer = AttackScorer([ThresholdAttack("confidence")], pool=(X, y), random_state=0)
    pipeline = make_pipeline(StandardScaler(), dpsgd())
    results = cross_validate(pipeline, X, y, cv=2, scoring=scorer, return_estimator=True, error_score="raise")
    assert np.isfinite(results["test_confidence_roc_auc"]).all()
    assert results["estimator"][0][-1].epsilon_ > 0


def test_dpsgd_carries_nothing_through_clones():
    """On random labels a clone of a fitted net starts from weights that have seen none of the rows."""
    X, y = data()
    fitted = dpsgd().fit(X, np.random.default_rng(0).permutation(y))
    fresh = dpsgd().initialize().module_.state_dict()
    for key, value in clone(fitted).initialize().module_.state_dict().items():
        torch.testing.assert_close(value, fresh[key], rtol=0, atol=0)

"""scikit-learn's own checks over defended classifiers, rules and the wrapper of third-party purifiers."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from skorch import NeuralNetBinaryClassifier
from skorch.callbacks import Callback
from torch import nn

from skdiffence.base import InferenceOnly
from skdiffence.defenses import (
    BudgetedRule,
    DefendedClassifier,
    DistilledDefense,
    FirstRule,
    LowestRule,
    MatchedRule,
    MeanRule,
    MembersRule,
    NearestRule,
    SwapRule,
    TunedDefendedClassifier,
    WithinRule,
)
from tests.defenses.regenerators import NoiseRegenerator
from tests.nets import make_net

pytestmark = pytest.mark.filterwarnings("ignore::skdiffence.exceptions.DefenseWarning")


class AnySize(nn.Module):
    """A network for rows of any length; the checks use many.

    It computes in float64, for in float32 torch rounds a row's answer by its place in the batch, by more than the
    checks allow.
    """

    def __init__(self, n_outputs=1):
        super().__init__()
        self.layers = nn.Sequential(nn.LazyLinear(16), nn.ReLU(), nn.Linear(16, n_outputs)).double()

    def forward(self, X):
        """Return logits; a single output is flattened, as a binary net wants it."""
        logits = self.layers(X.double())
        return logits.squeeze(-1) if logits.shape[1] == 1 else logits


class CountClasses(Callback):
    """Gives the module an output for every class, as the checks don't say how many there will be."""

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        net.set_params(module__n_outputs=max(int(np.max(y)) + 1, 2))


def defended(estimator, selection="first", regenerator=None, **params):
    regenerator = regenerator or NoiseRegenerator(scale=1e-3)
    return DefendedClassifier(estimator, regenerator, n_candidates=3, selection=selection, random_state=0, **params)


SETTINGS = {"max_epochs": 15, "lr": 0.1}
NET = make_net(AnySize, criterion=nn.CrossEntropyLoss, callbacks=[CountClasses], **SETTINGS)
BINARY_NET = NeuralNetBinaryClassifier(
    AnySize, optimizer=torch.optim.Adam, batch_size=32, train_split=None, verbose=0, **SETTINGS
)
ESTIMATORS = [
    # Rules see no inputs: one that is calibrated and one that is not stand for all.
    *(defended(LogisticRegression(), rule) for rule in ("first", "matched")),
    defended(LogisticRegression(), fallback="original", search="constant"),
    defended(LogisticRegression(), regenerator="passthrough"),
    defended(LogisticRegression(), calibrate="temperature"),
    TunedDefendedClassifier(defended(LogisticRegression()), timesteps=None, selections=("swap", "nearest")),
    DistilledDefense(defended(LogisticRegression(), calibration_size=0.3), LogisticRegression(), random_state=0),
    defended(NET),
    defended(BINARY_NET),
    InferenceOnly(StandardScaler()),
]


def expected_failures(estimator):
    """Return the checks that an estimator fails on purpose, with the reason."""
    if not isinstance(estimator, InferenceOnly):
        return {}
    return {"check_transformer_data_not_an_array": "fit_transform returns the very object given, here not an array"}


@parametrize_with_checks(ESTIMATORS, expected_failed_checks=expected_failures)
def test_scikit_learn_compatibility(estimator, check):
    """What scikit-learn asks of its own estimators holds for ours."""
    check(estimator)


@pytest.mark.parametrize(
    "rule",
    [
        BudgetedRule(max_calls=2.0, max_stop=4, n_grid=5),
        FirstRule(),
        LowestRule(max_candidates=2),
        MatchedRule(n_grid=5, objective="paper"),
        MeanRule(2, antithetic=False),
        MembersRule(),
        NearestRule(max_candidates=2, n_grid=5),
        SwapRule(),
        WithinRule(max_candidates=2, n_grid=5),
    ],
    ids=lambda rule: type(rule).__name__,
)
def test_rules_are_estimators(rule):
    """Rules have parameters, clones and a readable repr, so that a grid search can vary them."""
    copy = clone(rule)
    assert copy is not rule
    assert copy.get_params() == rule.get_params()
    assert type(rule).__name__ in repr(rule)
    assert all(f"{name}=" in repr(rule) for name in rule.get_params())

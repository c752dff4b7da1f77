"""Devices, optional imports, and nets found inside estimators."""

import json

import numpy as np
import pytest
import torch
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skdiffence import DefendedClassifier, DiffusionRegenerator
from skdiffence._fitted import is_frozen
from skdiffence.utils import _skorch as skorch
from skdiffence.utils._optional import import_optional
from skdiffence.utils._sklearn import HasMethods
from skdiffence.utils._torch import resolve_device
from tests.nets import make_binary_net, make_net


def test_devices():
    """ "auto" is the GPU where there is one."""
    assert resolve_device().type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert resolve_device("cpu") == resolve_device(torch.device("cpu")) == torch.device("cpu")


def test_cuda_has_its_index(monkeypatch):
    """So that what is kept for one GPU is not taken on another."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    assert resolve_device() == resolve_device("cuda") == torch.device("cuda", 1)
    assert resolve_device("cuda:0") == torch.device("cuda", 0)


def test_a_class_is_no_object():
    """``regenerator=DiffusionRegenerator``, without parentheses, is named before anything is trained."""
    assert HasMethods("fit").is_satisfied_by(LogisticRegression())
    assert not HasMethods("fit").is_satisfied_by(LogisticRegression)
    with pytest.raises(ValueError, match="The 'regenerator' parameter of DefendedClassifier must be"):
        DefendedClassifier(LogisticRegression(), DiffusionRegenerator).fit(np.eye(4), [0, 1, 0, 1])


@pytest.mark.parametrize("device", ["abacus", 1.5, None])
def test_unknown_devices(device):
    """The message names the parameter."""
    with pytest.raises(ValueError, match="device must be 'auto' or a device that torch knows"):
        resolve_device(device)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_missing_cuda():
    """A GPU that isn't there is an error at once."""
    with pytest.raises(ValueError, match="needs a CUDA device, and torch finds none"):
        resolve_device("cuda")


def test_optional_imports():
    """What is missing is named with the command that installs it."""
    assert import_optional("json", extra="plot") is json
    with pytest.raises(ImportError, match=r"nowhere is needed here. .*pip install 'skdiffence\[plot\]'"):
        import_optional("nowhere.inside", extra="plot")


NET = make_net()
FROZEN = FrozenEstimator(make_pipeline(StandardScaler(), make_net()))


@pytest.mark.parametrize(
    ("estimator", "all_nets", "trained_nets"),
    [
        (LogisticRegression(), [], []),
        (NET, [""], [""]),
        (make_pipeline(StandardScaler(), NET), ["neuralnetclassifier__"], ["neuralnetclassifier__"]),
        (CalibratedClassifierCV(NET), ["estimator__"], ["estimator__"]),
        (FrozenEstimator(NET), ["estimator__"], []),
        (FROZEN, ["estimator__neuralnetclassifier__"], []),
        (make_pipeline(StandardScaler(), FROZEN), ["frozenestimator__estimator__neuralnetclassifier__"], []),
    ],
    ids=["none", "net", "pipeline", "calibrated", "frozen", "frozen_pipeline", "pipeline_of_frozen"],
)
def test_nets_inside(estimator, all_nets, trained_nets):
    """Nets are found at any depth, and those that fit trains are told from frozen ones."""
    assert list(skorch.nets_inside(estimator)) == all_nets
    assert list(skorch.nets_inside(estimator, frozen=False)) == trained_nets
    assert is_frozen(estimator) == (len(all_nets) > len(trained_nets))


def test_frozen_transformers_are_not_frozen_classifiers():
    """A frozen scaler says nothing about who trained the classifier."""
    scaler = FrozenEstimator(StandardScaler().fit(np.eye(2)))
    assert not is_frozen(make_pipeline(scaler, NET))


@pytest.mark.parametrize(
    ("estimator", "columns", "argmax"),
    [
        (LogisticRegression(), False, False),
        (NET, True, True),
        (make_pipeline(StandardScaler(), NET), True, True),
        (FROZEN, True, True),
        (make_binary_net(), True, False),
        (CalibratedClassifierCV(NET), False, False),
    ],
    ids=["sklearn", "net", "pipeline", "frozen", "binary", "calibrated"],
)
def test_how_estimators_answer(estimator, columns, argmax):
    """Nets answer columns, and multi-class nets the argmax, also through pipelines and frozen."""
    assert skorch.predicts_columns(estimator) == columns
    assert skorch.predicts_argmax(estimator) == argmax

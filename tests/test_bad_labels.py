"""Labels, memberships, scores and rows that NumPy, torch or nobody would refuse in the words of the caller."""

import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.frozen import FrozenEstimator
from sklearn.neighbors import KNeighborsClassifier
from torch import nn

from skdiffence.attacks import CorrectnessAttack, LiRAAttack, ThresholdAttack, query, train_shadows
from skdiffence.datasets import make_canaries
from skdiffence.defenses import DefendedClassifier, OutputClassifier, SELENAClassifier
from skdiffence.inspection import audit, canary_audit
from skdiffence.metrics import confidence_signal, label_columns, logit_signal, tpr_at_fpr_score
from skdiffence.model_selection import AttackScorer
from skdiffence.utils._torch import explained_shapes
from skdiffence.utils._validation import as_floats, as_labels
from tests.nets import make_net

X = np.random.default_rng(0).standard_normal((40, 2))
Y = np.arange(40) % 2
IS_MEMBER = np.arange(40) < 20
MODEL = KNeighborsClassifier(1).fit(X, Y)
OTHERS = [KNeighborsClassifier(1).fit(X[half], Y[half]) for half in (IS_MEMBER, ~IS_MEMBER)]
SHADOWS = {"estimator": OTHERS, "indices": {"train": [np.arange(20), np.arange(20, 40)]}}

TAKES_LABELS = {
    "DefendedClassifier": lambda y: DefendedClassifier(MODEL, "passthrough").fit(X, y),
    "OutputClassifier": lambda y: OutputClassifier(MODEL).fit(X, y),
    "SELENAClassifier": lambda y: SELENAClassifier(MODEL).fit(X, y),
    "attack": lambda y: ThresholdAttack("entropy").fit(MODEL, X, y, IS_MEMBER),
    "label attack": lambda y: CorrectnessAttack().fit(MODEL, X, y, IS_MEMBER),
    "query": lambda y: query(MODEL, X, y),
    "shadows": lambda y: train_shadows(MODEL, X, y, n_shadows=2),
    "LiRA": lambda y: LiRAAttack(SHADOWS, pool=(X, y)).fit(MODEL, X, Y, IS_MEMBER),
    "audit": lambda y: audit(MODEL, (X, y), (X + 1, y)),
    "canary_audit": lambda y: canary_audit(MODEL, X, y),
    "canaries": lambda y: make_canaries(X, y, n_canaries=4),
    "scorer": lambda y: AttackScorer(["entropy"], pool=(X, Y))(MODEL, X, y),
    "pool": lambda y: AttackScorer(["entropy"], pool=(X, y))(MODEL, X, Y),
    "label_columns": lambda y: label_columns(y, [0, 1]),
    "signal": lambda y: confidence_signal(y, np.full((40, 2), 0.5)),
}


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, "a"] * 20, "y.* must hold labels of one type. Got labels of the types int, str"),
        (np.array([0, "a"] * 20, dtype=object), "y.* must hold labels of one type"),
        ([[0], [1, 2]] * 20, "y.* must hold one label for each row. Got"),
        ([None, "a"] * 20, "y.* must hold a label for each row. Got 20 missing ones"),
        (pd.Series([pd.NA, 1] * 20, dtype="Int64"), "y.* must hold (a label for each row|finite labels). Got 20"),
        (np.ma.masked_equal(Y, 1), "y.* must not have masked values"),
    ],
    ids=["mixed", "objects", "ragged", "none", "nullable", "masked"],
)
@pytest.mark.parametrize("name", TAKES_LABELS)
def test_labels_that_are_no_labels(name, labels, message):
    """NumPy's own errors name no parameter, a list of numbers and text becomes text, and a mask is dropped."""
    with pytest.raises(ValueError, match=message):
        TAKES_LABELS[name](labels)


@pytest.mark.parametrize(
    "labels",
    [
        [0, 1],
        ["a", "b"],
        [True, False],
        [1.0, 2.0],
        [np.int64(1), 2],
        [np.str_("a"), "b"],
        [b"a", b"b"],
        [1, 2.0, True],
    ],
)
def test_labels_of_one_type_pass(labels):
    """Numbers of several types are numbers."""
    np.testing.assert_array_equal(as_labels(labels), np.asarray(labels))
    np.testing.assert_array_equal(as_labels(pd.Series(labels)), np.asarray(labels))


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (np.ma.masked_less(np.arange(4.0), 1), "y_score must not have masked values"),
        ([[1], [2, 3], [4], [5]], "y_score must be an array of numbers. Got list"),
        (["a", "b", "c", "d"], "y_score must be an array of numbers. Got dtype <U1"),
        (np.arange(4).astype("datetime64[s]"), "y_score must be an array of numbers. Got dtype datetime64"),
        ([1j, 2, 3, 4], "y_score must be an array of numbers. Got dtype complex128"),
        ([None, 1, 2, 3], "y_score must be finite"),
    ],
)
def test_scores_that_are_no_scores(scores, message):
    """Dates are no numbers, and the imaginary part of a score is not dropped."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match=message):
            tpr_at_fpr_score([0, 1, 0, 1], scores, max_fpr=0.1)


def test_probabilities_and_memberships_with_a_mask():
    """What lies under the mask would be taken for an answer."""
    proba = np.ma.masked_equal(np.full((2, 2), 0.5), 0.5)
    with pytest.raises(ValueError, match="y_proba must not have masked values"):
        logit_signal([0, 1], proba)
    with pytest.raises(ValueError, match="is_member must not have masked values"):
        ThresholdAttack("entropy").fit(MODEL, X, Y, np.ma.array(IS_MEMBER, mask=IS_MEMBER))
    assert as_floats(np.ma.array([1, 2]), "x").tolist() == [1, 2]


class Unpacking(nn.Module):
    """Takes images only."""

    def forward(self, X):
        n, _, _, _ = X.shape
        return torch.full((n, 2), 0.5)


@pytest.mark.parametrize(
    ("module", "shape"),
    [
        (nn.Linear(3, 2), (2,)),
        (nn.Conv2d(3, 2, 3), (1, 8, 8)),
        (nn.Conv2d(1, 2, 9), (1, 4, 4)),
        (nn.BatchNorm1d(3), (2,)),
        (nn.BatchNorm2d(3), (3,)),
        (nn.LayerNorm(5), (2,)),
        (nn.Sequential(nn.Flatten(2), nn.Linear(2, 2)), (2,)),
        (nn.Unflatten(1, (2, 3)), (7,)),
        (nn.LSTM(4, 2), (3, 5)),
        (Unpacking(), (2,)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else str(value),
)
def test_torchs_errors_about_shapes_name_the_rows(module, shape):
    """A user does not know which matrix mat1 is."""
    rows = torch.zeros(6, *shape)
    message = r"X must have rows that the net's module takes. Got rows of shape \("
    with pytest.raises(ValueError, match=message), explained_shapes(rows):
        module(rows)


@pytest.mark.parametrize("error", [RuntimeError("out of luck"), ValueError("size mismatch"), IndexError("list index")])
def test_other_errors_are_passed_on(error):
    """Those of the user's own code, and of this library, are not torch's."""
    with pytest.raises(type(error), match=str(error)), explained_shapes(X):
        raise error


@pytest.mark.parametrize("frozen", [False, True])
def test_rows_that_do_not_fit_the_module(frozen):
    """By a defense at fit, and by an attack on the bare net."""
    net = make_net(max_epochs=1, module__n_features=5, module__n_classes=2)
    trained = net.fit(np.zeros((4, 5), dtype=np.float32), np.array([0, 1, 0, 1]))
    with pytest.raises(ValueError, match=r"rows that the net's module takes. Got rows of shape \(2,\)"):
        DefendedClassifier(FrozenEstimator(trained) if frozen else net, "passthrough").fit(X, Y)
    with pytest.raises(ValueError, match=r"rows that the net's module takes. Got rows of shape \(2,\)"):
        audit(trained, (X[:20].astype(np.float32), Y[:20]), (X[20:].astype(np.float32), Y[20:]))


def test_figures_that_cannot_be_measured_are_named():
    """A NaN without a word looks like an error of the library."""
    with pytest.warns(UndefinedMetricWarning, match="nothing to measure failure_detection_auc by"):
        numbers = AttackScorer(["confidence"], pool=(X, Y, IS_MEMBER), random_state=0)(FrozenEstimator(MODEL), X, Y)
    assert np.isnan(numbers["failure_detection_auc"])
    assert np.isfinite(numbers["confidence_roc_auc"])

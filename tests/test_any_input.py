"""Arrays, frames and tensors of any kind: what comes back is right in form, or an error names what is wrong."""

import os
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from functools import cache

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.neighbors import KNeighborsClassifier

from skdiffence.attacks import (
    LabelOnlyAttack,
    LabelOnlyReferenceAttack,
    QuantileAttack,
    RepeatedQueryAttack,
    ThresholdAttack,
    query,
)
from skdiffence.datasets import make_canaries
from skdiffence.defenses import (
    AugmentedClassifier,
    DefendedClassifier,
    MemGuardClassifier,
    OutputClassifier,
    OutputNoiseClassifier,
    SELENAClassifier,
)
from skdiffence.diffusion import DiffusionRegenerator
from skdiffence.inspection._audit_rows import audit_rows
from skdiffence.metrics import auc_interval, tpr_at_fpr_score
from skdiffence.model_selection import AttackScorer
from skdiffence.utils._frames import is_frame
from skdiffence.utils._sklearn import num_samples
from tests.nets import make_net

polars = pytest.importorskip("polars")

N_FEATURES, SHAPE = 3, (1, 4, 4)
RNG = np.random.default_rng(0)
ROWS, IMAGES, LABELS = RNG.standard_normal((24, N_FEATURES)), RNG.random((24, *SHAPE)), np.arange(24) % 2
QUICK = {"max_epochs": 1, "timestep": 20, "random_state": 0}
#: Examples of the default run, and of a long one.
N_EXAMPLES = int(os.environ.get("SKDIFFENCE_EXAMPLES", "60"))

DTYPES = ["f8", "f4", "f2", "i8", "i4", "u1", "i1", "u8", "?", ">f4", ">i8", "g", "O", "U8", "c16", "M8[s]"]
COMMON = DTYPES[:9]
FORMS = {
    "as it is": lambda X: X,
    "Fortran order": np.asfortranarray,
    "every second row": lambda X: np.repeat(X, 2, axis=0)[::2],
    "backwards": lambda X: X[::-1, ..., ::-1],
    "list": np.ndarray.tolist,
    "tuple": lambda X: tuple(X.tolist()),
    "tensor": lambda X: torch.from_numpy(X.copy()),
    "needs gradient": lambda X: torch.from_numpy(X.astype(np.float32)).requires_grad_(),
    "pandas": lambda X: pd.DataFrame(X.reshape(len(X), -1)).rename(columns=str),
    "nullable": lambda X: pd.DataFrame(X.reshape(len(X), -1)).rename(columns=str).convert_dtypes(),
    "polars": lambda X: polars.DataFrame({str(place): column for place, column in enumerate(X.reshape(len(X), -1).T)}),
    "no value masked": np.ma.array,
    "masked": lambda X: np.ma.array(X, mask=np.arange(X.size).reshape(X.shape) % 5 == 0),
    "sparse": lambda X: sparse.csr_array(X.reshape(len(X), -1)),
}


def read_only(X):
    X = X.copy()
    X.flags.writeable = False
    return X


def mapped(X):
    with tempfile.TemporaryFile() as file:
        made = np.memmap(file, dtype=X.dtype, shape=X.shape, mode="w+")
    made[...] = X
    return made


FORMS |= {"read-only": read_only, "memmap": mapped}
USUAL = [name for name in FORMS if name not in ("masked", "sparse", "needs gradient")]


def mostly(usual, others):
    """Return a strategy that takes one of the usual ones 29 times of 30, so that most inputs get far."""
    return st.integers(0, 29).flatmap(lambda number: st.sampled_from(usual if number else others))


@st.composite
def inputs(draw, shape):
    """Rows or images of a shape, mostly; their form, dtype, range and missing values are drawn."""
    n = draw(mostly([8, 9, 12], [0, 1, 2]))
    shape = draw(mostly([shape], [(), (2,), (5,), (1, 3, 3), (2, 2)]))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    X = rng.standard_normal((n, *shape)) * draw(st.sampled_from([0, 1, 1, 1, 1e-30, 1e9])) + draw(
        st.sampled_from([0, 0, 0, 1.7e9, -1e6])
    )
    holes = draw(mostly([None], [np.nan, np.inf, 1e300]))
    if holes is not None:
        X[rng.random(X.shape) < draw(st.sampled_from([0.1, 1]))] = holes
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        X = X.astype(draw(mostly(COMMON, DTYPES)))
        name = draw(mostly(USUAL, list(FORMS)))
        try:
            return name, FORMS[name](X)
        except (IndexError, TypeError, ValueError):  # a form that has no such dtype or shape
            return "as it is", X


@cache
def fitted(name):
    """Return an estimator that is fitted to rows or images of the usual kind."""
    net = make_net(max_epochs=1, module__n_features=N_FEATURES, module__n_classes=2)
    trained = net.fit(ROWS.astype(np.float32), LABELS)
    pixels = make_net(max_epochs=1, module__n_features=16, module__n_classes=2)
    for_rows = DiffusionRegenerator({"width": 4}, **QUICK)
    for_images = DiffusionRegenerator({"block_out_channels": (32,)}, value_range=(-4, 4), **QUICK)
    return {
        "rows": lambda: for_rows.fit(ROWS),
        "images": lambda: for_images.fit(IMAGES),
        "net": lambda: DefendedClassifier(net, for_rows, n_candidates=2, random_state=0).fit(ROWS, LABELS),
        "pixels": lambda: DefendedClassifier(pixels, for_images, n_candidates=2, random_state=0).fit(IMAGES, LABELS),
        "views": lambda: AugmentedClassifier(pixels, random_state=0).fit(IMAGES, LABELS),
        "trees": lambda: DefendedClassifier(
            HistGradientBoostingClassifier(max_iter=3), for_rows, n_candidates=2, random_state=0
        ).fit(ROWS, LABELS),
        "frozen": lambda: DefendedClassifier(FrozenEstimator(trained), "passthrough").fit(ROWS, LABELS),
        "noise": lambda: OutputNoiseClassifier(net, random_state=0).fit(ROWS, LABELS),
        "coarse": lambda: OutputClassifier(KNeighborsClassifier(1)).fit(ROWS, LABELS),
        "memguard": lambda: MemGuardClassifier(KNeighborsClassifier(1), random_state=0).fit(ROWS, LABELS),
        "neighbors": lambda: KNeighborsClassifier(1).fit(ROWS, LABELS),
        "attack": lambda: ThresholdAttack("entropy").fit(fitted("net"), ROWS, LABELS, LABELS == 1),
        "quantile": lambda: QuantileAttack(random_state=0).fit(fitted("neighbors"), ROWS, LABELS, np.arange(24) < 12),
        "label_only": lambda: LabelOnlyAttack("noise", n_queries=3, random_state=0).fit(
            fitted("neighbors"), ROWS, LABELS, np.arange(24) < 12
        ),
        "repeated": lambda: RepeatedQueryAttack(2, neighbor="gray", random_state=0).fit(
            fitted("net"), ROWS, LABELS, np.arange(24) < 12
        ),
        "reference": lambda: LabelOnlyReferenceAttack(KNeighborsClassifier(1)).fit(
            fitted("neighbors"), ROWS, LABELS, np.arange(24) < 12
        ),
    }[name]()


def labels_of(X):
    return np.arange(num_samples(X)) % 2


CALLS = {
    "net": lambda X: fitted("net").predict_proba(X),
    "labels": lambda X: fitted("net").predict(X),
    "trees": lambda X: fitted("trees").predict_proba(X),
    "frozen": lambda X: fitted("frozen").predict_proba(X),
    "noise": lambda X: fitted("noise").predict_proba(X),
    "coarse": lambda X: fitted("coarse").predict_proba(X),
    "regenerate": lambda X: fitted("rows").regenerate(X, 1),
    "fit regenerator": lambda X: DiffusionRegenerator({"width": 4}, **QUICK).fit(X).transform(X),
    "fit defense": lambda X: (
        DefendedClassifier(make_net(max_epochs=1, module__n_features=N_FEATURES, module__n_classes=2), "passthrough")
        .fit(X, labels_of(X))
        .predict_proba(X)
    ),
    "query": lambda X: query(fitted("net"), X, labels_of(X)).proba,
    "attack": lambda X: fitted("attack").score_samples(X, labels_of(X)),
    "quantile": lambda X: fitted("quantile").score_samples(X, labels_of(X)),
    "reference": lambda X: fitted("reference").score_samples(X, labels_of(X)),
    "label_only": lambda X: fitted("label_only").score_samples(X, labels_of(X)),
    "repeated": lambda X: fitted("repeated").score_samples(X, labels_of(X)),
    "memguard": lambda X: fitted("memguard").predict_proba(X),
    "fit sub-models": lambda X: (
        SELENAClassifier(KNeighborsClassifier(1), n_estimators=3, n_excluded=1, distill=False, random_state=0)
        .fit(X, labels_of(X))
        .predict_proba(X)
    ),
    "canaries": lambda X: make_canaries(X, labels_of(X), kind="blank", n_canaries=2, random_state=0).X,
    "audit": lambda X: (
        [audit_rows([fitted("net")], (X, labels_of(X)), (ROWS, LABELS), 0)[1]["n_members"]] * num_samples(X)
    ),
    "scorer": lambda X: (
        [AttackScorer(["confidence"])(fitted("net"), X, labels_of(X), is_member=labels_of(X))["accuracy"]]
        * num_samples(X)
    ),
}
ON_IMAGES = {
    "pixels": lambda X: fitted("pixels").predict_proba(X),
    "views": lambda X: fitted("views").predict_proba(X),
    "regenerate images": lambda X: fitted("images").transform(X),
}
ON_NUMBERS = {
    "scores": lambda X: [tpr_at_fpr_score(labels_of(X), X, max_fpr=0.1)] * num_samples(X),
    "interval": lambda X: [auc_interval(labels_of(X), X)[0]] * num_samples(X),
}
SHAPES = dict.fromkeys(CALLS, (N_FEATURES,)) | dict.fromkeys(ON_IMAGES, SHAPE) | dict.fromkeys(ON_NUMBERS, ())


def check(call, X, counts):
    """Raise an AssertionError unless the call returns an answer for each row, or names what is wrong."""
    reached = []
    hook = torch.nn.modules.module.register_module_forward_pre_hook(lambda *_: reached.append(True))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            answer = call(X)
    except (ValueError, TypeError) as error:
        where = traceback.extract_tb(error.__traceback__)[-1].filename
        assert str(error)
        assert "/torch/" not in where, f"raised inside torch: {error}"
        counts["refused"] += 1
        return
    finally:
        hook.remove()
        counts["reached a network"] += bool(reached)
        counts["all"] += 1
    assert num_samples(answer) == num_samples(X)
    values = np.asarray(answer, dtype=np.float64)
    gaps = np.isnan(np.asarray(X, dtype=np.float64)).any() if is_frame(X) or len(np.shape(answer)) > 1 else False
    assert np.isfinite(values).all() or (gaps and values.shape == np.shape(X))


COUNTS = Counter()


@settings(
    max_examples=N_EXAMPLES, deadline=None, derandomize=N_EXAMPLES < 1000, suppress_health_check=list(HealthCheck)
)
@given(data=st.data())
def test_any_input_is_answered_or_refused_by_name(data):
    """Never an error of torch, an answer of NaN, or one of another length."""
    name = data.draw(st.sampled_from(list(SHAPES)))
    _, X = data.draw(inputs(SHAPES[name]))
    check((CALLS | ON_IMAGES | ON_NUMBERS)[name], X, COUNTS)


def test_most_inputs_get_far(capsys):
    """Inputs that are refused at the first look test little; the shares are printed."""
    if not COUNTS["all"]:
        pytest.skip("needs the inputs of the test above")
    shares = {name: COUNTS[name] / COUNTS["all"] for name in ("refused", "reached a network")}
    with capsys.disabled():
        told = ", ".join(f"{share:.0%} {name}" for name, share in shares.items())
        sys.stdout.write(f"\n{COUNTS['all']} inputs: {told}\n")
    assert shares["refused"] < 0.4
    assert shares["reached a network"] > 0.3

"""Digests of what objects mean."""

import copy
import functools
import pickle
import subprocess
import sys
import threading
from collections import OrderedDict, namedtuple

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from sklearn.base import BaseEstimator, clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from skorch.callbacks import LRScheduler
from torch import nn

from skdiffence.utils._fingerprint import fingerprint, is_library
from tests.nets import CNN, MLP, make_net


class Tree(BaseEstimator):
    """Its parameter holds itself."""

    def __init__(self, child=None):
        self.child = child


class Calling:
    """A callable that holds what it uses."""

    def __init__(self, part):
        self.part = part

    def __call__(self, X):
        return self.part.transform(X)


class Sharing(StandardScaler):
    """Its clones are itself."""

    def __sklearn_clone__(self):
        return self

    def filled(self, scaler):
        """Return it as fitted as a scaler is."""
        self.mean_ = scaler.mean_
        return self


Pair = namedtuple("Pair", ["first", "second"])


def defined(source, name="function"):
    """Return what a piece of source defines, as a notebook's cell would."""
    namespace = {"__name__": "__main__"}
    exec(source, namespace)
    return namespace[name]


def module(weight):
    """Return a small torch module with given weights."""
    linear = nn.Linear(2, 1)
    nn.init.constant_(linear.weight, weight)
    nn.init.zeros_(linear.bias)
    return nn.Sequential(linear)


X = np.arange(6.0).reshape(3, 2)
SPARSE = ["csr", "csc", "coo", "lil", "dok", "bsr", "dia"]
# Each entry makes a value anew; no two mean the same.
MEANINGS = {
    "none": lambda: None,
    "integer": lambda: 1,
    "float": lambda: 1.0,
    "bool": lambda: True,
    "string": lambda: "1",
    "dates": lambda: np.array(["2020-01-01", "2020-01-02"], dtype="M8[D]"),
    "other dates": lambda: np.array(["2020-01-01", "2020-01-03"], dtype="M8[D]"),
    "seconds": lambda: np.array([1, 2], dtype="m8[s]"),
    "minutes": lambda: np.array([1, 2], dtype="m8[m]"),
    "bytes": lambda: b"1",
    "list": lambda: [1, "a"],
    "tuple": lambda: (1, "a"),
    "nested": lambda: [[1], "a"],
    "dict": lambda: {"a": 1, "b": [2]},
    "ordered dict": lambda: OrderedDict(a=1, b=[2]),
    "ordered dict in another order": lambda: OrderedDict(b=[2], a=1),
    "net with layers": lambda: make_net(module__layers=OrderedDict(first=nn.Tanh, second=nn.ReLU)),
    "net with layers in another order": lambda: make_net(module__layers=OrderedDict(second=nn.ReLU, first=nn.Tanh)),
    "set": lambda: {"a", "b", "c"},
    "array": lambda: X,
    "transposed": lambda: X.T,
    "reordered": lambda: X[::-1],
    "float32": lambda: X.astype(np.float32),
    "frame": lambda: pd.DataFrame(X, columns=["a", "b"]),
    "frame with other names": lambda: pd.DataFrame(X, columns=["a", "c"]),
    "frame with a text": lambda: pd.DataFrame({"a": [1, 2, 3], "b": ["x", "y", None]}),
    "series": lambda: pd.Series(X[:, 0]),
    "sparse": lambda: sparse.csr_matrix(X),
    **{f"{kind} array": (lambda kind=kind: sparse.csr_array(X).asformat(kind)) for kind in SPARSE},
    **{f"{kind} array, doubled": (lambda kind=kind: sparse.csr_array(2 * X).asformat(kind)) for kind in SPARSE},
    "tensor": lambda: torch.tensor(X),
    "texts": lambda: np.array(["a", "b"]),
    "objects": lambda: np.array(["a", None, 3], dtype=object),
    "classifier": lambda: LogisticRegression(C=2.0),
    "other parameter": lambda: LogisticRegression(C=3.0),
    "forest": lambda: RandomForestClassifier(random_state=np.random.RandomState(0)),
    "forest with another seed": lambda: RandomForestClassifier(random_state=np.random.RandomState(1)),
    "generator": lambda: np.random.default_rng(0),
    "pipeline": lambda: make_pipeline(StandardScaler(), LogisticRegression()),
    "pipeline with another step": lambda: make_pipeline(StandardScaler(with_mean=False), LogisticRegression()),
    "frozen": lambda: FrozenEstimator(StandardScaler().fit(X)),
    "frozen on other rows": lambda: FrozenEstimator(StandardScaler().fit(X + 1)),
    "frozen pipeline": lambda: FrozenEstimator(make_pipeline(StandardScaler()).fit(X)),
    "frozen pipeline on other rows": lambda: FrozenEstimator(make_pipeline(StandardScaler()).fit(X + 1)),
    "net": lambda: make_net(),
    "net of another module": lambda: make_net(CNN),
    "net with more epochs": lambda: make_net(max_epochs=6),
    "net with a callback": lambda: make_net(callbacks=[("rate", LRScheduler("StepLR", step_size=3))]),
    "net with another callback": lambda: make_net(callbacks=[("rate", LRScheduler("StepLR", step_size=4))]),
    "net with a partial": lambda: make_net(functools.partial(MLP, width=4)),
    "module": lambda: module(1.0),
    "module with other weights": lambda: module(2.0),
    "library function": lambda: FunctionTransformer(np.log1p),
    "built-in": lambda: len,
    "method": lambda: "a".upper,
    "class": lambda: MLP,
    "lambda": lambda: lambda x: x + 1,
    "other lambda": lambda: lambda x: x + 2,
}


@pytest.mark.parametrize("name", MEANINGS)
def test_equal_meaning_equal_digest(name):
    """A value made twice is the same."""
    assert fingerprint(MEANINGS[name]()) == fingerprint(MEANINGS[name]())


def test_no_two_meanings_share_a_digest():
    """Types, values, shapes, orders, names and weights all count."""
    digests = {}
    for name, make in MEANINGS.items():
        other = digests.setdefault(fingerprint(make()), name)
        assert other == name


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        (np.float64(1.5), 1.5),
        (np.asfortranarray(X), X),
        (LogisticRegression(verbose=1, n_jobs=2), LogisticRegression()),
    ],
)
def test_what_does_not_matter(first, second):
    """The order of a dict, the layout of an array, NumPy's numbers, and how results are shown or how fast they come."""
    assert fingerprint(first) == fingerprint(second)


ORIGINAL = """
SCALE = 2
def helper(x):
    return x * SCALE
def function(x, power=2):
    return helper(x) ** power
class Classifier:
    names = {"a", "b"}
    def fit(self, X):
        return [helper(x) for x in X]
"""


@pytest.mark.parametrize("name", ["function", "Classifier"])
@pytest.mark.parametrize(
    ("old", "new"), [("SCALE = 2", "SCALE = 3"), ("x * SCALE", "x + SCALE"), ("return [", "return 1, ["), ("=2", "=3")]
)
def test_changed_code_is_another_meaning(name, old, new):
    """Of a function of no library its constants, its defaults, its helpers and their constants count."""
    is_used = {"return [": name == "Classifier", "=2": name == "function"}.get(old, True)
    changed = ORIGINAL.replace(old, new)
    assert changed != ORIGINAL
    same = fingerprint(defined(ORIGINAL, name)) == fingerprint(defined(changed, name))
    assert same is not is_used


def test_comments_and_places_do_not_matter():
    """The same code further down in a file is the same."""
    moved = "# A comment.\n\n" + ORIGINAL.replace("return helper", "# Why.\n    return helper")
    assert fingerprint(defined(ORIGINAL)) == fingerprint(defined(moved))


def test_closures_count():
    """What a function captured is part of it."""
    maker = defined("def function(n):\n    return lambda x: x + n")
    assert fingerprint(maker(1)) == fingerprint(maker(1)) != fingerprint(maker(2))


def with_default(scaler):
    """Return a function with a scaler among its defaults."""
    return lambda X, scaler=scaler: scaler.transform(X)


def with_attribute(scaler):
    """Return a function with a scaler among its attributes."""

    def function(X):
        return function.scaler.transform(X)

    function.scaler = scaler
    return function


def with_global(scaler):
    """Return a function that uses a scaler of its module."""
    function = defined("def function(X):\n    return scaler.transform(X)")
    function.__globals__["scaler"] = scaler
    return function


def bound_to_itself(scaler):
    """Return an estimator one of whose parameters is its own method, fitted as a scaler."""
    transformer = FunctionTransformer()
    transformer.scaler_, transformer.func = scaler, transformer.transform
    return transformer


SHARED = {
    "bound method": lambda scaler: FunctionTransformer(scaler.transform),
    "partial of a bound method": lambda scaler: FunctionTransformer(functools.partial(scaler.transform, copy=True)),
    "closure": lambda scaler: FunctionTransformer(lambda X: scaler.transform(X)),
    "default": lambda scaler: FunctionTransformer(with_default(scaler)),
    "attribute of a function": lambda scaler: FunctionTransformer(with_attribute(scaler)),
    "global": lambda scaler: FunctionTransformer(with_global(scaler)),
    "callable": lambda scaler: FunctionTransformer(Calling(scaler)),
    "callable in a dict": lambda scaler: FunctionTransformer(kw_args={"by": Calling(scaler)}),
    "subclass of tuple": lambda scaler: Tree(Pair(scaler, 1)),
    "ordered dict": lambda scaler: Tree(OrderedDict(scaler=scaler)),
    "array": lambda scaler: Tree(np.array([scaler, None], dtype=object)),
    "method of a pipeline": lambda scaler: make_pipeline(FunctionTransformer(make_pipeline(scaler).transform)),
    "net": lambda scaler: make_net(module__scale=scaler.transform),
    "frozen": lambda scaler: make_pipeline(FrozenEstimator(scaler)),
    "shared by itself": lambda scaler: make_pipeline(Sharing().filled(scaler)),
    "method of itself": bound_to_itself,
    "parameter and method": lambda scaler: make_pipeline(scaler, FunctionTransformer(scaler.transform)),
}
STRIPPED = {
    "root": lambda scaler: scaler,
    "step": lambda scaler: make_pipeline(scaler, LogisticRegression()),
    "list": lambda scaler: Tree([scaler, (scaler, 1)]),
    "tree": lambda scaler: Tree(Tree(scaler)),
    "dict": lambda scaler: FunctionTransformer(kw_args={"by": scaler}),
    "set": lambda scaler: Tree({scaler}),
    "net": lambda scaler: make_net(module__scale=scaler),
}


@pytest.mark.parametrize("name", SHARED)
def test_fitted_state_counts_where_clone_keeps_it(name):
    """Clones use what an estimator has learned whose method, say, is a parameter, so models trained so differ."""
    one, same, other = (StandardScaler().fit(rows) for rows in (X, X, X + 1))
    assert fingerprint(SHARED[name](one)) == fingerprint(SHARED[name](same)) != fingerprint(SHARED[name](other))


@pytest.mark.parametrize("name", STRIPPED)
def test_fitted_state_does_not_count_where_clone_removes_it(name):
    """As clones show, which have the same digest."""
    make = STRIPPED[name]
    fitted, unfitted = make(StandardScaler().fit(X)), make(StandardScaler())
    assert fingerprint(fitted) == fingerprint(unfitted) == fingerprint(clone(fitted))


def test_digests_are_equal_after_pickling_and_in_another_process():
    """What is kept in one process is found in the next."""
    models = [
        FunctionTransformer(StandardScaler().fit(X).transform),
        FunctionTransformer(Calling(RandomForestClassifier(3, random_state=0).fit(X, [0, 1, 0]))),
        make_pipeline(FrozenEstimator(StandardScaler().fit(X)), make_net()),
        Tree({"a", "b", "c"}),
    ]
    expected = fingerprint(*models).hex()
    kept = pickle.dumps(models)
    assert fingerprint(*pickle.loads(kept)).hex() == expected
    code = (
        "import pickle, sys; from skdiffence.utils._fingerprint import fingerprint; "
        "print(fingerprint(*pickle.loads(sys.stdin.buffer.read())).hex())"
    )
    found = subprocess.run([sys.executable, "-c", code], input=kept, capture_output=True, check=True)
    assert found.stdout.decode().strip() == expected


def test_use_does_not_matter():
    """Python notes things on classes that are pickled or inherited from."""
    cls = defined(ORIGINAL, "Classifier")
    before = fingerprint(cls)
    copy.copy(cls())
    type("Child", (cls,), {})
    assert fingerprint(cls) == before


def test_a_value_may_hold_itself():
    """Cycles end."""
    first, second, other = Tree(), Tree(), Tree()
    first.child, second.child, other.child = [first], [second], [other, other]
    assert fingerprint(first) == fingerprint(second) != fingerprint(other)


def test_unreadable_state_is_refused():
    """Better no digest than one that means nothing."""
    with pytest.raises(TypeError, match="lock has a state that cannot be read"):
        fingerprint(Tree(threading.Lock()))


@pytest.mark.parametrize(
    ("module_name", "expected"),
    [("sklearn.base", True), ("builtins", True), ("torch.nn", True), ("__main__", False), ("tests.nets", False)],
)
def test_libraries(module_name, expected):
    """What is installed is known by its version, what is not by its code."""
    assert is_library(module_name) is expected

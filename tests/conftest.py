"""Settings of all tests: one thread, readable names of parameters, seeded global generators and a guard over them."""

import random
import sys
from functools import partial
from types import FunctionType

import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator
from sklearn.model_selection import BaseCrossValidator

# Several test processes share the cores, and a fixed count keeps floating-point sums in one order.
torch.set_num_threads(1)
_ID_LENGTH = 60
_LONGEST = ("test_pages.py", "test_kills.py")


def _generator_states():
    """Return the states of Python's, NumPy's and torch's global generators, comparable by ``==``."""
    kind, keys, position, *rest = np.random.get_state()
    return random.getstate(), (kind, keys.tobytes(), position, *rest), torch.get_rng_state().numpy().tobytes()


def pytest_collection_modifyitems(items):
    """Begin with the files that take longest, so that one worker isn't left with them when the others are done."""
    items.sort(key=lambda item: item.path.name not in _LONGEST)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup():
    """Seed the global generators before a test and its fixtures, for nets of skorch draw their weights from torch's."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def closed_figures():
    """Close the figures that a test leaves in pyplot, which the next one on the same worker would find."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.fixture
def untouched_generators():
    """Fail a test that reads or reseeds a global random generator; ask for it by ``usefixtures``."""
    before = _generator_states()
    yield
    names = ("random", "numpy.random", "torch")
    moved = [name for name, old, new in zip(names, before, _generator_states(), strict=True) if old != new]
    assert not moved, f"global generators were advanced: {moved}"


def pytest_make_parametrize_id(config, val, argname):
    """Name a parameter by its value, not by its place in the list."""
    return _readable(val)


def _readable(value):
    """Return a short text for what pytest would only number, or None for what it names well."""
    if isinstance(value, partial):
        return f"{_readable(value.func)}({_readable(value.keywords)})"
    if isinstance(value, FunctionType) and value.__name__ == "<lambda>":
        return ".".join(value.__code__.co_names) or "lambda"
    if isinstance(value, (FunctionType, type)):
        return value.__name__
    if isinstance(value, np.ndarray):
        return f"{value.dtype}{list(value.shape)}"
    if isinstance(value, dict):
        return ",".join(f"{key}={_text(each)}" for key, each in value.items())[:_ID_LENGTH] or "{}"
    if isinstance(value, (list, tuple, set)):
        return ",".join(map(_text, sorted(value, key=repr) if isinstance(value, set) else value))[:_ID_LENGTH] or "()"
    if isinstance(value, (BaseEstimator, BaseCrossValidator)) or "object at" in repr(value):
        text = repr(value)
        return type(value).__name__ if "<" in text or len(text) > _ID_LENGTH else text
    return None


def _text(value):
    return str(value) if (text := _readable(value)) is None else text

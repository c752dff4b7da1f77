"""Fixtures for all tests: one thread, and a guard over the global random generators."""

import random

import numpy as np
import pytest
import torch

# Several test processes share the cores, and a fixed count keeps floating-point sums in one order.
torch.set_num_threads(1)


def _generator_states():
    """Return the states of Python's, NumPy's and torch's global generators, comparable by ``==``."""
    kind, keys, position, *rest = np.random.get_state()
    return random.getstate(), (kind, keys.tobytes(), position, *rest), torch.get_rng_state().numpy().tobytes()


@pytest.fixture
def untouched_generators():
    """Fail a test that reads or reseeds a global random generator; ask for it by ``usefixtures``."""
    before = _generator_states()
    yield
    names = ("random", "numpy.random", "torch")
    moved = [name for name, old, new in zip(names, before, _generator_states(), strict=True) if old != new]
    assert not moved, f"global generators were advanced: {moved}"

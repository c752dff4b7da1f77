"""Compiled denoisers: few batch shapes, the same answers."""

import copy
import shutil

import joblib
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from skdiffence.diffusion import DiffusionRegenerator, _compiled
from skdiffence.diffusion._compiled import bucket_above, bucket_below, next_batch

ROWS = np.random.default_rng(0).normal(size=(40, 5))


@pytest.fixture
def shapes(monkeypatch):
    """Shapes that were compiled for, by a backend that compiles nothing."""
    seen = []

    def backend(graph, inputs):
        rows = [each for each in inputs if isinstance(each, torch.Tensor) and not isinstance(each, torch.nn.Parameter)]
        seen.append(len(rows[0]))
        return graph.forward

    monkeypatch.setattr(_compiled, "_BACKEND", backend)
    yield seen
    torch.compiler.reset()


def fitted(**parameters):
    return DiffusionRegenerator({"width": 8, "n_blocks": 1}, max_epochs=1, random_state=0, **parameters).fit(ROWS)


@given(st.integers(1, 100_000))
def test_buckets(n_rows):
    """Batches of 2, 8, 32, ... rows hold all rows, and less than half of each is padding but for a single row."""
    left, sizes = n_rows, []
    while left:
        taken = next_batch(left)
        sizes.append(bucket_above(taken))
        assert sizes[-1] <= 2 * taken
        left -= taken
    assert set(sizes) <= {2 * 4**k for k in range(10)}
    assert left == 0
    assert sizes == sorted(sizes, reverse=True)
    assert bucket_below(n_rows) == max([1, *(2 * 4**k for k in range(10) if 2 * 4**k <= n_rows)])


def test_few_shapes(shapes):
    """Batches of all sizes up to 32 are compiled for three shapes, and answered as without compilation."""
    plain, compiled = fitted(), fitted(compile=True)
    for n_rows in range(1, 33):
        np.testing.assert_allclose(compiled.transform(ROWS[:n_rows]), plain.transform(ROWS[:n_rows]), atol=1e-6)
    assert sorted(set(shapes)) == [2, 8, 32]
    assert len(shapes) == 3


def test_exact_batches_have_one_shape(shapes):
    """With exact=True every batch is of the same shape, compiled or not."""
    exact = fitted(exact=True, compile=True)
    alone = np.concatenate([exact.transform(row[None]) for row in ROWS])
    np.testing.assert_array_equal(exact.transform(ROWS), alone)
    assert shapes == [32]


def test_copies_are_not_compiled(shapes, tmp_path):
    """A compiled regenerator can be copied and written, and what is read answers the same."""
    compiled = fitted(compile=True)
    answer = compiled.transform(ROWS)
    joblib.dump(compiled, tmp_path / "regenerator.joblib")
    n_compiled = len(shapes)
    for copied in (copy.deepcopy(compiled), joblib.load(tmp_path / "regenerator.joblib")):
        np.testing.assert_allclose(copied.transform(ROWS), answer, atol=1e-6)
    assert len(shapes) == 3 * n_compiled
    np.testing.assert_allclose(copied.set_params(compile=False).transform(ROWS), answer, atol=1e-6)


def test_out_of_memory_ends(monkeypatch):
    """Batches that are halved and padded again end at what fits."""
    compiled, sizes = fitted(compile=True), []

    def refuse(module, inputs):
        sizes.append(len(inputs[0]))
        if len(inputs[0]) > 8:
            raise torch.OutOfMemoryError("cramped")

    monkeypatch.setattr("skdiffence.diffusion._regenerator.compile_once", lambda network: network)
    answer = compiled.transform(ROWS)
    compiled.denoiser_.register_forward_pre_hook(refuse)
    np.testing.assert_allclose(compiled.transform(ROWS), answer, atol=1e-6)
    assert sizes[0] == 32
    assert set(sizes) == {32, 8}


# torch imports a part of its own that it has deprecated.
@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning")
@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
def test_inductor_answers_the_same():
    """The compiler itself, on a network that takes it a few seconds."""
    compiled = fitted(compile=True)
    np.testing.assert_allclose(compiled.transform(ROWS[:2]), fitted().transform(ROWS[:2]), atol=1e-5)
    torch.compiler.reset()

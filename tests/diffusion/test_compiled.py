"""Compiled denoisers: few batch shapes, the same answers."""

import copy
import gc
import shutil
import weakref

import joblib
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from skdiffence.diffusion import DiffusionRegenerator, _compiled
from skdiffence.diffusion._compiled import bucket_above, bucket_below, next_batch

UNET = {"block_out_channels": (4, 4), "add_attention": False}
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
    """Batches of 1, 8, 32, ... rows hold all rows, and no more than half of any is padding."""
    known = [1, *(8 * 4**k for k in range(10))]
    left, sizes = n_rows, []
    while left:
        taken = next_batch(left)
        sizes.append(bucket_above(taken))
        assert sizes[-1] <= 2 * taken
        left -= taken
    assert left == 0
    assert set(sizes) <= set(known)
    assert sizes == sorted(sizes, reverse=True)
    assert bucket_above(n_rows) == min(size for size in known if size >= n_rows)
    assert bucket_below(n_rows) == max(size for size in known if size <= n_rows)


def test_few_shapes(shapes):
    """Batches of all sizes up to 40 are compiled for three shapes, and answered as without compilation."""
    plain, compiled = fitted(), fitted(compile=True)
    for n_rows in range(1, 41):
        np.testing.assert_allclose(compiled.transform(ROWS[:n_rows]), plain.transform(ROWS[:n_rows]), atol=1e-6)
    assert sorted(shapes) == [1, 8, 32]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_unet(shapes, precision):
    """A UNet, with channels last."""
    X = np.random.default_rng(0).random((9, 3, 16, 16), dtype=np.float32)
    plain = DiffusionRegenerator(UNET, max_epochs=1, precision=precision, random_state=0).fit(X)
    compiled = copy.deepcopy(plain).set_params(compile=True)
    np.testing.assert_allclose(compiled.transform(X), plain.transform(X), atol=1e-6 if precision == "float32" else 0.05)
    assert shapes == [8, 1]


def test_exact_batches_have_one_shape(shapes):
    """With exact=True every batch is of the same shape, compiled or not."""
    exact = fitted(exact=True, compile=True)
    alone = np.concatenate([exact.transform(row[None]) for row in ROWS])
    np.testing.assert_array_equal(exact.transform(ROWS), alone)
    assert shapes == [32]


def test_copies_are_compiled_anew(shapes, tmp_path):
    """A compiled regenerator can be copied and written, and what is read answers the same."""
    compiled = fitted(compile=True)
    answer = compiled.transform(ROWS)
    joblib.dump(compiled, tmp_path / "regenerator.joblib")
    n_compiled = len(shapes)
    for copied in (copy.deepcopy(compiled), joblib.load(tmp_path / "regenerator.joblib")):
        np.testing.assert_allclose(copied.transform(ROWS), answer, atol=1e-6)
    assert len(shapes) == 3 * n_compiled


def test_compilation_can_be_switched_off(shapes):
    """The denoiser itself is not touched: without compile=True nothing is compiled any more."""
    compiled = fitted(compile=True)
    answer = compiled.transform(ROWS)
    n_compiled = len(shapes)
    compiled.set_params(compile=False)
    for n_rows in (3, 5, 40):
        np.testing.assert_allclose(compiled.transform(ROWS[:n_rows]), answer[:n_rows], atol=1e-6)
    assert len(shapes) == n_compiled
    compiled.set_params(compile=True).fit(ROWS + 1).transform(ROWS)
    assert len(shapes) == 2 * n_compiled


@pytest.mark.parametrize("n_regenerators", [1, 2])
def test_threads_compile_a_shape_once(shapes, n_regenerators):
    """Threads that want the same shape wait for the first one, and do not disturb those of another regenerator."""
    compiled = [fitted(compile=True) for _ in range(n_regenerators)]
    calls = [(regenerator, n_rows) for n_rows in [1, 8, 32] * 4 for regenerator in compiled]
    answers = joblib.Parallel(n_jobs=6, backend="threading")(
        joblib.delayed(regenerator.transform)(ROWS[:n_rows]) for regenerator, n_rows in calls
    )
    for (_, n_rows), answer in zip(calls, answers, strict=True):
        np.testing.assert_allclose(answer, fitted().transform(ROWS[:n_rows]), atol=1e-6)
    assert sorted(shapes) == sorted([1, 8, 32] * n_regenerators)


def test_forgotten_with_its_owner(shapes):
    """No compiled network outlives its regenerator."""
    compiled = fitted(compile=True)
    compiled.transform(ROWS)
    network = weakref.ref(compiled.denoiser_)
    del compiled
    gc.collect()
    assert network() is None


def test_out_of_memory_ends(shapes):
    """Batches that are halved and padded again end at what fits."""
    compiled, sizes = fitted(compile=True), []
    answer = compiled.transform(ROWS)

    def refuse(x, timesteps):
        sizes.append(len(x))
        if len(x) > 8:
            raise torch.OutOfMemoryError("cramped")
        return compiled.denoiser_(x, timesteps)

    _compiled.compiled(compiled, compiled.denoiser_)._call = refuse
    np.testing.assert_allclose(compiled.transform(ROWS), answer, atol=1e-6)
    assert set(sizes) == {32, 8}


# torch imports a part of its own that it has deprecated.
@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning")
@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
def test_inductor_answers_the_same():
    """The compiler itself, on a network that takes it a few seconds."""
    compiled = fitted(compile=True)
    np.testing.assert_allclose(compiled.transform(ROWS[:2]), fitted().transform(ROWS[:2]), atol=1e-5)
    torch.compiler.reset()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="asks a GPU")
def test_compiled_on_a_gpu_answers_the_same():
    """In float32, to its rounding."""
    X = np.random.default_rng(0).random((9, 3, 16, 16), dtype=np.float32)
    plain = DiffusionRegenerator(UNET, max_epochs=1, precision="float32", device="cuda", random_state=0).fit(X)
    compiled = copy.deepcopy(plain).set_params(compile=True)
    np.testing.assert_allclose(compiled.transform(X), plain.transform(X), atol=1e-4)
    torch.compiler.reset()

"""Rows in files, in bytes and in half precision: nothing as large as all of them is ever made."""

import subprocess
import sys

import numpy as np
import pytest
from joblib import Parallel, delayed
from sklearn.utils import gen_batches

from skdiffence import DefendedClassifier, DiffusionRegenerator
from skdiffence.diffusion import _space
from skdiffence.diffusion._space import RowSpace
from skdiffence.utils import _blocks, _rows
from skdiffence.utils._rows import data_digest, row_digests
from tests.defenses.cases import digits, quiet
from tests.defenses.regenerators import NoiseRegenerator
from tests.diffusion.networks import Linear
from tests.nets import CNN, make_net

# Of the data segment, which holds all that is allocated and nothing that is mapped from a file.
ALLOWED = 10 * 2**20
WORK = """
import resource, sys
import numpy as np
import torch
from torch import nn
from skdiffence import DefendedClassifier, DiffusionRegenerator, from_module
from skdiffence.utils import _blocks, _rows
from tests.diffusion.networks import Linear, ZeroNoise

torch.set_num_threads(1)
_blocks.BLOCK_BYTES, _rows._DENSE_VALUES = 2**20, 2**17  # as much smaller than usual as the file is
layers = nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4, 2)
net = from_module(nn.Sequential(*layers), ["cat", "dog"], std=[255.0], batch_size=16)
regenerator = DiffusionRegenerator(ZeroNoise(), timestep=20, value_range=(0, 255), key="k")
defended = DefendedClassifier(net, regenerator, selection="swap", random_state=0)
training = DiffusionRegenerator(Linear, timestep=20, max_epochs=1, batch_size=8, random_state=0)
few = np.arange(2 * 64**2 * 8, dtype=np.uint8).reshape(-1, 1, 64, 64)
for dtype in (np.uint8, np.float16):
    X = np.memmap(sys.argv[1], dtype=dtype, mode="r").reshape(-1, 1, 64, 64)
    y = np.arange(len(X)) % 2
    defended.fit(few, y[: len(few)]).predict_proba(few)
    trained = training.fit(few)
    held = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmData")) * 1024
    resource.setrlimit(resource.RLIMIT_DATA, (held + int(sys.argv[2]), resource.RLIM_INFINITY))
    assert len(defended.fit(X, y).predict(X)) == len(X)
    if dtype is np.uint8:
        assert len(defended.predict_proba(X)) == len(X)
        trained = training.fit(X)
        assert sum(len(trained.transform(X[rows])) for rows in _blocks.row_blocks(X)) == len(X)
    resource.setrlimit(resource.RLIMIT_DATA, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print("done")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the data segment")
def test_a_file_larger_than_memory(tmp_path):
    """Half of the size of a file is memory enough to fit, to train and to answer; in float32 it is up to 4 files."""
    with open(tmp_path / "rows", "wb") as rows:
        rows.truncate(2 * ALLOWED)  # zeros, which take no space
    command = [sys.executable, "-c", WORK, str(tmp_path / "rows"), str(ALLOWED)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "done\n", done.stderr


@pytest.mark.parametrize("dtype", [np.uint8, np.float16, np.int64, np.float64])
def test_nets_answer_alike_whatever_the_storage(dtype):
    """Rows stay as they are stored until a batch of them is needed, and candidates are not rounded to integers."""
    X, y = digits("images")
    X = np.rint(16 * X)  # exact in all of these types
    regenerator = DiffusionRegenerator(Linear, timestep=200, max_epochs=1, value_range=(0, 16), key="k")
    defended = DefendedClassifier(make_net(CNN, max_epochs=3), regenerator, selection="swap", random_state=0)
    defended = quiet(defended.fit, X.astype(np.float32), y)
    expected = defended.predict_proba(X.astype(np.float32))
    np.testing.assert_allclose(defended.predict_proba(X.astype(dtype)), expected, atol=1e-6)
    np.testing.assert_array_equal(defended.predict(X.astype(dtype)), defended.predict(X.astype(np.float32)))


def test_blocks_of_answers():
    """Answers that are too many for memory are asked for block by block, also by several processes, in any order."""
    X, y = digits("images")
    regenerator = DiffusionRegenerator(Linear, timestep=200, max_epochs=1, exact=True)
    defended = quiet(DefendedClassifier(make_net(CNN, max_epochs=3), regenerator, random_state=0).fit, X, y)
    whole, blocks = defended.predict_proba(X), list(gen_batches(len(X), 48))
    np.testing.assert_array_equal(np.concatenate([defended.predict_proba(X[rows]) for rows in blocks]), whole)
    ask = Parallel(n_jobs=2, prefer="threads", return_as="generator")
    for rows, answered in zip(blocks, ask(delayed(defended.predict_proba)(X[rows]) for rows in blocks), strict=True):
        np.testing.assert_array_equal(answered, whole[rows])


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.uint8])
def test_digests_do_not_depend_on_blocks(monkeypatch, dtype):
    """Large arrays are digested a part at a time, as they are or in another order of memory."""
    X = (np.random.default_rng(0).normal(size=(50, 3, 4)) * 100).astype(dtype)
    rows, data = row_digests(X), data_digest(X)
    monkeypatch.setattr(_rows, "_DENSE_VALUES", 40)
    np.testing.assert_array_equal(row_digests(X), rows)
    np.testing.assert_array_equal(row_digests(np.asfortranarray(X)), rows)
    assert data_digest(np.asfortranarray(X)) == data == data_digest(X)


def test_moments_do_not_depend_on_blocks(monkeypatch):
    """The space of rows is found for some features at a time."""
    X = np.random.default_rng(0).normal(size=(50, 7))
    X[3, 2], X[:, 4], X[:, 5] = np.nan, 1.0, np.nan
    whole = RowSpace.of(X)
    monkeypatch.setattr(_space, "_VALUES_AT_ONCE", 100)
    parts = RowSpace.of(X)
    np.testing.assert_allclose(parts.mean, whole.mean, atol=1e-15)
    np.testing.assert_allclose(parts.scale, whole.scale, rtol=1e-15)
    assert list(whole.varies) == list(parts.varies) == [0, 1, 2, 3, 6]


def test_missing_values_in_half_precision(monkeypatch):
    """They are found in any block."""
    monkeypatch.setattr(_blocks, "BLOCK_BYTES", 1)
    X, y = (values[:60] for values in digits("images"))
    defended = DefendedClassifier(make_net(CNN, max_epochs=1), NoiseRegenerator(), random_state=0)
    defended = quiet(defended.fit, X.astype(np.float16), y)
    X = X.astype(np.float16)
    X[-1, 0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="Input X contains NaN"):
        defended.predict_proba(X)

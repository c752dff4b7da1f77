"""Work that is killed and run again: one whole stage each, in a process of its own that a server forks.

The server has imported what the stages need, so that a killed run costs no start of an interpreter.
"""

import multiprocessing
import os
import signal
import sys
import time
import traceback
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

from skdiffence.attacks import train_shadows
from skdiffence.defenses import SELENAClassifier
from skdiffence.diffusion import DiffusionRegenerator, _checkpoint
from skdiffence.inspection import canary_audit
from skdiffence.utils import _files, _folders
from tests.nets import MLP, make_net

# A server that is forked from: it has no threads, which a fork of this process could break.
SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["tests.kills"])
TIMEOUT = 300


class Dropping(nn.Module):
    """Denoiser with dropout and batch statistics, whose state is more than its weights."""

    def __init__(self, shape):
        super().__init__()
        n = int(np.prod(shape))
        layers = nn.Linear(n, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.3), nn.Linear(32, n)
        self.layers = nn.Sequential(*layers).double()

    def forward(self, x, timesteps):
        """Return the predicted noise."""
        return self.layers(x)


def _rows(n=60):
    X, y = load_digits(return_X_y=True)
    return (X[:n] / 16).astype(np.float32), y[:n] % 3


def _train(folder, denoiser, as_images=False, interval=0.0):
    _checkpoint.SECONDS_BETWEEN = interval
    X = _rows()[0].reshape(-1, 1, 8, 8) if as_images else _rows()[0]
    regenerator = DiffusionRegenerator(denoiser, max_epochs=3, batch_size=16, checkpoint_dir=folder, random_state=0)
    regenerator.fit(X)
    losses = [epoch["loss"] for epoch in regenerator.history_]
    return [
        np.array(losses),
        regenerator.transform(X),
        *(w.numpy() for w in regenerator.denoiser_.state_dict().values()),
    ]


def train_rows(folder):
    """Train the default network for rows."""
    return _train(folder, {"width": 16})


def train_images(folder):
    """Train a small UNet."""
    return _train(folder, {"block_out_channels": (8, 16)}, as_images=True)


def train_dropout(folder):
    """Train a network that draws from torch's global generator and has buffers."""
    return _train(folder, Dropping)


def _net():
    return make_net(MLP, module__n_features=64, module__n_classes=3, max_epochs=2)


def train_all_shadows(folder):
    """Train shadows of a net."""
    X, y = _rows()
    found = train_shadows(_net(), X, y, n_shadows=4, cache_dir=folder, random_state=0)
    return [shadow.predict_proba(X) for shadow in found["estimator"]]


def train_submodels(folder):
    """Train SELENA's sub-models and its student."""
    X, y = _rows()
    selena = SELENAClassifier(_net(), n_estimators=4, n_excluded=1, cache_dir=folder, random_state=0)
    return [selena.fit(X, y).predict_proba(X)]


def audit_canaries(folder):
    """Audit nets by canaries."""
    X, y = _rows()
    found = canary_audit(_net(), X, y, n_canaries=6, n_shadows=4, n_resamples=10, cache_dir=folder, random_state=0)
    return [found.scores[name] for name in sorted(found.scores)]


def save_denoiser(folder):
    """Write a denoiser where another one is, and load it."""
    place = Path(folder) / "den.v1"
    X, _ = _rows()
    trained = DiffusionRegenerator({"width": 8}, max_epochs=1, random_state=0, key="k").fit(X)
    for _ in range(4):
        trained.save_pretrained(place)
    return [DiffusionRegenerator(place, key="k").fit(X).transform(X), trained.transform(X)]


STAGES = {
    stage.__name__: stage
    for stage in (
        train_rows,
        train_images,
        train_dropout,
        train_all_shadows,
        train_submodels,
        audit_canaries,
        save_denoiser,
    )
}
# Where in a file or folder a process ends itself, and what it leaves.
POINTS = ("empty file", "half a file", "before the rename", "after the rename")


def _die():
    os.kill(os.getpid(), signal.SIGKILL)


def _die_in_a_write(point, number):
    """End this process in the given write of a file, counted from 0."""
    replace, flush, done = os.replace, _files.flush, []

    def flushed(path):
        done.append(path)
        if len(done) == number + 1 and point in ("empty file", "half a file"):
            os.truncate(path, 0 if point == "empty file" else path.stat().st_size // 2)
            _die()
        flush(path)

    def replaced(old, new):
        if len(done) == number + 1 and point == "before the rename":
            _die()
        replace(old, new)
        if len(done) == number + 1 and point == "after the rename":
            _die()

    os.replace = os.rename = replaced
    _files.flush = _folders.flush = flushed


def _child(stage, folder, write, results, started):
    torch.set_num_threads(1)
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115 (until the process ends)
    if write is not None:
        _die_in_a_write(*write)
    started.set()
    try:
        results.put(STAGES[stage](folder))
    except Exception:
        results.put(traceback.format_exc())


def run(stage, folder, *, write=None, kill_after=None):
    """Run a stage in a process of its own.

    Parameters
    ----------
    stage : str
        Name of the stage.
    folder : path
        Where it keeps what it has.
    write : tuple of (str, int), default=None
        The point in which write, counted from 0, at which the process ends itself by SIGKILL.
    kill_after : float, default=None
        Seconds after which it is killed.

    Returns
    -------
    result : list of ndarray, or None if it was killed before it had one
    """
    results, started = SERVER.SimpleQueue(), SERVER.Event()
    process = SERVER.Process(target=_child, args=(stage, folder, write, results, started))
    process.start()
    assert started.wait(TIMEOUT)
    end = time.monotonic() + (TIMEOUT if kill_after is None else kill_after)
    while results.empty() and process.is_alive() and time.monotonic() < end:
        time.sleep(0.002)
    if kill_after is not None or write is not None:
        process.kill() if results.empty() else None
    result = None if results.empty() else results.get()
    process.kill() if kill_after is not None else None
    process.join(TIMEOUT)
    assert not isinstance(result, str), result
    return result

"""Rows that reach workers in a temporary file: it is private, and ends with the process, however that ends."""

import gc
import multiprocessing
import os
import pickle
import signal
import stat
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

from skdiffence._evaluation._pool import Pool
from skdiffence.utils import _unsaved

FORK = multiprocessing.get_context("fork")
ROWS = np.random.default_rng(0).normal(size=(50, 3)), np.arange(50) % 2
ENDINGS = {
    "SIGKILL": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "SIGTERM": lambda: os.kill(os.getpid(), signal.SIGTERM),
    "os._exit": lambda: os._exit(0),
    "exit": lambda: None,
}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Return the folder of temporary files, which is empty."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture(params=["unnamed", "named"])
def kind(request, monkeypatch):
    """Take both kinds of files, those without a name and those of systems that have no /proc."""
    if request.param == "named":
        monkeypatch.setattr(_unsaved, "_OPEN_FILES", Path("/no/such/folder"))
    elif not _unsaved._OPEN_FILES.is_dir():
        pytest.skip("there is no /proc")
    return request.param


def _use_and_end(end, tell):
    pool = Pool(ROWS)
    tell.send_bytes(pickle.dumps(pool))
    tell.recv()
    end()
    del pool


@pytest.mark.parametrize("ending", ENDINGS)
def test_nothing_is_left_of_a_process(ending, kind, folder):
    """Killed, terminated or left by os._exit, a process once left the rows in clear."""
    here, there = FORK.Pipe()
    process = FORK.Process(target=_use_and_end, args=(ENDINGS[ending], there))
    process.start()
    saved = here.recv_bytes()
    np.testing.assert_array_equal(pickle.loads(saved).X, ROWS[0])  # as a worker does
    assert len(list(folder.iterdir())) == (kind == "named")
    here.send(True)
    process.join(30)
    if kind == "named":
        pickle.dumps(Pool(ROWS))  # the next one removes what was left
        gc.collect()
    assert not list(folder.iterdir())
    with pytest.raises(ValueError, match="pool has no rows here"):
        pickle.loads(saved).check()


def test_file_is_private_and_removed_with_the_object(kind, folder):
    """Only the owner can read it, while the object lives."""
    pool = Pool(ROWS)
    saved = pickle.dumps(pool)
    path = pool._spill[0]
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    del pool
    gc.collect()
    assert not os.path.exists(path) and not list(folder.iterdir())
    with pytest.raises(ValueError, match="pool has no rows here"):
        pickle.loads(saved).check()


def _ask(saved, outcome):
    outcome.put(pickle.loads(saved).X.sum())


def test_workers_that_start_afresh_find_the_rows():
    """A spawned process shares nothing with this one but the machine."""
    spawn = multiprocessing.get_context("spawn")
    outcome = spawn.Queue()
    pool = Pool(ROWS)
    process = spawn.Process(target=_ask, args=(pickle.dumps(pool), outcome))
    process.start()
    assert outcome.get(timeout=120) == ROWS[0].sum()
    process.join(60)


def _drop(pool):
    del pool
    gc.collect()


def test_a_forked_worker_does_not_remove_the_file(kind):
    """It has a copy of the object, and drops it before the owner does."""
    pool = Pool(ROWS)
    saved = pickle.dumps(pool)
    process = FORK.Process(target=_drop, args=(pool,))
    process.start()
    process.join(30)
    assert os.path.exists(pool._spill[0])
    token, spill = pool._token, pool._spill
    assert len(Pool(None, token=token + b"-", spill=spill)) == 50
    assert pickle.loads(saved) is pool


@pytest.mark.parametrize("content", ["foreign file", "another pool", "pipe", "folder", "unreadable"])
def test_a_place_taken_by_others_gives_no_rows(content, folder):
    """The number of a process is used again, and so is a name: what is there now is not loaded, and does not hang."""
    path = folder / "place"
    if content == "pipe":
        os.mkfifo(path)
    elif content == "folder":
        path.mkdir()
    else:
        path.write_bytes(pickle.dumps(ROWS) if content == "another pool" else b"not the rows")
    if content == "unreadable":
        path.chmod(0)
    lost = Pool(None, spill=(str(path), b"checksum"))
    start = time.perf_counter()
    with pytest.raises(ValueError, match="pool has no rows here"):
        lost.check()
    assert time.perf_counter() - start < 5


def test_failed_write_leaves_nothing(kind, folder):
    """Rows that can't be pickled once left an empty file for good."""
    with pytest.raises((pickle.PicklingError, AttributeError, TypeError)):
        pickle.dumps(Pool(([lambda: None], [0])))
    gc.collect()
    assert not list(folder.iterdir())

"""Work that joblib sends to a dask cluster gives what it gives here, also if a worker is killed on the way.

Every run of the tests has a cluster of two workers in threads. ``pytest -m cluster`` has one of two processes.
"""

import os
from concurrent.futures import CancelledError

import joblib
import numpy as np
import pytest
from joblib.parallel import SequentialBackend, get_active_backend
from sklearn.naive_bayes import GaussianNB

from skdiffence import DefendedClassifier
from skdiffence.attacks import train_shadows
from skdiffence.utils import _parallel
from skdiffence.utils._random import torch_seed
from tests import cluster
from tests.nets import make_net
from tests.pages import run_page

distributed = pytest.importorskip("distributed")

pytestmark = [
    pytest.mark.filterwarnings("ignore::skdiffence.exceptions.DefenseWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]


def two_workers(processes):
    """Return a cluster on the loopback address, to be used as a context."""
    return distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=processes,
        protocol="tcp",
        host="127.0.0.1",
        dashboard_address=None,
    )


@pytest.fixture(autouse=True)
def few_rows(monkeypatch):
    """Make tasks of few rows."""
    monkeypatch.setattr(_parallel, "ROWS_PER_TASK", 100)


@pytest.fixture(scope="module")
def threads():
    """Return a client of two workers in threads of this process."""
    with two_workers(processes=False) as workers, distributed.Client(workers) as client:
        yield client


@pytest.fixture
def processes():
    """Return a client of two processes."""
    with two_workers(processes=True) as workers, distributed.Client(workers) as client:
        yield client


def plain_net():
    """Return an undefended net that takes rows of any precision."""
    return DefendedClassifier(make_net(module__n_classes=3, max_epochs=2), "passthrough", random_state=0)


def same(one, other):
    """Return whether two tuples of arrays are equal to the last bit."""
    return len(one) == len(other) and all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("stage", cluster.STAGES)
def test_workers_in_threads(stage, threads):
    """What is sent is found again, and nothing is left behind."""
    assert same(cluster.on_dask(stage, GaussianNB(), threads), cluster.STAGES[stage](GaussianNB()))


def test_the_page_of_clusters_runs(threads, monkeypatch, tmp_path):
    """Its scheduler's address stands for that of this cluster."""
    addresses = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("dask.distributed.Client", lambda address: addresses.append(address) or threads)
    names = {}
    try:
        # Processes of joblib's own are shown elsewhere.
        run_page("docs/scaling.rst", names, cut=True, skip=lambda block: "loky" in block.text)
    finally:
        threads.amm.start()
    assert addresses == ["127.0.0.1:8786"]
    assert len(names["shadows"]["estimator"]) == 16
    assert np.array_equal(names["proba"][:9].argmax(axis=1), names["defended"].predict(names["X"][:9]))
    assert np.isfinite(names["scores"]["test_privacy"]).all()


def backend_of_a_seeded_block():
    """Return the class of the backend where joblib would run tasks."""
    with torch_seed(0):
        return type(get_active_backend()[0])


def test_nothing_is_sent_from_a_worker_whose_turn_it_is(threads):
    """All threads that could do it may wait for their turn."""
    with joblib.parallel_config("dask"):
        found = joblib.Parallel()(joblib.delayed(backend_of_a_seeded_block)() for _ in range(4))
    assert set(found) == {SequentialBackend}


@pytest.mark.cluster
@pytest.mark.parametrize("stage", cluster.STAGES)
@pytest.mark.parametrize("make", [GaussianNB, plain_net])
def test_workers_in_processes(stage, make, processes):
    """The same of nets, which draw from torch's generator."""
    assert same(cluster.on_dask(stage, make(), processes), cluster.STAGES[stage](make()))


@pytest.mark.cluster
@pytest.mark.parametrize("stage", cluster.STAGES)
def test_killed_worker(stage, processes, tmp_path):
    """One of two workers is killed in the third task; nothing is lost, and nobody notices."""
    mortal = cluster.Mortal(tmp_path, "predict_proba" if stage == "answers" else "fit", os.getpid())
    found = cluster.on_dask(stage, mortal, processes)
    assert (tmp_path / "2").exists()  # the last thing that the killed worker did
    assert same(found, cluster.STAGES[stage](cluster.Mortal()))


class Counted(np.ndarray):
    """Rows that count how often they leave this process."""

    sent = 0

    def __reduce__(self):
        Counted.sent += 1
        return np.asarray(self).copy().__reduce__()


def test_rows_travel_once_to_each_worker(threads, monkeypatch):
    """And not once for each of eight tasks; afterwards the cluster holds nothing."""
    monkeypatch.setattr(Counted, "sent", 0)
    rows = cluster.X.copy().view(Counted)
    with joblib.parallel_config("dask"):
        train_shadows(GaussianNB(), rows, cluster.y, n_shadows=8, random_state=0)
    assert 1 <= Counted.sent <= 2


@pytest.mark.parametrize("n_losses", [0, 1, 3, 4])
def test_lost_tasks_are_started_again(n_losses, monkeypatch):
    """What has come is kept, and each result comes once. A cluster that loses on and on is an error."""
    losses = []

    def parallel(n_jobs, verbose):
        return results

    def results(calls):
        for number, (function, args, _) in enumerate(calls):
            if number == 2 and len(losses) < n_losses:
                losses.append(number)
                raise CancelledError
            yield function.function(*args)

    monkeypatch.setattr(_parallel, "_parallel", parallel)
    found = _parallel.run(pow, [(exponent,) for exponent in range(12)], shared=(2,))
    if n_losses == 4:
        with pytest.raises(CancelledError):
            list(found)
    else:
        assert list(found) == [2**exponent for exponent in range(12)]
    assert len(losses) == n_losses


def test_few_rows_are_one_task(threads):
    """To send a model takes longer than to regenerate few rows."""
    n_rows = 2 * _parallel.ROWS_PER_TASK
    assert _parallel.blocks_of_workers(n_rows, "cpu") == [slice(0, n_rows)]
    with joblib.parallel_config("dask"):
        assert len(_parallel.blocks_of_workers(n_rows, "cpu")) == 2
        assert len(_parallel.blocks_of_workers(n_rows - 1, "cpu")) == 1

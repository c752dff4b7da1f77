"""Answers of one classifier to many threads: those of serial calls, to the last bit, in memory that does not grow.

Every run of the tests asks for a few. ``pytest -m soak`` asks for 100,000 answers for rows and 20,000 for images of
16x16 pixels, which takes minutes.
"""

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import psutil
import pytest
from sklearn.datasets import load_digits

from skdiffence import DefendedClassifier, DiffusionRegenerator
from tests.nets import make_net

N_THREADS, N_ROWS = 8, 16
N_ANSWERS = {"rows": 100_000, "images": 20_000}
DENOISERS = {"rows": {"width": 32}, "images": {"block_out_channels": (4, 8), "add_attention": False}}
GROWTH = 16  # MiB from a fifth of the answers on; the memory of the allocator and of 8 threads is settled by then


@pytest.fixture(scope="module", params=["images", "rows"])
def kind(request):
    """Return what is asked about."""
    return request.param


@pytest.fixture(scope="module")
def asked(kind):
    """Return a fitted classifier and the inputs to ask it about."""
    X, y = load_digits(return_X_y=True)
    X = (X / 16).astype(np.float32)[:300]
    X = X.reshape(-1, 1, 8, 8).repeat(2, axis=2).repeat(2, axis=3) if kind == "images" else X
    regenerator = DiffusionRegenerator(DENOISERS[kind], max_epochs=1, exact=True, random_state=0)
    net = make_net(module__n_features=X[0].size)
    return DefendedClassifier(net, regenerator, random_state=0).fit(X[:100], y[:100]), X


def resident():
    """Return how many MiB of memory this process holds."""
    return psutil.Process().memory_info().rss / 2**20


def ask(defended, X, n_calls):
    """Ask from threads; return the number of answers that differ from serial ones, and the memory on the way."""
    expected = defended.predict_proba(X)

    def work(number):
        rows = np.random.default_rng(number).integers(len(X), size=N_ROWS)
        return (defended.predict_proba(X[rows]) != expected[rows]).any(axis=1).sum()

    n_different, memory = 0, []
    with ThreadPoolExecutor(N_THREADS) as threads:
        for tenth in np.array_split(np.arange(n_calls), 10):
            n_different += sum(threads.map(work, tenth))
            memory.append(resident())
    return n_different, memory


@pytest.mark.filterwarnings("ignore::skdiffence.exceptions.DefenseWarning")
def test_threads_get_the_answers_of_serial_calls(asked):
    """Calls at the same time share nothing that they change."""
    n_different, _ = ask(*asked, n_calls=40)
    assert n_different == 0


@pytest.mark.soak
@pytest.mark.filterwarnings("ignore::skdiffence.exceptions.DefenseWarning")
def test_soak(kind, asked, capsys):
    """Answers by the thousand, and no more memory after the last than after a fifth of them."""
    n_different, memory = ask(*asked, n_calls=N_ANSWERS[kind] // N_ROWS)
    with capsys.disabled():
        told = ", ".join(f"{each:.0f}" for each in memory)
        answers = f"{N_ANSWERS[kind]:,} answers for {kind} by {N_THREADS} threads"
        sys.stdout.write(f"\n{answers}, {n_different} differ; MiB on the way: {told}\n")
    assert n_different == 0
    assert memory[-1] - memory[1] < GROWTH

"""Seeds derived from ``random_state`` that leave NumPy's and torch's global generators as they are."""

import contextlib
import hashlib
import numbers
import secrets
import sys
import threading

import numpy as np
import torch
from joblib import parallel_config
from joblib.parallel import get_active_backend

_SEED_BITS = 63
# torch has one generator for all threads of a process: they take turns where they draw from it.
_TURN = threading.RLock()


def draw_seed(random_state):
    """Return a seed for one use of ``random_state``.

    Parameters
    ----------
    random_state : int, RandomState instance or None
        An integer is returned unchanged. A RandomState gives its next number. None takes entropy from the operating
        system, not from NumPy's global generator.

    Returns
    -------
    seed : int
        In [0, 2**63).

    Raises
    ------
    ValueError
        If ``random_state`` is a negative integer or of another type.
    """
    if random_state is None:
        return secrets.randbits(_SEED_BITS)
    if isinstance(random_state, numbers.Integral) and random_state >= 0:
        return int(random_state)
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(0, 2**_SEED_BITS, dtype=np.int64))
    raise ValueError(
        f"random_state must be None, an integer of at least 0 or a numpy RandomState. Got {random_state!r}."
    )


def mix_seed(*parts):
    """Return a seed that depends on all parts, so that different uses have independent streams.

    Parameters
    ----------
    *parts : int, str or bytes
        The parent seed and the use.

    Returns
    -------
    seed : int
        In [0, 2**63).
    """
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        part = b"bytes:" + part if isinstance(part, bytes) else f"{type(part).__name__}:{part}".encode()
        digest.update(len(part).to_bytes(8, "little") + part)
    return int.from_bytes(digest.digest(), "little") >> (64 - _SEED_BITS)


def seed_nested(estimator, *parts):
    """Set every ``random_state`` of an estimator, and of those inside it, that is None.

    Parameters
    ----------
    estimator : estimator
        A clone; changed in place.
    *parts : int, str or bytes
        The seeds depend on these and on the name of the parameter.

    Returns
    -------
    estimator : estimator
        The same object.
    """
    params = estimator.get_params(deep=True) if hasattr(estimator, "get_params") else {}
    seeds = {
        name: mix_seed(*parts, name) % 2**31
        for name, value in sorted(params.items())
        if name.rpartition("__")[2] == "random_state" and value is None
    }
    return estimator.set_params(**seeds) if seeds else estimator


@contextlib.contextmanager
def torch_seed(seed):
    """Seed torch inside the block and restore its global generators after it.

    One thread at a time is inside such a block. Where joblib would run tasks in further threads, which could not come
    in, or send them to dask from a process that works for it, whose threads may all wait for their turn, it runs them
    one after the other there.

    Parameters
    ----------
    seed : int
        In [0, 2**63).
    """
    with _TURN, _no_further_threads():
        yield from _seeded(seed)


def _no_further_threads():
    backend, _ = get_active_backend()
    shares_memory = getattr(backend, "supports_sharedmem", False) or (hasattr(backend, "client") and _works_for_dask())
    return parallel_config(backend="sequential") if shares_memory else contextlib.nullcontext()


def _works_for_dask():
    """Return whether workers of dask run in this process, as far as dask tells."""
    distributed = sys.modules.get("distributed")
    return distributed is not None and bool(getattr(distributed.Worker, "_instances", True))


def _seeded(seed):
    started = torch.cuda.is_initialized()
    before = torch.initial_seed()
    try:
        with torch.random.fork_rng(devices=list(range(torch.cuda.device_count())) if started else []):
            torch.manual_seed(seed)
            yield
    finally:
        if not started:
            # CUDA keeps the seed until it starts, or has started with it inside the block.
            torch.cuda.manual_seed_all(before)

"""Seeds from ``random_state`` alone: no global generator is read, advanced or left changed."""

import contextlib
import hashlib
import numbers
import secrets

import numpy as np
import torch

_SEED_BITS = 63


def draw_seed(random_state):
    """Return a seed for one use of ``random_state``.

    Parameters
    ----------
    random_state : int, RandomState instance or None
        An integer is returned as it is, a RandomState gives its next number, and None asks
        the operating system, not NumPy's global generator.

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
    """Return one seed that depends on all parts, so that no two uses share a stream.

    Parameters
    ----------
    *parts : int, str or bytes
        What the seed is for.

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
    """Give an estimator, and those inside it, seeds wherever they have none of their own.

    Parameters
    ----------
    estimator : estimator
        A clone; changed in place.
    *parts : int, str or bytes
        What the seeds depend on.

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
    """Seed torch inside the block and put its global generators back after it.

    Parameters
    ----------
    seed : int
        In [0, 2**63).
    """
    started = torch.cuda.is_initialized()
    before = torch.initial_seed()
    try:
        with torch.random.fork_rng(devices=list(range(torch.cuda.device_count())) if started else []):
            torch.manual_seed(seed)
            yield
    finally:
        if not started:
            # CUDA keeps the seed for when it starts, or has started with it inside the block.
            torch.cuda.manual_seed_all(before)

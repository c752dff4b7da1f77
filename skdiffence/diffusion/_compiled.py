"""Denoisers compiled by ``torch.compile``, and the few batch sizes that they are called with."""

from threading import Lock
from weakref import WeakKeyDictionary

import torch

from skdiffence.diffusion._denoisers import call_network

# Batches have 1, 8, 32, 128, ... rows. Compiling for one shape takes tens of seconds on a CPU, so that many shapes
# would cost more than they save.
_SMALLEST, _GROWTH = 8, 4
# torch compiles anew for each shape, and for other changes such as another number of threads. Beyond this limit calls
# are not compiled.
_COMPILATIONS = 64
_BACKEND = "inductor"

_LOCK, _CALLS_LOCK = Lock(), Lock()
_COMPILED = WeakKeyDictionary()


def bucket_above(n_rows):
    """Return the batch size that a number of rows is padded to.

    Parameters
    ----------
    n_rows : int
        At least 1.

    Returns
    -------
    size : int
        At least ``n_rows``.
    """
    size = _SMALLEST
    while size < n_rows:
        size *= _GROWTH
    return 1 if n_rows == 1 else size


def bucket_below(n_rows):
    """Return the largest batch size of at most a number of rows.

    Parameters
    ----------
    n_rows : int
        At least 1.

    Returns
    -------
    size : int
    """
    return 1 if n_rows < _SMALLEST else bucket_above(n_rows + 1) // _GROWTH


def next_batch(n_rows):
    """Return the number of rows in the next batch, of which at most half is padding.

    Parameters
    ----------
    n_rows : int
        Number of rows left, at least 1.

    Returns
    -------
    n_taken : int
        All rows, or as many as fill a smaller batch.
    """
    return n_rows if 2 * n_rows >= bucket_above(n_rows) else bucket_below(n_rows)


class CompiledNetwork:
    """Compiled calls of a network that is itself left unchanged.

    Threads take turns, also with different networks. torch's check whether a call fits what was compiled is not made
    for threads: of calls at the same time it refuses some that fit and compiles again, up to the limit of compilations.

    Parameters
    ----------
    network : torch module
        A denoiser, called with (x, timesteps).
    """

    def __init__(self, network):
        self.network = network
        self._call = torch.compile(
            lambda x, timesteps: call_network(network, x, timesteps, x.shape[1]),
            dynamic=False,
            backend=_BACKEND,
            recompile_limit=_COMPILATIONS,
            isolate_recompiles=True,
        )

    def __call__(self, x, timesteps):
        """Return the predicted noise.

        Parameters
        ----------
        x : tensor of shape (n, ...)
            Noisy rows.
        timesteps : int64 tensor of shape (n,)
            Timestep of each row.

        Returns
        -------
        noise : tensor of the shape of x
        """
        with _CALLS_LOCK:
            return self._call(x, timesteps)


def compiled(owner, network):
    """Return the compiled network of an owner, which is cached until the network changes.

    Parameters
    ----------
    owner : object
        The compiled network is kept as long as its owner.
    network : torch module
        A denoiser.

    Returns
    -------
    network : CompiledNetwork
    """
    with _LOCK:
        known = _COMPILED.get(owner)
        if known is None or known.network is not network:
            known = _COMPILED[owner] = CompiledNetwork(network)
        return known

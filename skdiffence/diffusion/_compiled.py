"""Denoisers compiled by ``torch.compile``, which are called with batches of few shapes."""

from weakref import WeakSet

# Batches of 2, 8, 32, 128, ... rows. Compiling for one shape takes most of a minute on a CPU, so that many shapes would
# cost more than they save.
_SMALLEST, _GROWTH = 2, 4
_N_BUCKETS = 10
_BACKEND = "inductor"

_COMPILED = WeakSet()


def bucket_above(n_rows):
    """Return the size of the batch that so many rows are padded to.

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
    return size


def bucket_below(n_rows):
    """Return the largest size of a batch that has at most so many rows; 1 where there is none.

    Parameters
    ----------
    n_rows : int
        At least 1.

    Returns
    -------
    size : int
    """
    return max(1, bucket_above(n_rows + 1) // _GROWTH)


def next_batch(n_rows):
    """Return how many rows to give a compiled network next, so that less than half of a batch is padding.

    Parameters
    ----------
    n_rows : int
        How many are left, at least 1.

    Returns
    -------
    n_taken : int
        All of them, or as many as fill a smaller batch.
    """
    size = bucket_above(n_rows)
    return n_rows if 2 * n_rows >= size else bucket_below(n_rows)


def compile_once(network):
    """Let a network be compiled when it is first called with a shape.

    Copies, pickled ones too, are not compiled.

    Parameters
    ----------
    network : torch module
        Changed in place: its calls answer the same, to rounding.

    Returns
    -------
    network : torch module
        The same.
    """
    if network not in _COMPILED:
        network.compile(dynamic=False, backend=_BACKEND, recompile_limit=_N_BUCKETS, isolate_recompiles=True)
        _COMPILED.add(network)
    return network

"""Batch sizes that suit the device, and smaller batches if its memory runs out."""

import math
from weakref import WeakKeyDictionary

import torch

# Pixels per batch. On a CPU the activations then fit its cache. A GPU is fully used by fewer.
_PIXELS_PER_BATCH = {"cpu": 1 << 15, "cuda": 1 << 21}
_ROWS_PER_BATCH = {"cpu": 1024, "cuda": 1 << 14}
# Share of a GPU's free memory that one batch may take by the estimate of row_bytes, which is an upper bound.
_MEMORY_SHARE = 0.5

# Candidates that a search makes at a time, times the side of an image to the power 1.5: 32 for 8x8 images and 4 for
# 32x32 on a CPU. Searches simulated with the measured costs of calls and rows took about the least time with these. The
# number for CUDA is a guess.
_FILL = {"cpu": 724, "cuda": 46_000}

_ROW_BYTES = WeakKeyDictionary()


def rows_per_batch(network, shape, device):
    """Return the batch size of a network.

    Parameters
    ----------
    network : torch module
        The denoiser, on the device.
    shape : tuple of int
        Shape of one row as the network sees it.
    device : torch.device
        Where it computes. On CUDA the size also depends on the free memory.

    Returns
    -------
    n_rows : int
        At least 1.
    """
    kind, area = _kind(device), math.prod(shape[1:])
    n_rows = min(_ROWS_PER_BATCH[kind], _PIXELS_PER_BATCH[kind] // area)
    if device.type == "cuda":
        n_rows = min(n_rows, int(_MEMORY_SHARE * _free_bytes(device)) // row_bytes(network, shape, device))
    return max(1, n_rows)


def rows_to_fill(shape, device):
    """Return how many candidates a search should make at a time, so that its last batches are not too small.

    Parameters
    ----------
    shape : tuple of int
        Shape of one row as the network sees it.
    device : torch.device
        Where it computes.

    Returns
    -------
    n_rows : int
        At least 1.
    """
    return max(1, round(_FILL[_kind(device)] / math.prod(shape[1:]) ** 0.75))


def _kind(device):
    return device.type if device.type in _PIXELS_PER_BATCH else "cpu"


def _free_bytes(device):
    free, _ = torch.cuda.mem_get_info(device)
    # Memory that torch's allocator holds and does not use is free as well.
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


def row_bytes(network, shape, device):
    """Return the number of bytes that the layers of a network write for one row.

    It is measured once, on a row of zeros. Not all of the memory is needed at the same time, so it is an upper bound.

    Parameters
    ----------
    network : torch module
        A denoiser, called with (x, timesteps).
    shape : tuple of int
        Shape of one row.
    device : torch.device
        Where the network is.

    Returns
    -------
    n_bytes : int
    """
    if network not in _ROW_BYTES:
        written = [1]
        leaves = [module for module in network.modules() if next(module.children(), None) is None]
        hooks = [leaf.register_forward_hook(lambda *call: written.append(_nbytes(call[-1]))) for leaf in leaves]
        try:
            with torch.inference_mode():
                weight = next(network.parameters(), None)
                row = torch.zeros(1, *shape, device=device) if weight is None else weight.new_zeros(1, *shape)
                network(row, torch.zeros(1, dtype=torch.int64, device=row.device))
        finally:
            for hook in hooks:
                hook.remove()
        _ROW_BYTES[network] = sum(written)
    return _ROW_BYTES[network]


def _nbytes(output):
    return output.nbytes if isinstance(output, torch.Tensor) else 0


def in_batches(work, n_rows, size, *, may_halve=True, take=None):
    """Call a function on consecutive rows, with half as many rows after each time that memory runs out.

    Parameters
    ----------
    work : callable(slice)
        Takes the rows to work on. It is called again with fewer rows if it raises ``torch.OutOfMemoryError``.
    n_rows : int
        Number of rows.
    size : int
        Number of rows at a time, at first.
    may_halve : bool, default=True
        Whether smaller batches are allowed.
    take : callable(int) -> int or None, default=None
        Takes a number of rows, at most ``size``, and returns how many of them to work on next. None takes them all.

    Raises
    ------
    torch.OutOfMemoryError
        If memory runs out for one row, or for ``size`` rows if ``may_halve`` is False.
    """
    start = 0
    while start < n_rows:
        n_next = min(size, n_rows - start)
        rows = slice(start, start + (n_next if take is None else take(n_next)))
        if _fits(work, rows, must=size == 1 or not may_halve):
            start = rows.stop
        else:
            size = max(1, (rows.stop - rows.start) // 2)


def _fits(work, rows, *, must):
    try:
        work(rows)
    except torch.OutOfMemoryError:
        if must:
            raise
    else:
        return True
    # Not in the except block, where the error still refers to the tensors of its frames.
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return False

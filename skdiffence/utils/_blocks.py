"""Large arrays, a block of rows at a time."""

import math

import numpy as np

from skdiffence.utils._sklearn import num_samples

BLOCK_BYTES = 2**26  # of a block in single precision


def row_blocks(X, multiple=1):
    """Yield slices of the rows of X, so many rows each as fit in ``BLOCK_BYTES`` in single precision.

    Parameters
    ----------
    X : array-like or data frame of shape (n, ...)
        Rows.
    multiple : int, default=1
        Each block but the last has a multiple of so many rows.

    Yields
    ------
    rows : slice
    """
    n_rows, row_bytes = num_samples(X), 4 * max(math.prod(np.shape(X)[1:]), 1)
    size = max(BLOCK_BYTES // row_bytes // multiple, 1) * multiple
    for start in range(0, n_rows, size):
        yield slice(start, min(start + size, n_rows))

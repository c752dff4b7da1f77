"""Rows that an attack changes before it asks about them: arrays of numbers within a value range."""

import numpy as np

from skdiffence.diffusion._space import RowSpace, check_range, detect_range


def check_numeric(X, row_shape=None):
    """Return rows as an array of numbers, or say what is wrong with them.

    Parameters
    ----------
    X : array-like of shape (n_samples, ...)
        Rows or images.
    row_shape : tuple of int or None, default=None
        Shape that each row must have.

    Returns
    -------
    X : ndarray of shape (n_samples, ...)
        Of floats or integers, in the dtype that was given.

    Raises
    ------
    ValueError
        If X is a data frame, holds something else than finite numbers, has no row, or rows of another shape.
    """
    values = np.asarray(X)
    if hasattr(X, "iloc") or values.dtype.kind not in "fiu" or values.ndim < 2 or not values.size:
        raise ValueError(
            "X must be a numeric array of shape (n_samples, ...) with at least one row, because this attack asks about "
            f"changed rows. Got {type(X).__name__} of dtype {values.dtype} and shape {values.shape}."
        )
    if values.dtype.kind == "f" and not (np.abs(values) <= np.finfo(np.float32).max).all():
        raise ValueError("X must be finite in float32. Got NaN, infinite or larger values.")
    if row_shape is not None and values.shape[1:] != row_shape:
        raise ValueError(f"X must have rows of shape {row_shape}, as in fit. Got shape {values.shape}.")
    return values


def learn_range(X, value_range):
    """Return the value range of rows.

    Parameters
    ----------
    X : ndarray of shape (n_samples, ...)
        Known rows.
    value_range : "auto" or pair
        What the user gave. "auto" is what a regenerator takes: four standard deviations on either side of each
        feature's mean for rows of shape (n, d), the natural range of images.

    Returns
    -------
    value_range : float64 ndarray of shape (2,) or (2, X.shape[1])
        Lowest and highest value.
    """
    if not isinstance(value_range, str):
        return check_range(value_range, X.shape[1])
    return RowSpace.of(X).value_range if X.ndim == 2 else detect_range(X)


def range_ends(value_range, row_shape):
    """Return the lowest and the highest value, each of the shape of a row."""
    return [np.broadcast_to(end.reshape(-1, *[1] * (len(row_shape) - 1)), row_shape) for end in value_range]


def like(values, dtype):
    """Return values in a dtype; integers are rounded and kept in its range."""
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        values = np.clip(np.rint(values), limits.min, limits.max)
    return values.astype(dtype)

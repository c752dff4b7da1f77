"""Rows that attacks change before they query the target: numbers within a range, in the form of the input."""

import warnings

import numpy as np

from skdiffence.diffusion._space import RowSpace, check_range, detect_range
from skdiffence.utils._frames import as_numbers, check_unmasked, is_frame, with_columns_of


def as_floats(X):
    """Return rows of any shape as float64, missing values as NaN.

    Parameters
    ----------
    X : array-like of shape (n_samples, ...) or data frame
        Numeric rows.

    Returns
    -------
    values : ndarray of shape (n_samples, ...), dtype float64

    Raises
    ------
    TypeError
        If X is sparse.
    ValueError
        If X is not numeric, or holds infinities.
    """
    values = as_numbers(X).astype(np.float64)
    if np.isinf(values).any():
        raise ValueError("X must be finite. Got infinities.")
    return values


def check_array(X, row_shape=None):
    """Return rows as a finite numeric array.

    Parameters
    ----------
    X : array-like of shape (n_samples, ...)
        Rows or images.
    row_shape : tuple of int or None, default=None
        Required shape of each row.

    Returns
    -------
    X : ndarray of shape (n_samples, ...)
        Floats or integers, in the dtype of the input.

    Raises
    ------
    ValueError
        If X is a data frame, holds anything but numbers that are finite in float32, has no row, or has rows of another
        shape.
    """
    check_unmasked(X)
    values = np.asarray(X)
    if is_frame(X) or values.dtype.kind not in "fiu" or values.ndim < 2 or not values.size:
        raise ValueError(
            "X must be a numeric array of shape (n_samples, ...) with at least one row, because this attack queries "
            f"changed rows. Got {type(X).__name__} of dtype {values.dtype} and shape {values.shape}."
        )
    if values.dtype.kind == "f" and not (np.abs(values) <= np.finfo(np.float32).max).all():
        raise ValueError("X must be finite in float32. Got NaN, infinite or larger values.")
    if row_shape is not None:
        check_row_shape(values, row_shape)
    return values


def check_row_shape(values, row_shape):
    """Raise an error if rows have another shape than the known rows."""
    if values.shape[1:] != row_shape:
        raise ValueError(f"X must have rows of shape {row_shape}, as in fit. Got shape {values.shape}.")


def as_points_of(X):
    """Return a function that gives points between rows the form of X, in floating point.

    Parameters
    ----------
    X : array-like of shape (n_samples, ...) or data frame
        Rows that the points lie between.

    Returns
    -------
    give_back : callable
        Takes an array of shape (n_points, ...) and returns an array, or a data frame with the columns of X.
    """
    if is_frame(X):
        empty = X[:0]
        return lambda points: with_columns_of(points, empty)
    dtype = np.asarray(X).dtype
    dtype = dtype if dtype.kind == "f" else np.float32
    return lambda points: points.astype(dtype)


def learn_range(X, value_range):
    """Return the value range of rows.

    Parameters
    ----------
    X : ndarray of shape (n_samples, ...)
        Known rows.
    value_range : "auto" or pair
        The parameter. "auto" is the range that a regenerator learns: four standard deviations on either side of each
        feature's mean for rows of shape (n_features,), the natural range of images.

    Returns
    -------
    value_range : float64 ndarray of shape (2,) or (2, X.shape[1])
        Lowest and highest value.
    """
    if not isinstance(value_range, str):
        return check_range(value_range, X.shape[1])
    return RowSpace.of(X).value_range if X.ndim == 2 else detect_range(X)


def range_ends(value_range, row_shape):
    """Return the lowest and the highest value, each in the shape of a row."""
    return [np.broadcast_to(end.reshape(-1, *[1] * (len(row_shape) - 1)), row_shape) for end in value_range]


def clip_changes(changed, X, low, high):
    """Clip changed rows to a range, extended for each row to the row itself where that lies outside."""
    return np.clip(changed, np.fmin(low, X), np.fmax(high, X))


class InputSpace:
    """The range and spread of known rows.

    Parameters
    ----------
    low, high : ndarray of shape (n_features,), or () for images
        The range of changed rows: of each feature, or of all pixels together.
    spread : ndarray of shape (...)
        Standard deviation of each feature or pixel.
    binary : ndarray of shape (...), dtype bool
        Features and pixels with the two values 0 and 1.
    """

    def __init__(self, low, high, spread, binary):
        self.low, self.high, self.spread, self.binary = low, high, spread, binary

    @classmethod
    def of(cls, values):
        """Measure known rows, a float64 array of shape (n_samples, ...)."""
        axis = 0 if values.ndim == 2 else None
        with warnings.catch_warnings():
            # Features without a single value have no range and are left unchanged.
            warnings.simplefilter("ignore", RuntimeWarning)
            low, high = np.nanmin(values, axis=axis), np.nanmax(values, axis=axis)
            spread = np.nan_to_num(np.nanstd(values, axis=0))
        whole = ((values == 0) | (values == 1) | np.isnan(values)).all(axis=0)
        return cls(low, high, spread, whole & (spread > 0))

    def add_noise(self, values, scale, rng):
        """Add one draw of noise to all rows.

        Parameters
        ----------
        values : ndarray of shape (n_samples, ...), dtype float64
            Rows.
        scale : float
            Root mean square change of a feature in units of its standard deviation, before clipping. Binary features
            are flipped with the probability of the same mean square change, at most 0.5.
        rng : Generator
            Source of one draw in the shape of a row, whatever the number of rows.

        Returns
        -------
        noisy : ndarray of shape (n_samples, ...), dtype float64
        """
        size = scale * self.spread
        flipped = rng.random(size.shape) < np.minimum(size**2, 0.5)
        moved = values + size * rng.standard_normal(size.shape)
        gaussian = clip_changes(moved, values, self.low, self.high)
        return np.where(self.binary, np.where(flipped, 1 - values, values), gaussian)

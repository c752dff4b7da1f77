"""Rows as numbers that can be changed a little: within the range of known rows, and given back in their own form."""

import warnings

import numpy as np
from scipy.sparse import issparse

_NUMBERS = "biuf"


def as_numbers(X):
    """Return rows of any shape as float64.

    Parameters
    ----------
    X : array-like of shape (n_samples, ...) or data frame
        Numeric rows.

    Returns
    -------
    values : ndarray of shape (n_samples, ...), dtype float64
        Missing values are NaN.

    Raises
    ------
    TypeError
        If X is sparse.
    ValueError
        If X is not numeric, or holds infinities.
    """
    if issparse(X):
        raise TypeError("X must be dense: changed rows would not be sparse any more. Pass X.toarray().")
    if _is_frame(X):
        bad = [name for name, dtype in X.dtypes.items() if dtype.kind not in _NUMBERS]
        if bad:
            raise ValueError(f"X must be numeric to be changed a little. Got the columns {bad[:5]}.")
        values = X.to_numpy(dtype=np.float64, na_value=np.nan)
    else:
        array = np.asarray(X)
        if array.dtype.kind not in _NUMBERS:
            raise ValueError(f"X must be numeric to be changed a little. Got dtype {array.dtype}.")
        values = array.astype(np.float64)
    if np.isinf(values).any():
        raise ValueError("X must be finite. Got infinities.")
    return values


def in_form_of(values, X):
    """Return changed rows as what X is: a frame of its columns, or an array, of its types.

    Parameters
    ----------
    values : ndarray of shape (n_samples, ...), dtype float64
        Changed rows.
    X : array-like of shape (n_samples, ...) or data frame
        The rows before.

    Returns
    -------
    changed : ndarray or data frame
        Whole numbers are rounded to.
    """
    if _is_frame(X):
        kinds = np.array([dtype.kind for dtype in X.dtypes])
        whole = np.isin(kinds, list("biu"))
        values = np.where(whole, np.rint(values), values)
        return type(X)(values, index=X.index, columns=X.columns).astype(X.dtypes.to_dict())
    dtype = np.asarray(X).dtype
    return (np.rint(values) if dtype.kind in "biu" else values).astype(dtype)


def measured_as(X):
    """Return a function that gives points between rows the form of X: its columns, and floating point numbers.

    Parameters
    ----------
    X : array-like of shape (n_samples, ...) or data frame
        Rows that points lie between.

    Returns
    -------
    give_back : callable
        Takes and returns an array of shape (n_points, ...); for a frame it returns a frame.
    """
    if _is_frame(X):
        frame, columns = type(X), X.columns
        return lambda points: frame(points, columns=columns)
    dtype = np.asarray(X).dtype
    dtype = dtype if dtype.kind == "f" else np.float32
    return lambda points: points.astype(dtype)


def _is_frame(X):
    return hasattr(X, "iloc") and hasattr(X, "columns")


class InputSpace:
    """The range and spread of known rows.

    Parameters
    ----------
    low, high : ndarray of shape (n_features,), or () for images
        The range that changed rows stay in: of each feature, or of all pixels together.
    spread : ndarray of shape (...)
        Standard deviation of each feature or pixel.
    binary : ndarray of shape (...), dtype bool
        Features and pixels that are 0 or 1, and both occur.
    """

    def __init__(self, low, high, spread, binary):
        self.low, self.high, self.spread, self.binary = low, high, spread, binary

    @classmethod
    def of(cls, values):
        """Measure known rows, a float64 array of shape (n_samples, ...)."""
        axis = 0 if values.ndim == 2 else None
        with warnings.catch_warnings():
            # Features without a single value have no range and are left alone.
            warnings.simplefilter("ignore", RuntimeWarning)
            low, high = np.nanmin(values, axis=axis), np.nanmax(values, axis=axis)
            spread = np.nan_to_num(np.nanstd(values, axis=0))
        whole = ((values == 0) | (values == 1) | np.isnan(values)).all(axis=0)
        return cls(low, high, spread, whole & (spread > 0))

    def check(self, values):
        """Refuse rows of another shape than the known ones."""
        if values.shape[1:] != self.spread.shape:
            raise ValueError(
                f"X must hold rows of shape {self.spread.shape}, as the known rows. Got shape {values.shape[1:]}."
            )

    def clip(self, changed, values):
        """Keep changed rows between the known ones, or where they were if that is outside."""
        return np.clip(changed, np.fmin(self.low, values), np.fmax(self.high, values))

    def disturb(self, values, scale, rng):
        """Add one draw of noise to all rows.

        Parameters
        ----------
        values : ndarray of shape (n_samples, ...), dtype float64
            Rows.
        scale : float
            Root mean square change of a feature, in units of its standard deviation; clipping makes it less. Binary
            features are flipped with the probability that comes to the same, 0.5 at most.
        rng : Generator
            Drawn from for one row, whatever the number of rows.

        Returns
        -------
        disturbed : ndarray of shape (n_samples, ...), dtype float64
        """
        size = scale * self.spread
        flipped = rng.random(size.shape) < np.minimum(size**2, 0.5)
        gaussian = self.clip(values + size * rng.standard_normal(size.shape), values)
        return np.where(self.binary, np.where(flipped, 1 - values, values), gaussian)

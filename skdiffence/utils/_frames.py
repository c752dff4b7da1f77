"""Inputs in the form that the wrapped estimator was given, candidates included."""

import numpy as np


def is_frame(X):
    """Say whether X is a data frame in the manner of pandas."""
    return hasattr(X, "iloc") and hasattr(X, "columns")


def check_numeric_frame(X):
    """Refuse frames with columns that can't be regenerated.

    Raises
    ------
    ValueError
        If a column is not numeric; names it.
    """
    if not is_frame(X):
        return
    bad = [str(name) for name, dtype in X.dtypes.items() if getattr(dtype, "kind", "O") not in "biuf"]
    if bad:
        raise ValueError(
            f"X must have numeric columns only, because every input is regenerated as numbers. Got columns that are "
            f"not: {', '.join(bad)}. Encode them before this estimator."
        )


def as_numbers(X):
    """Return inputs as an array of numbers, which is what a regenerator takes.

    Parameters
    ----------
    X : ndarray or data frame of shape (n, ...)
        The inputs.

    Returns
    -------
    values : ndarray
        Columns of types that have no common one in NumPy become float64.
    """
    values = np.asarray(X)
    return values.astype(np.float64) if values.dtype.kind == "O" else values


def _cast(values, dtype):
    if dtype.kind == "b":
        return values > 0.5
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        values = np.clip(np.rint(values.astype(np.float64)), limits.min, limits.max)
    return values.astype(dtype)


def like(values, X):
    """Give candidates the type, dtypes and column names of the inputs that they replace.

    Parameters
    ----------
    values : ndarray of shape (n, ...)
        Candidates.
    X : ndarray or data frame of shape (n, ...)
        The inputs.

    Returns
    -------
    candidates : ndarray or data frame
        Integers are rounded and kept in the range of their dtype.
    """
    if not is_frame(X):
        return _cast(values, X.dtype)
    frame = type(X)(values, columns=X.columns, index=X.index)
    for position, dtype in enumerate(X.dtypes):
        # Nullable dtypes of pandas know the NumPy dtype that they extend.
        frame.isetitem(position, _cast(values[:, position], np.dtype(getattr(dtype, "numpy_dtype", dtype))))
        if hasattr(dtype, "numpy_dtype"):
            frame.isetitem(position, frame.iloc[:, position].astype(dtype))
    return frame

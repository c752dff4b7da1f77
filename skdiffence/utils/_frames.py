"""Arrays and data frames of numbers, and changed rows in the type of the input."""

import numpy as np
from scipy.sparse import issparse


def is_frame(X):
    """Return whether X is a data frame in the manner of pandas."""
    return hasattr(X, "iloc") and hasattr(X, "columns")


def is_numeric(dtype):
    """Return whether a dtype is numeric: boolean, integer or float.

    Categories, text of digits and objects are not numeric, whatever they hold.

    Parameters
    ----------
    dtype : dtype
        Of NumPy or pandas, nullable ones included.

    Returns
    -------
    is_numeric : bool
    """
    return getattr(dtype, "kind", "O") in "biuf"


def check_numeric_frame(X):
    """Raise an error if X is a data frame with columns that are not numeric.

    Parameters
    ----------
    X : array-like or data frame of shape (n_samples, ...)
        Rows. What is no data frame is not checked.

    Raises
    ------
    ValueError
        If a column is not numeric. The message names all such columns.
    """
    if is_frame(X):
        bad = [str(name) for name, dtype in X.dtypes.items() if not is_numeric(dtype)]
        if bad:
            raise ValueError(
                f"X must have numeric columns only. Got columns that are not: {', '.join(bad)}. Encode them first."
            )


def as_numbers(X):
    """Return rows as a numeric array.

    Parameters
    ----------
    X : array-like or data frame of shape (n_samples, ...)
        Rows.

    Returns
    -------
    values : ndarray of shape (n_samples, ...)
        In the dtype of X. Columns of a data frame without a common NumPy dtype become float64, missing values NaN.

    Raises
    ------
    TypeError
        If X is sparse.
    ValueError
        If X is not numeric.
    """
    if issparse(X):
        raise TypeError("X must be dense, because its values are changed. Got a sparse matrix. Pass X.toarray().")
    check_numeric_frame(X)
    values = np.asarray(X)
    if is_frame(X) and not is_numeric(values.dtype):
        return X.to_numpy(dtype=np.float64, na_value=np.nan)
    if not is_numeric(values.dtype):
        raise ValueError(f"X must be numeric. Got dtype {values.dtype}.")
    return values


def like(values, X):
    """Return changed rows in the type of the input.

    Parameters
    ----------
    values : ndarray of shape (n_samples, ...)
        Changed rows.
    X : array-like or data frame of shape (n_samples, ...)
        The input that they replace.

    Returns
    -------
    changed : ndarray or data frame of shape (n_samples, ...)
        With the dtypes, columns and index of X. Integers are rounded and clipped to the range of their dtype.
    """
    if not is_frame(X):
        dtype = np.asarray(X).dtype
        return _rounded(values, dtype).astype(dtype)
    dtypes = dict(enumerate(X.dtypes))
    # Nullable dtypes of pandas know the NumPy dtype that they extend.
    plain = [np.dtype(getattr(dtype, "numpy_dtype", dtype)) for dtype in dtypes.values()]
    columns = [_rounded(values[:, place], dtype) for place, dtype in enumerate(plain)]
    return type(X)(np.column_stack(columns), index=X.index).astype(dtypes).set_axis(X.columns, axis=1)


def _rounded(values, dtype):
    if dtype.kind not in "biu":
        return values
    low, high = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    return np.clip(np.rint(values.astype(np.float64)), low, high)

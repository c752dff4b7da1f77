"""Arrays and data frames of numbers, and changed rows in the type of the input."""

import numpy as np
from scipy.sparse import issparse


def is_frame(X):
    """Return whether X is a data frame in the manner of pandas or polars."""
    return hasattr(X, "columns") and (hasattr(X, "iloc") or hasattr(X, "get_columns"))


def is_polars(X):
    """Return whether X is a data frame in the manner of polars."""
    return is_frame(X) and not hasattr(X, "iloc")


def is_numeric(dtype):
    """Return whether a dtype is numeric: boolean, integer or float.

    Categories, text of digits and objects are not numeric, whatever they hold.

    Parameters
    ----------
    dtype : dtype
        Of NumPy, pandas or polars, nullable ones included.

    Returns
    -------
    is_numeric : bool
    """
    if hasattr(dtype, "is_integer") and hasattr(dtype, "is_float"):  # polars
        return dtype.is_integer() or dtype.is_float() or str(dtype) == "Boolean"
    return getattr(dtype, "kind", "O") in "biuf"


def frame_columns(X):
    """Return the name, the dtype and the values of each column of a data frame."""
    if is_polars(X):
        return list(zip(X.columns, X.dtypes, X.get_columns(), strict=True))
    return [(name, dtype, X.iloc[:, place]) for place, (name, dtype) in enumerate(X.dtypes.items())]


def has_numbers(X):
    """Return whether rows are dense and numeric, so that they can be changed, or compared as points.

    Parameters
    ----------
    X : array-like, sparse matrix or data frame of shape (n_samples, ...)
        Rows.

    Returns
    -------
    has_numbers : bool
    """
    if issparse(X):
        return False
    if is_frame(X):
        return all(is_numeric(dtype) for _, dtype, _ in frame_columns(X))
    try:
        return is_numeric(np.asarray(X).dtype)
    except (TypeError, ValueError, RuntimeError):  # rows of different lengths, or tensors that can't become arrays
        return False


def check_unmasked(X, name="X"):
    """Raise an error if masked values of an array would be taken for numbers.

    Parameters
    ----------
    X : object
        Whatever was given.
    name : str, default="X"
        What the error message calls it.

    Raises
    ------
    ValueError
        If X is a masked array with a masked value.
    """
    if isinstance(X, np.ma.MaskedArray) and np.ma.getmaskarray(X).any():
        n_masked = np.count_nonzero(np.ma.getmaskarray(X))
        raise ValueError(
            f"{name} must not have masked values, because what lies under a mask is no value. Got a masked array with "
            f"{n_masked} of {X.size} values masked. Pass {name}.filled(...), with NaN for values that are missing."
        )


def check_detached(X):
    """Raise an error if X is a tensor that requires a gradient, which does not become an array."""
    if getattr(X, "requires_grad", False):
        raise ValueError("X must be a tensor without a gradient, because it becomes an array. Pass X.detach().")


def check_numeric(X):
    """Raise an error if X holds what validation by scikit-learn would take for numbers, though it is none.

    Parameters
    ----------
    X : array-like or data frame of shape (n_samples, ...)
        Rows. Arrays of text, objects and complex numbers are left to scikit-learn.

    Raises
    ------
    ValueError
        If X is a data frame with columns that are not numeric, all of which the message names, an array with masked
        values, one of dates or times, or a tensor that requires a gradient.
    """
    check_unmasked(X)
    check_detached(X)
    dtype = getattr(X, "dtype", None)
    if isinstance(dtype, np.dtype) and dtype.kind not in "OSUc" and not is_numeric(dtype):
        raise ValueError(f"X must be numeric. Got dtype {dtype}.")
    if is_frame(X):
        bad = [str(name) for name, dtype, _ in frame_columns(X) if not is_numeric(dtype)]
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
        If X is not numeric, or has masked values.
    """
    if issparse(X):
        raise TypeError("X must be dense, because its values are changed. Got a sparse matrix. Pass X.toarray().")
    check_numeric(X)
    try:
        values = np.asarray(X)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"X must be a numeric array. Got {type(X).__name__}: {error}") from None
    if is_frame(X) and not is_numeric(values.dtype):
        return np.column_stack([_floats(column) for _, _, column in frame_columns(X)])
    if not is_numeric(values.dtype):
        raise ValueError(f"X must be numeric. Got dtype {values.dtype}.")
    return values


def _floats(column):
    if hasattr(column, "iloc"):
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    return np.asarray(column.cast(float))


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
    if is_polars(X):
        columns = [_polars_column(values[:, place], column) for place, column in enumerate(X.get_columns())]
        return type(X)(columns)
    dtypes = dict(enumerate(X.dtypes))
    # Nullable and sparse dtypes of pandas know the NumPy dtype that they extend.
    plain = [
        np.dtype(getattr(dtype, "numpy_dtype", getattr(dtype, "subtype", dtype))) for dtype in dtypes.values()
    ]
    columns = [_rounded(values[:, place], dtype) for place, dtype in enumerate(plain)]
    return type(X)(np.column_stack(columns), index=X.index).astype(dtypes).set_axis(X.columns, axis=1)


def with_rows(X, rows, values):
    """Return a copy of the input with some rows changed.

    Parameters
    ----------
    X : array-like or data frame of shape (n_samples, ...)
        The input; all other rows stay as they are, to the last digit.
    rows : ndarray of shape (n_changed,), dtype int
        Which rows are replaced.
    values : ndarray of shape (n_changed, ...)
        By what, as :func:`like` takes it.

    Returns
    -------
    changed : ndarray, tensor or data frame of shape (n_samples, ...)
    """
    if not is_frame(X):
        changed = X.clone() if hasattr(X, "clone") else np.array(X)
        changed[rows] = changed.new_tensor(like(values, X)) if hasattr(X, "clone") else like(values, changed)
        return changed
    taken = np.arange(len(X))
    taken[rows] = len(X) + np.arange(len(rows))
    if is_polars(X):
        return X.vstack(like(values, X[rows]))[taken]
    import pandas  # X is one of its frames

    return pandas.concat([X, like(values, X.iloc[rows])]).iloc[taken].set_axis(X.index, axis=0)


def with_columns_of(values, X):
    """Return rows of floating point in the container of X: an array, or a data frame with the columns of X.

    Parameters
    ----------
    values : ndarray of shape (n_rows, ...)
        Rows; not necessarily as many as X has.
    X : array-like or data frame of shape (n_samples, ...)
        Gives the columns, and the index where it has as many rows.

    Returns
    -------
    rows : ndarray or data frame of shape (n_rows, ...)
    """
    if not is_frame(X):
        return values
    if is_polars(X):
        return type(X)(values, schema=list(X.columns), orient="row")
    return type(X)(values, columns=X.columns, index=X.index if len(values) == len(X) else None)


def ready_for(X, container):
    """Return rows that scikit-learn can put in a container without changing the given ones.

    It renames the columns of a frame in place, and takes no frame of another kind.

    Parameters
    ----------
    X : array-like, sparse matrix or data frame of shape (n_samples, ...)
        Rows.
    container : {"default", "pandas", "polars"}
        As :func:`~skdiffence.utils._sklearn.output_container` returns it.

    Returns
    -------
    X : array-like, sparse matrix or data frame of shape (n_samples, ...)
        X itself for "default", and if it is no frame.
    """
    if container == "default" or not is_frame(X):
        return X
    if is_polars(X) != (container == "polars"):
        return as_numbers(X) if has_numbers(X) else np.asarray(X)
    return X.clone() if is_polars(X) else X.copy(deep=False)


def _polars_column(values, column):
    """Return changed values in the dtype and with the name of a column; missing values stay missing."""
    changed = type(column)(column.name, _rounded(values, column.clear().to_numpy().dtype).astype(np.float64))
    return (changed.fill_nan(None) if column.null_count() else changed).cast(column.dtype)


def _rounded(values, dtype):
    if dtype.kind not in "biu" or values.dtype == dtype:
        return values
    low, high = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    # As a float, the end of a range of 64 bits is beyond it.
    high = float(high) if int(float(high)) <= high else np.nextafter(float(high), 0)
    return np.clip(np.rint(values.astype(np.float64)), low, high)

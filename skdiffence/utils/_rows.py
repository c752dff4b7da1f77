"""Rows compared by content: canonical bytes, keyed digests, and sets of digests."""

import hashlib
import math
import secrets

import numpy as np
from scipy.sparse import issparse

from skdiffence.utils._frames import check_unmasked, frame_columns, is_frame, is_numeric
from skdiffence.utils._row_cells import of_cells, read_item
from skdiffence.utils._row_contents import DIGEST_SIZE, Contents, beside
from skdiffence.utils._row_times import polars_times
from skdiffence.utils._sklearn import num_samples, safe_indexing

_KEY_SIZE = 32
_DENSE_VALUES = 2**22  # of a sparse matrix or a large array, converted to bytes at a time
_EXACT = (bool, bytes, complex, float, int, str, type(None))


def row_digests(X, key=b"", *, as_float32=False):
    """Return one keyed digest for each row of X.

    Rows are compared by what they hold: numbers by value, exactly as given, whatever their dtype, and other values,
    such as text and categories, as text. -0.0 equals 0.0, and all missing values are equal. Dates and times are equal
    if they are one instant, in whatever unit or zone, a date being its midnight; one with a zone equals none without.

    Cells may hold arrays, tensors, lists and dicts. These are compared by shape and by all that they hold, numbers by
    value again. In a list of rows of different shapes, such as images of several sizes, each row has the digest that
    it has alone.

    Parameters
    ----------
    X : array-like of shape (n, ...), sparse matrix or data frame
        Rows.
    key : bytes, default=b""
        Key of the hash, at most 64 bytes. Who does not know the key cannot compare the digests with those of guessed
        rows.
    as_float32 : bool, default=False
        Whether numbers are rounded to float32 first.

    Returns
    -------
    digests : ndarray of shape (n,), dtype S16
        BLAKE2b digests: of the float32 bytes of a row if these hold its numbers exactly; otherwise of the float64
        bytes, and of what is left over where these do not either.

    Raises
    ------
    ValueError
        If X is no collection of rows, or has masked values.
    TypeError
        If a cell holds an object that can be known by its address only.
    """
    if isinstance(X, (list, tuple)):
        together = _together(X)
        if together is None:
            return np.concatenate([row_digests([row], key, as_float32=as_float32) for row in X])
        X = together
    if issparse(X) or _is_large(X):
        size, X = max(1, _DENSE_VALUES // max(math.prod(X.shape[1:]), 1)), X.tocsr() if issparse(X) else X
        parts = [X[start : start + size] for start in range(0, max(X.shape[0], 1), size)]
        parts = (part.toarray() if issparse(part) else part for part in parts)
        return np.concatenate([row_digests(part, key, as_float32=as_float32) for part in parts])
    contents = _contents(X, as_float32)
    rows = contents.rounded() if as_float32 else contents.exact()
    digests = [hashlib.blake2b(row, digest_size=DIGEST_SIZE, key=key).digest() for row in rows]
    return np.array(digests, dtype=f"S{DIGEST_SIZE}")


def _is_large(X):
    return isinstance(X, np.ndarray) and X.ndim > 1 and len(X) > 1 and X.size > _DENSE_VALUES and is_numeric(X.dtype)


def _together(X):
    """Return a list of rows as an array; None if there are several that differ in shape."""
    try:
        return np.asarray(X)
    except ValueError:
        return None if len(X) > 1 else X
    except (TypeError, RuntimeError):  # rows that NumPy cannot read
        return X


def _is_float32(X):
    """Return whether rows are floating-point numbers that float32 holds, with or without small integers beside them."""
    dtypes = [dtype for _, dtype, _ in frame_columns(X)] if is_frame(X) else [getattr(X, "dtype", None)]
    if not all(isinstance(dtype, np.dtype) and np.can_cast(dtype, np.float32) for dtype in dtypes):
        return False
    return any(dtype.kind == "f" for dtype in dtypes)


def _contents(X, as_float32):
    """Return the contents of dense rows; numbers inside a cell are rounded to float32 if they are to be."""
    check_unmasked(X)
    if is_frame(X):
        columns = frame_columns(X)
        if not columns or not all(is_numeric(dtype) and isinstance(dtype, np.dtype) for _, dtype, _ in columns):
            parts = [_of_column(place, dtype, column, as_float32) for place, (_, dtype, column) in enumerate(columns)]
            return beside(parts, num_samples(X))
        if len({dtype for _, dtype, _ in columns}) > 1:
            return beside([Contents.of_numbers(column.to_numpy()[:, None]) for *_, column in columns], len(X))
    values = _as_array(X)
    values = values.reshape(len(values), math.prod(values.shape[1:]))
    if is_numeric(values.dtype):
        return Contents.of_numbers(values)
    # As lists, dates that Python does not have would be integers.
    columns = values.T if values.dtype.kind in "mM" else values.T.tolist()
    return beside([of_cells(column, place, as_float32) for place, column in enumerate(columns)], len(values))


def _as_array(X):
    try:
        values = np.asarray(X)
    except ValueError:  # rows whose parts differ in shape
        values = np.empty(num_samples(X), dtype=object)
        for place, row in enumerate(X):
            values[place] = row
    except (TypeError, RuntimeError) as error:
        raise ValueError(f"X must hold rows that NumPy can read. Got {type(X).__name__}: {error}") from None
    if not values.ndim:
        raise ValueError(f"X must hold rows. Got {type(X).__name__}, a single value.")
    return values


def _of_column(place, dtype, column, as_float32):
    """Return the contents of a column of a data frame."""
    if not is_numeric(dtype):
        return of_cells(polars_times(column) or column.to_list(), place, as_float32)
    is_missing = np.asarray(column.is_null() if hasattr(column, "is_null") else column.isna())
    if is_missing.any() and not isinstance(dtype, np.dtype):
        # Integers with missing values would become floats.
        zero = column.dtype.type(0) if hasattr(column, "isna") else (False if str(dtype) == "Boolean" else 0)
        column = column.fillna(zero) if hasattr(column, "isna") else column.fill_null(zero)
    values = column.to_numpy()[:, None]
    contents = Contents.of_numbers(values.astype(getattr(dtype, "numpy_dtype", values.dtype), copy=False))
    for part in (contents.narrow, contents.wide):
        if part is not None:
            part[is_missing] = np.nan
    return contents


def data_digest(*arrays):
    """Return a digest of the values, shapes, kinds of dtype and order of rows of arrays.

    Parameters
    ----------
    *arrays : array-like, sparse matrix or None
        Their order counts. The format of sparse matrices does not.

    Returns
    -------
    digest : bytes of length 16
    """
    digest = hashlib.blake2b(digest_size=DIGEST_SIZE)
    for array in arrays:
        if issparse(array):
            digest.update(b"sparse" + data_digest(*_stored(array)))
            continue
        array = np.asarray(array)
        if array.dtype.kind in "mM":  # dates have no bytes that can be read
            digest.update(array.dtype.str.encode())
            array = array.view(np.int64)
        digest.update(f"{array.dtype.kind}{array.shape}".encode())
        if array.dtype.kind in "OUSV":
            digest.update("\0".join(map(_shown, array.ravel().tolist())).encode("utf-8", "surrogatepass"))
        else:
            for part in _parts(array):
                digest.update(np.ascontiguousarray(part))
    return digest.digest()


def _stored(matrix):
    """Return the shape of a sparse matrix, its values in the order of their places, and these places."""
    matrix = matrix.tocsr(copy=True)
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    return matrix.shape, matrix.data, matrix.indices.astype(np.int64), matrix.indptr.astype(np.int64)


def _shown(cell):
    """Return what a cell holds; its repr, where this is exact."""
    return repr(cell) if type(cell) in _EXACT else read_item(cell, False).hex()


def _parts(array):
    """Yield an array, or a part of it after the other where a copy of it would be large."""
    if array.flags.c_contiguous or array.ndim < 2:
        yield array
        return
    size = max(1, _DENSE_VALUES // math.prod(array.shape[1:]))
    for start in range(0, len(array), size):
        yield array[start : start + size]


def take_rows(X, rows):
    """Return the rows of X at some indices; X itself, and no copy, if these are all of its rows in order."""
    is_all = len(rows) == num_samples(X) and (rows == np.arange(len(rows))).all()
    return X if is_all else safe_indexing(X, rows)


class RowSet:
    """A set of rows that stores keyed digests instead of the rows.

    Parameters
    ----------
    digests : ndarray of dtype S16
        Keyed digests of the rows.
    key : bytes
        The key of the digests.
    rounded : ndarray of dtype S16, default=None
        Keyed digests of the rows rounded to float32; None for the same as ``digests``. By these, rows are found that
        were computed again, as by a step of a pipeline, and differ in their last bits.
    is_float32 : bool, default=False
        Whether the rows were given as float32. The same rows from a file of decimals differ in their last bits.
    """

    is_float32 = False  # of sets that were pickled before this was recorded

    def __init__(self, digests, key, rounded=None, *, is_float32=False):
        self.digests = np.unique(digests)
        self.key = key
        self.rounded = self.digests if rounded is None else np.unique(rounded)
        self.is_float32 = is_float32

    @classmethod
    def of(cls, X, key=None):
        """Return the set of the rows of X, with a random key unless one is given."""
        key = secrets.token_bytes(_KEY_SIZE) if key is None else key
        return cls(row_digests(X, key), key, row_digests(X, key, as_float32=True), is_float32=_is_float32(X))

    @classmethod
    def empty(cls):
        """Return a set without rows."""
        return cls(np.empty(0, dtype=f"S{DIGEST_SIZE}"), b"")

    def without(self, other):
        """Return the set without the rows of another set that has the same key."""
        digests, rounded = np.setdiff1d(self.digests, other.digests), np.setdiff1d(self.rounded, other.rounded)
        return RowSet(digests, self.key, rounded, is_float32=self.is_float32)

    def contains(self, X):
        """Return for each row of X whether it is in the set.

        Returns
        -------
        mask : ndarray of shape (n,), dtype bool
        """
        return self.find(X)[0]

    def find(self, X, *, recomputed=False):
        """Return which rows of X are in the set, and the number of rows of the set that are not in X.

        Parameters
        ----------
        X : array-like of shape (n, ...)
            Rows.
        recomputed : bool, default=False
            Whether rows of X may differ in their last bits from those of the set. If some are missing, they are then
            looked for among all rows rounded to float32.

        Returns
        -------
        mask : ndarray of shape (n,), dtype bool
        n_lost : int
        """
        found = self._find(self.digests, X, as_float32=False)
        if not recomputed or not found[1]:
            return found
        return min(found, self._find(self.rounded, X, as_float32=True), key=lambda mask_and_lost: mask_and_lost[1])

    def _find(self, digests, X, *, as_float32):
        if not len(digests):
            return np.zeros(num_samples(X), dtype=bool), len(self)
        of_X = row_digests(X, self.key, as_float32=as_float32)
        return np.isin(of_X, digests), len(np.setdiff1d(digests, of_X))

    def __len__(self):
        return len(self.digests)

    def __repr__(self):
        return f"<RowSet of {len(self)} distinct rows>"

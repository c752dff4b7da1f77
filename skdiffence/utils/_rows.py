"""Rows compared by content: canonical bytes, keyed digests, and sets of digests."""

import dataclasses
import datetime
import hashlib
import math
import numbers
import re
import secrets
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import issparse

from skdiffence.utils._frames import check_unmasked, frame_columns, is_frame, is_numeric
from skdiffence.utils._sklearn import num_samples, safe_indexing

_DIGEST_SIZE = 16
_KEY_SIZE = 32
_DENSE_VALUES = 2**22  # of a sparse matrix or a large array, converted to bytes at a time
_HALF = np.float64(2**32)
# Attoseconds, the smallest unit of NumPy, in each of its units of fixed length.
_UNITS = {"as": 1, "fs": 10**3, "ps": 10**6, "ns": 10**9, "us": 10**12, "ms": 10**15, "s": 10**18}
_UNITS |= {unit: seconds * 10**18 for unit, seconds in (("m", 60), ("h", 3600), ("D", 86400), ("W", 7 * 86400))}
_EXACT = (bool, bytes, complex, float, int, str, type(None))
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+>")  # in the default repr of objects


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
    digests = [hashlib.blake2b(row, digest_size=_DIGEST_SIZE, key=key).digest() for row in rows]
    return np.array(digests, dtype=f"S{_DIGEST_SIZE}")


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


@dataclass(frozen=True)
class _Contents:
    """What rows hold, each part an array of shape (n, d) or None.

    Parameters
    ----------
    narrow : ndarray of dtype float32
        Numbers rounded to float32; 0 at the places of text.
    wide : ndarray of dtype float64, or None
        Numbers rounded to float64. None if ``narrow`` holds them all.
    rest : ndarray of dtype float64, or None
        What is left over of the numbers. None if ``wide`` holds them all.
    texts : list of bytes, or None
        The text of each row. None if there is none.
    """

    narrow: np.ndarray
    wide: np.ndarray | None = None
    rest: np.ndarray | None = None
    texts: list | None = None

    @classmethod
    def of_numbers(cls, values):
        """Return the contents of a numeric array of shape (n, d)."""
        # Values beyond float32 become infinities; they are told apart as float64.
        with np.errstate(over="ignore"):
            narrow = _canonical(np.array(values, dtype=np.float32, order="C"))
        if np.can_cast(values.dtype, np.float32):
            return cls(narrow)
        wide, rest = _halves(values)
        return cls(narrow, _canonical(wide), rest)

    def exact(self):
        """Return the canonical bytes of each row."""
        if self.wide is None:
            return self._with_texts(list(self.narrow))
        with np.errstate(invalid="ignore"):
            in_float32 = ((self.narrow == self.wide) | np.isnan(self.wide)).all(axis=1)
        rows = [narrow if fits else wide for narrow, wide, fits in zip(self.narrow, self.wide, in_float32, strict=True)]
        if self.rest is not None:
            for row in np.flatnonzero(self.rest.any(axis=1)):
                rows[row] = np.concatenate([self.wide[row], self.rest[row]])
        return self._with_texts(rows)

    def rounded(self):
        """Return the canonical bytes of each row, its numbers rounded to float32."""
        return self._with_texts(list(self.narrow))

    def _with_texts(self, rows):
        if self.texts is None:
            return rows
        return [row.tobytes() + text for row, text in zip(rows, self.texts, strict=True)]


def _canonical(values):
    """Return the array itself with one zero and one NaN, so that equal numbers have equal bytes."""
    values += 0.0  # -0.0 + 0.0 is 0.0
    values[np.isnan(values)] = np.nan
    return values


def _halves(values):
    """Return numbers rounded to float64, and what is left over; None if that is nothing."""
    values = np.ascontiguousarray(values)  # so that every row of what follows is
    if values.dtype.kind in "iu" and values.dtype.itemsize > 4:
        # The sum of two floats, and its rounding error, without overflow.
        high, low = (values >> 32) * _HALF, (values & 0xFFFFFFFF).astype(np.float64)
        wide = high + low
        shift = wide - high
        rest = (high - (wide - shift)) + (low - shift)
        return wide, rest if rest.any() else None
    wide = np.array(values, dtype=np.float64, order="C")
    if values.dtype.itemsize <= 8:
        return wide, None
    with np.errstate(invalid="ignore"):
        rest = np.nan_to_num((values - wide).astype(np.float64), nan=0.0)
    return wide, rest if rest.any() else None


def _contents(X, as_float32):
    """Return the contents of dense rows; numbers inside a cell are rounded to float32 if they are to be."""
    check_unmasked(X)
    if is_frame(X):
        columns = frame_columns(X)
        if not columns or not all(is_numeric(dtype) and isinstance(dtype, np.dtype) for _, dtype, _ in columns):
            parts = [_of_column(place, dtype, column, as_float32) for place, (_, dtype, column) in enumerate(columns)]
            return _beside(parts, num_samples(X))
        if len({dtype for _, dtype, _ in columns}) > 1:
            return _beside([_Contents.of_numbers(column.to_numpy()[:, None]) for *_, column in columns], len(X))
    values = _as_array(X)
    values = values.reshape(len(values), math.prod(values.shape[1:]))
    if is_numeric(values.dtype):
        return _Contents.of_numbers(values)
    # As lists, dates that Python does not have would be integers.
    columns = values.T if values.dtype.kind in "mM" else values.T.tolist()
    return _beside([_of_cells(column, place, as_float32) for place, column in enumerate(columns)], len(values))


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
        return _of_cells(_polars_times(column) or column.to_list(), place, as_float32)
    is_missing = np.asarray(column.is_null() if hasattr(column, "is_null") else column.isna())
    if is_missing.any() and not isinstance(dtype, np.dtype):
        # Integers with missing values would become floats.
        zero = column.dtype.type(0) if hasattr(column, "isna") else (False if str(dtype) == "Boolean" else 0)
        column = column.fillna(zero) if hasattr(column, "isna") else column.fill_null(zero)
    values = column.to_numpy()[:, None]
    contents = _Contents.of_numbers(values.astype(getattr(dtype, "numpy_dtype", values.dtype), copy=False))
    for part in (contents.narrow, contents.wide):
        if part is not None:
            part[is_missing] = np.nan
    return contents


def _polars_times(column):
    """Return dates and durations of polars, of which Python would lose the nanoseconds; None for other columns."""
    if not hasattr(column, "is_null") or not str(column.dtype).startswith(("Datetime", "Duration")):
        return None
    zone = getattr(column.dtype, "time_zone", None)
    return [_Zoned(cell) if zone and not np.isnat(cell) else cell for cell in column.to_numpy()]


@dataclass(frozen=True)
class _Zoned:
    """An instant in UTC that was given with a zone."""

    utc: np.datetime64


def _of_cells(cells, place, as_float32):
    """Return the contents of a column of any Python objects."""
    known, read = {}, []
    for cell in cells:
        if type(cell) is str:  # by far the most, and many of them equal
            if cell not in known:
                known[cell] = _read(cell, as_float32)
            read.append(known[cell])
        else:
            read.append(_read(cell, as_float32))
    wide, rest, texts = zip(*read, strict=True) if read else ((), (), ())
    wide, rest = np.array(wide, dtype=np.float64)[:, None], np.array(rest, dtype=np.float64)[:, None]
    with np.errstate(over="ignore"):
        narrow = _canonical(wide.astype(np.float32))
    marked = None
    if any(text is not None for text in texts):
        marked = [b"" if text is None else f"{place}:{len(text)}:".encode() + text for text in texts]
    return _Contents(narrow, _canonical(wide), rest if rest.any() else None, marked)


def _read(cell, as_float32=False):
    """Return a number, what float64 leaves over of it, and text; NaN for a missing value, None for no text."""
    if isinstance(cell, (np.ndarray, torch.Tensor)) and not cell.ndim:
        cell = _as_dense(cell)[()]
    if cell is None or type(cell).__name__ in ("NAType", "NaTType"):
        return np.nan, 0.0, None
    if isinstance(cell, (np.datetime64, np.timedelta64)) and np.isnat(cell):
        return np.nan, 0.0, None
    if isinstance(cell, (np.datetime64, np.timedelta64, datetime.date, datetime.timedelta, _Zoned)):
        return 0.0, 0.0, _read_time(cell)
    if isinstance(cell, str):
        return 0.0, 0.0, b"text:" + cell.encode("utf-8", "surrogatepass")
    if isinstance(cell, (numbers.Integral, np.bool_)) and abs(int(cell)) < 2**100:
        whole = int(cell)
        return float(whole), float(whole - int(float(whole))), None
    if isinstance(cell, numbers.Real) and not isinstance(cell, numbers.Rational):
        return float(cell), 0.0, None
    return 0.0, 0.0, _read_object(cell, as_float32)


def _read_time(cell):
    """Return the text of a date, an instant or a duration: its exact length in attoseconds."""
    offset = cell.utcoffset() if isinstance(cell, datetime.datetime) else None
    kind = "instant" if offset is not None or isinstance(cell, _Zoned) else "date"
    if isinstance(cell, _Zoned):
        cell = cell.utc
    elif hasattr(cell, "asm8"):  # of pandas, in UTC
        cell, offset = cell.asm8, None
    elif isinstance(cell, datetime.datetime):
        cell = np.datetime64(cell.replace(tzinfo=None), "us")
    elif isinstance(cell, datetime.date):
        cell = np.datetime64(cell, "D")
    if isinstance(cell, datetime.timedelta):
        return f"duration:{cell // datetime.timedelta(microseconds=1) * _UNITS['us']}".encode()
    kind = "duration" if isinstance(cell, np.timedelta64) else kind
    unit, step = np.datetime_data(cell.dtype)
    if kind == "date" and unit in "YM":
        cell, (unit, step) = cell.astype("M8[D]"), ("D", 1)
    count = int(cell.astype(np.int64)) * step
    if unit not in _UNITS:  # durations of months and years, whose lengths vary, and those without a unit
        return f"{kind} in {unit}:{count}".encode() if unit != "Y" else f"{kind} in M:{12 * count}".encode()
    shift = 0 if offset is None else offset // datetime.timedelta(microseconds=1) * _UNITS["us"]
    return f"{kind}:{count * _UNITS[unit] - shift}".encode()


def _read_object(cell, as_float32):
    """Return the text of a cell that is no number: a digest where it holds many values."""
    if isinstance(cell, (numbers.Complex, np.complexfloating)) and not isinstance(cell, numbers.Real):
        return _numbers_in(np.array(cell), (), as_float32)
    if _is_array(cell) and (values := _as_dense(cell)).ndim:
        cell = values
    if isinstance(cell, (list, tuple, np.ndarray)):
        found = _all_numbers(cell)
        return _read_items(cell, as_float32) if found is None else _numbers_in(*found, as_float32)
    if isinstance(cell, np.void) and cell.dtype.names:
        return _read_items(cell.item(), as_float32)
    if dataclasses.is_dataclass(cell) and not isinstance(cell, type):
        fields = {field.name: getattr(cell, field.name) for field in dataclasses.fields(cell)}
        return _joined(type(cell).__name__, [_read_object(fields, as_float32)])
    if isinstance(cell, dict):
        pairs = ((key, cell[key]) for key in cell)
        return _joined("dict", sorted(_joined("", [_read_item(part, as_float32) for part in pair]) for pair in pairs))
    if isinstance(cell, (set, frozenset)):
        return _joined("set", sorted(_read_item(item, as_float32) for item in cell))
    shown = repr(cell)
    if _ADDRESS.search(shown):
        raise TypeError(
            "X must hold values that can be compared by content: numbers, text, dates, arrays, and lists and dicts of "
            f"these. Got an object of type {type(cell).__qualname__}, of which only its address is known. Convert it "
            "to an array or to text, or give its class a __repr__ that shows what it holds."
        )
    return f"{type(cell).__name__}:{shown}".encode("utf-8", "surrogatepass")


def _is_array(cell):
    if isinstance(cell, (np.generic, type)):
        return False
    return issparse(cell) or hasattr(cell, "__array__") or hasattr(cell, "__array_interface__")


def _as_dense(cell):
    """Return an array, a sparse matrix, a tensor or another array-like as an array."""
    check_unmasked(cell)
    if isinstance(cell, torch.Tensor):
        cell = cell.detach().cpu().to_dense().resolve_conj().resolve_neg()
        # NumPy has no such narrow floats; float32 holds them all.
        cell = cell.float() if cell.is_floating_point() and cell.itemsize <= 2 else cell
    return cell.toarray() if issparse(cell) else np.asarray(cell)


def _numbers_in(values, shape, as_float32):
    """Return the digest of numbers by their values and their shape."""
    if not isinstance(values, _Contents):
        if values.dtype.kind == "c":
            values, shape = np.stack([values.real, values.imag]), ("complex", shape)
        values = _Contents.of_numbers(np.reshape(values, (1, -1)))
    (row,) = values.rounded() if as_float32 else values.exact()
    return _joined("numbers", [repr(shape).encode(), np.ascontiguousarray(row).tobytes()])


def _all_numbers(cell):
    """Return the values and the shape of an array or nested list of nothing but numbers; otherwise None."""
    if not isinstance(cell, np.ndarray) and _has_text(cell):
        return None  # as an array, all texts would be as long as the longest
    try:
        values = np.asarray(cell)
    except (TypeError, ValueError, RuntimeError):
        return None
    kind = values.dtype.kind
    if not values.size:
        return np.empty(0, dtype=np.float32), values.shape
    if kind in "biu" or (kind in "fc" and values is cell):
        return values, values.shape
    if kind not in "fcO":
        return None
    # Integers beside floats, and large ones, would be rounded.
    cells = np.array(cell, dtype=object)
    if kind in "fc" and not any(isinstance(each, numbers.Integral) for each in cells.flat):
        return values, values.shape
    wide, rest, texts = zip(*map(_read, cells.flat), strict=True)
    if any(text is not None for text in texts):
        return None
    wide, rest = np.array([wide], dtype=np.float64), np.array([rest], dtype=np.float64)
    with np.errstate(over="ignore"):
        narrow = _canonical(wide.astype(np.float32))
    return _Contents(narrow, _canonical(wide), rest if rest.any() else None), cells.shape


def _has_text(cell):
    return any(isinstance(each, (str, bytes)) or (isinstance(each, (list, tuple)) and _has_text(each)) for each in cell)


def _read_items(cell, as_float32):
    return _joined("list", [_read_item(item, as_float32) for item in cell])


def _read_item(item, as_float32):
    """Return the text of a part of a cell, of a number as well."""
    number, rest, text = _read(item, as_float32)
    return _numbers_in(np.array([number, rest]), (), as_float32) if text is None else text


def _joined(kind, parts):
    """Return a kind with a digest of parts and of their lengths."""
    digest = hashlib.blake2b(digest_size=_DIGEST_SIZE)
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return f"{kind}:".encode() + digest.digest()


def _beside(parts, n_rows):
    """Return the contents of columns side by side."""
    if not parts:
        return _Contents(np.empty((n_rows, 0), dtype=np.float32))
    wide = rest = texts = None
    if any(part.wide is not None for part in parts):
        wide = np.hstack([part.narrow.astype(np.float64) if part.wide is None else part.wide for part in parts])
    if any(part.rest is not None for part in parts):
        rest = np.hstack([np.zeros(part.narrow.shape) if part.rest is None else part.rest for part in parts])
    if columns := [part.texts for part in parts if part.texts is not None]:
        texts = [b"".join(row) for row in zip(*columns, strict=True)]
    return _Contents(np.hstack([part.narrow for part in parts]), wide, rest, texts)


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
    digest = hashlib.blake2b(digest_size=_DIGEST_SIZE)
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
    return repr(cell) if type(cell) in _EXACT else _read_item(cell, False).hex()


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
        return cls(np.empty(0, dtype=f"S{_DIGEST_SIZE}"), b"")

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

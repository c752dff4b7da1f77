"""Any Python objects in the cells of rows, compared by what they hold."""

import dataclasses
import datetime
import hashlib
import numbers
import re

import numpy as np
import torch
from scipy.sparse import issparse

from skdiffence.utils._frames import check_unmasked
from skdiffence.utils._row_contents import DIGEST_SIZE, Contents
from skdiffence.utils._row_times import Zoned, read_time

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+>")  # in the default repr of objects


def of_cells(cells, place, as_float32):
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
    marked = None
    if any(text is not None for text in texts):
        marked = [b"" if text is None else f"{place}:{len(text)}:".encode() + text for text in texts]
    return Contents.of_floats(wide, rest, marked)


def _read(cell, as_float32=False):
    """Return a number, what float64 leaves over of it, and text; NaN for a missing value, None for no text."""
    if isinstance(cell, (np.ndarray, torch.Tensor)) and not cell.ndim:
        cell = _as_dense(cell)[()]
    if cell is None or type(cell).__name__ in ("NAType", "NaTType"):
        return np.nan, 0.0, None
    if isinstance(cell, (np.datetime64, np.timedelta64)) and np.isnat(cell):
        return np.nan, 0.0, None
    if isinstance(cell, (np.datetime64, np.timedelta64, datetime.date, datetime.timedelta, Zoned)):
        return 0.0, 0.0, read_time(cell)
    if isinstance(cell, str):
        return 0.0, 0.0, b"text:" + cell.encode("utf-8", "surrogatepass")
    if isinstance(cell, (numbers.Integral, np.bool_)) and abs(int(cell)) < 2**100:
        whole = int(cell)
        return float(whole), float(whole - int(float(whole))), None
    if isinstance(cell, numbers.Real) and not isinstance(cell, numbers.Rational):
        return float(cell), 0.0, None
    return 0.0, 0.0, _read_object(cell, as_float32)


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
        return _joined("dict", sorted(_joined("", [read_item(part, as_float32) for part in pair]) for pair in pairs))
    if isinstance(cell, (set, frozenset)):
        return _joined("set", sorted(read_item(item, as_float32) for item in cell))
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
    if not isinstance(values, Contents):
        if values.dtype.kind == "c":
            values, shape = np.stack([values.real, values.imag]), ("complex", shape)
        values = Contents.of_numbers(np.reshape(values, (1, -1)))
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
    return Contents.of_floats(np.array([wide], dtype=np.float64), np.array([rest], dtype=np.float64)), cells.shape


def _has_text(cell):
    return any(isinstance(each, (str, bytes)) or (isinstance(each, (list, tuple)) and _has_text(each)) for each in cell)


def _read_items(cell, as_float32):
    return _joined("list", [read_item(item, as_float32) for item in cell])


def read_item(item, as_float32):
    """Return the text of a part of a cell, of a number as well."""
    number, rest, text = _read(item, as_float32)
    return _numbers_in(np.array([number, rest]), (), as_float32) if text is None else text


def _joined(kind, parts):
    """Return a kind with a digest of parts and of their lengths."""
    digest = hashlib.blake2b(digest_size=DIGEST_SIZE)
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return f"{kind}:".encode() + digest.digest()

"""Dates, instants and durations in rows, compared by their exact length, whatever their unit."""

import datetime
from dataclasses import dataclass

import numpy as np

# Attoseconds, the smallest unit of NumPy, in each of its units of fixed length.
_UNITS = {"as": 1, "fs": 10**3, "ps": 10**6, "ns": 10**9, "us": 10**12, "ms": 10**15, "s": 10**18}
_UNITS |= {unit: seconds * 10**18 for unit, seconds in (("m", 60), ("h", 3600), ("D", 86400), ("W", 7 * 86400))}


@dataclass(frozen=True)
class Zoned:
    """An instant in UTC that was given with a zone."""

    utc: np.datetime64


def polars_times(column):
    """Return dates and durations of polars, of which Python would lose the nanoseconds; None for other columns."""
    if not hasattr(column, "is_null") or not str(column.dtype).startswith(("Datetime", "Duration")):
        return None
    zone = getattr(column.dtype, "time_zone", None)
    return [Zoned(cell) if zone and not np.isnat(cell) else cell for cell in column.to_numpy()]


def read_time(cell):
    """Return the text of a date, an instant or a duration: its exact length in attoseconds."""
    offset = cell.utcoffset() if isinstance(cell, datetime.datetime) else None
    kind = "instant" if offset is not None or isinstance(cell, Zoned) else "date"
    if isinstance(cell, Zoned):
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

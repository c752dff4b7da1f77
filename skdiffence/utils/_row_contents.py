"""What rows hold: numbers and text, as bytes that are equal where these are."""

from dataclasses import dataclass

import numpy as np

DIGEST_SIZE = 16  # bytes
_HALF = np.float64(2**32)


@dataclass(frozen=True)
class Contents:
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

    @classmethod
    def of_floats(cls, wide, rest, texts=None):
        """Return the contents of numbers as float64, of what that leaves over of them, and of texts."""
        with np.errstate(over="ignore"):
            narrow = _canonical(wide.astype(np.float32))
        return cls(narrow, _canonical(wide), rest if rest.any() else None, texts)

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


def beside(parts, n_rows):
    """Return the contents of columns side by side."""
    if not parts:
        return Contents(np.empty((n_rows, 0), dtype=np.float32))
    wide = rest = texts = None
    if any(part.wide is not None for part in parts):
        wide = np.hstack([part.narrow.astype(np.float64) if part.wide is None else part.wide for part in parts])
    if any(part.rest is not None for part in parts):
        rest = np.hstack([np.zeros(part.narrow.shape) if part.rest is None else part.rest for part in parts])
    if columns := [part.texts for part in parts if part.texts is not None]:
        texts = [b"".join(row) for row in zip(*columns, strict=True)]
    return Contents(np.hstack([part.narrow for part in parts]), wide, rest, texts)

"""Regenerations that are too many for memory, kept in a file from one run to the next."""

from pathlib import Path

import numpy as np
from sklearn.base import BaseEstimator

from skdiffence.base import InferenceOnlyMixin
from skdiffence.utils._rows import row_digests

_DIGEST_SIZE = 16
_ENTRY = np.dtype([("row", f"V{_DIGEST_SIZE}"), ("candidate", "<u4")])


class DiskCache(InferenceOnlyMixin, BaseEstimator):
    """A fitted regenerator that keeps what it made in a folder, where the next run finds it.

    Only for comparisons: what it made is found again by row and candidate alone, so that a folder must belong to one
    regenerator with one key. A run that is interrupted leaves whole entries, which are used, and at most a part of one
    behind them, which is overwritten.

    Parameters
    ----------
    regenerator : regenerator
        Fitted, with noise that is a function of its key.
    folder : str or path
        Holds the regenerations of rows: confidential where the rows are.
    batch_size : int, default=1024
        Rows that are made, and written, at a time.

    Attributes
    ----------
    n_made_ : int
        Rows that the regenerator made in this run.
    """

    def __init__(self, regenerator, folder, *, batch_size=1024):
        self.regenerator = regenerator
        self.folder = folder
        self.batch_size = batch_size

    def fit(self, X, y=None):
        """Read which regenerations are there.

        Parameters
        ----------
        X : ndarray of shape (n, ...)
            Only its shape is read.
        y : None
            Ignored.

        Returns
        -------
        self : DiskCache
        """
        Path(self.folder).mkdir(parents=True, exist_ok=True)
        self.shape_, self.n_made_ = X.shape[1:], 0
        row_bytes = 4 * int(np.prod(self.shape_))
        entries = self._file("entries")
        n = min(entries.stat().st_size // _ENTRY.itemsize, self._file("rows").stat().st_size // row_bytes)
        for name, size in (("entries", _ENTRY.itemsize), ("rows", row_bytes)):
            with open(self._file(name), "r+b") as file:
                file.truncate(n * size)
        known = np.fromfile(entries, dtype=_ENTRY)
        self.places_ = {entry: place for place, entry in enumerate(known.tolist())}
        return self

    def _file(self, name):
        path = Path(self.folder) / f"{name}.bin"
        path.touch()
        return path

    def regenerate(self, X, candidate=0):
        """Return regenerations, making only those that no run has made.

        Parameters
        ----------
        X : ndarray of shape (n, ...)
            Rows.
        candidate : int, default=0
            Candidate number.

        Returns
        -------
        regenerated : ndarray of shape (n, ...), dtype float32
        """
        wanted = np.empty(len(X), dtype=_ENTRY)
        wanted["row"] = row_digests(X).astype(f"S{_DIGEST_SIZE}").view(f"V{_DIGEST_SIZE}")
        wanted["candidate"] = candidate
        wanted = wanted.tolist()
        new = {entry: i for i, entry in enumerate(wanted) if entry not in self.places_}
        missing = np.array(list(new.values()), dtype=int)
        for start in range(0, len(missing), self.batch_size):
            rows = missing[start : start + self.batch_size]
            self._append([wanted[i] for i in rows], self.regenerator.regenerate(X[rows], candidate))
        stored = np.memmap(self._file("rows"), dtype=np.float32, mode="r").reshape(-1, *self.shape_)
        return stored[[self.places_[entry] for entry in wanted]]

    def _append(self, entries, made):
        # Rows first: an entry without its row would name the next one.
        for name, values in (("rows", np.ascontiguousarray(made, dtype=np.float32)), ("entries", entries)):
            with open(self._file(name), "ab") as file:
                file.write(np.array(values, dtype=_ENTRY).tobytes() if name == "entries" else values.tobytes())
        self.places_.update(zip(entries, range(len(self.places_), len(self.places_) + len(entries)), strict=True))
        self.n_made_ += len(entries)

    def transform(self, X):
        """Return candidate 0 of each row.

        Parameters
        ----------
        X : ndarray of shape (n, ...)
            Rows.

        Returns
        -------
        regenerated : ndarray of shape (n, ...), dtype float32
        """
        return self.regenerate(X, 0)

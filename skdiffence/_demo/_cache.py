"""Regenerations made once for each row and candidate, and shared by everything that is compared."""

from numbers import Integral
from os import PathLike
from pathlib import Path

import numpy as np
from sklearn.base import BaseEstimator

from skdiffence.base import InferenceOnlyMixin
from skdiffence.utils._rows import row_digests
from skdiffence.utils._sklearn import HasMethods, Interval, fit_context

_KEY = np.dtype([("row", "V16"), ("candidate", "<i8")])


class RegenerationCache(InferenceOnlyMixin, BaseEstimator):
    """A fitted regenerator that regenerates no row twice.

    Only for comparisons: it holds regenerations of every row that it was asked for, and noise that is drawn anew at
    every call would be frozen by it. They are found again by row and candidate alone, so that a folder must belong to
    one regenerator with one key.

    Parameters
    ----------
    regenerator : regenerator
        Fitted, with noise that is a function of its key.
    folder : str, path or None, default=None
        Keeps the regenerations, where the next run finds them; confidential where the rows are. None keeps them in
        memory. An interrupted run leaves whole regenerations, which are used, and at most a part of one, which is
        overwritten.
    batch_size : int, default=1024
        Number of rows that are regenerated, and written, at a time.

    Attributes
    ----------
    n_made_ : int
        Number of rows regenerated since ``fit``, each by one network call a step.
    """

    _parameter_constraints: dict = {
        "regenerator": [HasMethods(["regenerate"])],
        "folder": [str, PathLike, None],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(self, regenerator, folder=None, *, batch_size=1024):
        self.regenerator = regenerator
        self.folder = folder
        self.batch_size = batch_size

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Start with an empty memory, or with what the folder holds.

        Parameters
        ----------
        X : ndarray of shape (n, ...) or None
            Only its shape is read, and only with a folder.
        y : None
            Ignored.

        Returns
        -------
        self : RegenerationCache
        """
        store = _Memory() if self.folder is None else _Folder(self.folder, X.shape[1:])
        self.places_ = {key: place for place, key in enumerate(store.keys())}
        self.store_, self.n_made_ = store, 0
        return self

    def regenerate(self, X, candidate=0):
        """Return regenerations, of which only new ones are made.

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
        keys = _keys(X, candidate)
        new = {key: i for i, key in enumerate(keys) if key not in self.places_}
        missing = np.array(list(new.values()), dtype=int)
        for start in range(0, len(missing), self.batch_size):
            self._make(X[missing[start : start + self.batch_size]], candidate)
        return self.store_.take([self.places_[key] for key in keys])

    def _make(self, X, candidate):
        """Regenerate new rows; what makes more of them at a time overrides this."""
        self._keep(X, candidate, self.regenerator.regenerate(X, candidate))

    def _keep(self, X, candidate, regenerated):
        keys, first = _keys(X, candidate), len(self.places_)
        self.store_.append(keys, regenerated)
        self.places_.update(zip(keys, range(first, first + len(keys)), strict=True))
        self.n_made_ += len(keys)

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


def _keys(X, candidate):
    """Return the key of each row's regeneration: a digest of the row, and its candidate number, one or one a row."""
    keys = np.empty(len(X), dtype=_KEY)
    keys["row"] = row_digests(X).view(_KEY["row"])
    keys["candidate"] = candidate
    return keys.tolist()


class _Memory:
    """Rows in a list."""

    def __init__(self):
        self.rows = []

    def keys(self):
        return []

    def append(self, keys, rows):
        self.rows.extend(rows)

    def take(self, places):
        return np.stack([self.rows[place] for place in places])


class _Folder:
    """Rows and their keys in two files that grow."""

    def __init__(self, folder, shape):
        self.shape = shape
        Path(folder).mkdir(parents=True, exist_ok=True)
        # The rows' file first: a key without its row would name the next one.
        self.files = {Path(folder) / "rows.bin": 4 * int(np.prod(shape)), Path(folder) / "entries.bin": _KEY.itemsize}
        for path in self.files:
            path.touch()
        n = min(path.stat().st_size // size for path, size in self.files.items())
        for path, size in self.files.items():
            with open(path, "r+b") as file:
                file.truncate(n * size)

    def keys(self):
        _, entries = self.files
        return np.fromfile(entries, dtype=_KEY).tolist()

    def append(self, keys, rows):
        for path, values in zip(self.files, (np.asarray(rows, np.float32), np.array(keys, _KEY)), strict=True):
            with open(path, "ab") as file:
                file.write(values.tobytes())

    def take(self, places):
        rows, _ = self.files
        return np.memmap(rows, dtype=np.float32, mode="r").reshape(-1, *self.shape)[places]

"""Near-duplicates of rows: queries about the same row that are not equal."""

import numpy as np

from skdiffence.attacks._changed_rows import range_ends
from skdiffence.utils._frames import like
from skdiffence.utils._random import mix_seed

NEIGHBORS = ("exact", "gray", "quantum", "ulp")
_LEVELS = 255
# A little more than one level of 8 bits: half of the changes by exactly one level would be undone by rounding to even.
_SURVIVES = 1.001
# Measured figures hang on these words: others would draw other near-duplicates.
_ORDER_SALT, _SIGNS_SALT = "neighbours", "neighbour"


class Neighbors:
    """Numbered near-duplicates of rows, with the same changes for all rows.

    Parameters
    ----------
    kind : {"exact", "gray", "quantum", "ulp"}
        Kind of change, see :class:`RepeatedQueryAttack`.
    X : ndarray of shape (n_samples, ...)
        Known rows, which determine the size of a gray level.
    value_range : float64 ndarray of shape (2,) or (2, X.shape[1])
        Lowest and highest value. Changes that would leave it are made in the other direction.
    share : float
        Share of the values that "gray" changes.
    seed : int
        Seeds the choice of values and signs.
    """

    def __init__(self, kind, X, value_range, *, share, seed):
        self.kind, self.share, self.seed = kind, share, seed
        self.low, self.high = range_ends(value_range, X.shape[1:])
        self.step = _quantum(self.high - self.low, X.dtype)
        if kind == "gray":
            gap = np.minimum(_smallest_gap(X), self.high - self.low)
            self.step = np.maximum(self.step, gap * (self.step > 0))
        if kind in ("gray", "quantum") and not self.step.any():
            raise ValueError("X must vary in at least one feature, for a neighbor to differ in it. Got constant rows.")

    def make(self, X, number):
        """Return a near-duplicate of each row.

        Parameters
        ----------
        X : ndarray of shape (n_samples, ...)
            Rows.
        number : int
            Number of the near-duplicate; 0 is the row itself.

        Returns
        -------
        neighbors : ndarray of shape (n_samples, ...)
            In the dtype of X.
        """
        if number == 0 or self.kind == "exact":
            return X
        rng = np.random.default_rng(mix_seed(_SIGNS_SALT, self.seed, number))
        signs = rng.choice([-1, 1], X.shape[1:])
        if self.kind == "ulp":
            return self._next_number(X, signs)
        change = self._one_value(number) if self.kind == "quantum" else self._some_values(rng)
        return self._moved(X, signs * change)

    def _one_value(self, number):
        """Return a change of one value, another one for each number, by more steps once all values had their turn."""
        order = np.flatnonzero(self.step)
        order = np.random.default_rng(mix_seed(_ORDER_SALT, self.seed)).permutation(order)
        turn, place = divmod(number - 1, len(order))
        change = np.zeros(self.step.shape)
        change.flat[order[place]] = (turn + 1) * self.step.flat[order[place]]
        return change

    def _some_values(self, rng):
        varying = np.flatnonzero(self.step)
        chosen = rng.permutation(varying)[: max(round(self.share * len(varying)), 1)]
        change = np.zeros(self.step.shape)
        change.flat[chosen] = self.step.flat[chosen]
        return change

    def _moved(self, X, change):
        values, size = X.astype(np.float64), np.abs(change)
        moved = values + change
        moved = np.where(moved > self.high, values - size, np.where(moved < self.low, values + size, moved))
        return like(moved, X)

    def _next_number(self, X, signs):
        signs = np.where(self.high <= X, -1, np.where(self.low >= X, 1, signs))
        if X.dtype.kind != "f":
            return like(X.astype(np.float64) + signs, X)
        # A step of float64 would vanish where a network takes its rows as float32.
        coarse = X.astype(np.float32) if X.dtype.itemsize > 4 else X
        return np.nextafter(coarse, (signs * np.inf).astype(coarse.dtype)).astype(X.dtype)


def _quantum(width, dtype):
    """Return the smallest step that survives rounding to 8 bits of a range, 0 where the range is empty."""
    step = width / _LEVELS
    if dtype.kind == "f":
        return step * _SURVIVES
    return np.where(step > 0, np.maximum(np.ceil(step - 1e-9), 1), 0)


def _smallest_gap(X):
    """Return the smallest difference between values that occur: of a feature of rows, or anywhere in images."""
    if X.ndim > 2:
        return _gap(X)
    return np.array([_gap(column) for column in X.T])


def _gap(values):
    gaps = np.diff(np.unique(values).astype(np.float64))
    return gaps.min() if len(gaps) else 0.0

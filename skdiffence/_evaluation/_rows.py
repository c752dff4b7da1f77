"""The rows that attacks are evaluated on, and how rows are compared by content."""

from collections import deque
from dataclasses import dataclass, replace

import numpy as np

from skdiffence.utils._random import mix_seed
from skdiffence.utils._rows import row_digests, take_rows

# Distinct rows that a side needs: two for each half.
FEWEST_ROWS = 4


@dataclass(frozen=True)
class AttackedRows:
    """Rows of known membership, on which attacks are evaluated.

    Parameters
    ----------
    X : array-like of shape (n_samples, ...)
        Rows.
    y : ndarray of shape (n_samples,) or None
        Their labels, None where these are not known.
    is_member : ndarray of shape (n_samples,), dtype bool
        True for members.
    keys : ndarray of shape (n_samples,), default=None
        Keyed digests of the rows, by which they are split and chosen.
    place : ndarray of shape (n_samples,), dtype int, default=None
        Position of each row in the side that it was given in.
    """

    X: object
    y: np.ndarray
    is_member: np.ndarray
    keys: np.ndarray | None = None
    place: np.ndarray | None = None

    def __len__(self):
        return len(self.is_member)

    def take(self, rows):
        """Return some of the rows.

        Parameters
        ----------
        rows : ndarray of int, or of bool and shape (n_samples,)
            Indices or a mask.

        Returns
        -------
        rows : AttackedRows
        """
        rows = np.arange(len(self))[rows]
        y, keys, place = (None if part is None else part[rows] for part in (self.y, self.keys, self.place))
        return AttackedRows(take_rows(self.X, rows), y, self.is_member[rows], keys, place)

    def keyed(self, seed):
        """Return the rows with digests that depend on a seed."""
        return replace(self, keys=row_digests(self.X, seed_key(mix_seed(seed, "rows"))))


def seed_key(seed):
    """Return the key of digests that choose rows by a seed."""
    return seed.to_bytes(8, "little")


def on_both_sides(keys, is_member):
    """Return which rows have an equal one on the other side.

    Parameters
    ----------
    keys : ndarray of shape (n_samples,)
        Digests of the rows.
    is_member : ndarray of shape (n_samples,), dtype bool
        True for members.

    Returns
    -------
    both : ndarray of shape (n_samples,), dtype bool
    """
    # Sets of bytes take a fraction of the time of sorting them.
    shared = set(keys[is_member].tolist()).intersection(keys[~is_member].tolist())
    return np.isin(keys, np.array(list(shared), dtype=keys.dtype))


def count_distinct(keys, is_member):
    """Return the numbers of distinct members and non-members."""
    return [len(np.unique(keys[side])) for side in (is_member, ~is_member)]


def find_rows(wanted, available):
    """Return the places of rows among others, each place used once.

    Parameters
    ----------
    wanted : list of hashable
        Equal where rows are equal.
    available : iterable of hashable
        The others, in the same form.

    Returns
    -------
    places : ndarray of int
        One for each wanted row; -1 where no equal row is left.
    """
    places = {row: deque() for row in wanted}
    for place, row in enumerate(available):
        if row in places:
            places[row].append(place)
    return np.array([places[row].popleft() if places[row] else -1 for row in wanted], dtype=int)

"""Complementary halves of rows, for many models of which exactly half are trained on each row."""

from functools import partial
from numbers import Integral
from typing import NamedTuple

import numpy as np

from skdiffence.utils._frames import check_unmasked
from skdiffence.utils._random import mix_seed
from skdiffence.utils._rows import row_digests


def check_canaries(canaries, n_rows):
    """Return validated numbers of the rows whose membership varies.

    Parameters
    ----------
    canaries : array-like of int or None
        Distinct row numbers. None lets all rows vary.
    n_rows : int
        Number of rows.

    Returns
    -------
    canaries : ndarray of int64 or None

    Raises
    ------
    ValueError
        If there are fewer than two, or they are not distinct row numbers.
    """
    if canaries is None:
        return None
    check_unmasked(canaries, "canaries")
    try:
        given = np.asarray(canaries)
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(
            f"canaries must be a list of at least two row numbers. Got {type(canaries).__name__} that can't become an "
            "array, such as one of lists of different lengths."
        ) from None
    if given.ndim != 1 or given.dtype.kind not in "iu" or len(given) < 2:
        raise ValueError(
            f"canaries must be a list of at least two row numbers. Got shape {given.shape} of dtype {given.dtype}."
        )
    if given.min() < 0 or given.max() >= n_rows or len(np.unique(given)) < len(given):
        raise ValueError(
            f"canaries must be distinct row numbers from 0 to {n_rows - 1}. Got {len(given)} numbers, "
            f"{len(np.unique(given))} of them distinct, from {given.min()} to {given.max()}."
        )
    return given.astype(np.int64)


def check_n_models(n_models, name="n_models"):
    """Raise an error unless a number of models is even and at least 2.

    Raises
    ------
    ValueError
        If it is not an even integer of at least 2.
    """
    if not isinstance(n_models, Integral) or n_models < 2 or n_models % 2:
        raise ValueError(
            f"{name} must be an even integer of at least 2, because models are trained in pairs on complementary "
            f"halves. Got {n_models!r}."
        )


class Copies(NamedTuple):
    """Which rows are equal.

    Parameters
    ----------
    first : ndarray of shape (n_distinct,), dtype int64
        The first of each kind of rows.
    counts : ndarray of shape (n_distinct,), dtype int64
        How many there are of it.
    kind : ndarray of shape (n_rows,), dtype int64
        The kind of each row.
    """

    first: np.ndarray
    counts: np.ndarray
    kind: np.ndarray


def find_copies(X):
    """Return which rows are equal.

    Parameters
    ----------
    X : array-like of shape (n_rows, ...)
        Rows.

    Returns
    -------
    copies : Copies or None
        None if all rows differ, or all are equal, as where they only stand for others.
    """
    _, first, kind, counts = np.unique(row_digests(X), return_index=True, return_inverse=True, return_counts=True)
    return None if len(first) in (1, len(kind)) else Copies(first, counts, kind)


def complementary_halves(n_rows, n_models, seed, canaries=None, copies=None):
    """Draw the training rows of many models.

    Models ``2 * j`` and ``2 * j + 1`` are trained on complementary halves of the rows that vary. So each of these rows
    trains exactly half of all models, also if their number is odd. All other rows train every model.

    Parameters
    ----------
    n_rows : int
        Number of rows, at least 2.
    n_models : int
        Number of models, even.
    seed : int
        The halves of a pair of models depend only on the seed, the number of the pair and the rows, so that more models
        do not change those drawn before.
    canaries : array-like of int, default=None
        The rows that vary. None is all rows. The membership of a canary depends on its position in this list and not on
        the length of the list, so that more canaries do not change the memberships of those before them.
    copies : Copies or None, default=None
        Rows that are equal, which are in one half unless they are canaries.

    Returns
    -------
    membership : ndarray of shape (n_rows, n_models), dtype bool
        True for rows that train the model. The halves of a pair of different rows differ in size by at most one.

    Raises
    ------
    ValueError
        If there are fewer than two rows, the number of models is odd or the canaries are not distinct row numbers.
    """
    if n_rows < 2:
        raise ValueError(f"At least two rows are needed to halve them. Got {n_rows}.")
    check_n_models(n_models)
    canaries = check_canaries(canaries, n_rows)
    if canaries is None:
        rows, draw = np.arange(n_rows), partial(_half, copies=copies)
    else:
        rows, draw = canaries, _half_of_pairs
    membership = np.ones((n_rows, n_models), dtype=bool)
    for first in range(0, n_models, 2):
        chosen = draw(len(rows), rng=np.random.default_rng(mix_seed(seed, "halves", first // 2)))
        membership[rows, first], membership[rows, first + 1] = chosen, ~chosen
    return membership


def _half(n, copies, rng):
    """Return a mask of a random half of n rows, equal ones together."""
    order = rng.permutation(n)
    if copies is None:
        return order < n // 2
    turn = np.argsort(order[copies.first])
    # In their turn, those copies are in of which more are within the first half than beyond.
    counts = copies.counts[turn]
    chosen = np.empty(len(turn), dtype=bool)
    chosen[turn] = np.cumsum(counts) - (counts + 1) / 2 < n // 2
    return chosen[copies.kind]


def _half_of_pairs(n, rng):
    """Return a mask of a random row of each pair of neighbors, so that every prefix of the list is halved as well."""
    coins = rng.random((n + 1) // 2) < 0.5
    return np.repeat(coins, 2)[:n] ^ (np.arange(n) % 2 == 1)

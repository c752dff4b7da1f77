"""Complementary halves of rows, for many models of which exactly half are trained on each row."""

from numbers import Integral

import numpy as np

from skdiffence.utils._random import mix_seed


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
    given = np.asarray(canaries)
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


def complementary_halves(n_rows, n_models, seed, canaries=None):
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

    Returns
    -------
    membership : ndarray of shape (n_rows, n_models), dtype bool
        True for rows that train the model. The halves of a pair differ in size by at most one.

    Raises
    ------
    ValueError
        If there are fewer than two rows, the number of models is odd or the canaries are not distinct row numbers.
    """
    if n_rows < 2:
        raise ValueError(f"At least two rows are needed to halve them. Got {n_rows}.")
    check_n_models(n_models)
    canaries = check_canaries(canaries, n_rows)
    rows, draw = (np.arange(n_rows), _half) if canaries is None else (canaries, _half_of_pairs)
    membership = np.ones((n_rows, n_models), dtype=bool)
    for first in range(0, n_models, 2):
        chosen = draw(len(rows), np.random.default_rng(mix_seed(seed, "halves", first // 2)))
        membership[rows, first], membership[rows, first + 1] = chosen, ~chosen
    return membership


def _half(n, rng):
    """Return a mask of a random half of n rows."""
    return rng.permutation(n) < n // 2


def _half_of_pairs(n, rng):
    """Return a mask of a random row of each pair of neighbors, so that every prefix of the list is halved as well."""
    coins = rng.random((n + 1) // 2) < 0.5
    return np.repeat(coins, 2)[:n] ^ (np.arange(n) % 2 == 1)

"""The rows that a display of a fitted classifier is about: those whose score means something."""

from dataclasses import dataclass

import numpy as np

from skdiffence._evaluation._cross_fit import cross_fit
from skdiffence._fitted import stored_rows
from skdiffence.attacks import query
from skdiffence.utils._random import mix_seed
from skdiffence.utils._rows import row_digests
from skdiffence.utils._sklearn import num_samples, safe_indexing
from skdiffence.utils._validation import check_is_member

# Fewer distinct rows of a side can't be split into known and scored halves.
_FEWEST = 4


@dataclass(frozen=True)
class ScoredRows:
    """Rows of known membership that no defense was calibrated on.

    Parameters
    ----------
    X : array-like of shape (n_samples, ...)
        Rows.
    y : ndarray of shape (n_samples,)
        Their labels.
    is_member : ndarray of shape (n_samples,), dtype bool
        True for members.
    """

    X: object
    y: np.ndarray
    is_member: np.ndarray

    def answers(self, target):
        """Return what a target answers to the rows, asked once."""
        return query(target, self.X, self.y)

    def attack(self, attack, target, answers, *, known, seed):
        """Return scores of all rows by an attack that knows half of them, and the other way round."""
        keys = self.keys(seed)
        check_enough(keys, self.is_member)
        parts = self.X, self.y, self.is_member, keys
        return cross_fit(attack, target, answers, *parts, known=known, seed=seed).scores

    def keys(self, seed):
        """Return keyed digests of the rows, by which known rows are chosen."""
        return keyed(self.X, seed)


def keyed(X, seed):
    """Return keyed digests of rows; of their numbers, where they are not numeric."""
    key = mix_seed(seed, "rows").to_bytes(8, "little")
    try:
        return row_digests(X, key)
    except ValueError:
        return row_digests(np.arange(num_samples(X))[:, None], key)


def check_enough(keys, is_member):
    """Raise a ValueError if there are too few distinct rows of a side to attack.

    Parameters
    ----------
    keys : ndarray of shape (n_samples,)
        Digests of the rows.
    is_member : ndarray of shape (n_samples,), dtype bool
        True for members.
    """
    counts = [len(np.unique(keys[side])) for side in (is_member, ~is_member)]
    if min(counts) < _FEWEST:
        raise ValueError(
            f"At least {_FEWEST} distinct members and {_FEWEST} distinct non-members are needed to attack. "
            f"Got {counts[0]} members and {counts[1]} non-members, rows that a defense was calibrated on left out."
        )


def scored_rows(estimators, X, y, is_member):
    """Return the rows that none of some classifiers was calibrated on.

    Parameters
    ----------
    estimators : list of classifiers
        Fitted.
    X : array-like of shape (n_samples, ...)
        Rows.
    y : array-like of shape (n_samples,)
        Their labels.
    is_member : array-like of shape (n_samples,), dtype bool
        True for rows that the classifiers were trained on.

    Returns
    -------
    rows : ScoredRows

    Raises
    ------
    ValueError
        If lengths differ, a side is missing, or a classifier says that it was not trained on a member.
    """
    is_member = check_is_member(is_member, num_samples(X), both_sides=True)
    y = np.asarray(y)
    if y.shape != is_member.shape:
        raise ValueError(f"y must hold one label for each of the {len(is_member)} rows of X. Got shape {y.shape}.")
    scored = np.ones(len(is_member), dtype=bool)
    for estimator in estimators:
        sets = stored_rows(estimator, X)
        if (told := is_member & sets.not_trained_on).any():
            raise ValueError(
                f"is_member marks {told.sum()} rows, the first at position {told.argmax()}, that "
                f"{type(estimator).__name__} held out of its training. Mark them False or leave them out."
            )
        scored &= ~sets.calibrated_on
    if not (is_member & scored).any() or not (~is_member & scored).any():
        raise ValueError(
            "X must hold members and non-members that no classifier was calibrated on. "
            f"Got {(is_member & scored).sum()} and {(~is_member & scored).sum()} of them."
        )
    return ScoredRows(safe_indexing(X, np.flatnonzero(scored)), y[scored], is_member[scored])

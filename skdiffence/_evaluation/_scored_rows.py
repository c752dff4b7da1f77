"""The rows that a display of a fitted classifier is about: those whose score means something."""

from dataclasses import dataclass

import numpy as np

from skdiffence._evaluation._cross_fit import cross_fit
from skdiffence._evaluation._rows import FEWEST_ROWS, AttackedRows, count_distinct, seed_key
from skdiffence._fitted import stored_rows
from skdiffence.attacks import query
from skdiffence.utils._random import mix_seed
from skdiffence.utils._sklearn import num_samples, safe_indexing
from skdiffence.utils._validation import check_is_member


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
        """Return the cross-fitted scores of an attack."""
        rows = AttackedRows.of(self.X, self.y, self.is_member, seed_key(mix_seed(seed, "rows")))
        _check_enough(rows)
        return cross_fit(attack, target, answers, rows, known=known, seed=seed).scores


def _check_enough(rows):
    counts = count_distinct(rows.keys, rows.is_member)
    if min(counts) < FEWEST_ROWS:
        raise ValueError(
            f"At least {FEWEST_ROWS} distinct members and {FEWEST_ROWS} distinct non-members are needed to attack. "
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

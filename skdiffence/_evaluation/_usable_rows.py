"""Rows of known membership that a display of fitted classifiers can attack, and the scores of an attack on them."""

import numpy as np

from skdiffence._evaluation._cross_fit import cross_fit
from skdiffence._evaluation._rows import FEWEST_ROWS, AttackedRows, count_distinct
from skdiffence._fitted import stored_rows
from skdiffence.utils._sklearn import num_samples
from skdiffence.utils._validation import as_labels, check_is_member


def usable_rows(estimators, X, y, is_member):
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
    rows : AttackedRows
        Without digests.

    Raises
    ------
    ValueError
        If lengths differ, a side is missing, or a classifier recorded a member as held out of its training.
    """
    is_member = check_is_member(is_member, num_samples(X), both_sides=True)
    y = as_labels(y)
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
    return AttackedRows(X, y, is_member).take(scored)


def score_rows(attack, target, answers, rows, *, known, seed):
    """Return the cross-fitted scores of an attack.

    Parameters
    ----------
    attack : MembershipAttack
        Cloned for each half.
    target : classifier
        The attacked classifier.
    answers : Answers
        Its answers to all rows.
    rows : AttackedRows
        The rows.
    known : float
        Share of the rows that the attacker knows, at most 0.5.
    seed : int
        Seeds the halves and the attack.

    Returns
    -------
    scores : ndarray of shape (n_samples,), dtype float64

    Raises
    ------
    ValueError
        If a side has fewer than four distinct rows, or the target is none for the attack.
    """
    attack.check_target(target)
    rows = rows.keyed(seed)
    n_members, n_others = count_distinct(rows.keys, rows.is_member)
    if min(n_members, n_others) < FEWEST_ROWS:
        raise ValueError(
            f"At least {FEWEST_ROWS} distinct members and {FEWEST_ROWS} distinct non-members are needed to attack. "
            f"Got {n_members} members and {n_others} non-members, rows that a defense was calibrated on left out."
        )
    return cross_fit(attack, target, answers, rows, known=known, seed=seed).scores

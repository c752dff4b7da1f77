"""Attacks that know half of the rows score the other half, and the other way round."""

from dataclasses import dataclass
from math import ceil

import numpy as np
from scipy.stats import rankdata
from sklearn.base import clone

from skdiffence._evaluation._answer_memory import AnswerMemory
from skdiffence.utils._random import mix_seed
from skdiffence.utils._sklearn import safe_indexing

_FEWEST = 4


@dataclass(frozen=True)
class AttackScores:
    """What an attack said of every row, each time without having known the row.

    Parameters
    ----------
    scores : ndarray of shape (n_samples,), dtype float64
        Higher means more likely a member.
    accused : ndarray of shape (n_samples,), dtype bool
        Called members at the threshold learned on known rows.
    half : ndarray of shape (n_samples,)
        0 or 1: the rows that each of the two attackers scored.
    """

    scores: np.ndarray
    accused: np.ndarray
    half: np.ndarray

    def take(self, rows):
        """Return what the attack said of some rows."""
        return AttackScores(self.scores[rows], self.accused[rows], self.half[rows])


def balanced_rows(keys, is_member):
    """Choose rows so that members are no more than non-members.

    Parameters
    ----------
    keys : ndarray of shape (n_samples,)
        Digests of the rows; the members with the lowest are chosen.
    is_member : ndarray of shape (n_samples,), dtype bool
        Who was trained on.

    Returns
    -------
    rows : ndarray of int
        Indices in rising order.

    Raises
    ------
    ValueError
        If a side has fewer than four rows.
    """
    members, others = np.flatnonzero(is_member), np.flatnonzero(~is_member)
    if min(len(members), len(others)) < _FEWEST:
        raise ValueError(
            f"At least {_FEWEST} members and {_FEWEST} non-members are needed to attack. Got {len(members)} members "
            f"and {len(others)} non-members that the estimator neither held out nor calibrated on."
        )
    lowest = np.argsort(keys[members], kind="stable")[: len(others)]
    return np.sort(np.r_[members[lowest], others])


def split_halves(keys, is_member):
    """Split the rows of each side in two halves by content; equal rows stay together.

    Parameters
    ----------
    keys : ndarray of shape (n_samples,)
        Digests of the rows.
    is_member : ndarray of shape (n_samples,), dtype bool
        Who was trained on.

    Returns
    -------
    half : ndarray of shape (n_samples,), dtype int64
        0 or 1.
    order : ndarray of shape (n_samples,), dtype int64
        Place of each row in its half and side: who knows few rows knows those of lowest place.
    """
    place = np.empty(len(keys), dtype=np.int64)
    for side in (is_member, ~is_member):
        place[side] = np.unique(keys[side], return_inverse=True)[1]
    return place % 2, place // 2


def _known_rows(half, order, is_member, known):
    """Return the rows of a half that the attacker knows: ``known`` of all rows of each side."""
    mask = np.zeros(len(half), dtype=bool)
    for side in (is_member, ~is_member):
        rows = half & side
        mask |= rows & (order < ceil(2 * known * (order[rows].max() + 1)))
    return mask


def cross_fit(attack, target, answers, X, y, is_member, keys, *, known, seed):
    """Score every row by an attack that knows rows of the other half.

    Parameters
    ----------
    attack : MembershipAttack
        Cloned for each half.
    target : classifier or AnswerMemory
        The attacked one; asked only by attacks that need more than one answer a row, which are told what others were
        answered.
    answers : Answers
        Its answers to all rows.
    X, y, is_member : array-like of shape (n_samples, ...)
        The rows, their labels and their membership.
    keys : ndarray of shape (n_samples,)
        Digests of the rows.
    known : float
        Share of all rows that the attacker knows, at most 0.5.
    seed : int
        Seeds attacks without a ``random_state`` of their own; both attackers alike if they share answers, so that
        they ask the same where they can.

    Returns
    -------
    scores : AttackScores
    """
    memory = target if isinstance(target, AnswerMemory) else AnswerMemory(target)
    half, order = split_halves(keys, is_member)
    scores, accused, directions = np.empty(len(half)), np.empty(len(half), dtype=bool), set()
    for which in (0, 1):
        fitted = _seeded(attack, seed if attack.shares_answers else mix_seed(seed, which))
        rows = _known_rows(half == which, order, is_member, known)
        others = half != which
        if attack.asks_once:
            fitted.fit_answers(answers.take(rows), is_member[rows])
            scores[others] = fitted.score_answers(answers.take(others))
        else:
            fitted.fit(memory.attacker(attack), *_take(X, y, rows), is_member[rows])
            scores[others] = fitted.score_samples(*_take(X, y, others))
        accused[others] = scores[others] >= fitted.threshold_
        directions.add(getattr(fitted, "direction_", 1))
    if len(directions) > 1:
        # Two attackers who disagree on the direction have no common scale; within each half ranks have one.
        for which in (0, 1):
            scores[half == which] = rankdata(scores[half == which]) / np.count_nonzero(half == which)
    return AttackScores(scores, accused, half)


def _take(X, y, mask):
    rows = np.flatnonzero(mask)
    return safe_indexing(X, rows), y[rows]


def _seeded(attack, seed):
    fitted = clone(attack)
    if fitted.get_params().get("random_state", seed) is None:
        fitted.set_params(random_state=seed % 2**32)
    return fitted

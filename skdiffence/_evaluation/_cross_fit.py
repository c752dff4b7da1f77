"""Cross-fitting: attackers who know rows of one half score the other half, and the halves change roles."""

from dataclasses import dataclass
from math import ceil

import numpy as np
from scipy.stats import rankdata
from sklearn.base import clone

from skdiffence._evaluation._answer_memory import AnswerMemory
from skdiffence._evaluation._rows import FEWEST_ROWS, count_distinct
from skdiffence.utils._random import mix_seed


@dataclass(frozen=True)
class AttackScores:
    """Scores and predictions of an attack, each made by an attacker who did not know the row.

    Parameters
    ----------
    scores : ndarray of shape (n_samples,), dtype float64
        Higher means more likely a member.
    predictions : ndarray of shape (n_samples,), dtype bool, default=None
        Rows called members, at the threshold learned on known rows.
    half : ndarray of shape (n_samples,), default=None
        0 or 1: the half that each row is in. None for scores that are not cross-fitted.
    """

    scores: np.ndarray
    predictions: np.ndarray | None = None
    half: np.ndarray | None = None

    def take(self, rows):
        """Return scores and predictions of some rows."""
        return AttackScores(*(None if part is None else part[rows] for part in vars(self).values()))


def balanced_rows(keys, is_member):
    """Choose rows so that members are no more than non-members.

    Parameters
    ----------
    keys : ndarray of shape (n_samples,)
        Digests of the rows; the members with the lowest are chosen.
    is_member : ndarray of shape (n_samples,), dtype bool
        True for members.

    Returns
    -------
    rows : ndarray of int
        Indices in ascending order.

    Raises
    ------
    ValueError
        If a side has fewer than four different rows.
    """
    members, others = np.flatnonzero(is_member), np.flatnonzero(~is_member)
    n_members, n_others = count_distinct(keys, is_member)
    if min(n_members, n_others) < FEWEST_ROWS:
        raise ValueError(
            f"At least {FEWEST_ROWS} different members and as many non-members are needed to attack. Got {n_members} "
            f"members and {n_others} non-members that the estimator neither held out nor calibrated on."
        )
    return np.sort(np.r_[lowest(keys, members, len(others)), others])


def lowest(keys, rows, n_rows):
    """Return at most ``n_rows`` of the given rows, those with the lowest digests."""
    return rows[np.argsort(keys[rows], kind="stable")[:n_rows]]


def split_halves(keys, is_member):
    """Split the rows of each side in two halves by content; equal rows stay together.

    Parameters
    ----------
    keys : ndarray of shape (n_samples,)
        Digests of the rows.
    is_member : ndarray of shape (n_samples,), dtype bool
        True for members.

    Returns
    -------
    half : ndarray of shape (n_samples,), dtype int64
        0 or 1.
    order : ndarray of shape (n_samples,), dtype int64
        Place of each row in its half and side. An attacker who knows few rows knows those that come first.
    """
    place = np.empty(len(keys), dtype=np.int64)
    for side in (is_member, ~is_member):
        place[side] = np.unique(keys[side], return_inverse=True)[1]
    return place % 2, place // 2


def _known_rows(half, order, is_member, known):
    """Return the rows of a half that the attacker knows: the share ``known`` of all rows of each side."""
    mask = np.zeros(len(half), dtype=bool)
    for side in (is_member, ~is_member):
        rows = half & side
        mask |= rows & (order < ceil(2 * known * (order[rows].max() + 1)))
    return mask


def cross_fit(attack, target, answers, rows, *, known, seed):
    """Score every row by an attacker who knows rows of the other half.

    Parameters
    ----------
    attack : MembershipAttack
        Cloned for each half.
    target : classifier or AnswerMemory
        The attacked classifier. Only attacks that need more than one answer for each row ask it; they are given
        earlier answers to the same questions.
    answers : Answers
        Its answers to all rows.
    rows : AttackedRows
        The rows.
    known : float
        Share of all rows that the attacker knows, at most 0.5.
    seed : int
        Seeds attacks without a ``random_state`` of their own. Attackers that share answers get the same seed, so
        that they ask the same questions where they can.

    Returns
    -------
    scores : AttackScores
    """
    memory = target if isinstance(target, AnswerMemory) else AnswerMemory(target)
    half, order = split_halves(rows.keys, rows.is_member)
    scores, predictions, directions = np.empty(len(half)), np.empty(len(half), dtype=bool), set()
    for which in (0, 1):
        learned, scored = _known_rows(half == which, order, rows.is_member, known), half != which
        fitted = _seeded(attack, seed if attack.shares_answers else mix_seed(seed, which))
        if attack.asks_once:
            fitted.fit_answers(answers.take(learned), rows.is_member[learned])
            scores[scored] = fitted.score_answers(answers.take(scored))
        else:
            given, asked = rows.take(learned), rows.take(scored)
            fitted.fit(memory.view(attack), given.X, given.y, given.is_member)
            scores[scored] = fitted.score_samples(asked.X, asked.y)
        predictions[scored] = scores[scored] >= fitted.threshold_
        directions.add(getattr(fitted, "direction_", 1))
    if len(directions) > 1:
        # Two attackers who disagree on the direction have no common scale; within each half ranks have one.
        for which in (0, 1):
            scores[half == which] = rankdata(scores[half == which]) / np.count_nonzero(half == which)
    return AttackScores(scores, predictions, half)


def _seeded(attack, seed):
    fitted = clone(attack)
    if fitted.get_params().get("random_state", seed) is None:
        fitted.set_params(random_state=seed % 2**32)
    return fitted


def cross_fit_interval(interval, is_member, values, half, *, null=0.5):
    """Return a confidence interval of a figure of cross-fitted scores.

    Where an attack finds nothing real, each half's figure rests on the same product of two chance differences, so
    that the two are almost one. Intervals of the pooled rows then cover too little (nominal 95 % intervals of the
    area covered 0.5 in 87 to 90 % of simulated audits of 200 members and 200 non-members without a leak). The mean
    of the intervals of the halves assumes nothing about how the halves depend on each other. It is returned wherever
    it contains ``null``. Where it does not, the attackers' directions are certain, and the interval of the pooled
    rows, which is narrower, is returned.

    Parameters
    ----------
    interval : callable
        Called as ``interval(is_member, values)``; returns the ends.
    is_member : ndarray of shape (n_samples,), dtype bool
        True for members.
    values : ndarray of shape (n_samples,) or (n_samples, n_attacks)
        Scores or predictions.
    half : ndarray of shape (n_samples,) or None
        0 or 1: the half that each row is in. None for values that are not cross-fitted.
    null : float, default=0.5
        The figure of attacks that find nothing.

    Returns
    -------
    low, high : float
        Of the pooled rows if there are no halves, or one of them lacks members or non-members.
    """
    pooled = interval(is_member, values)
    masks = [] if half is None else [half == which for which in (0, 1)]
    if not masks or any(is_member[mask].all() or not is_member[mask].any() for mask in masks):
        return pooled
    low, high = np.mean([interval(is_member[mask], values[mask]) for mask in masks], axis=0)
    if not low <= null <= high:
        return pooled
    return float(min(low, pooled[0])), float(max(high, pooled[1]))

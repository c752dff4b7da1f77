"""Attacks on one target: what each scored, what it cost, and what that amounts to."""

import time
from collections import Counter
from dataclasses import dataclass
from functools import partial

import numpy as np
from sklearn.base import clone
from sklearn.metrics import roc_auc_score

from skdiffence._evaluation._answer_memory import n_queries, remember_answers
from skdiffence._evaluation._cross_fit import cross_fit, split_halves
from skdiffence._evaluation._cross_fit_intervals import cross_fit_interval
from skdiffence.attacks import ThresholdAttack, query
from skdiffence.metrics import (
    accuracy_interval,
    attack_accuracy_score,
    auc_interval,
    epsilon_lower_bound,
    group_scores,
    operating_point,
)
from skdiffence.metrics._signals import check_proba
from skdiffence.utils._random import mix_seed


@dataclass(frozen=True)
class Asked:
    """A target's answers to all rows of an audit, asked for once.

    Parameters
    ----------
    memory : AnswerMemory
        The one that was asked, and all that it answered.
    answers : Answers
        What it answered.
    counts : dict of str to int
        Rows asked about, by method.
    seconds : float
        How long it took.
    """

    memory: object
    answers: object
    counts: dict
    seconds: float


def ask(target, rows, attacks):
    """Ask a target about all rows once.

    Parameters
    ----------
    target : classifier
        Fitted.
    rows : AuditRows
        What to ask about.
    attacks : iterable of MembershipAttack
        Those that will use the answers.

    Returns
    -------
    asked : Asked

    Raises
    ------
    TypeError, ValueError
        If it does not answer probabilities.
    """
    memory, start = remember_answers(target, attacks), time.perf_counter()
    answers = query(memory.attacker(), rows.X, rows.y)
    seconds = time.perf_counter() - start
    check_proba(answers.proba)
    return Asked(memory, answers, dict(memory.asked), seconds)


@dataclass(frozen=True)
class AttackRun:
    """What an attack said of every row, each time without having known the row, and what it cost.

    Parameters
    ----------
    name : str
        Of the attack.
    scores : ndarray of shape (n_samples,), dtype float64
        Higher means more likely a member.
    accused : ndarray of shape (n_samples,), dtype bool
        Called members.
    half : ndarray of shape (n_samples,)
        0 or 1: rows of one half were scored by an attacker who knows rows of the other.
    signal : ndarray of shape (n_samples,) or None
        What the scores are but for their direction, where it does not depend on memberships.
    queries_per_row : float
        Times that the target was asked about a row, known or scored.
    seconds : float
        Without the query that attacks share.
    label_only : bool
        Whether nothing but labels was used.
    """

    name: str
    scores: np.ndarray
    accused: np.ndarray
    half: np.ndarray
    signal: np.ndarray | None
    queries_per_row: float
    seconds: float
    label_only: bool


def run_attack(name, attack, asked, rows, *, known, seed):
    """Run one attack on all rows, cross-fitted.

    Parameters
    ----------
    name : str
        Of the attack.
    attack : MembershipAttack
        Cloned.
    asked : Asked
        The target and its answers to these rows.
    rows : AuditRows
        The rows.
    known : float
        Share of the rows that the attacker knows.
    seed : int
        Seeds the attack.

    Returns
    -------
    run : AttackRun

    Raises
    ------
    ValueError
        If the attack's scores are not finite.
    """
    before, start = Counter(asked.memory.questions), time.perf_counter()
    found = cross_fit(
        attack,
        asked.memory,
        asked.answers,
        rows.X,
        rows.y,
        rows.is_member,
        rows.keys,
        known=known,
        seed=mix_seed(seed, name),
    )
    seconds = time.perf_counter() - start
    if not np.isfinite(found.scores).all():
        n_bad = np.count_nonzero(~np.isfinite(found.scores))
        raise ValueError(f"attack {name!r} must give finite scores. Got {n_bad} of {len(found.scores)} that are not.")
    # Every row is scored once, and 2 * known of them are learned from.
    questions = asked.memory.questions - before
    queries = 1.0 if attack.asks_once else n_queries(questions) / (len(rows.y) * (1 + 2 * known))
    half, _ = split_halves(rows.keys, rows.is_member)
    # An attack of the user's own may say nothing of what it reads, and ask for labels alone.
    label_only = attack.uses == "labels" or set(questions) == {"predict"}
    signal = _signal(attack, asked.answers, rows.is_member)
    return AttackRun(name, found.scores, found.accused, half, signal, queries, seconds, label_only)


def _signal(attack, answers, is_member):
    if isinstance(attack, ThresholdAttack) and attack.threshold == "global":
        return clone(attack).fit_answers(answers, is_member).score_answers(answers)
    return None


def measure(run, rows, correct, *, levels, confidence, seed):
    """Return what an attack achieved, with intervals.

    Parameters
    ----------
    run : AttackRun
        The attack.
    rows : AuditRows
        The rows.
    correct : ndarray of shape (n_samples,), dtype bool
        Rows that the target labels correctly.
    levels : list of float
        False positive rates.
    confidence : float
        Of the intervals.
    seed : int
        Seeds what is random in them.

    Returns
    -------
    record : dict
        Plain numbers, NaN where something can't be measured.
    """
    is_member = rows.is_member
    accuracy = attack_accuracy_score(is_member, run.accused)
    of_accuracy = partial(accuracy_interval, confidence_level=confidence)
    return {
        "attack": run.name,
        "label_only": run.label_only,
        **_with_ends("auc", *turned_auc(run, is_member, slice(None), confidence)),
        **_with_ends("accuracy", accuracy, cross_fit_interval(of_accuracy, is_member, run.accused, run.half)),
        **_with_ends("correct_auc", *turned_auc(run, is_member, correct, confidence)),
        "tpr_at_fpr": [_operating(is_member, run.scores, level, confidence) for level in levels],
        "epsilon_lower_bound": _epsilon(run, rows, confidence, seed),
        "by_class": _by_class(is_member, run.scores, rows.y, confidence),
        "queries_per_row": float(run.queries_per_row),
        "seconds": float(run.seconds),
    }


def _with_ends(name, value, ends):
    return {name: float(value), f"{name}_low": float(ends[0]), f"{name}_high": float(ends[1])}


def turned_auc(run, is_member, kept, confidence):
    """Return the area under an attack's ROC curve, turned round if it is below 0.5, and its interval.

    Parameters
    ----------
    run : AttackRun
        The attack.
    is_member : ndarray of shape (n_samples,), dtype bool
        True for members.
    kept : ndarray of shape (n_samples,), dtype bool, or slice
        Rows to look at.
    confidence : float
        Of the interval.

    Returns
    -------
    auc : float
        NaN if a side is missing.
    ends : tuple of two floats
    """
    is_member, scores, half = is_member[kept], run.scores[kept], run.half[kept]
    if not len(is_member) or is_member.all() or not is_member.any():
        return np.nan, (np.nan, np.nan)
    auc = roc_auc_score(is_member, scores)
    low, high = cross_fit_interval(partial(auc_interval, confidence_level=confidence), is_member, scores, half)
    return (1 - auc, (1 - high, 1 - low)) if auc < 0.5 else (auc, (low, high))


def _epsilon(run, rows, confidence, seed):
    """Return the higher of two bounds, one a half, each of half the error: within a half, rows are independent."""
    # The bound draws rows by their place: in an order of their own, it is the same however they came.
    order = np.argsort(rows.keys, kind="stable")
    is_member, scores, half = rows.is_member[order], run.scores[order], run.half[order]
    each = {"confidence_level": (1 + confidence) / 2, "random_state": seed % 2**32}
    masks = [half == which for which in (0, 1)]
    return max(float(epsilon_lower_bound(is_member[mask], scores[mask], **each).epsilon) for mask in masks)


def _operating(is_member, scores, level, confidence):
    point = operating_point(is_member, scores, max_fpr=level, confidence_level=confidence)
    names = ("tpr", "tpr_low", "tpr_high", "fpr")
    return {"max_fpr": level, **{name: float(point[name]) for name in names}, "is_reliable": bool(point.is_reliable)}


def _by_class(is_member, scores, y, confidence):
    groups = group_scores(is_member, scores, y, roc_auc_score, confidence_level=confidence)
    names = ("value", "low", "high", "n_members", "n_non_members")
    return {str(label): {name: float(group[name]) for name in names} for label, group in groups.items()}


def strongest(records, key="auc"):
    """Return the record of the highest value, None if there is none.

    Parameters
    ----------
    records : list of dict
        As :func:`measure` returns them.
    key : str, default="auc"
        What to compare; records where it is NaN are passed over.

    Returns
    -------
    record : dict or None
    """
    known = [record for record in records if not np.isnan(record[key])]
    return max(known, key=lambda record: record[key], default=None)

"""Run one attack on one target: scores of all rows, and what they cost."""

import time
from collections import Counter
from dataclasses import dataclass

import numpy as np

from skdiffence._evaluation._answer_memory import n_queries, remember_answers
from skdiffence._evaluation._cross_fit import AttackScores, cross_fit
from skdiffence.attacks import query
from skdiffence.metrics._signals import check_proba
from skdiffence.utils._random import mix_seed


@dataclass(frozen=True)
class QueriedTarget:
    """A target and its answers to all rows of an evaluation.

    Parameters
    ----------
    memory : AnswerMemory
        The target with all that it answered.
    answers : Answers
        What it answered.
    rows_queried : dict of str to int
        Rows that it was queried about, by method.
    seconds : float
        Duration of the queries.
    """

    memory: object
    answers: object
    rows_queried: dict
    seconds: float


def query_target(target, X, y, attacks):
    """Query a target once about all rows.

    Parameters
    ----------
    target : classifier
        Fitted.
    X : array-like of shape (n_samples, ...)
        Rows.
    y : ndarray of shape (n_samples,) or None
        Their labels.
    attacks : iterable of MembershipAttack
        Those that will use the answers.

    Returns
    -------
    queried : QueriedTarget

    Raises
    ------
    TypeError, ValueError
        If it does not return probabilities, knows none of the labels, or is no target for one of the attacks.
    """
    for attack in attacks:
        attack.check_target(target)
    memory, start = remember_answers(target, attacks), time.perf_counter()
    answers = query(memory.view(), X, y)
    seconds = time.perf_counter() - start
    check_proba(answers.proba)
    if y is not None:
        _check_known_labels(answers, y)
    return QueriedTarget(memory, answers, dict(memory.target_queries), seconds)


def _check_known_labels(answers, y):
    if (answers.y < 0).all():
        given, known = (", ".join(map(str, np.unique(labels)[:5])) for labels in (y, answers.classes))
        raise ValueError(
            f"y must hold labels that the classifier knows, such as {known}. Got none of them, but labels such as "
            f"{given}."
        )


def describe_unknown_labels(answers):
    """Return a message if the classifier does not know the labels of some rows.

    Parameters
    ----------
    answers : Answers
        To all rows.

    Returns
    -------
    message : str or None
    """
    if answers.y is None:
        return None
    unknown = np.count_nonzero(answers.y < 0)
    return f"{unknown} of {len(answers)} rows have a label that the classifier does not know." if unknown else None


@dataclass(frozen=True)
class AttackRun:
    """Scores of all rows by an attack, and what they cost.

    Parameters
    ----------
    name : str
        Name of the attack.
    said : AttackScores
        Its scores and predictions.
    label_only : bool
        Whether it read nothing but labels.
    queries_per_row : float
        Queries about each row, known or scored.
    seconds : float
        Duration, without the query that attacks share.
    """

    name: str
    said: AttackScores
    label_only: bool
    queries_per_row: float
    seconds: float


def run_attack(name, attack, queried, rows, *, known, seed):
    """Run an attack on all rows, cross-fitted.

    Parameters
    ----------
    name : str
        Name of the attack.
    attack : MembershipAttack
        Cloned.
    queried : QueriedTarget
        The target and its answers to these rows.
    rows : AttackedRows
        The rows.
    known : float
        Share of the rows that the attacker knows.
    seed : int
        Seeds the attack, together with its name.

    Returns
    -------
    run : AttackRun

    Raises
    ------
    ValueError
        If the attack's scores are not finite.
    """
    before, start = Counter(queried.memory.attacker_queries), time.perf_counter()
    said = cross_fit(attack, queried.memory, queried.answers, rows, known=known, seed=mix_seed(seed, name))
    seconds = time.perf_counter() - start
    if not np.isfinite(said.scores).all():
        n_bad = np.count_nonzero(~np.isfinite(said.scores))
        raise ValueError(f"attack {name!r} must give finite scores. Got {n_bad} of {len(said.scores)} that are not.")
    queries = queried.memory.attacker_queries - before
    # Each row is scored once, and 2 * known of them are learned from.
    queries_per_row = 1.0 if attack.asks_once else n_queries(queries) / (len(rows) * (1 + 2 * known))
    # An attack of the user may not declare what it reads, and query labels alone.
    label_only = attack.uses == "labels" or set(queries) == {"predict"}
    return AttackRun(name, said, label_only, queries_per_row, seconds)

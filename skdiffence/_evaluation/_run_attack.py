"""One attack on one target: its scores of all rows, and what it asked."""

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
class Asked:
    """A target and its answers to all rows of an evaluation.

    Parameters
    ----------
    memory : AnswerMemory
        The target with all that it answered.
    answers : Answers
        What it answered.
    counts : dict of str to int, default=None
        Rows asked about, by method.
    seconds : float, default=None
        Duration of the query.
    """

    memory: object
    answers: object
    counts: dict | None = None
    seconds: float | None = None


def ask(target, X, y, attacks):
    """Query a target once about all rows.

    Parameters
    ----------
    target : classifier
        Fitted.
    X : array-like of shape (n_samples, ...)
        Rows.
    y : ndarray of shape (n_samples,)
        Their labels.
    attacks : iterable of MembershipAttack
        Those that will use the answers.

    Returns
    -------
    asked : Asked

    Raises
    ------
    TypeError, ValueError
        If it does not answer with probabilities.
    """
    memory, start = remember_answers(target, attacks), time.perf_counter()
    answers = query(memory.attacker(), X, y)
    seconds = time.perf_counter() - start
    check_proba(answers.proba)
    return Asked(memory, answers, dict(memory.asked), seconds)


@dataclass(frozen=True)
class AttackRun:
    """What an attack said about all rows, and what it asked.

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


def run_attack(name, attack, asked, rows, *, known, seed):
    """Run an attack on all rows, cross-fitted.

    Parameters
    ----------
    name : str
        Name of the attack.
    attack : MembershipAttack
        Cloned.
    asked : Asked
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
    before, start = Counter(asked.memory.questions), time.perf_counter()
    said = cross_fit(attack, asked.memory, asked.answers, rows, known=known, seed=mix_seed(seed, name))
    seconds = time.perf_counter() - start
    if not np.isfinite(said.scores).all():
        n_bad = np.count_nonzero(~np.isfinite(said.scores))
        raise ValueError(f"attack {name!r} must give finite scores. Got {n_bad} of {len(said.scores)} that are not.")
    questions = asked.memory.questions - before
    # Each row is scored once, and 2 * known of them are learned from.
    queries = 1.0 if attack.asks_once else n_queries(questions) / (len(rows) * (1 + 2 * known))
    return AttackRun(name, said, _reads_labels_only(attack, questions), queries, seconds)


def _reads_labels_only(attack, questions):
    return attack.uses == "labels" or set(questions) == {"predict"}

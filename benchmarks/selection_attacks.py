"""What ``selection.py`` measures of one classifier on one split."""

import numpy as np
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from skdiffence._demo._engine import attack_scores, lowest_reliable_level, measure_utility, row_digests
from skdiffence.attacks import (
    AnswerCostAttack,
    Answers,
    NonMonotoneAttack,
    PrecompensatedQueryAttack,
    RepeatedQueryAttack,
)
from skdiffence.metrics import auc_interval, entropy_signal, logit_signal, tpr_at_fpr_score

N_QUERIES = 8
# Attacks of several queries learn no more than a direction, which is taken back; a few rows do.
N_KNOWN = 20
N_REPEATS = 3


def measure(split, classifier, attacker, options):
    """Return everything about a classifier's answers.

    Parameters
    ----------
    split : Split
        With its scored rows drawn.
    classifier : classifier
        Fitted: the net, or defended.
    attacker : regenerator
        The attacker's own, fitted and frozen.
    options : Namespace
        Of the command line.

    Returns
    -------
    record : dict of str to float
    signals : dict of str to tuple of two ndarrays
        What each attack measured of members and of non-members.
    """
    scored = split.scored
    selected = classifier.select(scored.X) if hasattr(classifier, "select") else None
    proba = classifier.predict_proba(scored.X) if selected is None else selected.proba
    signals = single_query(scored, proba, split.seed) | repeated_queries(
        scored, classifier, attacker, options, split.seed
    )
    answers = Answers(proba, scored.labels, scored.y, split.net.classes_)
    worth = measure_utility(answers.take(~scored.is_member))
    record = {
        "nll": -worth.pop("neg_log_loss"),
        **worth,
        "labels_changed": np.sum(proba.argmax(axis=1) != scored.labels),
    }
    if selected is not None:
        # Members are expected to be answered sooner.
        signals["timing"] = by_side(-selected.n_regenerations.astype(float), scored.is_member)
        record["calls"] = selected.n_regenerations.mean()
        fitted = getattr(classifier, "best_estimator_", classifier)
        record["fallback"] = np.mean(~selected.kept)
        if hasattr(fitted, "retention_"):
            record["retention"] = fitted.retention_["non_members"].overall
    level = lowest_reliable_level(len(signals["logit"][1]))
    if level is not None:
        record["fpr"], record["tpr"] = level, tpr_at_fpr_score(*joined(signals["logit"]), max_fpr=level)
    for name, sides in signals.items():
        record[name] = roc_auc_score(*joined(sides))
        record[f"{name}_low"], record[f"{name}_high"] = auc_interval(*joined(sides))
    return {name: float(value) for name, value in record.items()}, signals


def by_side(signal, is_member):
    """Return a signal of members and of non-members."""
    return signal[is_member], signal[~is_member]


def joined(sides):
    """Return membership and signal of both sides, as scores take them."""
    return np.arange(len(sides[0]) + len(sides[1])) < len(sides[0]), np.concatenate(sides)


def single_query(scored, proba, seed):
    """Return what attacks of one query measure, on all rows and on those labeled right."""
    X, y, labels, is_member = scored.X, scored.y, scored.labels, scored.is_member
    answers = Answers(np.asarray(proba, dtype=np.float64), labels, y, np.arange(proba.shape[1]))
    keys = row_digests(X, seed.to_bytes(8, "little"))
    attack = NonMonotoneAttack(random_state=seed)
    crossed = attack_scores(attack, None, X, y, is_member, seed=seed, answers=answers, keys=keys)
    measured = {
        "phi": logit_signal(labels, proba),
        "entropy": entropy_signal(None, proba),
        "logit": logit_signal(y, proba),
        "non_monotone": crossed,
    }
    right = labels == y
    signals = {name: by_side(signal, is_member) for name, signal in measured.items()}
    for name in ("phi", "non_monotone"):
        signals[f"{name}_right"] = by_side(measured[name][right], is_member[right])
    return signals


def repeated_queries(scored, classifier, attacker, options, seed):
    """Return phi at the true label, averaged over eight near-duplicates, and over eight pre-compensated queries."""
    sides = scored.is_member, ~scored.is_member
    rows = np.concatenate([np.flatnonzero(side)[: options.n_repeated] for side in sides])
    X, y, is_member = scored.X[rows], scored.y[rows], scored.is_member[rows]
    known = np.concatenate((np.arange(N_KNOWN), len(rows) - 1 - np.arange(N_KNOWN)))
    attacks = {
        "near_duplicates": RepeatedQueryAttack(N_QUERIES, neighbor="gray", random_state=seed),
        "precompensated": PrecompensatedQueryAttack(
            attacker, n_queries=N_QUERIES, n_regenerations=N_QUERIES, random_state=seed
        ),
    }
    signals = {}
    for name, attack in attacks.items():
        attack.fit(classifier, X[known], y[known], is_member[known])
        signals[name] = by_side(attack.direction_ * attack.score_samples(X, y), is_member)
    return signals


def expected_calls(split, n_candidates, defended):
    """Return what "first" costs on calibration rows, and the cost expected from their retention.

    A row of whose N candidates K keep the label has its first one at (N + 1) / (K + 1) on average over their orders.
    ``first_margin`` is half of a 95 % interval of the ratio of the two, over the rows.
    """
    X = split.X_calibration
    candidates = (defended.regenerator_.regenerate(X, number) for number in range(n_candidates))
    n_kept = sum(defended.predict(rows) == defended.predict(X) for rows in candidates)
    expected = np.where(n_kept > 0, (n_candidates + 1) / (n_kept + 1), n_candidates)
    calls = defended.select(X).n_regenerations
    ratio = calls.mean() / expected.mean()
    error = np.std(calls - ratio * expected, ddof=1) / np.sqrt(len(calls)) / expected.mean()
    margin = norm.ppf(0.975) * error
    return {"first_calls": calls.mean(), "first_expected": expected.mean(), "first_margin": margin}


def time_answers(split, regenerator, rules, n_rows):
    """Attack response times, row by row, without a cache; members are expected to be answered sooner.

    Returns
    -------
    timed : dict of str to tuple of three floats
        AUC and the ends of its interval, for each rule.
    """
    scored = split.scored
    rows = np.concatenate([np.flatnonzero(side)[:n_rows] for side in (scored.is_member, ~scored.is_member)])
    X, y, is_member = scored.X[rows], scored.y[rows], scored.is_member[rows]
    timed = {}
    for name, rule in rules.items():
        attack = AnswerCostAttack("seconds", n_repeats=N_REPEATS)
        known = np.array([0, len(rows) - 1])
        attack.fit(split.defend(regenerator, rule), X[known], y[known], is_member[known])
        seconds = attack.direction_ * attack.score_samples(X, y)
        timed[name] = (float(roc_auc_score(is_member, -seconds)), *map(float, auc_interval(is_member, -seconds)))
    return timed

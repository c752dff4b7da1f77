"""The success of attacks on a classifier, and the utility of its answers."""

import warnings

import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import log_loss, roc_auc_score

from paper.rows import some
from skdiffence._demo._engine import recalibrated_log_loss
from skdiffence.attacks import (
    Answers,
    CorrectnessAttack,
    LabelOnlyAttack,
    LabelOnlyReferenceAttack,
    NeuralAttack,
    NonMonotoneAttack,
    PrecompensatedQueryAttack,
    ReferenceAttack,
    RepeatedQueryAttack,
    ThresholdAttack,
    lira_leave_one_out,
)
from skdiffence.metrics import (
    accuracy_interval,
    attack_accuracy_score,
    auc_difference_interval,
    auc_interval,
    cluster_bootstrap_interval,
    entropy_signal,
    expected_calibration_error,
    failure_detection_auc,
    logit_signal,
    tpr_at_fpr_interval,
    tpr_at_fpr_score,
)

RATES = (0.001, 0.01)
# The paper's, less LiRA, which needs shadows; and one for defenses that over-correct.
PAPER_ATTACKS = ("neural", "loss", "confidence", "entropy", "modified_entropy")
LABEL_FREE = ("entropy", "phi")
LABEL_AWARE = ("neural", "loss", "confidence", "modified_entropy", "non_monotone")
# With a model of the attacker's own: beside the answers, and beside nothing but labels.
OWN_MODEL = ("reference", "label_only_reference")


def single_query_attacks(seed, own):
    """Return the attacks that share one answer a row, by name; "phi" is given answered labels for true ones.

    Parameters
    ----------
    seed : int
        Seeds the attacks that learn.
    own : classifier
        The attacker's own model, fitted and frozen.
    """
    signals = ("loss", "confidence", "entropy", "modified_entropy")
    return {
        "neural": NeuralAttack(random_state=seed),
        **{signal: ThresholdAttack(signal) for signal in signals},
        "phi": ThresholdAttack("logit"),
        "non_monotone": NonMonotoneAttack(random_state=seed),
        "correctness": CorrectnessAttack(),
        "reference": ReferenceAttack(own, random_state=seed),
        "label_only_reference": LabelOnlyReferenceAttack(own, random_state=seed),
    }


def answers_of(classifier, part):
    """Return the answers of a classifier to rows, and what its ``select`` returns, or None."""
    selected = classifier.select(part.X) if hasattr(classifier, "select") else None
    proba = classifier.predict_proba(part.X) if selected is None else selected.proba
    proba = np.asarray(proba, dtype=np.float64)
    classes = np.asarray(classifier.classes_)
    columns = np.searchsorted(classes, part.y)
    return Answers(proba, proba.argmax(axis=1), columns, classes, part.X), selected


def blind(answers):
    """Return the answers with the predicted labels in place of the true ones."""
    return Answers(answers.proba, answers.label, answers.label, answers.classes, answers.X)


def scores_of(attack, is_member, scores, accused, correct):
    """Return the figures of an attack, each with its interval, and a mark on rates that rest on few rows."""
    n_others = int(np.sum(~is_member))
    both_right = len(np.unique(is_member[correct])) == 2
    numbers = {
        "auc": float(roc_auc_score(is_member, scores)),
        "auc_interval": auc_interval(is_member, scores),
        "accuracy": float(attack_accuracy_score(is_member, accused)),
        "accuracy_interval": accuracy_interval(is_member, accused),
        "auc_if_right": float(roc_auc_score(is_member[correct], scores[correct])) if both_right else np.nan,
        "auc_if_right_interval": auc_interval(is_member[correct], scores[correct]) if both_right else (np.nan, np.nan),
    }
    for rate in RATES:
        numbers[f"tpr_{rate}"] = float(tpr_at_fpr_score(is_member, scores, max_fpr=rate))
        numbers[f"tpr_{rate}_interval"] = tpr_at_fpr_interval(is_member, scores, max_fpr=rate)
        numbers[f"tpr_{rate}_rests_on_few"] = rate * n_others < 10
    return numbers | {"attack": attack, "n_members": int(is_member.sum()), "n_non_members": n_others}


def attack_answers(attacks, known, scored, is_known_member, is_member):
    """Fit attacks to answers to known rows and score others.

    Parameters
    ----------
    attacks : dict of str to MembershipAttack
        Unfitted.
    known, scored : Answers
        What the target answered.
    is_known_member, is_member : ndarray of dtype bool
        The truth about both.

    Returns
    -------
    numbers : dict of str to dict
    beyond : dict of str to float
        How far an attacker with a model of his own gets beyond labels when he sees the answers: the difference of two
        areas, and its interval.
    """
    numbers, scores = {}, {}
    for name, attack in attacks.items():
        views = (blind(known), blind(scored)) if name == "phi" else (known, scored)
        attack.fit_answers(views[0], is_known_member)
        scores[name] = attack.score_answers(views[1])
        accused = scores[name] >= attack.threshold_
        numbers[name] = scores_of(name, is_member, scores[name], accused, scored.correct)
    answers, labels = OWN_MODEL
    interval = auc_difference_interval(is_member, scores[answers], scores[labels])
    difference = numbers[answers]["auc"] - numbers[labels]["auc"]
    return numbers, {"beyond": difference, "beyond_interval": [float(end) for end in interval]}


def utility_of(answers, held_out=None):
    """Return the utility of answers to rows outside the training set.

    Parameters
    ----------
    answers : Answers
        To those rows.
    held_out : Answers or None, default=None
        To further ones, on which a temperature is fitted.
    """
    proba = np.clip(answers.proba, np.finfo(float).eps, 1)
    columns = np.arange(proba.shape[1])
    more = {}
    if held_out is not None:
        more["recalibrated_nll"], more["temperature"] = recalibrated_log_loss(
            held_out.proba, held_out.y, answers.proba, answers.y
        )
    return more | {
        "test_accuracy": float(answers.correct.mean()),
        "nll": float(log_loss(answers.y, proba / proba.sum(axis=1, keepdims=True), labels=columns)),
        "ece": float(expected_calibration_error(answers.y, answers.proba)),
        "failure_auc": float(failure_detection_auc(answers.y, answers.proba)),
    }


def measure(classifier, bare, known, scored, held_out, attacks):
    """Measure the privacy, the utility and the cost of a classifier's answers.

    Parameters
    ----------
    classifier : classifier
        Fitted; the cost is that of its ``select``, if it has one.
    bare : classifier
        The same without the defense, whose labels must be kept.
    known, scored : Bunch
        Rows of both sides, ``X``, ``y`` and ``is_member``.
    held_out : Bunch
        Further non-members, on which a temperature is fitted.
    attacks : dict of str to MembershipAttack
        Unfitted.

    Returns
    -------
    record : dict
    """
    learned, _ = answers_of(classifier, known)
    answers, selected = answers_of(classifier, scored)
    others = ~scored.is_member
    labels = np.searchsorted(answers.classes, bare.predict(scored.X))
    attacked, beyond = attack_answers(attacks, learned, answers, known.is_member, scored.is_member)
    record = {
        "attacks": attacked,
        **beyond,
        "train_accuracy": float(answers.correct[scored.is_member].mean()),
        "labels_changed": int(np.sum(answers.label != labels)),
        "labels_asked": len(labels),
        "undefended_answers": int(np.sum(np.all(answers.proba == bare.predict_proba(scored.X), axis=1))),
        **utility_of(answers.take(others), answers_of(classifier, held_out)[0]),
    }
    if selected is not None:
        calls = selected.n_regenerations
        record["calls"] = float(calls.mean())
        record["calls_of_members"] = float(calls[scored.is_member].mean())
        record["timing_auc"] = float(roc_auc_score(scored.is_member, -calls))
        record["timing_auc_interval"] = auc_interval(scored.is_member, -calls)
        record["fallback"] = float(np.mean(~selected.kept))
        chosen = getattr(classifier, "best_estimator_", classifier)
        record["retention"] = {side: rates.overall for side, rates in getattr(chosen, "retention_", {}).items()}
    return record


def fitted_attack(attack, target, known, scored):
    """Return the figures of an attack that queries the target itself."""
    with warnings.catch_warnings():
        # Changed rows may leave the value range by a rounding error.
        warnings.filterwarnings("ignore", message=".*value range.*")
        attack.fit(target, known.X, known.y, known.is_member)
        scores = attack.score_samples(scored.X, scored.y)
    correct = target.predict(scored.X) == scored.y
    return scores_of(type(attack).__name__, scored.is_member, scores, scores >= attack.threshold_, correct)


def label_floor(target, known, scored, n_rows, seed):
    """Return the figures of label-only attacks: the floor of every defense that keeps labels.

    Returns
    -------
    numbers : dict of str to dict
    """
    attacks = {
        f"{robustness}, {how or 'regression'}": LabelOnlyAttack(robustness, estimator=how, random_state=seed)
        for robustness in ("noise", "augmentation")
        for how in (None, "mean")
    }
    scored = some(scored, n_rows)
    return {name: fitted_attack(attack, target, known, scored) for name, attack in attacks.items()}


def asked_again(defended, attacker, known, scored, n_rows, seed):
    """Return the figures of attacks of eight queries: near-duplicates, and pre-compensated queries.

    Parameters
    ----------
    defended : classifier
        The target.
    attacker : regenerator
        The attacker's own, fitted, with a key of its own.
    known, scored : Bunch
        Rows of both sides.
    n_rows : int
        Scored rows of each side; half as many are known.
    seed : int
        Seeds the attacks.

    Returns
    -------
    numbers : dict of str to dict
        "one query" is the same statistic of one answer, to compare with.
    """
    known, scored = some(known, n_rows // 2), some(scored, n_rows)
    attacks = {
        "one query": ThresholdAttack("logit"),
        "near-duplicates x8": RepeatedQueryAttack(8, neighbor="gray", random_state=seed),
        "pre-compensated x8": PrecompensatedQueryAttack(FrozenEstimator(attacker), n_queries=8, random_state=seed),
    }
    return {name: fitted_attack(attack, defended, known, scored) for name, attack in attacks.items()}


def canary_figures(probas, y, membership, seed):
    """Return what attacks find of canaries when each model in turn is the target of an attacker who has the others.

    Parameters
    ----------
    probas : list of ndarray of shape (n_canaries, n_classes)
        Each model's answers to the canaries.
    y : ndarray of shape (n_canaries,)
        The wrong labels that they were trained with, as columns.
    membership : ndarray of shape (n_canaries, n_models), dtype bool
        Which of them trained which model.
    seed : int
        Seeds the intervals, which resample canaries and models.

    Returns
    -------
    numbers : dict of str to dict
        "LiRA", "phi" for one threshold for all, and "correctness", which labels alone give away.
    """
    phi = np.column_stack([logit_signal(y, proba) for proba in probas])
    scores = {
        "LiRA": lira_leave_one_out(phi, membership),
        "phi": phi,
        "correctness": np.column_stack([proba.argmax(axis=1) == y for proba in probas]).astype(float),
    }
    rows, models = (axis.ravel() for axis in np.indices(membership.shape))
    numbers = {}
    for name, score in scores.items():
        given = membership.ravel(), score.ravel()
        ends = cluster_bootstrap_interval(*given, roc_auc_score, rows=rows, models=models, random_state=seed)
        numbers[name] = {"auc": float(roc_auc_score(*given)), "auc_interval": ends}
    return numbers


def calibration_leak(defended, part):
    """Return the AUC of entropy and of phi on the calibration rows, and the utility and the cost there."""
    answers, selected = answers_of(defended, part)
    signals = {"entropy": entropy_signal(None, answers.proba), "phi": logit_signal(answers.label, answers.proba)}
    areas = {name: float(roc_auc_score(part.is_member, signal)) for name, signal in signals.items()}
    intervals = {f"{name}_interval": auc_interval(part.is_member, signal) for name, signal in signals.items()}
    return {
        **areas,
        **intervals,
        **utility_of(answers.take(~part.is_member)),
        "leak": max(abs(area - 0.5) for area in areas.values()),
        "calls": 0.0 if selected is None else float(selected.n_regenerations.mean()),
    }

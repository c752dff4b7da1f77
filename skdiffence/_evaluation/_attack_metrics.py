"""The numbers of one call of a scorer, each under its name."""

import warnings
from functools import partial

import numpy as np
from sklearn.metrics import roc_auc_score

from skdiffence._evaluation._cross_fit_intervals import cross_fit_interval
from skdiffence.exceptions import MembershipWarning
from skdiffence.metrics import (
    accuracy_interval,
    attack_accuracy_score,
    auc_interval,
    confidence_signal,
    expected_calibration_error,
    failure_detection_auc,
    tnr_at_fnr_interval,
    tnr_at_fnr_score,
    tpr_at_fpr_interval,
    tpr_at_fpr_score,
)

# A rate among n rows is read at a level that at least ten of them reach.
_LEVELS = (0.001, 0.01, 0.05, 0.1)
_FEWEST_AT_LEVEL = 10
_MUCH_BETTER = 3.0  # standard errors


def honest_level(n):
    """Return the smallest false positive rate that rests on at least ten rows.

    Parameters
    ----------
    n : int
        Number of non-members.

    Returns
    -------
    level : float or None
        One of 0.001, 0.01, 0.05 and 0.1; None if n is below 100.
    """
    return next((level for level in _LEVELS if level * n >= _FEWEST_AT_LEVEL - 1e-9), None)


def _with_interval(name, value, interval):
    return {name: float(value), f"{name}_low": interval[0], f"{name}_high": interval[1]}


def _auc_ends(attacked, is_member):
    return cross_fit_interval(auc_interval, is_member, attacked.scores, attacked.half)


def _roc_auc(name, attacked, is_member, context):
    del context
    return _with_interval(name, roc_auc_score(is_member, attacked.scores), _auc_ends(attacked, is_member))


def _accuracy(name, attacked, is_member, context):
    del context
    value = attack_accuracy_score(is_member, attacked.accused)
    return _with_interval(
        name, value, cross_fit_interval(accuracy_interval, is_member, attacked.accused, attacked.half)
    )


def _correct_roc_auc(name, attacked, is_member, context):
    rows = context["correct"]
    if not (is_member[rows].any() and not is_member[rows].all()):
        return _with_interval(name, np.nan, (np.nan, np.nan))
    value = roc_auc_score(is_member[rows], attacked.scores[rows])
    return _with_interval(name, value, _auc_ends(attacked.take(rows), is_member[rows]))


def _rate(metric, interval, argument, name, attacked, is_member, context):
    level = honest_level(context["n_typical"])
    if level is None:
        return {}
    name = f"{name}_{level:g}"
    # Rows left out of a fold must not turn its rate into noise.
    n_falsely = np.count_nonzero(~is_member if argument == "max_fpr" else is_member)
    if level * n_falsely < _FEWEST_AT_LEVEL - 1:
        return _with_interval(name, np.nan, (np.nan, np.nan))
    value, ends = (function(is_member, attacked.scores, **{argument: level}) for function in (metric, interval))
    return _with_interval(name, value, ends)


ATTACK_METRICS = {
    "accuracy": _accuracy,
    "correct_roc_auc": _correct_roc_auc,
    "roc_auc": _roc_auc,
    "tnr_at_fnr": partial(_rate, tnr_at_fnr_score, tnr_at_fnr_interval, "max_fnr"),
    "tpr_at_fpr": partial(_rate, tpr_at_fpr_score, tpr_at_fpr_interval, "max_fpr"),
}
AUTO_METRICS = ("roc_auc", "accuracy", "tpr_at_fpr", "correct_roc_auc")


def attack_metrics(name, metrics, attacked, is_member, context):
    """Return what an attack achieved.

    Parameters
    ----------
    name : str
        The attack's.
    metrics : list of str
        Keys of ``ATTACK_METRICS``.
    attacked : AttackScores
        What the attack said of the rows.
    is_member : ndarray of shape (n_samples,), dtype bool
        The truth.
    context : dict
        "correct", which rows are labeled correctly; "n_typical", the number of non-members in a typical call.

    Returns
    -------
    numbers : dict of str to float
    """
    numbers = {}
    for metric in metrics:
        numbers |= ATTACK_METRICS[metric](f"{name}_{metric}", attacked, is_member, context)
    return numbers


def privacy(scores, is_member):
    """Return what is left of privacy under the worst of several attacks.

    Parameters
    ----------
    scores : list of AttackScores
        One for each attack.
    is_member : ndarray of shape (n_samples,), dtype bool
        The truth.

    Returns
    -------
    numbers : dict of str to float
        "privacy", 1 less the highest area under the ROC curve, one below 0.5 turned round: 0.5 is the best
        there is. "privacy_low" and "privacy_high" come from the attacks' own intervals, which do not know
        that the worst was chosen.
    """
    worst = max(_turned(roc_auc_score(is_member, attacked.scores)) for attacked in scores)
    ends = [_auc_ends(attacked, is_member) for attacked in scores]
    highest = max(max(high, 1 - low) for low, high in ends)
    lowest = max(max(low, 1 - high, 0.5) for low, high in ends)
    return _with_interval("privacy", 1 - worst, (1 - highest, 1 - lowest))


def _turned(auc):
    return max(auc, 1 - auc)


def utility(answers):
    """Return what the answers are worth to those who ask.

    Parameters
    ----------
    answers : Answers
        To rows that were not trained on.

    Returns
    -------
    numbers : dict of str to float
        "accuracy", "neg_log_loss", "expected_calibration_error" and "failure_detection_auc".
    """
    # The floor of sklearn.metrics.log_loss.
    at_label = np.maximum(confidence_signal(answers.y, answers.proba), np.finfo(np.float64).eps)
    return {
        "accuracy": float(answers.correct.mean()),
        "neg_log_loss": float(np.log(at_label).mean()),
        "expected_calibration_error": expected_calibration_error(answers.y, answers.proba),
        "failure_detection_auc": failure_detection_auc(answers.y, answers.proba),
    }


def warn_if_reversed(answers, is_member):
    """Warn if non-members are answered better than members.

    Parameters
    ----------
    answers : Answers
        To members and non-members.
    is_member : ndarray of shape (n_samples,), dtype bool
        Who is taken for a member.
    """
    for what, value in (
        ("are labeled correctly more often", answers.correct.astype(float)),
        ("get more probability at the true class", confidence_signal(answers.y, answers.proba)),
    ):
        sides = value[~is_member], value[is_member]
        error = np.sqrt(sum(side.var() / len(side) for side in sides))
        if sides[0].mean() - sides[1].mean() > _MUCH_BETTER * max(error, 1e-12):
            warnings.warn(
                f"Rows taken for non-members {what} than those taken for members ({sides[0].mean():.3f} against "
                f"{sides[1].mean():.3f}). Membership may be wrong, as with train scores or a leak between folds, or a "
                "defense over-corrects.",
                MembershipWarning,
                stacklevel=2,
            )
            return

"""Two planes in which a defense can be judged: what its answers are worth, and what attacks find in them."""

import numpy as np
from sklearn.metrics import roc_auc_score

from skdiffence.metrics import auc_interval, failure_detection_auc, wilson_interval

AXIS_LABELS = {
    "failure_detection": (
        "failure-detection AUC on non-members (higher is more useful)",
        "attack AUC among correctly labeled rows\n(lower is more private)",
    ),
    "accuracy": ("accuracy on non-members (higher is more useful)", "attack AUC (lower is more private)"),
}


def utility_of(name, answers, is_member, plane, confidence):
    """Return what the answers to non-members are worth.

    Parameters
    ----------
    name : str
        Of the point, for errors.
    answers : Answers
        To members and non-members.
    is_member : ndarray of shape (n_samples,), dtype bool
        True for members.
    plane : {"failure_detection", "accuracy"}
        What to measure.
    confidence : float
        Of the interval.

    Returns
    -------
    value, low, high : float
    """
    others = answers.take(~is_member)
    if plane == "accuracy":
        n_right = int(others.correct.sum())
        return n_right / len(others), *wilson_interval(n_right, len(others), confidence_level=confidence)
    top = others.proba.max(axis=1)
    right = others.proba.argmax(axis=1) == others.y
    if right.all() or not right.any():
        raise ValueError(
            f"plane='failure_detection' needs right and wrong answers to non-members. Got {right.sum()} right ones of "
            f"{len(right)} from {name!r}. Use plane='accuracy'."
        )
    value = failure_detection_auc(others.y, others.proba)
    return value, *auc_interval(right, top, confidence_level=confidence)


def privacy_of(name, answers, is_member, scores, plane, confidence):
    """Return an attack's area under the ROC curve.

    Parameters
    ----------
    name : str
        Of the point, for errors.
    answers : Answers
        To members and non-members.
    is_member : ndarray of shape (n_samples,), dtype bool
        True for members.
    scores : ndarray of shape (n_samples,)
        What the attack says of the rows.
    plane : {"failure_detection", "accuracy"}
        "failure_detection" looks at correctly labeled rows only.
    confidence : float
        Of the interval.

    Returns
    -------
    value, low, high : float
    """
    rows = answers.correct if plane == "failure_detection" else np.ones(len(answers), dtype=bool)
    is_member, scores = is_member[rows], scores[rows]
    if is_member.all() or not is_member.any():
        raise ValueError(
            f"plane={plane!r} needs members and non-members that are labeled correctly. Got "
            f"{is_member.sum()} of {len(is_member)} from {name!r}."
        )
    return roc_auc_score(is_member, scores), *auc_interval(is_member, scores, confidence_level=confidence)

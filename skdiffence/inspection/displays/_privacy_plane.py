"""Two planes in which a defense can be judged: utility of its answers and AUC of an attack on them."""

import numpy as np

from skdiffence._evaluation._cross_fit import AttackScores
from skdiffence._evaluation._measure import measure_attack
from skdiffence.metrics import auc_interval, failure_detection_auc, wilson_interval

AXIS_LABELS = {
    "failure_detection": (
        "failure-detection AUC on non-members (higher is more useful)",
        "attack AUC among correctly labeled rows\n(lower is more private)",
    ),
    "accuracy": ("accuracy on non-members (higher is more useful)", "attack AUC (lower is more private)"),
}


def measure(answers, is_member, y_score, plane, confidence_level):
    """Return utility and privacy of several sets of answers, with margins and the labels of their axes.

    Parameters
    ----------
    answers : dict of str to Answers
        Answers to members and non-members, by the name of the point.
    is_member : ndarray of shape (n_samples,), dtype bool
        True for members.
    y_score : dict of str to ndarray of shape (n_samples,)
        Scores of an attack, by the name of the point.
    plane : {"failure_detection", "accuracy"}
        What to measure.
    confidence_level : float
        Confidence level of the intervals.

    Returns
    -------
    measured : dict
        Parameters of a PrivacyUtilityDisplay.

    Raises
    ------
    ValueError
        If a number is undefined on these rows.
    """
    points = {"utility": [], "privacy": []}
    for name, given in answers.items():
        points["utility"].append(_utility(name, given.take(~is_member), plane, confidence_level))
        points["privacy"].append(_privacy(name, given, is_member, y_score[name], plane, confidence_level))
    measured = {}
    for (side, values), label in zip(points.items(), AXIS_LABELS[plane], strict=True):
        value, low, high = np.array(values, dtype=np.float64).T
        margin = np.clip([value - low, high - value], 0, None)
        measured |= {side: value, f"{side}_margin": margin, f"{side}_label": label}
    return measured


def _utility(name, others, plane, confidence_level):
    """Return the utility of the answers to non-members, and its interval."""
    if plane == "accuracy":
        n_right = int(others.correct.sum())
        return n_right / len(others), *wilson_interval(n_right, len(others), confidence_level=confidence_level)
    right = others.proba.argmax(axis=1) == others.y
    if right.all() or not right.any():
        raise ValueError(
            f"plane='failure_detection' needs right and wrong answers to non-members. Got {right.sum()} right ones of "
            f"{len(right)} from {name!r}. Use plane='accuracy'."
        )
    interval = auc_interval(right, others.proba.max(axis=1), confidence_level=confidence_level)
    return failure_detection_auc(others.y, others.proba), *interval


def _privacy(name, answers, is_member, score, plane, confidence_level):
    """Return the AUC of an attack, and its interval; in the plane of failure detection among correct labels only."""
    of_correct = {"correct": answers.correct, "confidence_level": confidence_level}
    result = measure_attack(name, AttackScores(score), is_member, **of_correct)
    auc = result.correct_roc_auc if plane == "failure_detection" else result.roc_auc
    if np.isnan(auc.value):
        among = is_member[answers.correct]
        raise ValueError(
            f"plane={plane!r} needs members and non-members that are labeled correctly. Got {among.sum()} of "
            f"{len(among)} from {name!r}."
        )
    return auc.value, auc.low, auc.high


def check_points(points, n_points):
    """Return the coordinates and margins of points as arrays.

    Parameters
    ----------
    points : dict of str to array-like
        By the name of a parameter of PrivacyUtilityDisplay; margins may be None.
    n_points : int
        Number of points.

    Returns
    -------
    points : list of ndarray
        Coordinates of shape (n_points,); margins of shape (2, n_points), or None.

    Raises
    ------
    ValueError
        If a shape is another one, or a value is not finite, or a margin is negative.
    """
    checked = []
    for key, value in points.items():
        is_margin = key.endswith("margin")
        if is_margin and value is None:
            checked.append(None)
            continue
        value = np.asarray(value, dtype=np.float64)
        allowed = {(n_points,), (2, n_points)} if is_margin else {(n_points,)}
        if value.shape not in allowed or not np.isfinite(value).all():
            got = value.tolist()
            raise ValueError(f"{key} must hold a finite number for each of the {n_points} points. Got {got}.")
        if is_margin and value.min(initial=0.0) < 0:
            raise ValueError(f"{key} must not be negative. Got {value.min()}.")
        checked.append(np.broadcast_to(value, (2, n_points)) if is_margin else value)
    return checked


def check_references(reference, names):
    """Return the index of each point's undefended one.

    Parameters
    ----------
    reference : int, str, None or list of them
        Index or name, for all points or one for each.
    names : list of str
        Names of the points.

    Returns
    -------
    references : list of int
        -1 for none.

    Raises
    ------
    ValueError
        If a reference does not exist, or their number is another one.
    """
    given = reference if isinstance(reference, list) else [reference] * len(names)
    if len(given) != len(names):
        raise ValueError(f"reference must be one, or one for each of the {len(names)} points. Got {len(given)}.")
    return [-1 if one is None else _index(one, names) for one in given]


def _index(one, names):
    if isinstance(one, str):
        if one not in names:
            raise ValueError(f"reference must be one of {names}. Got {one!r}.")
        return names.index(one)
    if not 0 <= one < len(names):
        raise ValueError(f"reference must be from 0 to {len(names) - 1}. Got {one}.")
    return int(one)


def named_estimators(estimators):
    """Return classifiers by name; those of a list are named by their classes.

    Parameters
    ----------
    estimators : dict of str to classifier, or list of classifiers
        The classifiers.

    Returns
    -------
    estimators : dict of str to classifier

    Raises
    ------
    ValueError
        If there is none.
    """
    if not estimators:
        raise ValueError(f"estimators must hold at least one classifier. Got {estimators!r}.")
    if isinstance(estimators, dict):
        return estimators
    named = {}
    for estimator in estimators:
        name = type(estimator).__name__
        # The second of a name is its 2: two modules can have classes of one name.
        n_before = sum(type(other).__name__ == name for other in named.values())
        named[f"{name} {n_before + 1}" if n_before else name] = estimator
    return named

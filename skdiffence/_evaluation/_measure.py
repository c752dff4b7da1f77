"""The figures of an attack and of a classifier's answers: every audit, scorer and display measures by these."""

from functools import partial
from itertools import product

import numpy as np
from sklearn.metrics import roc_auc_score

from skdiffence._evaluation._cross_fit import cross_fit_interval
from skdiffence._evaluation._results import (
    NOT_MEASURED,
    AttackResult,
    Estimate,
    Identification,
    LeakBeyondLabels,
    OperatingPoint,
    strongest,
)
from skdiffence.metrics import (
    accuracy_interval,
    attack_accuracy_score,
    auc_difference_interval,
    auc_interval,
    confidence_signal,
    expected_calibration_error,
    failure_detection_auc,
    group_scores,
    operating_point,
    tpr_at_fpr_score,
)
from skdiffence.metrics._checks import RATE_TOLERANCE
from skdiffence.metrics._operating_point import FEWEST_AT_RATE

LEVELS = (0.001, 0.01, 0.05, 0.1)
_UTILITY = ("accuracy", "neg_log_loss", "expected_calibration_error", "failure_detection_auc")
_MUCH_BETTER = 3.0  # standard errors
LOW_RATE = 0.01  # highest false positive rate at which members count as identified ...
SURE_RATIO = 10  # ... if this many times as many of them are called members
_ERROR = 0.05  # probability that an interval of any attack and rate misses
_INTERVALS = {roc_auc_score: auc_interval, attack_accuracy_score: accuracy_interval}


def lowest_reliable_level(n):
    """Return the smallest false positive rate that at least ten rows stand for.

    Parameters
    ----------
    n : int
        Number of non-members.

    Returns
    -------
    level : float or None
        One of 0.001, 0.01, 0.05 and 0.1; None if n is below 100.
    """
    return next((level for level in LEVELS if level * n >= FEWEST_AT_RATE - 1e-9), None)


def measure_attack(
    name,
    said,
    is_member,
    *,
    correct=None,
    classes=None,
    fpr_levels=(),
    fnr_levels=(),
    confidence_level=0.95,
    interval=None,
):
    """Return what an attack achieved, with confidence intervals.

    Parameters
    ----------
    name : str
        Name of the attack.
    said : AttackScores
        Its scores and predictions.
    is_member : ndarray of shape (n_samples,), dtype bool
        True for members.
    correct : ndarray of shape (n_samples,), dtype bool, default=None
        Rows that the target labels correctly.
    classes : ndarray of shape (n_samples,), default=None
        Labels of the rows, for the area within each class.
    fpr_levels, fnr_levels : iterable of float, default=()
        False positive rates to read true positive rates at, and false negative rates to read true negative rates at.
    confidence_level : float, default=0.95
        Coverage of the intervals.
    interval : callable, default=None
        Called as ``interval(is_member, values, metric)``; returns the ends of the interval of
        ``metric(is_member, values)``. None uses intervals in closed form, which allow for cross-fitting.

    Returns
    -------
    result : AttackResult
        Figures are NaN where an input, members or non-members are missing.
    """
    how = {"confidence_level": confidence_level, "interval": interval}
    right = np.zeros(len(is_member), dtype=bool) if correct is None else correct
    among_right = said.take(right)
    return AttackResult(
        attack=name,
        roc_auc=_estimate(roc_auc_score, is_member, said.scores, said.half, **how),
        accuracy=_estimate(attack_accuracy_score, is_member, said.predictions, said.half, **how),
        correct_roc_auc=_estimate(roc_auc_score, is_member[right], among_right.scores, among_right.half, **how),
        tpr_at_fpr=tuple(_operating_point(is_member, said.scores, level, **how) for level in fpr_levels),
        tnr_at_fnr=tuple(_operating_point(~is_member, -said.scores, level, **how) for level in fnr_levels),
        by_class=None if classes is None else _by_class(is_member, said.scores, classes, confidence_level),
    )


def _estimate(metric, is_member, values, half, *, confidence_level, interval):
    if values is None or not is_member.any() or is_member.all():
        return NOT_MEASURED
    if interval is None:
        in_closed_form = partial(_INTERVALS[metric], confidence_level=confidence_level)
        ends = cross_fit_interval(in_closed_form, is_member, values, half)
    else:
        ends = interval(is_member, values, metric)
    return Estimate(float(metric(is_member, values)), *map(float, ends))


def _operating_point(is_member, scores, level, *, confidence_level, interval):
    point = operating_point(is_member, scores, max_fpr=level, confidence_level=confidence_level)
    ends = point.tpr_low, point.tpr_high
    if interval is not None:
        ends = interval(is_member, scores, partial(tpr_at_fpr_score, max_fpr=level))
    return OperatingPoint(level, Estimate(point.tpr, *ends), point.fpr, point.is_reliable)


def _by_class(is_member, scores, classes, confidence_level):
    groups = group_scores(is_member, scores, classes, roc_auc_score, confidence_level=confidence_level)
    return {str(label): {name: float(value) for name, value in group.items()} for label, group in groups.items()}


def surely_identified(said, signals, is_member, levels):
    """Return the attacks that identify members with certainty at a low false positive rate.

    A point counts if its false positive rate is at most 1 % and stands for at least ten non-members, and if the lower
    end of the interval of its true positive rate is at least ten times that rate. The intervals of all points looked
    at hold together with a probability of at least 95 % (Bonferroni). Without a leak the true rate is the false
    positive rate itself, a tenth of what the lower end must reach, so that hardly any audit finds such a point.

    A signal is looked at in both directions. The direction that an attack learns is that of the area: where a few
    members are certain and the others a little less confident than non-members, it is the wrong one for the few.

    Parameters
    ----------
    said : dict of str to AttackScores
        Scores of all attacks, by name.
    signals : dict of str to (ndarray of shape (n_samples,) or None)
        Signals of the attacks that learn nothing but a direction; None for other attacks.
    is_member : ndarray of shape (n_samples,), dtype bool
        True for members.
    levels : iterable of float
        False positive rates of the audit.

    Returns
    -------
    identified : tuple of Identification
        Of each attack that has such points the clearest; the clearest of all comes first.
    """
    n_fewest = FEWEST_AT_RATE - RATE_TOLERANCE
    low = [level for level in levels if level <= LOW_RATE and level * np.count_nonzero(~is_member) >= n_fewest]
    ways = [(name, each.scores) for name, each in said.items() if signals.get(name) is None]
    ways += [(name, sign * signals[name]) for name in said if signals.get(name) is not None for sign in (1, -1)]
    n_points, clearest = len(low) * len(ways), {}
    for (name, scores), level in product(ways, low):
        if tpr_at_fpr_score(is_member, scores, max_fpr=level) < SURE_RATIO * level:
            continue
        confidence_level = 1 - _ERROR / n_points
        point = _operating_point(is_member, scores, level, confidence_level=confidence_level, interval=None)
        as_learned = point.tpr.value == tpr_at_fpr_score(is_member, said[name].scores, max_fpr=level)
        found = Identification(name, point, confidence_level, n_points, as_learned)
        if found.ratio >= SURE_RATIO and (name not in clearest or found.ratio > clearest[name].ratio):
            clearest[name] = found
    return tuple(sorted(clearest.values(), key=lambda found: -found.ratio))


def leak_beyond_labels(results, said, is_member, *, confidence_level=0.95):
    """Compare the strongest attack on answers with the strongest attack that never sees a confidence.

    Parameters
    ----------
    results : iterable of AttackResult
        Of all attacks, with ``label_only``.
    said : dict of str to AttackScores
        Their scores, by name.
    is_member : ndarray of shape (n_samples,), dtype bool
        True for members.
    confidence_level : float, default=0.95
        Coverage of the interval of the paired difference.

    Returns
    -------
    leak : LeakBeyondLabels or None
        None if there are not attacks of both kinds that were measured.
    """
    pair = [strongest([each for each in results if each.label_only == only], "auc") for only in (False, True)]
    if None in pair:
        return None
    scores = np.column_stack([_directed(said[each.attack], each) for each in pair])
    ends = cross_fit_interval(
        partial(_difference_interval, confidence_level=confidence_level),
        is_member,
        scores,
        said[pair[0].attack].half,
        null=0.0,
    )
    difference = Estimate(pair[0].auc.value - pair[1].auc.value, *ends)
    return LeakBeyondLabels(pair[0].attack, pair[1].attack, difference)


def _directed(said, result):
    return said.scores if result.roc_auc.value >= 0.5 else -said.scores


def _difference_interval(is_member, scores, *, confidence_level):
    return auc_difference_interval(is_member, *scores.T, confidence_level=confidence_level)


def measure_utility(answers):
    """Return what the answers are worth to users of the classifier.

    Parameters
    ----------
    answers : Answers
        To rows that were not trained on.

    Returns
    -------
    figures : dict of str to float
        "accuracy", "neg_log_loss", "expected_calibration_error" and "failure_detection_auc"; NaN without true labels.
    """
    if answers.y is None:
        return dict.fromkeys(_UTILITY, np.nan)
    # sklearn.metrics.log_loss clips probabilities of float64 at the same value, and of float32 at a larger one.
    at_label = np.maximum(confidence_signal(answers.y, answers.proba), np.finfo(np.float64).eps)
    return {
        "accuracy": float(answers.correct.mean()),
        "neg_log_loss": float(np.log(at_label).mean()),
        "expected_calibration_error": expected_calibration_error(answers.y, answers.proba),
        "failure_detection_auc": failure_detection_auc(answers.y, answers.proba),
    }


def describe_reversal(answers, is_member):
    """Return a message if the classifier does better on non-members than on members.

    Parameters
    ----------
    answers : Answers
        To members and non-members.
    is_member : ndarray of shape (n_samples,), dtype bool
        True for rows taken for members.

    Returns
    -------
    message : str or None
        None without true labels.
    """
    if answers.y is None:
        return None
    for what, value in (
        ("are labeled correctly more often", answers.correct.astype(float)),
        ("get more probability at the true class", confidence_signal(answers.y, answers.proba)),
    ):
        outside, inside = value[~is_member], value[is_member]
        error = np.sqrt(outside.var() / len(outside) + inside.var() / len(inside))
        if outside.mean() - inside.mean() > _MUCH_BETTER * max(error, 1e-12):
            return (
                f"Rows taken for non-members {what} than those taken for members ({outside.mean():.3f} against "
                f"{inside.mean():.3f}). Membership may be wrong, as with train scores or a leak between folds, or a "
                "defense over-corrects."
            )
    return None

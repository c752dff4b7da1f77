"""ROC curves as arrays, and a confidence band around them that holds at any number of rows."""

import numpy as np
from sklearn.metrics import roc_curve

from skdiffence._evaluation._cross_fit import AttackScores
from skdiffence._evaluation._measure import measure_attack
from skdiffence.inspection.displays._mixin import interval_text
from skdiffence.metrics._checks import check_membership
from skdiffence.metrics._exact import rate_high, rate_low

_N_GRID = 300
# Rates of an attack with two scores: (0, 0), (1, 1) and its only point between them.
FEW_POINTS = 3


def roc_curves(y_true, y_score, confidence_level):
    """Return one or several ROC curves with their areas.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,), dtype bool
        True for members.
    y_score : array-like of shape (n_samples,), or dict of str to array-like
        Attack scores of one curve, or of several.
    confidence_level : float
        Confidence level of the intervals of the areas.

    Returns
    -------
    curves : dict
        Parameters of a MembershipRocDisplay; lists if ``y_score`` is a dict.

    Raises
    ------
    ValueError
        If lengths differ, a side is empty or a score is not finite.
    """
    if isinstance(y_score, dict):
        if not y_score:
            raise ValueError("y_score must hold at least one entry. Got an empty dict.")
        curves = [roc_curves(y_true, score, confidence_level) for score in y_score.values()]
        shared = {key: curves[0].pop(key) for key in ("n_members", "n_non_members")}
        return {key: [curve[key] for curve in curves] for key in curves[0]} | shared
    is_member, score = check_membership(y_true, y_score)
    # All thresholds: the band is made from the rates at each of them.
    fpr, tpr, _ = roc_curve(is_member, score, drop_intermediate=False)
    roc_auc = measure_attack("", AttackScores(score), is_member, confidence_level=confidence_level).roc_auc
    return {
        "fpr": fpr,
        "tpr": tpr,
        "roc_auc": roc_auc.value,
        "roc_auc_interval": (roc_auc.low, roc_auc.high),
        "n_members": int(is_member.sum()),
        "n_non_members": int((~is_member).sum()),
    }


def roc_rectangles(fpr, tpr, n_members, n_non_members, *, confidence_level=0.95):
    """Return for each threshold the rectangle that holds the true pair of rates.

    Each side is Clopper and Pearson's interval of one rate.

    Parameters
    ----------
    fpr, tpr : ndarray of shape (n_thresholds,)
        The whole curve, no threshold dropped, from (0, 0) to (1, 1).
    n_members, n_non_members : int
        Numbers of rows that the rates are shares of.
    confidence_level : float, default=0.95
        A rectangle holds both rates of its threshold with at least this probability.

    Returns
    -------
    ends : dict of str to ndarray of shape (n_thresholds,)
        "fpr_low", "fpr_high", "tpr_low" and "tpr_high".
    """
    # Each of the four ends may be wrong a quarter as often as the rectangle.
    error, ends = (1 - confidence_level) / 4, {}
    for name, rates, n_rows in (("fpr", fpr, n_non_members), ("tpr", tpr, n_members)):
        counts = np.rint(np.asarray(rates) * n_rows)
        ends |= {f"{name}_low": rate_low(counts, n_rows, error), f"{name}_high": rate_high(counts, n_rows, error)}
    return ends


def band_at(rates, *, fpr_low, fpr_high, tpr_low, tpr_high):
    """Return the band of the true positive rate at given false positive rates.

    The band lies between the line through the lower right corners of all rectangles and the line through their upper
    left ones. The threshold that truly gives a rate is unknown, but it has a rectangle, whose corners lie beyond it on
    either side of a curve that rises. So the band covers as a single rectangle does, at every number of rows, and more
    than that where both rates are uncertain.

    Parameters
    ----------
    rates : ndarray of shape (n_rates,)
        False positive rates.
    fpr_low, fpr_high, tpr_low, tpr_high : ndarray of shape (n_thresholds,)
        The rectangles of a curve.

    Returns
    -------
    low, high : ndarray of shape (n_rates,)
    """
    low = np.interp(rates, fpr_high, tpr_low, left=0.0)
    return low, np.interp(rates, fpr_low, tpr_high)


def roc_band(fpr, tpr, n_members, n_non_members, *, start, confidence_level=0.95):
    """Return the band around a ROC curve.

    Parameters
    ----------
    fpr, tpr : ndarray of shape (n_thresholds,)
        The whole curve, no threshold dropped, from (0, 0) to (1, 1).
    n_members, n_non_members : int
        Numbers of rows that the rates are shares of.
    start : float
        The lowest false positive rate of the band.
    confidence_level : float, default=0.95
        At each single false positive rate the band holds the true curve with at least this probability.

    Returns
    -------
    rates, low, high : ndarray of shape (n_rates,)
        False positive rates, and both ends of the true positive rate.
    """
    rectangles = roc_rectangles(fpr, tpr, n_members, n_non_members, confidence_level=confidence_level)
    grid = np.geomspace(start, 1, _N_GRID)
    rates = np.unique(np.concatenate([grid, rectangles["fpr_low"], rectangles["fpr_high"]]))
    rates = rates[rates >= start]
    return rates, *band_at(rates, **rectangles)


def with_more_points(fpr, tpr, *, start):
    """Return a curve with points between its thresholds, where a straight line bends on logarithmic axes.

    Parameters
    ----------
    fpr, tpr : ndarray of shape (n_thresholds,)
        The curve.
    start : float
        The false positive rate from which on points are added.

    Returns
    -------
    fpr, tpr : ndarray of shape (at least n_thresholds,)
    """
    new = np.setdiff1d(np.geomspace(start, 1, _N_GRID), fpr)
    rates = np.concatenate([fpr, new])
    order = np.argsort(rates, kind="stable")
    return rates[order], np.concatenate([tpr, np.interp(new, fpr, tpr)])[order]


def curve_label(curve):
    """Return the legend's text of a curve, None if it has neither a name nor an area.

    Parameters
    ----------
    curve : dict
        ``name``, ``roc_auc`` and ``roc_auc_interval``, None where not known.

    Returns
    -------
    label : str or None
    """
    parts = [] if curve["name"] is None else [curve["name"]]
    if curve["roc_auc"] is not None:
        parts.append(f"AUC {interval_text(curve['roc_auc'], curve['roc_auc_interval'])}")
    return ": ".join(parts) or None


def style_apart(fpr, *, is_twin):
    """Return the style of a curve that is a single point, or that equals one which was drawn before.

    Parameters
    ----------
    fpr : ndarray of shape (n_thresholds,)
        Its false positive rates.
    is_twin : bool
        Whether it equals an earlier one.

    Returns
    -------
    style : dict
        Keywords of its line; none for any other curve.
    """
    if len(fpr) == FEW_POINTS:
        point = {"linestyle": "none", "marker": "o", "markersize": 6}
        return point | {"markersize": 11, "markerfacecolor": "none", "markeredgewidth": 1.6} if is_twin else point
    return {"linestyle": (0, (3, 3)), "linewidth": 2.4} if is_twin else {}

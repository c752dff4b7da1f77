"""A confidence band around a ROC curve that holds at any number of rows."""

import numpy as np
from scipy.stats import beta


def exact_interval(rate, n, confidence):
    """Return Clopper and Pearson's interval of each rate.

    Parameters
    ----------
    rate : ndarray of shape (n_rates,)
        Shares of n rows.
    n : int
        Number of rows.
    confidence : float
        The coverage is at least this.

    Returns
    -------
    low, high : ndarray of shape (n_rates,)
    """
    counts, where = np.unique(np.rint(rate * n), return_inverse=True)
    tail = (1 - confidence) / 2
    with np.errstate(invalid="ignore"):  # at 0 and n, whose ends are given
        low = np.where(counts == 0, 0.0, beta.ppf(tail, counts, n - counts + 1))
        high = np.where(counts == n, 1.0, beta.isf(tail, counts + 1, n - counts))
    return low[where], high[where]


def roc_rectangles(fpr, tpr, n_members, n_non_members, *, confidence=0.95):
    """Return for each threshold the rectangle that the true pair of rates lies in.

    Parameters
    ----------
    fpr, tpr : ndarray of shape (n_thresholds,)
        The whole curve, no threshold dropped, from (0, 0) to (1, 1).
    n_members, n_non_members : int
        Rows that the rates are shares of.
    confidence : float, default=0.95
        A rectangle holds both rates of its threshold with at least this.

    Returns
    -------
    ends : dict of str to ndarray of shape (n_thresholds,)
        "fpr_low", "fpr_high", "tpr_low" and "tpr_high".
    """
    # Each interval may miss half as often as the rectangle.
    level = (1 + confidence) / 2
    fpr_low, fpr_high = exact_interval(fpr, n_non_members, level)
    tpr_low, tpr_high = exact_interval(tpr, n_members, level)
    return {"fpr_low": fpr_low, "fpr_high": fpr_high, "tpr_low": tpr_low, "tpr_high": tpr_high}


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


def with_more_points(fpr, tpr, grid):
    """Return a curve with points between its thresholds, where a straight line bends on logarithmic axes.

    Parameters
    ----------
    fpr, tpr : ndarray of shape (n_thresholds,)
        The curve.
    grid : ndarray of shape (n_more,)
        False positive rates at which to add points.

    Returns
    -------
    fpr, tpr : ndarray of shape (at most n_thresholds + n_more,)
    """
    new = np.setdiff1d(grid, fpr)
    rates = np.concatenate([fpr, new])
    order = np.argsort(rates, kind="stable")
    return rates[order], np.concatenate([tpr, np.interp(new, fpr, tpr)])[order]

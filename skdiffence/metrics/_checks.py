"""Input checks that several metrics share."""

from numbers import Integral, Real

import numpy as np

from skdiffence.utils._sklearn import Interval
from skdiffence.utils._validation import as_floats, as_labels, check_is_member

# Constraints of parameters, as validate_params takes them.
RATE = [Interval(Real, 0, 1, closed="both")]
CONFIDENCE_LEVEL = [Interval(Real, 0, 1, closed="neither")]
SCORES = {"y_true": ["array-like"], "y_score": ["array-like"]}
RESAMPLING = {
    "confidence_level": CONFIDENCE_LEVEL,
    "n_resamples": [Interval(Integral, 1, None, closed="left")],
    "random_state": ["random_state"],
}
# A rate is a count over n: a max_fpr of 0.1 must allow 3 of 30, although 0.1 is not exact in binary.
RATE_TOLERANCE = 1e-9


def check_membership(y_true, y_score):
    """Return validated memberships and scores.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Booleans, or 0 and 1.
    y_score : array-like of shape (n_samples,)
        Finite scores.

    Returns
    -------
    is_member : ndarray of shape (n_samples,), dtype bool
    y_score : ndarray of shape (n_samples,), dtype float64

    Raises
    ------
    ValueError
        If lengths differ, a side is empty, or a score is not finite.
    """
    score, n_true = as_floats(y_score, "y_score"), np.shape(as_labels(y_true, "y_true"))
    if score.ndim != 1 or score.shape != n_true:
        raise ValueError(
            f"y_true and y_score must be one-dimensional and equally long. Got {n_true} and {score.shape}."
        )
    is_member = check_is_member(y_true, len(score), name="y_true", both_sides=True)
    if not np.isfinite(score).all():
        raise ValueError(f"y_score must be finite. Got {(~np.isfinite(score)).sum()} values that are not.")
    return is_member, score


def check_groups(groups, n_samples, name):
    """Return the distinct groups and the group of each row.

    Parameters
    ----------
    groups : array-like of shape (n_samples,)
        Numbers or text.
    n_samples : int
        Number of rows.
    name : str
        What error messages call the parameter.

    Returns
    -------
    labels : ndarray of shape (n_groups,)
        Sorted.
    codes : ndarray of shape (n_samples,), dtype int
        Positions in ``labels``.

    Raises
    ------
    ValueError
        If lengths differ, a group is NaN or None, or text and numbers are mixed.
    """
    groups = np.asarray(groups)
    if groups.shape != (n_samples,):
        raise ValueError(f"{name} must hold one group for each of {n_samples} rows. Got shape {groups.shape}.")
    # Only NaN differs from itself; NA of pandas neither does nor does not.
    missing = groups.dtype == object and any(group is None or type(group).__name__ == "NAType" for group in groups)
    if missing or (groups != groups).any():
        raise ValueError(f"{name} must not hold NaN, NA or None. Give rows without a group a group of their own.")
    try:
        return np.unique(groups, return_inverse=True)
    except TypeError as error:
        raise ValueError(f"{name} must be all text or all numbers. Got both.") from error

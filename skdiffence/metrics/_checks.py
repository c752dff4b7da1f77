"""Input checks that several metrics share."""

from numbers import Integral, Real

import numpy as np

from skdiffence.utils._frames import check_unmasked
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
        If lengths differ, a group is masked, NaN, NA or None, or text and numbers are mixed.
    """
    check_unmasked(groups, name)
    try:
        # NumPy would make text of NaN, None and numbers that stand beside text in a list.
        cells = np.asarray(groups, dtype=object if isinstance(groups, (list, tuple)) else None)
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(
            f"{name} must hold one group for each of {n_samples} rows. Got {type(groups).__name__} that can't become "
            "an array."
        ) from None
    if cells.shape != (n_samples,):
        raise ValueError(f"{name} must hold one group for each of {n_samples} rows. Got shape {cells.shape}.")
    types = {type(group) for group in cells.tolist()} if cells.dtype == object else set()
    # Only NaN differs from itself; NA of pandas neither does nor does not.
    missing = any(kind.__name__ in ("NoneType", "NAType") for kind in types)
    if missing or (cells != cells).any():
        raise ValueError(f"{name} must not hold NaN, NA or None. Give rows without a group a group of their own.")
    if nested := [kind.__name__ for kind in types if issubclass(kind, (list, tuple, dict, set, np.ndarray))]:
        raise ValueError(f"{name} must hold one group for each row. Got a {nested[0]} in the place of a group.")
    text = {kind for kind in types if issubclass(kind, str)}
    if text and text != types:
        raise ValueError(f"{name} must be all text or all numbers. Got both.")
    try:
        return np.unique(np.asarray(groups), return_inverse=True)
    except TypeError as error:
        raise ValueError(f"{name} must be all text or all numbers. Got both.") from error

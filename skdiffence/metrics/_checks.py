"""Checks of what several functions of this room take."""

import numpy as np


def check_groups(groups, n_samples, name):
    """Return the distinct groups and which of them each row is in, or say what is wrong with them.

    Parameters
    ----------
    groups : array-like of shape (n_samples,)
        Numbers or text.
    n_samples : int
        Number of rows.
    name : str
        What the caller calls them.

    Returns
    -------
    labels : ndarray of shape (n_groups,)
        Sorted.
    codes : ndarray of shape (n_samples,), dtype int
        Places in ``labels``.

    Raises
    ------
    ValueError
        If lengths differ, a group is NaN or None, or text and numbers are mixed.
    """
    groups = np.asarray(groups)
    if groups.shape != (n_samples,):
        raise ValueError(f"{name} must hold one group a row of y_score, {n_samples}. Got shape {groups.shape}.")
    # NaN alone is not equal to itself.
    if any(group is None for group in groups.flat) or (groups != groups).any():
        raise ValueError(f"{name} must not hold NaN or None: give rows without a group one of their own.")
    try:
        return np.unique(groups, return_inverse=True)
    except TypeError as error:
        raise ValueError(f"{name} must be all text or all numbers. Got both.") from error

"""Checks of memberships and of fit parameters."""

import numpy as np

from skdiffence.utils._frames import is_numeric
from skdiffence.utils._sklearn import num_samples, safe_indexing


def check_is_member(is_member, shape, *, name="is_member", both_sides=False):
    """Return memberships as booleans.

    Parameters
    ----------
    is_member : array-like
        Booleans, or 0 and 1.
    shape : int or tuple of int
        The number of rows, or the shape that memberships must have.
    name : str, default="is_member"
        What error messages call the parameter.
    both_sides : bool, default=False
        Whether there must be at least one member and one non-member.

    Returns
    -------
    is_member : ndarray of dtype bool

    Raises
    ------
    ValueError
        If the shape is another one, a value is neither 0 nor 1, or a side is missing that is needed.
    """
    is_member = np.asarray(is_member)
    shape = shape if isinstance(shape, tuple) else (shape,)
    if is_member.shape != shape:
        raise ValueError(f"{name} must have one value for each row: shape {shape}. Got shape {is_member.shape}.")
    if not is_numeric(is_member.dtype) or (is_member.dtype != bool and not np.isin(is_member, (0, 1)).all()):
        raise ValueError(
            f"{name} must hold True for members and False for non-members, or 1 and 0. "
            f"Got values such as {is_member.flat[0]!r} of dtype {is_member.dtype}."
        )
    is_member = is_member.astype(bool, copy=False)
    if both_sides and (is_member.all() or not is_member.any()):
        raise ValueError(
            f"{name} must hold at least one member and one non-member. "
            f"Got {np.count_nonzero(is_member)} members and {np.count_nonzero(~is_member)} non-members."
        )
    return is_member


def index_fit_params(fit_params, rows, n_samples):
    """Return fit parameters for some of the rows.

    Parameters
    ----------
    fit_params : dict
        Parameters for all rows.
    rows : ndarray of int
        The rows to fit on.
    n_samples : int
        The number of all rows.

    Returns
    -------
    fit_params : dict
        Parameters with one entry for each row, such as ``sample_weight``, are indexed. Others are passed on unchanged.
    """
    return {
        name: safe_indexing(value, rows) if _is_per_row(value, n_samples) else value
        for name, value in fit_params.items()
    }


def _is_per_row(value, n_samples):
    is_array = hasattr(value, "__len__") and not isinstance(value, (str, bytes, dict))
    return is_array and num_samples(value) == n_samples

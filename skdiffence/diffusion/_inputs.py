"""Checks of images, rows and candidate numbers."""

import warnings

import numpy as np
from sklearn.utils import assert_all_finite, gen_batches

from skdiffence.diffusion._noise import N_CANDIDATES_MAX
from skdiffence.exceptions import RangeWarning
from skdiffence.utils._blocks import row_blocks
from skdiffence.utils._frames import check_numeric
from skdiffence.utils._images import check_channels_first
from skdiffence.utils._validation import validate_rows

ROWS_AT_ONCE = 256


def check_training_rows(regenerator, X, n_rows_min):
    """Return validated images or rows, and record their number of features.

    Parameters
    ----------
    regenerator : estimator
        Gets ``n_features_in_``.
    X : array-like of shape (n_samples, channels, height, width) or (n_samples, n_features)
        Images or rows.
    n_rows_min : int
        Fewest rows.

    Returns
    -------
    X : ndarray

    Raises
    ------
    ValueError
        If X has another shape, channels last, or values that are not finite in float32. Only rows may have missing
        values.
    """
    check_channels_first(X)
    X = _validated(regenerator, X, ensure_min_samples=n_rows_min)
    return _check_array(X, ndims=(2, 4))


def check_rows(regenerator, X):
    """Return validated images or rows of the shape of those of ``fit``, and warn of values outside their range.

    Parameters
    ----------
    regenerator : estimator
        Fitted.
    X : array-like of shape (n_samples, channels, height, width) or (n_samples, n_features)
        Images or rows.

    Returns
    -------
    X : ndarray

    Raises
    ------
    ValueError
        If X has another shape than in ``fit`` or values that are not finite in float32.
    """
    shape = regenerator.image_shape_
    if shape is not None:
        check_channels_first(X, shape=shape)
    if shape is not None and np.shape(X)[1:] != shape:
        raise ValueError(
            f"X must be images of shape (n_samples, {', '.join(map(str, shape))}), as in fit (channels, height, "
            f"width). Got shape {np.shape(X)}."
        )
    X = _validated(regenerator, X, reset=False)
    X = _check_array(X, ndims=(2,) if shape is None else (4,))
    n_outside = sum(regenerator.space_.outside(X[rows]) for rows in gen_batches(len(X), ROWS_AT_ONCE))
    if n_outside:
        low, high = (np.array2string(end, precision=6) for end in regenerator.value_range_)
        warnings.warn(
            f"{n_outside} of {X.size} values of X lie outside the value range {low} to {high} of fit and are "
            "clipped to it. Scale X as in fit, or give value_range.",
            RangeWarning,
            stacklevel=3,
        )
    return X


def _validated(regenerator, X, **how):
    check_numeric(X)
    # Rows may have missing values, images may not.
    _check_no_text(X)
    X = validate_rows(regenerator, X, dtype="numeric", allow_nd=True, ensure_all_finite="allow-nan", **how)
    if X.ndim > 2:
        for rows in row_blocks(X):
            assert_all_finite(X[rows], input_name="X")
    return X


def _check_no_text(X):
    values = np.asarray(X) if isinstance(X, (list, np.ndarray)) else np.empty(0)
    texts = values.flat if values.dtype.kind in "OSU" else ()
    if (text := next((cell for cell in texts if isinstance(cell, (str, bytes))), None)) is not None:
        raise ValueError(f"X must be numeric. Got text, such as {str(text)!r}. Encode it first.")


def _check_array(X, ndims):
    if X.ndim not in ndims or 0 in X.shape:
        raise ValueError(
            "X must be images of shape (n_samples, channels, height, width) or rows of shape (n_samples, "
            f"n_features), as in fit. Got shape {X.shape}.{' Use X[:, None] for one channel.' if X.ndim == 3 else ''}"
        )
    largest = np.finfo(np.float32).max
    low, high = (end.reduce(X, axis=None) for end in (np.fmin, np.fmax))  # of what is not missing
    if low < -largest or high > largest:
        raise ValueError(f"X must be finite in float32. Got values between {low} and {high}.")
    return X


def check_candidates(candidate, n_rows):
    """Return the candidate number of each row.

    Parameters
    ----------
    candidate : int or array-like of int of shape (n_rows,)
        One number for all rows, or one for each.
    n_rows : int
        Number of rows.

    Returns
    -------
    candidates : ndarray of shape (n_rows,), dtype int64

    Raises
    ------
    ValueError
        If the numbers are not integers in [-2**32, 2**32), or of another shape.
    """
    candidates = np.asarray(candidate)
    if candidates.dtype.kind not in "iu" or candidates.shape not in {(), (n_rows,)}:
        raise ValueError(
            f"candidate must be an integer or an array of {n_rows} integers, one for each row of X. Got {candidate!r}."
        )
    if candidates.min() < -N_CANDIDATES_MAX or candidates.max() >= N_CANDIDATES_MAX:
        raise ValueError(f"candidate must be in [-2**32, 2**32). Got {candidate!r}.")
    return np.broadcast_to(candidates.astype(np.int64), n_rows)

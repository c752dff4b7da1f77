"""Checks of memberships and of fit parameters."""

import numpy as np
from sklearn.utils import assert_all_finite
from sklearn.utils.validation import validate_data

from skdiffence.utils._blocks import row_blocks
from skdiffence.utils._frames import check_unmasked, is_numeric
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
    check_unmasked(is_member, name)
    try:
        is_member = np.asarray(is_member)
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"{name} must have one value for each row. Got {type(is_member).__name__}.") from None
    shape = shape if isinstance(shape, tuple) else (shape,)
    if is_member.shape != shape:
        raise ValueError(f"{name} must have one value for each row: shape {shape}. Got shape {is_member.shape}.")
    is_binary = is_numeric(is_member.dtype) and (is_member.dtype == bool or np.isin(is_member, (0, 1)).all())
    if is_member.size and not is_binary:
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


def as_floats(values, name):
    """Return numbers as float64.

    Parameters
    ----------
    values : array-like
        Numbers.
    name : str
        What error messages call the parameter.

    Returns
    -------
    values : ndarray, dtype float64

    Raises
    ------
    ValueError
        If a value is masked or no real number, or rows differ in length.
    """
    check_unmasked(values, name)
    try:
        numbers = np.asarray(values)
        # NumPy reads the text of a number as the number.
        cells = numbers.flat if numbers.dtype == object else ()
        text = next((cell for cell in cells if isinstance(cell, (str, bytes))), None)
        if numbers.dtype.kind in "biufO" and text is None:
            return numbers.astype(np.float64, copy=False)
        got = f"dtype {numbers.dtype}" if text is None else f"text, such as {text!r}"
    except (TypeError, ValueError, RuntimeError) as error:
        got = f"{type(values).__name__}: {error}"
    raise ValueError(f"{name} must be an array of numbers. Got {got}.")


def as_labels(y, name="y"):
    """Return labels as an array, checked to be of one type.

    Parameters
    ----------
    y : array-like
        Labels, of any shape.
    name : str, default="y"
        What error messages call the parameter.

    Returns
    -------
    y : ndarray

    Raises
    ------
    ValueError
        If y can't become an array of labels: it is sparse, has masked values or rows of different lengths, or holds
        text beside numbers, or missing values.
    """
    check_unmasked(y, name)
    try:
        labels = np.asarray(y)
        # NumPy would make text of numbers that stand beside text.
        cells = np.asarray(y, dtype=object) if isinstance(y, (list, tuple)) or labels.dtype.kind == "O" else None
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(
            f"{name} must hold one label for each row. Got {type(y).__name__} that can't become an array, such as one "
            "of lists of different lengths."
        ) from None
    if cells is not None and cells.ndim:
        _check_one_type(cells.ravel().tolist(), name)
    if labels.dtype.kind == "f" and (n_bad := np.count_nonzero(~np.isfinite(labels))):
        raise ValueError(f"{name} must hold finite labels. Got {n_bad} that are NaN or infinity.")
    return labels


def as_class_labels(y, name="y"):
    """Return labels as an array, checked to be those of classes, one for each row; see :func:`as_labels`."""
    labels = as_labels(y, name)
    if labels.ndim == 2 and labels.shape[1] > 1:
        raise ValueError(
            f"{name} must hold one label for each row. Got shape {labels.shape}: multilabel and one-hot targets are "
            "out of scope, as are regression targets."
        )
    if labels.dtype.kind == "f" and (uneven := labels[labels != np.floor(labels)]).size:
        raise ValueError(
            f"{name} must hold labels of classes. Unknown label type: continuous values, such as {uneven.flat[0]:.4g}. "
            "Regression targets are out of scope, as are multilabel ones."
        )
    return labels


def _check_one_type(labels, name):
    kinds = {type(label) for label in labels}
    if missing := [label for label in labels if label is None or type(label).__name__ in ("NAType", "NaTType")]:
        raise ValueError(f"{name} must hold a label for each row. Got {len(missing)} missing ones: {missing[0]}.")
    texts = {kind for kind in kinds if issubclass(kind, (str, bytes))}
    if texts and texts != kinds:
        names = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise ValueError(f"{name} must hold labels of one type. Got labels of the types {names}.")
    if sequences := [kind.__name__ for kind in kinds if issubclass(kind, (list, tuple, dict, set, np.ndarray))]:
        raise ValueError(f"{name} must hold one label for each row. Got a {sequences[0]} in the place of a label.")


def validate_rows(estimator, X, *y, ensure_all_finite, **how):
    """Validate rows as scikit-learn does, half-precision ones a block at a time.

    scikit-learn's check for missing values takes half the memory of such an array.

    Parameters
    ----------
    estimator : estimator
        Gets ``n_features_in_``, unless ``reset`` is False.
    X : array-like of shape (n, ...)
        Rows.
    *y : array-like of shape (n,)
        Targets, or nothing.
    ensure_all_finite : bool or "allow-nan"
        As in ``sklearn.utils.validation.validate_data``.
    **how : dict
        Other parameters of that function.

    Returns
    -------
    X : ndarray, or X and y
    """
    is_half = isinstance(X, np.ndarray) and X.dtype == np.float16 and X.ndim > 1
    if is_half and ensure_all_finite:
        allow_nan, ensure_all_finite = ensure_all_finite == "allow-nan", False
        for rows in row_blocks(X):
            assert_all_finite(X[rows], allow_nan=allow_nan, estimator_name=type(estimator).__name__, input_name="X")
    return validate_data(estimator, X, *y, ensure_all_finite=ensure_all_finite, **how)


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

"""Membership signals: one number a row from a classifier's answer, higher for what looks more like a member."""

import numpy as np
from scipy.special import entr

# Floors keep logarithms finite. They lie below anything a float32 softmax can give, so they never reorder
# rows, and a probability of zero at the true class is a very large loss, never a small one.
_LOGIT_FLOOR = 1e-45
_LOG_FLOOR = 1e-45
_SUM_TOLERANCE = 1e-3


def check_proba(proba):
    """Return class probabilities as float64, or say what is wrong with them.

    Parameters
    ----------
    proba : array-like of shape (n_samples, n_classes)
        Class probabilities.

    Returns
    -------
    proba : ndarray of shape (n_samples, n_classes), dtype float64

    Raises
    ------
    ValueError
        If there is one column only, a value is negative or not finite, or a row does not sum to 1.
    """
    proba = np.asarray(proba, dtype=np.float64)
    if proba.ndim != 2 or proba.shape[1] < 2:
        raise ValueError(
            "proba must have shape (n_samples, n_classes) with one column for each class, of which there are at "
            f"least two. Got shape {proba.shape}. If it holds only the probability p of the second of two classes, "
            "pass np.column_stack([1 - p, p])."
        )
    # A NaN fails both comparisons.
    if proba.size and not (proba.min() >= 0 and np.abs(proba.sum(axis=1) - 1).max() <= _SUM_TOLERANCE):
        raise ValueError(
            "proba must hold probabilities: not negative, each row summing to 1. Got values from "
            f"{proba.min():.3g} to {proba.max():.3g} and row sums from {proba.sum(axis=1).min():.3g} to "
            f"{proba.sum(axis=1).max():.3g}. Are these logits? Apply a softmax first."
        )
    return proba


def label_columns(y, classes):
    """Return the column of ``proba`` that belongs to each label.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Labels of any type.
    classes : array-like of shape (n_classes,)
        The labels of the columns, such as ``classes_`` of a fitted classifier.

    Returns
    -------
    columns : ndarray of shape (n_samples,), dtype int64
        -1 for a label that is not in ``classes``: the classifier was never shown this class, and gives it
        probability zero.

    Raises
    ------
    ValueError
        If there are no classes, or one of ``y`` and ``classes`` holds text and the other does not.

    Examples
    --------
    >>> from skdiffence.metrics import label_columns
    >>> label_columns(["dog", "cat", "eel"], ["cat", "dog"])
    array([ 1,  0, -1])
    """
    y, classes = np.asarray(y), np.asarray(classes)
    if not classes.size:
        raise ValueError("classes must hold at least one label. Got none.")
    # Compared as they are, 1 and "1" would match in one place of NumPy and not in another.
    if y.size and _is_text(y) != _is_text(classes):
        raise ValueError(
            "y and classes must both be text or both be numbers. "
            f"Got labels such as {y.flat[0]!r} for classes such as {classes.flat[0]!r}."
        )
    order = np.argsort(classes, kind="stable")
    position = np.searchsorted(classes, y, sorter=order).clip(max=len(classes) - 1)
    columns = order[position]
    return np.where(classes[columns] == y, columns, -1).astype(np.int64)


def _is_text(labels):
    return labels.dtype.kind in "UST" or (labels.dtype.kind == "O" and all(isinstance(x, str) for x in labels.flat))


def check_columns(y, proba):
    """Return column indices as an integer array, or say what is wrong with them.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Columns of ``proba``, -1 for a class that has none.
    proba : ndarray of shape (n_samples, n_classes)
        Class probabilities.

    Returns
    -------
    y : ndarray of shape (n_samples,), dtype int64

    Raises
    ------
    ValueError
        If y is of another length, not of whole numbers, or out of range.
    """
    columns = np.asarray(y)
    if columns.shape != proba.shape[:1]:
        raise ValueError(f"y must hold one column index a row of proba, {len(proba)}. Got shape {columns.shape}.")
    if columns.dtype.kind not in "iub":
        raise ValueError(
            f"y must hold integer column indices of proba. Got dtype {columns.dtype}. "
            "For labels, use label_columns(y, classes)."
        )
    columns = columns.astype(np.int64)
    if columns.size and (columns.min() < -1 or columns.max() >= proba.shape[1]):
        raise ValueError(
            f"y must hold column indices of proba, from 0 to {proba.shape[1] - 1}, or -1 for a class without a "
            f"column. Got values from {columns.min()} to {columns.max()}. For labels, use label_columns(y, classes)."
        )
    return columns


def _checked(proba, y):
    proba = check_proba(proba)
    return proba, check_columns(y, proba)


def _at_label(proba, y):
    known = np.take_along_axis(proba, np.maximum(y, 0)[:, None], axis=1)[:, 0]
    return np.where(y >= 0, known, 0.0)


def _is_label(proba, y):
    return np.arange(proba.shape[1]) == y[:, None]


def confidence_signal(proba, y):
    """Return the probability of the true class.

    Parameters
    ----------
    proba : array-like of shape (n_samples, n_classes)
        Class probabilities.
    y : array-like of shape (n_samples,), dtype int
        Columns of the true labels, see :func:`label_columns`; -1 for a class without a column.

    Returns
    -------
    signal : ndarray of shape (n_samples,), dtype float64
        In [0, 1]; higher means more likely a member.

    Raises
    ------
    ValueError
        If ``proba`` does not hold probabilities or ``y`` no columns of it.
    """
    return _at_label(*_checked(proba, y))


def loss_signal(proba, y):
    """Return the negated cross-entropy at the true class, in nats.

    A probability of zero gives a very low, finite signal: the loss is large, so the row looks like a
    non-member.

    Parameters
    ----------
    proba : array-like of shape (n_samples, n_classes)
        Class probabilities.
    y : array-like of shape (n_samples,), dtype int
        Columns of the true labels, see :func:`label_columns`; -1 for a class without a column.

    Returns
    -------
    signal : ndarray of shape (n_samples,), dtype float64
        At most 0; higher means more likely a member.

    Raises
    ------
    ValueError
        If ``proba`` does not hold probabilities or ``y`` no columns of it.
    """
    return np.log(np.maximum(_at_label(*_checked(proba, y)), _LOG_FLOOR))


def entropy_signal(proba, y=None):
    """Return the negated entropy of the answer, in nats.

    Parameters
    ----------
    proba : array-like of shape (n_samples, n_classes)
        Class probabilities.
    y : array-like of shape (n_samples,), default=None
        Not used; here so that all signals are called alike.

    Returns
    -------
    signal : ndarray of shape (n_samples,), dtype float64
        In [-ln n_classes, 0]; higher means more likely a member.

    Raises
    ------
    ValueError
        If ``proba`` does not hold probabilities.
    """
    return -entr(check_proba(proba)).sum(axis=1)


def modified_entropy_signal(proba, y):
    """Return the negated modified entropy of the answer, in nats.

    The modified entropy is ``-(1 - p_y) ln p_y - sum over k != y of p_k ln(1 - p_k)``: zero for full
    confidence in the true class, large for full confidence in a wrong one.

    Parameters
    ----------
    proba : array-like of shape (n_samples, n_classes)
        Class probabilities.
    y : array-like of shape (n_samples,), dtype int
        Columns of the true labels, see :func:`label_columns`; -1 for a class without a column.

    Returns
    -------
    signal : ndarray of shape (n_samples,), dtype float64
        At most 0; higher means more likely a member.

    Raises
    ------
    ValueError
        If ``proba`` does not hold probabilities or ``y`` no columns of it.

    References
    ----------
    Song and Mittal, "Systematic evaluation of privacy risks of machine learning models", USENIX Security
    2021, section 3.2.
    """
    proba, y = _checked(proba, y)
    at_label = _at_label(proba, y)
    rest = np.maximum(1 - proba, 0)
    others = np.where(_is_label(proba, y), 0.0, proba * np.log(np.maximum(rest, _LOG_FLOOR)))
    return np.maximum(1 - at_label, 0) * np.log(np.maximum(at_label, _LOG_FLOOR)) + others.sum(axis=1)


def correctness_signal(proba, y):
    """Return 1 where the most probable class is the true one and 0 elsewhere.

    Parameters
    ----------
    proba : array-like of shape (n_samples, n_classes)
        Class probabilities.
    y : array-like of shape (n_samples,), dtype int
        Columns of the true labels, see :func:`label_columns`; -1 for a class without a column.

    Returns
    -------
    signal : ndarray of shape (n_samples,), dtype float64
        0 or 1; higher means more likely a member.

    Raises
    ------
    ValueError
        If ``proba`` does not hold probabilities or ``y`` no columns of it.

    References
    ----------
    Yeom et al., "Privacy risk in machine learning: analyzing the connection to overfitting", CSF 2018,
    section 3.1 (the gap attack).
    """
    proba, y = _checked(proba, y)
    return (proba.argmax(axis=1) == y).astype(np.float64)


def logit_signal(proba, y):
    """Return ``phi = ln p_y - ln(sum of the other probabilities)``.

    The others are summed, not taken as ``1 - p_y``: in single precision a confident answer rounds to
    ``p_y = 1``, and what tells members apart is in the small rest.

    Parameters
    ----------
    proba : array-like of shape (n_samples, n_classes)
        Class probabilities.
    y : array-like of shape (n_samples,), dtype int
        Columns of the classes to take phi at: the true ones for an attack, the answered ones for a defense;
        -1 for a class without a column.

    Returns
    -------
    signal : ndarray of shape (n_samples,), dtype float64
        Within about -104 and 104; higher means more likely a member.

    Raises
    ------
    ValueError
        If ``proba`` does not hold probabilities or ``y`` no columns of it.

    References
    ----------
    Carlini et al., "Membership inference attacks from first principles", S&P 2022, section IV-C.

    Peng et al., "Diffence: fencing membership privacy with diffusion models", NDSS 2025.
    """
    proba, y = _checked(proba, y)
    others = np.where(_is_label(proba, y), 0.0, proba).sum(axis=1)
    return np.log(_at_label(proba, y) + _LOGIT_FLOOR) - np.log(others + _LOGIT_FLOOR)

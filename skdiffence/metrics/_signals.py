"""Membership signals: one number for each row of class probabilities, higher for likelier members."""

import numpy as np
from scipy.special import entr

from skdiffence.metrics._probabilities import describe_fault
from skdiffence.utils._validation import as_floats, as_labels

# Keeps logarithms finite. It lies below the smallest positive float32, so it never reorders the answers of a float32
# softmax, and a probability of zero at the true class is the largest loss.
_FLOOR = 1e-45


def check_proba(y_proba):
    """Return validated class probabilities as float64.

    Parameters
    ----------
    y_proba : array-like of shape (n_samples, n_classes)
        Class probabilities.

    Returns
    -------
    y_proba : ndarray of shape (n_samples, n_classes), dtype float64

    Raises
    ------
    ValueError
        If there are fewer than two columns, a value is negative or not finite, or a row does not sum to 1 and was not
        rounded either.
    """
    y_proba = as_floats(y_proba, "y_proba")
    if y_proba.ndim != 2 or y_proba.shape[1] < 2:
        raise ValueError(
            "Class probabilities must have shape (n_samples, n_classes), with at least two columns. "
            f"Got shape {y_proba.shape}. For the probability p of the second of two classes, "
            "pass np.column_stack([1 - p, p])."
        )
    if (fault := describe_fault(y_proba)) is not None:
        raise ValueError(f"Class probabilities must not be negative, and each row must sum to 1. {fault}")
    return y_proba


def label_columns(y, classes):
    """Return the column number of each label.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Labels of any type.
    classes : array-like of shape (n_classes,)
        The labels of the columns, such as ``classes_`` of a fitted classifier.

    Returns
    -------
    columns : ndarray of shape (n_samples,), dtype int64
        -1 for a label that is not in ``classes``. The classifier has no column for this class, so its probability
        is zero.

    Raises
    ------
    ValueError
        If ``classes`` is empty or holds a label twice, or one of ``y`` and ``classes`` holds text and the other one
        numbers or bytes.

    Examples
    --------
    >>> from skdiffence.metrics import label_columns
    >>> label_columns(["dog", "cat", "eel"], ["cat", "dog"])
    array([ 1,  0, -1])
    """
    return _columns_of(y, classes, "y", "classes")


def _columns_of(y, classes, y_name, classes_name):
    y, classes = as_labels(y, y_name), as_labels(classes, classes_name)
    if not classes.size:
        raise ValueError(f"{classes_name} must hold at least one label. Got none.")
    # Some NumPy functions take 1 and "1" as equal, others do not. Bytes are equal to no text.
    if y.size and _kind_of(y) != _kind_of(classes):
        raise ValueError(
            f"{y_name} and {classes_name} must both be text or both be numbers. "
            f"Got labels such as {y.flat[0]!r} for classes such as {classes.flat[0]!r}."
        )
    order = np.argsort(classes, kind="stable")
    ascending = classes[order]
    if (twice := np.flatnonzero(ascending[1:] == ascending[:-1])).size:
        raise ValueError(f"{classes_name} must hold each label once. Got {ascending[twice[0]]!r} more than once.")
    position = np.searchsorted(classes, y, sorter=order).clip(max=len(classes) - 1)
    columns = order[position]
    return np.where(classes[columns] == y, columns, -1).astype(np.int64)


def _kind_of(labels):
    if labels.dtype.kind != "O":
        return {"U": "text", "T": "text", "S": "bytes"}.get(labels.dtype.kind, "numbers")
    kinds = ((str, "text"), (bytes, "bytes"))
    return next((name for kind, name in kinds if all(isinstance(label, kind) for label in labels.flat)), "numbers")


def check_columns(y_true, y_proba, labels=None):
    """Return the validated column number of each true label.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels. Without ``labels``, column numbers of ``y_proba``, -1 for a class without a column.
    y_proba : ndarray of shape (n_samples, n_classes)
        Class probabilities.
    labels : array-like of shape (n_classes,), default=None
        The label of each column.

    Returns
    -------
    columns : ndarray of shape (n_samples,), dtype int64

    Raises
    ------
    ValueError
        If lengths differ, a label has two columns, or column numbers are not integers or out of range.
    """
    if labels is not None:
        if np.shape(labels) != y_proba.shape[1:]:
            raise ValueError(
                f"labels must hold one label for each of {y_proba.shape[1]} columns. Got shape {np.shape(labels)}."
            )
        y_true = _columns_of(y_true, labels, "y_true", "labels")
    columns = as_labels(y_true, "y_true")
    if columns.shape != y_proba.shape[:1]:
        raise ValueError(f"There must be one label for each of {len(y_proba)} rows. Got shape {columns.shape}.")
    if columns.dtype.kind not in "iub":
        raise ValueError(
            f"Without labels=, labels must be integer column numbers. Got dtype {columns.dtype}. "
            "Pass labels=classifier.classes_ for labels of another kind."
        )
    columns = columns.astype(np.int64)
    if columns.size and (columns.min() < -1 or columns.max() >= y_proba.shape[1]):
        raise ValueError(
            f"Column numbers must lie from 0 to {y_proba.shape[1] - 1}, or be -1 for a class without a column. "
            f"Got values from {columns.min()} to {columns.max()}. For labels, pass labels=classifier.classes_."
        )
    return columns


def check_labels_and_proba(y_true, y_proba, labels):
    """Return validated column numbers and probabilities."""
    y_proba = check_proba(y_proba)
    return check_columns(y_true, y_proba, labels), y_proba


def _is_label(columns, y_proba):
    return np.arange(y_proba.shape[1]) == columns[:, np.newaxis]


def _at_label(columns, y_proba):
    return np.where(_is_label(columns, y_proba), y_proba, 0.0).sum(axis=1)


def confidence_signal(y_true, y_proba, *, labels=None):
    """Return the probability of the true class.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels. Without ``labels``, column numbers, -1 for a class without a column.
    y_proba : array-like of shape (n_samples, n_classes)
        Class probabilities.
    labels : array-like of shape (n_classes,), default=None
        The label of each column, such as ``classes_`` of a classifier.

    Returns
    -------
    signal : ndarray of shape (n_samples,), dtype float64
        In [0, 1]; higher means more likely a member.

    Raises
    ------
    ValueError
        If ``y_proba`` does not hold probabilities, or ``y_true`` does not fit its columns.

    Examples
    --------
    >>> from skdiffence.metrics import confidence_signal
    >>> confidence_signal(["dog", "cat"], [[0.25, 0.75], [0.5, 0.5]], labels=["cat", "dog"])
    array([0.75, 0.5 ])
    """
    return _at_label(*check_labels_and_proba(y_true, y_proba, labels))


def correctness_signal(y_true, y_proba, *, labels=None):
    """Return 1 where the most probable class is the true one and 0 elsewhere.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels. Without ``labels``, column numbers, -1 for a class without a column.
    y_proba : array-like of shape (n_samples, n_classes)
        Class probabilities.
    labels : array-like of shape (n_classes,), default=None
        The label of each column, such as ``classes_`` of a classifier.

    Returns
    -------
    signal : ndarray of shape (n_samples,), dtype float64
        0 or 1; higher means more likely a member.

    Raises
    ------
    ValueError
        If ``y_proba`` does not hold probabilities, or ``y_true`` does not fit its columns.

    References
    ----------
    Yeom et al., "Privacy risk in machine learning: analyzing the connection to overfitting", CSF 2018,
    section 3.1 (the gap attack).
    """
    columns, y_proba = check_labels_and_proba(y_true, y_proba, labels)
    return (y_proba.argmax(axis=1) == columns).astype(np.float64)


def entropy_signal(y_true, y_proba, *, labels=None):
    """Return the negated entropy of the class probabilities, in nats.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,) or None
        Ignored. Present so that all signals have one signature.
    y_proba : array-like of shape (n_samples, n_classes)
        Class probabilities.
    labels : array-like of shape (n_classes,), default=None
        Ignored.

    Returns
    -------
    signal : ndarray of shape (n_samples,), dtype float64
        In [-ln n_classes, 0]; higher means more likely a member.

    Raises
    ------
    ValueError
        If ``y_proba`` does not hold probabilities.
    """
    return -entr(check_proba(y_proba)).sum(axis=1)


def hinge_signal(y_true, y_proba, *, labels=None):
    """Return the log-probability of the true class minus the highest other log-probability.

    For a softmax classifier this is the margin of the logits.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels. Without ``labels``, column numbers, -1 for a class without a column.
    y_proba : array-like of shape (n_samples, n_classes)
        Class probabilities.
    labels : array-like of shape (n_classes,), default=None
        The label of each column, such as ``classes_`` of a classifier.

    Returns
    -------
    signal : ndarray of shape (n_samples,), dtype float64
        Within about -104 and 104; higher means more likely a member.

    Raises
    ------
    ValueError
        If ``y_proba`` does not hold probabilities, or ``y_true`` does not fit its columns.
    """
    columns, y_proba = check_labels_and_proba(y_true, y_proba, labels)
    others = np.where(_is_label(columns, y_proba), 0.0, y_proba).max(axis=1)
    return np.log(_at_label(columns, y_proba) + _FLOOR) - np.log(others + _FLOOR)


def logit_signal(y_true, y_proba, *, labels=None):
    """Return ``phi = ln p_y - ln(sum of the other probabilities)``.

    The other probabilities are summed. ``1 - p_y`` would lose them: in single precision a confident answer rounds to
    ``p_y = 1``, and members differ from non-members in the small remainder.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        The classes to compute phi at: true labels in an attack, predicted labels in a defense. Without ``labels``,
        column numbers, -1 for a class without a column.
    y_proba : array-like of shape (n_samples, n_classes)
        Class probabilities.
    labels : array-like of shape (n_classes,), default=None
        The label of each column, such as ``classes_`` of a classifier.

    Returns
    -------
    signal : ndarray of shape (n_samples,), dtype float64
        Within about -104 and 104; higher means more likely a member.

    Raises
    ------
    ValueError
        If ``y_proba`` does not hold probabilities, or ``y_true`` does not fit its columns.

    References
    ----------
    Carlini et al., "Membership inference attacks from first principles", S&P 2022, section IV-C.

    Peng et al., "Diffence: fencing membership privacy with diffusion models", NDSS 2025.
    """
    columns, y_proba = check_labels_and_proba(y_true, y_proba, labels)
    others = np.where(_is_label(columns, y_proba), 0.0, y_proba).sum(axis=1)
    return np.log(_at_label(columns, y_proba) + _FLOOR) - np.log(others + _FLOOR)


def loss_signal(y_true, y_proba, *, labels=None):
    """Return the negated cross-entropy at the true class, in nats.

    A probability of zero gives a very low, finite signal.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels. Without ``labels``, column numbers, -1 for a class without a column.
    y_proba : array-like of shape (n_samples, n_classes)
        Class probabilities.
    labels : array-like of shape (n_classes,), default=None
        The label of each column, such as ``classes_`` of a classifier.

    Returns
    -------
    signal : ndarray of shape (n_samples,), dtype float64
        At most 0; higher means more likely a member.

    Raises
    ------
    ValueError
        If ``y_proba`` does not hold probabilities, or ``y_true`` does not fit its columns.
    """
    return np.log(np.maximum(_at_label(*check_labels_and_proba(y_true, y_proba, labels)), _FLOOR))


def modified_entropy_signal(y_true, y_proba, *, labels=None):
    """Return the negated modified entropy of the class probabilities, in nats.

    The modified entropy is ``-(1 - p_y) ln p_y - sum over k != y of p_k ln(1 - p_k)``. It is zero for full
    confidence in the true class and large for full confidence in a wrong one.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels. Without ``labels``, column numbers, -1 for a class without a column.
    y_proba : array-like of shape (n_samples, n_classes)
        Class probabilities.
    labels : array-like of shape (n_classes,), default=None
        The label of each column, such as ``classes_`` of a classifier.

    Returns
    -------
    signal : ndarray of shape (n_samples,), dtype float64
        At most 0; higher means more likely a member.

    Raises
    ------
    ValueError
        If ``y_proba`` does not hold probabilities, or ``y_true`` does not fit its columns.

    References
    ----------
    Song and Mittal, "Systematic evaluation of privacy risks of machine learning models", USENIX Security
    2021, section 3.2.
    """
    columns, y_proba = check_labels_and_proba(y_true, y_proba, labels)
    at_label = _at_label(columns, y_proba)
    rest = np.maximum(1 - y_proba, 0)
    others = np.where(_is_label(columns, y_proba), 0.0, y_proba * np.log(np.maximum(rest, _FLOOR)))
    return np.maximum(1 - at_label, 0) * np.log(np.maximum(at_label, _FLOOR)) + others.sum(axis=1)


# Every signal by the name that attacks and displays take. Each is called as signal(y_true, y_proba, labels=labels).
SIGNALS = {
    "confidence": confidence_signal,
    "correctness": correctness_signal,
    "entropy": entropy_signal,
    "hinge": hinge_signal,
    "logit": logit_signal,
    "loss": loss_signal,
    "modified_entropy": modified_entropy_signal,
}

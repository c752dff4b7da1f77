"""Whether a target labels rows correctly, from its labels alone."""

import numpy as np

from skdiffence.attacks._answers import _column_numbers, _is_bare_net
from skdiffence.metrics import label_columns
from skdiffence.utils._sklearn import num_samples, safe_indexing


def check_labels(target, X, y):
    """Return the true labels of rows, once it is known that the target's labels can be compared with them.

    Parameters
    ----------
    target : classifier
        A fitted classifier with ``predict``; a bare skorch net, which answers column numbers, is asked for the
        width of one answer as well.
    X : array-like of shape (n_samples, ...)
        Rows to ask about.
    y : array-like of shape (n_samples,)
        Their true labels.

    Returns
    -------
    y : ndarray of shape (n_samples,)

    Raises
    ------
    TypeError
        If the target has no ``predict``.
    ValueError
        If there are no rows, X and y differ in length, or the target is a net and the labels are not column numbers.
    """
    if not hasattr(target, "predict"):
        raise TypeError(f"target must have predict. Got {type(target).__name__}, which has none.")
    y, n_samples = np.asarray(y), num_samples(X)
    if not n_samples:
        raise ValueError("X must hold at least one row. Got none.")
    if y.shape != (n_samples,):
        got = len(y) if y.ndim == 1 else f"shape {y.shape}"
        raise ValueError(f"y must hold one label for each of the {n_samples} rows of X. Got {got}.")
    if _is_bare_net(target):
        width = np.shape(target.predict_proba(safe_indexing(X, np.arange(1))))[1]
        _column_numbers(target, y, width)
    return y


def labeled_correctly(target, X, y):
    """Ask a target for labels, once, and say which of them are right.

    Parameters
    ----------
    target : classifier
        One that :func:`check_labels` accepts.
    X : array-like of shape (n_samples, ...)
        Rows to ask about.
    y : ndarray of shape (n_samples,)
        Their true labels. One of a class that the target does not know is never answered correctly.

    Returns
    -------
    correct : ndarray of shape (n_samples,), dtype bool

    Raises
    ------
    ValueError
        If the target does not answer one label a row, or answers text where y holds numbers or the other way round.
    """
    predicted = np.asarray(target.predict(X))
    if predicted.shape != y.shape:
        raise ValueError(f"target must predict one label a row of X, {len(y)}. Got shape {predicted.shape}.")
    classes = np.unique(predicted)
    return label_columns(y, classes) == label_columns(predicted, classes)

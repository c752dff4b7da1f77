"""Queries for labels only."""

import numpy as np

from skdiffence.attacks._answers import Answers, check_y
from skdiffence.attacks._targets import check_column_numbers, numbers_columns, predict_labels
from skdiffence.metrics import label_columns
from skdiffence.utils._sklearn import num_samples, safe_indexing
from skdiffence.utils._torch import explained_shapes


def check_labels(target, X, y):
    """Return the true labels of rows, checked to be comparable with the labels that a target predicts.

    Parameters
    ----------
    target : classifier
        A fitted classifier with ``predict`` or ``predict_proba``. One that predicts column numbers, as a bare skorch
        net does, is also queried for the probabilities of one row, to count its columns.
    X : array-like of shape (n_samples, ...)
        Rows.
    y : array-like of shape (n_samples,)
        True labels.

    Returns
    -------
    y : ndarray of shape (n_samples,)

    Raises
    ------
    TypeError
        If the target has neither.
    ValueError
        If there are no rows, X and y differ in length, or the target is a net and the labels are not column numbers.
    """
    if not (hasattr(target, "predict") or hasattr(target, "predict_proba")):
        raise TypeError(f"target must have predict. Got {type(target).__name__}, which has none.")
    if not num_samples(X):
        raise ValueError("X must hold at least one row. Got none.")
    y = check_y(y, num_samples(X))
    if numbers_columns(target) and hasattr(target, "predict_proba"):
        width = np.shape(target.predict_proba(safe_indexing(X, np.arange(1))))[1]
        check_column_numbers(target, y, width)
    return y


def query_labels(target, X, y):
    """Query a target once for the labels of rows.

    Parameters
    ----------
    target : classifier
        One that :func:`check_labels` accepts.
    X : array-like of shape (n_samples, ...)
        Rows.
    y : ndarray of shape (n_samples,)
        True labels.

    Returns
    -------
    answers : Answers
        Without probabilities; the classes are those that were predicted, and then the others of ``y``.

    Raises
    ------
    ValueError
        If the target does not predict one label for each row, or predicts text where y holds numbers or vice versa.
    """
    with explained_shapes(X):
        predicted = predict_labels(target, X)
    if predicted.shape != y.shape:
        raise ValueError(f"target must predict one label for each row of X, {len(y)}. Got shape {predicted.shape}.")
    classes = np.unique(predicted)
    others = np.unique(y[label_columns(y, classes) < 0])
    classes = np.concatenate([classes, others])
    return Answers(None, label_columns(predicted, classes), label_columns(y, classes), classes, X)

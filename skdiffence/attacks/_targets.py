"""Targets: whatever has ``predict_proba``, of scikit-learn or not."""

import numpy as np
import torch
from sklearn.base import is_classifier, is_regressor
from skorch import NeuralNet, NeuralNetBinaryClassifier, NeuralNetClassifier
from torch import nn

from skdiffence.utils._skorch import final_estimator


def check_target(target, *, name="target"):
    """Raise an error if a target does not return probabilities.

    Parameters
    ----------
    target : object
        The target.
    name : str, default="target"
        What the message calls the parameter.

    Raises
    ------
    TypeError
        With the remedy.
    """
    if isinstance(target, type):
        raise TypeError(f"{name} must be a fitted classifier. Got the class {target.__name__}.")
    if hasattr(target, "predict_proba"):
        return
    final = final_estimator(target)
    hint = ""
    if _is_regressor(final):
        hint = " Regression is out of scope: attacks read the probabilities of classes."
    elif isinstance(final, nn.Module) or _is_state_dict(final):
        hint = " skdiffence.from_module makes a classifier of a trained torch module."
    elif hasattr(final, "decision_function") and _is_classifier(final):
        hint = f" CalibratedClassifierCV({type(final).__name__}(...)) of scikit-learn gives it probabilities."
    raise TypeError(f"{name} must have predict_proba. Got {type(final).__name__}, which has none.{hint}")


def _is_state_dict(target):
    return isinstance(target, dict) and any(isinstance(value, torch.Tensor) for value in target.values())


def _is_classifier(estimator):
    try:
        return is_classifier(estimator)
    except (AttributeError, TypeError):  # not of scikit-learn
        return False


def _is_regressor(estimator):
    try:
        return is_regressor(estimator)
    except (AttributeError, TypeError):  # not of scikit-learn
        return False


def as_answer(answer, method, n_samples):
    """Return what a method of a target returned as an array.

    Parameters
    ----------
    answer : array-like of shape (n_samples, ...)
        What it returned.
    method : str
        Name of the method.
    n_samples : int
        Number of rows that the target was queried about.

    Returns
    -------
    answer : ndarray of shape (n_samples, ...)

    Raises
    ------
    ValueError
        If it is no array, or has another number of rows.
    """
    if getattr(answer, "requires_grad", False):
        raise ValueError(f"target must return arrays from {method}. Got a tensor with a gradient: detach it.")
    values = np.asarray(answer)
    if values.ndim == 0 or len(values) != n_samples:
        got = f"shape {values.shape}" if values.ndim else type(answer).__name__
        hint = " Several outputs are out of scope." if values.ndim == 3 else ""
        raise ValueError(
            f"target must return {method} with one row for each of the {n_samples} rows of X. Got {got}.{hint}"
        )
    return values


def predict_labels(target, X):
    """Return the label of each row, which for a target without ``predict`` is that of the largest probability.

    Parameters
    ----------
    target : classifier
        Fitted, with ``predict`` or ``predict_proba``.
    X : array-like of shape (n_samples, ...)
        Rows.

    Returns
    -------
    labels : ndarray of shape (n_samples,)
    """
    if hasattr(target, "predict"):
        return np.asarray(target.predict(X))
    columns = np.asarray(target.predict_proba(X)).argmax(axis=1)
    return np.asarray(target.classes_)[columns] if hasattr(target, "classes_") else columns


def numbers_columns(target):
    """Return whether a target's labels are column numbers.

    Parameters
    ----------
    target : classifier
        Fitted.

    Returns
    -------
    numbers_columns : bool
        True for a skorch net that predicts column numbers (subclasses may predict labels instead), and for a target
        without ``classes_``.
    """
    net = final_estimator(target)
    predict = getattr(type(net), "predict", None)
    bare = isinstance(net, NeuralNet) and predict in (NeuralNetClassifier.predict, NeuralNetBinaryClassifier.predict)
    return bare or not hasattr(target, "classes_")


def check_column_numbers(target, y, n_columns):
    """Return the column numbers of a target; raise an error if true labels, or a net's classes, are not these."""
    # The columns of a net are numbered by its module, whatever classes are among the training rows.
    final = final_estimator(target)
    is_net = isinstance(final, NeuralNet)
    for labels in (getattr(final, "classes_", ()), y):
        labels = np.unique(np.asarray(labels)).tolist()
        if any(label not in range(n_columns) for label in labels):
            what, remedy = ("a skorch net", "LabelEncoder makes them") if is_net else (
                f"a {type(final).__name__} without classes_",
                "or give it classes_, the labels in the order of its columns",
            )
            raise ValueError(
                f"target is {what}, whose columns are numbered from 0 to {n_columns - 1}, and nothing tells "
                f"which of them are the labels {', '.join(map(str, labels[:5]))}. Train and attack it with column "
                f"numbers ({remedy}), or wrap it in a classifier that keeps its classes."
            )
    return np.arange(n_columns)

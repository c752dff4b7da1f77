"""The attacker's auxiliary models: a regenerator and classifiers."""

import numpy as np
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator

from skdiffence.attacks._answers import query
from skdiffence.utils._frames import like
from skdiffence.utils._random import seed_nested


def fit_regenerator(regenerator, X, seed):
    """Return a regenerator fitted to known rows, or as it is if it is frozen or has no ``fit``.

    Parameters
    ----------
    regenerator : object with ``regenerate(X, candidate)``
        It is cloned, never changed.
    X : ndarray of shape (n_samples, ...)
        Known rows.
    seed : int
        Seeds the regenerator where it has no ``random_state`` of its own.

    Returns
    -------
    fitted : object with ``regenerate(X, candidate)``
    """
    if isinstance(regenerator, FrozenEstimator) or not hasattr(regenerator, "fit"):
        return regenerator
    fitted = seed_nested(clone(regenerator, safe=False), seed, "regenerator")
    fitted.fit(X)
    return fitted


def regenerate(regenerator, X, candidate):
    """Return one regeneration of each row, in the dtype of X.

    Parameters
    ----------
    regenerator : object with ``regenerate(X, candidate)``
        Ready to use.
    X : ndarray of shape (n_samples, ...)
        Rows.
    candidate : int
        Number of the regeneration.

    Returns
    -------
    X_regenerated : ndarray of the shape and dtype of X

    Raises
    ------
    ValueError
        If the regenerator does not return finite numbers of the shape of X.
    """
    values = np.asarray(regenerator.regenerate(X, candidate))
    if values.shape != X.shape or not np.isfinite(values).all():
        raise ValueError(
            f"regenerator must return finite numbers of the shape of X, {X.shape}. Got shape {values.shape}, "
            f"{np.count_nonzero(~np.isfinite(values))} of the values not finite."
        )
    return like(values, X)


def query_auxiliary(name, classifier, X, y, classes):
    """Query a classifier of the attacker's own.

    Parameters
    ----------
    name : str
        Name of the attack's parameter, for error messages.
    classifier : classifier
        Fitted.
    X : array-like of shape (n_samples, ...)
        Rows.
    y : array-like of shape (n_samples,)
        True labels.
    classes : ndarray of shape (n_classes,)
        The labels of the target's columns.

    Returns
    -------
    answers : Answers

    Raises
    ------
    NotFittedError
        If the classifier is not fitted.
    ValueError
        If its classes are not the target's.
    """
    try:
        answers = query(classifier, X, y)
    except NotFittedError as error:
        raise NotFittedError(
            f"{name} must be fitted. Got {type(classifier).__name__}, which is not: cloning an attack, as scorers do, "
            f"keeps a fitted classifier only inside FrozenEstimator({name})."
        ) from error
    if not np.array_equal(answers.classes, classes):
        raise ValueError(
            f"{name} must have the target's classes, {classes[:10].tolist()}. Got {answers.classes[:10].tolist()}."
        )
    return answers

"""What an attacker brings along: a regenerator and classifiers of its own."""

import numpy as np
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator

from skdiffence.attacks._answers import query
from skdiffence.attacks.adaptive._changed_rows import like
from skdiffence.utils._random import seed_nested


def fit_regenerator(regenerator, X, seed):
    """Return a regenerator that is ready: fitted to known rows, unless it is frozen or has nothing to fit.

    Parameters
    ----------
    regenerator : object with ``regenerate(X, candidate)``
        What the user gave. It is cloned, never changed.
    X : ndarray of shape (n_samples, ...)
        Known rows.
    seed : int
        Seeds it where it has no ``random_state`` of its own.

    Returns
    -------
    regenerator : object
    """
    if isinstance(regenerator, FrozenEstimator) or not hasattr(regenerator, "fit"):
        return regenerator
    fitted = seed_nested(clone(regenerator, safe=False), seed, "regenerator")
    fitted.fit(X)
    return fitted


def regenerate(regenerator, X, candidate):
    """Return one regeneration of each row, in the dtype of X.

    Raises
    ------
    ValueError
        If the regenerator answers something else than finite numbers of the shape of X.
    """
    values = np.asarray(regenerator.regenerate(X, candidate))
    if values.shape != X.shape or not np.isfinite(values).all():
        raise ValueError(
            f"regenerator must return finite numbers of the shape of X, {X.shape}. Got shape {values.shape}, "
            f"{np.count_nonzero(~np.isfinite(values))} of the values not finite."
        )
    return like(values, X.dtype)


def ask_own(name, classifier, X, y, classes):
    """Ask a classifier of the attacker's own.

    Parameters
    ----------
    name : str
        Of the parameter that it came in.
    classifier : classifier
        Fitted.
    X, y : array-like of shape (n_samples, ...) and (n_samples,)
        Rows and their labels.
    classes : ndarray of shape (n_classes,)
        The labels of the target's columns.

    Returns
    -------
    answers : Answers

    Raises
    ------
    NotFittedError
        If it is not fitted.
    ValueError
        If it has other classes than the target.
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

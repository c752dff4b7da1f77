"""Columns of probabilities in the order of sorted classes, in which scikit-learn reads them."""

import numpy as np


def sorted_columns(proba, classes):
    """Return probabilities with columns in the order of the sorted classes.

    Parameters
    ----------
    proba : ndarray of shape (n, n_classes)
        Probabilities.
    classes : ndarray of shape (n_classes,)
        The class of each column, none of them twice.

    Returns
    -------
    proba : ndarray of shape (n, n_classes)
        The same array if the classes are sorted. The argmax of each row stays the same class, also among exact ties.
    """
    order = np.argsort(classes)
    if (order == np.arange(len(order))).all():
        return proba
    return settle_ties(np.take(proba, order, axis=1), np.argsort(order)[proba.argmax(axis=1)])


def settle_ties(proba, top):
    """Raise the largest probability of each row by the smallest step there is where an equal one precedes it.

    Parameters
    ----------
    proba : ndarray of shape (n, n_classes)
        Probabilities; changed in place.
    top : ndarray of shape (n,), dtype int
        Column of a largest probability of each row, which becomes the argmax.

    Returns
    -------
    proba : ndarray of shape (n, n_classes)
        The same array.
    """
    # argmax takes the lower column of exact ties.
    ties = np.flatnonzero(proba.argmax(axis=1) != top)
    tied = top[ties]
    proba[ties, tied] = np.nextafter(proba[ties, tied], np.array(2, dtype=proba.dtype))
    return proba

"""The features of attacks that learn from the whole answer."""

import numpy as np

from skdiffence.metrics._signals import check_columns, check_proba

# The floor of the paper's code: the loss of a probability of zero is 71 nats.
_LOSS_FLOOR = 1e-31


def label_indicators(y, n_classes):
    """Return the true labels one-hot.

    Parameters
    ----------
    y : ndarray of shape (n_samples,), dtype int64
        Columns of the true labels, -1 for a class without a column.
    n_classes : int
        Number of columns.

    Returns
    -------
    indicators : ndarray of shape (n_samples, n_classes), dtype float64
        A row of zeros for a class without a column.
    """
    return (np.arange(n_classes) == y[:, None]).astype(np.float64)


def answer_features(answers):
    """Return the features of answers: the class probabilities, the true label and the loss.

    Parameters
    ----------
    answers : Answers
        The target's answers.

    Returns
    -------
    features : ndarray of shape (n_samples, 2 * n_classes + 1), dtype float64
        The class probabilities, the one-hot true label and the cross-entropy.

    Raises
    ------
    ValueError
        If the answers are not probabilities.
    """
    proba = check_proba(answers.proba)
    indicators = label_indicators(check_columns(answers.y, proba), proba.shape[1])
    loss = -np.log(np.maximum((proba * indicators).sum(axis=1), _LOSS_FLOOR))
    return np.column_stack([proba, indicators, loss])

"""The features of attacks that learn from the whole answer."""

import numpy as np

from skdiffence.metrics._signals import check_columns, check_proba

# The floor of the paper's code: the loss of a probability of zero is 71 nats.
_LOSS_FLOOR = 1e-31
# Among hundreds of classes only the most probable ones are informative.
_N_TOP = 10
_MOST_CLASSES = 64  # with columns of their own


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
    features : ndarray of shape (n_samples, n_features), dtype float64
        The class probabilities, the one-hot true label and the cross-entropy; without true labels, the probabilities.

    Raises
    ------
    ValueError
        If the answers are not probabilities.
    """
    proba = check_proba(answers.proba)
    if answers.y is None:
        return proba
    indicators = label_indicators(check_columns(answers.y, proba), proba.shape[1])
    loss = -np.log(np.maximum((proba * indicators).sum(axis=1), _LOSS_FLOOR))
    return np.column_stack([proba, indicators, loss])


def summary_features(answers):
    """Return a summary of answers, of a width that does not grow with the number of classes.

    Parameters
    ----------
    answers : Answers
        The target's answers.

    Returns
    -------
    features : ndarray of shape (n_samples, n_features), dtype float64
        The ten highest probabilities in descending order, the probability of the true class, its logit, the entropy,
        the modified entropy and whether the predicted label is correct. Without true labels, the probabilities
        and the entropy.
    """
    top = -np.sort(-answers.proba, axis=1)[:, :_N_TOP]
    if answers.y is None:
        return np.column_stack([top, answers.signal("entropy")])
    signals = [answers.signal(name) for name in ("confidence", "logit", "entropy", "modified_entropy")]
    return np.column_stack([top, *signals, answers.correct])


def most_common(answers):
    """Return which classes get columns of their own if there are many.

    Parameters
    ----------
    answers : Answers
        The target's answers for known rows.

    Returns
    -------
    columns : tuple of two ndarrays of shape (64,), or None
        The classes of the highest mean probability, and the most frequent true labels, none where these are not known.
        None up to 64 classes.
    """
    n_classes = len(answers.classes)
    if n_classes <= _MOST_CLASSES:
        return None
    # Rounded, because the last bits of a mean depend on the order of the rows.
    by_proba = np.argsort(-np.round(answers.proba.mean(axis=0), 12), kind="stable")
    by_label = by_proba[:0] if answers.y is None else frequent_labels(answers.y, n_classes)
    return by_proba[:_MOST_CLASSES], by_label


def frequent_labels(y, n_classes):
    """Return the most frequent true labels, at most 64.

    Parameters
    ----------
    y : ndarray of shape (n_samples,), dtype int64
        Columns of the true labels, -1 for a class without a column.
    n_classes : int
        Number of columns.

    Returns
    -------
    columns : ndarray of int
        All columns in their order if they are no more than 64.
    """
    if n_classes <= _MOST_CLASSES:
        return np.arange(n_classes)
    return np.argsort(-np.bincount(y[y >= 0], minlength=n_classes), kind="stable")[:_MOST_CLASSES]


def bounded_features(answers, columns):
    """Return the features of answers of many classes.

    Parameters
    ----------
    answers : Answers
        The target's answers.
    columns : tuple of two ndarrays
        As :func:`most_common` returns them.

    Returns
    -------
    features : ndarray of shape (n_samples, n_features), dtype float64
        Those of :func:`summary_features`, the cross-entropy, and the probabilities and indicators of some classes;
        without true labels, the summary and the probabilities.
    """
    by_proba, by_label = columns
    if answers.y is None:
        return np.column_stack([summary_features(answers), answers.proba[:, by_proba]])
    loss = -np.log(np.maximum(answers.signal("confidence"), _LOSS_FLOOR))
    indicators = (answers.y[:, None] == by_label).astype(np.float64)
    return np.column_stack([summary_features(answers), loss, answers.proba[:, by_proba], indicators])

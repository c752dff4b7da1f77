"""Scores of an attack from counts of rows, for many resamples at once."""

from functools import partial

import numpy as np
from sklearn.metrics import roc_auc_score

from skdiffence.metrics._checks import RATE_TOLERANCE
from skdiffence.metrics._scores import attack_accuracy_score, tnr_at_fnr_score, tpr_at_fpr_score

# Resamples are made in chunks of about this many counts, which bounds the memory.
_CHUNK = 2_000_000


# Each function takes the numbers of members and non-members at each distinct score, in falling order of the score,
# of shape (n_resamples, n_levels).
def _auc_of_counts(members, others, levels):
    del levels
    below = others[:, ::-1].cumsum(axis=1)[:, ::-1] - others
    pairs = (members * (below + others / 2)).sum(axis=1)
    return pairs / (members.sum(axis=1) * others.sum(axis=1))


def _rates(counts):
    # A threshold above all scores calls no row a member.
    called = np.pad(counts.cumsum(axis=1), ((0, 0), (1, 0)))
    return called / called[:, -1:]


def _tpr_of_counts(members, others, levels, *, max_fpr):
    del levels
    allowed = _rates(others) <= max_fpr + RATE_TOLERANCE
    return np.where(allowed, _rates(members), 0.0).max(axis=1)


def _tnr_of_counts(members, others, levels, *, max_fnr):
    return _tpr_of_counts(others[:, ::-1], members[:, ::-1], levels, max_fpr=max_fnr)


def _accuracy_of_counts(members, others, levels, *, threshold=0.5):
    gain = _rates(members) - _rates(others)
    best = gain.max(axis=1) if threshold == "oracle" else gain[:, np.count_nonzero(levels >= threshold)]
    return (best + 1) / 2


OF_COUNTS = {
    roc_auc_score: _auc_of_counts,
    tpr_at_fpr_score: _tpr_of_counts,
    tnr_at_fnr_score: _tnr_of_counts,
    attack_accuracy_score: _accuracy_of_counts,
}


def plain_metric(metric):
    """Return the function of a metric and its keywords.

    Parameters
    ----------
    metric : callable
        A function, or a :func:`functools.partial` of one with keywords.

    Returns
    -------
    function : callable
    keywords : dict
    """
    if isinstance(metric, partial) and not metric.args:
        return metric.func, metric.keywords
    return metric, {}


def function_of_counts(metric):
    """Return the function that computes a metric from counts.

    Parameters
    ----------
    metric : callable
        Called as ``metric(y_true, y_score)``.

    Returns
    -------
    of_counts : callable or None
        Called as ``of_counts(members, others, levels)``, with the counts at each level of the score, in falling order
        and of shape (n_resamples, n_levels). None if the metric cannot be computed from counts.
    """
    function, keywords = plain_metric(metric)
    of_counts = look_up(OF_COUNTS, function)
    # A partial AUC (roc_auc_score with max_fpr) is not computed from counts here.
    if of_counts is None or (function is roc_auc_score and keywords):
        return None
    return partial(of_counts, **keywords)


def look_up(table, function):
    """Return what a table holds for a function, None for any other callable, also for one that can't be hashed."""
    return next((value for known, value in table.items() if known is function), None)


def in_chunks(values, n_resamples, n_counts):
    """Compute values of resamples in chunks that fit memory.

    Parameters
    ----------
    values : callable
        Takes a number of resamples and returns their values, an array with as many rows or fewer.
    n_resamples : int
        Number of all resamples.
    n_counts : int
        Number of counts of each.

    Returns
    -------
    values : ndarray
    """
    chunk = max(1, _CHUNK // n_counts)
    sizes = [min(chunk, n_resamples - start) for start in range(0, n_resamples, chunk)]
    return np.concatenate([values(size) for size in sizes])


def falling_levels(score):
    """Sort rows by falling score and find where each distinct score starts.

    Parameters
    ----------
    score : ndarray of shape (n_samples,)
        Finite scores.

    Returns
    -------
    order : ndarray of shape (n_samples,)
        Rows, highest score first.
    starts : ndarray of shape (n_levels,)
        Positions in ``order``, as :func:`numpy.add.reduceat` takes them.
    levels : ndarray of shape (n_levels,)
        The distinct scores.
    """
    order = np.argsort(-score, kind="stable")
    falling = score[order]
    starts = np.flatnonzero(np.concatenate([[True], falling[1:] != falling[:-1]]))
    return order, starts, falling[starts]

"""Scores of an attack from counts: for many weightings of the same rows at once."""

from functools import partial

import numpy as np
from sklearn.metrics import roc_auc_score

from skdiffence.metrics._scores import (
    _RATE_TOLERANCE,
    attack_accuracy_score,
    tnr_at_fnr_score,
    tpr_at_fpr_score,
)

# Weightings are made in chunks of about this many counts, so that memory does not grow with their number.
_CHUNK = 2_000_000


# Each takes, for every weighting, how many members and non-members there are at each distinct score, in
# falling order of the score, of shape (n_weightings, n_scores).
def _auc_of_counts(members, others, levels):
    del levels
    below = others[:, ::-1].cumsum(axis=1)[:, ::-1] - others
    pairs = (members * (below + others / 2)).sum(axis=1)
    return pairs / (members.sum(axis=1) * others.sum(axis=1))


def _rates(counts):
    # A leading zero: a threshold above all scores accuses nobody.
    found = np.pad(counts.cumsum(axis=1), ((0, 0), (1, 0)))
    return found / found[:, -1:]


def _tpr_of_counts(members, others, levels, *, max_fpr):
    del levels
    allowed = _rates(others) <= max_fpr + _RATE_TOLERANCE
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
    """Return the function behind a metric and the keywords that go with it.

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


def counting_form(metric):
    """Return the form of a metric that is computed from counts.

    Parameters
    ----------
    metric : callable
        Called as ``metric(y_true, y_score)``.

    Returns
    -------
    form : callable or None
        Called as ``form(members, others, levels)``, the counts at each level of the score, in falling order
        and of shape (n_weightings, n_levels). None if the metric has no such form.
    """
    function, keywords = plain_metric(metric)
    # A partial AUC (roc_auc_score with max_fpr) has no form in counts here.
    if function not in OF_COUNTS or (function is roc_auc_score and keywords):
        return None
    return partial(OF_COUNTS[function], **keywords)


def chunk_sizes(n_weightings, n_counts):
    """Divide weightings into chunks that fit memory.

    Parameters
    ----------
    n_weightings : int
        How many there are.
    n_counts : int
        Counts of one of them.

    Returns
    -------
    sizes : list of int
        They add up to ``n_weightings``.
    """
    chunk = max(1, _CHUNK // n_counts)
    return [min(chunk, n_weightings - start) for start in range(0, n_weightings, chunk)]


def falling_levels(score):
    """Sort rows by falling score and say where each distinct score starts.

    Parameters
    ----------
    score : ndarray of shape (n_samples,)
        Finite scores.

    Returns
    -------
    order : ndarray of shape (n_samples,)
        Rows, highest score first.
    starts : ndarray of shape (n_levels,)
        Places in ``order``, as :func:`numpy.add.reduceat` wants them.
    levels : ndarray of shape (n_levels,)
        The distinct scores.
    """
    order = np.argsort(-score, kind="stable")
    falling = score[order]
    starts = np.flatnonzero(np.concatenate([[True], falling[1:] != falling[:-1]]))
    return order, starts, falling[starts]

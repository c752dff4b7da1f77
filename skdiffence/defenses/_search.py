"""The search through candidates: one round a candidate, over all rows that still need one."""

import numpy as np
from sklearn.utils import Bunch

from skdiffence.defenses._responses import put_label_on_top
from skdiffence.metrics import logit_signal


def search(respond, labels, rule, n_candidates, *, lazy, progress=None):
    """Search the candidates of each row for the one that a rule takes.

    Parameters
    ----------
    respond : callable (rows, candidate) -> (labels, proba)
        What the estimator answers on one candidate of some rows, given as indices.
    labels : ndarray of shape (n,), dtype int
        The label of each row, as a column index.
    rule : SelectionRule
        Fitted.
    n_candidates : int
        How many candidates there are.
    lazy : bool
        Whether a row's search ends with its first candidate of cost 0. The answer is the same either way.
    progress : callable (n_rows) or None, default=None
        Told after each round how many rows are finished.

    Returns
    -------
    found : Bunch
        ``proba`` (n, n_classes), the chosen candidate's or, where none keeps the label, the last one's; ``candidate``
        (n,); ``kept`` (n,), whether it keeps the label; ``n_regenerations`` (n,).
    """
    n = len(labels)
    cost = np.full(n, np.inf)
    found = Bunch(
        proba=None,
        candidate=np.full(n, -1),
        kept=np.zeros(n, dtype=bool),
        n_regenerations=np.zeros(n, dtype=int),
    )
    rows = np.arange(n)
    for candidate in range(n_candidates):
        answered, proba = respond(rows, candidate)
        if found.proba is None:
            found.proba = np.empty((n, proba.shape[1]), dtype=proba.dtype)
        kept = answered == labels[rows]
        new_cost = np.where(kept, rule.cost(logit_signal(proba, labels[rows])), np.inf)
        # Without a candidate that keeps the label the latest stands in, and the last one stays.
        better = (new_cost < cost[rows]) | ~(found.kept[rows] | kept)
        taken = rows[better]
        found.proba[taken], found.candidate[taken] = proba[better], candidate
        found.kept[taken], cost[taken] = kept[better], new_cost[better]
        found.n_regenerations[rows] += 1
        if lazy:
            rows = rows[cost[rows] > 0]
        if progress is not None:
            progress(n - len(rows) if lazy else n * (candidate + 1) // n_candidates)
        if not len(rows):
            break
    return found


def settle(found, labels, original=None):
    """Turn what a search found into answers whose argmax is the label.

    Parameters
    ----------
    found : Bunch
        What :func:`search` returned; changed in place.
    labels : ndarray of shape (n,), dtype int
        The label of each row, as a column index.
    original : callable (rows) -> proba or None, default=None
        The undefended answers for the fallback "original"; None exchanges two entries of the last candidate's.

    Returns
    -------
    found : Bunch
        The same.
    """
    lost = np.flatnonzero(~found.kept)
    if original is not None and len(lost):
        found.proba[lost] = original(lost)
        found.candidate[lost] = -1
    put_label_on_top(found.proba, labels)
    return found

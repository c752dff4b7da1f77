"""The search through candidates: as many at a time as fill a batch, over all rows that still need one."""

import numpy as np
from sklearn.utils import Bunch

from skdiffence.defenses._responses import put_label_on_top

# Up to so many times ``fill`` are made ahead for rows that have missed often.
_LATE_FILL = 8
# Few rows begin with a part of ``fill``: most first candidates are taken, and what is made beside them is lost.
_FIRST_FILL = 4


def search(respond, labels, rule, n_candidates, *, lazy, fill=1, progress=None):
    """Search the candidates of each row for the one that a rule takes.

    Parameters
    ----------
    respond : callable (rows, candidate) -> (labels, proba)
        What the estimator answers on candidates of some rows, given as indices. The candidate is an integer for all of
        them or, where more than one candidate of a row is asked for at once, an array with one for each.
    labels : ndarray of shape (n,), dtype int
        The label of each row, as a column index.
    rule : Rule
        Fitted.
    n_candidates : int
        How many candidates there are.
    lazy : bool
        Whether a row's search ends with its first candidate of cost 0. The answer is the same either way.
    fill : int, default=1
        How many candidates are worth a call. While fewer rows than that are left, later candidates are made with the
        next ones, ahead of their turn; some may not be needed. 1 makes none ahead.
    progress : callable (n_rows) or None, default=None
        Told after each round how many rows are finished.

    Returns
    -------
    found : Bunch
        ``proba`` (n, n_classes), the chosen candidate's or, where none keeps the label, the last one's; ``candidate``
        (n,); ``kept`` (n,), whether it keeps the label; ``n_regenerations`` (n,), how many were looked at, which
        neither ``fill`` nor the other rows change.
    """
    state = _Search(labels, rule)
    rows, candidate, may_end = np.arange(len(labels)), 0, lazy and rule.ends_early
    while candidate < n_candidates and len(rows):
        ahead = min(_ahead(fill, len(rows), candidate, may_end=may_end), n_candidates - candidate)
        for answered, proba in _ask(respond, rows, candidate, ahead):
            state.look(rows, candidate, answered, proba, lazy=lazy)
            candidate += 1
        if lazy:
            rows = rows[state.cost[rows] > 0]
        if progress is not None:
            n = len(labels)
            progress(n - len(rows) if lazy else n * candidate // n_candidates)
    return state.found


def _ahead(fill, n_rows, candidate, *, may_end):
    """How many candidates of each row to make at once."""
    if fill == 1:
        return 1
    # A row that has missed so many candidates will probably miss about as many more.
    late = min(_LATE_FILL * fill // n_rows, candidate)
    soon = fill // _FIRST_FILL if may_end and not candidate else fill
    return max(soon // n_rows, late, 1)


def _ask(respond, rows, candidate, ahead):
    """Yield the answers on one candidate after another, made all at once."""
    if ahead == 1:
        yield respond(rows, candidate)
        return
    candidates = np.repeat(np.arange(candidate, candidate + ahead), len(rows))
    answered, proba = respond(np.tile(rows, ahead), candidates)
    yield from zip(np.split(answered, ahead), np.split(proba, ahead), strict=True)


class _Search:
    """What was found so far."""

    def __init__(self, labels, rule):
        n = len(labels)
        self.labels, self.rule = labels, rule
        self.cost = np.full(n, np.inf)
        self.found = Bunch(
            proba=None,
            candidate=np.full(n, -1),
            kept=np.zeros(n, dtype=bool),
            n_regenerations=np.zeros(n, dtype=int),
        )

    def look(self, rows, candidate, answered, proba, *, lazy):
        """Compare one candidate of some rows with the best of each so far."""
        found, labels = self.found, self.labels[rows]
        if found.proba is None:
            found.proba = np.empty((len(self.labels), proba.shape[1]), dtype=proba.dtype)
        kept = answered == labels
        counts = kept | self.rule.swaps
        cost = np.where(counts, self.rule.cost(self.rule.read(proba, labels)), np.inf)
        found.n_regenerations[rows] += self.cost[rows] > 0 if lazy else 1
        # Without a candidate that keeps the label the latest stands in, and the last one stays.
        better = (cost < self.cost[rows]) | ~(found.kept[rows] | counts)
        taken = rows[better]
        found.proba[taken], found.candidate[taken] = proba[better], candidate
        found.kept[taken], self.cost[taken] = kept[better], cost[better]


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

"""From a row to its answer: candidates are made and classified until the rule needs no more of them."""

from functools import partial

import numpy as np
from sklearn.utils import Bunch
from tqdm.auto import tqdm

from skdiffence.defenses._classifier import put_label_on_top
from skdiffence.utils._blocks import row_blocks
from skdiffence.utils._frames import as_numbers
from skdiffence.utils._sklearn import num_samples, safe_indexing

EXACT_BATCH = 64
# For rows that have needed many candidates, at most this many times ``fill`` are made ahead.
_LATE_FILL = 8
# For few rows, at first a part of ``fill``: most first candidates are accepted, and those made ahead are then lost.
_FIRST_FILL = 4


class Candidates:
    """Candidates of rows, the classifier's answers on them, and the answers of a rule.

    Parameters
    ----------
    classifier : FittedClassifier
        The wrapped classifier.
    regenerator : regenerator
        Fitted.
    n_candidates : int
        Number of candidates for each row, at most.
    fallback : {"swap", "original"}
        The answer where no candidate keeps the label.
    lazy : bool
        Whether no further candidates are made for a row that the rule has finished.
    """

    def __init__(self, classifier, regenerator, *, n_candidates, fallback, lazy):
        self.classifier = classifier
        self.regenerator = regenerator
        self.n_candidates = n_candidates
        self.fallback = fallback
        self.lazy = lazy

    def number_for(self, rule):
        """Return the number of candidates that a rule can use."""
        return self.n_candidates if rule.max_candidates is None else min(self.n_candidates, rule.max_candidates)

    def falls_back_on_original(self, rule):
        """Return whether rows that do not keep the label get the undefended answer."""
        return self.fallback == "original" and not rule.relabels

    def make(self, X, candidate):
        """Return one candidate of each row, in the type that the classifier takes."""
        return self.classifier.in_type(self.regenerator.regenerate(as_numbers(X), candidate), X)

    def classify(self, X, candidate):
        """Return the classifier's labels and probabilities on one candidate of each row."""
        return self.classifier.predict_both(self.make(X, candidate))

    def answer(self, X, labels, rule, progress=None):
        """Return the answer for each row under a rule.

        Parameters
        ----------
        X : ndarray or data frame of shape (n, ...)
            Rows.
        labels : ndarray of shape (n,), dtype int
            The classifier's labels, as column indices.
        rule : Rule
            Fitted.
        progress : callable (n_rows) or None, default=None
            Called with the number of rows that are finished.

        Returns
        -------
        answers : Bunch
            See :func:`answer`.
        """
        return answer(
            lambda rows, index: self.classify(safe_indexing(X, rows), rule.candidate(index)),
            labels,
            rule,
            self.number_for(rule),
            lazy=self.lazy,
            # A regenerator that does not tell how many rows fill a batch gets one candidate at a time.
            fill=getattr(self.regenerator, "rows_to_fill", 1),
            original=(lambda rows: self.classifier.predict_both(safe_indexing(X, rows))[1])
            if self.falls_back_on_original(rule)
            else None,
            progress=progress,
        )

    def answer_in_blocks(self, X, rule, *, verbose):
        """Return the answer for each row, for as many rows at a time as fit in memory; see :meth:`answer`."""
        parts = []
        with tqdm(total=num_samples(X), desc="regenerating", unit="row", disable=not verbose) as bar:
            for block in row_blocks(X, multiple=EXACT_BATCH):
                rows, advance = safe_indexing(X, block), partial(_advance, bar, block.start)
                parts.append(self.answer(rows, self.classifier.predict(rows), rule, advance))
                advance(num_samples(rows))
        return Bunch(**{name: np.concatenate([part[name] for part in parts]) for name in parts[0]})


def _advance(bar, start, n_rows):
    bar.update(start + n_rows - bar.n)


def answer(classify, labels, rule, n_candidates, *, lazy, fill=1, original=None, progress=None):
    """Return the answer for each row, given the classifier's answers on candidates.

    Parameters
    ----------
    classify : callable (rows, candidate) -> (labels, proba)
        Returns the classifier's answers on candidates of some rows, given as indices. The candidate is an integer or,
        where several candidates of a row are made at once, an array with one number for each of the rows.
    labels : ndarray of shape (n,), dtype int
        The label of each row, as a column index.
    rule : Rule
        Fitted.
    n_candidates : int
        Number of candidates for each row, at most.
    lazy : bool
        Whether no further candidates are made for a row that the rule has finished. The answer does not depend on it.
    fill : int, default=1
        Number of candidates that cost hardly more than one. While fewer rows are left, later candidates are made
        together with the next ones, ahead of their turn; some of them may not be needed.
    original : callable (rows) -> proba or None, default=None
        Returns the answer for rows that do not keep the label. None keeps the rule's.
    progress : callable (n_rows) or None, default=None
        Called with the number of rows that are finished.

    Returns
    -------
    answers : Bunch
        ``proba`` (n, n_classes), in which the label is the argmax; ``candidate`` (n,), -1 for the original; ``kept``
        (n,), whether the label was kept; ``n_regenerations`` (n,), the number of candidates that the rule was given
        or, if not lazy, of all. It depends neither on ``fill`` nor on the other rows.
    """
    state, n = None, len(labels)
    rows, n_regenerations, candidate = np.arange(n), np.zeros(n, dtype=int), 0
    while candidate < n_candidates and len(rows):
        ahead = _number_ahead(fill, len(rows), candidate, may_end=lazy and rule.ends_early)
        for predicted, proba in _classified(classify, rows, candidate, min(ahead, n_candidates - candidate)):
            if state is None:
                state = rule.start(labels, proba.shape[1], proba.dtype)
            needed = rule.unfinished(state)[rows]
            rule.add(state, rows[needed], candidate, predicted[needed], proba[needed])
            n_regenerations[rows] += needed if lazy else 1
            candidate += 1
        if lazy:
            rows = rows[rule.unfinished(state)[rows]]
        if progress is not None:
            progress(n - len(rows) if lazy else n * candidate // n_candidates)
    answers = rule.finish(state)
    lost = np.flatnonzero(~answers.kept)
    if original is not None and len(lost):
        answers.proba[lost], answers.candidate[lost] = original(lost), -1
    return Bunch(
        proba=put_label_on_top(answers.proba, labels),
        candidate=answers.candidate,
        kept=answers.kept,
        n_regenerations=n_regenerations,
    )


def _number_ahead(fill, n_rows, candidate, *, may_end):
    """Return how many candidates of each row to make at once."""
    if fill == 1:
        return 1
    # A row that has needed many candidates will probably need about as many again.
    late = min(_LATE_FILL * fill // n_rows, candidate)
    soon = fill // _FIRST_FILL if may_end and not candidate else fill
    return max(soon // n_rows, late, 1)


def _classified(classify, rows, candidate, ahead):
    """Yield the answers on one candidate after another, which are made all at once."""
    if ahead == 1:
        yield classify(rows, candidate)
        return
    candidates = np.repeat(np.arange(candidate, candidate + ahead), len(rows))
    predicted, proba = classify(np.tile(rows, ahead), candidates)
    yield from zip(np.split(predicted, ahead), np.split(proba, ahead), strict=True)

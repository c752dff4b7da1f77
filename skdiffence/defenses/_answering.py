"""From rows to defended answers: the classifier, the regenerator and a selection rule put together."""

import numpy as np
from sklearn.utils import Bunch

from skdiffence.defenses._diagnosis import by_class, warn_if_unchanged
from skdiffence.defenses._responses import put_label_on_top
from skdiffence.defenses._search import search, settle
from skdiffence.defenses.rules._first import FirstRule
from skdiffence.metrics import logit_signal
from skdiffence.utils._frames import as_numbers, like
from skdiffence.utils._sklearn import num_samples, safe_indexing

_MEASURED_CANDIDATES = 4


class Answering:
    """What a defended classifier does with rows, once its parts are fitted.

    Parameters
    ----------
    responses : Responses
        Of the classifier.
    regenerator : regenerator
        Fitted.
    n_candidates : int
        Candidates per row at most.
    fallback : {"swap", "original"}
        The answer where no candidate keeps the label.
    lazy : bool
        Whether a search ends with the first candidate that the rule accepts.
    """

    def __init__(self, responses, regenerator, *, n_candidates, fallback, lazy):
        self.responses = responses
        self.regenerator = regenerator
        self.n_candidates = n_candidates
        self.fallback = fallback
        self.lazy = lazy

    def candidates_for(self, rule):
        """How many candidates a rule can use here."""
        return min(self.n_candidates, rule.max_candidates or self.n_candidates)

    @property
    def fill(self):
        """How many regenerations cost hardly more than one; a regenerator that does not tell gets one at a time."""
        return getattr(self.regenerator, "rows_to_fill", 1)

    def respond(self, X, candidate):
        """Labels and probabilities of one candidate of each row."""
        return self.responses(self.regenerate(X, candidate))

    def regenerate(self, X, candidate):
        """One candidate of each row, as the classifier sees it."""
        return like(self.regenerator.regenerate(as_numbers(X), candidate), X)

    def select(self, X, labels, rule, progress=None):
        """Answer rows whose labels are known.

        Parameters
        ----------
        X : ndarray or data frame of shape (n, ...)
            Rows.
        labels : ndarray of shape (n,), dtype int
            The classifier's labels, as column indices.
        rule : Rule
            Fitted.
        progress : callable (n_rows) or None, default=None
            Told how many rows are finished.

        Returns
        -------
        found : Bunch
            As :func:`~skdiffence.defenses._search.search` returns it, the label on top of every row.
        """
        found = search(
            lambda rows, candidate: self.respond(safe_indexing(X, rows), candidate),
            labels,
            rule,
            self.candidates_for(rule),
            lazy=self.lazy,
            fill=self.fill,
            progress=progress,
        )
        # A rule that can take any candidate has nothing to fall back from.
        original = self.fallback == "original" and not rule.swaps
        return settle(found, labels, (lambda rows: self.responses(safe_indexing(X, rows))[1]) if original else None)

    def measure(self, X, rule, *, calibrate):
        """Measure the candidates of rows.

        Parameters
        ----------
        X : ndarray or data frame of shape (n, ...)
            Rows.
        rule : Rule
            Only its need of candidates is read; it may be unfitted.
        calibrate : bool
            Whether all candidates are needed, for the rule to learn from, or a few will do.

        Returns
        -------
        measured : Bunch
            ``phi`` (n, n_candidates + 1), what :meth:`Rule.fit` gets; ``retention`` and ``fallback_rate``,
            see :func:`~skdiffence.defenses._diagnosis.by_class`.
        """
        labels = self.responses.labels(X)
        n = self.candidates_for(rule) if calibrate else min(self.candidates_for(rule), _MEASURED_CANDIDATES)
        phi = np.full((num_samples(X), n + 1), np.nan)
        kept = np.empty((num_samples(X), n), dtype=bool)
        for candidate in range(n):
            answered, proba = self.respond(X, candidate)
            kept[:, candidate] = answered == labels
            counts = kept[:, candidate] | rule.swaps
            phi[counts, candidate] = rule.read(proba, labels)[counts]
        lost = np.flatnonzero(~kept.any(axis=1))
        if len(lost) and not rule.swaps:
            # These few are searched to the end, and what they would be answered belongs to the calibration.
            first = FirstRule()
            first.max_candidates = rule.max_candidates
            found = self.select(safe_indexing(X, lost), labels[lost], first)
            answers = logit_signal(labels[lost], put_label_on_top(found.proba, labels[lost]))
            lost, answers = lost[~found.kept], answers[~found.kept]
            phi[lost, -1] = answers
        warn_if_unchanged(self.regenerate(X, 0), X)
        n_classes = self.responses.n_classes
        return Bunch(
            phi=phi,
            retention=by_class(kept, labels, n_classes),
            fallback_rate=by_class(np.isin(np.arange(len(labels)), lost), labels, n_classes),
        )

"""How a rule would do at one setting of the regenerator, measured on calibration rows alone."""

import numpy as np
from sklearn.base import clone
from sklearn.utils import Bunch

from skdiffence.defenses._search import search, settle
from skdiffence.defenses.rules._divergence import cramer_von_mises
from skdiffence.metrics import confidence_signal, logit_signal


class CandidateTable:
    """What the classifier answers on every candidate of the calibration rows.

    Parameters
    ----------
    answering : Answering
        Of the defended classifier, with the regenerator as it is to be measured.
    X : ndarray or data frame of shape (n, ...)
        Calibration rows.
    y : ndarray of shape (n,), dtype int
        True labels as column indices, -1 for classes without a column.
    is_member : ndarray of shape (n,), dtype bool
        Which of them trained the classifier.
    n_candidates : int
        How many candidates the most demanding rule can use.
    """

    def __init__(self, answering, X, y, is_member, n_candidates):
        self.answering, self.y, self.is_member = answering, y, is_member
        self.labels, self.undefended = answering.responses(X)
        answers = [answering.respond(X, candidate) for candidate in range(n_candidates)]
        self.answered = np.stack([answered for answered, _ in answers])
        self.proba = np.stack([proba for _, proba in answers])

    @property
    def retention(self):
        """Share of the candidates that keep the label."""
        return float(np.mean(self.answered == self.labels))

    def phi(self, rule, rows):
        """Return what a rule learns from some of the rows, of shape (n_rows, n_candidates + 1)."""
        n = self.answering.candidates_for(rule)
        phi = np.full((len(rows), n + 1), np.nan)
        for candidate in range(n):
            counts = (self.answered[candidate, rows] == self.labels[rows]) | rule.swaps
            phi[counts, candidate] = rule.read(self.proba[candidate, rows], self.labels[rows])[counts]
        lost = np.isnan(phi).all(axis=1)
        fallback = self.undefended if self._falls_back_on_original(rule) else self.proba[n - 1]
        # Exchanged, the top entry is the label's.
        phi[lost, -1] = logit_signal(fallback[rows[lost]].argmax(axis=1), fallback[rows[lost]])
        return phi

    def answer(self, rule, rows):
        """Answer some of the rows under a fitted rule, as the defended classifier would."""
        labels, answering = self.labels[rows], self.answering
        found = search(
            lambda some, candidate: (self.answered[candidate, rows[some]], self.proba[candidate, rows[some]]),
            labels,
            rule,
            answering.candidates_for(rule),
            lazy=answering.lazy,
        )
        original = self._falls_back_on_original(rule)
        return settle(found, labels, (lambda some: self.undefended[rows[some]]) if original else None)

    def _falls_back_on_original(self, rule):
        return self.answering.fallback == "original" and not rule.swaps

    def fit_rule(self, rule, rows):
        """Fit a rule to some of the rows."""
        if rule.needs_members or rule.needs_non_members:
            sides = (rows[self.is_member[rows]], rows[~self.is_member[rows]])
            return rule.fit(*(self.phi(rule, side) for side in sides))
        return rule.fit(None, None)

    def measure(self, rule, n_folds):
        """Measure a rule on rows that it was not fitted to.

        Parameters
        ----------
        rule : Rule
            Unfitted. One that learns is fitted to all folds but one, and answers that one.
        n_folds : int
            Number of folds; rows of each side are dealt to them in turn.

        Returns
        -------
        measured : Bunch
            ``compared``, see ``cramer_von_mises`` in ``rules/_divergence.py``; ``calls`` a row, both sides
            counting alike; ``nll`` of non-members. Where the rule finds nothing to learn from, ``compared`` is None and
            ``error`` says why.
        """
        learns = rule.needs_members or rule.needs_non_members
        if learns and min(self.is_member.sum(), (~self.is_member).sum()) < 2:
            return Bunch(compared=None, error=ValueError("Rules that learn need two calibration rows of each side."))
        fold = self._folds(n_folds) if learns else np.zeros(len(self.labels), dtype=int)
        phi, calls, at_label = (np.empty(len(self.labels)) for _ in range(3))
        for number in np.unique(fold):
            rows, others = np.flatnonzero(fold == number), np.flatnonzero(fold != number)
            try:
                fitted = self.fit_rule(clone(rule), others if learns else rows)
            except ValueError as error:
                return Bunch(compared=None, error=error)
            found = self.answer(fitted, rows)
            phi[rows], calls[rows] = logit_signal(self.labels[rows], found.proba), found.n_regenerations
            at_label[rows] = confidence_signal(self.y[rows], found.proba)
        members, non_members = self.is_member, ~self.is_member
        return Bunch(
            compared=cramer_von_mises(phi[members], phi[non_members]),
            calls=float((calls[members].mean() + calls[non_members].mean()) / 2),
            nll=float(-np.log(np.maximum(at_label[non_members], np.finfo(np.float64).eps)).mean()),
        )

    def _folds(self, n_folds):
        fold = np.empty(len(self.labels), dtype=int)
        for side in (self.is_member, ~self.is_member):
            fold[side] = np.arange(side.sum()) % n_folds
        return fold

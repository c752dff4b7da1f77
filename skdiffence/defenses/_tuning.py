"""Measure rules on the candidates of calibration rows, at one timestep."""

import warnings

import numpy as np
from sklearn.base import clone
from sklearn.utils import Bunch

from skdiffence.defenses._answer import answer
from skdiffence.defenses._temperature import fit_temperature, scale
from skdiffence.defenses.rules._divergence import cramer_von_mises
from skdiffence.exceptions import DefenseWarning
from skdiffence.metrics import confidence_signal, failure_detection_auc, logit_signal
from skdiffence.utils._sklearn import InvalidParameterError

_FEWEST_MISTAKES = 5  # that a temperature for other rows is fitted to


class CandidateTable:
    """The classifier's labels and probabilities on all candidates of the calibration rows.

    Parameters
    ----------
    candidates : Candidates
        Of the defended classifier, with the regenerator at the timestep to measure.
    X : ndarray or data frame of shape (n, ...)
        Calibration rows.
    y : ndarray of shape (n,), dtype int
        True labels as column indices, -1 for classes without a column.
    is_member : ndarray of shape (n,), dtype bool
        True for rows that trained the classifier.
    rules : list of Rule
        The rules to measure, whose candidates are made.
    """

    def __init__(self, candidates, X, y, is_member, rules):
        self.candidates, self.y, self.is_member = candidates, y, is_member
        self.labels, self.undefended = candidates.classifier.predict_both(X)
        numbers = {rule.candidate(index) for rule in rules for index in range(candidates.number_for(rule))}
        self.classified = {number: candidates.classify(X, number) for number in numbers}

    @property
    def retention(self):
        """The share of candidates that keep the label."""
        return float(np.mean([predicted == self.labels for predicted, _ in self.classified.values()]))

    def on_candidate(self, rule, rows, index):
        """Return the classifier's labels and probabilities on a rule's candidate of some of the rows."""
        predicted, proba = self.classified[rule.candidate(index)]
        return predicted[rows], proba[rows]

    def phi(self, rule, rows):
        """Return phi of some of the rows, as :meth:`Rule.fit` gets it, of shape (n_rows, n_candidates + 1)."""
        n = self.candidates.number_for(rule)
        phi = np.full((len(rows), n + 1), np.nan)
        for index in range(n):
            predicted, proba = self.on_candidate(rule, rows, index)
            counts = (predicted == self.labels[rows]) | rule.relabels
            phi[counts, index] = rule.phi(proba, self.labels[rows])[counts]
        lost = np.isnan(phi).all(axis=1)
        fallback = self.undefended[rows[lost]] if self.candidates.falls_back_on_original(rule) else proba[lost]
        # After the exchange, the largest probability is the label's.
        phi[lost, -1] = logit_signal(fallback.argmax(axis=1), fallback)
        return phi

    def answer(self, rule, rows):
        """Return the answers for some of the rows under a fitted rule, as the defended classifier gives them."""
        return answer(
            lambda some, index: self.on_candidate(rule, rows[some], index),
            self.labels[rows],
            rule,
            self.candidates.number_for(rule),
            lazy=self.candidates.lazy,
            original=(lambda some: self.undefended[rows[some]])
            if self.candidates.falls_back_on_original(rule)
            else None,
        )

    def fit_rule(self, rule, rows):
        """Fit a rule to some of the rows."""
        if rule.needs_calibration:
            sides = (rows[self.is_member[rows]], rows[~self.is_member[rows]])
            return rule.fit(*(self.phi(rule, side) for side in sides))
        return rule.fit(None, None)

    def measure(self, rule, n_folds):
        """Measure a rule on calibration rows that it was not fitted to.

        Parameters
        ----------
        rule : Rule
            Unfitted. A rule that needs calibration rows is fitted to all folds but one, and answers that one.
        n_folds : int
            Number of folds; rows of each side are dealt to them in turn.

        Returns
        -------
        measured : Bunch
            ``compared``, see ``cramer_von_mises`` in ``rules/_divergence.py``; ``calls``, the mean number of
            candidates, both sides counting alike; what :meth:`worth` returns. If the rule cannot be fitted,
            ``compared`` is None and ``error`` is the error.

        Raises
        ------
        InvalidParameterError
            If a parameter of the rule is invalid.
        """
        learns = rule.needs_calibration
        if learns and min(self.is_member.sum(), (~self.is_member).sum()) < 2:
            return Bunch(compared=None, error=ValueError("Calibrating a rule takes two calibration rows of each side."))
        fold = self._folds(n_folds) if learns else np.zeros(len(self.labels), dtype=int)
        phi, calls = np.empty(len(self.labels)), np.empty(len(self.labels))
        proba = np.empty(self.undefended.shape)
        for number in np.unique(fold):
            rows, others = np.flatnonzero(fold == number), np.flatnonzero(fold != number)
            try:
                fitted = self.fit_rule(clone(rule), others if learns else rows)
            except InvalidParameterError:  # a mistake of the caller's, which other rows would not mend
                raise
            except ValueError as error:
                return Bunch(compared=None, error=error)
            found = self.answer(fitted, rows)
            phi[rows], calls[rows] = logit_signal(self.labels[rows], found.proba), found.n_regenerations
            proba[rows] = found.proba
        members, non_members = self.is_member, ~self.is_member
        return Bunch(
            compared=cramer_von_mises(phi[members], phi[non_members]),
            calls=float((calls[members].mean() + calls[non_members].mean()) / 2),
            **self.worth(proba[non_members], n_folds),
        )

    def worth(self, proba, n_folds):
        """Return what answers for the non-members are worth.

        Parameters
        ----------
        proba : ndarray of shape (n_non_members, n_classes)
            Answers.
        n_folds : int
            Number of folds for the temperature.

        Returns
        -------
        figures : dict of str to float
            ``nll``, the negative log-likelihood; ``recalibrated_nll``, the same where a temperature that was fitted
            to the other folds scales the answers of each fold, or one that was fitted to all rows where others have
            fewer than 5 mistakes; ``failure_detection_auc``, NaN unless some labels are right and some wrong.
        """
        y = self.y[~self.is_member]
        scaled = proba.copy()
        fold = np.arange(len(y)) % n_folds
        right = y == self.labels[~self.is_member]
        # Of one or two mistakes, a temperature learns to be sure of everything, and fails at the next one.
        few = np.sum(~right) - np.bincount(fold, ~right).max() < _FEWEST_MISTAKES
        for number in np.unique(fold) if len(y) > n_folds else ():
            rows = fold == number
            others = np.ones(len(y), dtype=bool) if few else ~rows
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DefenseWarning)  # without mistakes the temperature is 1
                temperature = fit_temperature(proba[others], y[others])
            scaled[rows] = scale(proba[rows], temperature)
        both = right.any() and not right.all()
        return {
            "nll": _mean_loss(proba, y),
            "recalibrated_nll": _mean_loss(scaled, y),
            "failure_detection_auc": failure_detection_auc(y, proba) if both else np.nan,
        }

    def _folds(self, n_folds):
        fold = np.empty(len(self.labels), dtype=int)
        for side in (self.is_member, ~self.is_member):
            fold[side] = np.arange(side.sum()) % n_folds
        return fold


def _mean_loss(proba, y):
    return float(-np.log(np.maximum(confidence_signal(y, proba), np.finfo(np.float64).eps)).mean())

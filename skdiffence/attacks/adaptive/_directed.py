"""The base of attacks that ask several times about a row, and measure one number."""

from abc import abstractmethod

import numpy as np
from sklearn.metrics import roc_auc_score
from sklearn.utils.validation import check_is_fitted

from skdiffence.attacks._answers import query
from skdiffence.attacks._known_rows import best_threshold
from skdiffence.base import MembershipAttack
from skdiffence.metrics import entropy_signal, logit_signal
from skdiffence.utils._sklearn import fit_context, num_samples
from skdiffence.utils._validation import check_is_member

SIGNALS = {
    "answered_logit": lambda answers: logit_signal(answers.label, answers.proba),
    "entropy": lambda answers: entropy_signal(None, answers.proba),
    "logit": lambda answers: logit_signal(answers.y, answers.proba),
}


def ask_signal(target, X, y, signal):
    """Ask a target once about rows and return one of SIGNALS of each answer, of shape (n_samples,)."""
    return SIGNALS[signal](query(target, X, y))


class DirectedAttack(MembershipAttack):
    """Base class of attacks that measure one number a row and learn at which end of it members are.

    A subclass writes ``_measure``, and ``_prepare`` if it must learn something before.
    """

    family = "adaptive"
    shares_answers = True

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, target, X, y, is_member):
        """Learn from rows whose membership the attacker knows.

        Parameters
        ----------
        target : classifier
            A fitted classifier. It is asked, never changed.
        X : array-like of shape (n_samples, ...)
            Rows known to the attacker.
        y : array-like of shape (n_samples,)
            Their true labels.
        is_member : array-like of shape (n_samples,), dtype bool
            True for rows that the target was trained on; both sides must be present.

        Returns
        -------
        self : MembershipAttack

        Raises
        ------
        TypeError
            If the target lacks a method that the attack asks.
        ValueError
            If a parameter or X can't be used, lengths differ or a side is empty.
        """
        is_member = check_is_member(is_member, num_samples(X), both_sides=True)
        self._prepare(target, X)
        measured = self._measure(target, X, y)
        direction = 1 if roc_auc_score(is_member, measured) >= 0.5 else -1
        self.threshold_ = best_threshold(is_member, direction * measured)
        self.target_, self.direction_ = target, direction
        return self

    def score_samples(self, X, y):
        """Score rows; higher means more likely a member.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Rows of unknown membership.
        y : array-like of shape (n_samples,)
            Their true labels.

        Returns
        -------
        scores : ndarray of shape (n_samples,), dtype float64
            What was measured, in the learned direction.
        """
        check_is_fitted(self, "target_")
        return self.direction_ * np.asarray(self._measure(self.target_, X, y), dtype=np.float64)

    def _prepare(self, target, X):  # noqa: B027 most attacks have nothing to prepare
        """Check what can be checked before the target is asked, and learn what does not need it."""

    @abstractmethod
    def _measure(self, target, X, y):
        """Return one finite number a row, of shape (n_samples,)."""

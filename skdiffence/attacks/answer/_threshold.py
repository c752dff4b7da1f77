"""Attacks by a threshold on one signal of the answer."""

import numpy as np
from sklearn.metrics import roc_auc_score
from sklearn.utils.validation import check_is_fitted

from skdiffence.attacks._single_query import SingleQueryAttack, best_threshold, check_known
from skdiffence.metrics import (
    confidence_signal,
    entropy_signal,
    logit_signal,
    loss_signal,
    modified_entropy_signal,
)
from skdiffence.utils._sklearn import StrOptions, fit_context


def _answered_correctly(answers):
    # From the answered label, which for some targets is not the most probable class.
    return answers.correct.astype(np.float64)


def _on_arrays(signal):
    def of_answers(answers):
        return signal(answers.y, answers.proba)

    return of_answers


_SIGNALS = {
    "confidence": _on_arrays(confidence_signal),
    "correctness": _answered_correctly,
    "entropy": _on_arrays(entropy_signal),
    "logit": _on_arrays(logit_signal),
    "loss": _on_arrays(loss_signal),
    "modified_entropy": _on_arrays(modified_entropy_signal),
}


class ThresholdAttack(SingleQueryAttack):
    """Call a row a member if one signal of the answer is high enough.

    The direction and the threshold are learned on the rows whose membership the attacker knows: a defense
    that makes members less confident than non-members is attacked the other way round.

    Parameters
    ----------
    signal : {"confidence", "correctness", "entropy", "logit", "loss", "modified_entropy"}, default="confidence"
        What is compared with the threshold, see :mod:`skdiffence.metrics`. "correctness" needs nothing but
        the label, so no label-preserving defense can do anything about it.
    threshold : {"global", "per_class"}, default="global"
        One threshold for all rows, or one for each true class. Classes of which the attacker does not know
        both members and non-members use the global one.

    Attributes
    ----------
    target_ : classifier
        The target, after ``fit``.
    direction_ : {-1, 1}
        Whether members have the lower or the higher signal among the known rows.
    threshold_ : float
        Scores of at least this are called members; 0.0 with per-class thresholds, which the scores are
        relative to.
    class_thresholds_ : ndarray of shape (n_classes + 1,)
        With ``threshold="per_class"``: by column, the last for classes that the target does not know.

    See Also
    --------
    NonMonotoneAttack : Finds also what no threshold finds.

    Notes
    -----
    Scores of "confidence" and "loss" order rows alike.

    References
    ----------
    Yeom et al., "Privacy risk in machine learning: analyzing the connection to overfitting", CSF 2018.

    Song and Mittal, "Systematic evaluation of privacy risks of machine learning models", USENIX Security 2021.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> from skdiffence.attacks import ThresholdAttack
    >>> X, y = load_digits(return_X_y=True)
    >>> is_member = y[:800] >= 0
    >>> is_member[::2] = False
    >>> forest = RandomForestClassifier(20, random_state=0).fit(X[:800][is_member], y[:800][is_member])
    >>> attack = ThresholdAttack("entropy").fit(forest, X[:400], y[:400], is_member[:400])
    >>> called = attack.predict(X[400:800], y[400:800])
    >>> bool((called == is_member[400:]).mean() > 0.7)
    True
    """

    _parameter_constraints: dict = {
        "signal": [StrOptions(set(_SIGNALS))],
        "threshold": [StrOptions({"global", "per_class"})],
    }

    def __init__(self, signal="confidence", *, threshold="global"):
        self.signal = signal
        self.threshold = threshold

    @property
    def uses(self):
        """What is read in an answer: "labels" for the signal "correctness", otherwise "proba"."""
        return "labels" if self.signal == "correctness" else "proba"

    @fit_context(prefer_skip_nested_validation=True)
    def fit_answers(self, answers, is_member):
        """Learn direction and threshold from answers to known rows.

        Parameters
        ----------
        answers : Answers
            What the target answered.
        is_member : array-like of shape (n_samples,), dtype bool
            True for rows that the target was trained on.

        Returns
        -------
        self : ThresholdAttack
        """
        is_member = check_known(is_member, len(answers))
        signal = _SIGNALS[self.signal](answers)
        self.direction_ = 1 if roc_auc_score(is_member, signal) >= 0.5 else -1
        scores = self.direction_ * signal
        self.threshold_ = best_threshold(is_member, scores)
        if self.threshold == "per_class":
            self.class_thresholds_ = self._class_thresholds(answers, is_member, scores)
            self.threshold_ = 0.0
        return self

    def _class_thresholds(self, answers, is_member, scores):
        thresholds = np.full(len(answers.classes) + 1, self.threshold_)
        for column in np.unique(answers.y):
            rows = answers.y == column
            if is_member[rows].any() and not is_member[rows].all():
                thresholds[column] = best_threshold(is_member[rows], scores[rows])
        return thresholds

    def score_answers(self, answers):
        """Score answers; higher means more likely a member.

        Parameters
        ----------
        answers : Answers
            What the target answered.

        Returns
        -------
        scores : ndarray of shape (n_samples,), dtype float64
            The signal in the learned direction, less the row's class threshold if there are such.
        """
        check_is_fitted(self, "direction_")
        scores = self.direction_ * _SIGNALS[self.signal](answers)
        return scores - self.class_thresholds_[answers.y] if self.threshold == "per_class" else scores

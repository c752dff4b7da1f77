"""The attack that thresholds one signal of the answer."""

import numpy as np

from skdiffence.attacks._known_rows import best_threshold, learn_direction
from skdiffence.attacks.answer._signal_attack import SignalAttack
from skdiffence.utils._sklearn import StrOptions


class ThresholdAttack(SignalAttack):
    """Call a row a member if one signal of the answer is high enough.

    The direction and the threshold are learned on the rows whose membership the attacker knows. If a defense makes
    members less confident than non-members, low confidence indicates a member.

    Parameters
    ----------
    signal : str, default="confidence"
        The signal that is thresholded, see :mod:`skdiffence.metrics`: "confidence", "correctness", "entropy", "hinge",
        "logit", "loss" or "modified_entropy". "correctness" reads labels only, so a defense that keeps labels has no
        effect on it.
    threshold : {"global", "per_class"}, default="global"
        One threshold for all rows, or one for each true class. A class without known rows of both sides uses the
        global threshold.

    Attributes
    ----------
    target_ : classifier
        The target, after ``fit``.
    direction_ : {-1, 1}
        -1 if members have the lower signal among the known rows, 1 if they have the higher one.
    threshold_ : float
        Rows that score at least this are called members. 0.0 with ``threshold="per_class"``, because scores are then
        differences to the threshold of the class.
    class_thresholds_ : ndarray of shape (n_classes + 1,)
        The threshold of each column, and last that of classes without a column. Only with ``threshold="per_class"``.

    See Also
    --------
    NonMonotoneAttack : Needs no monotone relation of signal and membership.

    Notes
    -----
    Cost: one query for each row. "confidence" and "loss" order rows in the same way.

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
        **SignalAttack._parameter_constraints,
        "threshold": [StrOptions({"global", "per_class"})],
    }

    def __init__(self, signal="confidence", *, threshold="global"):
        self.signal = signal
        self.threshold = threshold

    @property
    def needs_true_labels(self):
        """Whether true labels are read: for most signals, and for thresholds of classes."""
        return self.threshold == "per_class" or super().needs_true_labels

    def _learn(self, answers, is_member):
        signal = answers.signal(self.signal)
        self.direction_ = learn_direction(is_member, signal)
        scores = self.direction_ * signal
        self.threshold_ = best_threshold(is_member, scores)
        if self.threshold == "per_class":
            self.class_thresholds_ = self._class_thresholds(answers, is_member, scores)
            self.threshold_ = 0.0

    def _class_thresholds(self, answers, is_member, scores):
        thresholds = np.full(len(answers.classes) + 1, self.threshold_)
        for column in np.unique(answers.y):
            rows = answers.y == column
            if is_member[rows].any() and not is_member[rows].all():
                thresholds[column] = best_threshold(is_member[rows], scores[rows])
        return thresholds

    def _score(self, answers):
        scores = self.direction_ * answers.signal(self.signal)
        return scores - self.class_thresholds_[answers.y] if self.threshold == "per_class" else scores

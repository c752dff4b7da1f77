"""The attack by the label alone: what no defense that keeps labels can hide."""

import numpy as np
from sklearn.metrics import roc_auc_score
from sklearn.utils.validation import check_is_fitted

from skdiffence.attacks._labels import check_labels, labeled_correctly
from skdiffence.attacks._single_query import SingleQueryAttack, check_known
from skdiffence.utils._sklearn import num_samples


class CorrectnessAttack(SingleQueryAttack):
    """Call a row a member if it is labeled correctly.

    The gap attack: its balanced accuracy is one half plus half the gap between the target's accuracy on members
    and on others. Whatever a defense does to confidence, this remains as long as it keeps the labels, so it is the
    floor that other attacks are held against.

    Attributes
    ----------
    target_ : classifier
        The target, after ``fit``.
    direction_ : {-1, 1}
        Whether members are labeled correctly less or more often than others among the known rows. Nothing else is
        learned.
    threshold_ : float
        Halfway between the two scores that there are: with direction 1, all rows labeled correctly are called
        members, and no others.

    See Also
    --------
    ThresholdAttack : With the signal "correctness" it gives the same scores, but accuses nobody where that is as
        good.

    Notes
    -----
    One query a row, of ``predict`` alone: ``fit`` and ``score_samples`` need no ``predict_proba``.

    References
    ----------
    Yeom et al., "Privacy risk in machine learning: analyzing the connection to overfitting", CSF 2018,
    section 3.1.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.svm import LinearSVC
    >>> from skdiffence.attacks import CorrectnessAttack
    >>> X, y = load_digits(return_X_y=True)
    >>> is_member = y[:400] >= 0
    >>> is_member[::2] = False
    >>> target = LinearSVC(random_state=0).fit(X[:400][is_member], y[:400][is_member])
    >>> attack = CorrectnessAttack().fit(target, X[:200], y[:200], is_member[:200])
    >>> called = attack.predict(X[200:400], y[200:400])
    >>> bool((called == (target.predict(X[200:400]) == y[200:400])).all())
    True
    """

    uses = "labels"

    def fit(self, target, X, y, is_member):
        """Learn from rows whose membership the attacker knows.

        Parameters
        ----------
        target : classifier
            A fitted classifier with ``predict``. It is asked, never changed.
        X : array-like of shape (n_samples, ...)
            Rows known to the attacker.
        y : array-like of shape (n_samples,)
            Their true labels.
        is_member : array-like of shape (n_samples,), dtype bool
            True for rows that the target was trained on; both sides must be present.

        Returns
        -------
        self : CorrectnessAttack

        Raises
        ------
        ValueError
            If lengths differ or a side is empty.
        TypeError
            If the target has no ``predict``.
        """
        is_member = check_known(is_member, num_samples(X))
        self._learn(_ask(target, X, y), is_member)
        self.target_ = target
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
        """
        check_is_fitted(self, "target_")
        return self._score(_ask(self.target_, X, y))

    def fit_answers(self, answers, is_member):
        """Learn from answers to rows whose membership the attacker knows.

        Parameters
        ----------
        answers : Answers
            What the target answered.
        is_member : array-like of shape (n_samples,), dtype bool
            True for rows that the target was trained on.

        Returns
        -------
        self : CorrectnessAttack
        """
        self._learn(answers.correct, check_known(is_member, len(answers)))
        return self

    def score_answers(self, answers):
        """Score answers; higher means more likely a member.

        Parameters
        ----------
        answers : Answers
            What the target answered.

        Returns
        -------
        scores : ndarray of shape (n_samples,), dtype float64
            1 for a correct label and 0 for a wrong one, in the learned direction.
        """
        check_is_fitted(self, "direction_")
        return self._score(answers.correct)

    def _learn(self, correct, is_member):
        self.direction_ = 1 if roc_auc_score(is_member, correct) >= 0.5 else -1
        self.threshold_ = self.direction_ / 2

    def _score(self, correct):
        return self.direction_ * correct.astype(np.float64)


def _ask(target, X, y):
    return labeled_correctly(target, X, check_labels(target, X, y))

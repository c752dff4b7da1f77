"""The base of attacks that ask about each row once, and so can share their queries."""

from abc import abstractmethod

import numpy as np
from sklearn.metrics import roc_curve
from sklearn.utils.validation import check_is_fitted

from skdiffence.attacks._answers import query
from skdiffence.base import MembershipAttack
from skdiffence.metrics._scores import check_membership
from skdiffence.utils._sklearn import num_samples


class SingleQueryAttack(MembershipAttack):
    """Base class of attacks that need one answer a row and nothing else.

    ``fit`` and ``score_samples`` ask the target and hand the answers to ``fit_answers`` and
    ``score_answers``; whoever runs several attacks asks once with :func:`query` and calls the latter.

    See Also
    --------
    ThresholdAttack : One signal, one threshold.
    NonMonotoneAttack : A forest on the whole answer.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> from skdiffence.attacks import ThresholdAttack, query
    >>> X, y = load_digits(return_X_y=True)
    >>> is_member = y[:400] >= 0
    >>> is_member[::2] = False
    >>> forest = RandomForestClassifier(10, random_state=0).fit(X[:400][is_member], y[:400][is_member])
    >>> answers = query(forest, X[:400], y[:400])
    >>> [ThresholdAttack(s).fit_answers(answers, is_member).direction_ for s in ("confidence", "entropy")]
    [1, 1]
    """

    asks_once = True

    def fit(self, target, X, y, is_member):
        """Learn from rows whose membership the attacker knows.

        Parameters
        ----------
        target : classifier
            A fitted classifier with ``predict`` and ``predict_proba``. It is asked, never changed.
        X : array-like of shape (n_samples, ...)
            Rows known to the attacker.
        y : array-like of shape (n_samples,)
            Their true labels.
        is_member : array-like of shape (n_samples,), dtype bool
            True for rows that the target was trained on; both sides must be present.

        Returns
        -------
        self : SingleQueryAttack

        Raises
        ------
        ValueError
            If lengths differ or a side is empty.
        TypeError
            If the target has no ``predict_proba``.
        """
        check_known(is_member, num_samples(X))
        self.fit_answers(query(target, X, y), is_member)
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
        return self.score_answers(query(self.target_, X, y))

    @abstractmethod
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
        self : SingleQueryAttack
        """

    @abstractmethod
    def score_answers(self, answers):
        """Score answers; higher means more likely a member.

        Parameters
        ----------
        answers : Answers
            What the target answered.

        Returns
        -------
        scores : ndarray of shape (n_samples,), dtype float64
        """


def check_known(is_member, n_samples):
    """Return the memberships that an attacker knows as booleans.

    Parameters
    ----------
    is_member : array-like of shape (n_samples,)
        Booleans, or 0 and 1.
    n_samples : int
        How many there must be.

    Returns
    -------
    is_member : ndarray of shape (n_samples,), dtype bool

    Raises
    ------
    ValueError
        If there are not as many, or a side is missing.
    """
    is_member = np.asarray(is_member)
    if is_member.shape != (n_samples,):
        raise ValueError(f"is_member must hold one value for each of {n_samples} rows. Got shape {is_member.shape}.")
    if is_member.dtype.kind not in "biuf" or len(np.unique(is_member)) != 2 or not np.isin(is_member, (0, 1)).all():
        raise ValueError(
            "is_member must hold True for members and False for non-members, at least one of each. "
            f"Got the values {np.unique(is_member)[:5]}."
        )
    return is_member.astype(bool)


def best_threshold(is_member, scores):
    """Return the threshold of highest balanced accuracy on known rows.

    Parameters
    ----------
    is_member : ndarray of shape (n_samples,), dtype bool
        Both sides present.
    scores : ndarray of shape (n_samples,)
        Higher means more likely a member.

    Returns
    -------
    threshold : float
        Rows that score at least this are called members. It lies halfway between the two scores that it
        separates; of several equally good ones, the highest.
    """
    is_member, scores = check_membership(is_member, scores)
    fpr, tpr, levels = roc_curve(is_member, scores, drop_intermediate=False)
    best = (tpr - fpr).argmax()
    if best == 0:  # accuse nobody
        return float(np.nextafter(levels[1], np.inf))
    if best == len(levels) - 1:
        return float(levels[-1])
    middle = levels[best] / 2 + levels[best + 1] / 2
    # Neighboring floats have no middle.
    return float(middle if middle > levels[best + 1] else levels[best])

"""Base classes of attacks: one answer for each row, or several queries."""

from abc import abstractmethod

from sklearn.utils.validation import check_is_fitted

from skdiffence.attacks._answers import query
from skdiffence.base import MembershipAttack
from skdiffence.utils._frames import check_detached
from skdiffence.utils._sklearn import fit_context, num_samples
from skdiffence.utils._validation import check_is_member


def _check_true_labels(attack, y):
    if y is None and attack.needs_true_labels:
        raise ValueError(f"y must hold the true label of each row, which {type(attack).__name__} reads. Got None.")


class SingleQueryAttack(MembershipAttack):
    """Base class of attacks that need one answer for each row and nothing else.

    ``fit`` and ``score_samples`` query the target and pass the answers to ``fit_answers`` and ``score_answers``. To run
    several attacks on the same answers, call :func:`query` once and then these two methods of each attack.

    A subclass writes ``_learn(answers, is_member)``, which sets ``threshold_``, and ``_score(answers)``.

    See Also
    --------
    ThresholdAttack : Thresholds one signal.
    NonMonotoneAttack : Fits a random forest to a summary of the answer.

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

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, target, X, y, is_member):
        """Fit the attack to rows whose membership the attacker knows.

        Parameters
        ----------
        target : classifier
            A fitted classifier with ``predict`` and, unless the attack needs labels only, ``predict_proba``. It is
            queried, never changed.
        X : array-like of shape (n_samples, ...)
            Known rows.
        y : array-like of shape (n_samples,)
            True labels.
        is_member : array-like of shape (n_samples,), dtype bool
            True for rows that the target was trained on. Both sides must be present.

        Returns
        -------
        self : SingleQueryAttack
            The fitted attack.

        Raises
        ------
        ValueError
            If lengths differ, one side is missing, or the attack can't use the answers.
        TypeError
            If the target lacks a method that the attack queries.
        """
        check_is_member(is_member, num_samples(X), both_sides=True)
        _check_true_labels(self, y)
        self.fit_answers(self._query(target, X, y), is_member)
        self.target_ = target
        return self

    def score_samples(self, X, y):
        """Return the score of each row; higher means more likely a member.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Rows of unknown membership.
        y : array-like of shape (n_samples,)
            True labels.

        Returns
        -------
        scores : ndarray of shape (n_samples,), dtype float64
            See ``score_answers``.
        """
        check_is_fitted(self, "target_")
        _check_true_labels(self, y)
        return self.score_answers(self._query(self.target_, X, y))

    @fit_context(prefer_skip_nested_validation=False)
    def fit_answers(self, answers, is_member):
        """Fit the attack to answers for rows whose membership the attacker knows.

        Parameters
        ----------
        answers : Answers
            The target's answers, see :func:`query`.
        is_member : array-like of shape (n_samples,), dtype bool
            True for rows that the target was trained on. Both sides must be present.

        Returns
        -------
        self : SingleQueryAttack
            The fitted attack.

        Raises
        ------
        ValueError
            If lengths differ, one side is missing, or the attack can't use the answers.
        """
        _check_true_labels(self, answers.y)
        self._learn(answers, check_is_member(is_member, len(answers), both_sides=True))
        return self

    def score_answers(self, answers):
        """Return the score of each answer; higher means more likely a member.

        Parameters
        ----------
        answers : Answers
            The target's answers, see :func:`query`.

        Returns
        -------
        scores : ndarray of shape (n_samples,), dtype float64
            In the units of ``threshold_``.
        """
        check_is_fitted(self, "threshold_")
        _check_true_labels(self, answers.y)
        return self._score(answers)

    def _query(self, target, X, y):
        return query(target, X, y)

    @abstractmethod
    def _learn(self, answers, is_member):
        """Set ``threshold_`` and what ``_score`` needs."""

    @abstractmethod
    def _score(self, answers):
        """Return one score for each answer, of shape (n_samples,)."""


class MultipleQueryAttack(MembershipAttack):
    """Base class of attacks that query the target about changed rows, or about the same row several times.

    A subclass writes ``_observe(target, X, y)``, which queries the target, ``_learn(observed, is_member)``, which sets
    ``threshold_``, ``_score(observed)``, and ``_prepare(target, X, y)``, which is called first in ``fit``.
    """

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, target, X, y, is_member):
        """Fit the attack to rows whose membership the attacker knows.

        Parameters
        ----------
        target : classifier
            A fitted classifier. It is queried, never changed.
        X : array-like of shape (n_samples, ...)
            Known rows.
        y : array-like of shape (n_samples,)
            True labels.
        is_member : array-like of shape (n_samples,), dtype bool
            True for rows that the target was trained on. Both sides must be present.

        Returns
        -------
        self : MembershipAttack
            The fitted attack.

        Raises
        ------
        NotFittedError
            If a classifier of the attacker's own is not fitted.
        TypeError
            If the target lacks a method that the attack queries, or X is sparse.
        ValueError
            If a parameter or X can't be used, lengths differ, or one side is missing.
        """
        check_detached(X)
        is_member = check_is_member(is_member, num_samples(X), both_sides=True)
        _check_true_labels(self, y)
        self._prepare(target, X, y)
        self._learn(self._observe(target, X, y), is_member)
        self.target_ = target
        return self

    def score_samples(self, X, y):
        """Return the score of each row; higher means more likely a member.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Rows of unknown membership.
        y : array-like of shape (n_samples,)
            True labels.

        Returns
        -------
        scores : ndarray of shape (n_samples,), dtype float64
            In the units of ``threshold_``.
        """
        check_is_fitted(self, "target_")
        check_detached(X)
        _check_true_labels(self, y)
        return self._score(self._observe(self.target_, X, y))

    @abstractmethod
    def _prepare(self, target, X, y):
        """Check what can be checked before the target is queried, and learn what does not depend on its answers."""

    @abstractmethod
    def _observe(self, target, X, y):
        """Query the target about each row and return what the score is made of."""

    @abstractmethod
    def _learn(self, observed, is_member):
        """Set ``threshold_`` and what ``_score`` needs."""

    @abstractmethod
    def _score(self, observed):
        """Return one score for each row, of shape (n_samples,)."""

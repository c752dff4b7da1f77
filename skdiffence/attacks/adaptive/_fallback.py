"""An attack on answers that a defense gave without defending them."""

from numbers import Integral, Real

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skdiffence.attacks._answers import query
from skdiffence.attacks.adaptive._brought import ask_own
from skdiffence.attacks.adaptive._changed_rows import check_numeric, learn_range
from skdiffence.attacks.adaptive._learned import learn_score, score_features
from skdiffence.attacks.adaptive._neighbors import Neighbors
from skdiffence.base import MembershipAttack
from skdiffence.metrics import logit_signal
from skdiffence.metrics._signals import check_proba
from skdiffence.utils._random import draw_seed
from skdiffence.utils._sklearn import HasMethods, Interval, StrOptions, fit_context, num_samples
from skdiffence.utils._validation import check_is_member

# Below any probability of a float32 softmax, so that two answers of "never" are alike.
_FLOOR = 1e-45
_CHANGED_ROW, _ROUNDING = 0.05, 0.001


class FallbackAttack(MembershipAttack):
    """Recognize the rows that are answered undefended, and judge these and the others each by their own rule.

    A defense that answers as if it were not there where it finds no regeneration to its liking says two things: that
    it found none, and what the bare classifier thinks of the row.

    Parameters
    ----------
    undefended : classifier or None, default=None
        The bare classifier, fitted: the worst case, in which the attacker, or the owner who audits, can compare each
        answer with the undefended one. Inside ``FrozenEstimator`` it survives cloning. None recognizes an undefended
        answer by its hardly changing when the row hardly changes.
    neighbor : {"quantum", "exact", "ulp"}, default="quantum"
        How the row is changed, see :class:`RepeatedQueryAttack`. "exact" will do against noise that is drawn anew for
        every answer. Not used with ``undefended``.
    k : int, default=3
        Queries for each row, at least two; the first is the row itself. Not used with ``undefended``.
    tolerance : float or "auto", default="auto"
        Two answers are the same if no logarithm of a probability differs by more. "auto" is 0.001 with ``undefended``,
        for rounding, and 0.05 without, for what the change of the row does to an undefended answer.
    value_range : "auto" or pair, default="auto"
        Lowest and highest value, see :class:`RepeatedQueryAttack`. Not used with ``undefended``.
    random_state : int, RandomState instance or None, default=None
        Seeds how rows are changed.

    Attributes
    ----------
    target_ : classifier
        The target, after ``fit``.
    model_ : Pipeline
        A logistic regression on phi, with an intercept and a slope for rows that seem to be answered undefended and
        others for the rest.
    threshold_ : float
        Scores of at least this are called members; learned on scores of known rows by models that did not know them.
    undefended_rate_ : float
        Share of the known rows that seem to be answered undefended.
    neighbors_ : object or None
        Makes the changed rows.
    row_shape_ : tuple of int or None
        Shape of a row, where rows are changed.

    See Also
    --------
    skdiffence.defenses.DefendedClassifier : ``fallback="swap"`` gives no undefended answer.

    Notes
    -----
    Cost: one query of the target and one of the bare classifier for each row; without ``undefended``, k queries of
    the target.

    Without ``undefended`` nothing is recognized where regenerated answers hardly change either, as they do under noise
    that is the same for all rows: all rows then seem undefended, and the score is phi alone.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> from sklearn.frozen import FrozenEstimator
    >>> from skdiffence.attacks import FallbackAttack
    >>> X, y = load_digits(return_X_y=True)
    >>> is_member = y[:400] >= 0
    >>> is_member[::2] = False
    >>> forest = RandomForestClassifier(20, random_state=0).fit(X[:400][is_member], y[:400][is_member])
    >>> attack = FallbackAttack(FrozenEstimator(forest)).fit(forest, X[:200], y[:200], is_member[:200])
    >>> attack.undefended_rate_
    1.0
    """

    shares_answers = True

    _parameter_constraints: dict = {
        "undefended": [HasMethods(["predict", "predict_proba"]), None],
        "neighbor": [StrOptions({"exact", "quantum", "ulp"})],
        "k": [Interval(Integral, 2, None, closed="left")],
        "tolerance": [StrOptions({"auto"}), Interval(Real, 0, None, closed="left")],
        "value_range": [StrOptions({"auto"}), tuple, list, np.ndarray],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        undefended=None,
        *,
        neighbor="quantum",
        k=3,
        tolerance="auto",
        value_range="auto",
        random_state=None,
    ):
        self.undefended = undefended
        self.neighbor = neighbor
        self.k = k
        self.tolerance = tolerance
        self.value_range = value_range
        self.random_state = random_state

    @property
    def family(self):
        """What is examined: one answer with ``undefended``, otherwise answers for changed rows as well."""
        return "adaptive" if self.undefended is None else "answer"

    @fit_context(prefer_skip_nested_validation=True)
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
        self : FallbackAttack

        Raises
        ------
        NotFittedError
            If ``undefended`` is not fitted.
        TypeError
            If the target has no ``predict_proba``.
        ValueError
            If a parameter or X can't be used, lengths differ or a side is empty.
        """
        is_member = check_is_member(is_member, num_samples(X), both_sides=True)
        self.neighbors_ = self.row_shape_ = None
        if self.undefended is None:
            X = check_numeric(X)
            value_range, seed = learn_range(X, self.value_range), draw_seed(self.random_state)
            self.row_shape_ = X.shape[1:]
            self.neighbors_ = Neighbors(self.neighbor, X, value_range, share=1.0, seed=seed)
        phi, seems_undefended = self._ask(target, X, y)
        self.undefended_rate_ = float(seems_undefended.mean())
        self.model_, self.threshold_ = learn_score(_features(phi, seems_undefended), is_member)
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
            Logarithm of the odds of membership, for as many members as others.
        """
        check_is_fitted(self, "target_")
        return score_features(self.model_, _features(*self._ask(self.target_, X, y)))

    def _ask(self, target, X, y):
        """Return phi at the true label, and whether the answer seems to be the undefended one."""
        if self.neighbors_ is not None:
            X = check_numeric(X, self.row_shape_)
        answers = query(target, X, y)
        if self.neighbors_ is None:
            others = [ask_own("undefended", self.undefended, X, y, answers.classes)]
        else:
            others = [query(target, self.neighbors_.make(X, number), y) for number in range(1, self.k)]
        change = np.max([_distance(answers.proba, other.proba) for other in others], axis=0)
        return logit_signal(answers.y, answers.proba), change <= self._tolerance()

    def _tolerance(self):
        if self.tolerance != "auto":
            return self.tolerance
        return _CHANGED_ROW if self.undefended is None else _ROUNDING


def _distance(proba, other):
    logs = np.log(check_proba(proba) + _FLOOR), np.log(check_proba(other) + _FLOOR)
    return np.abs(logs[0] - logs[1]).max(axis=1)


def _features(phi, seems_undefended):
    return np.column_stack([seems_undefended, phi * seems_undefended, phi * ~seems_undefended])

"""An attack on answers that a defense gave without defending them."""

from numbers import Integral, Real

import numpy as np

from skdiffence.attacks._answers import query
from skdiffence.attacks._changed_rows import check_array, learn_range
from skdiffence.attacks.adaptive._auxiliary import query_auxiliary
from skdiffence.attacks.adaptive._base import RegressionAttack
from skdiffence.attacks.adaptive._neighbors import Neighbors
from skdiffence.metrics._signals import check_proba
from skdiffence.utils._random import draw_seed
from skdiffence.utils._sklearn import HasMethods, Interval, StrOptions

# Below any probability of a float32 softmax, so that two answers of "never" are alike.
_FLOOR = 1e-45
_CHANGED_ROW, _ROUNDING = 0.05, 0.001


class FallbackAttack(RegressionAttack):
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

    def _prepare(self, target, X, y):
        self.neighbors_ = self.row_shape_ = None
        if self.undefended is None:
            X = self._check_known_rows(X)
            value_range, seed = learn_range(X, self.value_range), draw_seed(self.random_state)
            self.neighbors_ = Neighbors(self.neighbor, X, value_range, share=1.0, seed=seed)

    def _observe(self, target, X, y):
        """Return whether each answer seems undefended, phi of those that do, and phi of the others."""
        if self.neighbors_ is not None:
            X = check_array(X, self.row_shape_)
        answers = query(target, X, y)
        if self.neighbors_ is None:
            others = [query_auxiliary("undefended", self.undefended, X, y, answers.classes)]
        else:
            others = [query(target, self.neighbors_.make(X, number), y) for number in range(1, self.k)]
        change = np.max([_distance(answers.proba, other.proba) for other in others], axis=0)
        undefended, phi = change <= self._tolerance(), answers.signal("logit")
        return np.column_stack([undefended, phi * undefended, phi * ~undefended])

    def _learn(self, features, is_member):
        self.undefended_rate_ = float(features[:, 0].mean())
        super()._learn(features, is_member)

    def _tolerance(self):
        if self.tolerance != "auto":
            return self.tolerance
        return _CHANGED_ROW if self.undefended is None else _ROUNDING


def _distance(proba, other):
    logs = np.log(check_proba(proba) + _FLOOR), np.log(check_proba(other) + _FLOOR)
    return np.abs(logs[0] - logs[1]).max(axis=1)

"""The attack on answers that a defense gives undefended."""

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

# Below any positive probability of a float32 softmax.
_FLOOR = 1e-45
_CHANGED_ROW, _ROUNDING = 0.05, 0.001


class FallbackAttack(RegressionAttack):
    """Detect undefended answers, and score them and the other answers separately.

    A defense that falls back to the undefended answer where it finds no acceptable regeneration reveals that it found
    none, and the answer of the bare classifier.

    Parameters
    ----------
    undefended : classifier or None, default=None
        The fitted bare classifier. This is the worst case, in which the attacker, or the owner in an audit, compares
        each answer with the undefended one. Inside ``FrozenEstimator`` it survives cloning. If None, an answer counts
        as undefended if it hardly changes when the row hardly changes.
    neighbor : {"quantum", "exact", "ulp"}, default="quantum"
        How the row is changed, see :class:`RepeatedQueryAttack`. "exact" is enough against noise that is drawn anew for
        every answer. Not used with ``undefended``.
    k : int, default=3
        Number of queries for each row, at least two; the first is the row itself. Not used with ``undefended``.
    tolerance : float or "auto", default="auto"
        Maximum difference of log-probabilities of equal answers. "auto" is 0.001 with ``undefended``, which allows for
        rounding, and 0.05 without, which allows for the change of the row.
    value_range : "auto" or pair, default="auto"
        Lowest and highest value, see :class:`RepeatedQueryAttack`. Not used with ``undefended``.
    random_state : int, RandomState instance or None, default=None
        Seeds the changes of rows.

    Attributes
    ----------
    target_ : classifier
        The target, after ``fit``.
    model_ : Pipeline
        A logistic regression on phi, with one intercept and slope for answers that count as undefended and another for
        the rest. Scores are its log-odds, with both sides weighted equally.
    threshold_ : float
        Rows that score at least this are called members. Learned on cross-validated scores of the known rows.
    undefended_rate_ : float
        Share of the known rows whose answers count as undefended.
    neighbors_ : object or None
        Returns the changed rows.
    row_shape_ : tuple of int or None
        Shape of a row, where rows are changed.

    See Also
    --------
    skdiffence.defenses.DefendedClassifier : Gives no undefended answer with ``fallback="swap"``.

    Notes
    -----
    Cost: one query of the target and one of the bare classifier for each row; without ``undefended``, k queries of
    the target.

    Without ``undefended``, regenerated answers that hardly change, as under noise that is the same for all rows, count
    as undefended as well. The score is then phi alone.

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

    @property
    def row_type(self):
        """The rows that it can be run on: any with ``undefended``, otherwise arrays, because they are changed."""
        return "arrays" if self.undefended is None else "any"

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

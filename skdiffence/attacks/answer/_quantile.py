"""Quantile attack: the rank of a row's signal among those expected of similar non-members."""

import numpy as np
from scipy.special import ndtri
from sklearn.base import clone
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.utils import check_array

from skdiffence.attacks._known_rows import best_threshold, canonical_order, learn_direction
from skdiffence.attacks.answer._features import label_indicators
from skdiffence.attacks.answer._signal_attack import SignalAttack
from skdiffence.utils._random import draw_seed, mix_seed, seed_nested
from skdiffence.utils._rows import canonical_rows
from skdiffence.utils._sklearn import HasMethods

_MAX_FOLDS = 5
# Residuals near zero have logarithms without bound: this share of their standard deviation is added.
_RESIDUAL_FLOOR = 0.1


class QuantileAttack(SignalAttack):
    """Call a row a member if its signal is high for a row like it.

    Some rows are answered with confidence by any classifier, others by none. From the known non-members the attack
    learns what signal to expect of a row that was not trained on, and how far it strays, given the row itself and its
    true label. A row's score says how far above that its own signal lies. One model of this kind takes the place of
    the many shadow models that other attacks judge each row by.

    Parameters
    ----------
    estimator : regressor, default=None
        Predicts the signal, and in a second copy the logarithm of its deviation, from the flattened row and its true
        label one-hot; it is cloned. None is an ensemble of extremely randomized trees.
    signal : str, default="logit"
        The signal that is compared, one of those of :class:`ThresholdAttack`.
    random_state : int, RandomState instance or None, default=None
        Seeds the folds, and the regressor where it has no seed of its own.

    Attributes
    ----------
    target_ : classifier
        The target, after ``fit``.
    center_, spread_ : regressor
        Fitted to all known non-members: what normal score of the signal to expect of a row, and the logarithm of how
        far it strays.
    normal_scores_ : object
        Its ``transform`` turns signals into normal scores.
    direction_ : {-1, 1}
        Whether members lie below or above what is expected of non-members among the known rows.
    threshold_ : float
        Scores of at least this are called members; learned on the known members and on known non-members that were
        held out, in up to five folds, from the models that judged them.

    See Also
    --------
    ThresholdAttack : The same signals, one expectation for all rows.

    Notes
    -----
    One query a row, and twelve trainings of the regressor, on non-members only. The rows themselves are needed:
    answers made by hand without ``X`` are refused.

    Signals are replaced by their normal scores among the known non-members, so that the few answers that a forest
    gives at probability 0 or 1 do not decide alone; beyond the known ones they go on in a straight line. The normal
    score's mean and standard deviation given the row make a score that rises strictly with the row's own signal, and
    its value of the normal distribution function is the quantile that the row reaches among non-members like it.

    References
    ----------
    Bertran et al., "Scalable membership inference attacks via quantile regression", NeurIPS 2023.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> from skdiffence.attacks import QuantileAttack
    >>> X, y = load_digits(return_X_y=True)
    >>> is_member = y[:800] >= 0
    >>> is_member[::2] = False
    >>> forest = RandomForestClassifier(20, random_state=0).fit(X[:800][is_member], y[:800][is_member])
    >>> attack = QuantileAttack(random_state=0).fit(forest, X[:400], y[:400], is_member[:400])
    >>> called = attack.predict(X[400:800], y[400:800])
    >>> bool((called == is_member[400:]).mean() > 0.6)
    True
    """

    _parameter_constraints: dict = {
        **SignalAttack._parameter_constraints,
        "estimator": [HasMethods(["fit", "predict"]), None],
        "random_state": ["random_state"],
    }

    def __init__(self, estimator=None, *, signal="logit", random_state=None):
        self.estimator = estimator
        self.signal = signal
        self.random_state = random_state

    def _learn(self, answers, is_member):
        signal, rows = answers.signal(self.signal), _described(answers)
        order = canonical_order(np.column_stack([rows, signal]), is_member)
        signal, rows, is_member = signal[order], rows[order], is_member[order]
        others, seed = ~is_member, draw_seed(self.random_state)
        self.normal_scores_ = _NormalScores(signal[others])
        held_out = self._fit_expectation(rows[others], self.normal_scores_.transform(signal[others]), seed)
        excess = np.empty(len(signal))
        excess[others] = held_out
        excess[is_member] = self._excess(rows[is_member], signal[is_member])
        self.direction_ = learn_direction(is_member, excess)
        self.threshold_ = best_threshold(is_member, self.direction_ * excess)

    def _fit_expectation(self, rows, values, seed):
        """Fit both regressors; return the excess of each row by copies that did not know it."""
        folds = None
        if len(rows) > 1:
            n_folds = min(_MAX_FOLDS, len(rows))
            folds = KFold(n_folds, shuffle=True, random_state=mix_seed("quantile folds", seed) % 2**32)
        self.center_, expected = self._fit_regressor("center", rows, values, folds, seed)
        residuals = values - expected
        floor = _RESIDUAL_FLOOR * residuals.std() or 1.0
        self.spread_, log_spread = self._fit_regressor("spread", rows, np.log(np.abs(residuals) + floor), folds, seed)
        return residuals / np.exp(log_spread)

    def _fit_regressor(self, role, rows, values, folds, seed):
        """Return a regressor fitted to all rows, and what copies of it predict of rows that they did not know."""
        estimator = _default_regressor() if self.estimator is None else clone(self.estimator)
        seed_nested(estimator, "quantile attack", role, seed)
        fitted = clone(estimator).fit(rows, values)
        return fitted, fitted.predict(rows) if folds is None else cross_val_predict(estimator, rows, values, cv=folds)

    def _excess(self, rows, signal):
        """Return how many of their standard deviations signals lie above what is expected of non-members."""
        return (self.normal_scores_.transform(signal) - self.center_.predict(rows)) / np.exp(self.spread_.predict(rows))

    def _score(self, answers):
        return self.direction_ * self._excess(_described(answers), answers.signal(self.signal))


def _default_regressor():
    return ExtraTreesRegressor(50, min_samples_leaf=5)


def _described(answers):
    """Return each row flattened, and its true label one-hot beside it."""
    if answers.X is None:
        raise ValueError("answers must hold the rows, X, to compare each answer with those to rows like it. Got None.")
    rows = check_array(canonical_rows(answers.X), ensure_all_finite="allow-nan", input_name="X")
    return np.column_stack([rows, label_indicators(answers.y, len(answers.classes))])


class _NormalScores:
    """The normal score that a signal would have among those of a sample; strictly rising, straight beyond them."""

    def __init__(self, sample):
        self.signal, counts = np.unique(sample, return_counts=True)
        # Equal signals share the rank in their middle.
        self.score = ndtri((np.cumsum(counts) - counts / 2) / len(sample))
        self.slope = 1 / (sample.std() or 1.0)

    def transform(self, signal):
        """Return normal scores of the shape of ``signal``."""
        beyond = signal - signal.clip(self.signal[0], self.signal[-1])
        return np.interp(signal, self.signal, self.score) + self.slope * beyond

"""The quantile attack: the rank of a row's signal among those expected of similar non-members."""

import numpy as np
from scipy.special import ndtri
from sklearn.base import clone
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.impute import SimpleImputer
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.utils import check_array

from skdiffence.attacks._known_rows import best_threshold, canonical_order, learn_direction, narrowing_steps
from skdiffence.attacks.answer._features import frequent_labels
from skdiffence.attacks.answer._signal_attack import SignalAttack
from skdiffence.utils._flat_rows import FlatRows
from skdiffence.utils._random import draw_seed, mix_seed, seed_nested
from skdiffence.utils._rows import row_digests
from skdiffence.utils._sklearn import HasMethods

_MAX_FOLDS = 5
_MOST_ROWS = 2000  # that the principal components of wide rows are learned from
_N_DECIMALS = 4
# Residuals near zero have logarithms without bound: this share of their standard deviation is added.
_RESIDUAL_FLOOR = 0.1


class QuantileAttack(SignalAttack):
    """Call a row a member if its signal is high among non-members with similar features.

    Some rows are easy for all classifiers, others hard. From the known non-members the attack learns the conditional
    mean and standard deviation of the signal given the row and its true label. A row's score is its signal standardized
    by these. Two regressions replace the many shadow models of other attacks.

    Parameters
    ----------
    estimator : regressor, default=None
        Predicts the signal, and in a second clone the logarithm of its absolute residual, from the flattened row and
        its one-hot true label. Rows of more than 256 features are replaced by 64 principal components if more than 64
        are known, and of more than 64 classes those with most known non-members have a column. None is an ensemble of
        extremely randomized trees.
    signal : str, default="logit"
        The signal that is compared, one of those of :class:`ThresholdAttack`.
    random_state : int, RandomState instance or None, default=None
        Seeds the folds, and the regressor where it has no seed of its own.

    Attributes
    ----------
    target_ : classifier
        The target, after ``fit``.
    center_, spread_ : regressor
        Regressors of the signal's normal score and of the logarithm of its absolute residual, fitted to all known
        non-members.
    normal_scores_ : object
        Its ``transform`` returns normal scores of signals.
    direction_ : {-1, 1}
        -1 if members lie below the non-members like them among the known rows, otherwise 1.
    threshold_ : float
        Rows that score at least this are called members. Learned on the known members, and on scores of the known
        non-members by trees that were not grown on them; with another regressor, in up to five folds.

    See Also
    --------
    ThresholdAttack : Compares signals without regard to the row.

    Notes
    -----
    Cost: one query for each row, and two trainings of the default regressor on non-members, twelve of another one.
    Answers must hold their rows, ``X``.

    Signals are replaced by their normal scores among the known non-members, so that a forest's few probabilities of 0
    or 1 do not dominate. Beyond the known signals the normal score is extended linearly. A row's score increases
    strictly with its signal, and its normal distribution function is the quantile of the row among non-members like it.

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

    row_type = "numeric"
    needs_true_labels = True  # whatever the signal: a row is described by its label as well

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
        signal = answers.signal(self.signal)
        self._describe = _Description(answers, is_member, draw_seed(self.random_state))
        rows = self._describe(answers)
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
        """Fit both regressors, and return cross-validated standardized residuals."""
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
        """Return a regressor fitted to all rows, and cross-validated predictions."""
        by_bag = self.estimator is None and folds is not None
        estimator = _default_regressor(by_bag) if self.estimator is None else clone(self.estimator)
        seed_nested(estimator, "quantile attack", role, seed)
        fitted = clone(estimator).fit(rows, values)
        if by_bag:
            return fitted, fitted.oob_prediction_
        return fitted, fitted.predict(rows) if folds is None else cross_val_predict(estimator, rows, values, cv=folds)

    def _excess(self, rows, signal):
        """Return signals standardized by the conditional mean and standard deviation of non-members."""
        return (self.normal_scores_.transform(signal) - self.center_.predict(rows)) / np.exp(self.spread_.predict(rows))

    def _score(self, answers):
        return self.direction_ * self._excess(self._describe(answers), answers.signal(self.signal))


def _default_regressor(by_bag):
    return ExtraTreesRegressor(50, min_samples_leaf=5, bootstrap=by_bag, oob_score=by_bag)


class _Description:
    """Flattened rows and their one-hot true labels, side by side, of a width that does not grow without bounds.

    Parameters
    ----------
    answers : Answers
        Of the known rows.
    is_member : ndarray of shape (n_samples,), dtype bool
        Their membership.
    seed : int
        Seeds the principal components of wide rows.
    """

    def __init__(self, answers, is_member, seed):
        self.columns = frequent_labels(answers.y[~is_member], len(answers.classes))
        self.flat, self.narrowed = FlatRows().fit(_rows_of(answers)), None
        rows = self._flattened(answers)
        chosen = np.argsort(row_digests(rows), kind="stable")[:_MOST_ROWS]
        steps = narrowing_steps(len(chosen), rows.shape[1])
        if steps:
            narrowed = make_pipeline(SimpleImputer(keep_empty_features=True), *steps)
            self.narrowed = seed_nested(narrowed, "quantile attack", "components", seed).fit(rows[chosen])

    def __call__(self, answers):
        """Return the description of rows, of shape (n_samples, n_features)."""
        rows = self._flattened(answers)
        if self.narrowed is not None:
            # The last bits of a matrix product depend on the number of rows; a row's score must not.
            rows = np.round(self.narrowed.transform(rows), _N_DECIMALS)
        return np.column_stack([rows, answers.y[:, None] == self.columns])

    def _flattened(self, answers):
        return check_array(self.flat.transform(_rows_of(answers)), ensure_all_finite="allow-nan", input_name="X")


def _rows_of(answers):
    if answers.X is None:
        raise ValueError("answers must hold their rows, X, which the regressors predict from. Got None.")
    return answers.X


class _NormalScores:
    """Normal scores of signals among those of a sample, extended linearly beyond them."""

    def __init__(self, sample):
        self.signal, counts = np.unique(sample, return_counts=True)
        # Equal signals have their mean rank.
        self.score = ndtri((np.cumsum(counts) - counts / 2) / len(sample))
        self.slope = 1 / (sample.std() or 1.0)

    def transform(self, signal):
        """Return normal scores of the shape of ``signal``."""
        beyond = signal - signal.clip(self.signal[0], self.signal[-1])
        return np.interp(signal, self.signal, self.score) + self.slope * beyond

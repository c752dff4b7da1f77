"""The bases of adaptive attacks: scores from one statistic, or from a regression on several features."""

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import PredefinedSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skdiffence.attacks._base import MultipleQueryAttack
from skdiffence.attacks._changed_rows import check_array
from skdiffence.attacks._known_rows import best_threshold, canonical_order, fit_member_classifier, learn_direction

#: The signals that these attacks read in an answer.
ANSWER_SIGNALS = {"answered_logit", "entropy", "logit"}
_MAX_FOLDS = 5


class AdaptiveAttack(MultipleQueryAttack):
    """Base class of attacks by an adversary who knows the defense."""

    family = "adaptive"
    shares_answers = True

    def _check_known_rows(self, X):
        """Return the known rows as an array, and remember their shape."""
        X = check_array(X)
        self.row_shape_ = X.shape[1:]
        return X


class StatisticAttack(AdaptiveAttack):
    """Base class of adaptive attacks whose score is one number for each row, in the learned direction.

    A subclass returns that number, finite, from ``_observe``.
    """

    def _learn(self, statistic, is_member):
        self.direction_ = learn_direction(is_member, statistic)
        self.threshold_ = best_threshold(is_member, self.direction_ * statistic)

    def _score(self, statistic):
        return self.direction_ * np.asarray(statistic, dtype=np.float64)


class RegressionAttack(AdaptiveAttack):
    """Base class of adaptive attacks whose score is the log-odds of a logistic regression on a few features.

    A subclass returns the features, of shape (n_samples, n_features) and finite, from ``_observe``.
    """

    def _learn(self, features, is_member):
        # In an order of the features' own, so that the order of the known rows changes nothing.
        order = canonical_order(features, is_member)
        features, is_member = features[order], is_member[order]
        model = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced"))
        folds = _folds(is_member)
        self.model_, scores = fit_member_classifier(model, features, is_member, folds)
        self.threshold_ = best_threshold(is_member, self._score(features) if folds is None else scores)

    def _score(self, features):
        scaler, logistic = self.model_[0], self.model_[-1]
        # Summed row by row: a matrix product rounds differently with other rows beside this one.
        return (scaler.transform(features) * logistic.coef_).sum(axis=1) + logistic.intercept_[0]


def _folds(is_member):
    """Return a splitter that deals the rows of each side into folds in turn, or None if a side has one row."""
    n_folds = min(_MAX_FOLDS, is_member.sum(), (~is_member).sum())
    if n_folds < 2:
        return None
    folds = np.empty(len(is_member), dtype=int)
    for side in (is_member, ~is_member):
        folds[side] = np.arange(side.sum()) % n_folds
    return PredefinedSplit(folds)

"""The attack by a scikit-learn classifier on the whole answer."""

from contextlib import nullcontext

import numpy as np
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import StratifiedKFold
from threadpoolctl import threadpool_limits

from skdiffence.attacks._base import SingleQueryAttack
from skdiffence.attacks._known_rows import best_threshold, canonical_order, fit_member_classifier, member_scores
from skdiffence.attacks.answer._features import answer_features, bounded_features, most_common
from skdiffence.utils._random import draw_seed, mix_seed, seed_nested
from skdiffence.utils._sklearn import HasMethods

_MAX_FOLDS = 5


class ClassifierAttack(SingleQueryAttack):
    """Call a row a member by a classifier trained on the answers for known rows.

    Its features are those of :class:`NeuralAttack`: the class probabilities, the one-hot true label and the
    cross-entropy of the answer; without true labels, the probabilities alone.

    Parameters
    ----------
    estimator : classifier, default=None
        A classifier with ``decision_function`` or ``predict_proba``. It is cloned. None is a small gradient boosting,
        which takes one thread. Of more than 64 classes it sees the 64 most common ones, and the summary of the answer
        that :class:`NonMonotoneAttack` sees.
    random_state : int, RandomState instance or None, default=None
        Seeds the folds, and the classifier where it has no seed of its own.

    Attributes
    ----------
    target_ : classifier
        The target, after ``fit``.
    estimator_ : classifier
        The classifier, trained on all known rows. Members are class 1.
    threshold_ : float
        Rows that score at least this are called members. Learned on cross-validated scores of the known rows, in up to
        five folds. If only one row of a side is known, on the scores of ``estimator_``.

    See Also
    --------
    NeuralAttack : A network on the same features.
    NonMonotoneAttack : A forest on a summary of the answer.

    Notes
    -----
    Cost: one query for each row, and up to six trainings of the classifier.

    Scores are decision functions, or probabilities of membership for a classifier without ``decision_function``. The
    last bits of a linear model's score may depend on the rows that are scored with it.

    References
    ----------
    Salem et al., "ML-Leaks: model and data independent membership inference attacks and defenses on machine
    learning models", NDSS 2019.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skdiffence.attacks import ClassifierAttack
    >>> X, y = load_digits(return_X_y=True)
    >>> is_member = y[:800] >= 0
    >>> is_member[::2] = False
    >>> forest = RandomForestClassifier(20, random_state=0).fit(X[:800][is_member], y[:800][is_member])
    >>> attack = ClassifierAttack(make_pipeline(StandardScaler(), LogisticRegression()), random_state=0)
    >>> called = attack.fit(forest, X[:400], y[:400], is_member[:400]).predict(X[400:800], y[400:800])
    >>> bool((called == is_member[400:]).mean() > 0.7)
    True
    """

    needs_true_labels = False

    _parameter_constraints: dict = {
        "estimator": [
            HasMethods(["fit", "predict", "decision_function"]),
            HasMethods(["fit", "predict", "predict_proba"]),
            None,
        ],
        "random_state": ["random_state"],
    }

    def __init__(self, estimator=None, *, random_state=None):
        self.estimator = estimator
        self.random_state = random_state

    def _learn(self, answers, is_member):
        self._columns = most_common(answers) if self.estimator is None else None
        features, seed = self._features(answers), draw_seed(self.random_state)
        order = canonical_order(features, is_member)
        features, is_member = features[order], is_member[order].astype(np.int64)
        estimator = _default_classifier() if self.estimator is None else clone(self.estimator)
        seed_nested(estimator, "attack classifier", seed)
        n_folds, cv = min(_MAX_FOLDS, *np.bincount(is_member)), None
        if n_folds > 1:
            cv = StratifiedKFold(n_folds, shuffle=True, random_state=mix_seed("attack folds", seed) % 2**32)
        with self._threads():
            self.estimator_, unseen = fit_member_classifier(estimator, features, is_member, cv)
        self.threshold_ = best_threshold(is_member, unseen)

    def _score(self, answers):
        with self._threads():
            return member_scores(self.estimator_, self._features(answers))

    def _features(self, answers):
        return answer_features(answers) if self._columns is None else bounded_features(answers, self._columns)

    def _threads(self):
        # On a few hundred rows, threads wait for one another, on a busy machine for minutes.
        return nullcontext() if self.estimator is not None else threadpool_limits(1, user_api="openmp")


def _default_classifier():
    # Strongly regularized, for a few hundred noisy answers. Sample weights for unequal sides would make binning slow,
    # and shift all scores alike, for which the threshold makes up.
    return HistGradientBoostingClassifier(
        learning_rate=0.05,
        max_iter=60,
        max_leaf_nodes=4,
        min_samples_leaf=5,
        l2_regularization=5.0,
        max_features=0.5,
        early_stopping=False,
    )

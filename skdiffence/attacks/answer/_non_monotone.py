"""The attack by a random forest, which needs no monotone relation of signals and membership."""

from numbers import Integral

import numpy as np
from sklearn.ensemble import RandomForestClassifier

from skdiffence.attacks._base import SingleQueryAttack
from skdiffence.attacks._known_rows import best_threshold, canonical_order
from skdiffence.attacks.answer._features import summary_features
from skdiffence.utils._random import draw_seed, mix_seed
from skdiffence.utils._sklearn import Interval


class NonMonotoneAttack(SingleQueryAttack):
    """Call a row a member by a random forest on a summary of the answer.

    A defense may overcorrect and give members unusually average answers. Thresholds on confidence then find nothing,
    although members can be told from non-members. A forest finds them.

    Parameters
    ----------
    n_estimators : int, default=100
        Number of trees.
    min_samples_leaf : int, default=5
        Minimum number of known rows in a leaf.
    random_state : int, RandomState instance or None, default=None
        Seeds the forest.

    Attributes
    ----------
    target_ : classifier
        The target, after ``fit``.
    forest_ : RandomForestClassifier
        The forest, with both sides weighted equally.
    threshold_ : float
        Rows that score at least this are called members. Learned on out-of-bag scores of the known rows.

    See Also
    --------
    ThresholdAttack : Thresholds one signal.

    Notes
    -----
    Cost: one query for each row. Features are the ten highest probabilities in descending order, the probability of the
    true class, its logit, the entropy, the modified entropy and whether the predicted label is correct. Scores are the
    forest's probabilities of membership.

    References
    ----------
    Salem et al., "ML-Leaks: model and data independent membership inference attacks and defenses on machine
    learning models", NDSS 2019.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> from skdiffence.attacks import NonMonotoneAttack
    >>> X, y = load_digits(return_X_y=True)
    >>> is_member = y[:800] >= 0
    >>> is_member[::2] = False
    >>> forest = RandomForestClassifier(20, random_state=0).fit(X[:800][is_member], y[:800][is_member])
    >>> attack = NonMonotoneAttack(random_state=0).fit(forest, X[:400], y[:400], is_member[:400])
    >>> called = attack.predict(X[400:800], y[400:800])
    >>> bool((called == is_member[400:]).mean() > 0.7)
    True
    """

    needs_true_labels = False

    _parameter_constraints: dict = {
        "n_estimators": [Interval(Integral, 1, None, closed="left")],
        "min_samples_leaf": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
    }

    def __init__(self, *, n_estimators=100, min_samples_leaf=5, random_state=None):
        self.n_estimators = n_estimators
        self.min_samples_leaf = min_samples_leaf
        self.random_state = random_state

    def _learn(self, answers, is_member):
        self.forest_ = RandomForestClassifier(
            self.n_estimators,
            min_samples_leaf=self.min_samples_leaf,
            class_weight="balanced",
            random_state=mix_seed("forest", draw_seed(self.random_state)) % 2**32,
        )
        features = summary_features(answers)
        order = canonical_order(features, is_member)
        features, is_member = features[order], is_member[order]
        self.forest_.fit(features, is_member)
        self.threshold_ = best_threshold(is_member, self._out_of_bag_scores(features))

    def _out_of_bag_scores(self, features):
        """Return each known row's mean probability over the trees that were not grown on it, 0.5 if there are none."""
        votes, counts = np.zeros(len(features)), np.zeros(len(features))
        features = features.astype(np.float32)
        for tree, drawn in zip(self.forest_.estimators_, self.forest_.estimators_samples_, strict=True):
            unseen = np.ones(len(features), dtype=bool)
            unseen[drawn] = False
            votes[unseen] += tree.predict_proba(features[unseen])[:, 1] if unseen.any() else 0
            counts += unseen
        return np.divide(votes, counts, out=np.full(len(features), 0.5), where=counts > 0)

    def _score(self, answers):
        return self.forest_.predict_proba(summary_features(answers))[:, 1]

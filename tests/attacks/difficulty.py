"""Rows of known difficulty, and models that know it: the best attack on labels has a closed form."""

import numpy as np
from scipy.special import logit, softmax
from sklearn.base import BaseEstimator, ClassifierMixin

from tests.attacks.targets import logits

N_CLASSES = 3
HARDEST = 0.6
# Members are always right: the likelihood ratio is 1 / (1 - difficulty) of a right label, and 0 of a wrong one.
BEST_AUC = 0.5 + HARDEST / 3
BEST_AUC_OF_LABELS = 0.5 + HARDEST / 4


class Knowing(ClassifierMixin, BaseEstimator):
    """Knows how difficult each row is: the first columns are its logits."""

    classes_ = np.arange(N_CLASSES)

    def fit(self, X, y):
        """Learn nothing."""
        self.fitted_ = True
        return self

    def predict_proba(self, X):
        """Return the softmax of the first columns."""
        return softmax(X[:, :N_CLASSES], axis=1)

    def predict(self, X):
        """Return the likeliest label."""
        return self.predict_proba(X).argmax(axis=1)


class Labeling(Knowing):
    """Predicts the label in the last column, and refuses to tell probabilities."""

    def predict(self, X):
        """Return the last column."""
        return X[:, -1].astype(int)

    def predict_proba(self, X):
        """Raise an error."""
        raise AssertionError("labels only")


def rows_of_known_difficulty(*, members_are_learned, n=6000, seed=0):
    """Return rows that a model gets wrong with a known probability, uniform in [0, 0.6], unless it has learned them."""
    rng = np.random.default_rng(seed)
    is_member, y = rng.permutation(np.arange(n) % 2 == 0), rng.integers(N_CLASSES, size=n)
    difficulty = rng.uniform(0, HARDEST, size=n)
    wrong = (rng.random(n) < difficulty) & ~(members_are_learned & is_member)
    return np.column_stack([logits(logit(1 - difficulty), y), (y + wrong) % N_CLASSES]), y, is_member

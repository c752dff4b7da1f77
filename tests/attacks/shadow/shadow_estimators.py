"""Classifiers that write down each training, at module level, where other processes find them."""

import os
import time

from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB

from tests.attacks.targets import Dictated

LOG, PAUSE = "SHADOW_LOG", "SHADOW_PAUSE"


class Logged(GaussianNB):
    """Adds a line to the file that the environment names, and pauses as long as it says."""

    def __init__(self, depth=1, *, inner=None, priors=None, var_smoothing=1e-9):
        super().__init__(priors=priors, var_smoothing=var_smoothing)
        self.depth = depth
        self.inner = inner

    def fit(self, X, y, sample_weight=None):
        with open(os.environ[LOG], "a", encoding="utf-8") as log:
            log.write("trained\n")
        time.sleep(float(os.environ.get(PAUSE, 0)))
        return super().fit(X, y, sample_weight)


class Weighted(LogisticRegression):
    """Remembers the weights that it was given."""

    def fit(self, X, y, sample_weight=None):
        self.weights_ = sample_weight
        return super().fit(X, y, sample_weight)


class Tally:
    """Rows that were asked about; like a lock it has no state that can be read, so that it changes no class."""

    def __init__(self):
        self.rows = []

    def __reduce_ex__(self, protocol):
        raise TypeError("a tally stays where it is")


class Tallied(Dictated):
    """Answers stretched logits, and adds its calls to a list outside of it: what it holds is not changed by them."""

    total = Tally()

    def __init__(self, stretch=1.0, classes=(0, 1, 2)):
        super().__init__(classes)
        self.stretch = stretch

    def predict_proba(self, X):
        """Count, then answer."""
        self.total.rows.append(len(X))
        return super().predict_proba(X * self.stretch)

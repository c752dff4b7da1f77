"""Attacks and rows for tests of audits, each of them known through and through."""

import numpy as np

from skdiffence.attacks import ThresholdAttack
from skdiffence.base import MembershipAttack
from tests.attacks.targets import Dictated, normal, planted

FAST = ["correctness", "entropy"]


class Repeated(MembershipAttack):
    """Asks ``k`` times and takes the probability of the first class."""

    def __init__(self, k=3):
        self.k = k

    def fit(self, target, X, y, is_member):
        """Ask about the known rows, and learn nothing."""
        self.target_, self.threshold_ = target, 0.5
        self.score_samples(X, y)
        return self

    def score_samples(self, X, y):
        """Return the mean answer."""
        return np.mean([self.target_.predict_proba(X)[:, 0] for _ in range(self.k)], axis=0)


class Labels(Repeated):
    """Asks for labels alone, ``k`` times."""

    def score_samples(self, X, y):
        """Return whether the label is right."""
        return np.mean([self.target_.predict(X) == y for _ in range(self.k)], axis=0)


class Deaf(ThresholdAttack):
    """Scores all rows alike."""

    def score_answers(self, answers):
        """Return zeros."""
        return np.zeros(len(answers.proba))


class Cheating(ThresholdAttack):
    """Remembers, over all its copies, who was called a member when."""

    memory = {}

    def fit_answers(self, answers, is_member):
        """Remember the known rows."""
        self.memory.update(zip(map(bytes, answers.proba), is_member, strict=True))
        return super().fit_answers(answers, is_member)

    def score_answers(self, answers):
        """Return what is remembered."""
        return np.array([float(self.memory.get(bytes(row), 0.5)) for row in answers.proba])


LEAKY, NEUTRAL = normal(1.5), normal(0.0)


def sides(phi_members=LEAKY, phi_others=NEUTRAL, n=200, seed=0):
    """Return a target, members and non-members whose log-odds two functions draw."""
    X, y, is_member = planted(phi_members, phi_others, n=n, seed=seed)
    return Dictated().fit(), (X[is_member], y[is_member]), (X[~is_member], y[~is_member])

"""Members, scores and answers for tests of displays."""

import numpy as np
from matplotlib.figure import Figure

IS_MEMBER = np.arange(60) % 3 == 0


def axes(n=1):
    """Return axes of a figure that pyplot does not know."""
    return Figure().subplots(1, n)


def scores(seed=0, shift=1.0, n=60):
    """Return scores of ``IS_MEMBER`` that tell members from others."""
    return np.random.default_rng(seed).normal(size=n) + shift * (np.arange(n) % 3 == 0)


def answers(seed=0, n=60, n_classes=4):
    """Return class probabilities and labels that are often right."""
    rng = np.random.default_rng(seed)
    proba = rng.dirichlet(np.ones(n_classes), size=n)
    return proba, np.where(rng.random(n) < 0.7, proba.argmax(axis=1), rng.integers(n_classes, size=n))

"""Figures without a window, and classifiers that all displays are tried on."""

import matplotlib
import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator

from skdiffence.datasets import load_digit_images
from skdiffence.defenses import DefendedClassifier
from tests.defenses.regenerators import NoiseRegenerator
from tests.nets import make_net


@pytest.fixture(autouse=True)
def figures():
    """Draw without a window."""
    matplotlib.use("Agg", force=True)


@pytest.fixture(scope="session")
def forests():
    """Return a forest, two defended ones, and rows whose membership is known."""
    X, y = load_digits(return_X_y=True)
    X, y, is_member = X[:400], y[:400], np.arange(400) % 2 == 0
    forest = RandomForestClassifier(20, max_depth=6, random_state=0).fit(X[is_member], y[is_member])
    defended = {
        rule: DefendedClassifier(FrozenEstimator(forest), NoiseRegenerator(3.0), selection=rule, n_candidates=8).fit(
            X[:150], y[:150], is_member=is_member[:150]
        )
        for rule in ("matched", "swap")
    }
    return {"undefended": forest, **defended}, X, y, is_member


@pytest.fixture(scope="session")
def nets():
    """Return a defended net on images of digits, with rows."""
    digits = load_digit_images()
    X, y = digits.data[:300], digits.target[:300].astype(str)
    rule = {"n_candidates": 12, "selection": "first"}
    defended = DefendedClassifier(make_net(max_epochs=8), NoiseRegenerator(0.35), **rule, random_state=0)
    return defended.fit(X, y), X, y

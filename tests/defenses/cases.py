"""Data, classifiers and defended classifiers that several test modules share."""

import functools
import warnings

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skdiffence.defenses import DefendedClassifier
from skdiffence.defenses.rules._registry import RULES as REGISTERED
from skdiffence.exceptions import DefenseWarning
from tests.defenses.regenerators import NoiseRegenerator
from tests.nets import CNN, make_binary_net, make_logit_net, make_net

RULES = sorted(REGISTERED)
NAMES = np.array(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"])


class Closer:
    """Returns one further view of rows. Unlike a function's, its repr is the same in every process."""

    def __call__(self, X):
        return [0.9 * X]

    def __repr__(self):
        return "Closer()"

N_ROWS = 160


class NotToBeTrained(LogisticRegression):
    """A classifier that must not be trained."""

    def fit(self, X, y):
        raise AssertionError("trained before the parameters were checked")


def with_rules(names):
    """Return pairs of classifier and rule: each classifier with one rule in turn, and "net" with every rule."""
    others = [name for name in names if name != "net"]
    turns = [(name, RULES[number % len(RULES)]) for number, name in enumerate(others)]
    return [*(("net", rule) for rule in RULES), *turns]


@functools.cache
def _digits():
    X, y = load_digits(return_X_y=True)
    return X[:N_ROWS] / 16, y[:N_ROWS]


def digits(kind="rows"):
    """Return X and y of a kind; the rows are real images."""
    X, y = (array.copy() for array in _digits())
    if kind == "binary":
        return X, np.array(["even", "odd"])[y % 2]
    if kind == "images":
        return X.reshape(-1, 1, 8, 8).astype(np.float32), y
    if kind == "strings":
        return X, NAMES[y]
    if kind == "frame":
        counts = pd.DataFrame(np.rint(16 * X[:, 20:36]).astype(int)).add_prefix("pixel")
        return counts.assign(pixel0=X[:, 20], pixel1=X[:, 21] > 0.5), NAMES[y]
    return X, y


@functools.cache
def _trained(kind):
    X, y = digits(kind)
    return make_net().fit(X.astype(np.float32), y)


# Name: a function that makes the classifier, and the kind of data it gets.
CLASSIFIERS = {
    "net": (lambda: make_net(), "strings"),
    "logit_net": (lambda: make_logit_net(max_epochs=15), "rows"),
    "binary_net": (lambda: make_binary_net(module__n_features=64), "binary"),
    "image_net": (lambda: make_net(CNN, max_epochs=30, lr=0.03), "images"),
    "pipeline": (lambda: make_pipeline(StandardScaler(), LogisticRegression()), "strings"),
    "net_in_pipeline": (lambda: make_pipeline(StandardScaler(), make_net()), "strings"),
    "binary_net_in_pipeline": (
        lambda: make_pipeline(StandardScaler(), make_binary_net(module__n_features=64)),
        "binary",
    ),
    "forest": (lambda: RandomForestClassifier(n_estimators=20, random_state=0), "frame"),
    "threshold": (
        lambda: FixedThresholdClassifier(LogisticRegression(), threshold=0.8, pos_label="odd"),
        "binary",
    ),
    "neighbors": (lambda: KNeighborsClassifier(), "rows"),
    "frozen_net": (lambda: FrozenEstimator(_trained("rows")), "rows"),
    "pipeline_of_frozen_net": (
        lambda: make_pipeline(StandardScaler(with_mean=False, with_std=False), FrozenEstimator(_trained("rows"))),
        "rows",
    ),
}


def quiet(function, *args, **kwargs):
    """Call a function whose warnings about a poor defense are not the point."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DefenseWarning)
        return function(*args, **kwargs)


def half(y):
    """Return a mask of rows to call members."""
    return np.arange(len(y)) % 2 == 0


def defend(estimator, regenerator=None, **params):
    """Return an unfitted defended classifier with the settings of tests."""
    settings = {"n_candidates": 4, "selection": "first", "random_state": 0} | params
    return DefendedClassifier(estimator, NoiseRegenerator(0.15) if regenerator is None else regenerator, **settings)


@functools.cache
def _fitted(name, regenerator_type, scale, params):
    make, kind = CLASSIFIERS[name]
    X, y = digits(kind)
    defended = defend(make(), regenerator_type(scale), **dict(params))
    return quiet(defended.fit, X, y, is_member=half(y))


def fitted(name, regenerator=None, **params):
    """Return a fitted defended classifier, made once for equal settings, and its X and y."""
    regenerator = NoiseRegenerator(0.15) if regenerator is None else clone(regenerator)
    defended = _fitted(name, type(regenerator), regenerator.scale, tuple(sorted(params.items())))
    return defended, *digits(CLASSIFIERS[name][1])


def bare_labels(defended, X):
    """Return the labels of the wrapped classifier, asked directly as its user would."""
    estimator = defended.estimator_
    if defended._holds_net():
        answered = estimator.predict(np.asarray(X, dtype=np.float32))
        return defended.classes_[np.asarray(answered).astype(int)]
    return estimator.predict(X)


def bare_proba(defended, X):
    """Return the undefended probabilities."""
    return defended.estimator_.predict_proba(np.asarray(X, dtype=np.float32) if defended._holds_net() else X)

"""Rows, and what a scorer should find, worked out beside it."""

import warnings

import numpy as np
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import ShuffleSplit

from skdiffence._evaluation._cross_fit import balanced_rows
from skdiffence._evaluation._rows import AttackedRows
from skdiffence.defenses import DefendedClassifier
from skdiffence.exceptions import DefenseWarning
from skdiffence.model_selection import AttackScorer
from tests.defenses.regenerators import NoiseRegenerator

N_ROWS = 320
# As many members as non-members: all rows are attacked, and no choice among them needs to be known.
HALVES = ShuffleSplit(2, test_size=0.5, random_state=0)
FOREST = RandomForestClassifier(8, max_depth=8, random_state=0)


def digits(n_rows=N_ROWS):
    """Return the first rows of the digits and their labels."""
    X, y = load_digits(return_X_y=True)
    return X[:n_rows] / 16, y[:n_rows]


def make_scorer(pool=None, attacks=("confidence", "entropy"), **params):
    """Return a scorer of two attacks with a seed."""
    return AttackScorer(list(attacks), pool=pool, **{"random_state": 0} | params)


def defend(estimator, **params):
    """Return a defended classifier with few candidates and a regenerator that only adds noise."""
    settings = {"n_candidates": 3, "selection": "matched", "calibration_size": 0.3, "random_state": 0} | params
    return DefendedClassifier(estimator, NoiseRegenerator(0.2), **settings)


def quiet(function, *args, ignore=DefenseWarning, **kwargs):
    """Call a function without warnings of a category, of those about a poor denoiser unless told otherwise."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ignore)
        return function(*args, **kwargs)


def mask_of(n_rows, rows):
    """Return a mask that is True at the rows."""
    mask = np.zeros(n_rows, dtype=bool)
    mask[rows] = True
    return mask


def auc_by_hand(estimator, X, y, is_member, signal="confidence"):
    """Return the area under the ROC curve of a signal on all of the rows, low entropy taken for membership."""
    proba = np.asarray(estimator.predict_proba(X), dtype=float)
    if signal == "entropy":
        logs = np.log(proba, out=np.zeros_like(proba), where=proba > 0)
        return roc_auc_score(is_member, (proba * logs).sum(axis=1))
    return roc_auc_score(is_member, proba[np.arange(len(y)), np.searchsorted(np.unique(y), y)])


def chosen(scorer, X, is_member):
    """Return the rows that remain where members are more than non-members; the scorer's own choice."""
    rows = AttackedRows(X, None, is_member).keyed(scorer._seed())
    return balanced_rows(rows.keys, is_member)

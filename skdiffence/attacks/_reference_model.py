"""The base of attacks that compare what the target says of a row with a reference model of the attacker's own."""

import math
import warnings
from abc import abstractmethod
from contextlib import nullcontext
from typing import NamedTuple

import numpy as np
from scipy.special import logit, xlogy
from sklearn.base import clone
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.impute import SimpleImputer
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skdiffence.attacks._answers import query_proba
from skdiffence.attacks._base import SingleQueryAttack
from skdiffence.attacks._known_rows import (
    best_threshold,
    content_folds,
    fit_member_classifier,
    member_scores,
    narrowing_steps,
    quadratic_regression,
)
from skdiffence.metrics import label_columns
from skdiffence.utils._flat_rows import FlatRows
from skdiffence.utils._frames import as_numbers
from skdiffence.utils._params import may_use_torch
from skdiffence.utils._random import draw_seed, seed_nested, torch_seed
from skdiffence.utils._rows import row_digests
from skdiffence.utils._sklearn import HasMethods, num_samples, safe_indexing

_N_TREES = 50
_MOST_CLASSES = 100  # beyond these, the default reference model is one of nearest neighbors
_N_NEIGHBORS = 20
_MOST_ROWS = 3000  # that the default reference model is trained on
_CLIP = 0.005  # of the reference model's probabilities, which in a forest can be 0 and 1
_N_DECIMALS = 9


class Observed(NamedTuple):
    """Rows, true labels, predicted labels, and features of what the target said of each row."""

    X: object
    y: np.ndarray
    label: np.ndarray
    said: np.ndarray

    def take(self, rows):
        """Return some of the rows."""
        return Observed(safe_indexing(self.X, rows), self.y[rows], self.label[rows], self.said[rows])


class ReferenceModelAttack(SingleQueryAttack):
    """Base of attacks that train a reference model, which tells how difficult a row is."""

    row_type = "numeric"
    own_model = True
    shares_answers = True

    _parameter_constraints: dict = {
        "reference": [HasMethods(["fit", "predict_proba"]), None],
        "reference_data": [tuple, list, None],
        "random_state": ["random_state"],
    }

    @abstractmethod
    def _said(self, answers):
        """Return features of what the target said of each row, of shape (n_samples, n_features)."""

    def _observed(self, answers):
        if answers.X is None:
            raise ValueError("answers must hold their rows, X, for the reference model. Got None.")
        # A class that the target does not know counts as its last one: such rows are never labeled correctly.
        labels = (answers.classes[columns] for columns in (answers.y, answers.label))
        return Observed(answers.X, *labels, self._said(answers))

    def _fit_reference(self, X, y):
        if self.reference is None and num_samples(X) > _MOST_ROWS:
            chosen = np.argsort(row_digests(X), kind="stable")[:_MOST_ROWS]
            X, y = safe_indexing(X, chosen), y[chosen]
        reference = _default_reference(X, y) if self.reference is None else clone(self.reference)
        seeded = torch_seed(self._seed) if may_use_torch(reference) else nullcontext()
        with seeded, warnings.catch_warnings():
            # Of few known rows and many classes, most rows are the only one of their class.
            warnings.filterwarnings("ignore", message="The number of unique classes is greater", category=UserWarning)
            return seed_nested(reference, "reference", self._seed).fit(X, y)

    def _learn(self, answers, is_member):
        observed, self._seed = self._observed(answers), draw_seed(self.random_state)
        # By content, so that nothing depends on the order in which the known rows are given.
        columns = np.unique(observed.y, return_inverse=True)[1]
        order = np.lexsort([is_member, columns, row_digests(observed.X)])
        observed, is_member = observed.take(order), is_member[order]
        folds = content_folds(row_digests(observed.X), is_member)
        features = self._known_features(observed, is_member, folds)
        self.estimator_, scores = fit_member_classifier(quadratic_regression(), features, is_member, folds)
        self.threshold_ = best_threshold(is_member, np.round(scores, _N_DECIMALS))

    def _known_features(self, observed, is_member, folds):
        """Fit the reference model, and return the features of the known rows, each by a model not trained on it."""
        if self.reference_data is not None:
            self.reference_ = self._fit_reference(*_check_data(self.reference_data))
            return _features(self.reference_, observed)
        self.reference_ = self._fit_reference_to(observed, ~is_member)
        if folds is None:
            return _features(self.reference_, observed)
        parts, tests = [], []
        for train, test in folds.split():
            reference = self._fit_reference_to(observed, train[~is_member[train]])
            parts.append(_features(reference, observed.take(test)))
            tests.append(test)
        return np.concatenate(parts)[np.argsort(np.concatenate(tests))]

    def _fit_reference_to(self, observed, rows):
        chosen = observed.take(np.arange(len(observed.y))[rows])
        return self._fit_reference(chosen.X, chosen.y)

    def _score(self, answers):
        features = _features(self.reference_, self._observed(answers))
        # The last bits of a matrix product depend on the number of rows; a row's score must not.
        return np.round(member_scores(self.estimator_, features), _N_DECIMALS)


def _check_data(data):
    if len(data) != 2:
        raise ValueError(f"reference_data must be a tuple (X, y). Got one of length {len(data)}.")
    X, y = data[0], np.asarray(data[1])
    if y.shape != (num_samples(X),) or not len(y):
        raise ValueError(
            f"reference_data must hold rows, and one label for each. Got {num_samples(X)} and shape {y.shape}."
        )
    return X, y


def _default_reference(X, y):
    shape = as_numbers(X).shape
    steps = [FlatRows(), SimpleImputer(keep_empty_features=True)]
    narrowing = narrowing_steps(shape[0], math.prod(shape[1:]))
    if len(np.unique(y)) <= _MOST_CLASSES:
        return make_pipeline(*steps, *narrowing, ExtraTreesClassifier(_N_TREES))
    # Each leaf of a tree holds a share of every class: of a thousand classes, trees take minutes.
    neighbors = KNeighborsClassifier(min(_N_NEIGHBORS, shape[0]), weights="distance")
    return make_pipeline(*steps, *(narrowing or [StandardScaler()]), neighbors)


def _features(reference, observed):
    """Return the features of membership: what the target said, and what the reference model makes of the labels."""
    answers = query_proba(reference, observed.X, observed.y)
    proba = answers.proba
    columns = answers.y, label_columns(observed.label, answers.classes)
    phi = [_phi(proba, column) for column in columns]
    entropy = -xlogy(proba, proba).sum(axis=1)
    return np.column_stack([observed.said, *phi, entropy])


def _phi(proba, columns):
    """Return the clipped log-odds at columns of probabilities.

    Of classes that the reference model does not know, whose column is -1, it says nothing: their odds are those of
    chance.
    """
    chance = 1 / max(proba.shape[1], 2)
    at_column = np.where(columns < 0, chance, proba[np.arange(len(proba)), columns])
    return logit(np.clip(at_column, _CLIP, 1 - _CLIP))

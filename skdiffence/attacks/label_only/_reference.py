"""The attack on the label of a row, compared with a reference model of the attacker's own."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import logit, xlogy
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skdiffence.attacks._answers import Answers, query_proba
from skdiffence.attacks._base import SingleQueryAttack
from skdiffence.attacks._known_rows import (
    best_threshold,
    content_folds,
    fit_member_classifier,
    member_scores,
    quadratic_regression,
)
from skdiffence.attacks._labels import check_labels, query_labels
from skdiffence.attacks.label_only._noise import QUERIES_OPTION, SCALE_OPTIONS, NoisyNeighbors
from skdiffence.metrics import label_columns
from skdiffence.utils._flat_rows import FlatRows
from skdiffence.utils._frames import as_numbers
from skdiffence.utils._random import draw_seed, seed_nested, torch_seed
from skdiffence.utils._rows import row_digests
from skdiffence.utils._sklearn import HasMethods, num_samples, safe_indexing

_N_TREES = 50
_MOST_FEATURES = 256  # beyond these, the default reference model is trained on principal components
_N_COMPONENTS = 64
_MOST_ROWS = 3000  # that the default reference model is trained on
_CLIP = 0.005  # of the reference model's probabilities, which in a forest can be 0 and 1
_N_DECIMALS = 9


@dataclass(frozen=True)
class LabelAnswers(Answers):
    """Predicted labels of rows, and what was found out about their neighbors.

    Parameters
    ----------
    noise : NoisyNeighbors
        The neighbors that were queried.
    correctness : ndarray of shape (n_samples, n_features), dtype float64
        Features of the correctness of all queries about a row.
    """

    noise: NoisyNeighbors = None
    correctness: np.ndarray = None


class _Observed(NamedTuple):
    """Rows, true labels, predicted labels, and features of the correctness of all queries about a row."""

    X: object
    y: np.ndarray
    label: np.ndarray
    correctness: np.ndarray

    def take(self, rows):
        return _Observed(safe_indexing(self.X, rows), self.y[rows], self.label[rows], self.correctness[rows])


class LabelOnlyReferenceAttack(SingleQueryAttack):
    """Call a row a member if it is labeled better than a model that was not trained on it would expect.

    The attacker trains a reference model, which tells how difficult a row is. A difficult row that the target labels
    correctly is likely to be a member. The target is queried for labels only, so a defense that keeps labels has no
    effect on this attack, and it is a floor for all other attacks.

    Parameters
    ----------
    reference : classifier, default=None
        The reference model, with ``fit`` and ``predict_proba``, such as an unfitted copy of the target. It is cloned.
        A fitted model inside a :class:`~sklearn.frozen.FrozenEstimator` is used as it is. None is an ensemble of
        extremely randomized trees on at most 3,000 flattened rows, and on 64 principal components of these if there
        are more than 256 features and more than 64 rows.
    reference_data : tuple of (X, y), default=None
        Rows to train the reference model on, and their labels. They must not be among the rows that are attacked. None
        is the known non-members.
    n_queries : int, default=1
        Number of labels queried for each row. Beyond 1, noise is added to the row as in :class:`LabelOnlyAttack`.
    scale : float or array-like of float, default=None
        Scale of the noise in standard deviations of each feature among the known rows, or several scales, used in
        turn. None is 0.25, 0.5 and 1.
    random_state : int, RandomState instance or None, default=None
        Seeds the noise, and a reference model without a seed.

    Attributes
    ----------
    target_ : classifier
        The target, after ``fit``.
    reference_ : classifier
        The fitted reference model.
    estimator_ : classifier
        Logistic regression that predicts membership. Its features are the correctness of the label; phi of the
        reference model at the true and at the predicted label, and the entropy of its answer; the share of correct
        labels for each noise scale; and the squares and products of all of these.
    threshold_ : float
        Rows that score at least this are called members. Learned on cross-validated scores of the known rows if each
        side has at least two.

    See Also
    --------
    CorrectnessAttack : The label alone.
    LabelOnlyAttack : The labels of neighbors, without a reference model.
    QuantileAttack : Compares a signal of the answer with that of similar non-members.

    Notes
    -----
    Cost: ``n_queries`` labels for each row, and up to six trainings of the reference model. ``predict_proba`` of the
    target is not used, except once to count the columns of a bare skorch net.

    A known row's features come from a reference model that was not trained on it, in up to five folds, so that known
    members and known non-members are treated alike. Rows must be numeric.

    References
    ----------
    Watson et al., "On the importance of difficulty calibration in membership inference attacks", ICLR 2022.

    Yeom et al., "Privacy risk in machine learning: analyzing the connection to overfitting", CSF 2018,
    section 3.1.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> from skdiffence.attacks import LabelOnlyReferenceAttack
    >>> X, y = load_digits(return_X_y=True)
    >>> is_member = y >= 0
    >>> is_member[::2] = False
    >>> y[::5] = 9 - y[::5]  # wrong labels, which the forest memorizes
    >>> forest = RandomForestClassifier(10, random_state=0).fit(X[is_member], y[is_member])
    >>> attack = LabelOnlyReferenceAttack(random_state=0)
    >>> attack = attack.fit(forest, X[:500], y[:500], is_member[:500])
    >>> called = attack.predict(X[500:], y[500:])
    >>> bool((called == is_member[500:]).mean() > 0.6)
    True
    """

    family = "label_only"
    uses = "labels"
    row_type = "numeric"
    own_model = True
    shares_answers = True

    _parameter_constraints: dict = {
        "reference": [HasMethods(["fit", "predict_proba"]), None],
        "reference_data": [tuple, list, None],
        "n_queries": [QUERIES_OPTION],
        "scale": SCALE_OPTIONS,
        "random_state": ["random_state"],
    }

    def __init__(self, reference=None, *, reference_data=None, n_queries=1, scale=None, random_state=None):
        self.reference = reference
        self.reference_data = reference_data
        self.n_queries = n_queries
        self.scale = scale
        self.random_state = random_state

    @property
    def asks_once(self):
        """Whether one answer for each row is enough: with ``n_queries=1``."""
        return self.n_queries == 1

    def _query(self, target, X, y):
        y = check_labels(target, X, y)
        # In fit there is no target yet, and the known rows give the noise its range.
        is_fitted, seed = hasattr(self, "target_"), draw_seed(self.random_state)
        noise = self._noise if is_fitted else NoisyNeighbors(X, self.n_queries, self.scale, seed)
        answers = [query_labels(target, rows, y) for rows in noise.of(X)]
        correct = np.column_stack([given.correct for given in answers]).astype(float)
        return LabelAnswers(**vars(answers[0]), noise=noise, correctness=noise.summarize(correct))

    def _observed(self, answers):
        if answers.X is None:
            raise ValueError("answers must hold their rows, X, for the reference model. Got None.")
        if isinstance(answers, LabelAnswers):
            correctness = answers.correctness
        elif self.asks_once:
            correctness = answers.correct[:, np.newaxis].astype(float)
        else:
            raise ValueError(
                f"{type(self).__name__} with n_queries={self.n_queries} can't use shared answers. Use fit and "
                "score_samples, which query the target."
            )
        # A class that the target does not know counts as its last one: such rows are never labeled correctly.
        labels = (answers.classes[columns] for columns in (answers.y, answers.label))
        return _Observed(answers.X, *labels, correctness)

    def _fit_reference(self, X, y):
        reference = _default_reference(X) if self.reference is None else clone(self.reference)
        if self.reference is None and num_samples(X) > _MOST_ROWS:
            chosen = np.argsort(row_digests(X), kind="stable")[:_MOST_ROWS]
            X, y = safe_indexing(X, chosen), y[chosen]
        with torch_seed(self._seed):
            return seed_nested(reference, "reference", self._seed).fit(X, y)

    def _learn(self, answers, is_member):
        observed, self._seed = self._observed(answers), draw_seed(self.random_state)
        self._noise = getattr(answers, "noise", None)
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


def _default_reference(X):
    trees, shape = ExtraTreesClassifier(_N_TREES), as_numbers(X).shape
    steps = [FlatRows(), SimpleImputer(keep_empty_features=True)]
    if math.prod(shape[1:]) > _MOST_FEATURES and shape[0] > _N_COMPONENTS:
        steps += [StandardScaler(), PCA(_N_COMPONENTS, svd_solver="randomized")]
    return make_pipeline(*steps, trees)


def _features(reference, observed):
    """Return the features of membership: correctness, and what the reference model makes of the labels."""
    answers = query_proba(reference, observed.X, observed.y)
    proba = answers.proba
    columns = answers.y, label_columns(observed.label, answers.classes)
    phi = [_phi(proba, column) for column in columns]
    entropy = -xlogy(proba, proba).sum(axis=1)
    return np.column_stack([observed.correctness, *phi, entropy])


def _phi(proba, columns):
    """Return the clipped log-odds at columns of probabilities.

    Of classes that the reference model does not know, whose column is -1, it says nothing: their odds are those of
    chance.
    """
    chance = 1 / max(proba.shape[1], 2)
    at_column = np.where(columns < 0, chance, proba[np.arange(len(proba)), columns])
    return logit(np.clip(at_column, _CLIP, 1 - _CLIP))

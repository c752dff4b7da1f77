"""The attack on the label of a row, compared with a reference model of the attacker's own."""

from dataclasses import dataclass

import numpy as np

from skdiffence.attacks._answers import Answers
from skdiffence.attacks._labels import check_labels, query_labels
from skdiffence.attacks._reference_model import ReferenceModelAttack
from skdiffence.attacks.label_only._noise import QUERIES_OPTION, SCALE_OPTIONS, NoisyNeighbors
from skdiffence.utils._random import draw_seed


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


class LabelOnlyReferenceAttack(ReferenceModelAttack):
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
        are more than 256 features and more than 64 rows. Of more than 100 classes it is 20 nearest neighbors.
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

    _parameter_constraints: dict = {
        **ReferenceModelAttack._parameter_constraints,
        "n_queries": [QUERIES_OPTION],
        "scale": SCALE_OPTIONS,
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

    def _said(self, answers):
        if isinstance(answers, LabelAnswers):
            return answers.correctness
        if self.asks_once:
            return answers.correct[:, np.newaxis].astype(float)
        raise ValueError(
            f"{type(self).__name__} with n_queries={self.n_queries} can't use shared answers. Use fit and "
            "score_samples, which query the target."
        )

    def _learn(self, answers, is_member):
        super()._learn(answers, is_member)
        self._noise = getattr(answers, "noise", None)

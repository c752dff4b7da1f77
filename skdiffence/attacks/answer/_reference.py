"""The attack on the whole answer, compared with a reference model of the attacker's own."""

import numpy as np
from scipy.special import xlogy

from skdiffence.attacks._reference_model import ReferenceModelAttack
from skdiffence.metrics import logit_signal


class ReferenceAttack(ReferenceModelAttack):
    """Call a row a member if the answer to it is better than a model that was not trained on it would expect.

    The attacker trains a reference model, which tells how difficult a row is, and learns from the known rows how the
    answers for members differ from it. The difference of its success from that of
    :class:`LabelOnlyReferenceAttack`, which has the same reference model and only labels, is what probabilities tell
    an attacker who can judge rows himself.

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
    random_state : int, RandomState instance or None, default=None
        Seeds a reference model without a seed.

    Attributes
    ----------
    target_ : classifier
        The target, after ``fit``.
    reference_ : classifier
        The fitted reference model.
    estimator_ : classifier
        Logistic regression that predicts membership. Its features are the correctness of the label; phi of the target
        at the true and at the predicted label, and the entropy of its answer; the same three of the reference model;
        and the squares and products of all of these.
    threshold_ : float
        Rows that score at least this are called members. Learned on cross-validated scores of the known rows if each
        side has at least two.

    See Also
    --------
    LabelOnlyReferenceAttack : The label in place of the answer.
    QuantileAttack : Compares a signal of the answer with that of similar non-members.
    LiRAAttack : Many reference models, of which some were trained on the row.

    Notes
    -----
    Cost: one answer for each row, and up to six trainings of the reference model. A known row's features come from a
    reference model that was not trained on it, in up to five folds, so that known members and known non-members are
    treated alike. Rows must be numeric.

    References
    ----------
    Watson et al., "On the importance of difficulty calibration in membership inference attacks", ICLR 2022, section 4,
    who subtract the reference model's signal from the target's.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> from skdiffence.attacks import ReferenceAttack
    >>> X, y = load_digits(return_X_y=True)
    >>> is_member = y >= 0
    >>> is_member[::2] = False
    >>> forest = RandomForestClassifier(10, random_state=0).fit(X[is_member], y[is_member])
    >>> attack = ReferenceAttack(random_state=0).fit(forest, X[:500], y[:500], is_member[:500])
    >>> bool((attack.predict(X[500:], y[500:]) == is_member[500:]).mean() > 0.6)
    True
    """

    def __init__(self, reference=None, *, reference_data=None, random_state=None):
        self.reference = reference
        self.reference_data = reference_data
        self.random_state = random_state

    def _said(self, answers):
        proba = np.asarray(answers.proba, dtype=np.float64)
        phi = [logit_signal(columns, proba) for columns in (answers.y, answers.label)]
        return np.column_stack([answers.correct, *phi, -xlogy(proba, proba).sum(axis=1)])

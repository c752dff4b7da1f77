"""The attack that queries the attacker's own regenerations."""

from numbers import Integral

import numpy as np

from skdiffence.attacks._answers import query
from skdiffence.attacks._changed_rows import check_array
from skdiffence.attacks.adaptive._auxiliary import fit_regenerator, query_auxiliary, regenerate
from skdiffence.attacks.adaptive._base import ANSWER_SIGNALS, RegressionAttack
from skdiffence.utils._random import draw_seed
from skdiffence.utils._sklearn import HasMethods, Interval, StrOptions


class SurrogateRegenerationAttack(RegressionAttack):
    """Compare the answer for a row with the answers for the attacker's own regenerations of it.

    The classifier is more confident on a member than on regenerations of it, and predicts the same label for more of
    the regenerations. A defense that keeps labels has no effect on the latter.

    Parameters
    ----------
    regenerator : object with ``regenerate(X, candidate)``
        The attacker's own, such as a :class:`~skdiffence.diffusion.DiffusionRegenerator` of a pretrained denoiser. A
        clone of it is fitted to the known rows; inside ``FrozenEstimator``, or without ``fit``, it is used as it is.
    surrogate : classifier or None, default=None
        A classifier of the attacker's own, fitted to other rows. Its answers to the same queries measure how difficult
        a row is for a classifier that was not trained on it. Inside ``FrozenEstimator`` it survives cloning.
    n_regenerations : int, default=8
        Number of regenerations of each row.
    signal : {"logit", "answered_logit", "entropy"}, default="logit"
        The signal of each answer: phi at the true label, phi at the predicted label, or the negated entropy.
    random_state : int, RandomState instance or None, default=None
        Seeds the regenerator where that has no ``random_state`` of its own.

    Attributes
    ----------
    target_ : classifier
        The target, after ``fit``.
    model_ : Pipeline
        A logistic regression on the signal of the row, the mean and standard deviation of the signals of its
        regenerations, the share of these with the true label, and the same four features of the surrogate. Scores are
        its log-odds, with both sides weighted equally.
    threshold_ : float
        Rows that score at least this are called members. Learned on cross-validated scores of the known rows.
    regenerator_ : object
        The fitted regenerator.
    row_shape_ : tuple of int
        Shape of a row.

    See Also
    --------
    PrecompensatedQueryAttack : Adds to the row what regenerations remove from it.

    Notes
    -----
    The difference between the signals of the row and of its regenerations, and difficulty calibration, the difference
    between the signals of the target and of the surrogate, are linear in the features. The model learns the weights.

    Cost: ``1 + n_regenerations`` queries of the target for each row, known ones included, as many of the surrogate,
    and ``n_regenerations`` regenerations by the attacker. A query is one row of ``predict_proba``, and of ``predict``
    unless that is its argmax by construction.

    With the defense's own key (the same ``key`` or ``random_state`` and known rows) the attacker's noise is that of the
    defense, as if its key had leaked.

    References
    ----------
    Watson et al., "On the importance of difficulty calibration in membership inference attacks", ICLR 2022.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> from skdiffence.attacks import SurrogateRegenerationAttack
    >>> class Dimmed:
    ...     def regenerate(self, X, candidate):
    ...         return np.maximum(X - candidate - 1, 0)
    >>> X, y = load_digits(return_X_y=True)
    >>> is_member = y[:400] >= 0
    >>> is_member[::2] = False
    >>> forest = RandomForestClassifier(20, random_state=0).fit(X[:400][is_member], y[:400][is_member])
    >>> attack = SurrogateRegenerationAttack(Dimmed(), n_regenerations=2)
    >>> called = attack.fit(forest, X[:200], y[:200], is_member[:200]).predict(X[200:400], y[200:400])
    >>> bool((called == is_member[200:]).mean() > 0.7)
    True
    """

    row_type = "arrays"

    _parameter_constraints: dict = {
        "regenerator": [HasMethods(["regenerate"])],
        "surrogate": [HasMethods(["predict", "predict_proba"]), None],
        "n_regenerations": [Interval(Integral, 1, None, closed="left")],
        "signal": [StrOptions(ANSWER_SIGNALS)],
        "random_state": ["random_state"],
    }

    def __init__(self, regenerator, surrogate=None, *, n_regenerations=8, signal="logit", random_state=None):
        self.regenerator = regenerator
        self.surrogate = surrogate
        self.n_regenerations = n_regenerations
        self.signal = signal
        self.random_state = random_state

    def _prepare(self, target, X, y):
        X = self._check_known_rows(X)
        self.regenerator_ = fit_regenerator(self.regenerator, X, draw_seed(self.random_state))

    def _observe(self, target, X, y):
        X = check_array(X, self.row_shape_)
        of_target, of_surrogate = [], []
        for number in range(1 + self.n_regenerations):
            rows = X if number == 0 else regenerate(self.regenerator_, X, number - 1)
            of_target.append(query(target, rows, y))
            if self.surrogate is not None:
                classes = of_target[0].classes
                of_surrogate.append(query_auxiliary("surrogate", self.surrogate, rows, y, classes))
        return np.column_stack([self._features(answers) for answers in (of_target, of_surrogate) if answers])

    def _features(self, answers):
        """Return four features of the answers for the rows and for their regenerations."""
        row, *regenerated = (each.signal(self.signal) for each in answers)
        agreement = np.mean([each.correct for each in answers[1:]], axis=0)
        return np.column_stack([row, np.mean(regenerated, axis=0), np.std(regenerated, axis=0), agreement])

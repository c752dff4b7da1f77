"""An attack that runs the diffusion itself, and asks about its own regenerations."""

from numbers import Integral

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skdiffence.attacks._answers import query
from skdiffence.attacks.adaptive._brought import ask_own, fit_regenerator, regenerate
from skdiffence.attacks.adaptive._changed_rows import check_numeric
from skdiffence.attacks.adaptive._directed import SIGNALS
from skdiffence.attacks.adaptive._learned import learn_score, score_features
from skdiffence.base import MembershipAttack
from skdiffence.utils._random import draw_seed
from skdiffence.utils._sklearn import HasMethods, Interval, StrOptions, fit_context, num_samples
from skdiffence.utils._validation import check_is_member


class SurrogateRegenerationAttack(MembershipAttack):
    """Compare the answer for a row with the answers for the attacker's own regenerations of it.

    A member stands out from its surroundings: the classifier is surer of it than of what a diffusion model makes of
    it, and gives more of that the same label. Labels are what a defense that keeps them can't hide.

    Parameters
    ----------
    regenerator : object with ``regenerate(X, candidate)``
        The attacker's own, such as a :class:`~skdiffence.diffusion.DiffusionRegenerator` of a pretrained denoiser. A
        clone of it is fitted to the known rows; inside ``FrozenEstimator``, or without ``fit``, it is used as it is.
    surrogate : classifier or None, default=None
        A classifier of the attacker's own, fitted to other rows: its answers to the same questions tell how difficult
        a row is for one that never saw it. Inside ``FrozenEstimator`` it survives cloning.
    n_regenerations : int, default=8
        Regenerations of each row.
    signal : {"logit", "answered_logit", "entropy"}, default="logit"
        What is read in each answer: phi at the true label, phi at the answered label, or the negated entropy.
    random_state : int, RandomState instance or None, default=None
        Seeds the regenerator where that has no ``random_state`` of its own.

    Attributes
    ----------
    target_ : classifier
        The target, after ``fit``.
    model_ : Pipeline
        A logistic regression on what was read: the signal of the row, the mean and the standard deviation of those of
        its regenerations, the share of these that get the true label, and the same four of the surrogate.
    threshold_ : float
        Scores of at least this are called members; learned on scores of known rows by models that did not know them.
    regenerator_ : object
        The fitted regenerator.
    row_shape_ : tuple of int
        Shape of a row.

    See Also
    --------
    PrecompensatedQueryAttack : Adds to the row what regenerations take from it.

    Notes
    -----
    The difference of the row's signal and the mean of its regenerations' is a weighted sum of the two, and the
    surrogate's difficulty calibration, the target's signal less the surrogate's, is one too: the model finds their
    weights.

    Cost: ``1 + n_regenerations`` queries of the target for each row, known ones included, as many of the surrogate,
    and ``n_regenerations`` regenerations by the attacker. A query is one row of ``predict_proba``, and of ``predict``
    unless that is its argmax by construction.

    With the defense's own key (the same ``key`` or ``random_state`` and known rows) the attacker's noise is the
    defense's: that is the attack of somebody to whom the key has leaked.

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

    family = "adaptive"
    shares_answers = True

    _parameter_constraints: dict = {
        "regenerator": [HasMethods(["regenerate"])],
        "surrogate": [HasMethods(["predict", "predict_proba"]), None],
        "n_regenerations": [Interval(Integral, 1, None, closed="left")],
        "signal": [StrOptions(set(SIGNALS))],
        "random_state": ["random_state"],
    }

    def __init__(self, regenerator, surrogate=None, *, n_regenerations=8, signal="logit", random_state=None):
        self.regenerator = regenerator
        self.surrogate = surrogate
        self.n_regenerations = n_regenerations
        self.signal = signal
        self.random_state = random_state

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, target, X, y, is_member):
        """Learn from rows whose membership the attacker knows.

        Parameters
        ----------
        target : classifier
            A fitted classifier with ``predict`` and ``predict_proba``. It is asked, never changed.
        X : array-like of shape (n_samples, ...)
            Rows known to the attacker.
        y : array-like of shape (n_samples,)
            Their true labels.
        is_member : array-like of shape (n_samples,), dtype bool
            True for rows that the target was trained on; both sides must be present.

        Returns
        -------
        self : SurrogateRegenerationAttack

        Raises
        ------
        NotFittedError
            If ``surrogate`` is not fitted.
        TypeError
            If the target has no ``predict_proba``.
        ValueError
            If a parameter or X can't be used, lengths differ or a side is empty.
        """
        is_member = check_is_member(is_member, num_samples(X), both_sides=True)
        X = check_numeric(X)
        self.row_shape_ = X.shape[1:]
        self.regenerator_ = fit_regenerator(self.regenerator, X, draw_seed(self.random_state))
        self.model_, self.threshold_ = learn_score(self._features(target, X, y), is_member)
        self.target_ = target
        return self

    def score_samples(self, X, y):
        """Score rows; higher means more likely a member.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Rows of unknown membership.
        y : array-like of shape (n_samples,)
            Their true labels.

        Returns
        -------
        scores : ndarray of shape (n_samples,), dtype float64
            Logarithm of the odds of membership, for as many members as others.
        """
        check_is_fitted(self, "target_")
        return score_features(self.model_, self._features(self.target_, X, y))

    def _features(self, target, X, y):
        X = check_numeric(X, self.row_shape_)
        own, others = [], []
        for number in range(1 + self.n_regenerations):
            rows = X if number == 0 else regenerate(self.regenerator_, X, number - 1)
            own.append(query(target, rows, y))
            if self.surrogate is not None:
                others.append(ask_own("surrogate", self.surrogate, rows, y, own[0].classes))
        return np.column_stack([self._read(answers) for answers in (own, others) if answers])

    def _read(self, answers):
        signals = np.array([SIGNALS[self.signal](each) for each in answers])
        agreement = np.mean([each.correct for each in answers[1:]], axis=0)
        return np.column_stack([signals[0], signals[1:].mean(axis=0), signals[1:].std(axis=0), agreement])

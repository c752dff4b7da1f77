"""The attack on rows that are changed so that the defense's regeneration undoes the change."""

from numbers import Integral, Real

import numpy as np

from skdiffence.attacks._answers import LABEL_FREE_SIGNALS, query
from skdiffence.attacks._changed_rows import check_array, clip_changes, learn_range, range_ends
from skdiffence.attacks.adaptive._auxiliary import fit_regenerator, regenerate
from skdiffence.attacks.adaptive._base import ANSWER_SIGNALS, StatisticAttack
from skdiffence.utils._frames import like
from skdiffence.utils._random import draw_seed
from skdiffence.utils._sklearn import HasMethods, Interval, StrOptions


class PrecompensatedQueryAttack(StatisticAttack):
    """Query a changed row whose regeneration resembles the row.

    An attacker with a denoiser can add beforehand what a regeneration removes from a row. The classifier behind the
    defense then receives more of the row that it was trained on.

    Parameters
    ----------
    regenerator : object with ``regenerate(X, candidate)`` or None, default=None
        The attacker's own, such as a :class:`~skdiffence.diffusion.DiffusionRegenerator` of a pretrained denoiser. A
        clone of it is fitted to the known rows; inside ``FrozenEstimator``, or without ``fit``, it is used as it is.
        Not used by "contrast".
    mode : {"residual", "contrast"}, default="residual"
        "residual" adds the difference between the row and the attacker's own regenerations of it. "contrast" stretches
        the row about the middle of the value range, which needs no denoiser.
    n_queries : int, default=1
        Number of queries of the target for each row, whose signals are averaged. With "residual" each query uses other
        regenerations, with "contrast" each stretches by another amount.
    n_iterations : int, default=1
        Number of times that "residual" regenerates the changed row and adds the remaining difference.
    n_regenerations : int, default=8
        Number of the attacker's regenerations of each row and iteration, at least one for each query. Differences are
        averaged over the regenerations of a query.
    strength : float, default=2.0
        Factor of the added difference. "contrast" stretches by 1 + strength, and in several queries by strengths up to
        twice as large. Above -1.
    signal : {"logit", "answered_logit", "entropy"}, default="logit"
        The signal of each answer: phi at the true label, phi at the predicted label, or the negated entropy.
    value_range : "auto" or pair, default="auto"
        Lowest and highest value, as numbers or one number for each feature or channel; changed rows are clipped to it.
        "auto" is learned from the known rows: the natural range of images, four standard deviations on either side of
        each feature's mean for rows.
    random_state : int, RandomState instance or None, default=None
        Seeds the regenerator where that has no ``random_state`` of its own.

    Attributes
    ----------
    target_ : classifier
        The target, after ``fit``.
    direction_ : {-1, 1}
        -1 if members have the lower signal among the known rows, 1 if they have the higher one.
    threshold_ : float
        Rows that score at least this are called members.
    regenerator_ : object or None
        The fitted regenerator.
    row_shape_ : tuple of int
        Shape of a row.
    value_range_ : float64 ndarray of shape (2,) or (2, n_features)
        Lowest and highest value.

    See Also
    --------
    RepeatedQueryAttack : Queries near-duplicates, without a denoiser.
    SurrogateRegenerationAttack : Queries the regenerations themselves.

    Notes
    -----
    With m the mean of regenerations and s the strength, an iteration sets x' to x' + s (x - m(x')), clipped, starting
    from x' = x. At convergence m(x') = x. Convergence needs a small s, 1 for most regenerators; a single iteration may
    use more. Rows outside the value range are clipped no further than they lie.

    Cost: ``n_queries`` queries of the target for each row, and ``n_regenerations * n_iterations`` regenerations by the
    attacker, known rows included. A query is one row of ``predict_proba``, and of ``predict`` unless that is its
    argmax by construction.

    With the defense's own key (the same ``key`` or ``random_state`` and known rows) the attacker's noise is that of the
    defense, as if its key had leaked.

    References
    ----------
    Athalye, Carlini and Wagner, "Obfuscated gradients give a false sense of security: circumventing defenses to
    adversarial examples", ICML 2018, on attackers that take a purifying defense into account.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> from skdiffence.attacks import PrecompensatedQueryAttack
    >>> X, y = load_digits(return_X_y=True)
    >>> is_member = y[:400] >= 0
    >>> is_member[::2] = False
    >>> forest = RandomForestClassifier(20, random_state=0).fit(X[:400][is_member], y[:400][is_member])
    >>> attack = PrecompensatedQueryAttack(mode="contrast", strength=0.1, n_queries=2)
    >>> called = attack.fit(forest, X[:200], y[:200], is_member[:200]).predict(X[200:400], y[200:400])
    >>> bool((called == is_member[200:]).mean() > 0.7)
    True
    """

    row_type = "arrays"

    _parameter_constraints: dict = {
        "regenerator": [HasMethods(["regenerate"]), None],
        "mode": [StrOptions({"contrast", "residual"})],
        "n_queries": [Interval(Integral, 1, None, closed="left")],
        "n_iterations": [Interval(Integral, 1, None, closed="left")],
        "n_regenerations": [Interval(Integral, 1, None, closed="left")],
        "strength": [Interval(Real, -1, None, closed="neither")],
        "signal": [StrOptions(ANSWER_SIGNALS)],
        "value_range": [StrOptions({"auto"}), tuple, list, np.ndarray],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        regenerator=None,
        *,
        mode="residual",
        n_queries=1,
        n_iterations=1,
        n_regenerations=8,
        strength=2.0,
        signal="logit",
        value_range="auto",
        random_state=None,
    ):
        self.regenerator = regenerator
        self.mode = mode
        self.n_queries = n_queries
        self.n_iterations = n_iterations
        self.n_regenerations = n_regenerations
        self.strength = strength
        self.signal = signal
        self.value_range = value_range
        self.random_state = random_state

    @property
    def needs_true_labels(self):
        """Whether true labels are read: for phi at the true label."""
        return self.signal not in LABEL_FREE_SIGNALS

    def _prepare(self, target, X, y):
        residual = self.mode == "residual"
        if residual and self.regenerator is None:
            raise ValueError("regenerator must be given for mode='residual'. Got None. mode='contrast' needs none.")
        if residual and self.n_regenerations < self.n_queries:
            raise ValueError(
                f"n_regenerations must be at least n_queries={self.n_queries}, one for each query. "
                f"Got {self.n_regenerations}."
            )
        X = self._check_known_rows(X)
        self.value_range_ = learn_range(X, self.value_range)
        seed = draw_seed(self.random_state)
        self.regenerator_ = fit_regenerator(self.regenerator, X, seed) if residual else None

    def _observe(self, target, X, y):
        X = check_array(X, self.row_shape_)
        change = self._compensated if self.mode == "residual" else self._stretched
        answers = (query(target, change(X, number), y) for number in range(self.n_queries))
        return np.mean([each.signal(self.signal) for each in answers], axis=0)

    def _compensated(self, X, number):
        candidates = range(number, self.n_regenerations, self.n_queries)
        changed = X
        for _ in range(self.n_iterations):
            parts = [regenerate(self.regenerator_, changed, candidate) for candidate in candidates]
            lost = X - np.mean(parts, axis=0, dtype=np.float64)
            changed = self._clipped(changed + self.strength * lost, X)
        return changed

    def _stretched(self, X, number):
        low, high = range_ends(self.value_range_, self.row_shape_)
        middle = (low + high) / 2
        strength = self.strength * 2 * (number + 1) / (self.n_queries + 1)
        return self._clipped(middle + (1 + strength) * (X - middle), X)

    def _clipped(self, changed, X):
        return like(clip_changes(changed, X, *range_ends(self.value_range_, self.row_shape_)), X)

"""The robust membership inference attack, RMIA: scores on arrays, and the estimator."""

from numbers import Real

import numpy as np

from skdiffence.attacks._known_rows import best_threshold
from skdiffence.attacks.shadow._shadow_attack import ShadowAttack
from skdiffence.utils._sklearn import Interval, StrOptions, validate_params
from skdiffence.utils._validation import check_is_member

# What single precision may add to a probability of 1.
_TOLERANCE = 1e-6


@validate_params(
    {
        "target_proba": ["array-like"],
        "shadow_proba": ["array-like"],
        "membership": ["array-like"],
        "target_population": ["array-like"],
        "shadow_population": ["array-like"],
        "mode": [StrOptions({"online", "offline"})],
        "offline_a": [Interval(Real, 0, 1, closed="both")],
        "gamma": [Interval(Real, 0, None, closed="neither")],
        "population_membership": ["array-like", None],
    },
    prefer_skip_nested_validation=True,
)
def rmia_scores(
    target_proba,
    shadow_proba,
    membership,
    target_population,
    shadow_population,
    *,
    mode="online",
    offline_a=0.3,
    gamma=1.0,
    population_membership=None,
):
    """Compute the scores of the robust membership inference attack, RMIA; higher means more likely a member.

    A row x is compared with rows z of a population that the target was not trained on. The score is the share of z with
    ``r(x) / r(z) > gamma``, where ``r`` is the target's probability of the true class divided by a reference
    probability from the shadow models.

    Parameters
    ----------
    target_proba : array-like of shape (n_samples,)
        The target's probability of the true class, see :func:`~skdiffence.metrics.confidence_signal`.
    shadow_proba : array-like of shape (n_samples, n_models)
        The same probability of the shadow models. NaN where it is missing.
    membership : array-like of shape (n_samples, n_models), dtype bool
        True for models that were trained on the row ("IN"), False for others ("OUT").
    target_population : array-like of shape (n_population,)
        The target's probability of the true class for rows that it was not trained on.
    shadow_population : array-like of shape (n_population, n_models)
        The same probability of the shadow models. NaN where it is missing.
    mode : {"online", "offline"}, default="online"
        "online": the reference is the mean over all models. "offline": from the mean over OUT models, ``p_out``, the
        reference is ``((1 + offline_a) * p_out + 1 - offline_a) / 2``. It applies to the rows and the population.
    offline_a : float, default=0.3
        How strongly the probability under IN models depends on that under OUT models, in [0, 1].
    gamma : float, default=1.0
        How much larger a row's ratio must be to count.
    population_membership : array-like of shape (n_population, n_models), dtype bool, default=None
        True for models that were trained on the row of the population. None means that none was.

    Returns
    -------
    scores : ndarray of shape (n_samples,), dtype float64
        In [0, 1], multiples of ``1 / n_population``. Expect ties, and no useful true positive rate at false positive
        rates below that.

    Raises
    ------
    ValueError
        If shapes do not match, a value is not a probability, or a row has no reference model: an OUT model if offline,
        any model if online.

    See Also
    --------
    RMIAAttack : The estimator.
    lira_scores : Gaussians in place of the population.

    Notes
    -----
    All models that have a value count, however many they are. A row to which the target and all models give
    probability 0 has ratio 1.

    References
    ----------
    Zarifzadeh, Liu and Shokri, "Low-cost high-power membership inference attacks", ICML 2024, section 2 and appendix
    B.2.2.

    Examples
    --------
    >>> import numpy as np
    >>> from skdiffence.attacks import rmia_scores
    >>> shadow_proba, membership = np.array([[0.9, 0.5], [0.8, 0.6]]), np.array([[True, False], [True, False]])
    >>> shadow_population = np.array([[0.5, 0.7], [0.5, 0.5], [0.4, 0.4]])
    >>> rmia_scores([0.8, 0.3], shadow_proba, membership, [0.6, 0.6, 0.1], shadow_population)
    array([0.66666667, 0.33333333])
    """
    target, shadows, membership = _checked(target_proba, shadow_proba, membership, "")
    population = _checked(target_population, shadow_population, population_membership, "population")
    if population[1].shape[1] != shadows.shape[1]:
        raise ValueError(
            "shadow_proba and shadow_population must be about the same models. "
            f"Got {shadows.shape[1]} and {population[1].shape[1]}."
        )
    options = {"mode": mode, "offline_a": offline_a}
    ratios = _likelihood_ratios(target, _reference(shadows, membership, **options))
    in_population = _likelihood_ratios(population[0], _reference(*population[1:], **options, name="population"))
    return _share_below(ratios, in_population, gamma)


def _reference(shadows, membership, *, mode, offline_a, name="rows"):
    """Return the probabilities that the target's are divided by, of shape (n_samples,)."""
    there = ~np.isnan(shadows) & (~membership if mode == "offline" else True)
    count = there.sum(axis=1)
    if not count.all():
        raise ValueError(
            f"membership must leave each of the {name} a model "
            + ("that was not trained on it and has a value. " if mode == "offline" else "that has a value. ")
            + f"{(count == 0).sum()} of {len(count)} have none, the first at position {(count == 0).argmax()}."
        )
    mean = np.where(there, shadows, 0.0).sum(axis=1) / count
    return mean if mode == "online" else ((1 + offline_a) * mean + 1 - offline_a) / 2


def _likelihood_ratios(target, reference):
    """Divide probabilities by their references; 0 / 0 is 1."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where((target == 0) & (reference == 0), 1.0, target / reference)


def _share_below(ratios, population, gamma):
    """Return for each ratio the share of the population's ratios that it exceeds ``gamma`` times."""
    return np.searchsorted(np.sort(gamma * population), ratios, side="left") / len(population)


def _checked(target, shadows, membership, name):
    of_target, of_shadows = (f"target_{name}", f"shadow_{name}") if name else ("target_proba", "shadow_proba")
    target, shadows = np.asarray(target, dtype=np.float64), np.asarray(shadows, dtype=np.float64)
    if target.ndim != 1 or shadows.ndim != 2 or len(target) != len(shadows) or not shadows.size:
        raise ValueError(
            f"{of_target} and {of_shadows} must have shapes (n,) and (n, n_models), none of them zero. "
            f"Got {target.shape} and {shadows.shape}."
        )
    wrong = (~_are_probabilities(target)).sum() + (~_are_probabilities(shadows) & ~np.isnan(shadows)).sum()
    if wrong:
        raise ValueError(
            f"{of_target} and {of_shadows} must hold probabilities, from 0 to 1; only a shadow's may be NaN. "
            f"Got {wrong} values that are none."
        )
    if membership is None:
        return target, shadows, np.zeros(shadows.shape, dtype=bool)
    return target, shadows, check_is_member(membership, shadows.shape, name=f"{name}_membership".lstrip("_"))


def _are_probabilities(values):
    return (values >= 0) & (values <= 1 + _TOLERANCE)


class RMIAAttack(ShadowAttack):
    """Call a row a member if its likelihood ratio exceeds those of known non-members.

    The ratio divides the target's probability of the true class by that of shadow models, trained as the target was on
    random halves of a pool that contains the rows to be scored. A few shadows are enough.

    Parameters
    ----------
    shadows : dict, default=None
        The result of :func:`train_shadows`, or of :func:`~sklearn.model_selection.cross_validate` with
        :class:`~skdiffence.model_selection.ShadowSplit`, ``return_estimator=True`` and ``return_indices=True``. For a
        defended target, the shadows must be defended in the same way.
    pool : tuple of (X, y), default=None
        The rows that the shadows were trained on halves of, in the same order, and their labels.
    estimator : classifier, default=None
        Without ``shadows``, the classifier that ``fit`` trains clones of, on halves of ``pool``.
    n_shadows : int, default=64
        Number of shadows to train, even.
    mode : {"auto", "online", "offline"}, default="auto"
        "online" takes all shadows for reference, "offline" those that were not trained on the row. "auto" is "online"
        where the known rows allow it.
    uses : {"proba", "labels"}, default="proba"
        With "labels", the target is queried for labels only, and its probability of the true class is 1 if the label
        is correct and otherwise 0.
    offline_a : float, default=0.3
        How strongly the probability under models trained on a row depends on that under others, see
        :func:`rmia_scores`.
    gamma : float, default=1.0
        How much larger a row's ratio must be than that of a known non-member to count.
    population : tuple of (X, y), default=None
        Rows that the target was not trained on, for comparison. None takes the known non-members.
    cache_dir : str or Path, default=None
        Folder of trained shadows, see :func:`train_shadows`, and of their signals for the pool. It tells about every
        row, so protect it as you protect the rows.
    n_jobs : int, default=None
        Number of shadows that are trained, or queried, at the same time.
    random_state : int, RandomState instance or None, default=None
        Seeds the halves and the training of the shadows.

    Attributes
    ----------
    target_ : classifier
        The target, after ``fit``.
    threshold_ : float
        Rows that score at least this are called members; learned on the known rows.
    mode_ : {"online", "offline"}
        The mode in use.
    population_ratios_ : dict of str to ndarray of shape (n_population,)
        Likelihood ratios of the population, by mode.
    shadow_signals_ : object
        The shadows and their signals for the pool.

    See Also
    --------
    rmia_scores : The scores on arrays.
    LiRAAttack : Better with many shadows.
    train_shadows : Train the shadows.

    Notes
    -----
    Cost: one query of the target for each row, and one for each row of ``population`` in ``fit``. The shadows are
    queried, and their signals shared and stored, as :class:`LiRAAttack` describes. In a scorer pass ``shadows=``: with
    ``estimator=`` and no ``cache_dir=`` every fit trains shadows of its own.

    Scores are multiples of one divided by the size of the population, so a true positive rate at a false positive rate
    below that is meaningless. Rows are found in the pool by content and label; other rows are scored offline, with a
    MembershipWarning. Rows that a shadow held out or calibrated on have no signal from it. A pickled attack contains
    its pool.

    References
    ----------
    Zarifzadeh, Liu and Shokri, "Low-cost high-power membership inference attacks", ICML 2024, section 2.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import make_blobs
    >>> from sklearn.tree import DecisionTreeClassifier
    >>> from skdiffence.attacks import RMIAAttack
    >>> X, y = make_blobs(400, cluster_std=6.0, random_state=0)
    >>> is_member = np.random.default_rng(0).random(400) < 0.5
    >>> tree = DecisionTreeClassifier(max_leaf_nodes=80, random_state=0)
    >>> attack = RMIAAttack(estimator=tree, pool=(X, y), n_shadows=4, random_state=0)
    >>> target = tree.fit(X[is_member], y[is_member])
    >>> attack = attack.fit(target, X[:200], y[:200], is_member[:200])
    >>> called = attack.predict(X[200:], y[200:])
    >>> bool((called == is_member[200:]).mean() > 0.6)
    True
    """

    _parameter_constraints: dict = {
        **ShadowAttack._parameter_constraints,
        "offline_a": [Interval(Real, 0, 1, closed="both")],
        "gamma": [Interval(Real, 0, None, closed="neither")],
        "population": [tuple, list, None],
    }

    _signal = "confidence"

    def __init__(
        self,
        shadows=None,
        *,
        pool=None,
        estimator=None,
        n_shadows=64,
        mode="auto",
        uses="proba",
        offline_a=0.3,
        gamma=1.0,
        population=None,
        cache_dir=None,
        n_jobs=None,
        random_state=None,
    ):
        super().__init__(
            shadows,
            pool=pool,
            estimator=estimator,
            n_shadows=n_shadows,
            mode=mode,
            uses=uses,
            cache_dir=cache_dir,
            n_jobs=n_jobs,
            random_state=random_state,
        )
        self.offline_a = offline_a
        self.gamma = gamma
        self.population = population

    @property
    def asks_once(self):
        """Whether answers to the rows are enough: unless the target must be asked about a ``population``."""
        return self.population is None

    def _learn(self, answers, is_member):
        self.shadow_signals_ = self._shadow_signals()
        known = self._compare(answers)
        self.mode_ = self._learned_mode(is_member, known[1].any(axis=1))
        non_members = [part[~is_member] for part in known]
        population = non_members if self.population is None else self._query_population(answers.target)
        modes = {"offline", self.mode_}
        self.population_ratios_ = {mode: self._ratios(*population, mode) for mode in sorted(modes)}
        self.threshold_ = best_threshold(is_member, self._share(*known))

    def _query_population(self, target):
        if len(self.population) != 2:
            raise ValueError(f"population must be a tuple (X, y). Got one of length {len(self.population)}.")
        return self._compare(self._query(target, *self.population), warn=False)

    def _score(self, answers):
        return self._share(*self._compare(answers))

    def _compare(self, answers, *, warn=True):
        """Return the probabilities of the target, memberships in the shadows, and the shadows' probabilities."""
        shadows, membership = self._gather(answers, warn=warn)
        return self._signals(answers)[:, 0], membership, shadows[:, :, 0]

    def _share(self, target, membership, shadows):
        shares = _share_below(
            self._ratios(target, membership, shadows, "offline"), self.population_ratios_["offline"], self.gamma
        )
        if self.mode_ == "online":
            online = self._ratios(target, membership, shadows, "online")
            trained = membership.any(axis=1)
            shares[trained] = _share_below(online[trained], self.population_ratios_["online"], self.gamma)
        return shares

    def _ratios(self, target, membership, shadows, mode):
        return _likelihood_ratios(target, _reference(shadows, membership, mode=mode, offline_a=self.offline_a))

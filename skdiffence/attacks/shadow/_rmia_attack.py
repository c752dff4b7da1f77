"""The relative attack as an estimator."""

from numbers import Real

import numpy as np

from skdiffence.attacks._answers import query
from skdiffence.attacks._known_rows import best_threshold
from skdiffence.attacks.shadow._rmia import likelihood_ratios, reference, share_below
from skdiffence.attacks.shadow._shadow_attack import ShadowAttack, check_left_out, learned_mode, warn_of_outsiders
from skdiffence.utils._sklearn import Interval
from skdiffence.utils._validation import check_is_member


class RMIAAttack(ShadowAttack):
    """Call a row a member if the target gains more on it, relative to other models, than on known non-members.

    It needs shadow models, trained as the target was, on random halves of a pool that holds the rows to be scored, and
    gets along with few of them.

    Parameters
    ----------
    shadows : dict, default=None
        What :func:`train_shadows` returns, or :func:`~sklearn.model_selection.cross_validate` with
        :class:`~skdiffence.model_selection.ShadowSplit`, ``return_estimator=True`` and ``return_indices=True``. A
        defended target needs shadows that are defended the same way.
    pool : tuple of (X, y), default=None
        The rows that the shadows were trained on halves of, in the same order, and their labels.
    estimator : classifier, default=None
        Where there are no ``shadows``: what ``fit`` trains them from, on halves of ``pool``.
    n_shadows : int, default=64
        How many to train; even.
    mode : {"auto", "online", "offline"}, default="auto"
        "online" refers to all shadows, "offline" to those that were not trained on the row. "auto" is "online" where
        the known rows allow it.
    offline_a : float, default=0.3
        How strongly the probability under models trained on a row depends on that under others, see
        :func:`rmia_scores`.
    gamma : float, default=1.0
        How much larger a row's ratio must be than that of a known non-member to count.
    population : tuple of (X, y), default=None
        Rows that the target was not trained on, to compare with. None takes the known non-members.
    cache_dir : str or Path, default=None
        Where :func:`train_shadows` keeps and finds trained shadows, and attacks what the shadows answered about the
        pool. That holds an attack's view of every row: keep it as you keep the rows.
    n_jobs : int, default=None
        Shadows trained, and asked, at the same time.
    random_state : int, RandomState instance or None, default=None
        Seeds the halves and the training of the shadows.

    Attributes
    ----------
    target_ : classifier
        The target, after ``fit``.
    threshold_ : float
        Scores of at least this are called members; learned on the known rows.
    mode_ : {"online", "offline"}
        How rows are scored.
    population_ratios_ : dict of str to ndarray of shape (n_population,)
        Likelihood ratios of the population, by mode.
    shadow_signals_ : object
        The shadows, and what they answered about the pool.

    See Also
    --------
    rmia_scores : The same on arrays.
    LiRAAttack : Does better with many shadows.
    train_shadows : Trains them.

    Notes
    -----
    Costs one query of the target a row, and one for each row of ``population`` in ``fit``. ``fit`` asks all shadows
    about the whole pool once, shares what they answered with other attacks, and keeps it, as :class:`LiRAAttack` does.
    Inside a scorer give ``shadows=``: with ``estimator=`` and no ``cache_dir=`` every fit trains its own.

    Scores are multiples of one divided by the size of the population: the true positive rate at a false positive rate
    below that means nothing. Rows are found in the pool by content and label. Rows that a shadow held out by itself,
    or calibrated on, have no signal from it. A pickled attack contains its pool.

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
        offline_a=0.3,
        gamma=1.0,
        population=None,
        cache_dir=None,
        n_jobs=None,
        random_state=None,
    ):
        self.shadows = shadows
        self.pool = pool
        self.estimator = estimator
        self.n_shadows = n_shadows
        self.mode = mode
        self.offline_a = offline_a
        self.gamma = gamma
        self.population = population
        self.cache_dir = cache_dir
        self.n_jobs = n_jobs
        self.random_state = random_state

    @property
    def asks_once(self):
        """Whether answers to the rows are enough: unless the target must be asked about a ``population``."""
        return self.population is None

    def _learn(self, answers, signals, is_member, target):
        is_member = check_is_member(is_member, len(answers), both_sides=True)
        self.shadow_signals_ = self._shadow_signals()
        known = self._compare(answers, signals)
        self.mode_ = learned_mode(self.mode, is_member, known[1].any(axis=1))
        population = [part[~is_member] for part in known] if self.population is None else self._ask_population(target)
        modes = {"offline", self.mode_}
        self.population_ratios_ = {mode: self._ratios(*population, mode) for mode in sorted(modes)}
        self.threshold_ = best_threshold(is_member, self._share(*known))

    def _ask_population(self, target):
        if len(self.population) != 2:
            raise ValueError(f"population must be a tuple (X, y). Got one of length {len(self.population)}.")
        answers = query(target, *self.population)
        return self._compare(answers, self._signals(answers), warn=False)

    def _score(self, answers, signals):
        return self._share(*self._compare(answers, signals))

    def _compare(self, answers, signals, *, warn=True):
        """Return the probabilities of target and shadows for the same rows, and the shadows' memberships."""
        shadows, membership, inside = self.shadow_signals_.gather(answers, self._signal)
        if warn:
            warn_of_outsiders(inside)
        shadows = shadows[:, :, 0]
        check_left_out((~membership & ~np.isnan(shadows)).any(axis=1))
        return signals[:, 0], membership & ~np.isnan(shadows), shadows

    def _share(self, target, membership, shadows):
        shares = share_below(
            self._ratios(target, membership, shadows, "offline"), self.population_ratios_["offline"], self.gamma
        )
        if self.mode_ == "online":
            online = self._ratios(target, membership, shadows, "online")
            trained = membership.any(axis=1)
            shares[trained] = share_below(online[trained], self.population_ratios_["online"], self.gamma)
        return shares

    def _ratios(self, target, membership, shadows, mode):
        return likelihood_ratios(target, reference(shadows, membership, mode=mode, offline_a=self.offline_a))

"""The likelihood-ratio attack as an estimator."""

import math
from functools import partial
from numbers import Integral, Real

import numpy as np

from skdiffence.attacks._known_rows import best_threshold
from skdiffence.attacks.label_only._augmentations import all_views
from skdiffence.attacks.shadow._gaussians import offline_scores, online_scores, summarize
from skdiffence.attacks.shadow._lira import VARIANCES, resolve_variance
from skdiffence.attacks.shadow._shadow_attack import ShadowAttack, check_left_out, learned_mode, warn_of_outsiders
from skdiffence.attacks.shadow._signal_matrix import saturation
from skdiffence.utils._sklearn import Interval, StrOptions
from skdiffence.utils._validation import check_is_member


class LiRAAttack(ShadowAttack):
    """Call a row a member if its answer is likelier from models trained on it than from models that were not.

    The strongest attack on a single answer, and a costly one: it needs shadow models, trained as the target was, on
    random halves of a pool that holds the rows to be scored.

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
        "online" compares models that were trained on the row with models that were not; "offline" looks at the latter
        only. "auto" is "online" where the known rows allow it.
    variance : {"auto", "fixed", "global", "per_sample"}, default="auto"
        How the spread of the shadows' signals is found, see :func:`lira_scores`; pooled over the pool.
    queries : {"identity", "flips", "shifts", "flips+shifts"} or callable, default="identity"
        What is asked about each row: itself only; or, of images of shape (n_channels, height, width), also its mirror
        image (2 queries), its shifts by ``shift`` pixels along one or both axes with the edge repeated (9), or both
        (18). A callable takes X and returns a list of arrays of further queries. The row itself is always the first.
    shift : int, default=1
        Pixels of a shift.
    clip : "auto" or float, default="auto"
        Probabilities are clipped to ``[clip, 1 - clip]``, in (0, 0.5). "auto" clips where a shadow gives a probability
        of exactly 0 or 1, as forests and neighbors do, at half of the smallest that differs from these; else nothing.
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
    variance_ : {"fixed", "global", "per_sample"}
        The rule for spreads.
    clip_ : float
        What probabilities were clipped at.
    shadow_signals_ : object
        The shadows, and what they answered about the pool.
    offline_shift_ : float
        Added to the scores of rows that no shadow was trained on, when others are scored online: one threshold then
        is each one's own.

    See Also
    --------
    lira_scores : The same on arrays.
    RMIAAttack : Does better with few shadows.
    train_shadows : Trains them.

    Notes
    -----
    Costs one query of the target a row, or as many as there are ``queries``. ``fit`` asks all shadows about the whole
    pool once. What they answered is shared with clones of the attack and with other attacks that ask the same shadows
    the same, and rows of the pool cost the shadows nothing after that; with ``cache_dir`` it outlives the process, in
    a file that is mapped into memory. It is found again if, and only if, nothing that it depends on has changed: what
    the shadows have learned, the rows of the pool and their order, the labels, who was trained on which, the queries,
    and the versions of the libraries. Inside a scorer give ``shadows=``: with ``estimator=`` and no ``cache_dir=``
    every fit trains its own.

    The direction is not learned, shadows show it; the known rows serve for the threshold alone. Rows are found in the
    pool by content and label. Rows that a shadow held out by itself, or calibrated on, have no signal from it.
    Signals are phi, see :func:`~skdiffence.metrics.logit_signal`; a shadow that was never shown a class gives it
    probability zero. A pickled attack contains its pool.

    References
    ----------
    Carlini et al., "Membership inference attacks from first principles", S&P 2022, sections IV and VI.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import make_blobs
    >>> from sklearn.tree import DecisionTreeClassifier
    >>> from skdiffence.attacks import LiRAAttack
    >>> X, y = make_blobs(400, cluster_std=6.0, random_state=0)
    >>> is_member = np.random.default_rng(0).random(400) < 0.5
    >>> tree = DecisionTreeClassifier(max_leaf_nodes=80, random_state=0)
    >>> attack = LiRAAttack(estimator=tree, pool=(X, y), n_shadows=16, random_state=0)
    >>> target = tree.fit(X[is_member], y[is_member])
    >>> attack = attack.fit(target, X[:200], y[:200], is_member[:200])
    >>> called = attack.predict(X[200:], y[200:])
    >>> bool((called == is_member[200:]).mean() > 0.6)
    True
    """

    _parameter_constraints: dict = {
        **ShadowAttack._parameter_constraints,
        "variance": [StrOptions(VARIANCES)],
        "queries": [StrOptions({"identity", "flips", "shifts", "flips+shifts"}), callable],
        "shift": [Interval(Integral, 1, None, closed="left")],
        "clip": [StrOptions({"auto"}), Interval(Real, 0, 0.5, closed="neither")],
    }

    _signal = "logit"

    def __init__(
        self,
        shadows=None,
        *,
        pool=None,
        estimator=None,
        n_shadows=64,
        mode="auto",
        variance="auto",
        queries="identity",
        shift=1,
        clip="auto",
        cache_dir=None,
        n_jobs=None,
        random_state=None,
    ):
        self.shadows = shadows
        self.pool = pool
        self.estimator = estimator
        self.n_shadows = n_shadows
        self.mode = mode
        self.variance = variance
        self.queries = queries
        self.shift = shift
        self.clip = clip
        self.cache_dir = cache_dir
        self.n_jobs = n_jobs
        self.random_state = random_state

    @property
    def asks_once(self):
        """Whether one answer a row is enough: with ``queries="identity"``."""
        return isinstance(self.queries, str) and self.queries == "identity"

    def _views(self):
        return None if self.asks_once else partial(all_views, queries=self.queries, shift=self.shift)

    def _learn(self, answers, signals, is_member, target):
        is_member = check_is_member(is_member, len(answers), both_sides=True)
        self.shadow_signals_ = self._shadow_signals()
        pool = self.shadow_signals_.signals(self._signal)
        self._bound = saturation(pool) if self.clip == "auto" else math.log((1 - self.clip) / self.clip)
        self.clip_ = 1 / (1 + math.exp(self._bound))
        self.variance_ = resolve_variance(self.variance, pool.shape[1])
        sides = summarize(self._clipped(pool), self.shadow_signals_.membership, variance=self.variance_)
        self._pooled = tuple(side.pooled for side in sides)
        signals, trained, others = self._compare(answers, signals)
        self.mode_ = learned_mode(self.mode, is_member, trained.known)
        offline = offline_scores(signals, others)
        self.offline_shift_ = 0.0
        self.threshold_ = best_threshold(is_member, offline)
        if self.mode_ == "online":
            rows = trained.known
            threshold = best_threshold(is_member[rows], online_scores(signals, trained, others)[rows])
            self.offline_shift_ = threshold - best_threshold(is_member[rows], offline[rows])
            self.threshold_ = threshold

    def _score(self, answers, signals):
        signals, trained, others = self._compare(answers, signals)
        offline = offline_scores(signals, others)
        if self.mode_ == "offline":
            return offline
        return np.where(trained.known, online_scores(signals, trained, others), offline + self.offline_shift_)

    def _compare(self, answers, signals):
        """Return the target's signals, clipped, and the Gaussians of the same rows."""
        shadows, membership, inside = self.shadow_signals_.gather(answers, self._signal)
        warn_of_outsiders(inside)
        trained, others = summarize(self._clipped(shadows), membership, variance=self.variance_, pooled=self._pooled)
        check_left_out(others.known)
        return self._clipped(signals), trained, others

    def _clipped(self, signals):
        return np.clip(signals, -self._bound, self._bound)

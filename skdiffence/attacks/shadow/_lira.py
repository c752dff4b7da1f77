"""The likelihood ratio attack, LiRA: scores on arrays, and the estimator."""

import math
from functools import partial
from numbers import Integral, Real

import numpy as np

from skdiffence.attacks._known_rows import best_threshold
from skdiffence.attacks.shadow._bernoulli import BernoulliSide
from skdiffence.attacks.shadow._gaussians import (
    offline_scores,
    online_scores,
    ratio_scores,
    resolve_variance,
    summarize,
    which_signals,
)
from skdiffence.attacks.shadow._shadow_attack import ShadowAttack
from skdiffence.attacks.shadow._signal_matrix import saturation
from skdiffence.utils._sklearn import Interval, StrOptions, validate_params
from skdiffence.utils._validation import check_is_member
from skdiffence.utils._views import all_views

OPTIONS = {
    "membership": ["array-like"],
    "mode": [StrOptions({"online", "offline"})],
    "variance": [StrOptions({"auto", "fixed", "global", "per_sample"})],
    "center": [StrOptions({"mean", "median"})],
    "two_sided": ["boolean"],
    "ddof": [Interval(Integral, 0, 1, closed="both")],
}


@validate_params(
    {"target_signals": ["array-like"], "shadow_signals": ["array-like"]} | OPTIONS,
    prefer_skip_nested_validation=True,
)
def lira_scores(
    target_signals,
    shadow_signals,
    membership,
    *,
    mode="online",
    variance="auto",
    center="mean",
    two_sided=False,
    ddof=0,
):
    """Compute the scores of the likelihood ratio attack, LiRA; higher means more likely a member.

    Parameters
    ----------
    target_signals : array-like of shape (n_samples,) or (n_samples, n_queries)
        A signal of the target's answers that is about normal over models, such as
        :func:`~skdiffence.metrics.logit_signal`. NaN where it is missing.
    shadow_signals : array-like of shape (n_samples, n_models) or (n_samples, n_models, n_queries)
        The same signal of the shadow models. NaN where it is missing.
    membership : array-like of shape (n_samples, n_models), dtype bool
        True for models that were trained on the row ("IN"), False for others ("OUT").
    mode : {"online", "offline"}, default="online"
        "online" compares the likelihood under IN models with that under OUT models. "offline" needs OUT models only and
        computes the probability of a lower signal under them.
    variance : {"auto", "fixed", "global", "per_sample"}, default="auto"
        How the standard deviations of the Gaussians are estimated, for IN and OUT models separately: "per_sample" for
        each row; "fixed" for all rows together, from the deviations from each row's center; "global" from the signals
        of all rows together. "auto" is "fixed" below 64 models and "per_sample" otherwise.
    center : {"mean", "median"}, default="mean"
        The center of the Gaussians.
    two_sided : bool, default=False
        With ``mode="offline"``, use the negated log-density in place of the log-probability of a lower signal, so that
        signals far below those of the OUT models count as well.
    ddof : int, default=0
        Delta degrees of freedom of the variances, 0 or 1.

    Returns
    -------
    scores : ndarray of shape (n_samples,), dtype float64
        The mean over queries of the log-likelihood ratio or log-probability; NaN where the target has no signal.

    Raises
    ------
    ValueError
        If shapes do not match, a signal is infinite, or a row has no OUT model.

    Warns
    -----
    MembershipWarning
        If rows have no IN model in mode "online". They are scored offline, which is another scale.

    See Also
    --------
    LiRAAttack : The estimator.
    lira_leave_one_out : Each model in turn is the target.

    Notes
    -----
    With "per_sample", a row with one model of a side, or with models of equal signals, has the "fixed" standard
    deviation. Where no row has two models of a side, that side's standard deviation is "global".

    References
    ----------
    Carlini et al., "Membership inference attacks from first principles", S&P 2022, sections IV and VI-B.

    Examples
    --------
    >>> import numpy as np
    >>> from skdiffence.attacks import lira_scores
    >>> membership = np.array([[True, True, False, False]])
    >>> shadow_signals = np.array([[3.0, 5.0, 0.0, 2.0]])
    >>> lira_scores([4.0], shadow_signals, membership)
    array([4.5])
    """
    target, signals = np.asarray(target_signals, dtype=np.float64), as_floating(shadow_signals)
    if target.ndim not in (1, 2) or signals.ndim != target.ndim + 1 or not signals.size:
        raise ValueError(
            "target_signals and shadow_signals must have shapes (n_samples,) and (n_samples, n_models), or "
            "(n_samples, n_queries) and (n_samples, n_models, n_queries), none of them zero. "
            f"Got {target.shape} and {signals.shape}."
        )
    if target.shape != signals.shape[:1] + signals.shape[2:]:
        raise ValueError(
            "target_signals and shadow_signals must be about the same rows and queries. "
            f"Got shapes {target.shape} and {signals.shape}."
        )
    membership = check_is_member(membership, signals.shape[:2], name="membership")
    target, signals = target.reshape(len(target), -1), signals.reshape(*signals.shape[:2], -1)
    which_signals(target, "target_signals")
    variance = resolve_variance(variance, signals.shape[1])
    sides = summarize(signals, membership, variance=variance, center=center, ddof=ddof)
    return ratio_scores(target, *sides, mode, two_sided)


def as_floating(signals):
    """Return signals as an array of floating point numbers, in their own precision."""
    signals = np.asarray(signals)
    return signals if signals.dtype.kind == "f" else signals.astype(np.float64)


class LiRAAttack(ShadowAttack):
    """Call a row a member if its answer is more likely from models trained on it than from other models.

    This is the strongest attack on a single answer, and a costly one. It needs shadow models, trained as the target was
    on random halves of a pool that contains the rows to be scored.

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
        "online" compares models that were trained on the row with models that were not. "offline" uses the latter
        only. "auto" is "online" where the known rows allow it.
    uses : {"proba", "labels"}, default="proba"
        With "labels", the target is queried for labels only. The correctness of a label has a Bernoulli distribution in
        place of a Gaussian, with the mean confidence of the shadows in the true class as its probability.
    variance : {"auto", "fixed", "global", "per_sample"}, default="auto"
        See :func:`lira_scores`. Pooled standard deviations are pooled over all rows of the pool.
    queries : {"identity", "flips", "shifts", "flips+shifts"} or callable, default="identity"
        The queries for each row: the row only; or, for images of shape (n_channels, height, width), also its mirror
        image (2 queries), its shifts by ``shift`` pixels along one or both axes with the edge repeated (9), or both
        (18). A callable takes X and returns a list of arrays of further queries. The row itself is always the first.
    shift : int, default=1
        Number of pixels of a shift.
    clip : "auto" or float, default="auto"
        Clip probabilities to ``[clip, 1 - clip]``, in (0, 0.5). If a shadow gives a probability of exactly 0 or 1, as
        forests do, "auto" is half of the smallest other probability. Otherwise it clips nothing.
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
    variance_ : {"fixed", "global", "per_sample"}
        The estimate of standard deviations in use.
    clip_ : float
        The bound that probabilities were clipped at.
    shadow_signals_ : object
        The shadows and their signals for the pool.
    offline_shift_ : float
        Added in mode "online" to the scores of rows that no shadow was trained on, so that ``threshold_`` fits both.

    See Also
    --------
    lira_scores : The scores on arrays.
    RMIAAttack : Better with few shadows.
    train_shadows : Train the shadows.

    Notes
    -----
    Cost: one query of the target for each row, or as many as there are ``queries``. ``fit`` queries all shadows once
    for the whole pool. Their signals are shared with clones of the attack and with other attacks that make the same
    queries to the same shadows. With ``cache_dir`` they are also stored in a file, which is reused as long as the
    shadows, the pool, its labels, the memberships, the queries and the versions of the libraries are the same. In a
    scorer pass ``shadows=``: with ``estimator=`` and no ``cache_dir=`` every fit trains shadows of its own.

    Only the threshold is learned on the known rows. Rows are found in the pool by content and label; other rows are
    scored offline, with a MembershipWarning. Rows that a shadow held out or calibrated on have no signal from it.
    Signals are phi, see :func:`~skdiffence.metrics.logit_signal`. A class that a shadow does not know has probability
    zero. A pickled attack contains its pool.

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
        "variance": OPTIONS["variance"],
        "queries": [StrOptions({"identity", "flips", "shifts", "flips+shifts"}), callable],
        "shift": [Interval(Integral, 1, None, closed="left")],
        "clip": [StrOptions({"auto"}), Interval(Real, 0, 0.5, closed="neither")],
    }

    def __init__(
        self,
        shadows=None,
        *,
        pool=None,
        estimator=None,
        n_shadows=64,
        mode="auto",
        uses="proba",
        variance="auto",
        queries="identity",
        shift=1,
        clip="auto",
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
        self.variance = variance
        self.queries = queries
        self.shift = shift
        self.clip = clip

    @property
    def asks_once(self):
        """Whether one answer a row is enough: with ``queries="identity"``."""
        return isinstance(self.queries, str) and self.queries == "identity"

    @property
    def _signal(self):
        return "confidence" if self.uses == "labels" else "logit"

    def _views(self):
        return None if self.asks_once else partial(all_views, queries=self.queries, shift=self.shift)

    def _learn(self, answers, is_member):
        self.shadow_signals_ = self._shadow_signals()
        pool = self.shadow_signals_.signals(self._signal)
        self._bound = self._logit_bound(pool)
        self.clip_ = 1 / (1 + math.exp(self._bound))
        self.variance_ = resolve_variance(self.variance, pool.shape[1])
        sides = summarize(self._clipped(pool), self.shadow_signals_.membership, variance=self.variance_)
        self._pooled = tuple(side.pooled for side in sides)
        signals, trained, others = self._compare(answers)
        self.mode_ = self._learned_mode(is_member, trained.known)
        offline = offline_scores(signals, others)
        self.offline_shift_ = 0.0
        self.threshold_ = best_threshold(is_member, offline)
        if self.mode_ == "online":
            rows = trained.known
            threshold = best_threshold(is_member[rows], online_scores(signals, trained, others)[rows])
            self.offline_shift_ = threshold - best_threshold(is_member[rows], offline[rows])
            self.threshold_ = threshold

    def _score(self, answers):
        signals, trained, others = self._compare(answers)
        offline = offline_scores(signals, others)
        if self.mode_ == "offline":
            return offline
        return np.where(trained.known, online_scores(signals, trained, others), offline + self.offline_shift_)

    def _compare(self, answers):
        """Return the target's signals, clipped, and the Gaussians of the same rows."""
        signals = self._clipped(self._signals(answers))
        shadows, membership = self._gather(answers)
        sides = summarize(self._clipped(shadows), membership, variance=self.variance_, pooled=self._pooled)
        return signals, *(map(BernoulliSide.of, sides) if self.uses == "labels" else sides)

    def _logit_bound(self, signals):
        if self.uses == "labels":
            return math.inf  # confidences
        return saturation(signals) if self.clip == "auto" else math.log((1 - self.clip) / self.clip)

    def _clipped(self, signals):
        return np.clip(signals, -self._bound, self._bound)

"""The likelihood-ratio attack on arrays: one Gaussian of models trained on a row, one of models that were not."""

import warnings
from numbers import Integral

import numpy as np

from skdiffence.attacks.shadow._gaussians import offline_scores, online_scores, summarize, which_signals
from skdiffence.exceptions import MembershipWarning
from skdiffence.utils._sklearn import Interval, StrOptions, validate_params
from skdiffence.utils._validation import check_is_member

CENTERS = {"mean", "median"}
VARIANCES = {"auto", "fixed", "global", "per_sample"}

# Below this many models a spread of a row's own is mostly noise.
_FEWEST_FOR_OWN_SPREAD = 64

_OPTIONS = {
    "membership": ["array-like"],
    "mode": [StrOptions({"online", "offline"})],
    "variance": [StrOptions(VARIANCES)],
    "center": [StrOptions(CENTERS)],
    "two_sided": ["boolean"],
    "ddof": [Interval(Integral, 0, 1, closed="both")],
}


def resolve_variance(variance, n_models):
    """Return the rule for spreads that "auto" means.

    Parameters
    ----------
    variance : {"auto", "fixed", "global", "per_sample"}
        The rule asked for.
    n_models : int
        Number of shadow models.

    Returns
    -------
    variance : {"fixed", "global", "per_sample"}
    """
    if variance != "auto":
        return variance
    return "per_sample" if n_models >= _FEWEST_FOR_OWN_SPREAD else "fixed"


@validate_params(
    {"target_signals": ["array-like"], "shadow_signals": ["array-like"]} | _OPTIONS,
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
    """Score rows by the likelihood-ratio attack, LiRA; higher means more likely a member.

    Parameters
    ----------
    target_signals : array-like of shape (n_samples,) or (n_samples, n_queries)
        What the target answered, such as :func:`~skdiffence.metrics.logit_signal`: a signal that is about normal over
        models. NaN where there is none.
    shadow_signals : array-like of shape (n_samples, n_models) or (n_samples, n_models, n_queries)
        The same of the shadow models. NaN where there is none.
    membership : array-like of shape (n_samples, n_models), dtype bool
        True for models that were trained on the row ("IN"), False for others ("OUT").
    mode : {"online", "offline"}, default="online"
        "online" compares the likelihood under IN models with that under OUT models; "offline" needs OUT models only
        and asks how far the target's signal lies above theirs.
    variance : {"auto", "fixed", "global", "per_sample"}, default="auto"
        How the spread of the Gaussians is found, for IN and for OUT models separately. "per_sample" is each row's
        own. "fixed" is one for all rows: that of the deviations from each row's center. "global" is that of the signals
        of all rows together, row effects included. "auto" is "fixed" below 64 models and "per_sample" from there on.
    center : {"mean", "median"}, default="mean"
        The center of the Gaussians.
    two_sided : bool, default=False
        With ``mode="offline"``: the negated log-density in place of the log-probability of a lower signal. A target
        that answers far *below* the OUT models is then taken for trained on the row, too.
    ddof : int, default=0
        Degrees of freedom taken from the number of models in variances, 0 or 1.

    Returns
    -------
    scores : ndarray of shape (n_samples,), dtype float64
        The mean over queries of the log-likelihood ratio or of the logarithm of the tail; NaN where the target has no
        signal.

    Raises
    ------
    ValueError
        If shapes do not belong together, a signal is infinite, or a row has no OUT model.

    Warns
    -----
    MembershipWarning
        If in mode "online" rows have no IN model: they are scored offline, which is another scale.

    See Also
    --------
    LiRAAttack : The same as an estimator.
    lira_leave_one_out : Each model in turn is the target.

    Notes
    -----
    A row's spread is taken from the pooled deviations, as in "fixed", on a side where it has one model only, or where
    all its models answer alike. Where no row has two models of a side, that side's pooled spread is "global".

    Rows are worked on in blocks; memory beyond that of the inputs stays below the size of ``shadow_signals``.

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
    target, signals = np.asarray(target_signals, dtype=np.float64), _as_floats(shadow_signals)
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
    sides = summarize(
        signals, membership, variance=resolve_variance(variance, signals.shape[1]), center=center, ddof=ddof
    )
    return _scores(target, *sides, mode, two_sided)


@validate_params({"signals": ["array-like"]} | _OPTIONS, prefer_skip_nested_validation=True)
def lira_leave_one_out(signals, membership, *, mode="online", variance="auto", center="mean", two_sided=False, ddof=0):
    """Score rows against each model in turn, with all other models as its shadows.

    Parameters
    ----------
    signals : array-like of shape (n_samples, n_models) or (n_samples, n_models, n_queries)
        What the models answered. NaN where there is none.
    membership : array-like of shape (n_samples, n_models), dtype bool
        True for models that were trained on the row.
    mode : {"online", "offline"}, default="online"
        See :func:`lira_scores`, also for the other options.
    variance : {"auto", "fixed", "global", "per_sample"}, default="auto"
        How the spread of the Gaussians is found.
    center : {"mean", "median"}, default="mean"
        The center of the Gaussians.
    two_sided : bool, default=False
        Whether far below counts as well when offline.
    ddof : int, default=0
        Degrees of freedom taken from the number of models in variances, 0 or 1.

    Returns
    -------
    scores : ndarray of shape (n_samples, n_models), dtype float64
        Column k is the score against model k, and ``membership[:, k]`` the truth about it. Scores of a row, and of a
        model, are not independent.

    Raises
    ------
    ValueError
        If shapes do not belong together, a signal is infinite, or a row has no OUT model beside the target.

    See Also
    --------
    lira_scores : One target.

    References
    ----------
    Aerni, Zhang and Tramèr, "Evaluations of machine learning privacy defenses are misleading", CCS 2024, section 4.

    Examples
    --------
    >>> import numpy as np
    >>> from skdiffence.attacks import lira_leave_one_out
    >>> rng = np.random.default_rng(0)
    >>> membership = rng.permuted(np.arange(16) % 2 == np.zeros((50, 1)), axis=1)
    >>> scores = lira_leave_one_out(rng.normal(membership * 3.0), membership)
    >>> bool(scores[membership].mean() > scores[~membership].mean())
    True
    """
    signals = _as_floats(signals)
    if signals.ndim not in (2, 3) or not signals.size or signals.shape[1] < 2:
        raise ValueError(
            "signals must have shape (n_samples, n_models) or (n_samples, n_models, n_queries), of at least two "
            f"models. Got {signals.shape}."
        )
    membership = check_is_member(membership, signals.shape[:2], name="membership")
    signals = signals.reshape(*signals.shape[:2], -1)
    variance = resolve_variance(variance, signals.shape[1] - 1)
    scores = np.empty(membership.shape)
    for model in range(signals.shape[1]):
        sides = summarize(signals, membership, variance=variance, center=center, ddof=ddof, left_out=model)
        target = signals[:, model].astype(np.float64)
        scores[:, model] = _scores(target, *sides, mode, two_sided)
    return scores


def _as_floats(signals):
    signals = np.asarray(signals)
    return signals if signals.dtype.kind == "f" else signals.astype(np.float64)


def _scores(target, trained, others, mode, two_sided):
    lacking = ~others.known
    if lacking.any():
        raise ValueError(
            "membership must leave each row a model that was not trained on it and has a signal. "
            f"{lacking.sum()} of {len(lacking)} rows have none, the first at position {lacking.argmax()}."
        )
    if mode == "offline":
        return offline_scores(target, others, two_sided=two_sided)
    scores, lacking = online_scores(target, trained, others), ~trained.known
    if lacking.any():
        warnings.warn(
            f"{lacking.sum()} of {len(lacking)} rows have no model that was trained on them; they are scored offline, "
            "which is another scale.",
            MembershipWarning,
            stacklevel=4,
        )
        scores[lacking] = offline_scores(target[lacking], others.take(lacking), two_sided=two_sided)
    return scores

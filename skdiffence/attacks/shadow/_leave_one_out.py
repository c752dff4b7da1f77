"""LiRA against each of several models, with the others as its shadows."""

import numpy as np

from skdiffence.attacks.shadow._gaussians import ratio_scores, resolve_variance, summarize
from skdiffence.attacks.shadow._lira import OPTIONS, as_floating
from skdiffence.utils._sklearn import validate_params
from skdiffence.utils._validation import check_is_member


@validate_params({"signals": ["array-like"]} | OPTIONS, prefer_skip_nested_validation=True)
def lira_leave_one_out(signals, membership, *, mode="online", variance="auto", center="mean", two_sided=False, ddof=0):
    """Compute LiRA scores against each model in turn, with all other models as its shadows.

    Parameters
    ----------
    signals : array-like of shape (n_samples, n_models) or (n_samples, n_models, n_queries)
        A signal of the models' answers. NaN where it is missing.
    membership : array-like of shape (n_samples, n_models), dtype bool
        True for models that were trained on the row.
    mode : {"online", "offline"}, default="online"
        See :func:`lira_scores`.
    variance : {"auto", "fixed", "global", "per_sample"}, default="auto"
        See :func:`lira_scores`.
    center : {"mean", "median"}, default="mean"
        See :func:`lira_scores`.
    two_sided : bool, default=False
        See :func:`lira_scores`.
    ddof : int, default=0
        See :func:`lira_scores`.

    Returns
    -------
    scores : ndarray of shape (n_samples, n_models), dtype float64
        Column k has the scores against model k; ``membership[:, k]`` are the true memberships. Scores of a row, and of
        a model, are not independent.

    Raises
    ------
    ValueError
        If shapes do not match, a signal is infinite, or a row has no OUT model beside the target.

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
    signals = as_floating(signals)
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
        scores[:, model] = ratio_scores(target, *sides, mode, two_sided)
    return scores

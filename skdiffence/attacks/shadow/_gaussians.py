"""Gaussians of the signals of shadow models for each row: of models trained on the row, and of the others."""

import math
import warnings
from dataclasses import dataclass

import numpy as np
from scipy.special import log_ndtr

from skdiffence.exceptions import MembershipWarning

# With fewer models the standard deviation of a single row is too noisy.
_FEWEST_FOR_OWN_SPREAD = 64
_SMALLEST_SPREAD = 1e-30
# Below this share of the pooled spread, differences are rounding errors.
_NO_SPREAD = 1e-9
# Number of values processed at once, 2 MiB of float64, so that little memory is needed beside the signals.
_BLOCK = 2**18


@dataclass(frozen=True)
class Side:
    """A Gaussian for each row and query: of the models trained on the row, or of the others.

    Parameters
    ----------
    center, spread : ndarray of shape (n_samples, n_queries)
        Mean or median, and standard deviation; NaN where no model of this side has a signal.
    pooled : float
        The one standard deviation of all rows.
    """

    center: np.ndarray
    spread: np.ndarray
    pooled: float

    @property
    def known(self):
        """Whether each row has a model of this side, of shape (n_samples,)."""
        return ~np.isnan(self.center).all(axis=1)

    def take(self, rows):
        """Return the Gaussians of some rows."""
        return Side(self.center[rows], self.spread[rows], self.pooled)

    def log_density(self, signals):
        """Return the log-density at signals of shape (n_samples, n_queries)."""
        return -0.5 * (self._standard(signals) ** 2 + math.log(2 * math.pi)) - np.log(self.spread)

    def log_cdf(self, signals):
        """Return the log-probability of a lower signal, for signals of shape (n_samples, n_queries)."""
        return log_ndtr(self._standard(signals))

    def _standard(self, signals):
        return (signals - self.center) / self.spread


def resolve_variance(variance, n_models):
    """Return the way to estimate spreads that "auto" stands for.

    Parameters
    ----------
    variance : {"auto", "fixed", "global", "per_sample"}
        The parameter.
    n_models : int
        Number of shadow models.

    Returns
    -------
    variance : {"fixed", "global", "per_sample"}
    """
    if variance != "auto":
        return variance
    return "per_sample" if n_models >= _FEWEST_FOR_OWN_SPREAD else "fixed"


def summarize(signals, membership, *, variance, center="mean", ddof=0, left_out=None, pooled=(None, None)):
    """Fit the Gaussians of both sides, a block of rows at a time.

    Parameters
    ----------
    signals : ndarray of shape (n_samples, n_models, n_queries)
        NaN where a model has none.
    membership : ndarray of shape (n_samples, n_models), dtype bool
        True for models that were trained on the row.
    variance : {"fixed", "global", "per_sample"}
        See ``lira_scores``.
    center : {"mean", "median"}, default="mean"
        See ``lira_scores``.
    ddof : int, default=0
        See ``lira_scores``.
    left_out : int, default=None
        Index of a model to leave out.
    pooled : pair of float or None, default=(None, None)
        Pooled standard deviations of other rows, in place of those of these rows.

    Returns
    -------
    trained, others : Side

    Raises
    ------
    ValueError
        If a signal is infinite.
    """
    parts = ([], [])
    step = max(1, _BLOCK // math.prod(signals.shape[1:]))
    for start in range(0, len(signals), step):
        block = np.asarray(signals[start : start + step], dtype=np.float64)
        there = which_signals(block, "shadow_signals")
        if left_out is not None:
            there[:, left_out] = False
        chosen = membership[start : start + step, :, np.newaxis]
        parts[0].append(_moments(block, there & chosen, center))
        parts[1].append(_moments(block, there & ~chosen, center))
    return tuple(
        _side(np.concatenate(part, axis=1), variance, ddof, spread) for part, spread in zip(parts, pooled, strict=True)
    )


def which_signals(signals, name):
    """Return which signals are not missing.

    Parameters
    ----------
    signals : ndarray
        NaN where a signal is missing.
    name : str
        Name of the signals in error messages.

    Returns
    -------
    there : ndarray of the same shape, dtype bool

    Raises
    ------
    ValueError
        If a signal is infinite.
    """
    if np.isinf(signals).any():
        raise ValueError(f"{name} must be finite, or NaN where it is missing. Got infinite values.")
    return ~np.isnan(signals)


def _moments(block, mask, center):
    """Return count, mean, sum of squared deviations and center of the masked models of each row and query."""
    count = mask.sum(axis=1)
    mean = _divide(np.where(mask, block, 0.0).sum(axis=1), count)
    deviations = np.where(mask, block - mean[:, np.newaxis], 0.0)
    squares = np.einsum("rmq,rmq->rq", deviations, deviations)
    return np.stack([count, mean, squares, mean if center == "mean" else _median(block, mask, count)])


def _divide(total, count):
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(count > 0, total / count, np.nan)


def _median(block, mask, count):
    ordered = np.sort(np.where(mask, block, np.nan), axis=1)  # NaN comes last
    middle = (np.maximum(count - 1, 0) // 2, np.minimum(count // 2, block.shape[1] - 1))
    return sum(np.take_along_axis(ordered, place[:, np.newaxis], axis=1)[:, 0] for place in middle) / 2


def _side(moments, variance, ddof, pooled):
    count, _, squares, center = moments
    if pooled is None:
        pooled = max(_pooled_spread(moments, variance, ddof), _SMALLEST_SPREAD)
    if variance != "per_sample":
        return Side(center, np.where(count > 0, pooled, np.nan), pooled)
    own = np.sqrt(_divide(squares, count - ddof))
    return Side(center, np.where((count > 1) & (own > _NO_SPREAD * pooled), own, pooled), pooled)


def _pooled_spread(moments, variance, ddof):
    """Return the standard deviation over all rows, of deviations from the rows' centers or of the signals."""
    there = moments[0] > 0
    count, mean, squares, center = moments[:, there]
    # Where no row has two models there are no deviations.
    off = mean if variance == "global" or not (count > 1).any() else mean - center
    total = count.sum()
    if not total:
        return math.nan
    common = (count * off).sum() / total
    return math.sqrt((squares + count * (off - common) ** 2).sum() / max(total - ddof, 1))


def online_scores(signals, trained, others):
    """Return the mean over queries of the log-likelihood ratio; NaN where a side has no model.

    Parameters
    ----------
    signals : ndarray of shape (n_samples, n_queries)
        The target's signals.
    trained, others : Side
        Gaussians of these rows.

    Returns
    -------
    scores : ndarray of shape (n_samples,)
    """
    return _mean_over_queries(trained.log_density(signals) - others.log_density(signals))


def offline_scores(signals, others, *, two_sided=False):
    """Return the mean over queries of the log-probability of a lower signal under models not trained on the row.

    Parameters
    ----------
    signals : ndarray of shape (n_samples, n_queries)
        The target's signals.
    others : Side
        Gaussians of these rows.
    two_sided : bool, default=False
        Whether to return the negated log-density instead.

    Returns
    -------
    scores : ndarray of shape (n_samples,)
    """
    return _mean_over_queries(-others.log_density(signals) if two_sided else others.log_cdf(signals))


def _mean_over_queries(values):
    there = ~np.isnan(values)
    return _divide(np.where(there, values, 0.0).sum(axis=1), there.sum(axis=1))


def ratio_scores(target, trained, others, mode, two_sided):
    """Return scores as ``lira_scores`` defines them; warn of rows without an IN model, which are scored offline."""
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

"""The Cramer-von Mises divergence of two samples, its expectation under the null and its standard error."""

import numpy as np
from sklearn.utils import Bunch


def cramer_von_mises(members, non_members):
    """Compute the Cramer-von Mises divergence of two samples.

    This is the mean of (F - G)^2 over the pooled sample, with F and G the two distribution functions. It detects any
    difference, not only a shift, and is invariant to increasing functions of the values. Its expectation under equal
    distributions is subtracted, so that the result is negative about as often as positive if they are equal. Without
    ties, two samples of equal size that do not overlap have a divergence of 1/3 before that.

    Parameters
    ----------
    members, non_members : ndarray of shape (n,) and (m,)
        The two samples, neither empty and without NaNs; two values at least.

    Returns
    -------
    compared : Bunch
        ``divergence``; ``null_mean``, the expectation that was subtracted, the mean over all ways to relabel the pooled
        sample; ``members`` (n,) and ``non_members`` (m,), the influence of each value on the divergence, of mean 0 on
        each side; ``null_error``, the standard deviation under equal distributions.

    References
    ----------
    Anderson: On the distribution of the two-sample Cramer-von Mises criterion, Annals of Mathematical Statistics 1962.
    """
    n, m = len(members), len(non_members)
    pooled = np.concatenate((members, non_members))
    values, index, counts = np.unique(pooled, return_inverse=True, return_counts=True)
    weight, below = counts / (n + m), np.cumsum(counts) / (n + m)
    of_members = np.bincount(index[:n], minlength=len(values))
    difference = np.cumsum(of_members) / n - np.cumsum(counts - of_members) / m
    # Relabeled, the count of members below a value is hypergeometric.
    null_mean = weight @ (below * (1 - below)) * (n + m) ** 2 / (n * m * (n + m - 1))
    # A value raises its side's distribution function from itself upwards, and is a place where both are compared.
    upwards = np.cumsum((weight * difference)[::-1])[::-1]
    moves = (
        sign * 2 * upwards[at] + difference[at] ** 2 * len(at) / (n + m)
        for sign, at in ((1, index[:n]), (-1, index[n:]))
    )
    members, non_members = (move - move.mean() for move in moves)
    return Bunch(
        divergence=float(weight @ difference**2 - null_mean),
        null_mean=float(null_mean),
        members=members,
        non_members=non_members,
        null_error=(n + m) / (n * m) / np.sqrt(45),
    )


def standard_error(compared, other=None):
    """Return the standard error of a divergence, or of the difference of two divergences of the same rows.

    Parameters
    ----------
    compared : Bunch
        What :func:`cramer_von_mises` returned.
    other : Bunch or None, default=None
        Of other answers to the same rows, in the same order.

    Returns
    -------
    error : float
        From the influence of the values. Under equal distributions this vanishes, so that the null standard deviation
        is added. The difference of two equal divergences has an error of 0.
    """
    sides = [compared.members, compared.non_members]
    if other is not None:
        sides = [side - its for side, its in zip(sides, (other.members, other.non_members), strict=True)]
        if not any(side.any() for side in sides):
            return 0.0
    first_order = sum(side.var(ddof=1) / len(side) for side in sides if len(side) > 1)
    return float(np.sqrt(first_order + compared.null_error**2))

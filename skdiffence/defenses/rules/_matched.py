"""The rule of scenario 1 of Diffence: the interval of confidences that makes members and non-members most alike."""

from functools import lru_cache
from itertools import combinations
from numbers import Integral

import numpy as np
from scipy.spatial.distance import jensenshannon
from scipy.special import xlogy
from scipy.stats import hypergeom

from skdiffence.defenses.rules._calibrated import EVERYTHING, CalibratedRule
from skdiffence.defenses.rules._interval import IntervalRule, clear_interval, interval_cost
from skdiffence.utils._sklearn import Interval, StrOptions

_PAPER_BINS = 100
_PAPER_FLOOR = 1e-19


def jensen_shannon(members, non_members):
    """Estimate the Jensen-Shannon divergence of two samples, and its expectation under equal distributions.

    The histogram has at most sqrt(n) bins of equal frequency over the pooled sample. Finite samples of one distribution
    have a positive divergence, so its mean over all ways to relabel the pooled sample is returned with it. The mean is
    exact: the divergence is a sum over bins, and within a bin the relabeled count is hypergeometric.

    Parameters
    ----------
    members, non_members : ndarray of shape (n,) and (m,)
        The two samples, neither empty.

    Returns
    -------
    divergence : float
        In nats, between 0 and ln 2.
    null_mean : float
        Its mean under relabeling.
    """
    n, m = len(members), len(non_members)
    pooled = np.concatenate((members, non_members))
    n_bins = max(2, int(np.sqrt(n + m)))
    edges = np.unique(np.quantile(pooled, np.linspace(0, 1, n_bins + 1)[1:-1]))
    counts = np.bincount(np.searchsorted(edges, members, side="right"), minlength=len(edges) + 1)
    totals = counts + np.bincount(np.searchsorted(edges, non_members, side="right"), minlength=len(edges) + 1)

    null_mean = sum(_expected_term(int(total), n, m) for total in totals)
    return float(_term(counts, totals, n, m).sum()), float(null_mean)


def _term(count, total, n, m):
    """Return the term of a bin with ``count`` of n members and ``total - count`` of m non-members."""
    p, q = count / n, (total - count) / m
    mixture = (p + q) / 2
    return (xlogy(p, p) + xlogy(q, q)) / 2 - xlogy(mixture, mixture)


# Bins of equal frequency have few different totals, and all intervals of a search share them.
@lru_cache(maxsize=4096)
def _expected_term(total, n, m):
    possible = np.arange(total + 1)
    return float(hypergeom.pmf(possible, n + m, total, n) @ _term(possible, total, n, m))


def _paper_distance(members, non_members):
    """Jensen-Shannon distance over 100 equal bins spanning the non-members, as the official code takes it."""
    edges = np.linspace(non_members.min(), non_members.max(), _PAPER_BINS + 1)
    if edges[0] == edges[-1]:
        edges = np.linspace(edges[0] - 0.5, edges[0] + 0.5, _PAPER_BINS + 1)
    counts = [np.histogram(sample, bins=edges)[0].clip(_PAPER_FLOOR) for sample in (members, non_members)]
    return float(jensenshannon(*counts))


class MatchedRule(CalibratedRule, IntervalRule):
    """Choose the first candidate in the interval of phi that makes members and non-members most alike.

    The interval is the pair of grid points whose answers on the calibration rows have the least Jensen-Shannon
    divergence between members and non-members. The grid runs from the lowest phi of a member's candidate to the
    highest of a non-member's.

    Parameters
    ----------
    n_grid : int, default=21
        Number of grid points; all pairs of them are tried.
    objective : {"corrected", "paper"}, default="corrected"
        "corrected" is the divergence over equal-frequency bins minus its mean under relabeling. Every candidate is
        accepted if there is no divergence without an interval, or if no interval lowers it. "paper" is the objective
        of the official code: the Jensen-Shannon distance over 100 equal bins that span the non-members.

    Attributes
    ----------
    interval_ : tuple of two floats
        The interval, its ends moved outward until they are 1e-3 away from every calibration phi.
    objective_ : float
        The objective at the interval.
    null_objective_ : float
        The objective where every candidate that keeps the label is accepted.

    See Also
    --------
    MembersRule : Needs no known non-members.
    FirstRule : Needs no calibration rows.

    References
    ----------
    Peng, Naseh, Houmansadr: Diffence, NDSS 2025, scenario 1.

    Examples
    --------
    >>> import numpy as np
    >>> from skdiffence.defenses import MatchedRule
    >>> rng = np.random.default_rng(0)
    >>> nothing = np.full((200, 1), np.nan)
    >>> members = np.hstack((rng.normal(3, 1, (200, 9)), nothing))
    >>> non_members = np.hstack((rng.normal(2, 1, (200, 9)), nothing))
    >>> rule = MatchedRule().fit(members, non_members)
    >>> rule.objective_ < rule.null_objective_
    True
    """

    _parameter_constraints: dict = {
        "n_grid": [Interval(Integral, 2, None, closed="left")],
        "objective": [StrOptions({"corrected", "paper"})],
    }

    def __init__(self, *, n_grid=21, objective="corrected"):
        self.n_grid = n_grid
        self.objective = objective

    def _settings(self, members, non_members):
        grid = np.linspace(np.nanmin(members[:, :-1]), np.nanmax(non_members[:, :-1]), self.n_grid)
        intervals = [(low, high) for low, high in combinations(grid, 2) if low < high]
        if self.objective == "paper":
            return intervals or [EVERYTHING]
        # Where members and non-members are alike as they are, there is nothing to match.
        alike = self._objective(EVERYTHING, members, non_members) <= 0
        return [EVERYTHING] if alike else [EVERYTHING, *intervals]

    def _cost(self, phi, interval):
        return interval_cost(phi, interval)

    def _objective(self, interval, members, non_members):
        answers = self._answers(interval, members, non_members)
        if self.objective == "paper":
            return _paper_distance(*answers)
        divergence, null_mean = jensen_shannon(*answers)
        return divergence - null_mean

    def _keep(self, interval, objective, members, non_members):
        self.objective_ = objective
        self.null_objective_ = self._objective(EVERYTHING, members, non_members)
        self.interval_ = clear_interval(interval, members, non_members)

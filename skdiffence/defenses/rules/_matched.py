"""Scenario 1 of Diffence: the interval of confidences that makes members and non-members most alike."""

from functools import lru_cache
from itertools import combinations
from numbers import Integral

import numpy as np
from scipy.spatial.distance import jensenshannon
from scipy.special import xlogy
from scipy.stats import hypergeom

from skdiffence.defenses.rules._base import IntervalRule, clear_end
from skdiffence.defenses.rules._calibrated import answered, check_kept
from skdiffence.utils._sklearn import Interval, StrOptions, fit_context

_PAPER_BINS = 100
_PAPER_FLOOR = 1e-19


def jensen_shannon(members, non_members):
    """Estimate the Jensen-Shannon divergence of two samples, and what chance alone would give.

    The histogram has at most sqrt(n) bins of equal frequency over the pooled sample. A finite sample shows a
    divergence even where there is none, so its mean over all ways to relabel the pooled sample is returned with it. It
    is exact: the divergence is a sum over bins, and within a bin the relabeled count is hypergeometric.

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
    """Return the term of a bin with ``count`` of n members and ``total - count`` of m non-members in the divergence."""
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


class MatchedRule(IntervalRule):
    """Take the first candidate in the interval of phi that makes members and non-members most alike.

    The interval is the pair of grid points whose answers on the calibration rows have the least Jensen-Shannon
    divergence between members and non-members. The grid runs from the lowest phi of a member's candidate to the
    highest of a non-member's.

    Parameters
    ----------
    n_grid : int, default=21
        Number of grid points; all pairs of them are tried.
    objective : {"corrected", "paper"}, default="corrected"
        "corrected" takes the divergence over equal-frequency bins minus its mean under relabeling, and accepts every
        candidate if that leaves no divergence, or if no interval lowers it. "paper" is what the official code does:
        the Jensen-Shannon distance over 100 equal bins that span the non-members, the first minimum.

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
    FirstRule : Needs nothing.

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

    needs_members = True
    needs_non_members = True

    _parameter_constraints: dict = {
        "n_grid": [Interval(Integral, 2, None, closed="left")],
        "objective": [StrOptions({"corrected", "paper"})],
    }

    def __init__(self, *, n_grid=21, objective="corrected"):
        self.n_grid = n_grid
        self.objective = objective

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, members, non_members):
        """Search the interval on the candidates of known members and non-members.

        Parameters
        ----------
        members, non_members : ndarray of shape (n, n_candidates + 1)
            phi of candidates, NaN where one changes the label; the last column is the fallback's answer.

        Returns
        -------
        self : MatchedRule

        Raises
        ------
        ValueError
            If no candidate on one of the sides keeps its label.
        """
        check_kept(members, non_members, "matched")
        grid = np.linspace(np.nanmin(members[:, :-1]), np.nanmax(non_members[:, :-1]), self.n_grid)
        everything = (-np.inf, np.inf)
        self.null_objective_ = self._objective(everything, members, non_members)
        intervals = [(a, b) for a, b in combinations(grid, 2) if a < b]
        scored = [(self._objective(interval, members, non_members), interval) for interval in intervals]
        best, interval = min(scored, default=(np.inf, everything), key=lambda pair: pair[0])
        alike = self.objective == "corrected" and (self.null_objective_ <= 0 or best >= self.null_objective_)
        if alike or not scored:
            best, interval = self.null_objective_, everything
        calibrated = np.concatenate((members[:, :-1].ravel(), non_members[:, :-1].ravel()))
        self.objective_ = best
        self.interval_ = tuple(clear_end(end, calibrated, side) for end, side in zip(interval, (-1, 1), strict=True))
        return self

    def _objective(self, interval, members, non_members):
        """Return the distance between the answers to members and to non-members under an interval."""
        rule = IntervalRule()
        rule.interval_ = interval
        answers = answered(members, rule), answered(non_members, rule)
        if self.objective == "paper":
            return _paper_distance(*answers)
        divergence, null_mean = jensen_shannon(*answers)
        return divergence - null_mean

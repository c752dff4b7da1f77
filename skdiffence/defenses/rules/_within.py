"""The paper's selection among the first few candidates, at the same cost for every row."""

from itertools import combinations
from numbers import Integral

import numpy as np

from skdiffence.defenses.rules._base import IntervalRule, clear_end
from skdiffence.defenses.rules._calibrated import check_kept, divergence, quantile_grid
from skdiffence.utils._sklearn import Interval, fit_context


class WithinRule(IntervalRule):
    """Take the first candidate in an interval of phi, or else the nearest to its middle, among the first few.

    The interval is the one under which the answers to known members and known non-members are most alike. Where none of
    the first candidates keeps the label, the fallback answers. Every row costs ``max_candidates`` regenerations,
    whatever ``search``, so that the time of an answer tells nothing.

    Read more in the :ref:`User Guide <selection_rules>`.

    Parameters
    ----------
    max_candidates : int, default=4
        How many candidates are looked at.
    n_grid : int, default=19
        Number of ends that are tried beside minus and plus infinity: quantiles of phi over the calibration rows'
        candidates.

    Attributes
    ----------
    interval_ : tuple of two floats
        The interval, its ends moved outward until they are 1e-3 away from every calibration phi.
    objective_ : float
        What it leaves between the answers to calibration members and non-members: their Cramer-von Mises divergence
        less what chance gives. It flatters, because the interval was chosen by it.

    See Also
    --------
    MatchedRule : Looks at all candidates, and stops when the interval is hit.
    BudgetedRule : Stops when the interval is hit, under a budget.

    References
    ----------
    Peng, Naseh, Houmansadr: Diffence, NDSS 2025, scenario 1, with few candidates.

    Examples
    --------
    >>> import numpy as np
    >>> from skdiffence.defenses import WithinRule
    >>> rng = np.random.default_rng(0)
    >>> nothing = np.full((200, 1), np.nan)
    >>> members = np.hstack((rng.normal(3, 1, (200, 4)), nothing))
    >>> non_members = np.hstack((rng.normal(2, 1, (200, 4)), nothing))
    >>> low, high = WithinRule().fit(members, non_members).interval_
    >>> low < high
    True
    """

    needs_members = True
    needs_non_members = True
    ends_early = False

    _parameter_constraints: dict = {
        "max_candidates": [Interval(Integral, 1, None, closed="left")],
        "n_grid": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(self, *, max_candidates=4, n_grid=19):
        self.max_candidates = max_candidates
        self.n_grid = n_grid

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, members, non_members):
        """Search the interval on the candidates of known members and non-members.

        Parameters
        ----------
        members, non_members : ndarray of shape (n, n_candidates + 1)
            phi of candidates, NaN where one changes the label; the last column is the fallback's answer.

        Returns
        -------
        self : WithinRule

        Raises
        ------
        ValueError
            If no candidate on one of the sides keeps its label.
        """
        check_kept(members, non_members, "within")
        ends = np.concatenate(([-np.inf], quantile_grid(members, non_members, self.n_grid), [np.inf]))
        tried = []
        for interval in combinations(ends.tolist(), 2):
            self.interval_ = interval
            tried.append((divergence(members, non_members, self), interval))
        self.objective_, interval = min(tried, key=lambda pair: pair[0])
        calibrated = np.concatenate((members[:, :-1].ravel(), non_members[:, :-1].ravel()))
        self.interval_ = tuple(clear_end(end, calibrated, side) for end, side in zip(interval, (-1, 1), strict=True))
        return self

    def cost(self, phi):
        """Say how far candidates outside the interval are from its middle; never 0, so that no search ends early.

        Parameters
        ----------
        phi : ndarray of any shape
            phi of candidates that keep the label.

        Returns
        -------
        cost : ndarray of the same shape
            The smallest positive number inside the interval, ends included, and twice that at least outside.
        """
        smallest = np.finfo(float).tiny
        cost = super().cost(phi)
        return np.where(cost == 0, smallest, np.maximum(cost, 2 * smallest))

"""The paper's rule among the first few candidates, at the same cost for every row."""

from numbers import Integral

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skdiffence.defenses.rules._calibrated import CalibratedRule, intervals_between, quantile_grid
from skdiffence.defenses.rules._interval import IntervalRule, clear_interval, interval_cost
from skdiffence.utils._sklearn import Interval


class WithinRule(CalibratedRule, IntervalRule):
    """Choose the first candidate in an interval of phi, or else the nearest to its middle, among the first few.

    The interval is the one under which the answers to known members and known non-members are most alike. Where none of
    the first candidates keeps the label, the fallback answers. Every row costs ``max_candidates`` regenerations,
    whatever ``search``, so that response times do not depend on membership.

    Read more in the :ref:`User Guide <selection_rules>`.

    Parameters
    ----------
    max_candidates : int, default=4
        Number of candidates for each row.
    n_grid : int, default=19
        Number of ends to try beside minus and plus infinity: quantiles of phi over the calibration rows'
        candidates.

    Attributes
    ----------
    interval_ : tuple of two floats
        The interval, its ends moved outward until they are 1e-3 away from every calibration phi.
    objective_ : float
        Cramer-von Mises divergence between the answers to calibration members and non-members, less what chance gives.
        It is optimistic, because the interval was chosen by it.

    See Also
    --------
    MatchedRule : Tries candidates until one is in the interval.
    BudgetedRule : The same, under a budget of candidates.

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

    ends_early = False

    _parameter_constraints: dict = {
        "max_candidates": [Interval(Integral, 1, None, closed="left")],
        "n_grid": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(self, *, max_candidates=4, n_grid=19):
        self.max_candidates = max_candidates
        self.n_grid = n_grid

    def cost(self, phi):
        """Return the cost of each candidate, which is never 0, so that all candidates are compared.

        Parameters
        ----------
        phi : ndarray of any shape
            phi of candidates.

        Returns
        -------
        cost : ndarray of the same shape
            The smallest positive number in the interval, and at least twice that outside.

        Raises
        ------
        NotFittedError
            If the rule is not fitted.
        """
        check_is_fitted(self)
        return self._cost(phi, self.interval_)

    def _settings(self, members, non_members):
        return intervals_between(quantile_grid(members, non_members, self.n_grid))

    def _cost(self, phi, interval):
        smallest = np.finfo(float).tiny
        cost = interval_cost(phi, interval)
        return np.where(cost == 0, smallest, np.maximum(cost, 2 * smallest))

    def _keep(self, interval, objective, members, non_members):
        self.interval_, self.objective_ = clear_interval(interval, members, non_members), objective

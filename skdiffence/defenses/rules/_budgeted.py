"""The interval that makes members and non-members most alike among those that few candidates will do for."""

from itertools import combinations
from numbers import Integral, Real

import numpy as np

from skdiffence.defenses.rules._base import IntervalRule, clear_end
from skdiffence.defenses.rules._calibrated import divergence, quantile_grid
from skdiffence.utils._sklearn import Interval, fit_context

# An interval that no candidate misses: with it the first candidate answers.
_EVERYTHING = (-np.inf, np.inf)


class BudgetedRule(IntervalRule):
    """Take the first candidate in an interval of phi, and give up a row early, under a budget of candidates.

    Interval and stopping are chosen together: of all pairs whose cost on the calibration rows is at most ``max_calls``,
    the one under which the answers to known members and known non-members are most alike. A row that has not hit the
    interval when the search stops is answered by the candidate nearest to its middle. Candidates that change the label
    count too, with their top entry and the label's exchanged; ``fallback`` has no effect.

    Read more in the :ref:`User Guide <selection_rules>`.

    Parameters
    ----------
    max_calls : float, default=3.0
        Candidates per row that the calibration rows may cost on average, at least 1; the mean of both sides.
    max_stop : int, default=8
        Where the search stops at the latest.
    n_grid : int, default=15
        Number of ends that are tried beside minus and plus infinity: quantiles of phi over the calibration rows'
        candidates.

    Attributes
    ----------
    interval_ : tuple of two floats
        The interval, its ends moved outward until they are 1e-3 away from every calibration phi.
    stop_ : int
        Candidates that a row is searched through.
    calls_ : float
        Mean cost of calibration rows under ``search="lazy"``.
    objective_ : float
        What the rule leaves between the answers to calibration members and non-members: their Cramer-von Mises
        divergence less what chance gives. It flatters, because the interval was chosen by it.

    See Also
    --------
    MatchedRule : The paper's, without a budget.
    WithinRule : Looks at as many candidates for every row.

    Notes
    -----
    How many candidates a row took, and so how long, tells about membership; see :class:`~skdiffence.attacks
    .AnswerCostAttack`. With ``search="constant"`` every row costs ``stop_`` candidates.

    References
    ----------
    Peng, Naseh, Houmansadr: Diffence, NDSS 2025, scenario 1; budget and stopping are this library's.

    Examples
    --------
    >>> import numpy as np
    >>> from skdiffence.defenses import BudgetedRule
    >>> rng = np.random.default_rng(0)
    >>> nothing = np.full((200, 1), np.nan)
    >>> members = np.hstack((rng.normal(3, 1, (200, 8)), nothing))
    >>> non_members = np.hstack((rng.normal(2, 1, (200, 8)), nothing))
    >>> rule = BudgetedRule(max_calls=2).fit(members, non_members)
    >>> rule.calls_ <= 2
    True
    """

    needs_members = True
    needs_non_members = True
    swaps = True

    _parameter_constraints: dict = {
        "max_calls": [Interval(Real, 1, None, closed="left")],
        "max_stop": [Interval(Integral, 1, None, closed="left")],
        "n_grid": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(self, *, max_calls=3.0, max_stop=8, n_grid=15):
        self.max_calls = max_calls
        self.max_stop = max_stop
        self.n_grid = n_grid

    @property
    def max_candidates(self):
        """How many candidates the rule can use: ``stop_`` once that is learned."""
        return getattr(self, "stop_", self.max_stop)

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, members, non_members):
        """Search interval and stopping on the candidates of known members and non-members.

        Parameters
        ----------
        members, non_members : ndarray of shape (n, n_candidates + 1)
            phi of all candidates, two entries exchanged where one changes the label; the last column is not read.

        Returns
        -------
        self : BudgetedRule
        """
        ends = np.concatenate(([-np.inf], quantile_grid(members, non_members, self.n_grid), [np.inf])).tolist()
        tried = [self._try(members, non_members, 1, _EVERYTHING)]
        for stop in range(2, min(self.max_stop, members.shape[1] - 1) + 1):
            tried += [self._try(members, non_members, stop, interval) for interval in combinations(ends, 2)]
        affordable = [entry for entry in tried if entry[1] <= self.max_calls]
        self.objective_, _, self.stop_, interval = min(affordable)
        calibrated = np.concatenate((members[:, :-1].ravel(), non_members[:, :-1].ravel()))
        self.interval_ = tuple(clear_end(end, calibrated, side) for end, side in zip(interval, (-1, 1), strict=True))
        self.calls_ = self._calls(members, non_members)
        return self

    def _try(self, members, non_members, stop, interval):
        """Return (divergence, calls, stop, interval), without the divergence where there are too many calls."""
        self.stop_, self.interval_ = stop, interval
        calls = self._calls(members, non_members)
        apart = divergence(members, non_members, self) if calls <= self.max_calls else np.inf
        return apart, calls, stop, interval

    def _calls(self, members, non_members):
        """Return the mean cost of a lazy search, both sides counting alike."""
        low, high = self.interval_
        means = []
        for side in (members, non_members):
            phi = side[:, : self.stop_]
            # The last candidate ends the search, wherever it lies.
            hit = np.column_stack(((phi[:, :-1] >= low) & (phi[:, :-1] <= high), np.ones(len(phi), dtype=bool)))
            means.append(1 + hit.argmax(axis=1).mean())
        return float(np.mean(means))

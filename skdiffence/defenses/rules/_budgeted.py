"""The rule of the interval that makes members and non-members most alike under a candidate budget."""

from numbers import Integral, Real

import numpy as np

from skdiffence.defenses.rules._calibrated import EVERYTHING, CalibratedRule, intervals_between, quantile_grid
from skdiffence.defenses.rules._divergence import cramer_von_mises
from skdiffence.defenses.rules._interval import IntervalRule, clear_interval, interval_cost
from skdiffence.utils._sklearn import Interval


class BudgetedRule(CalibratedRule, IntervalRule):
    """Choose the first candidate in an interval of phi, under a budget of candidates.

    The interval and the number of candidates to stop at are chosen together: of all pairs whose mean cost on the
    calibration rows is at most ``max_calls``, the one under which the answers to known members and known non-members
    are most alike. A row without a candidate in the interval by then is answered by the candidate nearest to its
    middle. Candidates that change the label are used as well, with their largest probability and the label's exchanged;
    ``fallback`` has no effect.

    Read more in the :ref:`User Guide <selection_rules>`.

    Parameters
    ----------
    max_calls : float, default=3.0
        Mean number of candidates for each calibration row, at most; at least 1. Both sides count alike.
    max_stop : int, default=8
        Number of candidates for each row, at most.
    n_grid : int, default=15
        Number of ends to try beside minus and plus infinity: quantiles of phi over the calibration rows'
        candidates.

    Attributes
    ----------
    interval_ : tuple of two floats
        The interval, its ends moved outward until they are 1e-3 away from every calibration phi.
    stop_ : int
        Number of candidates after which a search stops.
    calls_ : float
        Mean number of candidates of calibration rows under ``search="lazy"``.
    objective_ : float
        Cramer-von Mises divergence between the answers to calibration members and non-members, less what chance gives.
        It is optimistic, because the interval was chosen by it.

    See Also
    --------
    MatchedRule : The paper's, without a budget.
    WithinRule : As many candidates for every row.

    Notes
    -----
    The number of candidates of a row, and so its response time, depends on membership; see
    :class:`~skdiffence.attacks.AnswerCostAttack`. With ``search="constant"`` every row costs ``stop_`` candidates.

    References
    ----------
    Peng, Naseh, Houmansadr: Diffence, NDSS 2025, scenario 1. Budget and stopping are this library's own.

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

    relabels = True

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
        """The number of candidates that the rule can use: ``stop_`` once it is fitted."""
        return getattr(self, "stop_", self.max_stop)

    def _settings(self, members, non_members):
        intervals = intervals_between(quantile_grid(members, non_members, self.n_grid))
        stops = range(2, min(self.max_stop, members.shape[1] - 1) + 1)
        return [(1, EVERYTHING), *((stop, interval) for stop in stops for interval in intervals)]

    def _cost(self, phi, setting):
        return interval_cost(phi, setting[1])

    def _objective(self, setting, members, non_members):
        """Return the divergence and the calls; where these are too many, the divergence is infinite."""
        calls = _mean_calls(setting, members, non_members)
        if calls > self.max_calls:
            return np.inf, calls
        answers = self._answers(setting, members, non_members, n_candidates=setting[0])
        return cramer_von_mises(*answers).divergence, calls

    def _keep(self, setting, objective, members, non_members):
        self.stop_, interval = setting
        self.objective_, _ = objective
        self.interval_ = clear_interval(interval, members, non_members)
        self.calls_ = _mean_calls((self.stop_, self.interval_), members, non_members)


def _mean_calls(setting, *sides):
    """Return the mean number of candidates of a lazy search, both sides counting alike."""
    stop, (low, high) = setting
    means = []
    for side in sides:
        phi = side[:, :stop]
        # The last candidate ends the search, wherever it lies.
        hit = np.column_stack(((phi[:, :-1] >= low) & (phi[:, :-1] <= high), np.ones(len(phi), dtype=bool)))
        means.append(1 + hit.argmax(axis=1).mean())
    return float(np.mean(means))

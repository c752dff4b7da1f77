"""The rule of the candidate whose confidence is nearest to a target, among the first few."""

from numbers import Integral

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skdiffence.defenses.rules._base import ChoosingRule
from skdiffence.defenses.rules._calibrated import CalibratedRule, quantile_grid
from skdiffence.utils._sklearn import Interval


class NearestRule(CalibratedRule, ChoosingRule):
    """Choose the candidate whose phi is nearest to a target, among the first ones that keep the label.

    The target is the one under which the answers to known members and known non-members are most alike. Every row
    costs ``max_candidates`` regenerations, whatever ``search``, so that response times do not depend on membership.

    Read more in the :ref:`User Guide <selection_rules>`.

    Parameters
    ----------
    max_candidates : int, default=4
        Number of candidates for each row.
    n_grid : int, default=21
        Number of targets to try: quantiles of phi over the calibration rows' candidates.

    Attributes
    ----------
    target_ : float
        The target.
    interval_ : tuple of two floats
        The target, as an interval of no width.
    objective_ : float
        Cramer-von Mises divergence between the answers to calibration members and non-members, less what chance gives.
        It is optimistic, because the target was chosen by it.

    See Also
    --------
    LowestRule : Chooses the lowest phi and needs no calibration rows.
    MatchedRule : Chooses the first candidate in an interval.

    References
    ----------
    The second step of the selection of Peng, Naseh, Houmansadr: Diffence, NDSS 2025, where the nearest to the middle
    of an interval answers if none is inside, without the first step.

    Examples
    --------
    >>> import numpy as np
    >>> from skdiffence.defenses import NearestRule
    >>> rng = np.random.default_rng(0)
    >>> nothing = np.full((200, 1), np.nan)
    >>> members = np.hstack((rng.normal(3, 1, (200, 4)), nothing))
    >>> non_members = np.hstack((rng.normal(2, 1, (200, 4)), nothing))
    >>> bool(NearestRule().fit(members, non_members).target_ < 3)
    True
    """

    ends_early = False

    _parameter_constraints: dict = {
        "max_candidates": [Interval(Integral, 1, None, closed="left")],
        "n_grid": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(self, *, max_candidates=4, n_grid=21):
        self.max_candidates = max_candidates
        self.n_grid = n_grid

    def cost(self, phi):
        """Return the distance of each candidate to the target, which is never 0, so that all candidates are compared.

        Parameters
        ----------
        phi : ndarray of any shape
            phi of candidates.

        Returns
        -------
        cost : ndarray of the same shape

        Raises
        ------
        NotFittedError
            If the rule is not fitted.
        """
        check_is_fitted(self, "target_")
        return self._cost(phi, self.target_)

    def _settings(self, members, non_members):
        return quantile_grid(members, non_members, self.n_grid)

    def _cost(self, phi, target):
        return np.maximum(np.abs(phi - target), np.finfo(float).tiny)

    def _keep(self, target, objective, members, non_members):
        self.target_, self.objective_, self.interval_ = target, objective, (target, target)

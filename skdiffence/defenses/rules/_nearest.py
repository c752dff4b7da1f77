"""Of the first few candidates the one whose confidence is nearest to a target."""

from numbers import Integral

import numpy as np

from skdiffence.defenses.rules._base import Rule
from skdiffence.defenses.rules._calibrated import check_kept, divergence, quantile_grid
from skdiffence.utils._sklearn import Interval, fit_context


class NearestRule(Rule):
    """Take the candidate whose phi is nearest to a target, among the first ones that keep the label.

    The target is the one under which the answers to known members and known non-members are most alike. Every row
    costs ``max_candidates`` regenerations, whatever ``search``, so that the time of an answer tells nothing.

    Read more in the :ref:`User Guide <selection_rules>`.

    Parameters
    ----------
    max_candidates : int, default=4
        How many candidates are looked at.
    n_grid : int, default=21
        Number of targets that are tried: quantiles of phi over the calibration rows' candidates.

    Attributes
    ----------
    target_ : float
        The phi aimed at.
    interval_ : tuple of two floats
        The target, as an interval of no width.
    objective_ : float
        What the target leaves between the answers to calibration members and non-members: their Cramer-von Mises
        divergence less what chance gives. It flatters, because the target was chosen by it.

    See Also
    --------
    LowestRule : Aims as low as it can, and needs no calibration rows.
    MatchedRule : Aims at an interval, and stops when it is hit.

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

    needs_members = True
    needs_non_members = True
    ends_early = False

    _parameter_constraints: dict = {
        "max_candidates": [Interval(Integral, 1, None, closed="left")],
        "n_grid": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(self, *, max_candidates=4, n_grid=21):
        self.max_candidates = max_candidates
        self.n_grid = n_grid

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, members, non_members):
        """Choose the target on the candidates of known members and non-members.

        Parameters
        ----------
        members, non_members : ndarray of shape (n, n_candidates + 1)
            phi of candidates, NaN where one changes the label; the last column is the fallback's answer.

        Returns
        -------
        self : NearestRule

        Raises
        ------
        ValueError
            If no candidate on one of the sides keeps its label.
        """
        check_kept(members, non_members, "nearest")
        tried = []
        for target in quantile_grid(members, non_members, self.n_grid):
            self.target_ = float(target)
            tried.append((divergence(members, non_members, self), self.target_))
        # Of equals the lowest target, which is the first.
        self.objective_, self.target_ = min(tried)
        self.interval_ = self.target_, self.target_
        return self

    def cost(self, phi):
        """Say how far candidates are from the target; never 0, so that no search ends early.

        Parameters
        ----------
        phi : ndarray of any shape
            phi of candidates that keep the label.

        Returns
        -------
        cost : ndarray of the same shape
            The distance.
        """
        return np.maximum(np.abs(phi - self.target_), np.finfo(float).tiny)

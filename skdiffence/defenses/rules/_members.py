"""The rule of scenario 2 of Diffence, in which some members are known: confidences up to the members' mean."""

import numpy as np

from skdiffence.defenses.rules._calibrated import check_sides
from skdiffence.defenses.rules._interval import IntervalRule, clear_interval
from skdiffence.utils._sklearn import fit_context


class MembersRule(IntervalRule):
    """Choose the first candidate whose phi lies between the lowest and the mean phi of known members' candidates.

    Attributes
    ----------
    interval_ : tuple of two floats
        Lowest and mean phi of the label-keeping candidates of the calibration members, each moved outward until it is
        1e-3 away from every one of them.

    See Also
    --------
    MatchedRule : Uses known non-members as well.

    References
    ----------
    Peng, Naseh, Houmansadr: Diffence, NDSS 2025, scenario 2.

    Examples
    --------
    >>> import numpy as np
    >>> from skdiffence.defenses import MembersRule
    >>> members = np.array([[1.0, 2.0, np.nan], [np.nan, 6.0, np.nan]])
    >>> low, high = MembersRule().fit(members, None).interval_
    >>> print(f"{low:.3f} {high:.3f}")
    0.999 3.000
    """

    needs_members = True

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, members, non_members):
        """Fit the interval to the candidates of known members.

        Parameters
        ----------
        members : array-like of shape (n_members, n_candidates + 1)
            phi of candidates, NaN where one changes the label; the last column, the fallback's, is not read.
        non_members : ndarray or None
            Not read.

        Returns
        -------
        self : MembersRule

        Raises
        ------
        ValueError
            If ``members`` is not such an array, or no candidate of any member keeps its label.
        """
        (members,) = check_sides(self, members=members)
        phi = members[:, :-1][~np.isnan(members[:, :-1])]
        self.interval_ = clear_interval((phi.min(), phi.mean()), members)
        return self

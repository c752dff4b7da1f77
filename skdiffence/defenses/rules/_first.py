"""Scenario 3 of Diffence: nothing is known, the first candidate that keeps the label is the answer."""

import numpy as np

from skdiffence.defenses.rules._base import Rule


class FirstRule(Rule):
    """Take the first candidate that keeps the label.

    Needs no calibration rows. On average a row costs one regeneration divided by the label retention.

    See Also
    --------
    SwapRule : One regeneration for every row.
    MatchedRule : Looks for candidates that make members and non-members most alike.

    References
    ----------
    Peng, Naseh, Houmansadr: Diffence, NDSS 2025, scenario 3.

    Examples
    --------
    >>> import numpy as np
    >>> from skdiffence.defenses import FirstRule
    >>> FirstRule().choose(np.array([[np.nan, 2.0, 1.0]]))
    array([1])
    """

    def cost(self, phi):
        """Welcome every candidate that keeps the label.

        Parameters
        ----------
        phi : ndarray of any shape
            phi of candidates that keep the label.

        Returns
        -------
        cost : ndarray of the same shape
            Zeros.
        """
        return np.zeros(np.shape(phi))

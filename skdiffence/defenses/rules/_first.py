"""The rule of scenario 3 of Diffence, in which no membership is known: the first candidate that keeps the label."""

import numpy as np

from skdiffence.defenses.rules._base import ChoosingRule


class FirstRule(ChoosingRule):
    """Choose the first candidate that keeps the label.

    Needs no calibration rows. On average a row costs one regeneration divided by the label retention.

    See Also
    --------
    SwapRule : One regeneration for every row.
    MatchedRule : Chooses candidates that make members and non-members most alike.

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
        """Return zero cost for every candidate.

        Parameters
        ----------
        phi : ndarray of any shape
            phi of candidates.

        Returns
        -------
        cost : ndarray of the same shape
            Zeros.
        """
        return np.zeros(np.shape(phi))

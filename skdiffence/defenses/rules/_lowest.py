"""The rule of the least confident of the first few candidates."""

from numbers import Integral

import numpy as np

from skdiffence.defenses.rules._base import ChoosingRule
from skdiffence.utils._sklearn import Interval


class LowestRule(ChoosingRule):
    """Choose the least confident of the first candidates, those that change the label included.

    A classifier is more confident on rows that it was trained on, and the lowest of several confidences is lower.
    Confidences on non-members are lowered as well: members and non-members became more alike on digits, but not on
    photographs; see the User Guide. The rule suits overconfident classifiers. For a candidate that changes the label
    the largest probability and the label's are exchanged, as under :class:`SwapRule`, so that rows whose label changes
    easily do not stand out either.

    Needs no calibration rows. Every row costs ``max_candidates`` regenerations, whatever ``search``, so that response
    times do not depend on membership. ``fallback`` has no effect under this rule.

    Read more in the :ref:`User Guide <selection_rules>`.

    Parameters
    ----------
    max_candidates : int, default=4
        Number of candidates for each row. With 1 this is :class:`SwapRule`.

    See Also
    --------
    SwapRule : One regeneration for every row.
    NearestRule : Chooses the candidate nearest to a target that is fitted.

    Notes
    -----
    The more candidates, the lower the confidence; an overconfident classifier becomes better calibrated.

    References
    ----------
    The rule is this library's own. It combines two ideas: disagreement under random changes of the input separates
    correct from incorrect predictions (Bahat and Shakhnarovich: Classification confidence estimation with test-time
    data-augmentation, 2020), and a defense leaks as much as its most revealing answer (Peng, Naseh, Houmansadr:
    Diffence, NDSS 2025).

    Examples
    --------
    >>> import numpy as np
    >>> from skdiffence.defenses import LowestRule
    >>> LowestRule(max_candidates=3).choose(np.array([[3.0, 1.0, 2.0, 0.5]]))
    array([1])
    """

    relabels = True
    ends_early = False

    _parameter_constraints: dict = {"max_candidates": [Interval(Integral, 1, None, closed="left")]}

    def __init__(self, *, max_candidates=4):
        self.max_candidates = max_candidates

    def cost(self, phi):
        """Return a positive cost increasing in phi, so that all candidates are compared.

        Parameters
        ----------
        phi : ndarray of any shape
            phi of candidates.

        Returns
        -------
        cost : ndarray of the same shape
            -ln(1 - p), with p the confidence.
        """
        return np.maximum(np.logaddexp(0, phi), np.finfo(float).tiny)

"""The least confident of the first few answers, which costs the same for every row."""

from numbers import Integral

import numpy as np

from skdiffence.defenses.rules._base import Rule
from skdiffence.utils._sklearn import Interval, fit_context


class LowestRule(Rule):
    """Take the least confident of the first candidates, those that change the label included.

    A classifier betrays the rows it was trained on by being surer of them, and the least sure of a few answers is less
    sure. That holds for other rows too: members and others came together by it on digits, and not on photographs; see
    the User Guide. It is the rule for classifiers that are too sure of themselves. A candidate that changes the label
    is answered with its top entry and the label's entry exchanged, as under :class:`SwapRule`, so that rows whose
    label is easily lost are not told from others either.

    Needs no calibration rows. Every row costs ``max_candidates`` regenerations, whatever ``search``, so that the time
    of an answer tells nothing. ``fallback`` has no effect under this rule.

    Read more in the :ref:`User Guide <selection_rules>`.

    Parameters
    ----------
    max_candidates : int, default=4
        How many candidates are looked at. One is :class:`SwapRule`.

    See Also
    --------
    SwapRule : One regeneration for every row.
    NearestRule : Aims at a confidence that it learns.

    Notes
    -----
    Answers are less sure the more candidates are looked at; a classifier that was too sure is then better calibrated.

    References
    ----------
    The idea is this library's, from two others: that disagreement under random changes of the input tells right from
    wrong (Bahat and Shakhnarovich: Classification confidence estimation with test-time data-augmentation, 2020), and
    that a defense shows as much as its most revealing answer (Peng, Naseh, Houmansadr: Diffence, NDSS 2025).

    Examples
    --------
    >>> import numpy as np
    >>> from skdiffence.defenses import LowestRule
    >>> LowestRule(max_candidates=3).choose(np.array([[3.0, 1.0, 2.0, 0.5]]))
    array([1])
    """

    swaps = True
    ends_early = False

    _parameter_constraints: dict = {"max_candidates": [Interval(Integral, 1, None, closed="left")]}

    def __init__(self, *, max_candidates=4):
        self.max_candidates = max_candidates

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, members, non_members):
        """Check the parameters; there is nothing to learn.

        Parameters
        ----------
        members, non_members : ndarray or None
            Not read.

        Returns
        -------
        self : LowestRule
        """
        return self

    def cost(self, phi):
        """Grow with phi, and never be 0, so that no search ends early.

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

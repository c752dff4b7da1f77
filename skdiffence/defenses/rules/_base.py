"""What a selection rule is: it looks at the confidences of candidates and says which one to answer with."""

from abc import ABCMeta, abstractmethod

import numpy as np
from sklearn.base import BaseEstimator

from skdiffence.metrics import logit_signal
from skdiffence.utils._sklearn import fit_context


class Rule(BaseEstimator, metaclass=ABCMeta):
    """Base class of the rules that choose one candidate among those that keep the label.

    A rule sees candidates through phi = ln p - ln(1 - p), the logit of the confidence in the answered label. It never
    sees the undefended confidence: a rule that does leaks more than no defense to a repeated query. The two methods
    ``fit`` and ``cost`` are all that a new rule has to write.

    Attributes
    ----------
    interval_ : tuple of two floats
        The values of phi that end the search, without bounds where every one does.
    """

    #: Whether ``fit`` reads the candidates of known members, and of known non-members.
    needs_members = False
    needs_non_members = False
    #: How many candidates the rule can use; None for as many as there are.
    max_candidates = None
    #: Whether candidates that change the label count as well, by the confidence that they are answered with once their
    #: top entry and the label's have changed places.
    swaps = False
    #: Whether a candidate can cost 0, which ends a search.
    ends_early = True

    interval_ = (-np.inf, np.inf)

    _parameter_constraints: dict = {}

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, members, non_members):
        """Learn from the candidates of calibration rows.

        Parameters
        ----------
        members : ndarray of shape (n_members, n_candidates + 1)
            phi of the candidates of known members, NaN where a candidate changes the label. The last column is phi of
            the fallback answer in rows without any candidate that keeps the label, and NaN in all others. Rules with
            ``swaps`` get phi of all candidates, the two entries exchanged, and a last column of NaNs.
        non_members : ndarray of shape (n_non_members, n_candidates + 1)
            The same for known non-members.

        Returns
        -------
        self : Rule
        """
        return self

    def read(self, proba, labels):
        """Read phi in answers, whether or not they keep the label.

        Parameters
        ----------
        proba : ndarray of shape (n, n_classes)
            Answers on candidates.
        labels : ndarray of shape (n,), dtype int
            Columns of the labels.

        Returns
        -------
        phi : ndarray of shape (n,)
            Of the label, or of the top entry where the two change places.
        """
        return logit_signal(proba.argmax(axis=1) if self.swaps else labels, proba)

    @abstractmethod
    def cost(self, phi):
        """Say how unwelcome candidates are.

        Parameters
        ----------
        phi : ndarray of any shape
            phi of candidates that count.

        Returns
        -------
        cost : ndarray of the same shape
            0 ends the search with this candidate; where no candidate costs 0, the first of the cheapest is taken.
        """

    def choose(self, phi):
        """Choose among all candidates of each row, as a search through them would.

        Parameters
        ----------
        phi : ndarray of shape (n, n_candidates)
            phi of candidates, NaN where one does not count; those beyond ``max_candidates`` are not looked at.

        Returns
        -------
        chosen : ndarray of shape (n,), dtype int
            Column of the chosen candidate; 0 where all are NaN.
        """
        phi = phi[:, : self.max_candidates]
        return np.argmin(np.where(np.isnan(phi), np.inf, self.cost(phi)), axis=1)


class IntervalRule(Rule):
    """A rule that takes the first candidate inside an interval of phi, or else the one nearest to its middle."""

    #: Distance kept between the ends of the interval and the phi of calibration rows, so that rounding decides nothing.
    margin = 1e-3

    def cost(self, phi):
        """Say how far candidates outside the interval are from its middle (the selection step of Peng et al.).

        Parameters
        ----------
        phi : ndarray of any shape
            phi of candidates that keep the label.

        Returns
        -------
        cost : ndarray of the same shape
            0 inside the interval, ends included.
        """
        low, high = self.interval_
        inside = (phi >= low) & (phi <= high)
        if np.isinf(low) or np.isinf(high):
            outside = np.maximum(low - phi, phi - high)
        else:
            outside = np.abs(phi - (low + high) / 2)
        return np.where(inside, 0.0, np.maximum(outside, np.finfo(float).tiny))


def clear_end(end, phi, outward, margin=IntervalRule.margin):
    """Move the end of an interval outward until no calibration phi lies within the margin of it.

    Parameters
    ----------
    end : float
        Where the end should be.
    phi : ndarray
        phi of calibration rows; NaNs are ignored.
    outward : {-1, 1}
        -1 for the low end, 1 for the high end.
    margin : float, default=1e-3
        Distance to keep.

    Returns
    -------
    end : float
        The nearest place outward with that distance on both sides; where the values are too dense for one within
        20 margins, the middle of the widest gap there.
    """
    if not np.isfinite(end):
        return end
    # Work on the mirrored axis for low ends: outward is then always up.
    end, values = outward * end, np.unique(outward * phi[np.isfinite(phi)])
    near = values[(values > end - margin) & (values < end + 20 * margin)]
    beyond = values[values >= end + 20 * margin]
    stops = np.concatenate(([end - margin], near, beyond[:1] if len(beyond) else [np.inf]))
    low, high = stops[:-1], stops[1:]
    wide = (high - low >= 2 * margin) & (high - end >= margin)
    if np.any(wide):
        return float(outward * max(end, low[np.argmax(wide)] + margin))
    middle = np.maximum((low + high) / 2, end)
    return float(outward * middle[np.argmax(np.minimum(middle - low, high - middle))])

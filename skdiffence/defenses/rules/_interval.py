"""Rules that accept an interval of confidences."""

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skdiffence.defenses.rules._base import ChoosingRule

# Distance between the ends of an interval and phi of calibration rows, so that rounding decides nothing.
MARGIN = 1e-3


class IntervalRule(ChoosingRule):
    """Choose the first candidate in an interval of phi, or else the one nearest to its middle."""

    def cost(self, phi):
        """Return the cost of each candidate: 0 in the interval, the distance to its middle outside.

        Parameters
        ----------
        phi : ndarray of any shape
            phi of candidates.

        Returns
        -------
        cost : ndarray of the same shape
            0 in the interval, ends included. Outside of an interval with an infinite end, the distance to the other
            end.

        Raises
        ------
        NotFittedError
            If the rule is not fitted.
        """
        if self.needs_calibration:  # otherwise the interval is that of the class
            check_is_fitted(self)
        return interval_cost(phi, self.interval_)


def interval_cost(phi, interval):
    """Return the cost of candidates under an interval; see :meth:`IntervalRule.cost`.

    This is the selection step of Peng et al.

    Parameters
    ----------
    phi : ndarray of any shape
        phi of candidates.
    interval : tuple of two floats
        Its ends.

    Returns
    -------
    cost : ndarray of the same shape
    """
    low, high = interval
    inside = (phi >= low) & (phi <= high)
    has_middle = np.isfinite(low) and np.isfinite(high)
    outside = np.abs(phi - (low + high) / 2) if has_middle else np.maximum(low - phi, phi - high)
    return np.where(inside, 0.0, np.maximum(outside, np.finfo(float).tiny))


def clear_interval(interval, *calibrated):
    """Return an interval whose ends are moved outward, away from phi of calibration rows.

    Parameters
    ----------
    interval : tuple of two floats
        Its ends.
    *calibrated : ndarray of shape (n, n_candidates + 1)
        phi as :meth:`Rule.fit` gets it; the last column is not used.

    Returns
    -------
    interval : tuple of two floats
    """
    phi = np.concatenate([side[:, :-1].ravel() for side in calibrated])
    low, high = interval
    return clear_end(low, phi, -1), clear_end(high, phi, 1)


def clear_end(end, phi, outward, margin=MARGIN):
    """Move the end of an interval outward until no phi of calibration rows lies within a margin of it.

    Parameters
    ----------
    end : float
        The end.
    phi : ndarray
        phi of calibration rows; NaNs are ignored.
    outward : {-1, 1}
        -1 for the low end, 1 for the high end.
    margin : float, default=1e-3
        The distance to keep.

    Returns
    -------
    end : float
        The nearest place outward with that distance on both sides. Where the values are too dense for one within
        20 margins, the middle of the widest gap there.
    """
    if not np.isfinite(end):
        return end
    # On the mirrored axis for low ends, so that outward is up.
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

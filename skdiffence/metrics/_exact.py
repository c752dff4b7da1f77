"""Exact bounds of rates: Clopper and Pearson's, for arrays of counts, and how two of them go together."""

from numbers import Real

import numpy as np
from scipy.optimize import brentq
from scipy.special import betaincinv, ndtr

from skdiffence.utils._sklearn import Interval

CONFIDENCE_LEVEL = Interval(Real, 0, 1, closed="neither")
# With more angles, the bounds that are computed from all of them gain less than 1 %.
_N_ANGLES = 128


def rate_low(successes, n, error):
    """Return the rate below which so many successes are too rare.

    Parameters
    ----------
    successes : int or ndarray of int
        Numbers of successes.
    n : int
        Number of trials.
    error : float or ndarray
        Probability that the true rate is below the bound, at most.

    Returns
    -------
    low : ndarray
        The rate at which ``successes`` or more have probability ``error``; 0 for none.
    """
    successes = np.asarray(successes)
    # betaincinv has no value for a parameter of zero.
    low = betaincinv(np.maximum(successes, 1), n - np.maximum(successes, 1) + 1, error)
    return np.where(successes > 0, low, 0.0)


def rate_high(successes, n, error):
    """Return the rate above which so few successes are too rare.

    Parameters
    ----------
    successes : int or ndarray of int
        Numbers of successes.
    n : int
        Number of trials.
    error : float or ndarray
        Probability that the true rate is above the bound, at most.

    Returns
    -------
    high : ndarray
        The rate at which ``successes`` or fewer have probability ``error``; 1 for all.
    """
    return 1 - rate_low(n - np.asarray(successes), n, error)


def pair_radius(error):
    """Return how far two independent tests may be off together.

    Parameters
    ----------
    error : float
        In (0, 1).

    Returns
    -------
    r : float
        A pair of independent standard normal deviates, negative ones counted as 0, is longer than this with
        probability ``error``: both count in a quarter of cases and one in a half. 0 where three quarters or more
        may be.
    """

    def excess(r):
        return ndtr(-r) + np.exp(-(r**2) / 2) / 4 - error

    return brentq(excess, 0, 40) if excess(0) > 0 else 0.0


def pair_errors(radius):
    """Return the ways to divide an error between exact bounds of two rates.

    Parameters
    ----------
    radius : float
        How far their deviates may be off together.

    Returns
    -------
    first, second : ndarray
        What to leave to the bound of either rate. With the radius of :func:`pair_radius`, two independent rates are
        both within their bounds for at least one of these pairs, but for that error: whatever the worst of all
        pairs of bounds says of the two rates, such as of their ratio, is said with that confidence.
    """
    angles = np.linspace(0, np.pi / 2, _N_ANGLES + 1)
    # Either rate at the far end of each step, so that nothing between two angles is overlooked.
    return ndtr(-radius * np.cos(angles[:-1])), ndtr(-radius * np.sin(angles[1:]))

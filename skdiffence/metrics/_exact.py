"""Exact bounds of binomial rates by Clopper and Pearson, and bounds of two independent rates together."""

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr
from scipy.stats import beta

# More angles tighten the bounds computed from them by less than 1 %.
_N_ANGLES = 128


def rate_low(successes, n, error):
    """Return the lower Clopper-Pearson bound of a rate.

    Parameters
    ----------
    successes : int or ndarray of int
        Numbers of successes.
    n : int
        Number of trials.
    error : float or ndarray
        Highest probability that the true rate lies below the bound.

    Returns
    -------
    low : ndarray
        The rate at which ``successes`` or more have probability ``error``; 0 for no success.
    """
    successes = np.asarray(successes)
    # The beta distribution of no success is degenerate, and its quantile NaN.
    return np.nan_to_num(beta.ppf(error, successes, n - successes + 1))


def rate_high(successes, n, error):
    """Return the upper Clopper-Pearson bound of a rate.

    Parameters
    ----------
    successes : int or ndarray of int
        Numbers of successes.
    n : int
        Number of trials.
    error : float or ndarray
        Highest probability that the true rate lies above the bound.

    Returns
    -------
    high : ndarray
        The rate at which ``successes`` or fewer have probability ``error``; 1 for successes only.
    """
    return 1 - rate_low(n - np.asarray(successes), n, error)


def clopper_pearson_interval(successes, n, confidence_level):
    """Return the two-sided Clopper-Pearson interval of each rate.

    Parameters
    ----------
    successes : ndarray of int
        Numbers of successes.
    n : int
        Number of trials.
    confidence_level : float
        The coverage is at least this.

    Returns
    -------
    low, high : ndarray
    """
    # Counts repeat on a ROC curve, and quantiles of the beta distribution are slow.
    counts, where = np.unique(successes, return_inverse=True)
    error = (1 - confidence_level) / 2
    return rate_low(counts, n, error)[where], rate_high(counts, n, error)[where]


def pair_radius(error):
    """Return the radius at which two independent one-sided tests together have a given error.

    Parameters
    ----------
    error : float
        In (0, 1).

    Returns
    -------
    r : float
        Two independent standard normal deviates, negative ones counted as 0, have a norm above r with probability
        ``error``. Both are positive in a quarter of the cases, exactly one in half of them. 0 if ``error`` is at
        least three quarters.
    """

    def excess(r):
        return ndtr(-r) + np.exp(-(r**2) / 2) / 4 - error

    return brentq(excess, 0, 40) if excess(0) > 0 else 0.0


def pair_errors(radius):
    """Return how an error can be divided between exact bounds of two independent rates.

    Parameters
    ----------
    radius : float
        Of :func:`pair_radius`.

    Returns
    -------
    first, second : ndarray
        Errors of the bounds of the first and the second rate. For at least one of these pairs both rates are within
        their bounds, with a probability of at least one minus the error of the radius. So the worst value of a
        function of both rates, such as their ratio, over all pairs of bounds holds with that confidence.
    """
    angles = np.linspace(0, np.pi / 2, _N_ANGLES + 1)
    # Each rate at the far end of its step, so that the steps cover all angles.
    return ndtr(-radius * np.cos(angles[:-1])), ndtr(-radius * np.sin(angles[1:]))

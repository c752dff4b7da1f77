"""How much an attack refutes of a claim of differential privacy."""

from numbers import Real

import numpy as np
from scipy.special import ndtr
from sklearn.utils import Bunch

from skdiffence.metrics._exact import CONFIDENCE_LEVEL, pair_errors, pair_radius, rate_high, rate_low
from skdiffence.metrics._scores import check_membership
from skdiffence.utils._random import draw_seed, mix_seed
from skdiffence.utils._sklearn import Interval, validate_params


def _split(members, others, share, random_state):
    """Divide the scores of either side at random: this share of them and the rest, neither empty."""
    sides = [np.sort(side) + 0.0 for side in (members, others)]
    # Of sorted scores, so that the order of rows does not matter; and of the scores, because one permutation of
    # sorted scores would favor the same ranks in all audits that share a seed.
    rng = np.random.default_rng(mix_seed(draw_seed(random_state), *(side.tobytes() for side in sides)))
    for side in sides:
        n = min(max(round(share * len(side)), 1), len(side) - 1)
        drawn = rng.permutation(side)
        yield drawn[:n], drawn[n:]


def _counts(members, others, thresholds):
    """Return how many of either side each threshold accuses."""
    return [len(side) - np.searchsorted(np.sort(side), thresholds, side="left") for side in (members, others)]


def _pairs(tp, m, fp, n):
    """Return what the two rules compare: (found, of how many, falsely accused, of how many)."""
    return {"tpr": (tp, m, fp, n), "tnr": (n - fp, n, m - tp, m)}


def _epsilons(low, high, delta):
    # A rate within delta of zero refutes nothing.
    return np.where(low > delta, np.log(np.maximum(low - delta, 1e-300) / high), -np.inf)


def _best_threshold(members, others, delta, error):
    """Choose a rule and a threshold by the bound at equal deviates of the two rates."""
    thresholds, share = np.union1d(members, others), ndtr(-pair_radius(error) / np.sqrt(2))
    tp, fp = _counts(members, others, thresholds)
    bounds = {
        rule: _epsilons(rate_low(found, m, share), rate_high(accused, n, share), delta)
        for rule, (found, m, accused, n) in _pairs(tp, len(members), fp, len(others)).items()
    }
    rule = max(bounds, key=lambda name: bounds[name].max())
    return rule, thresholds[bounds[rule].argmax()]


def _bound(found, m, accused, n, delta, error):
    """Return the smallest epsilon that is credible, and the bounds of the two rates that it is of."""
    of_found, of_accused = pair_errors(pair_radius(error))
    low, high = rate_low(found, m, of_found), rate_high(accused, n, of_accused)
    epsilons = _epsilons(low, high, delta)
    worst = epsilons.argmin()
    return max(0.0, float(epsilons[worst])), float(low[worst]), float(high[worst])


@validate_params(
    {
        "y_true": ["array-like"],
        "y_score": ["array-like"],
        "delta": [Interval(Real, 0, 1, closed="left")],
        "confidence_level": [CONFIDENCE_LEVEL],
        "calibration": [Interval(Real, 0, 1, closed="neither")],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def epsilon_lower_bound(y_true, y_score, *, delta=0.0, confidence_level=0.95, calibration=0.5, random_state=None):
    """Return the smallest epsilon of differential privacy that an attack does not refute.

    Under (epsilon, delta)-differential privacy no threshold has a true positive rate above ``delta`` plus
    ``exp(epsilon)`` times its false positive rate, nor a true negative rate above that of its false negative rate.
    The threshold, and which of the two rules, is chosen on some of the rows, and the bound computed on the others:
    the best of many thresholds on the same rows would refute perfect privacy in far more than 5 % of cases (28 % in
    a simulation with 500 rows a side).

    Parameters
    ----------
    y_true : array-like of shape (n_samples,), dtype bool
        True for members.
    y_score : array-like of shape (n_samples,)
        Higher means more likely a member.
    delta : float, default=0.0
        That of the privacy claimed, in [0, 1).
    confidence_level : float, default=0.95
        Probability that the bound is at most the true epsilon.
    calibration : float, default=0.5
        Share of either side that the threshold is chosen on, at least one row of it.
    random_state : int, RandomState instance or None, default=None
        Chooses these rows. The bounds of several seeds must not be compared for the best.

    Returns
    -------
    bound : Bunch
        ``epsilon``, the bound, at least 0; ``confidence_level`` and ``delta``; ``threshold``, rows that score at least
        this are accused; ``direction``, "tpr" or "tnr", the rule that was chosen; ``tpr`` and ``fpr`` of the
        threshold on the rows that it was not chosen on, ``n_members`` and ``n_non_members`` of them; ``low`` and
        ``high``, the rate found and the rate accused by the rule at the pair that ``epsilon`` is of.

    Raises
    ------
    ValueError
        If a side has fewer than two rows, lengths differ or scores are not finite.

    Notes
    -----
    Two exact binomial tests, of the rate found and of the rate accused, are combined: the pairs of rates for which
    their normal deviates, those in favor counted as 0, have squares that add up to ``r**2`` at most are credible
    together with a probability of at least ``confidence_level``, and the bound is the smallest epsilon among them. It
    is higher than that of two separate intervals, each of half the error, and as exact. It cannot exceed about
    ``log(n / 3.9)`` with n rows of a side left, at a confidence of 0.95.

    The rows are taken as independent. They are where each score comes from a model of its own, trained with or
    without one row. Those of a single model are close to it, but share its training: the bound is then evidence,
    not proof.

    References
    ----------
    Jagielski, Ullman and Oprea, "Auditing differentially private machine learning: how private is private SGD?",
    NeurIPS 2020.

    Nasr et al., "Adversary instantiation: lower bounds for differentially private machine learning", S&P 2021.

    Examples
    --------
    >>> import numpy as np
    >>> from skdiffence.metrics import epsilon_lower_bound
    >>> rng = np.random.default_rng(0)
    >>> is_member = np.repeat([True, False], 2000)
    >>> told_truth = rng.random(4000) < 0.75  # randomized response: epsilon is log 3
    >>> bound = epsilon_lower_bound(is_member, is_member == told_truth, random_state=0)
    >>> bool(0.9 < bound.epsilon < np.log(3))
    True
    """
    is_member, score = check_membership(y_true, y_score)
    if min(is_member.sum(), (~is_member).sum()) < 2:
        raise ValueError(
            "y_true must hold two members and two non-members, to choose a threshold on one of each. "
            f"Got {is_member.sum()} and {(~is_member).sum()}."
        )
    error = 1 - confidence_level
    sides = _split(score[is_member], score[~is_member], calibration, random_state)
    (chosen_members, members), (chosen_others, others) = sides
    rule, threshold = _best_threshold(chosen_members, chosen_others, delta, error)
    tp, fp = _counts(members, others, threshold)
    epsilon, low, high = _bound(*_pairs(tp, len(members), fp, len(others))[rule], delta, error)
    return Bunch(
        epsilon=epsilon,
        confidence_level=float(confidence_level),
        delta=float(delta),
        threshold=float(threshold),
        direction=rule,
        tpr=float(tp / len(members)),
        fpr=float(fp / len(others)),
        low=low,
        high=high,
        n_members=len(members),
        n_non_members=len(others),
    )

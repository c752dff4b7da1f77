"""A lower bound of the epsilon of differential privacy, from the scores of an attack."""

from numbers import Real

import numpy as np
from scipy.special import ndtr
from sklearn.utils import Bunch

from skdiffence.metrics._checks import CONFIDENCE_LEVEL, SCORES, check_membership
from skdiffence.metrics._exact import pair_errors, pair_radius, rate_high, rate_low
from skdiffence.utils._random import draw_seed, mix_seed
from skdiffence.utils._sklearn import Interval, validate_params


def _split(members, others, share, random_state):
    """Split the scores of each side at random into a share and the rest, neither of them empty."""
    sides = [np.sort(side) + 0.0 for side in (members, others)]
    # Scores are sorted so that the result does not depend on the order of rows. The seed depends on the scores, because
    # the same permutation would favor the same ranks in all audits with one random_state.
    rng = np.random.default_rng(mix_seed(draw_seed(random_state), *(side.tobytes() for side in sides)))
    for side in sides:
        n = min(max(round(share * len(side)), 1), len(side) - 1)
        drawn = rng.permutation(side)
        yield drawn[:n], drawn[n:]


def _counts(members, others, thresholds):
    """Return how many rows of each side each threshold calls members."""
    return [len(side) - np.searchsorted(np.sort(side), thresholds, side="left") for side in (members, others)]


def _pairs(tp, m, fp, n):
    """Return for each rule the numbers of rows that are classified correctly and wrongly, each with its total."""
    return {"tpr": (tp, m, fp, n), "tnr": (n - fp, n, m - tp, m)}


def _epsilons(low, high, delta):
    # A rate of at most delta is compatible with every epsilon.
    return np.where(low > delta, np.log(np.maximum(low - delta, 1e-300) / high), -np.inf)


def _best_threshold(members, others, delta, error):
    """Return the rule and the threshold with the highest bound, at equal deviates of the two rates."""
    thresholds, share = np.union1d(members, others), ndtr(-pair_radius(error) / np.sqrt(2))
    tp, fp = _counts(members, others, thresholds)
    bounds = {
        rule: _epsilons(rate_low(found, m, share), rate_high(accused, n, share), delta)
        for rule, (found, m, accused, n) in _pairs(tp, len(members), fp, len(others)).items()
    }
    rule = max(bounds, key=lambda name: bounds[name].max())
    return rule, thresholds[bounds[rule].argmax()]


def _bound(found, m, accused, n, delta, error):
    """Return the smallest credible epsilon and the bounds of the two rates at it."""
    of_found, of_accused = pair_errors(pair_radius(error))
    low, high = rate_low(found, m, of_found), rate_high(accused, n, of_accused)
    epsilons = _epsilons(low, high, delta)
    worst = epsilons.argmin()
    return max(0.0, float(epsilons[worst])), float(low[worst]), float(high[worst])


@validate_params(
    SCORES
    | {
        "delta": [Interval(Real, 0, 1, closed="left")],
        "confidence_level": CONFIDENCE_LEVEL,
        "calibration": [Interval(Real, 0, 1, closed="neither")],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def epsilon_lower_bound(y_true, y_score, *, delta=0.0, confidence_level=0.95, calibration=0.5, random_state=None):
    """Compute a lower confidence bound for the epsilon of differential privacy.

    Under (epsilon, delta)-differential privacy, ``tpr <= delta + exp(epsilon) * fpr`` and
    ``tnr <= delta + exp(epsilon) * fnr`` hold for every threshold. One of the two rules and a threshold are chosen on
    some of the rows, and the bound is computed on the others. With the best of many thresholds on the same rows, the
    bound would be above 0 too often without any leak (in 28 % of a simulation with 500 rows a side, where 5 % are
    allowed).

    Parameters
    ----------
    y_true : array-like of shape (n_samples,), dtype bool
        True for members.
    y_score : array-like of shape (n_samples,)
        Higher means more likely a member.
    delta : float, default=0.0
        The delta of differential privacy, in [0, 1).
    confidence_level : float, default=0.95
        Probability that the bound is at most the true epsilon.
    calibration : float, default=0.5
        Share of each side to choose the threshold on, at least one row.
    random_state : int, RandomState instance or None, default=None
        Seeds the choice of these rows. The highest bound of several seeds is not valid.

    Returns
    -------
    bound : Bunch
        With the attributes

        - ``epsilon``: the bound, at least 0
        - ``confidence_level``, ``delta``: as given
        - ``threshold``: rows that score at least this are called members
        - ``direction``: the rule that was chosen, "tpr" or "tnr"
        - ``tpr``, ``fpr``, ``n_members``, ``n_non_members``: on the rows that the threshold was not chosen on
        - ``low``, ``high``: bounds of the rates on the left and on the right of the rule, at ``epsilon``

    Raises
    ------
    ValueError
        If a side has fewer than two rows, lengths differ or scores are not finite.

    Notes
    -----
    Two exact binomial tests, one of each rate, are combined. Pairs of rates are credible if the squares of their
    normal deviates, negative ones counted as 0, add up to at most ``r**2``. Together they have a probability of at
    least ``confidence_level``, and the bound is the smallest epsilon among them. It is higher than that of two
    separate intervals with half the error each, and as exact. With n rows of a side left it cannot exceed about
    ``log(n / 3.9)`` at a confidence level of 0.95.

    The rows are assumed to be independent. This holds if each score comes from a model of its own, trained with or
    without one row. Scores of a single model share its training, and the bound is then evidence, not proof.

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
            "y_true must hold at least two members and two non-members, one of each to choose a threshold on. "
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

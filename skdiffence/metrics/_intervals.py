"""Confidence intervals for the scores of an attack, without resampling."""

from numbers import Integral

import numpy as np
from scipy.special import expit, logit
from scipy.stats import norm, rankdata

from skdiffence.metrics._exact import CONFIDENCE_LEVEL, pair_errors, rate_high, rate_low
from skdiffence.metrics._scores import check_membership
from skdiffence.utils._sklearn import Interval, validate_params

# DeLong's interval alone covers too little below this many rows of a side.
_FEW = 30
# The same of Wilson's where two of them are added.
_FEW_TRIALS = 50


@validate_params(
    {"y_true": ["array-like"], "y_score": ["array-like"], "confidence_level": [CONFIDENCE_LEVEL]},
    prefer_skip_nested_validation=True,
)
def auc_interval(y_true, y_score, *, confidence_level=0.95):
    """Return a confidence interval of an attack's area under the ROC curve, without resampling.

    DeLong's variance on the logit scale, so that the ends stay within 0 and 1. Of fewer than 30 members or
    non-members that variance is itself too uncertain (with 5 members, 95 % intervals cover 80 to 90 %): the
    interval is then widened to hold Newcombe's score interval as well, which alone is returned where the
    variance is zero (perfectly separated or all equal scores) or a side is of one row.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,), dtype bool
        True for members.
    y_score : array-like of shape (n_samples,)
        Higher means more likely a member.
    confidence_level : float, default=0.95
        Nominal coverage.

    Returns
    -------
    low, high : float
        Ends of the interval.

    Raises
    ------
    ValueError
        If a side is empty, lengths differ or scores are not finite.

    References
    ----------
    DeLong, DeLong and Clarke-Pearson, "Comparing the areas under two or more correlated receiver operating
    characteristic curves: a nonparametric approach", Biometrics 44, 1988.

    Newcombe, "Confidence intervals for an effect size measure based on the Mann-Whitney statistic. Part 2",
    Statistics in Medicine 25, 2006, method 5.

    Examples
    --------
    >>> from skdiffence.metrics import auc_interval
    >>> low, high = auc_interval([1, 1, 1, 0, 0, 0], [0.9, 0.8, 0.3, 0.5, 0.2, 0.1])
    >>> low < 8 / 9 < high
    True
    """
    is_member, score = check_membership(y_true, y_score)
    z = norm.ppf((1 + confidence_level) / 2)
    sizes = is_member.sum(), (~is_member).sum()
    auc, variance = _delong(is_member, score)
    if variance <= 0:
        return _newcombe(auc, *sizes, z)
    half = z * np.sqrt(variance) / (auc * (1 - auc))
    low, high = expit(logit(auc) - half), expit(logit(auc) + half)
    if min(sizes) < _FEW:
        few_low, few_high = _newcombe(auc, *sizes, z)
        low, high = min(low, few_low), max(high, few_high)
    return float(low), float(high)


def _delong(is_member, score):
    members, others = score[is_member], score[~is_member]
    m, n = len(members), len(others)
    ranks = rankdata(np.concatenate([members, others]))
    # Share of the other side that each row beats, ties as one half.
    over_others = (ranks[:m] - rankdata(members)) / n
    over_members = 1 - (ranks[m:] - rankdata(others)) / m
    auc = over_others.mean()
    # An AUC of exactly 0 or 1 leaves only rounding in the variances.
    if min(m, n) == 1 or not 0 < auc < 1:
        return auc, 0.0
    return auc, sum(side.var(ddof=1) / len(side) for side in (over_others, over_members))


def _newcombe(auc, m, n, z):
    """Return the AUCs that the observed one does not refute, by Hanley and McNeil's variance."""
    # With the observed one among them, some are always kept.
    grid = np.union1d(np.linspace(0, 1, 10_001), auc)
    larger = (m + n) / 2 - 1
    variance = grid * (1 - grid) / (m * n) * (1 + larger * ((1 - grid) / (2 - grid) + grid / (1 + grid)))
    kept = grid[(auc - grid) ** 2 <= z**2 * variance + 1e-12]
    return float(kept[0]), float(kept[-1])


@validate_params(
    {
        "successes": [Interval(Integral, 0, None, closed="left")],
        "n": [Interval(Integral, 1, None, closed="left")],
        "confidence_level": [CONFIDENCE_LEVEL],
    },
    prefer_skip_nested_validation=True,
)
def wilson_interval(successes, n, *, confidence_level=0.95):
    """Return Wilson's score interval of a rate.

    Parameters
    ----------
    successes : int
        Number of successes.
    n : int
        Number of rows, at least 1.
    confidence_level : float, default=0.95
        Nominal coverage.

    Returns
    -------
    low, high : float
        Ends of the interval, within 0 and 1.

    Raises
    ------
    ValueError
        If there are more successes than rows.

    References
    ----------
    Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22, 1927.

    Examples
    --------
    >>> from skdiffence.metrics import wilson_interval
    >>> low, high = wilson_interval(0, 10)
    >>> low, round(high, 3)
    (0.0, 0.278)
    """
    if successes > n:
        raise ValueError(f"successes must be at most n. Got {successes} of {n}.")
    z, rate = norm.ppf((1 + confidence_level) / 2), successes / n
    center = rate + z**2 / (2 * n)
    half = z * np.sqrt(rate * (1 - rate) / n + z**2 / (4 * n**2))
    low, high = (center - half) / (1 + z**2 / n), (center + half) / (1 + z**2 / n)
    # Rounding must not push the interval of 0 or n successes off the rate itself.
    return float(min(max(low, 0.0), rate)), float(max(min(high, 1.0), rate))


@validate_params(
    {"y_true": ["array-like"], "y_pred": ["array-like"], "confidence_level": [CONFIDENCE_LEVEL]},
    prefer_skip_nested_validation=True,
)
def accuracy_interval(y_true, y_pred, *, confidence_level=0.95):
    """Return a confidence interval of an attack's balanced accuracy, without resampling.

    Wilson's intervals of the true positive and the true negative rate, added by Newcombe's square-and-add
    rule. With fewer than 50 members or non-members, for some rates as few as 88 % of such 95 % intervals cover:
    the ends are then those of all pairs of rates whose deviates, in Clopper and Pearson's exact tests, are together no
    further off than one normal deviate may be. These are wider, by a quarter with 15 rows a side.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,), dtype bool
        True for members.
    y_pred : array-like of shape (n_samples,), dtype bool
        True for rows that the attack calls members.
    confidence_level : float, default=0.95
        Nominal coverage.

    Returns
    -------
    low, high : float
        Ends of the interval.

    Raises
    ------
    ValueError
        If a side is empty, lengths differ or predictions are not True and False.

    References
    ----------
    Newcombe, "Interval estimation for the difference between independent proportions", Statistics in
    Medicine 17, 1998, method 10.

    Clopper and Pearson, "The use of confidence or fiducial limits illustrated in the case of the binomial",
    Biometrika 26, 1934.

    Examples
    --------
    >>> from skdiffence.metrics import accuracy_interval
    >>> low, high = accuracy_interval([1, 1, 1, 0, 0, 0], [1, 1, 0, 0, 0, 0])
    >>> low < 5 / 6 < high
    True
    """
    is_member, accused = check_membership(y_true, y_pred)
    if not np.isin(accused, (0, 1)).all():
        raise ValueError(
            "y_pred must hold True for rows called members and False for others, or 1 and 0. "
            f"Got values from {accused.min():.3g} to {accused.max():.3g}: compare scores with a threshold first."
        )
    right = accused == is_member
    hits = [(int(right[side].sum()), int(side.sum())) for side in (is_member, ~is_member)]
    few = min(n for _, n in hits) < _FEW_TRIALS
    return (_exact_mean_interval if few else _square_and_add)(hits, confidence_level)


def _square_and_add(hits, confidence_level):
    rates = np.array([k / n for k, n in hits])
    ends = np.array([wilson_interval(k, n, confidence_level=confidence_level) for k, n in hits])
    low = rates.mean() - np.hypot(*(rates - ends[:, 0])) / 2
    high = rates.mean() + np.hypot(*(ends[:, 1] - rates)) / 2
    return float(low), float(high)


def _exact_mean_interval(hits, confidence_level):
    # Of a mean, the two deviates count as one, and the radius is that of one.
    errors = pair_errors(norm.ppf((1 + confidence_level) / 2))
    low = sum(rate_low(k, n, error) for (k, n), error in zip(hits, errors, strict=True))
    high = sum(rate_high(k, n, error) for (k, n), error in zip(hits, errors, strict=True))
    return float(low.min() / 2), float(high.max() / 2)

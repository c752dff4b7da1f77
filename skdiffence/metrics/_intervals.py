"""Confidence intervals for the scores of an attack, without resampling."""

from numbers import Integral

import numpy as np
from scipy.special import expit, logit
from scipy.stats import binomtest, norm, rankdata, t

from skdiffence.metrics._checks import CONFIDENCE_LEVEL, SCORES, check_membership
from skdiffence.metrics._exact import pair_errors, rate_high, rate_low
from skdiffence.utils._sklearn import Interval, validate_params

# With fewer rows on a side, DeLong's interval alone covers too little.
_FEW_ROWS = 30
# With fewer trials, the sum of two Wilson intervals covers too little.
_FEW_TRIALS = 50


@validate_params(SCORES | {"confidence_level": CONFIDENCE_LEVEL}, prefer_skip_nested_validation=True)
def auc_interval(y_true, y_score, *, confidence_level=0.95):
    """Compute a confidence interval for an attack's area under the ROC curve.

    The interval uses DeLong's variance on the logit scale, so its ends stay within 0 and 1. With fewer than 30
    members or non-members this variance is itself uncertain: with 5 members, 95 % intervals cover 80 to 90 %. The
    interval is then widened to contain Newcombe's score interval. Newcombe's interval alone is returned where the
    variance is zero (perfect separation, or all scores equal) or a side has one row. The area of scores of two values,
    such as whether a label is right, is the balanced accuracy at the higher one, and has its interval, because the
    variance may rest on a handful of rows there.

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
    if len(values := np.unique(score)) == 2:
        return accuracy_interval(is_member, score == values[1], confidence_level=confidence_level)
    z = norm.ppf((1 + confidence_level) / 2)
    sizes = is_member.sum(), (~is_member).sum()
    auc, variance = _delong(_placements(is_member, score))
    if variance <= 0:
        return _newcombe(auc, *sizes, z)
    half = z * np.sqrt(variance) / (auc * (1 - auc))
    low, high = expit(logit(auc) - half), expit(logit(auc) + half)
    if min(sizes) < _FEW_ROWS:
        score_low, score_high = _newcombe(auc, *sizes, z)
        low, high = min(low, score_low), max(high, score_high)
    return float(low), float(high)


@validate_params(
    SCORES | {"other_score": ["array-like"], "confidence_level": CONFIDENCE_LEVEL}, prefer_skip_nested_validation=True
)
def auc_difference_interval(y_true, y_score, other_score, *, confidence_level=0.95):
    """Compute a confidence interval for the difference of two attacks' areas under the ROC curve on the same rows.

    The interval uses DeLong's covariance of the two areas, and Student's t distribution with the degrees of freedom of
    the smaller side. Where one of the areas has no variance (perfect separation, or all scores equal), it is widened to
    contain what Zou and Donner's method makes of the intervals of the two areas.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,), dtype bool
        True for members.
    y_score, other_score : array-like of shape (n_samples,)
        Scores of the two attacks. Higher means more likely a member.
    confidence_level : float, default=0.95
        Nominal coverage.

    Returns
    -------
    low, high : float
        Ends of the interval of the area of ``y_score`` less that of ``other_score``, within -1 and 1. If a side has
        one row, these are -1 and 1; if both scores rank all rows alike, 0 and 0.

    Raises
    ------
    ValueError
        If a side is empty, lengths differ or scores are not finite.

    See Also
    --------
    auc_interval : The interval of one area.

    References
    ----------
    DeLong, DeLong and Clarke-Pearson, "Comparing the areas under two or more correlated receiver operating
    characteristic curves: a nonparametric approach", Biometrics 44, 1988.

    Zou and Donner, "Construction of confidence limits about effect measures: a general approach", Statistics in
    Medicine 27, 2008.

    Examples
    --------
    >>> from skdiffence.metrics import auc_difference_interval
    >>> auc_difference_interval([1, 1, 1, 0, 0, 0], [6, 5, 3, 4, 2, 1], [6, 5, 3, 4, 2, 1])
    (0.0, 0.0)
    """
    (is_member, score), (_, other) = check_membership(y_true, y_score), check_membership(y_true, other_score)
    fewest = min(is_member.sum(), (~is_member).sum())
    if fewest == 1:
        return -1.0, 1.0
    if np.array_equal(rankdata(score), rankdata(other)):
        return 0.0, 0.0
    placements = [_placements(is_member, each) for each in (score, other)]
    sides = [first - second for first, second in zip(*placements, strict=True)]
    difference, error = sides[0].mean(), np.sqrt(sum(side.var(ddof=1) / len(side) for side in sides))
    half = t.ppf((1 + confidence_level) / 2, fewest - 1) * error
    low, high = difference - half, difference + half
    areas, variances = zip(*map(_delong, placements), strict=True)
    if min(variances) <= 0:
        # The area of equal scores is one half in every sample.
        ends = [
            auc_interval(is_member, each, confidence_level=confidence_level) if np.ptp(each) else (0.5, 0.5)
            for each in (score, other)
        ]
        margins = _combined_margins(areas, variances, error**2, ends)
        low, high = min(low, difference - margins[0]), max(high, difference + margins[1])
    return float(max(low, -1)), float(min(high, 1))


def _combined_margins(areas, variances, variance, ends):
    """Return Zou and Donner's margins of a difference of two areas, from their intervals and their correlation."""
    (below, other_below), (above, other_above) = np.abs(np.transpose(ends) - areas)
    spread = 2 * np.sqrt(variances[0] * variances[1])
    correlation = np.clip((sum(variances) - variance) / spread, -1, 1) if spread > 0 else 0.0
    pairs = (below, other_above), (above, other_below)
    return [np.sqrt(max(a**2 + b**2 - 2 * correlation * a * b, 0)) for a, b in pairs]


def _placements(is_member, score):
    """Return the share of non-members below each member, and of members above each non-member; ties are one half."""
    members, others = score[is_member], score[~is_member]
    m, n = len(members), len(others)
    ranks = rankdata(np.concatenate([members, others]))
    return (ranks[:m] - rankdata(members)) / n, 1 - (ranks[m:] - rankdata(others)) / m


def _delong(sides):
    """Return the AUC and DeLong's variance of it, from the placements of both sides."""
    auc = sides[0].mean()
    # At an AUC of exactly 0 or 1 the variances hold nothing but rounding errors.
    if min(map(len, sides)) == 1 or not 0 < auc < 1:
        return auc, 0.0
    return auc, sum(side.var(ddof=1) / len(side) for side in sides)


def _newcombe(auc, m, n, z):
    """Return Newcombe's score interval, which uses Hanley and McNeil's variance."""
    # The observed AUC is on the grid, so some value is always kept.
    grid = np.union1d(np.linspace(0, 1, 10_001), auc)
    larger = (m + n) / 2 - 1
    variance = grid * (1 - grid) / (m * n) * (1 + larger * ((1 - grid) / (2 - grid) + grid / (1 + grid)))
    kept = grid[(auc - grid) ** 2 <= z**2 * variance + 1e-12]
    return float(kept[0]), float(kept[-1])


@validate_params(
    {
        "successes": [Interval(Integral, 0, None, closed="left")],
        "n": [Interval(Integral, 1, None, closed="left")],
        "confidence_level": CONFIDENCE_LEVEL,
    },
    prefer_skip_nested_validation=True,
)
def wilson_interval(successes, n, *, confidence_level=0.95):
    """Compute Wilson's score interval for a rate.

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

    See Also
    --------
    scipy.stats.binomtest : The test whose ``proportion_ci`` this returns.

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
        raise ValueError(f"successes must be at most n. Got successes={successes} and n={n}.")
    interval = binomtest(successes, n).proportion_ci(confidence_level, method="wilson")
    return float(interval.low), float(interval.high)


@validate_params(
    {"y_true": ["array-like"], "y_pred": ["array-like"], "confidence_level": CONFIDENCE_LEVEL},
    prefer_skip_nested_validation=True,
)
def accuracy_interval(y_true, y_pred, *, confidence_level=0.95):
    """Compute a confidence interval for an attack's balanced accuracy.

    Wilson's intervals of the true positive and the true negative rate are added by Newcombe's square-and-add rule.
    With fewer than 50 members or non-members such 95 % intervals cover as few as 88 % at some rates. The interval is
    then computed from Clopper and Pearson's exact tests: its ends are those of all pairs of rates whose normal
    deviates together are credible. Exact intervals are wider, by a quarter with 15 rows a side.

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
    is_member, called = check_membership(y_true, y_pred)
    if not np.isin(called, (0, 1)).all():
        raise ValueError(
            "y_pred must hold True for rows called members and False for others, or 1 and 0. "
            f"Got values from {called.min():.3g} to {called.max():.3g}. Compare scores with a threshold first."
        )
    right = called == is_member
    counts = [(int(right[side].sum()), int(side.sum())) for side in (is_member, ~is_member)]
    few = min(n for _, n in counts) < _FEW_TRIALS
    return (_exact_mean_interval if few else _square_and_add)(counts, confidence_level)


def _square_and_add(counts, confidence_level):
    rates = np.array([k / n for k, n in counts])
    ends = np.array([wilson_interval(k, n, confidence_level=confidence_level) for k, n in counts])
    low = rates.mean() - np.hypot(*(rates - ends[:, 0])) / 2
    high = rates.mean() + np.hypot(*(ends[:, 1] - rates)) / 2
    return float(low), float(high)


def _exact_mean_interval(counts, confidence_level):
    # In a mean the two deviates add up to one normal deviate, whose quantile is the radius.
    errors = pair_errors(norm.ppf((1 + confidence_level) / 2))
    low = sum(rate_low(k, n, error) for (k, n), error in zip(counts, errors, strict=True))
    high = sum(rate_high(k, n, error) for (k, n), error in zip(counts, errors, strict=True))
    return float(low.min() / 2), float(high.max() / 2)

"""Confidence intervals for the scores of an attack."""

from functools import partial
from numbers import Integral, Real

import numpy as np
from scipy.special import expit, logit
from scipy.stats import norm, rankdata
from sklearn.metrics import roc_auc_score

from skdiffence.metrics._scores import (
    _RATE_TOLERANCE,
    attack_accuracy_score,
    check_membership,
    tnr_at_fnr_score,
    tpr_at_fpr_score,
)
from skdiffence.utils._random import draw_seed
from skdiffence.utils._sklearn import Interval, validate_params

# Resamples are made in chunks of about this many counts, so that memory does not grow with their number.
_CHUNK = 2_000_000
# DeLong's interval alone covers too little below this many rows of a side.
_FEW = 30
_CONFIDENCE = Interval(Real, 0, 1, closed="neither")


# Each takes, for every resample, how many members and non-members there are at each distinct score, in
# falling order of the score, of shape (n_resamples, n_scores).
def _auc_of_counts(members, others, levels):
    del levels
    below = others[:, ::-1].cumsum(axis=1)[:, ::-1] - others
    pairs = (members * (below + others / 2)).sum(axis=1)
    return pairs / (members.sum(axis=1) * others.sum(axis=1))


def _rates(counts):
    # A leading zero: a threshold above all scores accuses nobody.
    found = np.pad(counts.cumsum(axis=1), ((0, 0), (1, 0)))
    return found / found[:, -1:]


def _tpr_of_counts(members, others, levels, *, max_fpr):
    del levels
    allowed = _rates(others) <= max_fpr + _RATE_TOLERANCE
    return np.where(allowed, _rates(members), 0.0).max(axis=1)


def _tnr_of_counts(members, others, levels, *, max_fnr):
    return _tpr_of_counts(others[:, ::-1], members[:, ::-1], levels, max_fpr=max_fnr)


def _accuracy_of_counts(members, others, levels, *, threshold=0.5):
    gain = _rates(members) - _rates(others)
    best = gain.max(axis=1) if threshold == "oracle" else gain[:, np.count_nonzero(levels >= threshold)]
    return (best + 1) / 2


_OF_COUNTS = {
    roc_auc_score: _auc_of_counts,
    tpr_at_fpr_score: _tpr_of_counts,
    tnr_at_fnr_score: _tnr_of_counts,
    attack_accuracy_score: _accuracy_of_counts,
}


def _resample_counts(is_member, score, metric, keywords, n_resamples, rng):
    levels, group = np.unique(-score, return_inverse=True)
    members = np.bincount(group[is_member], minlength=len(levels))
    others = np.bincount(group[~is_member], minlength=len(levels))

    def values(size):
        # Drawing rows with replacement is drawing these counts from a multinomial distribution.
        draws = (rng.multinomial(side.sum(), side / side.sum(), size=size) for side in (members, others))
        return _OF_COUNTS[metric](*draws, -levels, **keywords)

    chunk = max(1, _CHUNK // len(levels))
    sizes = [min(chunk, n_resamples - start) for start in range(0, n_resamples, chunk)]
    return np.concatenate([values(size) for size in sizes])


def _resample_rows(is_member, score, metric, n_resamples, rng):
    sides = np.flatnonzero(is_member), np.flatnonzero(~is_member)

    def value():
        rows = np.concatenate([rng.choice(side, size=len(side)) for side in sides])
        return metric(is_member[rows], score[rows])

    return np.array([value() for _ in range(n_resamples)])


@validate_params(
    {
        "y_true": ["array-like"],
        "y_score": ["array-like"],
        "metric": [callable],
        "confidence": [_CONFIDENCE],
        "n_resamples": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=False,
)
def bootstrap_interval(y_true, y_score, metric, *, confidence=0.95, n_resamples=1000, random_state=None):
    """Return a bootstrap percentile interval of an attack's score.

    Members and non-members are resampled apart, each side to its own size.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,), dtype bool
        True for members.
    y_score : array-like of shape (n_samples,)
        Higher means more likely a member.
    metric : callable
        Called as ``metric(y_true, y_score)``. :func:`sklearn.metrics.roc_auc_score`,
        :func:`tpr_at_fpr_score`, :func:`tnr_at_fnr_score` and :func:`attack_accuracy_score`, or a
        :func:`functools.partial` of them with keywords, are computed for all resamples at once; any other
        is called for each.
    confidence : float, default=0.95
        Nominal coverage.
    n_resamples : int, default=1000
        Number of resamples.
    random_state : int, RandomState instance or None, default=None
        Seeds the resampling.

    Returns
    -------
    low, high : float
        Ends of the interval.

    Raises
    ------
    ValueError
        If a side is empty, lengths differ or scores are not finite.

    Notes
    -----
    The rows are taken as independent: where several models or several queries of one row are pooled, the
    interval is too narrow. A rate of exactly 0 or 1 has a bootstrap interval of width zero, and one of a
    few rows is too narrow: the true positive rate is to be read at a false positive rate of at least
    10 / n_non_members.

    Examples
    --------
    >>> import numpy as np
    >>> from functools import partial
    >>> from skdiffence.metrics import bootstrap_interval, tpr_at_fpr_score
    >>> rng = np.random.default_rng(0)
    >>> is_member = np.repeat([True, False], 500)
    >>> score = rng.normal(size=1000) + is_member
    >>> metric = partial(tpr_at_fpr_score, max_fpr=0.1)
    >>> low, high = bootstrap_interval(is_member, score, metric, random_state=0)
    >>> bool(low < metric(is_member, score) < high)
    True
    """
    is_member, score = check_membership(y_true, y_score)
    rng = np.random.default_rng(draw_seed(random_state))
    function, keywords = metric, {}
    if isinstance(metric, partial) and not metric.args:
        function, keywords = metric.func, metric.keywords
    metric(is_member, score)  # raises for keywords out of range, before any resample
    if _is_vectorised(function, keywords):
        values = _resample_counts(is_member, score, function, keywords, n_resamples, rng)
    else:
        values = _resample_rows(is_member, score, metric, n_resamples, rng)
    low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def _is_vectorised(function, keywords):
    # A partial AUC (roc_auc_score with max_fpr) has no form in counts here.
    return function in _OF_COUNTS and not (function is roc_auc_score and keywords)


@validate_params(
    {"y_true": ["array-like"], "y_score": ["array-like"], "confidence": [_CONFIDENCE]},
    prefer_skip_nested_validation=True,
)
def auc_interval(y_true, y_score, *, confidence=0.95):
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
    confidence : float, default=0.95
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
    z = norm.ppf((1 + confidence) / 2)
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
        "confidence": [_CONFIDENCE],
    },
    prefer_skip_nested_validation=True,
)
def wilson_interval(successes, n, *, confidence=0.95):
    """Return Wilson's score interval of a rate.

    Parameters
    ----------
    successes : int
        Number of successes.
    n : int
        Number of rows, at least 1.
    confidence : float, default=0.95
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
    z, rate = norm.ppf((1 + confidence) / 2), successes / n
    centre = rate + z**2 / (2 * n)
    half = z * np.sqrt(rate * (1 - rate) / n + z**2 / (4 * n**2))
    low, high = (centre - half) / (1 + z**2 / n), (centre + half) / (1 + z**2 / n)
    # Rounding must not push the interval of 0 or n successes off the rate itself.
    return float(min(max(low, 0.0), rate)), float(max(min(high, 1.0), rate))


@validate_params(
    {"y_true": ["array-like"], "y_pred": ["array-like"], "confidence": [_CONFIDENCE]},
    prefer_skip_nested_validation=True,
)
def accuracy_interval(y_true, y_pred, *, confidence=0.95):
    """Return a confidence interval of an attack's balanced accuracy, without resampling.

    Wilson's intervals of the true positive and the true negative rate, added by Newcombe's square-and-add
    rule.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,), dtype bool
        True for members.
    y_pred : array-like of shape (n_samples,), dtype bool
        True for rows that the attack calls members.
    confidence : float, default=0.95
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
    hits = [(right[side].sum(), side.sum()) for side in (is_member, ~is_member)]
    rates = np.array([k / n for k, n in hits])
    ends = np.array([wilson_interval(k, n, confidence=confidence) for k, n in hits])
    low = rates.mean() - np.hypot(*(rates - ends[:, 0])) / 2
    high = rates.mean() + np.hypot(*(ends[:, 1] - rates)) / 2
    return float(low), float(high)

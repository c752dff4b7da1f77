"""The bootstrap interval of any score of an attack, over independent rows."""

from numbers import Integral

import numpy as np

from skdiffence.metrics._counts import chunk_sizes, counting_form
from skdiffence.metrics._exact import CONFIDENCE_LEVEL
from skdiffence.metrics._scores import check_membership
from skdiffence.utils._random import draw_seed
from skdiffence.utils._sklearn import Interval, validate_params


def _resample_counts(is_member, score, form, n_resamples, rng):
    levels, group = np.unique(-score, return_inverse=True)
    members = np.bincount(group[is_member], minlength=len(levels))
    others = np.bincount(group[~is_member], minlength=len(levels))

    def values(size):
        # Drawing rows with replacement is drawing these counts from a multinomial distribution.
        draws = (rng.multinomial(side.sum(), side / side.sum(), size=size) for side in (members, others))
        return form(*draws, -levels)

    return np.concatenate([values(size) for size in chunk_sizes(n_resamples, len(levels))])


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
        "confidence_level": [CONFIDENCE_LEVEL],
        "n_resamples": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=False,
)
def bootstrap_interval(y_true, y_score, metric, *, confidence_level=0.95, n_resamples=1000, random_state=None):
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
    confidence_level : float, default=0.95
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
    interval is too narrow, and :func:`cluster_bootstrap_interval` is the one to ask. A rate of exactly 0 or 1
    has a bootstrap interval of width zero, and one of a few rows is too narrow: for the true positive rate at a
    false positive rate, :func:`tpr_at_fpr_interval` needs no resamples and keeps its coverage there.

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
    metric(is_member, score)  # raises for keywords out of range, before any resample
    form = counting_form(metric)
    if form is None:
        values = _resample_rows(is_member, score, metric, n_resamples, rng)
    else:
        values = _resample_counts(is_member, score, form, n_resamples, rng)
    low, high = np.quantile(values, [(1 - confidence_level) / 2, (1 + confidence_level) / 2])
    return float(low), float(high)

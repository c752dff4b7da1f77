"""The best of several attacks, compared with its distribution under permuted memberships."""

from numbers import Integral, Real

import numpy as np
from scipy.stats import rankdata
from sklearn.metrics import roc_auc_score
from sklearn.utils import Bunch

from skdiffence.metrics._checks import check_membership
from skdiffence.metrics._counts import falling_levels, function_of_counts, in_chunks, plain_metric
from skdiffence.utils._random import draw_seed, mix_seed
from skdiffence.utils._sklearn import Interval, validate_params
from skdiffence.utils._validation import as_floats

# Sums of the same numbers in another order differ by rounding errors, and must count as equal.
_ROUNDING = 1e-12


# Each function takes memberships of shape (n_permutations, n_samples) and scores of shape (n_samples, n_attacks), and
# returns the metric of shape (n_permutations, n_attacks).
def _two_sided_aucs(memberships, scores, metric):
    del metric
    # An AUC is a function of the sum of the members' ranks.
    m, n = memberships[0].sum(), (~memberships[0]).sum()
    auc = (memberships @ rankdata(scores, axis=0) - m * (m + 1) / 2) / (m * n)
    return np.maximum(auc, 1 - auc)


def _from_counts(memberships, scores, metric):
    def values(score):
        order, starts, levels = falling_levels(score)
        members = np.add.reduceat(memberships[:, order].astype(np.int64), starts, axis=1)
        return function_of_counts(metric)(members, np.diff(starts, append=len(score)) - members, levels)

    return np.column_stack([values(score) for score in scores.T])


def _by_rows(memberships, scores, metric):
    return np.array([[metric(is_member, score) for score in scores.T] for is_member in memberships])


def _compute(metric):
    if metric is roc_auc_score or plain_metric(metric) == (roc_auc_score, {}):
        return _two_sided_aucs
    return _by_rows if function_of_counts(metric) is None else _from_counts


def _check_scores(y_true, y_scores):
    scores = as_floats(y_scores, "y_scores")
    if scores.ndim != 2 or not scores.shape[1]:
        raise ValueError(f"y_scores must have one column for each attack. Got shape {scores.shape}.")
    checked = [check_membership(y_true, score) for score in scores.T]
    return checked[0][0], scores


@validate_params(
    {
        "y_true": ["array-like"],
        "y_scores": ["array-like"],
        "metric": [callable, None],
        "quantile": [Interval(Real, 0, 1, closed="neither")],
        "n_permutations": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=False,
)
def max_null_quantile(y_true, y_scores, *, metric=None, quantile=0.95, n_permutations=1000, random_state=None):
    """Compute the quantile of the best of several attacks under the null hypothesis that none of them works.

    The best of many random guesses scores above chance. The null distribution of the maximum comes from permuted
    memberships, with the same permutation for all attacks, so attacks with similar scores count for little more than
    one.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,), dtype bool
        True for members.
    y_scores : array-like of shape (n_samples, n_attacks)
        One column for each attack; higher means more likely a member.
    metric : callable, default=None
        Called as ``metric(y_true, y_score)``. Higher means a better attack. None is
        :func:`sklearn.metrics.roc_auc_score`, where an area a counts as ``max(a, 1 - a)``. The metrics that
        :func:`bootstrap_interval` names are computed for all permutations at once. Any other metric is called for
        each permutation and attack.
    quantile : float, default=0.95
        The quantile of the maximum over attacks.
    n_permutations : int, default=1000
        Number of permutations.
    random_state : int, RandomState instance or None, default=None
        Seeds the permutations.

    Returns
    -------
    result : Bunch
        With the attributes

        - ``observed``: the maximum over attacks
        - ``quantile``: the quantile of the maximum under permuted memberships
        - ``p_value``: the share of permutations, the observed one included, whose maximum is at least the observed
          one; at least ``1 / (n_permutations + 1)``

    Raises
    ------
    ValueError
        If a side is empty, lengths differ, scores are masked or not finite, or ``y_scores`` is not a two-dimensional
        array of numbers.

    Notes
    -----
    Attacks must not be fitted to the memberships of the same rows, nor left out because of their scores on them.

    References
    ----------
    Westfall and Young, "Resampling-based multiple testing", Wiley, 1993 (the maximum statistic).

    Phipson and Smyth, "Permutation p-values should never be zero", Statistical Applications in Genetics and
    Molecular Biology 9, 2010.

    Examples
    --------
    >>> import numpy as np
    >>> from skdiffence.metrics import max_null_quantile
    >>> rng = np.random.default_rng(0)
    >>> is_member = np.repeat([True, False], 100)
    >>> result = max_null_quantile(is_member, rng.normal(size=(200, 20)), random_state=0)
    >>> bool(0.5 < result.observed < result.quantile < 0.7)
    True
    """
    is_member, scores = _check_scores(y_true, y_scores)
    metric = roc_auc_score if metric is None else metric
    metric(is_member, scores[:, 0])  # raises for keywords out of range, before any permutation
    compute = _compute(metric)
    observed = compute(is_member[None], scores, metric).max()
    # Rows are sorted so that the result does not depend on their order. The seed depends on the scores, so that audits
    # with the same random_state draw independent permutations.
    scores, in_order = scores[np.lexsort(scores.T)] + 0.0, np.sort(is_member)
    rng = np.random.default_rng(mix_seed(draw_seed(random_state), scores.tobytes()))

    def maxima(size):
        permuted = rng.permuted(np.tile(in_order, (size, 1)), axis=1)
        return compute(permuted, scores, metric).max(axis=1)

    null = in_chunks(maxima, n_permutations, len(is_member))
    return Bunch(
        observed=float(observed),
        quantile=float(np.quantile(null, quantile, method="inverted_cdf")),
        p_value=float((1 + np.count_nonzero(null >= observed - _ROUNDING)) / (1 + n_permutations)),
    )

"""Scores of an attack within groups of rows."""

from functools import partial

import numpy as np
from scipy.stats import rankdata
from sklearn.metrics import roc_auc_score
from sklearn.utils import Bunch

from skdiffence.metrics._bootstrap import bootstrap_interval
from skdiffence.metrics._checks import RESAMPLING, SCORES, check_groups, check_membership
from skdiffence.metrics._counts import look_up, plain_metric
from skdiffence.metrics._intervals import accuracy_interval, auc_interval
from skdiffence.metrics._operating_point import tnr_at_fnr_interval, tpr_at_fpr_interval
from skdiffence.metrics._scores import attack_accuracy_score, tnr_at_fnr_score, tpr_at_fpr_score
from skdiffence.utils._random import draw_seed, mix_seed
from skdiffence.utils._sklearn import validate_params


def _accuracy_interval(is_member, score, *, threshold=0.5, confidence_level):
    return accuracy_interval(is_member, score >= threshold, confidence_level=confidence_level)


_INTERVALS = {
    attack_accuracy_score: _accuracy_interval,
    roc_auc_score: auc_interval,
    tnr_at_fnr_score: tnr_at_fnr_interval,
    tpr_at_fpr_score: tpr_at_fpr_interval,
}


def _interval_without_resampling(metric):
    """Return the interval function of a metric, or None if it has to be bootstrapped."""
    function, keywords = plain_metric(metric)
    # The oracle's threshold depends on the rows, and DeLong's variance is not that of a partial AUC.
    if keywords.get("threshold") == "oracle" or (function is roc_auc_score and keywords):
        return None
    interval = look_up(_INTERVALS, function)
    return interval and partial(interval, **keywords)


@validate_params(
    SCORES | RESAMPLING | {"groups": ["array-like"], "metric": [callable]},
    prefer_skip_nested_validation=False,
)
def group_scores(y_true, y_score, groups, metric, *, confidence_level=0.95, n_resamples=1000, random_state=None):
    """Compute a score of an attack, with its interval, within each group of rows, such as each class.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,), dtype bool
        True for members.
    y_score : array-like of shape (n_samples,)
        Higher means more likely a member.
    groups : array-like of shape (n_samples,)
        The group of each row, as numbers or text.
    metric : callable
        Called as ``metric(y_true, y_score)``. The interval is computed by

        - :func:`auc_interval` for :func:`sklearn.metrics.roc_auc_score`
        - :func:`tpr_at_fpr_interval` for :func:`tpr_at_fpr_score`
        - :func:`tnr_at_fnr_interval` for :func:`tnr_at_fnr_score`
        - :func:`accuracy_interval` for :func:`attack_accuracy_score` at a fixed threshold
        - :func:`bootstrap_interval` for any other metric

        The metrics named may be a :func:`functools.partial` with keywords.
    confidence_level : float, default=0.95
        Nominal coverage of each interval. With ``1 - 0.05 / n_groups`` all intervals together cover 95 %.
    n_resamples : int, default=1000
        Number of resamples of a bootstrap.
    random_state : int, RandomState instance or None, default=None
        Seeds the bootstrap. Each group has a stream of its own.

    Returns
    -------
    scores : dict
        For each group, in sorted order, a Bunch of ``value``, ``low``, ``high``, ``n_members`` and
        ``n_non_members``. The first three are NaN for a group without members or without non-members.

    Raises
    ------
    ValueError
        If a side is empty in all groups, lengths differ, scores are not finite, a group is masked, NaN, NA or None,
        or text and numbers are mixed.

    Examples
    --------
    >>> from sklearn.metrics import roc_auc_score
    >>> from skdiffence.metrics import group_scores
    >>> y_true, y_score = [1, 1, 0, 0, 1, 0, 1], [0.9, 0.8, 0.2, 0.4, 0.3, 0.6, 0.7]
    >>> scores = group_scores(y_true, y_score, ["cat", "cat", "cat", "cat", "dog", "dog", "eel"], roc_auc_score)
    >>> {group: (score.value, score.n_members) for group, score in scores.items()}
    {'cat': (1.0, 2), 'dog': (0.0, 1), 'eel': (nan, 1)}
    """
    is_member, score = check_membership(y_true, y_score)
    labels, codes = check_groups(groups, len(score), "groups")
    seed = draw_seed(random_state)
    metric(is_member, score)  # raises for keywords out of range, even if no group has both sides

    def of_group(place):
        rows = codes == place
        interval = _interval_without_resampling(metric)
        if interval is None:
            # The interval of a group must not depend on other groups.
            own = mix_seed(seed, str(labels[place])) % 2**32
            interval = partial(bootstrap_interval, metric=metric, n_resamples=n_resamples, random_state=own)
        return _score_of(is_member[rows], score[rows], metric, partial(interval, confidence_level=confidence_level))

    return {label: of_group(place) for place, label in enumerate(labels.tolist())}


def _score_of(is_member, score, metric, interval):
    value, ends = np.nan, (np.nan, np.nan)
    if is_member.any() and not is_member.all():
        # scikit-learn's own function takes several times as long as the interval, which shows with hundreds of groups.
        value = _auc(is_member, score) if metric is roc_auc_score else metric(is_member, score)
        ends = interval(is_member, score)
    return Bunch(
        value=float(value),
        low=ends[0],
        high=ends[1],
        n_members=int(is_member.sum()),
        n_non_members=int((~is_member).sum()),
    )


def _auc(is_member, score):
    """Return the area under the ROC curve by Mann and Whitney's statistic."""
    n_members, n_others = is_member.sum(), (~is_member).sum()
    return (rankdata(score)[is_member].sum() - n_members * (n_members + 1) / 2) / (n_members * n_others)

"""Scores of an attack, group by group."""

from functools import partial
from numbers import Integral

import numpy as np
from sklearn.metrics import roc_auc_score
from sklearn.utils import Bunch

from skdiffence.metrics._bootstrap import bootstrap_interval
from skdiffence.metrics._checks import check_groups
from skdiffence.metrics._counts import plain_metric
from skdiffence.metrics._exact import CONFIDENCE_LEVEL
from skdiffence.metrics._intervals import accuracy_interval, auc_interval
from skdiffence.metrics._operating_point import tnr_at_fnr_interval, tpr_at_fpr_interval
from skdiffence.metrics._scores import attack_accuracy_score, check_membership, tnr_at_fnr_score, tpr_at_fpr_score
from skdiffence.utils._random import draw_seed, mix_seed
from skdiffence.utils._sklearn import Interval, validate_params


def _accuracy_interval(is_member, score, *, threshold=0.5, confidence_level):
    return accuracy_interval(is_member, score >= threshold, confidence_level=confidence_level)


_INTERVALS = {
    attack_accuracy_score: _accuracy_interval,
    roc_auc_score: auc_interval,
    tnr_at_fnr_score: tnr_at_fnr_interval,
    tpr_at_fpr_score: tpr_at_fpr_interval,
}


def _interval_without_resampling(metric):
    """Return the interval that belongs to a metric, or None if it has to be bootstrapped."""
    function, keywords = plain_metric(metric)
    # The oracle's threshold is itself chosen on the rows, and a partial AUC is not DeLong's.
    if keywords.get("threshold") == "oracle" or (function is roc_auc_score and keywords):
        return None
    interval = _INTERVALS.get(function)
    return interval and partial(interval, **keywords)


@validate_params(
    {
        "y_true": ["array-like"],
        "y_score": ["array-like"],
        "groups": ["array-like"],
        "metric": [callable],
        "confidence_level": [CONFIDENCE_LEVEL],
        "n_resamples": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=False,
)
def group_scores(y_true, y_score, groups, metric, *, confidence_level=0.95, n_resamples=1000, random_state=None):
    """Return an attack's score within each group of rows, such as each class, with its interval.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,), dtype bool
        True for members.
    y_score : array-like of shape (n_samples,)
        Higher means more likely a member.
    groups : array-like of shape (n_samples,)
        Which group each row is in: numbers or text.
    metric : callable
        Called as ``metric(y_true, y_score)``. The interval of :func:`sklearn.metrics.roc_auc_score` is that of
        :func:`auc_interval`, of :func:`tpr_at_fpr_score` that of :func:`tpr_at_fpr_interval`, of
        :func:`tnr_at_fnr_score` that of :func:`tnr_at_fnr_interval` and of :func:`attack_accuracy_score` at a
        fixed threshold that of :func:`accuracy_interval`, each also as a :func:`functools.partial`; of any other
        metric it is that of :func:`bootstrap_interval`.
    confidence_level : float, default=0.95
        Nominal coverage of each interval. Of many groups, some are missed by theirs: ``1 - 0.05 / n_groups``
        makes all hold together.
    n_resamples : int, default=1000
        Number of resamples of a bootstrap.
    random_state : int, RandomState instance or None, default=None
        Seeds a bootstrap, of each group apart.

    Returns
    -------
    scores : dict
        For each group, in their order, a Bunch of ``value``, ``low``, ``high``, ``n_members`` and
        ``n_non_members``. The first three are NaN where one side is missing.

    Raises
    ------
    ValueError
        If a side is empty in all groups, lengths differ, scores are not finite, or a group is NaN or None.

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
            # A group's interval must not change with the other groups.
            own = mix_seed(seed, str(labels[place])) % 2**32
            interval = partial(bootstrap_interval, metric=metric, n_resamples=n_resamples, random_state=own)
        return _score_of(is_member[rows], score[rows], metric, partial(interval, confidence_level=confidence_level))

    return {label: of_group(place) for place, label in enumerate(labels.tolist())}


def _score_of(is_member, score, metric, interval):
    value, ends = np.nan, (np.nan, np.nan)
    if is_member.any() and not is_member.all():
        value, ends = metric(is_member, score), interval(is_member, score)
    return Bunch(
        value=float(value),
        low=ends[0],
        high=ends[1],
        n_members=int(is_member.sum()),
        n_non_members=int((~is_member).sum()),
    )

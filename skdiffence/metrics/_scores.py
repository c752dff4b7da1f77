"""Scores of an attack, and what a classifier's confidence is worth to those who use it."""

from numbers import Integral, Real

import numpy as np
from sklearn.metrics import roc_auc_score, roc_curve

from skdiffence.metrics._signals import check_labels_and_proba
from skdiffence.utils._sklearn import Interval, StrOptions, validate_params
from skdiffence.utils._validation import check_is_member

# Rates are counts over n: a max_fpr written as 0.1 must allow 3 of 30, whatever 0.1 is in binary.
_RATE_TOLERANCE = 1e-9


def check_membership(y_true, y_score):
    """Return validated memberships and scores.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Booleans, or 0 and 1.
    y_score : array-like of shape (n_samples,)
        Finite scores.

    Returns
    -------
    is_member : ndarray of shape (n_samples,), dtype bool
    y_score : ndarray of shape (n_samples,), dtype float64

    Raises
    ------
    ValueError
        If lengths differ, a side is empty, or a score is not finite.
    """
    score = np.asarray(y_score, dtype=np.float64)
    if score.ndim != 1 or score.shape != np.shape(y_true):
        raise ValueError(
            f"y_true and y_score must be one-dimensional and equally long. Got {np.shape(y_true)} and {score.shape}."
        )
    is_member = check_is_member(y_true, len(score), name="y_true", both_sides=True)
    if not np.isfinite(score).all():
        raise ValueError(f"y_score must be finite. Got {(~np.isfinite(score)).sum()} values that are not.")
    return is_member, score


@validate_params(
    {"y_true": ["array-like"], "y_score": ["array-like"], "max_fpr": [Interval(Real, 0, 1, closed="both")]},
    prefer_skip_nested_validation=True,
)
def tpr_at_fpr_score(y_true, y_score, *, max_fpr):
    """Return the share of members found while at most ``max_fpr`` of the non-members are accused.

    Rows with equal scores are accused together, as by one threshold. With n non-members, a ``max_fpr``
    below 10 / n rests on fewer than ten rows: the number is then mostly noise.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,), dtype bool
        True for members.
    y_score : array-like of shape (n_samples,)
        Higher means more likely a member.
    max_fpr : float
        Highest false positive rate allowed, in [0, 1].

    Returns
    -------
    tpr : float
        The largest true positive rate whose achieved false positive rate is at most ``max_fpr``.

    Raises
    ------
    ValueError
        If a side is empty, lengths differ or scores are not finite.

    Examples
    --------
    >>> from skdiffence.metrics import tpr_at_fpr_score
    >>> tpr_at_fpr_score([1, 1, 1, 0, 0], [0.9, 0.8, 0.3, 0.5, 0.1], max_fpr=0.2)
    0.6666666666666666
    """
    is_member, score = check_membership(y_true, y_score)
    fpr, tpr, _ = roc_curve(is_member, score, drop_intermediate=False)
    return float(tpr[fpr <= max_fpr + _RATE_TOLERANCE].max())


@validate_params(
    {"y_true": ["array-like"], "y_score": ["array-like"], "max_fnr": [Interval(Real, 0, 1, closed="both")]},
    prefer_skip_nested_validation=True,
)
def tnr_at_fnr_score(y_true, y_score, *, max_fnr):
    """Return the share of non-members ruled out while at most ``max_fnr`` of the members are.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,), dtype bool
        True for members.
    y_score : array-like of shape (n_samples,)
        Higher means more likely a member.
    max_fnr : float
        Highest false negative rate allowed, in [0, 1].

    Returns
    -------
    tnr : float
        The largest true negative rate whose achieved false negative rate is at most ``max_fnr``.

    Raises
    ------
    ValueError
        If a side is empty, lengths differ or scores are not finite.

    Examples
    --------
    >>> from skdiffence.metrics import tnr_at_fnr_score
    >>> tnr_at_fnr_score([1, 1, 0, 0], [0.9, 0.4, 0.5, 0.1], max_fnr=0)
    0.5
    """
    is_member, score = check_membership(y_true, y_score)
    return tpr_at_fpr_score(~is_member, -score, max_fpr=max_fnr)


@validate_params(
    {
        "y_true": ["array-like"],
        "y_score": ["array-like"],
        "threshold": [Interval(Real, None, None, closed="both"), StrOptions({"oracle"})],
    },
    prefer_skip_nested_validation=True,
)
def attack_accuracy_score(y_true, y_score, *, threshold=0.5):
    """Return the balanced accuracy of an attack: the mean of its true positive and true negative rates.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,), dtype bool
        True for members.
    y_score : array-like of shape (n_samples,)
        Higher means more likely a member. Predictions, True or False, go with the default threshold.
    threshold : float or "oracle", default=0.5
        Rows that score at least this are called members. "oracle" takes the threshold that is best on
        these very rows, as many papers do: an upper bound that no attacker reaches.

    Returns
    -------
    accuracy : float
        0.5 is chance.

    Raises
    ------
    ValueError
        If a side is empty, lengths differ or scores are not finite.

    Examples
    --------
    >>> from skdiffence.metrics import attack_accuracy_score
    >>> attack_accuracy_score([1, 1, 0, 0], [0.9, 0.4, 0.2, 0.1])
    0.75
    >>> attack_accuracy_score([1, 1, 0, 0], [0.9, 0.4, 0.2, 0.1], threshold="oracle")
    1.0
    """
    is_member, score = check_membership(y_true, y_score)
    if threshold == "oracle":
        fpr, tpr, _ = roc_curve(is_member, score, drop_intermediate=False)
        return float((tpr - fpr).max() + 1) / 2
    accused = score >= threshold
    return float(accused[is_member].mean() + (~accused[~is_member]).mean()) / 2


@validate_params(
    {
        "y_true": ["array-like"],
        "y_proba": ["array-like"],
        "labels": ["array-like", None],
        "n_bins": [Interval(Integral, 1, None, closed="left")],
    },
    prefer_skip_nested_validation=True,
)
def expected_calibration_error(y_true, y_proba, *, labels=None, n_bins=15):
    """Return by how much the confidence of an answer misses its accuracy, on average over rows.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels. Without ``labels``, column numbers, -1 for a class without a column.
    y_proba : array-like of shape (n_samples, n_classes)
        Class probabilities.
    labels : array-like of shape (n_classes,), default=None
        The label of each column, such as ``classes_`` of a classifier.
    n_bins : int, default=15
        Number of equally wide bins of confidence.

    Returns
    -------
    error : float
        In [0, 1]; 0 is perfectly calibrated.

    Raises
    ------
    ValueError
        If there are no rows, ``y_proba`` does not hold probabilities, or ``y_true`` does not fit its columns.

    References
    ----------
    Guo et al., "On calibration of modern neural networks", ICML 2017, equation 3.

    Examples
    --------
    >>> from skdiffence.metrics import expected_calibration_error
    >>> expected_calibration_error([0, 1], [[0.75, 0.25], [0.75, 0.25]])
    0.25
    """
    confidence, correct = _confidence_and_correctness(y_true, y_proba, labels)
    # Bins are open at the left, closed at the right, as in the paper.
    bins = np.clip(np.ceil(confidence * n_bins).astype(int) - 1, 0, n_bins - 1)
    gaps = np.bincount(bins, weights=correct - confidence, minlength=n_bins)
    return float(np.abs(gaps).sum() / len(confidence))


@validate_params(
    {"y_true": ["array-like"], "y_proba": ["array-like"], "labels": ["array-like", None]},
    prefer_skip_nested_validation=True,
)
def failure_detection_auc(y_true, y_proba, *, labels=None):
    """Return how well confidence tells right answers from wrong ones.

    This is what a defense that flattens confidence takes away from honest users. It is to be measured on
    rows that were not trained on.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels. Without ``labels``, column numbers, -1 for a class without a column.
    y_proba : array-like of shape (n_samples, n_classes)
        Class probabilities.
    labels : array-like of shape (n_classes,), default=None
        The label of each column, such as ``classes_`` of a classifier.

    Returns
    -------
    auc : float
        Area under the ROC curve of the highest probability, right answers against wrong ones; 0.5 says
        nothing. NaN if all answers are right or all wrong.

    Raises
    ------
    ValueError
        If there are no rows, ``y_proba`` does not hold probabilities, or ``y_true`` does not fit its columns.

    Examples
    --------
    >>> from skdiffence.metrics import failure_detection_auc
    >>> failure_detection_auc([0, 1], [[0.9, 0.1], [0.6, 0.4]])
    1.0
    """
    confidence, correct = _confidence_and_correctness(y_true, y_proba, labels)
    if correct.all() or not correct.any():
        return float("nan")
    return float(roc_auc_score(correct, confidence))


def _confidence_and_correctness(y_true, y_proba, labels):
    columns, y_proba = check_labels_and_proba(y_true, y_proba, labels)
    if not len(columns):
        raise ValueError("y_proba must hold at least one row. Got none.")
    return y_proba.max(axis=1), y_proba.argmax(axis=1) == columns

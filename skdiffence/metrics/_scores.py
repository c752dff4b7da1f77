"""Scores of an attack, and of the confidence of the attacked classifier."""

from numbers import Integral, Real

import numpy as np
from sklearn.metrics import roc_auc_score, roc_curve

from skdiffence.metrics._checks import RATE, RATE_TOLERANCE, SCORES, check_membership
from skdiffence.metrics._signals import check_labels_and_proba
from skdiffence.utils._sklearn import Interval, StrOptions, validate_params


@validate_params(SCORES | {"max_fpr": RATE}, prefer_skip_nested_validation=True)
def tpr_at_fpr_score(y_true, y_score, *, max_fpr):
    """Compute the true positive rate of an attack at a false positive rate.

    Rows with equal scores are called members together, as by one threshold. With n non-members, a ``max_fpr``
    below 10 / n rests on fewer than ten rows, and the score is mostly noise.

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
    return float(tpr[fpr <= max_fpr + RATE_TOLERANCE].max())


@validate_params(SCORES | {"max_fnr": RATE}, prefer_skip_nested_validation=True)
def tnr_at_fnr_score(y_true, y_score, *, max_fnr):
    """Compute the true negative rate of an attack at a false negative rate.

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
    SCORES | {"threshold": [Interval(Real, None, None, closed="both"), StrOptions({"oracle"})]},
    prefer_skip_nested_validation=True,
)
def attack_accuracy_score(y_true, y_score, *, threshold=0.5):
    """Compute the balanced accuracy of an attack, the mean of its true positive and true negative rates.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,), dtype bool
        True for members.
    y_score : array-like of shape (n_samples,)
        Higher means more likely a member. Predictions, True or False, suit the default threshold.
    threshold : float or "oracle", default=0.5
        Rows that score at least this are called members. "oracle" takes the best threshold on these rows, as many
        papers do. It is an upper bound that no attacker can count on.

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
    called = score >= threshold
    return float(called[is_member].mean() + (~called[~is_member]).mean()) / 2


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
    """Compute the expected calibration error, the mean gap between confidence and accuracy.

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
    # Bins are open on the left and closed on the right, as in the paper.
    bins = np.clip(np.ceil(confidence * n_bins).astype(int) - 1, 0, n_bins - 1)
    gaps = np.bincount(bins, weights=correct - confidence, minlength=n_bins)
    return float(np.abs(gaps).sum() / len(confidence))


@validate_params(
    {"y_true": ["array-like"], "y_proba": ["array-like"], "labels": ["array-like", None]},
    prefer_skip_nested_validation=True,
)
def failure_detection_auc(y_true, y_proba, *, labels=None):
    """Compute the area under the ROC curve of confidence as a score of correct predictions.

    A defense that flattens confidence lowers it, and so costs honest users. Measure it on rows that the classifier
    was not trained on.

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
        Area under the ROC curve of the highest probability, correct predictions against wrong ones. 0.5 is chance.
        NaN if all predictions are correct or all are wrong.

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

"""Membership signals, scores of attacks and their confidence intervals, as functions of arrays."""

from skdiffence.metrics._bootstrap import bootstrap_interval, cluster_bootstrap_interval
from skdiffence.metrics._epsilon import epsilon_lower_bound
from skdiffence.metrics._groups import group_scores
from skdiffence.metrics._intervals import (
    accuracy_interval,
    auc_difference_interval,
    auc_interval,
    wilson_interval,
)
from skdiffence.metrics._multiple_attacks import max_null_quantile
from skdiffence.metrics._operating_point import operating_point, tnr_at_fnr_interval, tpr_at_fpr_interval
from skdiffence.metrics._per_row import per_row_auc
from skdiffence.metrics._scores import (
    attack_accuracy_score,
    expected_calibration_error,
    failure_detection_auc,
    tnr_at_fnr_score,
    tpr_at_fpr_score,
)
from skdiffence.metrics._signals import (
    confidence_signal,
    correctness_signal,
    entropy_signal,
    hinge_signal,
    label_columns,
    logit_signal,
    loss_signal,
    modified_entropy_signal,
)

__all__ = [
    "accuracy_interval",
    "attack_accuracy_score",
    "auc_difference_interval",
    "auc_interval",
    "bootstrap_interval",
    "cluster_bootstrap_interval",
    "confidence_signal",
    "correctness_signal",
    "entropy_signal",
    "epsilon_lower_bound",
    "expected_calibration_error",
    "failure_detection_auc",
    "group_scores",
    "hinge_signal",
    "label_columns",
    "logit_signal",
    "loss_signal",
    "max_null_quantile",
    "modified_entropy_signal",
    "operating_point",
    "per_row_auc",
    "tnr_at_fnr_interval",
    "tnr_at_fnr_score",
    "tpr_at_fpr_interval",
    "tpr_at_fpr_score",
    "wilson_interval",
]

"""Membership signals, attack scores and their intervals, as functions of arrays."""

from skdiffence.metrics._intervals import accuracy_interval, auc_interval, bootstrap_interval, wilson_interval
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
    label_columns,
    logit_signal,
    loss_signal,
    modified_entropy_signal,
)

__all__ = [
    "accuracy_interval",
    "attack_accuracy_score",
    "auc_interval",
    "bootstrap_interval",
    "confidence_signal",
    "correctness_signal",
    "entropy_signal",
    "expected_calibration_error",
    "failure_detection_auc",
    "label_columns",
    "logit_signal",
    "loss_signal",
    "modified_entropy_signal",
    "tnr_at_fnr_score",
    "tpr_at_fpr_score",
    "wilson_interval",
]

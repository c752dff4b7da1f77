"""Warnings about conditions under which a privacy figure or a defended prediction is not reliable."""

__all__ = ["DefenseWarning", "MembershipWarning", "RangeWarning", "TrainingTimeWarning", "VersionWarning"]


class DefenseWarning(UserWarning):
    """Warning used if a defense was fitted but, by what was measured, protects little."""


class MembershipWarning(UserWarning):
    """Warning used if the members of the training set are not known for certain."""


class RangeWarning(UserWarning):
    """Warning used if values lie outside the range that an estimator was fitted on."""


class TrainingTimeWarning(UserWarning):
    """Warning used if a training will take hours by the time of its first updates, or far longer than it must."""


class VersionWarning(UserWarning):
    """Warning used if an estimator is loaded with other versions of the libraries than it was saved with."""

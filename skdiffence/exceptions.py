"""Warnings of skdiffence, each about something that would make a privacy figure or a defended answer untrustworthy."""

__all__ = ["DefenseWarning", "MembershipWarning", "RangeWarning"]


class DefenseWarning(UserWarning):
    """The defense was fitted, but its measured behavior says that it will defend poorly."""


class MembershipWarning(UserWarning):
    """Who was in the training set could not be established beyond doubt."""


class RangeWarning(UserWarning):
    """Values lie outside the range that an estimator was fitted on."""

"""Plots of scores, signals, candidates and the trade-off between privacy and utility."""

from skdiffence.inspection.displays._candidate import CandidateDisplay
from skdiffence.inspection.displays._privacy_utility import PrivacyUtilityDisplay
from skdiffence.inspection.displays._roc import MembershipRocDisplay
from skdiffence.inspection.displays._signal import SignalDisplay

__all__ = [
    "CandidateDisplay",
    "MembershipRocDisplay",
    "PrivacyUtilityDisplay",
    "SignalDisplay",
]

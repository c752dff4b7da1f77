"""What a person looks at: audits, reports and displays."""

from skdiffence.inspection._audit import audit
from skdiffence.inspection._canary_audit import canary_audit
from skdiffence.inspection._canary_report import CanaryAudit
from skdiffence.inspection._candidate_display import CandidateDisplay
from skdiffence.inspection._privacy_utility_display import PrivacyUtilityDisplay
from skdiffence.inspection._report import AuditReport
from skdiffence.inspection._roc_display import MembershipRocDisplay
from skdiffence.inspection._signal_display import SignalDisplay

__all__ = [
    "AuditReport",
    "CanaryAudit",
    "CandidateDisplay",
    "MembershipRocDisplay",
    "PrivacyUtilityDisplay",
    "SignalDisplay",
    "audit",
    "canary_audit",
]

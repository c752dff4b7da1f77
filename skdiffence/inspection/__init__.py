"""Audits, reports and displays."""

from skdiffence.inspection._audit import audit
from skdiffence.inspection._canary_audit import canary_audit
from skdiffence.inspection.displays import (
    CandidateDisplay,
    MembershipRocDisplay,
    PrivacyUtilityDisplay,
    SignalDisplay,
)
from skdiffence.inspection.report import AuditComparison, AuditReport, CanaryAudit

__all__ = [
    "AuditComparison",
    "AuditReport",
    "CanaryAudit",
    "CandidateDisplay",
    "MembershipRocDisplay",
    "PrivacyUtilityDisplay",
    "SignalDisplay",
    "audit",
    "canary_audit",
]

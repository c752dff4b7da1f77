"""Audit reports: as text, as tables and as one HTML page."""

from skdiffence.inspection.report._canary_report import CanaryAudit
from skdiffence.inspection.report._comparison import AuditComparison
from skdiffence.inspection.report._report import AuditReport

__all__ = [
    "AuditComparison",
    "AuditReport",
    "CanaryAudit",
]

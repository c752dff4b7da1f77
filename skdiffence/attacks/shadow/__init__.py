"""Attacks that compare a target with shadow models."""

from skdiffence.attacks.shadow._leave_one_out import lira_leave_one_out
from skdiffence.attacks.shadow._lira import LiRAAttack, lira_scores
from skdiffence.attacks.shadow._rmia import RMIAAttack, rmia_scores
from skdiffence.attacks.shadow._shadows import train_shadows

__all__ = [
    "LiRAAttack",
    "RMIAAttack",
    "lira_leave_one_out",
    "lira_scores",
    "rmia_scores",
    "train_shadows",
]

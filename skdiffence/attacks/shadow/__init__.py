"""Attacks that compare a target with shadow models."""

from skdiffence.attacks.shadow._lira import lira_leave_one_out, lira_scores
from skdiffence.attacks.shadow._lira_attack import LiRAAttack
from skdiffence.attacks.shadow._rmia import rmia_scores
from skdiffence.attacks.shadow._rmia_attack import RMIAAttack
from skdiffence.attacks.shadow._shadows import train_shadows

__all__ = [
    "LiRAAttack",
    "RMIAAttack",
    "lira_leave_one_out",
    "lira_scores",
    "rmia_scores",
    "train_shadows",
]

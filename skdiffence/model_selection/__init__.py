"""Membership attacks in cross-validation and parameter search."""

from skdiffence.model_selection._attack_scorer import AttackScorer
from skdiffence.model_selection._shadow_split import ShadowSplit

__all__ = ["AttackScorer", "ShadowSplit"]

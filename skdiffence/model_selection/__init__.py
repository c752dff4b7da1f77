"""Membership attacks inside cross-validation and search."""

from skdiffence.model_selection._attack_scorer import AttackScorer

__all__ = ["AttackScorer"]

"""Attacks that tell the members of a training set from a classifier's answers."""

from skdiffence.attacks._answers import Answers, query
from skdiffence.attacks._non_monotone import NonMonotoneAttack
from skdiffence.attacks._registry import get_attack, get_attack_names
from skdiffence.attacks._single_query import SingleQueryAttack
from skdiffence.attacks._threshold import ThresholdAttack

__all__ = [
    "Answers",
    "NonMonotoneAttack",
    "SingleQueryAttack",
    "ThresholdAttack",
    "get_attack",
    "get_attack_names",
    "query",
]

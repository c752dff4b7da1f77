"""Who answers: the defended classifier and the rules that select its answers."""

from skdiffence.defenses._defended import DefendedClassifier
from skdiffence.defenses._first import FirstSelection
from skdiffence.defenses._matched import MatchedSelection
from skdiffence.defenses._members import MembersSelection
from skdiffence.defenses._selection import IntervalRule, SelectionRule
from skdiffence.defenses._swap import SwapSelection

__all__ = [
    "DefendedClassifier",
    "FirstSelection",
    "IntervalRule",
    "MatchedSelection",
    "MembersSelection",
    "SelectionRule",
    "SwapSelection",
]

"""Who answers: the defended classifier and the rules that select its answers."""

from skdiffence.defenses._defended import DefendedClassifier
from skdiffence.defenses._tuned import TunedDefendedClassifier
from skdiffence.defenses.output import MemGuardClassifier, OutputClassifier
from skdiffence.defenses.rules import (
    BudgetedSelection,
    FirstSelection,
    IntervalRule,
    LowestSelection,
    MatchedSelection,
    MembersSelection,
    NearestSelection,
    SelectionRule,
    SwapSelection,
    WithinSelection,
)
from skdiffence.defenses.training import (
    AdvRegClassifier,
    DPSGDClassifier,
    HAMPClassifier,
    RelaxLossClassifier,
    SELENAClassifier,
)

__all__ = [
    "AdvRegClassifier",
    "BudgetedSelection",
    "DPSGDClassifier",
    "DefendedClassifier",
    "FirstSelection",
    "HAMPClassifier",
    "IntervalRule",
    "LowestSelection",
    "MatchedSelection",
    "MemGuardClassifier",
    "MembersSelection",
    "NearestSelection",
    "OutputClassifier",
    "RelaxLossClassifier",
    "SELENAClassifier",
    "SelectionRule",
    "SwapSelection",
    "TunedDefendedClassifier",
    "WithinSelection",
]

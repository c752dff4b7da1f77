"""Defended classifiers and the rules that make their answers."""

from skdiffence.defenses._defended import DefendedClassifier
from skdiffence.defenses._distilled import DistilledDefense
from skdiffence.defenses._tuned import TunedDefendedClassifier
from skdiffence.defenses.output import AugmentedClassifier, MemGuardClassifier, OutputClassifier, OutputNoiseClassifier
from skdiffence.defenses.rules import (
    BudgetedRule,
    ChoosingRule,
    FirstRule,
    IntervalRule,
    LowestRule,
    MatchedRule,
    MeanRule,
    MembersRule,
    NearestRule,
    Rule,
    SwapRule,
    WithinRule,
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
    "AugmentedClassifier",
    "BudgetedRule",
    "ChoosingRule",
    "DPSGDClassifier",
    "DefendedClassifier",
    "DistilledDefense",
    "FirstRule",
    "HAMPClassifier",
    "IntervalRule",
    "LowestRule",
    "MatchedRule",
    "MeanRule",
    "MemGuardClassifier",
    "MembersRule",
    "NearestRule",
    "OutputClassifier",
    "OutputNoiseClassifier",
    "RelaxLossClassifier",
    "Rule",
    "SELENAClassifier",
    "SwapRule",
    "TunedDefendedClassifier",
    "WithinRule",
]

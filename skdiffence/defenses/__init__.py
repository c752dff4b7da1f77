"""Who answers: the defended classifier and the rules that select its answers."""

from skdiffence.defenses._advreg import AdvRegClassifier
from skdiffence.defenses._defended import DefendedClassifier
from skdiffence.defenses._dpsgd import DPSGDClassifier
from skdiffence.defenses._first import FirstSelection
from skdiffence.defenses._hamp import HAMPClassifier
from skdiffence.defenses._matched import MatchedSelection
from skdiffence.defenses._members import MembersSelection
from skdiffence.defenses._memguard import MemGuardClassifier
from skdiffence.defenses._output import OutputClassifier
from skdiffence.defenses._relaxloss import RelaxLossClassifier
from skdiffence.defenses._selection import IntervalRule, SelectionRule
from skdiffence.defenses._selena import SELENAClassifier
from skdiffence.defenses._swap import SwapSelection

__all__ = [
    "AdvRegClassifier",
    "DPSGDClassifier",
    "DefendedClassifier",
    "FirstSelection",
    "HAMPClassifier",
    "IntervalRule",
    "MatchedSelection",
    "MemGuardClassifier",
    "MembersSelection",
    "OutputClassifier",
    "RelaxLossClassifier",
    "SELENAClassifier",
    "SelectionRule",
    "SwapSelection",
]

"""Who answers: the defended classifier and the rules that select its answers."""

from skdiffence.defenses._advreg import AdvRegClassifier
from skdiffence.defenses._budgeted import BudgetedSelection
from skdiffence.defenses._defended import DefendedClassifier
from skdiffence.defenses._dpsgd import DPSGDClassifier
from skdiffence.defenses._first import FirstSelection
from skdiffence.defenses._hamp import HAMPClassifier
from skdiffence.defenses._lowest import LowestSelection
from skdiffence.defenses._matched import MatchedSelection
from skdiffence.defenses._members import MembersSelection
from skdiffence.defenses._memguard import MemGuardClassifier
from skdiffence.defenses._nearest import NearestSelection
from skdiffence.defenses._output import OutputClassifier
from skdiffence.defenses._relaxloss import RelaxLossClassifier
from skdiffence.defenses._selection import IntervalRule, SelectionRule
from skdiffence.defenses._selena import SELENAClassifier
from skdiffence.defenses._swap import SwapSelection
from skdiffence.defenses._tuned import TunedDefendedClassifier
from skdiffence.defenses._within import WithinSelection

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

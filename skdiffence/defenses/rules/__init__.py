"""Rules that make one answer of many candidates."""

from skdiffence.defenses.rules._base import IntervalRule, SelectionRule
from skdiffence.defenses.rules._budgeted import BudgetedSelection
from skdiffence.defenses.rules._first import FirstSelection
from skdiffence.defenses.rules._lowest import LowestSelection
from skdiffence.defenses.rules._matched import MatchedSelection
from skdiffence.defenses.rules._members import MembersSelection
from skdiffence.defenses.rules._nearest import NearestSelection
from skdiffence.defenses.rules._swap import SwapSelection
from skdiffence.defenses.rules._within import WithinSelection

__all__ = [
    "BudgetedSelection",
    "FirstSelection",
    "IntervalRule",
    "LowestSelection",
    "MatchedSelection",
    "MembersSelection",
    "NearestSelection",
    "SelectionRule",
    "SwapSelection",
    "WithinSelection",
]

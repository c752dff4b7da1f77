"""Rules that make one answer of the candidates of a row."""

from skdiffence.defenses.rules._base import ChoosingRule, Rule
from skdiffence.defenses.rules._budgeted import BudgetedRule
from skdiffence.defenses.rules._first import FirstRule
from skdiffence.defenses.rules._interval import IntervalRule
from skdiffence.defenses.rules._lowest import LowestRule
from skdiffence.defenses.rules._matched import MatchedRule
from skdiffence.defenses.rules._mean import MeanRule
from skdiffence.defenses.rules._members import MembersRule
from skdiffence.defenses.rules._nearest import NearestRule
from skdiffence.defenses.rules._swap import SwapRule
from skdiffence.defenses.rules._within import WithinRule

__all__ = [
    "BudgetedRule",
    "ChoosingRule",
    "FirstRule",
    "IntervalRule",
    "LowestRule",
    "MatchedRule",
    "MeanRule",
    "MembersRule",
    "NearestRule",
    "Rule",
    "SwapRule",
    "WithinRule",
]

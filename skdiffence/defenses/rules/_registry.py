"""Rules by name."""

from sklearn.base import clone

from skdiffence.defenses.rules._budgeted import BudgetedRule
from skdiffence.defenses.rules._first import FirstRule
from skdiffence.defenses.rules._lowest import LowestRule
from skdiffence.defenses.rules._matched import MatchedRule
from skdiffence.defenses.rules._mean import MeanRule
from skdiffence.defenses.rules._members import MembersRule
from skdiffence.defenses.rules._nearest import NearestRule
from skdiffence.defenses.rules._swap import SwapRule
from skdiffence.defenses.rules._within import WithinRule

RULES = {
    "budgeted": BudgetedRule,
    "first": FirstRule,
    "lowest": LowestRule,
    "matched": MatchedRule,
    "mean": MeanRule,
    "members": MembersRule,
    "nearest": NearestRule,
    "swap": SwapRule,
    "within": WithinRule,
}


def make_rule(selection):
    """Return a new, unfitted rule.

    Parameters
    ----------
    selection : str or Rule
        A name, or a rule to clone.

    Returns
    -------
    rule : Rule
    """
    return RULES[selection]() if isinstance(selection, str) else clone(selection)

"""Rules by name."""

from numbers import Integral

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
    """Return a new, unfitted rule with valid parameters.

    Parameters
    ----------
    selection : str or Rule
        A name, or a rule to clone.

    Returns
    -------
    rule : Rule

    Raises
    ------
    ValueError
        If a parameter of the rule is invalid, or its ``max_candidates``.
    """
    rule = RULES[selection]() if isinstance(selection, str) else clone(selection)
    rule._validate_params()
    most = rule.max_candidates
    if most is not None and not (isinstance(most, Integral) and most >= 1):
        raise ValueError(
            f"max_candidates of {type(rule).__name__} must be a whole number from 1 on, or None for as many as there "
            f"are. Got {most!r}."
        )
    return rule

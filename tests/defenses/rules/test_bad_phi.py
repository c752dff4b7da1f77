"""Rules that are called with something else than phi of candidates, or before they are fitted."""

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from skdiffence.defenses import BudgetedRule, FirstRule, LowestRule, MatchedRule, MembersRule, NearestRule, WithinRule

CALIBRATED = [BudgetedRule, MatchedRule, NearestRule, WithinRule]


@pytest.mark.parametrize("rule", [*CALIBRATED, MembersRule])
@pytest.mark.parametrize(
    ("members", "got"),
    [
        (None, "Got None"),
        (np.zeros(3), r"Got an array of shape \(3,\)"),
        (np.zeros((3, 1)), r"Got an array of shape \(3, 1\)"),
        (np.zeros((0, 3)), r"Got an array of shape \(0, 3\)"),
    ],
    ids=["none", "one dimension", "no candidate", "no row"],
)
def test_fit_names_the_side_its_shape_and_what_came(rule, members, got):
    """Of members, and of non-members where they are read."""
    expected = r"must be phi of candidates, an array of shape \(n_{}, n_candidates \+ 1\) .* one row at least. {}"
    with pytest.raises(ValueError, match="^members " + expected.format("members", got)):
        rule().fit(members, np.zeros((3, 3)))
    if rule.needs_non_members:
        with pytest.raises(ValueError, match="^non_members " + expected.format("non_members", got)):
            rule().fit(np.zeros((3, 3)), members)


@pytest.mark.parametrize("rule", CALIBRATED)
def test_sides_have_the_same_number_of_candidates(rule):
    """A row of either side gets as many."""
    with pytest.raises(ValueError, match=r"same number of columns. Got arrays of shape \(3, 3\) and \(3, 4\)"):
        rule().fit(np.zeros((3, 3)), np.zeros((3, 4)))


@pytest.mark.parametrize("rule", [*CALIBRATED, MembersRule])
def test_unfitted_rule_does_not_choose(rule):
    """One that learns from calibration rows has nothing to choose by before."""
    with pytest.raises(NotFittedError, match=f"This {rule.__name__} instance is not fitted yet"):
        rule().choose(np.zeros((1, 2)))


def test_cost_of_an_unfitted_rule():
    """There is no target yet."""
    with pytest.raises(NotFittedError, match="This NearestRule instance is not fitted yet"):
        NearestRule().cost(np.zeros(2))


@pytest.mark.parametrize("rule", [FirstRule(), LowestRule(), NearestRule().fit(np.zeros((3, 3)), np.ones((3, 3)))])
def test_choose_names_what_it_expects_and_what_came(rule):
    """An array of two dimensions, or lists that make one."""
    expected = r"phi must be phi of candidates, an array of shape \(n, n_candidates\) with one candidate at least. Got "
    for phi, got in ((None, "None"), (np.zeros(3), r"an array of shape \(3,\)"), (np.zeros((2, 0)), r"an array .*0\)")):
        with pytest.raises(ValueError, match=expected + got):
            rule.choose(phi)
    with pytest.raises(ValueError, match="phi must be an array of numbers. Got dtype <U1"):
        rule.choose([["a", "b"]])
    np.testing.assert_array_equal(rule.choose([[2.0, 2.0]]), [0])
    assert rule.choose(np.zeros((0, 2))).shape == (0,)

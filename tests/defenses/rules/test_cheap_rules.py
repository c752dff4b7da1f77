"""Rules of low or constant cost, each against a search through everything by hand."""

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import cramervonmises_2samp

from skdiffence.defenses import BudgetedRule, LowestRule, MeanRule, NearestRule, SwapRule, WithinRule
from skdiffence.defenses._answer import answer
from tests.defenses.cases import NotToBeTrained, defend, digits, fitted, half, quiet
from tests.defenses.regenerators import NoiseRegenerator
from tests.defenses.rules.test_selection import MARGIN, candidates, taken_by_brute_force
from tests.nets import make_net

# Of the criterion below, for equal distributions and 40 rows of each side.
EXPECTED = (1 + 1 / 80) / 6 * 80 / 40**2


def apart(members, non_members):
    """The criterion of scipy, which is right without ties, as the mean squared difference."""
    n, m = len(members), len(non_members)
    return cramervonmises_2samp(members, non_members, method="asymptotic").statistic * (n + m) / (n * m)


def sides(seed, n_candidates, *, lost=0.15, n=40):
    rng = np.random.default_rng(seed)
    return [candidates(rng, mean, n, n_candidates, lost) for mean in (3.0, 2.0)]


def inner_quantiles(both, n_grid):
    phi = np.concatenate([side[:, :-1].ravel() for side in both])
    return np.nanquantile(phi, np.linspace(0, 1, n_grid + 2))[1:-1]


@pytest.mark.parametrize("seed", range(3))
def test_nearest_against_brute_force(seed):
    """The first target of least divergence, each row answered by the candidate nearest to it."""
    both = sides(seed, 4, lost=0.5)
    rule = NearestRule(n_grid=9).fit(*both)

    def answers(side, target):
        return [min((phi for phi in row if not np.isnan(phi)), key=lambda phi: abs(phi - target)) for row in side]

    tried = [apart(*(answers(side, target) for side in both)) for target in inner_quantiles(both, 9)]
    assert rule.target_ == pytest.approx(inner_quantiles(both, 9)[np.argmin(tried)])
    assert rule.objective_ == pytest.approx(min(tried) - EXPECTED)
    assert rule.interval_ == (rule.target_, rule.target_)


@pytest.mark.parametrize("seed", range(3))
def test_within_against_brute_force(seed):
    """The first interval of least divergence, each row answered as the paper's rule does."""
    both = sides(seed, 4, lost=0.5)
    rule = WithinRule(n_grid=7).fit(*both)
    # Ends beyond every candidate stand for infinite ones, whose middle nobody asks for: nearest is nearest to the end.
    ends = np.concatenate(([-1e9], inner_quantiles(both, 7), [1e9]))
    pairs = list(combinations(ends, 2))
    tried = [apart(*([taken_by_brute_force(row, *pair) for row in side] for side in both)) for pair in pairs]
    expected = np.where(np.abs(pairs[np.argmin(tried)]) == 1e9, np.sign(pairs[np.argmin(tried)]) * np.inf, 0)
    expected = np.where(np.isinf(expected), expected, pairs[np.argmin(tried)])
    np.testing.assert_allclose(rule.interval_, expected, atol=25 * MARGIN)
    assert rule.interval_[0] <= expected[0] <= expected[1] <= rule.interval_[1]
    assert rule.objective_ == pytest.approx(min(tried) - EXPECTED)


def searched(row, low, high, stop):
    """phi of the answer and the cost of a lazy search that stops."""
    for number, phi in enumerate(row[:stop]):
        if low <= phi <= high:
            return phi, number + 1
    middle = (low + high) / 2
    return min(row[:stop], key=lambda phi: abs(phi - middle)), stop


@pytest.mark.parametrize("max_calls", [1.0, 1.7, 2.5])
@pytest.mark.parametrize("seed", range(2))
def test_budgeted_against_brute_force(seed, max_calls):
    """Of all intervals and stops that cost no more than the budget, the one of least divergence."""
    both = sides(seed, 5, lost=0)
    rule = BudgetedRule(max_calls=max_calls, max_stop=4, n_grid=5).fit(*both)
    ends = np.concatenate(([-1e9], inner_quantiles(both, 5), [1e9]))
    best = (np.inf, None, None)
    for stop in range(1, 5):
        for low, high in combinations(ends, 2):
            found = [[searched(row, low, high, stop) for row in side] for side in both]
            calls = np.mean([np.mean([cost for _, cost in side]) for side in found])
            if calls <= max_calls and (distance := apart(*([phi for phi, _ in side] for side in found))) < best[0]:
                best = (distance, stop, calls)
    # Anderson's mean of the criterion under equal distributions, for 40 rows a side.
    assert rule.objective_ == pytest.approx(best[0] - EXPECTED)
    assert rule.stop_ == best[1]
    # The ends are moved outward a little, which can only end searches sooner.
    assert rule.calls_ <= max_calls
    assert rule.calls_ == pytest.approx(best[2], abs=0.1)


def test_budgeted_cost_is_that_of_the_search():
    """What fit expects is what rows like the calibration rows cost."""
    both = sides(0, 6, lost=0, n=400)
    rule = BudgetedRule(max_calls=2.0, n_grid=7).fit(*both)
    fresh = np.concatenate(sides(1, 6, lost=0, n=2000))[:, :-1]
    inside = (fresh >= rule.interval_[0]) & (fresh <= rule.interval_[1])
    cost = np.where(inside[:, : rule.stop_].any(axis=1), inside.argmax(axis=1) + 1, rule.stop_)
    assert cost.mean() == pytest.approx(rule.calls_, abs=0.1)


def test_lowest_by_hand():
    """The least confident of the first k, whichever label it has; the argmax is the label all the same."""
    rng = np.random.default_rng(0)
    probas = rng.dirichlet(np.ones(4) / 2, (5, 300))
    labels = rng.integers(0, 4, 300)
    for k in (1, 2, 3):
        found = answer(lambda rows, number: (probas[number, rows].argmax(axis=1), probas[number, rows].copy()),
                       labels, LowestRule(max_candidates=k), k, lazy=True)  # fmt: skip
        expected = probas[:k].max(axis=2).argmin(axis=0)
        np.testing.assert_array_equal(found.candidate, expected)
        np.testing.assert_array_equal(found.kept, probas[expected, np.arange(300)].argmax(axis=1) == labels)
        np.testing.assert_array_equal(found.n_regenerations, k)
        np.testing.assert_array_equal(found.proba.argmax(axis=1), labels)
        np.testing.assert_allclose(found.proba.max(axis=1), probas[:k].max(axis=2).min(axis=0))


def test_lowest_tells_almost_sure_answers_apart():
    """Confidences that round to 1 in the cost of a logit are still in order."""
    cost = LowestRule().cost(np.array([-104.0, -50.0, 0.0, 50.0, 60.0, 104.0]))
    assert np.all(np.diff(cost) > 0)
    assert np.all(cost > 0)


@pytest.mark.parametrize("search_", ["lazy", "constant"])
@pytest.mark.parametrize(("selection", "cost"), [("swap", 1), ("lowest", 4), ("nearest", 4), ("within", 4)])
def test_constant_cost(selection, cost, search_):
    """Every row takes as many candidates, whatever is found on the way."""
    defended, X, _ = fitted("net", NoiseRegenerator(1.0), selection=selection, search=search_, n_candidates=6)
    assert set(defended.select(X).n_regenerations) == {cost}


def test_fewer_candidates_than_a_rule_wants():
    """n_candidates is the limit."""
    defended, X, _ = fitted("net", NoiseRegenerator(1.0), selection="lowest", n_candidates=3)
    assert set(defended.select(X).n_regenerations) == {3}


def test_budgeted_stops_where_it_learned_to():
    """The defended classifier makes no more candidates than the rule's own stop, and costs what it says."""
    X, y = digits()
    rule = BudgetedRule(max_calls=2.0, max_stop=5, n_grid=5)
    defended = defend(make_net(), NoiseRegenerator(1.0), selection=rule, n_candidates=6)
    defended = quiet(defended.fit, X, y, is_member=half(y))
    made = defended.select(X[defended.calibrated_on_.contains(X)]).n_regenerations
    assert made.max() == defended.selection_.stop_ <= 5
    assert made.mean() == pytest.approx(defended.selection_.calls_)
    assert rule.max_candidates == 5


def test_a_refit_forgets_the_stop():
    """Rules are cloned before they are fitted again, and a second fit of the very object searches all stops too."""
    both = sides(0, 6, lost=0)
    rule = BudgetedRule(max_calls=1.0, n_grid=5).fit(*both)
    assert rule.stop_ == 1
    rule.set_params(max_calls=4.0).fit(*both)
    again = BudgetedRule(max_calls=4.0, n_grid=5).fit(*both)
    assert (rule.stop_, rule.interval_) == (again.stop_, again.interval_)


@pytest.mark.parametrize(
    ("rule", "name"),
    [
        (BudgetedRule(max_calls=0.5), "max_calls"),
        (BudgetedRule(max_stop=0), "max_stop"),
        (BudgetedRule(n_grid=0), "n_grid"),
        (LowestRule(max_candidates=0), "max_candidates"),
        (LowestRule(max_candidates=2.0), "max_candidates"),
        (MeanRule(0), "n"),
        (MeanRule(2, antithetic="no"), "antithetic"),
        (NearestRule(max_candidates=None), "max_candidates"),
        (NearestRule(n_grid="all"), "n_grid"),
        (WithinRule(max_candidates=-1), "max_candidates"),
        (WithinRule(n_grid=0), "n_grid"),
    ],
    ids=str,
)
def test_parameters_are_checked(rule, name):
    """By fit of the rule, and by fit of the classifier around it, before the classifier is trained."""
    message = f"The '{name}' parameter of {type(rule).__name__} must be"
    with pytest.raises(ValueError, match=message):
        rule.fit(*sides(0, 4))
    with pytest.raises(ValueError, match=message):
        defend(NotToBeTrained(), selection=rule).fit(*digits())


class NoCandidates(SwapRule):
    """A rule that can use no candidate."""

    max_candidates = 0


def test_a_rule_without_candidates():
    """0 is no number to answer by; None would stand for as many as there are."""
    message = "max_candidates of NoCandidates must be a whole number from 1 on, or None .* Got 0"
    with pytest.raises(ValueError, match=message):
        defend(NotToBeTrained(), selection=NoCandidates()).fit(*digits())


@pytest.mark.parametrize("rule", [NearestRule(), WithinRule()], ids=lambda rule: type(rule).__name__)
def test_nothing_kept_is_an_error(rule):
    """Without one candidate that keeps a label there is nothing to learn from."""
    nothing = np.column_stack((np.full((5, 3), np.nan), np.ones(5)))
    with pytest.raises(ValueError, match="no candidate that keeps the label among the calibration members"):
        rule.fit(nothing, sides(0, 3)[1])
    with pytest.raises(ValueError, match="no candidate that keeps the label among the calibration non-members"):
        rule.fit(sides(0, 3)[0], nothing)


@pytest.mark.parametrize("rule", [NearestRule(), WithinRule(), BudgetedRule()], ids=str)
def test_constant_confidences(rule):
    """A classifier of one confidence is answered for without error."""
    phi = np.column_stack((np.full((20, 3), 2.0), np.full(20, np.nan)))
    np.testing.assert_array_equal(rule.fit(phi, phi).choose(phi[:, :-1]), 0)

"""The rules that choose: interval search against brute force, closed forms and planted cases."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy

from skdiffence.defenses import FirstRule, IntervalRule, MatchedRule, MembersRule
from skdiffence.defenses.rules._interval import clear_end
from skdiffence.defenses.rules._matched import jensen_shannon

MARGIN = 1e-3


def candidates(rng, mean, n=60, n_candidates=6, lost=0.15):
    """phi of candidates of rows that have a confidence of their own; some candidates change the label."""
    phi = mean + rng.normal(0, 1, (n, 1)) + rng.normal(0, 0.7, (n, n_candidates))
    phi[rng.random(phi.shape) < lost] = np.nan
    fallback = np.where(np.isnan(phi).all(axis=1), rng.normal(-1, 0.5, n), np.nan)
    return np.column_stack((phi, fallback))


def taken_by_brute_force(row, low, high):
    """The first phi inside, or the one nearest to the middle; the last column stands in where nothing is kept."""
    kept = [phi for phi in row if not np.isnan(phi)]
    inside = [phi for phi in kept if low <= phi <= high]
    return inside[0] if inside else min(kept, key=lambda phi: abs(phi - (low + high) / 2))


def paper_distance(members, non_members):
    """Jensen-Shannon distance of histograms of 100 bins over the non-members, counts floored."""
    low, high = min(non_members), max(non_members)
    histograms = np.full((2, 100), 0.0)
    edges = np.linspace(low, high, 101)
    for histogram, sample in zip(histograms, (members, non_members), strict=True):
        for value in sample:
            if low <= value <= high:
                histogram[min(np.searchsorted(edges, value, side="right") - 1, 99)] += 1
    return jensenshannon(*np.maximum(histograms, 1e-19))


@pytest.mark.parametrize("seed", range(3))
def test_paper_objective_against_brute_force(seed):
    """The first minimum over all pairs of the grid, as the official code finds it."""
    rng = np.random.default_rng(seed)
    members, non_members = candidates(rng, 3.0, 25), candidates(rng, 2.0, 25)
    rule = MatchedRule(n_grid=7, objective="paper").fit(members, non_members)
    grid = np.linspace(np.nanmin(members[:, :-1]), np.nanmax(non_members[:, :-1]), 7)
    best, interval = np.inf, None
    for low, high in combinations(grid, 2):
        answers = [[taken_by_brute_force(row, low, high) for row in side] for side in (members, non_members)]
        if (distance := paper_distance(*answers)) < best - 1e-12:
            best, interval = distance, (low, high)
    assert rule.objective_ == pytest.approx(best)
    assert rule.interval_[0] == pytest.approx(interval[0], abs=25 * MARGIN)
    assert rule.interval_[1] == pytest.approx(interval[1], abs=25 * MARGIN)
    assert rule.interval_[0] <= interval[0] < interval[1] <= rule.interval_[1]


def test_divergence_of_identical_samples_is_zero():
    """A sample compared with itself."""
    sample = np.random.default_rng(0).normal(size=80)
    divergence, null_mean = jensen_shannon(sample, sample)
    assert divergence == pytest.approx(0, abs=1e-12)
    assert null_mean > 0


def test_divergence_of_separate_samples_is_ln_2():
    """Samples that share no bin."""
    divergence, _ = jensen_shannon(np.arange(50.0), 1000 + np.arange(50.0))
    assert divergence == pytest.approx(np.log(2))


@settings(deadline=None, max_examples=40)
@given(
    arrays.arrays(np.float64, st.integers(2, 30), elements=st.floats(-5, 5, width=16)),
    arrays.arrays(np.float64, st.integers(2, 30), elements=st.floats(-5, 5, width=16)),
)
def test_divergence_is_symmetric_and_bounded(first, second):
    """Exchanging the samples changes nothing, and ln 2 is the most there is."""
    divergence, null_mean = jensen_shannon(first, second)
    assert -1e-12 <= divergence <= np.log(2) + 1e-12
    assert divergence == pytest.approx(jensen_shannon(second, first)[0], abs=1e-12)
    assert null_mean == pytest.approx(jensen_shannon(second, first)[1], abs=1e-12)


def test_divergence_by_hand():
    """Two bins: the definition with scipy's entropies."""
    first, second = np.array([0.0, 0.0, 0.0, 1.0]), np.array([0.0, 1.0, 1.0, 1.0])
    p, q = np.array([0.75, 0.25]), np.array([0.25, 0.75])
    expected = entropy((p + q) / 2) - (entropy(p) + entropy(q)) / 2
    assert jensen_shannon(first, second)[0] == pytest.approx(expected)


@pytest.mark.parametrize(("n", "m"), [(12, 12), (30, 15)])
def test_null_mean_is_the_mean_over_relabelings(n, m):
    """The closed form against 2,000 relabelings, within four standard errors."""
    rng = np.random.default_rng(0)
    pooled = np.round(rng.normal(size=n + m), 1)
    shuffled = [rng.permutation(pooled) for _ in range(2000)]
    simulated = np.array([jensen_shannon(row[:n], row[n:])[0] for row in shuffled])
    _, null_mean = jensen_shannon(pooled[:n], pooled[n:])
    assert abs(simulated.mean() - null_mean) < 4 * simulated.std() / np.sqrt(len(simulated))


def test_identical_sides_accept_everything():
    """Where members and non-members are the same there is nothing to match."""
    phi = candidates(np.random.default_rng(0), 2.0)
    assert MatchedRule().fit(phi, phi).interval_ == (-np.inf, np.inf)


def test_planted_interval_is_found():
    """Members' first candidates betray them, their second ones lie where non-members' are: the rule takes those."""
    rng = np.random.default_rng(0)
    nothing = np.full((150, 1), np.nan)
    members = np.hstack((rng.uniform(6, 9, (150, 1)), rng.uniform(1, 3, (150, 1)), nothing))
    non_members = np.hstack((rng.uniform(1, 3, (150, 2)), nothing))
    rule = MatchedRule().fit(members, non_members)
    low, high = rule.interval_
    assert low < 1.5
    assert 2.5 < high < 6
    assert np.mean(rule.choose(members) == 1) == 1
    assert rule.objective_ < 0.05 < rule.null_objective_


def test_objective_is_the_divergence_less_its_expectation():
    """Without an interval, the first candidate that keeps the label answers each row."""
    rng = np.random.default_rng(0)
    both = [candidates(rng, mean, 40, 2, lost=0.5) for mean in (3.0, 2.0)]
    divergence, expected = jensen_shannon(*([row[~np.isnan(row)][0] for row in side] for side in both))
    assert expected > 0.01
    assert MatchedRule().fit(*both).null_objective_ == pytest.approx(divergence - expected)


def test_calibrated_matching_helps_on_fresh_rows():
    """Rows that were not calibrated on are harder to tell apart under the interval than without it."""
    rng = np.random.default_rng(1)
    rule = MatchedRule().fit(candidates(rng, 4.0, 150), candidates(rng, 2.0, 150))
    fresh = [candidates(rng, mean, 1000, lost=0) for mean in (4.0, 2.0)]

    def divergence(chooser):
        return jensen_shannon(*(np.take_along_axis(x, chooser.choose(x)[:, None], axis=1)[:, 0] for x in fresh))[0]

    assert divergence(rule) < divergence(FirstRule())


def test_constant_confidences_leave_nothing_to_search():
    """A classifier of one confidence has an empty grid, and everything is accepted."""
    phi = np.column_stack((np.full((20, 3), 2.0), np.full(20, np.nan)))
    for objective in ("corrected", "paper"):
        rule = MatchedRule(objective=objective).fit(phi, phi)
        assert rule.interval_ == (-np.inf, np.inf)
        assert rule.objective_ == rule.null_objective_


def test_members_interval_is_lowest_and_mean():
    """Scenario 2 by hand, from all candidates that keep the label and nothing else."""
    members = candidates(np.random.default_rng(0), 3.0)
    rule = MembersRule().fit(members, None)
    kept = members[:, :-1][~np.isnan(members[:, :-1])]
    assert rule.interval_[0] == pytest.approx(kept.min() - MARGIN)
    assert kept.mean() <= rule.interval_[1] <= kept.mean() + 21 * MARGIN


@pytest.mark.parametrize("rule", [MatchedRule(), MembersRule()], ids=lambda rule: type(rule).__name__)
def test_interval_ends_keep_clear_of_calibration_rows(rule):
    """No calibration phi lies so near to an end that rounding decides."""
    rng = np.random.default_rng(0)
    members, non_members = candidates(rng, 4.0), candidates(rng, 2.0)
    rule.fit(members, non_members)
    calibrated = members[:, :-1] if isinstance(rule, MembersRule) else np.vstack((members, non_members))[:, :-1]
    for end in rule.interval_:
        assert np.nanmin(np.abs(calibrated - end)) >= MARGIN * (1 - 1e-6)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (MatchedRule(), "no candidate that keeps the label among the calibration members"),
        (MembersRule(), "no candidate that keeps the label among the calibration members"),
    ],
    ids=["matched", "members"],
)
def test_nothing_kept_is_an_error(rule, message):
    """Without one candidate that keeps a label there is nothing to learn from."""
    nothing = np.column_stack((np.full((5, 3), np.nan), np.ones(5)))
    with pytest.raises(ValueError, match=message):
        rule.fit(nothing, nothing)


@pytest.mark.parametrize("params", [{"n_grid": 1}, {"n_grid": 2.5}, {"objective": "kl"}])
def test_parameters_are_checked(params):
    """The message names the parameter."""
    phi = np.ones((3, 3))
    with pytest.raises(ValueError, match=f"The '{next(iter(params))}' parameter of MatchedRule"):
        MatchedRule(**params).fit(phi, phi)


def test_cost_is_zero_inside_and_the_distance_to_the_middle_outside():
    """Ends included; open intervals measure from their closed end."""
    rule = IntervalRule()
    rule.interval_ = (1.0, 3.0)
    np.testing.assert_allclose(rule.cost(np.array([1.0, 2.0, 3.0, 4.0, 0.0])), [0, 0, 0, 2, 2])
    rule.interval_ = (-np.inf, 3.0)
    np.testing.assert_allclose(rule.cost(np.array([-99.0, 3.0, 5.0])), [0, 0, 2])
    assert rule.cost(np.nextafter(3.0, 4.0)) > 0


GRID = st.integers(-3000, 3000).map(lambda number: number * 2.5e-4)


@settings(deadline=None, max_examples=200)
@given(GRID, st.lists(st.one_of(GRID, st.just(np.nan)), max_size=60), st.sampled_from([-1, 1]))
def test_clear_end_moves_outward_to_a_clear_place(end, phi, outward):
    """The end never moves inward, and stands clear by the margin or as far as the dense values there allow."""
    phi = np.array(phi, dtype=float)
    moved = clear_end(end, phi, outward)
    assert outward * (moved - end) >= 0
    distance = np.min(np.abs(phi[~np.isnan(phi)] - moved), initial=np.inf)
    places = end + outward * np.linspace(0, 20 * MARGIN, 801)
    clearances = np.min(np.abs(places[:, None] - phi[~np.isnan(phi)]), axis=1, initial=np.inf)
    assert distance >= min(MARGIN, clearances.max()) - 3e-5
    if clearances[0] > MARGIN:
        assert moved == pytest.approx(end, abs=1e-12)


def test_clear_end_of_dense_values_takes_the_widest_gap():
    """Where all gaps are too narrow, the middle of the widest one outward."""
    phi = np.delete(np.arange(0, 1, 5e-4), [10, 11])
    moved = clear_end(0.001, phi, 1)
    assert moved == pytest.approx(0.00525)


@pytest.mark.parametrize("end", [-np.inf, np.inf])
def test_clear_end_leaves_open_ends(end):
    """There is nothing beside infinity."""
    assert clear_end(end, np.array([1.0]), 1) == end

"""Figures of attacks: those of the metrics, with the right intervals, and not measured where rows are missing."""

import json
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from skdiffence._evaluation._cross_fit import AttackScores
from skdiffence._evaluation._measure import (
    LEVELS,
    leak_beyond_labels,
    lowest_reliable_level,
    measure_attack,
    surely_identified,
)
from skdiffence._evaluation._results import NOT_MEASURED, AttackResult, Estimate, OperatingPoint, TargetResult
from skdiffence._evaluation._significance import compare_with_chance
from skdiffence.metrics import (
    accuracy_interval,
    attack_accuracy_score,
    auc_difference_interval,
    auc_interval,
    tnr_at_fnr_interval,
    tnr_at_fnr_score,
    tpr_at_fpr_interval,
    tpr_at_fpr_score,
)

RNG = np.random.default_rng(0)
IS_MEMBER, CORRECT = np.arange(300) % 3 == 0, RNG.random(300) < 0.8
SCORES = RNG.normal(size=300) + IS_MEMBER
SAID = AttackScores(SCORES, SCORES > 0.5)


def test_figures_are_those_of_the_metrics():
    level = {"confidence_level": 0.9}
    result = measure_attack("a", SAID, IS_MEMBER, correct=CORRECT, fpr_levels=[0.1], fnr_levels=[0.2], **level)
    right = IS_MEMBER[CORRECT], SCORES[CORRECT]
    (tpr,), (tnr,) = result.tpr_at_fpr, result.tnr_at_fnr
    for estimate, value, ends in [
        (result.roc_auc, roc_auc_score(IS_MEMBER, SCORES), auc_interval(IS_MEMBER, SCORES, **level)),
        (result.correct_roc_auc, roc_auc_score(*right), auc_interval(*right, **level)),
        (
            result.accuracy,
            attack_accuracy_score(IS_MEMBER, SAID.predictions),
            accuracy_interval(IS_MEMBER, SAID.predictions, **level),
        ),
        (
            tpr.tpr,
            tpr_at_fpr_score(IS_MEMBER, SCORES, max_fpr=0.1),
            tpr_at_fpr_interval(IS_MEMBER, SCORES, max_fpr=0.1, **level),
        ),
        (
            tnr.tpr,
            tnr_at_fnr_score(IS_MEMBER, SCORES, max_fnr=0.2),
            tnr_at_fnr_interval(IS_MEMBER, SCORES, max_fnr=0.2, **level),
        ),
    ]:
        assert (estimate.value, estimate.low, estimate.high) == pytest.approx((value, *ends))


def test_what_lacks_rows_or_input_is_not_measured():
    result = measure_attack("a", AttackScores(SCORES), IS_MEMBER, correct=IS_MEMBER)
    assert result.accuracy == result.correct_roc_auc == NOT_MEASURED
    assert np.isnan(result.correct_auc.value)
    assert result.by_class is None
    assert not np.isnan(result.roc_auc.value)


def test_area_below_a_half_is_that_of_the_reversed_scores():
    """An attacker who reverses the scores reaches the same area."""
    rng = np.random.default_rng(0)
    is_member, correct = np.arange(100) % 2 == 0, np.arange(100) < 80
    scores = rng.normal(size=100) + is_member
    results = [measure_attack("a", AttackScores(sign * scores), is_member, correct=correct) for sign in (1, -1)]
    for figure in ("auc", "correct_auc"):
        straight, reverse = (getattr(result, figure).to_dict(figure) for result in results)
        assert straight == pytest.approx(reverse)
        assert straight[figure] > 0.6


def test_given_intervals_replace_those_in_closed_form():
    seen = []

    def interval(is_member, values, metric):
        seen.append(metric(is_member, values))
        return 0.25, 0.75

    result = measure_attack("a", AttackScores(SCORES), IS_MEMBER, fpr_levels=[0.1], interval=interval)
    for estimate in (result.roc_auc, result.tpr_at_fpr[0].tpr):
        assert (estimate.low, estimate.high) == (0.25, 0.75)
        assert estimate.value in seen


@pytest.mark.parametrize(("n", "level"), [(99, None), (100, 0.1), (199, 0.1), (200, 0.05), (10**6, 0.001)])
def test_reliable_levels_stand_for_ten_rows(n, level):
    assert lowest_reliable_level(n) == level
    assert level is None or level in LEVELS


def target(*attacks):
    """Return the result of a target on which attacks reach areas, given as (name, area, label_only)."""
    results = [
        AttackResult(name, Estimate(auc, auc, auc), NOT_MEASURED, NOT_MEASURED, (), (), label_only=label_only)
        for name, auc, label_only in attacks
    ]
    return TargetResult(tuple(results), None, None, None, {}, {}, 0.0)


def test_floor_is_the_strongest_attack_that_reads_labels_only():
    result = target(("a", 0.9, False), ("b", 0.4, True), ("c", 0.55, True), ("d", 0.58, False))
    assert result.floor.attack == "b"  # reversed, it has an area of 0.6
    assert [attack.attack for attack in result.attacks if result.is_weaker_than_labels(attack)] == ["d"]
    assert target(("a", 0.9, False), ("b", np.nan, True)).floor is None


def test_results_are_plain_values_at_the_edge():
    result = measure_attack("a", SAID, IS_MEMBER, correct=CORRECT, classes=CORRECT.astype(int), fpr_levels=[0.1])
    text = json.dumps(result.to_dict(), allow_nan=False)
    assert json.loads(text) == result.to_dict()


def test_leak_beyond_labels_is_a_paired_difference():
    """Of the strongest attack of either kind, each in its better direction, on the same rows."""
    rng = np.random.default_rng(0)
    is_member = np.arange(400) % 2 == 0
    labels = rng.normal(size=400) + is_member
    scores = {"answers": labels + 0.2 * is_member, "weak": rng.normal(size=400), "labels": -labels}
    said = {name: AttackScores(values) for name, values in scores.items()}
    results = [replace(measure_attack(name, said[name], is_member), label_only=name == "labels") for name in said]
    leak = leak_beyond_labels(results, said, is_member)
    assert (leak.attack, leak.floor) == ("answers", "labels")
    difference = roc_auc_score(is_member, scores["answers"]) - roc_auc_score(is_member, labels)
    assert leak.difference.value == pytest.approx(difference)
    ends = auc_difference_interval(is_member, scores["answers"], labels)
    assert (leak.difference.low, leak.difference.high) == pytest.approx(ends)
    assert leak.difference.low > 0  # paired: intervals of the two areas overlap
    assert results[0].auc.low < results[2].auc.high


def test_no_leak_beyond_labels_without_attacks_of_both_kinds():
    results = [replace(measure_attack("a", SAID, IS_MEMBER), label_only=True)]
    assert leak_beyond_labels(results, {"a": SAID}, IS_MEMBER) is None


def sure_members(share, n=1000, seed=0):
    """Return scores of n members and n others of which a share of the members stands above all others."""
    scores = np.random.default_rng(seed).normal(size=2 * n)
    scores[: round(share * n)] += 20
    return scores, np.arange(2 * n) < n


def identified(is_member, *scores, levels=LEVELS):
    """Return which of the attacks with the given scores identify members with certainty."""
    said = {f"attack {i}": AttackScores(each) for i, each in enumerate(scores)}
    return surely_identified(said, {}, is_member, levels)


def test_members_are_identified_by_the_corrected_interval():
    """It is that of the metrics at a level divided by the attacks and reliable rates: 5 % by two times one here."""
    scores, is_member = sure_members(0.2)
    (found,) = identified(is_member, scores, np.zeros(2000))
    assert (found.attack, found.n_points, found.confidence_level) == ("attack 0", 2, 0.975)
    ends = tpr_at_fpr_interval(is_member, scores, max_fpr=0.01, confidence_level=0.975)
    assert (found.point.tpr.low, found.point.tpr.high) == pytest.approx(ends)
    assert found.point.max_fpr == 0.01 and found.point.tpr.low >= 0.1
    assert found.ratio == pytest.approx(100 * ends[0])


def test_few_rows_or_many_attacks_make_nothing_certain():
    """What is certain for one attack is not if it is the best of 20, nor at a rate that few non-members stand for."""
    scores, is_member = sure_members(0.119)
    assert identified(is_member, scores)
    assert not identified(is_member, scores, *np.zeros((19, 2000)))
    assert not identified(*reversed(sure_members(0.5, n=999)))


def test_both_directions_of_a_signal_are_looked_at():
    """The direction of the area is the wrong one for a few certain members, and counts as two looks."""
    scores, is_member = sure_members(0.2)
    said = {"a": AttackScores(-scores)}
    assert not surely_identified(said, {"a": None}, is_member, LEVELS)
    (found,) = surely_identified(said, {"a": -scores}, is_member, LEVELS)
    assert found.n_points == 2 and not found.as_learned
    (found,) = surely_identified({"a": AttackScores(scores)}, {"a": -scores}, is_member, LEVELS)
    assert found.as_learned


def test_low_rates_alone_count():
    """All members above half of the others: twice as often as non-members at a rate of a half, and no more at 1 %."""
    scores = np.r_[np.full(1000, 1.0), np.arange(1000) % 2]
    assert not identified(np.arange(2000) < 1000, scores, levels=(0.05, 0.1, 0.5))


def test_clearest_point_comes_first():
    """Each attack has its own clearest rate, and the attack that identifies most at the lowest rate is the first."""
    weak, is_member = sure_members(0.15, n=20000)
    strong, _ = sure_members(0.4, n=20000)
    found = identified(is_member, weak, strong, levels=LEVELS)
    assert [(each.attack, each.point.max_fpr) for each in found] == [("attack 1", 0.001), ("attack 0", 0.001)]


def null_scores(rng, n_rows):
    """Return scores of attacks that find nothing: smooth, heavy-tailed, coarse, of two values, and two alike."""
    noise = rng.normal(size=n_rows)
    return {
        "smooth": noise,
        "alike": noise + 0.3 * rng.normal(size=n_rows),
        "heavy": rng.standard_cauchy(n_rows),
        "coarse": np.round(rng.normal(size=n_rows)),
        "rare": (rng.random(n_rows) < 0.02).astype(float),
    }


def test_leaks_are_hardly_ever_claimed_where_there_is_none():
    """In 100 null audits of five attacks 5 % may claim a leak by the areas, and none by identifying members."""
    is_member, half, n_claims = np.arange(2000) % 2 == 0, np.arange(2000) // 2 % 2, 0
    keys, everywhere = np.arange(2000), np.ones(2000, dtype=bool)
    for seed in range(100):
        said = {
            name: AttackScores(scores, half=half)
            for name, scores in null_scores(np.random.default_rng(seed), 2000).items()
        }
        signals = {name: each.scores for name, each in said.items()}
        assert not surely_identified(said, signals, is_member, LEVELS)
        chance = compare_with_chance(said, signals, is_member, everywhere, keys, n_permutations=40, seed=seed)
        n_claims += chance.p_value <= 0.05
    assert n_claims <= 12  # more happen in 0.3 % of 100 draws at 0.05


def test_identification_beyond_labels():
    """Attacks on answers must surely identify more members than attacks on labels may at the same rate."""
    scores, is_member = sure_members(0.3)
    said = {"answers": AttackScores(scores), "labels": AttackScores(scores)}
    results = [
        replace(measure_attack(name, each, is_member, fpr_levels=LEVELS), label_only=name == "labels")
        for name, each in said.items()
    ]
    found = surely_identified(said, {}, is_member, LEVELS)
    alike = TargetResult(tuple(results), None, None, None, {}, {}, 0.0, identified=found)
    assert not alike.identifies_beyond_labels()
    assert [each.attack for each in alike.identifies(label_only=True)] == ["labels"]
    weak = OperatingPoint(0.01, Estimate(0.01, 0.0, 0.02), 0.01, True)
    blind = replace(alike, attacks=(results[0], replace(results[1], tpr_at_fpr=(weak,))), identified=found[:1])
    assert blind.identifies_beyond_labels()
    plain = [each.to_dict() for each in found]
    assert json.loads(json.dumps(plain)) == plain

"""Whether the strongest of several attacks is stronger than chance."""

from itertools import combinations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from skdiffence._evaluation._cross_fit import AttackScores
from skdiffence._evaluation._measure import measure_attack
from skdiffence._evaluation._named_attacks import named_attacks
from skdiffence._evaluation._run_attack import query_target, run_attack
from skdiffence._evaluation._significance import compare_with_chance, undirected_signal
from skdiffence.attacks import ThresholdAttack
from skdiffence.inspection._audit_rows import audit_rows
from skdiffence.utils._rows import row_digests
from tests.attacks.targets import normal
from tests.inspection.audit_cases import FAST, sides


def null_comparison(seed):
    """Attack a target that does not leak and compare the strongest of three attacks with chance."""
    target, members, others = sides(normal(0.0), normal(0.0), n=120, seed=seed)
    rows, _ = audit_rows([], members, others, seed)
    queried = query_target(target, rows.X, rows.y, [])
    attacks = named_attacks([*FAST, ("learned", ThresholdAttack("logit", threshold="per_class"))])
    said = {name: run_attack(name, each, queried, rows, known=0.5, seed=seed).said for name, each in attacks.items()}
    signals = {"entropy": undirected_signal(attacks["entropy"], queried.answers, rows.is_member)}
    assert undirected_signal(attacks["learned"], queried.answers, rows.is_member) is None
    everywhere = np.ones(len(rows), dtype=bool)
    test = compare_with_chance(said, signals, rows.is_member, everywhere, rows.keys, n_permutations=100, seed=seed)
    return test, [measure_attack(name, each, rows.is_member).auc for name, each in said.items()]


def test_false_claims_are_as_rare_as_promised():
    """In 40 audits without a leak 5 % may claim one, and 95 % intervals hold 0.5; tolerances are binomial."""
    found = [null_comparison(seed) for seed in range(40)]
    claims = sum(test.p_value <= 0.05 for test, _ in found)
    assert claims <= 6  # more happen in 0.3 % of 40 draws at 0.05
    missed = sum(not auc.low <= 0.5 <= auc.high for _, areas in found for auc in areas)
    assert missed <= 0.1 * 120  # attacks on one audit miss together


def test_comparison_with_chance_is_the_exact_permutation_test():
    """One signal, few rows: against all permutations of the memberships; learned scores count in a half."""
    rng = np.random.default_rng(1)
    is_member, half = np.arange(8) % 2 == 0, np.arange(8) // 4
    signal = rng.normal(size=8) + is_member
    areas = []
    for members in combinations(range(8), 4):
        areas.append(abs(roc_auc_score(np.isin(np.arange(8), members), signal) - 0.5))
    exact = np.mean(np.array(areas) >= abs(roc_auc_score(is_member, signal) - 0.5) - 1e-12)
    keys = row_digests(np.arange(8)[:, None])
    said = {"a": AttackScores(signal, half=half)}
    of_all = is_member, np.ones(8, dtype=bool), keys
    found = compare_with_chance(said, {"a": signal}, *of_all, n_permutations=20000, seed=0)
    assert found.p_value == pytest.approx(exact, abs=0.01)
    learned = compare_with_chance(said, {}, *of_all, n_permutations=1000, seed=0)
    assert learned.p_value >= 2 / 6  # of six ways to call two of four members, and for two halves


def test_small_but_certain_area_is_not_lost_among_uncertain_ones():
    """All members are labeled correctly, and 6 % of the non-members are not: an area of 0.53 that is no chance."""
    rng = np.random.default_rng(0)
    is_member, half = np.arange(800) % 2 == 0, np.arange(800) // 2 % 2
    right = np.where(is_member, 1.0, rng.random(800) > 0.06)
    noise = rng.normal(size=(5, 800))
    signals = {"right": right} | {f"noise {i}": signal for i, signal in enumerate(noise)}
    said = {name: AttackScores(signal, half=half) for name, signal in signals.items()}
    of_all = is_member, np.ones(800, dtype=bool), row_digests(noise.T)
    found = compare_with_chance(said, signals, *of_all, n_permutations=1000, seed=0)
    assert found.least_likely == "right"
    assert found.p_value < 0.01


def test_p_value_is_never_zero():
    """The memberships themselves count as one of the permutations."""
    is_member, half = np.arange(40) % 2 == 0, np.arange(40) // 20
    signal, keys = is_member.astype(float), row_digests(np.arange(40)[:, None])
    said = {"a": AttackScores(signal, half=half)}
    of_all = is_member, np.ones(40, dtype=bool), keys
    found = compare_with_chance(said, {"a": signal}, *of_all, n_permutations=19, seed=0)
    assert found.p_value == 1 / 20

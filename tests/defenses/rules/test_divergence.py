"""The divergence of two samples against scipy, relabeling and repeated draws."""

import numpy as np
import pytest
from scipy.stats import cramervonmises_2samp

from skdiffence.defenses.rules._divergence import cramer_von_mises, standard_error


def uncorrected(first, second):
    compared = cramer_von_mises(first, second)
    return compared.divergence + compared.null_mean


@pytest.mark.parametrize(("n", "m"), [(2, 2), (7, 12), (40, 25)])
def test_divergence_is_scipys_statistic(n, m):
    """Without ties, scipy's criterion is nm / (n + m) times the mean of the squared difference."""
    rng = np.random.default_rng(n)
    first, second = rng.normal(0, 1, n), rng.normal(1, 2, m)
    expected = cramervonmises_2samp(first, second, method="asymptotic").statistic
    assert uncorrected(first, second) * n * m / (n + m) == pytest.approx(expected)


def test_divergence_of_equal_and_of_separate_samples():
    """The two ends: nothing, and almost 1/3."""
    sample = np.arange(200.0)
    assert uncorrected(sample, sample) == pytest.approx(0)
    assert uncorrected(sample, sample + 500) == pytest.approx(1 / 3, abs=0.003)


def test_order_preserving_changes_do_not_matter():
    """Ranks decide."""
    rng = np.random.default_rng(0)
    first, second = rng.normal(0, 1, 30), rng.normal(1, 2, 20)
    assert uncorrected(np.exp(first), np.exp(second)) == pytest.approx(uncorrected(first, second))


@pytest.mark.parametrize(("n", "m", "digits"), [(12, 12, 9), (30, 15, 9), (30, 15, 0)])
def test_null_mean_is_the_mean_over_relabelings(n, m, digits):
    """The closed form against 2,000 relabelings, with and without ties, within four standard errors."""
    rng = np.random.default_rng(0)
    pooled = np.round(rng.normal(size=n + m), digits)
    simulated = np.array([uncorrected(row[:n], row[n:]) for row in (rng.permutation(pooled) for _ in range(2000))])
    null_mean = cramer_von_mises(pooled[:n], pooled[n:]).null_mean
    assert abs(simulated.mean() - null_mean) < 4 * simulated.std() / np.sqrt(len(simulated))


@pytest.mark.parametrize("shift", [0.0, 0.5, 1.5])
def test_standard_error_is_the_spread_over_draws(shift):
    """Within a fifth of the spread over 600 draws where there is a difference, and not below it where there is none."""
    rng = np.random.default_rng(1)
    drawn = [cramer_von_mises(rng.normal(shift, 1, 80), rng.normal(0, 1, 60)) for _ in range(600)]
    spread = np.std([each.divergence for each in drawn])
    claimed = np.mean([standard_error(each) for each in drawn])
    assert 0.8 * spread < claimed < (2.0 if shift == 0 else 1.25) * spread


def test_paired_error_is_smaller_and_zero_for_the_same_answers():
    """Two rules on the same rows share most of their chance."""
    rng = np.random.default_rng(2)
    sides = rng.normal(1, 1, 80), rng.normal(0, 1, 80)
    answers = cramer_von_mises(*sides)
    others = cramer_von_mises(*(side + rng.normal(0, 0.1, 80) for side in sides))
    assert standard_error(answers, answers) == 0
    assert standard_error(answers, others) < 0.7 * standard_error(answers)


def test_paired_error_is_the_spread_of_the_difference():
    """Two rules, one of which sees the rows through noise, over 600 draws."""
    rng = np.random.default_rng(3)
    differences, claimed = [], []
    for _ in range(600):
        sides = rng.normal(1.5, 1, 80), rng.normal(0, 1, 60)
        answers = cramer_von_mises(*sides)
        others = cramer_von_mises(*(side + rng.normal(0, 1, len(side)) for side in sides))
        differences.append(answers.divergence - others.divergence)
        claimed.append(standard_error(answers, others))
    assert 0.8 * np.std(differences) < np.mean(claimed) < 1.25 * np.std(differences)

"""Attacks on arrays against other people's code, where it is installed."""

import numpy as np
import pytest

from skdiffence.attacks import lira_scores, rmia_scores
from skdiffence.metrics import confidence_signal, entropy_signal, logit_signal, loss_signal, modified_entropy_signal

PATH = "tensorflow_privacy.privacy.privacy_tests.membership_inference_attack.advanced_mia"


@pytest.fixture(scope="module")
def advanced_mia():
    """Return TensorFlow Privacy's module of attacks with shadow models, which needs no TensorFlow."""
    return pytest.importorskip(PATH, exc_type=ImportError)


@pytest.mark.parametrize("missing", [0.0, 0.05])
@pytest.mark.parametrize("n_queries", [1, 3])
@pytest.mark.parametrize("center", ["mean", "median"])
@pytest.mark.parametrize("variance", ["fixed", "per_sample"])
@pytest.mark.parametrize(("mode", "option"), [("online", "both"), ("offline", "out")])
def test_lira(advanced_mia, mode, option, variance, center, n_queries, missing):
    """Every variant that the other has, to 1e-8; there small means member."""
    rng = np.random.default_rng(0)
    membership = rng.permuted(np.tile(np.arange(17) % 2 == 0, (40, 1)), axis=1)
    shadows = rng.normal(size=(40, 17, n_queries)) * rng.uniform(0.5, 2, (40, 1, 1)) + 4 * rng.normal(size=(40, 1, 1))
    shadows += 2 * membership[:, :, np.newaxis]
    shadows[rng.random(shadows.shape) < missing] = np.nan
    target = rng.normal(scale=4, size=(40, n_queries))
    sides = ([signals[mask] for signals, mask in zip(shadows, side, strict=True)] for side in (membership, ~membership))
    expected = -advanced_mia.compute_score_lira(target, *sides, option, variance == "fixed", center)
    scores = lira_scores(target, shadows, membership, mode=mode, variance=variance, center=center, two_sided=True)
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-8)


def test_logit(advanced_mia):
    """The signal that LiRA compares."""
    proba = np.random.default_rng(0).dirichlet(np.full(5, 0.3), size=200)
    y = np.random.default_rng(1).integers(5, size=200)
    # It overwrites what it is given.
    expected = advanced_mia.calculate_statistic(proba.copy(), y, is_logits=False, option="logit")
    np.testing.assert_allclose(logit_signal(y, proba), expected, rtol=1e-12)


@pytest.fixture(scope="module")
def answers():
    """Return class probabilities and true labels."""
    rng = np.random.default_rng(0)
    return rng.dirichlet(np.full(5, 0.3), size=200), rng.integers(5, size=200)


@pytest.mark.parametrize(
    ("signal", "option", "sign"), [(confidence_signal, "conf with prob", 1), (loss_signal, "xe", -1)]
)
def test_confidence_and_loss(advanced_mia, answers, signal, option, sign):
    """The signals of single answers."""
    proba, y = answers
    expected = sign * advanced_mia.calculate_statistic(proba.copy(), y, is_logits=False, option=option)
    np.testing.assert_allclose(signal(y, proba), expected, rtol=1e-8)


def test_entropies(answers):
    """Entropy, and the modified one; there small means member."""
    structures = pytest.importorskip(PATH.replace("advanced_mia", "data_structures"), exc_type=ImportError)
    proba, y = answers
    entropy = structures.AttackInputData._get_entropy
    np.testing.assert_allclose(entropy_signal(None, proba), -entropy(proba, None), atol=1e-8)
    np.testing.assert_allclose(modified_entropy_signal(y, proba), -entropy(proba, y), atol=1e-8)


def test_rmia_reference_probabilities():
    """Offline RMIA from PrivacyGuard's averages over the models that were not trained on a row."""
    theirs = pytest.importorskip("privacy_guard.attacks.rmia_attack", exc_type=ImportError).RmiaAttack
    rng = np.random.default_rng(0)
    membership = rng.permuted(np.tile(np.arange(8) % 2 == 0, (60, 1)), axis=1)
    shadows, population = rng.uniform(0.05, 0.95, (60, 8)), rng.uniform(0.05, 0.95, (90, 8))
    target, target_population = rng.uniform(0.05, 0.95, 60), rng.uniform(0.05, 0.95, 90)
    out = theirs.compute_ref_signal_averages(shadows, membership).mean(axis=1)
    nobody = np.zeros(population.shape, dtype=bool)
    out_population = theirs.compute_ref_signal_averages(population, nobody, num_models=8).mean(axis=1)
    ratios = [p / ((1.3 * q + 0.7) / 2) for p, q in ((target, out), (target_population, out_population))]
    expected = (ratios[0][:, np.newaxis] / ratios[1] > 1).mean(axis=1)
    scores = rmia_scores(target, shadows, membership, target_population, population, mode="offline", offline_a=0.3)
    np.testing.assert_allclose(scores, expected, atol=1e-8)

"""Attacks on arrays against other people's code, where it is installed."""

import numpy as np
import pytest

from skdiffence.attacks import lira_scores
from skdiffence.metrics import logit_signal

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
    np.testing.assert_allclose(logit_signal(proba, y), expected, rtol=1e-12)

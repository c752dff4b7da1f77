"""What the demo and benchmarks compute beside the library's figures."""

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import log_loss

from skdiffence._demo._engine import recalibrated_log_loss


def test_recalibration_undoes_a_temperature():
    """Logits three times too large: the temperature is 3, and the loss is that of the logits as they were."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(20_000, 4))
    proba = softmax(logits, axis=1)
    y = (proba.cumsum(axis=1) < rng.random((len(proba), 1))).sum(axis=1)
    sure = softmax(3 * logits, axis=1)
    half = slice(0, 10_000), slice(10_000, None)
    nll, temperature = recalibrated_log_loss(sure[half[0]], y[half[0]], sure[half[1]], y[half[1]])
    assert temperature == pytest.approx(3, rel=0.05)
    assert nll == pytest.approx(log_loss(y[half[1]], proba[half[1]]), rel=0.01)
    assert nll < log_loss(y[half[1]], sure[half[1]]) - 0.1

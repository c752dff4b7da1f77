"""What counts as probabilities: rounded answers of services do, logits, sigmoids and diverged nets don't."""

import numpy as np
import pytest
from scipy.special import expit, softmax

from skdiffence.metrics import entropy_signal, logit_signal
from skdiffence.metrics._probabilities import describe_fault
from skdiffence.metrics._signals import check_proba

RNG = np.random.default_rng(0)


def some(n_classes, sharpness=3.0):
    return softmax(sharpness * RNG.normal(size=(300, n_classes)), axis=1)


@pytest.mark.parametrize("digits", [2, 3, 4, 5])
@pytest.mark.parametrize("n_classes", [2, 3, 10, 100])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("cut", [False, True])
def test_rounded_probabilities_are_probabilities(digits, n_classes, dtype, cut):
    """To two to five digits, rounded or cut off; sums are then off by more than rounding errors of the machine."""
    proba = some(n_classes)
    rounded = np.floor(proba * 10**digits) / 10**digits if cut else proba.round(digits)
    rounded = rounded.astype(dtype)
    assert describe_fault(rounded) is None
    np.testing.assert_array_equal(check_proba(rounded), rounded)
    assert np.isfinite(entropy_signal(np.zeros(300, int), rounded)).all()
    assert np.isfinite(logit_signal(np.zeros(300, int), rounded)).all()


def test_few_digits_of_many_classes():
    """A hundred classes at two digits lose the tail of a flat answer, but not most of it."""
    assert describe_fault(np.r_[0.6, np.full(99, 0.0)][None]) is None
    assert "class left out" in describe_fault(np.r_[0.4, np.full(99, 0.0)][None])
    assert "class left out" in describe_fault(np.zeros((1, 10)))


@pytest.mark.parametrize(
    ("numbers", "cause"),
    [
        (RNG.normal(size=(50, 10)), "Are these logits"),
        (np.abs(RNG.normal(size=(50, 10))) + 1, "Are these logits"),
        (np.log(some(5)), "Are these logits"),
        (100 * some(5).round(2), "Are these percentages. Divide them by 100"),
        (100 * some(5), "Are these percentages"),
        (expit(RNG.normal(size=(50, 3))), "do not exclude each other"),
        (expit(RNG.normal(size=(50, 3))).round(2), "do not exclude each other"),
        (np.array([[1.0, 0.2]]), "do not exclude each other"),
        (some(10)[:, :9], "class left out"),
        (np.where(np.arange(10) == 3, np.nan, some(10)), "NaN or infinity in 300 of 300 rows: training diverged"),
        (np.r_[some(3), [[np.nan] * 3]], "NaN or infinity in 1 of 301 rows"),
        (np.array([[np.inf, 0.0]]), "NaN or infinity in 1 of 1 rows"),
    ],
)
def test_others_are_told_their_cause(numbers, cause):
    """Each is named for what it is: a diverged net was told to use the criterion that it used."""
    with pytest.raises(ValueError, match=cause):
        check_proba(numbers)


def test_no_rows_are_right():
    assert describe_fault(np.empty((0, 3))) is None

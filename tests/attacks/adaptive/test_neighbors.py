"""Near-duplicates differ from their rows by what was asked for and nothing else."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from skdiffence.attacks import RepeatedQueryAttack
from skdiffence.attacks._changed_rows import learn_range
from skdiffence.attacks.adaptive._neighbors import NEIGHBORS, Neighbors
from skdiffence.datasets import load_digit_images

DIGITS = load_digit_images().data[:50]
BYTES = np.random.default_rng(0).integers(256, size=(30, 3, 4, 5)).astype(np.uint8)
ROWS = np.random.default_rng(0).normal(size=(40, 6)) * [1, 1, 100, 0, 1, 1]
INPUTS = {"digits": DIGITS, "bytes": BYTES, "rows": ROWS, "single rows": ROWS.astype(np.float32)}


def _neighbors(kind, X, seed=0, share=0.2, value_range="auto"):
    return Neighbors(kind, X, learn_range(X, value_range), share=share, seed=seed)


@pytest.mark.parametrize("inputs", INPUTS)
@pytest.mark.parametrize("kind", NEIGHBORS)
def test_the_same_change_for_every_row(kind, inputs):
    """What is changed depends on the seed and the number alone; number 0 is the row."""
    X = INPUTS[inputs]
    neighbors = _neighbors(kind, X)
    np.testing.assert_array_equal(neighbors.make(X, 0), X)
    changed = neighbors.make(X, 3)
    assert (changed.dtype, changed.shape) == (X.dtype, X.shape)
    np.testing.assert_array_equal(neighbors.make(X[::-1], 3), changed[::-1])
    np.testing.assert_array_equal(_neighbors(kind, X[::-1]).make(X[:1], 3), changed[:1])
    if kind != "exact":
        assert all((row != other).any() for row, other in zip(X, changed, strict=True))
        assert (neighbors.make(X, 4) != changed).any()
        assert (_neighbors(kind, X, seed=1).make(X, 3) != changed).any()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_ulp_is_the_next_number(dtype):
    """Every value moves to a neighbor, of single precision at the finest: it survives a cast to that."""
    X = np.random.default_rng(0).normal(size=(20, 5)).astype(dtype)
    changed = _neighbors("ulp", X).make(X, 1)
    coarse = np.float16 if dtype == np.float16 else np.float32
    before, after = X.astype(coarse), changed.astype(coarse)
    assert (after != before).all()
    np.testing.assert_array_equal(np.nextafter(before, after), after)


def test_ulp_of_whole_numbers_is_one():
    """Whole numbers have no nearer ones; those at an end of the range move inwards."""
    changed = _neighbors("ulp", BYTES).make(BYTES, 1).astype(int)
    assert (np.abs(changed - BYTES) == 1).all()


@pytest.mark.parametrize(
    ("inputs", "step"),
    [("digits", 1 / 255), ("bytes", 1), ("rows", 8 * ROWS.std(axis=0) / 255)],
)
def test_quantum_is_one_value_by_one_level(inputs, step):
    """One value of each row moves by 1/255 of its range, another one each time, and further after all had a turn."""
    X = INPUTS[inputs]
    neighbors, step = _neighbors("quantum", X), np.broadcast_to(step, X.shape[1:])
    n_varying = np.count_nonzero(step)
    places = []
    for number in range(1, n_varying + 2):
        size = np.abs(neighbors.make(X, number).astype(float) - X)
        changed = np.flatnonzero(size.any(axis=0))
        assert len(changed) == 1
        turns = 1 if number <= n_varying else 2
        np.testing.assert_allclose(size.reshape(len(X), -1)[:, changed[0]], turns * step.flat[changed[0]], rtol=2e-3)
        places.append(changed[0])
    assert len(set(places)) == n_varying
    assert places[0] == places[-1]


@settings(max_examples=60, deadline=None)
@given(
    X=arrays(np.float32, (4, 1, 2, 2), elements=st.floats(0, 1, width=32)),
    low=st.integers(-200, 200),
    width=st.integers(1, 300),
    number=st.integers(1, 9),
)
def test_quantum_survives_8_bits(X, low, width, number):
    """Whatever the range and the value, the code at 8 bits changes, and the value stays in the range."""
    X = (low + width * X.astype(np.float64)).clip(low, low + width)
    changed = _neighbors("quantum", X, value_range=(low, low + width)).make(X, number)
    codes = [np.rint((rows - low) / width * 255) for rows in (X, changed)]
    assert (codes[0] != codes[1]).reshape(4, -1).any(axis=1).all()
    assert low <= changed.min() <= changed.max() <= low + width


def test_quantum_survives_rounding_to_even():
    """Halfway between two levels, exactly one level more would round to the same even one half of the time."""
    X = np.arange(20.0).reshape(20, 1, 1, 1) + 0.5
    changed = _neighbors("quantum", X, value_range=(0, 255)).make(X, 1)
    assert (np.rint(changed) != np.rint(X)).all()


@pytest.mark.parametrize(("inputs", "step"), [("digits", 1 / 16), ("bytes", 1)])
@pytest.mark.parametrize("share", [0.001, 0.2, 1.0])
def test_gray_is_one_level_in_a_share_of_the_values(inputs, step, share):
    """The level is the one that occurs: sixteenths of digits, whole numbers of bytes."""
    X = INPUTS[inputs]
    size = np.abs(_neighbors("gray", X, share=share).make(X, 1).astype(float) - X)
    n_values = size[0].size
    assert (np.count_nonzero(size.reshape(len(X), -1), axis=1) == max(round(share * n_values), 1)).all()
    np.testing.assert_allclose(size[size > 0], step)


def test_gray_of_rows_is_each_feature_s():
    """Features have steps of their own; of continuous ones it is 1/255 of the range, and constant ones stay."""
    X = np.column_stack([np.arange(40) % 5, 10 * (np.arange(40) % 3), np.ones(40), np.linspace(0, 1, 40) ** 2])
    size = np.abs(_neighbors("gray", X, share=1.0).make(X, 1) - X)
    expected = [1, 10, 0, 8 * X[:, 3].std() / 255]
    np.testing.assert_allclose(size, np.broadcast_to(expected, X.shape), rtol=2e-3)


def test_rows_outside_the_range_move_towards_it():
    """A value that lies outside is changed like any other."""
    X = np.array([[-5.0, 0.5], [5.0, 0.5]])
    changed = _neighbors("gray", X, share=1.0, value_range=(0, 1)).make(X, 1)
    assert changed[0, 0] > -5
    assert changed[1, 0] < 5


@pytest.mark.parametrize("kind", ["gray", "quantum"])
def test_constant_rows(kind):
    """Where nothing varies there is no step to take."""
    attack = RepeatedQueryAttack(2, neighbor=kind)
    with pytest.raises(ValueError, match="X must vary in at least one feature"):
        attack.fit(None, np.ones((4, 3)), np.zeros(4), [0, 1, 0, 1])


@pytest.mark.parametrize("value_range", [(1, 0), (0, np.inf), (0, 1, 2), "wide", ([0, 0], [1, 1])])
def test_bad_ranges(value_range):
    """A range is a finite pair in order, of numbers or of one for each channel."""
    attack = RepeatedQueryAttack(2, value_range=value_range)
    with pytest.raises(ValueError, match="value_range"):
        attack.fit(None, DIGITS, np.zeros(50), np.arange(50) % 2)

"""The data sets and the partition into members and others."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from skdiffence.datasets import load_digit_images, membership_partition


def test_digits_are_scikit_learns():
    """The same pixels, as images between 0 and 1."""
    digits = load_digit_images()
    np.testing.assert_array_equal(digits.data.reshape(-1, 64) * 16, load_digits().data)
    assert digits.data.dtype == np.float32
    assert (digits.data.min(), digits.data.max()) == (0, 1)


def test_parts_are_disjoint_and_complete():
    """Every row is in exactly one part."""
    parts = membership_partition(20, {"a": 5, "b": 7}, random_state=0)
    assert [len(parts[name]) for name in ("a", "b", "rest")] == [5, 7, 8]
    np.testing.assert_array_equal(np.sort(np.concatenate(list(parts.values()))), np.arange(20))


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint64])
def test_sizes_of_any_integer_type(dtype):
    """A sum of sizes may be beyond the range of their type."""
    parts = membership_partition(dtype(250), {"a": dtype(150), "b": dtype(100)}, random_state=0)
    assert [len(parts[name]) for name in ("a", "b", "rest")] == [150, 100, 0]
    plain = membership_partition(250, {"a": 150, "b": 100}, random_state=0)
    np.testing.assert_array_equal(parts.a, plain.a)
    with pytest.raises(ValueError, match="sizes need 300 rows in all, but n_samples=250"):
        membership_partition(dtype(250), {"a": dtype(200), "b": dtype(100)})


def test_seed_decides_the_partition():
    """Equal seeds, equal parts."""
    first, same, other = (membership_partition(50, {"a": 25}, random_state=seed).a for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, same)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"a": 11}, "sizes need 11 rows"),
        ({"a": 0}, "Got 'a': 0"),
        ({"rest": 2}, "Got 'rest': 2"),
        ({"a": 1.5}, "1.5"),
        ({"a": True}, "Got 'a': True"),
        ({"items": 2}, "can't be names. Got 'items': 2"),
        ({1: 2}, "can't be names. Got 1: 2"),
    ],
)
def test_impossible_sizes(sizes, message):
    """The message names what came."""
    with pytest.raises(ValueError, match=message):
        membership_partition(10, sizes)

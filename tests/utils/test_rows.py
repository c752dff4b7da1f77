"""Rows recognized by content."""

import hashlib

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from skdiffence.utils._rows import RowSet, canonical_rows, data_digest, row_digests

TABLES = arrays.arrays(np.float64, (4, 3), elements=st.floats(width=32))


@settings(deadline=None, max_examples=60)
@given(TABLES)
def test_canonical_rows_are_equal_as_bytes_where_they_are_equal_as_numbers(X):
    """-0.0 is 0.0, all NaNs are one, float64 becomes float32, and nothing else changes."""
    rows = canonical_rows(X)
    assert rows.dtype == np.float32
    assert rows.flags.c_contiguous
    np.testing.assert_array_equal(rows, X.astype(np.float32))
    assert rows.tobytes() == canonical_rows(np.where(X == 0, -0.0, X)).tobytes()
    assert not np.signbit(rows[rows == 0]).any()


def test_nans_are_one():
    """NaNs of another sign or payload compare equal."""
    strange = np.array([0xFFC00001, 0x7FC00123], dtype=np.uint32).view(np.float32)
    first, second = row_digests(strange[:, None])
    assert first == second == row_digests([[np.nan]])[0]


def test_caller_keeps_the_array():
    """The input is not written to."""
    X = np.array([[-0.0, np.nan]], dtype=np.float32)
    X.flags.writeable = False
    canonical_rows(X)
    assert np.signbit(X[0, 0])


@pytest.mark.parametrize(
    "convert",
    [
        np.asfortranarray,
        lambda X: X.astype(np.float64),
        lambda X: X.astype(int),
        lambda X: X.reshape(5, 1, 2, 3),
        lambda X: X.tolist(),
        pd.DataFrame,
        lambda X: pd.DataFrame(X.astype(int)).astype({0: "Int64", 1: float}),
        lambda X: np.repeat(X, 2, axis=0)[::2],
    ],
)
def test_digests_depend_on_values_alone(convert):
    """Not on layout, type, shape or container."""
    X = np.arange(30, dtype=np.float32).reshape(5, 6)
    np.testing.assert_array_equal(row_digests(convert(X)), row_digests(X))


def test_digest_is_keyed_blake2b():
    """The published hash, of the canonical bytes."""
    X = np.array([[1.5, -0.0]])
    expected = hashlib.blake2b(np.array([1.5, 0.0], dtype=np.float32).tobytes(), digest_size=16, key=b"k").digest()
    assert row_digests(X, b"k").tolist() == [expected]
    assert row_digests(X, b"another")[0] != expected


def test_rows_beyond_float32():
    """Large numbers become infinities, without a warning."""
    assert row_digests([[1e300]])[0] == row_digests([[np.inf]])[0]


@pytest.mark.parametrize("X", [[["a"]], pd.DataFrame({"town": ["Ulm"]}), [[None, object()]]])
def test_text_is_refused(X):
    """Only numbers can be compared."""
    with pytest.raises(ValueError, match="X must be numeric"):
        row_digests(X)


@settings(deadline=None, max_examples=40)
@given(arrays.arrays(np.int8, (12, 2), elements=st.integers(-2, 2)), st.integers(0, 12))
def test_row_set_is_a_set(X, n):
    """Membership and size against Python's own sets."""
    rows = RowSet.of(X[:n])
    inside = {tuple(row) for row in X[:n].tolist()}
    assert len(rows) == len(inside)
    assert rows.contains(X).tolist() == [tuple(row) in inside for row in X.tolist()]


def test_row_set_is_keyed_by_itself():
    """Two sets of the same rows share no digest, unless they are given one key."""
    X = np.arange(6.0).reshape(3, 2)
    assert not set(RowSet.of(X).digests) & set(RowSet.of(X).digests)
    assert set(RowSet.of(X, key=b"k").digests) == set(RowSet.of(X, key=b"k").digests)


def test_empty_row_set():
    """It contains nothing, and asks nothing of the rows."""
    assert len(RowSet.empty()) == 0
    assert not RowSet.empty().contains(np.ones((3, 2))).any()
    assert RowSet.of(np.ones((3, 2))).contains(np.ones((0, 2))).shape == (0,)
    assert repr(RowSet.of(np.ones((3, 2)))) == "<RowSet of 1 distinct rows>"


def test_data_digest_tells_arrays_apart():
    """Order, shape, type and number of arrays all count; layout does not."""
    X = np.arange(6.0).reshape(3, 2)
    digests = [
        data_digest(X),
        data_digest(X[::-1]),
        data_digest(X.reshape(2, 3)),
        data_digest(X, X),
        data_digest(X, None),
        data_digest(X, [0, 1, 0]),
        data_digest(X, ["0", "1", "0"]),
        data_digest(X, ["01", "", "0"]),
    ]
    assert len(set(digests)) == len(digests)
    assert data_digest(X) == data_digest(np.asfortranarray(X)) == data_digest(X.tolist())

"""Rows compared by content."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from skdiffence._evaluation._rows import AttackedRows, find_rows, on_both_sides, row_keys

FEW = st.lists(st.integers(0, 3), max_size=8)


@given(FEW, FEW)
def test_rows_are_found_each_once(wanted, available):
    """The k-th of equal rows is found at the k-th place of such a row."""
    expected = []
    for i, row in enumerate(wanted):
        places = [place for place, other in enumerate(available) if other == row]
        k = wanted[:i].count(row)
        expected.append(places[k] if k < len(places) else -1)
    np.testing.assert_array_equal(find_rows(wanted, available), expected)


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix, pd.DataFrame, np.ndarray.tolist])
def test_keys_are_those_of_the_content(form):
    """In every form of the rows; equal rows have equal keys, under one key only."""
    X = np.array([[1.0, 0.0], [0.5, 2.0], [1.0, -0.0]])
    keys, by_content = row_keys(form(X), b"key")
    assert by_content
    np.testing.assert_array_equal(keys, row_keys(X, b"key")[0])
    assert keys[0] == keys[2] != keys[1]
    assert keys[0] != row_keys(X, b"other")[0][0]


def test_rows_of_text_have_keys_of_their_places():
    """All different, so that none is on both sides."""
    keys, by_content = row_keys(np.array([["a"], ["a"], ["b"]], dtype=object), b"key")
    assert not by_content
    assert len(set(keys)) == 3
    assert not on_both_sides(keys, np.array([True, False, False])).any()


def test_rows_are_taken_with_all_that_belongs_to_them():
    X = np.arange(8).reshape(4, 2)
    rows = AttackedRows(X, np.arange(4), np.arange(4) < 2).keyed(0)
    for chosen in (np.array([2, 0]), np.array([True, False, True, False])):
        taken = rows.take(chosen)
        for name in ("X", "y", "is_member", "keys"):
            np.testing.assert_array_equal(getattr(taken, name), getattr(rows, name)[chosen])
    assert (rows.keys != rows.keyed(1).keys).all()

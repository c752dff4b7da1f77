"""Rows compared by content."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from skdiffence._evaluation._rows import AttackedRows, find_rows

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


def test_rows_are_taken_with_all_that_belongs_to_them():
    X = np.arange(8).reshape(4, 2)
    rows = AttackedRows(X, np.arange(4), np.arange(4) < 2).keyed(0)
    for chosen in (np.array([2, 0]), np.array([True, False, True, False])):
        taken = rows.take(chosen)
        for name in ("X", "y", "is_member", "keys"):
            np.testing.assert_array_equal(getattr(taken, name), getattr(rows, name)[chosen])
    assert (rows.keys != rows.keyed(1).keys).all()

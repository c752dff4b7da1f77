"""Rows become numbers and go back to the type in which they came; what is not numeric is named."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays, from_dtype
from scipy.sparse import csr_array

from skdiffence.utils._frames import as_numbers, check_numeric, is_frame, is_numeric, like

FRAME = pd.DataFrame(
    {
        "metres": np.array([1.5, np.nan, -2.0], dtype=np.float32),
        "count": [3, 2**40, 0],
        "yes": [True, False, True],
        "maybe": pd.array([1, None, 5], dtype="Int64"),
        "unsure": pd.array([True, None, False], dtype="boolean"),
        "level": pd.array([0.5, None, 1.0], dtype="Float64"),
    },
    index=[7, 3, 5],
)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32, np.float64, bool])
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_arrays_come_back(dtype, data):
    """Numbers of any shape and type are unchanged, also by way of float64."""
    elements = {"min_value": -(2**53), "max_value": 2**53} if dtype is np.int64 else {}
    shape = array_shapes(min_dims=2, max_dims=4, max_side=4)
    X = data.draw(arrays(dtype, shape, elements=from_dtype(np.dtype(dtype), **elements)))
    assert as_numbers(X).dtype == X.dtype
    back = like(as_numbers(X).astype(np.float64), X)
    assert back.dtype == X.dtype
    np.testing.assert_array_equal(back, X)


def test_frames_come_back():
    """Columns, types, index and missing values are kept, of nullable types as well."""
    values = as_numbers(FRAME)
    assert values.dtype == np.float64
    assert np.isnan(values).sum() == 4
    pd.testing.assert_frame_equal(like(values, FRAME), FRAME)


def test_columns_of_one_name_come_back():
    """Columns are told apart by their place."""
    frame = pd.DataFrame([[1.0, 2], [3, 4]], columns=["a", "b"]).astype({"b": int}).set_axis(["a", "a"], axis=1)
    pd.testing.assert_frame_equal(like(as_numbers(frame), frame), frame)


@pytest.mark.parametrize("dtype", [np.int64, np.uint64])
@pytest.mark.parametrize("frame", [np.asarray, pd.DataFrame, pytest.importorskip("polars").DataFrame])
def test_ends_of_the_largest_integers_do_not_wrap_around(dtype, frame):
    """The largest integer of 64 bits is no float: rounded up, it would come back as the smallest one."""
    X = frame(np.zeros((2, 1), dtype=dtype))
    low, high = np.asarray(like(np.array([[-1e300], [1e300]]), X)).ravel().tolist()
    assert low == np.iinfo(dtype).min
    assert np.iinfo(dtype).max - 2048 <= high <= np.iinfo(dtype).max


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [(np.uint8, [0, 255, 2, 0]), (bool, [False, True, True, False]), (np.float32, [-3.2, 300.7, 2.5, 0.5])],
)
def test_changed_values_fit_the_type(dtype, expected):
    """Integers are rounded and stay in range, in arrays and frames; floats are left as they are."""
    changed, X = np.array([[-3.2, 300.7, 2.5, 0.5]]), np.zeros((1, 4), dtype=dtype)
    np.testing.assert_array_equal(like(changed, X)[0], np.array(expected, dtype=dtype))
    np.testing.assert_array_equal(like(changed, pd.DataFrame(X)).to_numpy()[0], np.array(expected, dtype=dtype))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.zeros(2, dtype=bool), True),
        (np.zeros(2, dtype=np.uint8), True),
        (pd.array([1, None], dtype="Int64"), True),
        (pd.array([0.5], dtype="Float64"), True),
        (pd.Categorical([1, 2]), False),
        (np.array([1, 2], dtype=object), False),
        (np.array(["1", "2"]), False),
        (pd.array(["1", "2"], dtype="string"), False),
        (np.zeros(2, dtype="datetime64[s]"), False),
        (np.zeros(2, dtype=complex), False),
    ],
    ids=lambda value: str(getattr(value, "dtype", value)),
)
def test_what_is_numeric(values, expected):
    """Booleans, integers and floats are, nullable ones too; categories, text of digits and objects are not."""
    assert is_numeric(values.dtype) is expected


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        (csr_array(np.eye(3)), TypeError, "must be dense.*toarray"),
        ([["1", "2"]], ValueError, "X must be numeric. Got dtype <U1"),
        (np.array([[1, 2]], dtype=object), ValueError, "Got dtype object"),
        (pd.DataFrame({"a": [1], "b": ["x"], "c": pd.Categorical([1])}), ValueError, "columns that are not: b, c"),
    ],
    ids=["sparse", "text", "objects", "frame"],
)
def test_what_is_not_numeric_is_refused(X, error, message):
    """The message names the dtype or the columns."""
    with pytest.raises(error, match=message):
        as_numbers(X)


def test_only_frames_are_checked_by_column():
    """Arrays are left to scikit-learn's validation."""
    check_numeric(np.array([["a"]]))
    check_numeric(FRAME)
    assert is_frame(FRAME)
    assert not is_frame(FRAME["count"])
    with pytest.raises(ValueError, match="columns that are not: day"):
        check_numeric(FRAME.assign(day="monday"))

"""Changed rows stay in range and in the form in which they came, and noise is as large as it says."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays, from_dtype
from scipy.sparse import csr_array

from skdiffence.attacks._changed_rows import InputSpace, as_floats, as_points_of, check_row_shape
from skdiffence.utils._frames import like

RNG = np.random.default_rng(0)
FRAME = pd.DataFrame(
    {
        "metres": RNG.normal(size=40).astype(np.float32),
        "count": RNG.integers(0, 9, size=40),
        "yes": RNG.random(40) < 0.5,
        "maybe": pd.array(RNG.integers(0, 5, size=40), dtype="Int64"),
    },
    index=np.arange(40) + 100,
)
FRAME.loc[100, "metres"] = np.nan
FRAME.loc[101, "maybe"] = pd.NA


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32, np.float64, bool])
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_round_trip(dtype, data):
    """Numbers of any shape and type come back as they were."""
    elements = {"allow_infinity": False} if np.dtype(dtype).kind == "f" else {}
    if dtype is np.int64:
        elements = {"min_value": -(2**53), "max_value": 2**53}
    shape = array_shapes(min_dims=2, max_dims=4, max_side=4)
    X = data.draw(arrays(dtype, shape, elements=from_dtype(np.dtype(dtype), **elements)))
    back = like(as_floats(X), X)
    assert back.dtype == X.dtype
    np.testing.assert_array_equal(back, X)


def test_round_trip_of_frames():
    """Columns, types, index and missing values of a frame are kept."""
    pd.testing.assert_frame_equal(like(as_floats(FRAME), FRAME), FRAME)
    assert np.isnan(as_floats(FRAME)).sum() == 2


@settings(max_examples=40, deadline=None)
@given(
    values=arrays(np.float64, (7, 3), elements=st.floats(-1e6, 1e6)),
    scale=st.floats(0.01, 100),
    seed=st.integers(0, 99),
)
def test_noise_stays_in_range(values, scale, seed):
    """However large the noise, rows stay between the known ones, and rows outside are moved no farther out."""
    space = InputSpace.of(values[:5])
    noisy = space.add_noise(values, scale, np.random.default_rng(seed))
    assert (noisy >= np.minimum(values[:5].min(axis=0), values)).all()
    assert (noisy <= np.maximum(values[:5].max(axis=0), values)).all()


def test_range_of_images_is_that_of_all_pixels():
    """A pixel may take the value of any other, a feature only its own."""
    values = np.zeros((10, 1, 2, 2))
    values[:, 0, 0, 0] = np.linspace(0, 9, 10)
    space = InputSpace.of(values)
    assert (space.low, space.high) == (0, 9)
    rows = InputSpace.of(values.reshape(10, 4))
    np.testing.assert_array_equal(rows.high, [9, 0, 0, 0])


def test_size_of_the_noise():
    """The root mean square change is the scale in standard deviations, of flipped features as well."""
    rng = np.random.default_rng(0)
    values = np.column_stack([rng.normal(0, 5, size=2000), rng.random(2000) < 0.3, np.full(2000, 2.0)])
    space = InputSpace.of(values)
    np.testing.assert_array_equal(space.binary, [False, True, False])
    for scale in (0.25, 1.0):
        changes = np.concatenate([space.add_noise(values[:1], scale, rng) - values[:1] for _ in range(4000)])
        rms = np.sqrt((changes**2).mean(axis=0))
        np.testing.assert_allclose(rms, scale * values.std(axis=0), rtol=0.1)
        assert set(np.unique(np.abs(changes[:, 1]))) == {0, 1}


def test_noise_is_the_same_for_all_rows():
    """One draw changes every row alike, and is the same whatever rows are asked with it."""
    values = np.random.default_rng(0).normal(size=(50, 3, 4))
    space = InputSpace.of(10 * values)
    noisy = space.add_noise(values, 0.01, np.random.default_rng(1))
    np.testing.assert_allclose(noisy - values, np.broadcast_to((noisy - values)[:1], values.shape), atol=1e-12)
    np.testing.assert_array_equal(space.add_noise(values[7:9], 0.01, np.random.default_rng(1)), noisy[7:9])


def test_missing_values_stay_missing():
    """A feature without a single value is left alone, others are changed where they are known."""
    values = as_floats(FRAME)
    values = np.column_stack([values, np.full(40, np.nan)])
    noisy = InputSpace.of(values).add_noise(values, 1.0, np.random.default_rng(0))
    np.testing.assert_array_equal(np.isnan(noisy), np.isnan(values))
    assert (noisy[5:, 0] != values[5:, 0]).any()


def test_points_between_rows():
    """Points are floating point numbers, of single precision at least, in the columns of a frame."""
    points = np.full((2, 4), 0.5)
    assert as_points_of(FRAME)(points).columns.tolist() == FRAME.columns.tolist()
    assert (as_points_of(FRAME)(points) == 0.5).all(axis=None)
    for dtype, expected in ((np.uint8, np.float32), (np.float32, np.float32), (np.float64, np.float64)):
        assert as_points_of(np.zeros((3, 4), dtype=dtype))(points).dtype == expected


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        (csr_array(np.eye(3)), TypeError, "must be dense.*toarray"),
        ([["a", "b"]], ValueError, "must be numeric. Got dtype <U1"),
        (np.array([[object()]]), ValueError, "Got dtype object"),
        (np.array([[1.0, np.inf]]), ValueError, "must be finite. Got infinities"),
        (pd.DataFrame({"a": [1], "b": ["x"]}), ValueError, "Got columns that are not: b"),
        (pd.DataFrame({"a": pd.Categorical([1, 2])}), ValueError, "Got columns that are not: a"),
    ],
)
def test_bad_rows(X, error, message):
    """What can't be changed a little is named."""
    with pytest.raises(error, match=message):
        as_floats(X)


def test_rows_of_another_shape():
    """The known rows say what a row is."""
    with pytest.raises(ValueError, match=r"rows of shape \(3,\), as in fit. Got shape \(4, 2\)"):
        check_row_shape(np.ones((4, 2)), (3,))

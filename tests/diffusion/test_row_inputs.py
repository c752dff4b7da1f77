"""Rows as users have them: large offsets, data frames, missing values."""

import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from skdiffence.base import InferenceOnly
from skdiffence.diffusion import DiffusionRegenerator
from skdiffence.diffusion._space import RowSpace

RNG = np.random.default_rng(0)
N_ROWS = 200
SPREADS = RNG.uniform(0, 3600, (N_ROWS, 1)).round(2)
QUICK = {"denoiser": {"width": 8}, "max_epochs": 1, "random_state": 0}


def beside(column):
    """Return a column and two common ones."""
    return np.column_stack([column, RNG.integers(0, 3, N_ROWS), RNG.standard_normal(N_ROWS)])


COMMON = beside(SPREADS)


def with_offset(offset, scale=1.0):
    X = COMMON.copy()
    X[:, 0] = offset + scale * X[:, 0]
    return X


@pytest.mark.parametrize(
    ("offset", "scale"), [(1.7e9, 1), (-(2.0**40), 1), (1e12, 0.01), (123456.78, 1e-4), (0.0, 1e-30)]
)
def test_what_is_regenerated_is_precise_to_the_spread_of_a_column(offset, scale):
    """As without the offset: in float32, a column of epoch seconds came out with 5 distinct values, up to 183 off."""
    plain = DiffusionRegenerator(**QUICK, key=0).fit(COMMON)
    moved = DiffusionRegenerator(**QUICK, key=0).fit(with_offset(offset, scale))
    moved.denoiser_, moved.key_ = plain.denoiser_, plain.key_
    expected, found = plain.transform(COMMON), moved.transform(with_offset(offset, scale))
    np.testing.assert_allclose((found[:, 0] - offset) / scale, expected[:, 0], atol=1e-3 * SPREADS.std())
    np.testing.assert_allclose(found[:, 1:], expected[:, 1:], rtol=1e-3, atol=1e-3)
    assert len(np.unique(found[:, 0])) > 0.9 * len(np.unique(expected[:, 0]))


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        (np.float32, np.float32),
        (np.float16, np.float32),
        (np.uint8, np.float32),
        (bool, np.float32),
        (np.float64, np.float64),
        (np.int32, np.float64),
        (np.int64, np.float64),
    ],
)
def test_rows_come_out_as_precise_as_they_came_in(dtype, expected):
    """And the result is the same, up to that precision, for the same numbers in another dtype."""
    X = RNG.integers(0, 2, (50, 3))
    regenerator = DiffusionRegenerator(**QUICK).fit(X)
    found = regenerator.transform(X.astype(dtype))
    assert found.dtype == expected
    np.testing.assert_allclose(found, regenerator.transform(X), rtol=1e-5, atol=1e-6)


def test_images_come_out_in_float32():
    """Whatever their dtype: they have one range for all pixels."""
    X = RNG.uniform(size=(8, 1, 4, 4))
    regenerator = DiffusionRegenerator(denoiser={"block_out_channels": (32,)}, max_epochs=1).fit(X)
    assert regenerator.transform(X).dtype == np.float32


def frame(dtypes=None):
    data = pd.DataFrame(COMMON, columns=["seconds", "code", "size"], index=np.arange(N_ROWS) + 7)
    return data.astype({"code": int} | (dtypes or {}))


def test_a_frame_comes_back_as_a_frame():
    """With its columns, dtypes and index, so that the next step of a pipeline finds its columns by name."""
    X = frame()
    regenerator = DiffusionRegenerator(**QUICK).fit(X)
    found = regenerator.transform(X)
    assert found.dtypes.equals(X.dtypes)
    assert found.index.equals(X.index)
    assert list(regenerator.feature_names_in_) == list(X.columns)


@pytest.mark.parametrize("kind", ["pandas", "polars"])
def test_pipeline_selects_columns_by_name_behind_the_regenerator(kind):
    """fit passes the frame on, and so must transform: an array made the next step fail at predict only."""
    X, y = frame(), (COMMON[:, 2] > 0).astype(int)
    if kind == "polars":
        X = pytest.importorskip("polars").from_dict({name: X[name].to_numpy() for name in X})
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["code"]), (StandardScaler(), ["size", "seconds"])
    )
    model = make_pipeline(DiffusionRegenerator(**QUICK), columns, LogisticRegression()).fit(X, y)
    assert model.predict(X).shape == (N_ROWS,)
    assert type(model[0].transform(X)) is type(X)


def framed(kind):
    """Return the frame of a kind with three columns."""
    X = frame()
    if kind == "pandas":
        return X
    return pytest.importorskip("polars").from_dict({name: X[name].to_numpy() for name in X})


@pytest.mark.parametrize("given", ["pandas", "polars", "array"])
@pytest.mark.parametrize("wanted", ["pandas", "polars"])
def test_pipeline_with_frames_between_its_steps(wanted, given):
    """The containers change nothing but the names: the pipeline answers as with arrays in between."""
    pytest.importorskip("polars")
    X, y = COMMON if given == "array" else framed(given), (COMMON[:, 2] > 0).astype(int)
    steps = StandardScaler(), DiffusionRegenerator(**QUICK), LogisticRegression()
    expected = make_pipeline(*clone(steps)).fit(X, y).predict_proba(X)
    model = make_pipeline(*steps).set_output(transform=wanted).fit(X, y)
    np.testing.assert_allclose(model.predict_proba(X), expected, rtol=1e-6)
    names = ["x0", "x1", "x2"] if given == "array" else ["seconds", "code", "size"]
    assert list(model[:-1].get_feature_names_out()) == list(model[-1].feature_names_in_) == names
    between = model[:-1].transform(X)
    assert type(between).__module__.startswith(wanted) and list(between.columns) == names
    if wanted == given == "pandas":
        assert between.index.equals(X.index)


@pytest.mark.parametrize("wanted", ["default", "pandas", "polars"])
def test_columns_of_which_some_are_regenerated(wanted):
    """Names come through a ColumnTransformer, at fit, where values are unchanged, and at prediction."""
    if wanted == "polars":
        pytest.importorskip("polars")
    X = frame()
    columns = make_column_transformer((DiffusionRegenerator(**QUICK), ["seconds", "size"]), remainder="passthrough")
    columns.set_output(transform=wanted)
    at_fit, found = columns.fit_transform(X), columns.transform(X)
    names = ["diffusionregenerator__seconds", "diffusionregenerator__size", "remainder__code"]
    assert list(columns.get_feature_names_out()) == names
    if wanted != "default":
        assert list(at_fit.columns) == list(found.columns) == names
    np.testing.assert_array_equal(np.asarray(at_fit), X[["seconds", "size", "code"]])
    assert (np.asarray(found)[:, :2] != np.asarray(at_fit)[:, :2]).all()


@pytest.mark.parametrize("given", ["pandas", "polars"])
@pytest.mark.parametrize("wanted", ["pandas", "polars"])
def test_containers_of_rows(wanted, given):
    """They hold what is in the default one, and no frame that was given is changed."""
    pytest.importorskip("polars")
    X = framed(given)
    if given == "pandas":
        X = X.set_axis([3, 1, 2], axis=1)  # names that are no text are none to scikit-learn
    columns, regenerator = list(X.columns), DiffusionRegenerator(**QUICK)
    expected = regenerator.fit(X).transform(X)
    at_fit = regenerator.set_output(transform=wanted).fit_transform(X)
    found = regenerator.transform(X)
    assert list(X.columns) == columns
    names = ["x0", "x1", "x2"] if given == "pandas" else columns
    for rows, values in ((at_fit, X), (found, expected)):
        assert type(rows).__module__.startswith(wanted)
        assert list(rows.columns) == names
        np.testing.assert_array_equal(np.asarray(rows), np.asarray(values))


def test_names_are_those_of_rows():
    """Given names must be those of fit. Images have none, and stay arrays where transformers are asked for frames."""
    regenerator = DiffusionRegenerator(**QUICK).fit(frame())
    assert list(regenerator.get_feature_names_out()) == ["seconds", "code", "size"]
    with pytest.raises(ValueError, match="input_features is not equal"):
        regenerator.get_feature_names_out(["a", "b", "c"])
    with pytest.raises(NotFittedError):
        DiffusionRegenerator().get_feature_names_out()
    images = np.random.default_rng(0).random((4, 1, 8, 8))
    regenerator = DiffusionRegenerator({"block_out_channels": (4,)}, max_epochs=1).fit(images)
    assert not hasattr(regenerator, "get_feature_names_out") and not hasattr(regenerator, "set_output")
    for transformer in (regenerator, InferenceOnly(regenerator).fit(images)):
        with config_context(transform_output="pandas"):
            assert transformer.transform(images).shape == transformer.fit_transform(images).shape == images.shape


def with_gaps(X, share=0.2):
    X = X.copy()
    X[np.random.default_rng(1).random(X.shape) < share] = np.nan
    return X


def test_missing_values_stay_missing_and_the_others_are_regenerated():
    """The denoiser gets the mean of the feature in their place."""
    X = with_gaps(COMMON)
    regenerator = DiffusionRegenerator(**QUICK).fit(X)
    found = regenerator.transform(X)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(X))
    assert (found[~np.isnan(X)] != X[~np.isnan(X)]).all()
    filled = np.where(np.isnan(X), np.nanmean(X, axis=0), X)
    np.testing.assert_allclose(found[~np.isnan(X)], regenerator.transform(filled)[~np.isnan(X)])
    assert np.isfinite([epoch["loss"] for epoch in regenerator.history_]).all()


@pytest.mark.parametrize("kind", ["Int64", "polars", "float"])
def test_missing_values_of_frames_stay_missing(kind):
    """In nullable columns as well, whose dtypes are kept."""
    code = [None if row % 5 == 0 else row % 3 for row in range(N_ROWS)]
    if kind == "polars":
        polars = pytest.importorskip("polars")
        X = polars.DataFrame({"code": code, "size": COMMON[:, 2]})
        is_missing = [value is None for value in DiffusionRegenerator(**QUICK).fit(X).transform(X)["code"]]
        assert X.dtypes == DiffusionRegenerator(**QUICK).fit(X).transform(X).dtypes
    else:
        X = pd.DataFrame({"code": pd.array(code, dtype="Int64"), "size": COMMON[:, 2]})
        X = X if kind == "Int64" else X.astype(float)
        found = DiffusionRegenerator(**QUICK).fit(X).transform(X)
        assert found.dtypes.equals(X.dtypes)
        is_missing = found["code"].isna().to_list()
    assert is_missing == [value is None for value in code]


def test_a_column_without_a_value_passes_unchanged():
    """As a constant one does."""
    X = np.column_stack([COMMON, np.full(N_ROWS, np.nan)])
    found = DiffusionRegenerator(**QUICK).fit(X).transform(X)
    assert np.isnan(found[:, 3]).all()
    assert np.isfinite(found[:, :3]).all()


def test_space_of_rows_with_gaps_is_that_of_the_values():
    """Mean and standard deviation of what is there; a feature with one value is constant."""
    X = with_gaps(COMMON)
    X[1:, 1] = np.nan
    X[0, 1] = 5.0
    space = RowSpace.of(X)
    np.testing.assert_allclose(space.mean, np.nanmean(X, axis=0))
    np.testing.assert_allclose(space.scale, np.nanstd(X, axis=0))
    assert space.varies.tolist() == [0, 2]


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.where(RNG.random((9, 1, 4, 4)) < 0.5, np.nan, 0.5), "contains NaN"),
        (np.array([[1.0, np.inf], [2.0, 3.0]]), "infinity"),
        (np.array([[1.0, np.nan], [2.0, 1e39]]), "X must be finite in float32"),
        (np.full((4, 2), np.nan), "X must have a feature that varies"),
        (np.array([[0], [9]], dtype="datetime64[D]"), "X must be numeric. Got dtype datetime"),
        (np.array([1, 2], dtype="timedelta64[s]")[:, None], "X must be numeric. Got dtype timedelta"),
        (np.ma.masked_equal(np.arange(6.0).reshape(3, 2), 3), "X must not have masked values"),
        (pd.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]}), "columns that are not: b"),
        (pd.DataFrame({"a": [1.0, 2.0], "day": pd.to_datetime(["2020-01-01"] * 2)}), "columns that are not: day"),
        (pd.DataFrame({"a": [1.0, 2.0], "c": pd.Categorical([1, 2])}), "columns that are not: c"),
        (np.array([["a", "1"], ["b", "2"]]), "X must be numeric. Got text, such as 'a'. Encode it first"),
        (np.array([[1.0, "b"], [2.0, "c"]], dtype=object), "X must be numeric. Got text, such as 'b'"),
        ([["a", 1.0], ["b", 2.0]], "X must be numeric. Got text, such as 'a'"),
    ],
    ids=["image", "infinite", "large", "empty", "dates", "times", "masked", "text", "days", "codes", *"pqr"],
)
def test_what_cannot_be_regenerated_is_named(X, message):
    """Instead of an error of the network, or numbers made of dates."""
    with pytest.raises(ValueError, match=message):
        DiffusionRegenerator(**QUICK).fit(X)

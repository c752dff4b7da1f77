"""Rows as users have them inside a defense: offsets that float32 would blur, missing values, frames by name."""

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from skdiffence._fitted import stored_rows
from skdiffence.defenses import DefendedClassifier, MemGuardClassifier, OutputClassifier, OutputNoiseClassifier
from skdiffence.diffusion import DiffusionRegenerator
from tests.defenses.regenerators import NoiseRegenerator
from tests.nets import make_net

RNG = np.random.default_rng(0)
N_ROWS = 120
Y = RNG.integers(0, 2, N_ROWS)
PLAIN = np.column_stack([RNG.permutation(3600)[:N_ROWS], RNG.integers(0, 3, N_ROWS), RNG.integers(0, 3, N_ROWS)])
SECONDS = PLAIN + [1.7e9, 0, 0]
GAPS = np.where(RNG.random((N_ROWS, 3)) < 0.2, np.nan, PLAIN.astype(float))
BOOSTED = HistGradientBoostingClassifier(max_iter=5, random_state=0)
DIFFUSION = DiffusionRegenerator({"width": 8}, max_epochs=1, timestep=20, random_state=0)


def net():
    return make_net(max_epochs=2, module__n_features=3, module__n_classes=2)


CLASSIFIERS = {
    "trees": lambda: BOOSTED,
    "net": net,
    "scaled net": lambda: make_pipeline(StandardScaler(), net()),
}


@pytest.mark.parametrize("around", ["nothing", "scaler", "pca"])
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_exactly_the_recorded_rows_are_found(name, around):
    """Not those that are equal in float32 only; and all of them, though steps round differently from call to call."""
    defended = DefendedClassifier(CLASSIFIERS[name](), "passthrough", calibration_size=0.3, random_state=0)
    steps = {"nothing": [], "scaler": [StandardScaler()], "pca": [PCA(3, random_state=0)]}[around]
    model = make_pipeline(*steps, defended).fit(SECONDS, Y)
    stored = stored_rows(model, SECONDS)
    assert stored.n_lost == 0
    assert stored.not_trained_on.sum() == N_ROWS - model[-1].n_samples_fit_ == len(model[-1].not_trained_on_)


def test_recorded_float32_rows_are_found_among_decimals():
    """As a file of text holds them; the fitted set itself compares exactly."""
    X = np.random.default_rng(1).normal(size=(N_ROWS, 3)).astype(np.float32)
    model = DefendedClassifier(BOOSTED, "passthrough", calibration_size=0.3, random_state=0).fit(X, Y)
    decimals = np.array(X.astype(str), dtype=np.float64)
    assert not model.not_trained_on_.contains(decimals).any()
    found, expected = stored_rows(model, decimals), stored_rows(model, X)
    assert expected.not_trained_on.sum() == N_ROWS - model.n_samples_fit_
    np.testing.assert_array_equal(found.not_trained_on, expected.not_trained_on)
    assert found.n_lost == 0


@pytest.mark.parametrize("held_by_float32", [False, True])
def test_recorded_float64_rows_are_not_taken_for_others(held_by_float32):
    """A row that differs in its last bits is another row, also where float32 holds the recorded one."""
    X = np.random.default_rng(1).normal(size=(N_ROWS, 3))
    X = np.rint(X * 100) if held_by_float32 else X
    model = DefendedClassifier(BOOSTED, "passthrough", calibration_size=0.3, random_state=0).fit(X, Y)
    assert not stored_rows(model, np.nextafter(X, np.inf)).any.any()


@pytest.mark.parametrize("dtype", [np.float64, np.float32, int])
def test_rows_of_nets_are_found_as_they_were_given(dtype):
    """A net gets float32, but what is stored of its rows is not rounded."""
    X = (SECONDS if dtype is not np.float32 else PLAIN).astype(dtype)
    for kind in (X, X.tolist(), pd.DataFrame(X)):
        fitted = DefendedClassifier(net(), "passthrough", calibration_size=0.3, random_state=0).fit(kind, Y)
        assert fitted.not_trained_on_.contains(X).sum() == N_ROWS - fitted.n_samples_fit_


@pytest.mark.parametrize("selection", ["first", "matched", "mean"])
def test_a_classifier_that_takes_missing_values_can_be_defended(selection):
    """Its labels are those on the rows with gaps, and so are its answers about candidates."""
    model = DefendedClassifier(
        BOOSTED, DIFFUSION, n_candidates=3, selection=selection, calibration_size=0.2, random_state=0
    ).fit(GAPS, Y)
    np.testing.assert_array_equal(model.predict(GAPS), model.estimator_.predict(GAPS))
    proba = model.predict_proba(GAPS)
    assert np.isfinite(proba).all()
    assert np.isnan(model._candidates().make(GAPS, 0)).sum() == np.isnan(GAPS).sum()


@pytest.mark.parametrize(
    "wrap",
    [
        lambda model: DefendedClassifier(model, "passthrough"),
        lambda model: OutputClassifier(model),
        lambda model: OutputNoiseClassifier(model, random_state=0),
        lambda model: DefendedClassifier(FrozenEstimator(model.fit(GAPS, Y)), "passthrough"),
        lambda model: MemGuardClassifier(model, random_state=0),
    ],
    ids=["passthrough", "coarse", "noise", "frozen", "memguard"],
)
@pytest.mark.parametrize("kind", ["array", "nullable", "polars"])
def test_missing_values_are_passed_on(wrap, kind):
    """What is not regenerated reaches the classifier as it came."""
    X = GAPS
    if kind == "nullable":
        X = pd.DataFrame(GAPS, columns=list("abc")).astype("Int64")
    elif kind == "polars":
        X = pytest.importorskip("polars").from_numpy(GAPS, schema=list("abc")).fill_nan(None)
    fitted = wrap(BOOSTED).fit(X, Y)
    np.testing.assert_array_equal(fitted.predict(X), fitted.estimator_.predict(X))
    assert np.isfinite(fitted.predict_proba(X)).all()


@pytest.mark.parametrize("regenerator", ["passthrough", DIFFUSION], ids=["passthrough", "diffusion"])
@pytest.mark.parametrize(
    ("model", "message"),
    [(net(), "contains NaN"), (LogisticRegression(), "contains NaN")],
    ids=["net", "regression"],
)
def test_a_classifier_that_takes_no_missing_values_refuses_them(model, message, regenerator):
    """A net would answer NaN; others say so themselves, before a denoiser is trained."""
    with pytest.raises(ValueError, match=message):
        DefendedClassifier(model, regenerator).fit(GAPS, Y)
    fitted = DefendedClassifier(model, NoiseRegenerator(0.1)).fit(PLAIN, Y)
    with pytest.raises(ValueError, match=message):
        fitted.predict_proba(GAPS)


def test_a_step_may_fill_gaps_for_a_net():
    """Inside the defense, where candidates have the same gaps."""
    model = make_pipeline(SimpleImputer(), StandardScaler(), net())
    fitted = DefendedClassifier(model, DIFFUSION, n_candidates=2, random_state=0).fit(GAPS, Y)
    assert np.isfinite(fitted.predict_proba(GAPS)).all()


def test_infinite_values_are_refused():
    """They are no missing values."""
    X = np.where(np.isnan(GAPS), np.inf, GAPS)
    with pytest.raises(ValueError, match="infinity"):
        DefendedClassifier(BOOSTED, "passthrough").fit(X, Y)


@pytest.mark.parametrize(("kind", "final"), [("pandas", "regression"), ("polars", "regression"), ("pandas", "net")])
def test_frames_keep_their_column_names_inside_a_defense(kind, final):
    """Also around a net behind a step that selects columns by name; candidates have the names, too."""
    data = {"seconds": SECONDS[:, 0], "code": PLAIN[:, 1], "size": PLAIN[:, 2] / 2}
    X = pd.DataFrame(data) if kind == "pandas" else pytest.importorskip("polars").DataFrame(data)
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False, dtype=np.float32)
    columns = make_column_transformer((encoder, ["code"]), (StandardScaler(), ["size", "seconds"]))
    last = LogisticRegression() if final == "regression" else net().set_params(module__n_features=5)
    model = make_pipeline(columns, last)
    fitted = DefendedClassifier(model, DIFFUSION, n_candidates=2, random_state=0).fit(X, Y)
    assert list(fitted.feature_names_in_) == list(data)
    assert np.isfinite(fitted.predict_proba(X)).all()
    if final == "regression":
        assert type(fitted._candidates().make(X, 0)) is type(X)


def test_noise_is_the_same_for_rows_that_a_net_cannot_tell_apart():
    """Otherwise an attacker would average it away by changes below float32, which the net never sees."""
    fitted = OutputNoiseClassifier(net(), random_state=0).fit(PLAIN, Y)
    nearby = np.nextafter(PLAIN.astype(float), np.inf)
    np.testing.assert_array_equal(fitted.predict_proba(PLAIN.astype(float)), fitted.predict_proba(nearby))

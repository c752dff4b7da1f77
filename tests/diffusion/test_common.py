"""scikit-learn's checks, and what a Pipeline may and may not do with a regenerator."""

import io

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from skdiffence.base import is_inference_only
from skdiffence.diffusion import DiffusionRegenerator

_REASON = "fit_transform returns X unchanged on purpose, so that a Pipeline trains on real inputs"


def _expected_failures(estimator):
    return {"check_transformer_general": _REASON, "check_transformer_data_not_an_array": _REASON}


@parametrize_with_checks(
    [
        DiffusionRegenerator({"width": 4}, max_epochs=1, random_state=0),
        DiffusionRegenerator({"width": 4}, max_epochs=1, noise="row", n_steps=2, exact=True, random_state=0),
    ],
    expected_failed_checks=_expected_failures,
)
def test_sklearn_checks(estimator, check):
    """scikit-learn's checks pass, but for the two that fit_transform breaks on purpose."""
    check(estimator)


class Spy(DiffusionRegenerator):
    """Counts regenerated rows in a class attribute, which clones and copies share."""

    n_regenerated = 0

    def regenerate(self, X, candidate=0):
        """Count, then regenerate."""
        Spy.n_regenerated += len(X)
        return super().regenerate(X, candidate)


@pytest.fixture
def spied():
    """A pipeline with a spy, rows and labels."""
    Spy.n_regenerated = 0
    rng = np.random.default_rng(0)
    y = np.arange(60) % 2
    spy = Spy({"width": 4}, max_epochs=1, random_state=0)
    return make_pipeline(spy, LogisticRegression()), rng.normal(size=(60, 3)) + 3 * y[:, None], y


def test_is_inference_only():
    """The mixin marks the regenerator."""
    assert is_inference_only(DiffusionRegenerator())


def test_pipeline_fit_never_regenerates(spied):
    """Fitting regenerates nothing and trains on real inputs; each prediction regenerates its rows."""
    pipeline, X, y = spied
    pipeline.fit(X, y)
    assert Spy.n_regenerated == 0
    np.testing.assert_array_equal(pipeline[-1].coef_, LogisticRegression().fit(X, y).coef_)
    pipeline.predict(X[:7])
    assert Spy.n_regenerated == 7
    np.testing.assert_array_equal(pipeline.predict_proba(X), pipeline[-1].predict_proba(pipeline[0].transform(X)))


@pytest.mark.parametrize("change", ["clone", "joblib", "calibrated"])
def test_pipeline_changed(change, spied):
    """The same after clone, after a joblib round trip, and inside CalibratedClassifierCV."""
    pipeline, X, y = spied
    if change == "clone":
        pipeline = clone(pipeline).fit(X, y)
        assert Spy.n_regenerated == 0
    elif change == "joblib":
        file = io.BytesIO()
        joblib.dump(pipeline.fit(X, y), file)
        file.seek(0)
        pipeline = joblib.load(file)
        assert Spy.n_regenerated == 0
    else:
        pipeline = CalibratedClassifierCV(pipeline, cv=3, ensemble=False).fit(X, y)
        assert Spy.n_regenerated == 60  # each row once, in the fold that held it out
    Spy.n_regenerated = 0
    pipeline.predict(X)
    assert Spy.n_regenerated == 60


def test_cross_validate(spied):
    """Cross-validation regenerates the held-out rows alone."""
    pipeline, X, y = spied
    cross_validate(pipeline, X, y, cv=3, error_score="raise")
    assert Spy.n_regenerated == 60


def test_fit_transform_returns_the_same_object(spied):
    """fit_transform returns the very X, whatever transform would."""
    pipeline, X, y = spied
    assert pipeline[0].fit_transform(X, y) is X
    assert np.abs(pipeline[0].transform(X) - X).max() > 0.1


def test_global_generators(untouched_generators, digits):
    """Neither training nor regenerating moves a global generator."""
    for random_state in (None, 0):
        for noise in ("shared", "row", "fresh"):
            regenerator = DiffusionRegenerator(
                {"block_out_channels": (8,), "dropout": 0.5}, max_epochs=1, noise=noise, random_state=random_state
            )
            regenerator.fit(digits[0][:16]).transform(digits[1][:4])

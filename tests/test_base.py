"""Transformers that act at inference only: never while a Pipeline is being fitted, always when it answers."""

import io

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.decomposition import PCA
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler, TargetEncoder
from sklearn.utils import get_tags

from skdiffence.base import InferenceOnly, InferenceOnlyMixin, is_inference_only
from skdiffence.diffusion import DiffusionRegenerator
from tests.defenses.cases import digits
from tests.defenses.regenerators import NoiseRegenerator
from tests.nets import make_net


class Spy(NoiseRegenerator):
    """Counts rows in class attributes, which survive clones and files."""

    n_fitted = n_transformed = 0

    def fit(self, X, y=None):
        Spy.n_fitted += len(X)
        return super().fit(X, y)

    def transform(self, X):
        Spy.n_transformed += len(X)
        return super().transform(X)


class PlainSpy(Spy):
    """The same as an ordinary transformer, whose fit_transform transforms."""

    def fit_transform(self, X, y=None):
        return self.fit(X, y).transform(X)


PURIFIERS = [Spy(), InferenceOnly(PlainSpy()), InferenceOnly(FrozenEstimator(PlainSpy().fit(np.ones((2, 64)))))]
IDS = ["mixin", "wrapper", "wrapper_of_frozen"]


@pytest.fixture(autouse=True)
def reset():
    Spy.n_fitted = Spy.n_transformed = 0


def counted(function, *args, **kwargs):
    """Return what a call gives, and how many rows were transformed in it."""
    before = Spy.n_transformed
    return function(*args, **kwargs), Spy.n_transformed - before


def rows():
    X, y = digits()
    return X.astype(np.float32), y


@pytest.mark.parametrize("method", ["predict", "predict_proba", "score"])
@pytest.mark.parametrize("purifier", PURIFIERS, ids=IDS)
def test_pipeline_transforms_at_inference_only(purifier, method):
    """fit of a Pipeline transforms nothing, every answer transforms every row."""
    X, y = rows()
    pipeline = Pipeline([("purifier", purifier), ("clf", make_net())])
    pipeline, n_at_fit = counted(pipeline.fit, X, y)
    assert n_at_fit == 0
    _, n = counted(getattr(pipeline, method), *((X, y) if method == "score" else (X,)))
    assert n == len(X)


@pytest.mark.parametrize("purifier", PURIFIERS, ids=IDS)
def test_clone_and_file_keep_it(purifier):
    """A clone and a loaded copy behave as the original."""
    X, y = rows()
    pipeline = clone(Pipeline([("purifier", purifier), ("clf", LogisticRegression())]).fit(X, y))
    pipeline, n_at_fit = counted(pipeline.fit, X, y)
    file = io.BytesIO()
    joblib.dump(pipeline, file)
    file.seek(0)
    answers, n = counted(joblib.load(file).predict_proba, X)
    assert (n_at_fit, n) == (0, len(X))
    np.testing.assert_array_equal(answers, pipeline.predict_proba(X))


@pytest.mark.parametrize("purifier", PURIFIERS, ids=IDS)
def test_cross_validation_transforms_test_rows_only(purifier):
    """Each row is transformed once, in the fold that it tests."""
    X, y = rows()
    pipeline = Pipeline([("purifier", purifier), ("clf", LogisticRegression())])
    assert counted(cross_validate, pipeline, X, y, cv=4, error_score="raise")[1] == len(X)
    search = GridSearchCV(pipeline, {"clf__C": [0.1, 1.0]}, cv=4, refit=False, error_score="raise")
    assert counted(search.fit, X, y)[1] == 2 * len(X)


@pytest.mark.parametrize("purifier", PURIFIERS, ids=IDS)
def test_calibration_transforms_held_out_rows_only(purifier):
    """CalibratedClassifierCV calibrates on transformed rows of each held-out fold, and trains on real ones."""
    X, y = rows()
    pipeline = Pipeline([("purifier", purifier), ("clf", LogisticRegression())])
    calibrated, n_at_fit = counted(CalibratedClassifierCV(pipeline, cv=4).fit, X, y)
    assert n_at_fit == len(X)
    assert counted(calibrated.predict, X)[1] == 4 * len(X)


def test_classifier_is_trained_on_real_inputs():
    """The coefficients are those of the classifier without the transformer in front."""
    X, y = rows()
    pipeline = make_pipeline(DiffusionRegenerator({"width": 16}, max_epochs=1, random_state=0), LogisticRegression())
    pipeline.fit(X, y)
    np.testing.assert_array_equal(pipeline[-1].coef_, LogisticRegression().fit(X, y).coef_)
    assert not np.allclose(pipeline.predict_proba(X), pipeline[-1].predict_proba(X), atol=1e-3)


@pytest.mark.parametrize("purifier", PURIFIERS, ids=IDS)
def test_fit_transform_returns_the_very_object(purifier):
    """Fitted, and X handed on as it came."""
    X, y = rows()
    purifier = clone(purifier)
    assert purifier.fit_transform(X, y) is X
    assert np.any(purifier.transform(X) != X)


def test_frozen_step_is_not_inference_only():
    """FrozenEstimator hides fit_transform: it does transform while the Pipeline is fitted, and is recognized."""
    X, y = rows()
    frozen = FrozenEstimator(Spy().fit(X))
    _, n_at_fit = counted(Pipeline([("purifier", frozen), ("clf", LogisticRegression())]).fit, X, y)
    assert n_at_fit == len(X)
    assert not is_inference_only(frozen)
    assert is_inference_only(InferenceOnly(frozen))


@pytest.mark.parametrize(
    ("transformer", "expected"),
    [
        (Spy(), True),
        (InferenceOnly(StandardScaler()), True),
        (DiffusionRegenerator(), True),
        (StandardScaler(), False),
        ("passthrough", False),
        (None, False),
    ],
)
def test_is_inference_only(transformer, expected):
    """Of transformers and of what a Pipeline takes in their place."""
    assert is_inference_only(transformer) is expected


def test_wrapper_delegates_to_what_was_fitted():
    """The transformer given is not fitted itself, and images pass as well as rows."""
    images, _ = digits("images")
    given = FunctionTransformer(np.negative)
    purifier = InferenceOnly(given).fit(images)
    np.testing.assert_array_equal(purifier.transform(images), -images)
    assert purifier.transformer_ is not given
    assert InferenceOnly(StandardScaler()).fit(images[:, 0, 0]).n_features_in_ == 8
    assert not hasattr(InferenceOnly(StandardScaler()), "n_features_in_")


@pytest.mark.parametrize("wanted", ["pandas", "polars"])
def test_wrapper_names_features_as_the_transformer(wanted):
    """In a Pipeline of frames, whose last step is trained on the real values under the names that it answers on."""
    pytest.importorskip(wanted)
    X, y = rows()
    X = pd.DataFrame(X[:, 18:22], columns=list("abcd"))
    for transformer, names in ((StandardScaler(), list("abcd")), (PCA(), ["pca0", "pca1", "pca2", "pca3"])):
        pipeline = make_pipeline(InferenceOnly(transformer), LogisticRegression()).set_output(transform=wanted)
        pipeline.fit(X, y)
        assert list(X.columns) == list(pipeline[0].feature_names_in_) == list("abcd")
        assert list(pipeline[:-1].get_feature_names_out()) == list(pipeline[-1].feature_names_in_) == names
        np.testing.assert_allclose(pipeline[-1].coef_, LogisticRegression().fit(X, y).coef_, atol=1e-4)
        transformed = pipeline[:-1].transform(X)
        assert type(transformed).__module__.startswith(wanted) and list(transformed.columns) == names
        np.testing.assert_allclose(np.asarray(transformed), clone(transformer).fit_transform(X))


def test_wrapper_of_what_cannot_be_named():
    """Names need a transformer that has some, as many as there are features; without them arrays pass."""
    X, _ = rows()
    fewer = InferenceOnly(PCA(2)).fit(X)
    assert fewer.transform(X).shape == (len(X), 2)
    with pytest.raises(ValueError, match="transformer must return as many features.*PCA, which makes 2 features of 64"):
        fewer.set_output(transform="pandas").transform(X)
    unnamed = InferenceOnly(FunctionTransformer(np.negative))
    assert not hasattr(unnamed, "get_feature_names_out") and not hasattr(unnamed, "set_output")
    with config_context(transform_output="pandas"):
        assert unnamed.fit_transform(digits("images")[0]).ndim == 4
    with pytest.raises(ValueError, match="not fitted yet"):
        InferenceOnly(StandardScaler()).get_feature_names_out()


def test_wrapper_passes_the_metadata_that_is_requested():
    """In a Pipeline and in folds, as the transformer itself gets it; what nobody requested is refused."""
    X, y = rows()
    weights = np.linspace(0, 1, len(y))
    with config_context(enable_metadata_routing=True):
        scale = StandardScaler().set_fit_request(sample_weight=True)
        plain = LogisticRegression(max_iter=500).set_fit_request(sample_weight=False)
        plain = plain.set_score_request(sample_weight=False)
        expected = clone(scale).fit(X, sample_weight=weights).mean_
        pipeline = make_pipeline(InferenceOnly(scale), plain).fit(X, y, sample_weight=weights)
        np.testing.assert_array_equal(pipeline[0].transformer_.mean_, expected)
        np.testing.assert_array_equal(InferenceOnly(scale).fit(X, sample_weight=weights).transformer_.mean_, expected)
        InferenceOnly(scale).fit_transform(X)
        given = {"params": {"sample_weight": weights}, "return_estimator": True, "return_indices": True, "cv": 2}
        folds = cross_validate(make_pipeline(InferenceOnly(scale), plain), X, y, **given)
        for fitted, train in zip(folds["estimator"], folds["indices"]["train"], strict=True):
            expected = clone(scale).fit(X[train], sample_weight=weights[train]).mean_
            np.testing.assert_array_equal(fitted[0].transformer_.mean_, expected)
        with pytest.raises(TypeError, match="unexpected argument"):
            InferenceOnly(FunctionTransformer()).fit(X, sample_weight=weights)


def test_wrapper_has_the_tags_of_the_transformer():
    """Also that it needs labels."""
    assert get_tags(InferenceOnly(TargetEncoder())).target_tags.required
    assert not get_tags(InferenceOnly(StandardScaler())).target_tags.required


def test_wrapper_refuses_what_does_not_transform():
    """The message names the parameter."""
    with pytest.raises(ValueError, match="The 'transformer' parameter of InferenceOnly must be"):
        InferenceOnly(LogisticRegression()).fit(*rows())
    with pytest.raises(ValueError, match="not fitted yet"):
        InferenceOnly(StandardScaler()).transform(rows()[0])


def test_mixin_passes_labels_and_parameters_to_fit():
    """fit_transform is fit, with everything that it was given."""

    class Heard(InferenceOnlyMixin):
        def fit(self, X, y=None, **params):
            self.heard = y, params
            return self

    heard = Heard()
    assert heard.fit_transform([1], [2], weight=3) == [1]
    assert heard.heard == ([2], {"weight": 3})

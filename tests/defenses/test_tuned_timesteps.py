"""Timesteps to tune over, by the noise that is left of them where the regenerator resizes images."""

import numpy as np
import pytest
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skdiffence.defenses import DefendedClassifier, TunedDefendedClassifier
from skdiffence.defenses._timesteps import AUTO, timestep_to_fit, timesteps_to_measure
from skdiffence.diffusion import DiffusionRegenerator
from tests.defenses.cases import half, quiet
from tests.defenses.regenerators import NoiseRegenerator
from tests.diffusion.networks import Linear, Sized

IMAGES = np.random.default_rng(0).random((80, 1, 6, 6), dtype=np.float32)
LABELS = np.arange(80) % 3


def flat(X):
    """Return images as rows."""
    return X.reshape(len(X), -1)


def fitted(denoiser, **params):
    return DiffusionRegenerator(denoiser, key="k", value_range=(0, 1), **params).fit(IMAGES)


def tune(regenerator, images=IMAGES, **params):
    classifier = make_pipeline(FunctionTransformer(flat), LogisticRegression())
    defended = DefendedClassifier(classifier, regenerator, n_candidates=2, random_state=0)
    tuned = TunedDefendedClassifier(defended, selections=("swap",), **params)
    return quiet(tuned.fit, images, LABELS, is_member=half(LABELS))


@pytest.mark.parametrize("frozen", [False, True])
def test_resized_images_are_tuned_over_the_noise_that_is_left(frozen):
    """A denoiser of four times the pixels and three channels averages noise out: higher timesteps leave as much."""
    regenerator = DiffusionRegenerator(Sized(12), value_range=(0, 1), timestep=10)
    tuned = tune(FrozenEstimator(regenerator.fit(IMAGES)) if frozen else regenerator)
    results = tuned.cv_results_
    np.testing.assert_allclose(results["effective_timestep"], AUTO, atol=1)
    assert min(results["param_timestep"]) > 2 * min(AUTO)
    for timestep, noise in zip(results["param_timestep"], results["effective_noise"], strict=True):
        assert noise == fitted(Sized(12), timestep=timestep).effective_noise_
    best = tuned.best_estimator_
    inner = best.regenerator_.estimator if frozen else best.regenerator_
    assert inner.effective_timestep_ == results["effective_timestep"][tuned.best_index_]


def test_given_timesteps_are_taken_as_they_are():
    """What is left of them is in the results."""
    results = tune(DiffusionRegenerator(Sized(12), value_range=(0, 1)), timesteps=(50, 300)).cv_results_
    assert list(results["param_timestep"]) == [50, 300]
    assert (results["effective_timestep"] < [50, 300]).all()


def test_without_resizing_the_three_are_taken():
    """They are their own effective timesteps, and a denoiser that is trained is trained for the highest."""
    tuned = tune(DiffusionRegenerator(Linear, max_epochs=1, value_range=(0, 1)))
    assert tuple(tuned.cv_results_["param_timestep"]) == tuple(tuned.cv_results_["effective_timestep"]) == AUTO
    assert tuned.best_estimator_.regenerator_.max_timestep_ == max(AUTO)


def test_a_denoiser_to_be_trained_learns_what_resizing_asks_for():
    """Before it is trained, the noise that will be left follows from the sizes."""
    regenerator = DiffusionRegenerator(Linear, max_epochs=1, value_range=(0, 1), resize=12)
    highest = timestep_to_fit(regenerator, "auto", IMAGES.shape[1:])
    regenerator.set_params(timestep=highest).fit(IMAGES)
    assert regenerator.max_timestep_ == highest > max(AUTO)
    assert regenerator.effective_timestep_ == pytest.approx(max(AUTO), abs=1)
    assert max(timesteps_to_measure(regenerator, "auto")) == highest


def test_images_in_a_list_are_tuned_over_the_same_timesteps():
    """Whether the denoiser learns enough does not depend on the container that images come in."""
    regenerator = DiffusionRegenerator(Linear, max_epochs=1, value_range=(0, 1), resize=12)
    expected, found = (tune(regenerator, images).cv_results_ for images in (IMAGES, list(IMAGES)))
    assert list(found["param_timestep"]) == list(expected["param_timestep"])
    assert max(found["param_timestep"]) > max(AUTO)


def test_rows_of_different_lengths_are_refused_by_fit():
    """Their shape is not asked for before."""
    with pytest.raises(ValueError, match="inhomogeneous"):
        tune(DiffusionRegenerator(max_epochs=1), [[0.0, 1.0], [0.0]] * 40)


def test_no_timestep_is_above_what_the_denoiser_knows():
    """Those that would be are the highest that it knows, once."""
    regenerator = fitted(Linear, max_epochs=1, timestep=130)
    assert timesteps_to_measure(regenerator, "auto") == [120, 130]
    regenerator = fitted(Linear, max_epochs=1, resize=12, timestep=20)
    assert timesteps_to_measure(regenerator, "auto") == [20]


def test_regenerators_without_effective_noise():
    """Rows are not resized; a regenerator of another kind need not tell what is left."""
    rows = DiffusionRegenerator(max_epochs=1)
    assert timestep_to_fit(rows, "auto", (4,)) == timestep_to_fit(rows, "auto", ()) == max(AUTO)
    assert timesteps_to_measure(NoiseRegenerator(), "auto") == list(AUTO)
    results = tune(NoiseRegenerator(0.1), timesteps=None).cv_results_
    assert np.isnan(results["effective_timestep"]).all() and np.isnan(results["effective_noise"]).all()

"""What the walk through fitted estimators finds."""

import numpy as np
import pytest
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from skdiffence import DefendedClassifier, DiffusionRegenerator
from skdiffence._evaluation._parts import denoiser_saw_members


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_denoiser_that_saw_the_members_is_found(tmp_path):
    """In a defended classifier, in a pipeline, in a frozen wrapper; not where it was pretrained."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 3)), np.arange(40) % 2
    trained = DiffusionRegenerator(max_epochs=1, random_state=0)
    trained.fit(X).save_pretrained(tmp_path / "denoiser")
    new = DiffusionRegenerator(max_epochs=1, random_state=0)
    loaded = DiffusionRegenerator(tmp_path / "denoiser")
    for regenerator, expected in ((new, True), (loaded, False)):
        pipeline = make_pipeline(regenerator, LogisticRegression()).fit(X, y)
        defended = DefendedClassifier(LogisticRegression(), regenerator, random_state=0).fit(X, y)
        for estimator in (pipeline, defended, FrozenEstimator(defended)):
            assert denoiser_saw_members(estimator) is expected
    assert not denoiser_saw_members(LogisticRegression().fit(X, y))


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_frozen_regenerator_saw_rows_that_only_its_owner_knows():
    """Nothing is claimed of what it was trained on."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 3)), np.arange(40) % 2
    regenerator = DiffusionRegenerator(max_epochs=1, random_state=0).fit(X)
    defended = DefendedClassifier(LogisticRegression(), FrozenEstimator(regenerator), random_state=0).fit(X, y)
    assert defended.denoiser_saw_members_ is None

"""What is saved: it answers the same in another process, and holds no training row."""

import io
import subprocess
import sys

import joblib
import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skdiffence.diffusion import DiffusionRegenerator
from tests.defenses.cases import RULES, defend, digits, half, quiet
from tests.nets import make_net

ASK = """
import sys, joblib, numpy as np, torch
torch.set_num_threads(1)
defended, X = joblib.load(sys.argv[1])
np.savez(sys.argv[2], proba=defended.predict_proba(X), labels=defended.predict(X))
"""


def small_diffusion(**params):
    return DiffusionRegenerator({"width": 16}, timestep=100, max_epochs=2, **params)


@pytest.mark.parametrize("exact", [True, False])
def test_new_process_answers_the_same(tmp_path, exact):
    """Saved, loaded elsewhere and asked again."""
    X, y = digits("strings")
    defended = quiet(defend(make_net(), small_diffusion(exact=exact), selection="matched").fit, X, y)
    joblib.dump((defended, X), tmp_path / "defended.joblib")
    command = [sys.executable, "-c", ASK, str(tmp_path / "defended.joblib"), str(tmp_path / "answers.npz")]
    subprocess.run(command, check=True)
    answers = np.load(tmp_path / "answers.npz")
    np.testing.assert_array_equal(answers["labels"], defended.predict(X))
    np.testing.assert_array_equal(answers["proba"], defended.predict_proba(X))


@pytest.mark.parametrize(("in_pipeline", "selection"), [(True, "matched"), *((False, rule) for rule in RULES)])
def test_no_saved_row(selection, in_pipeline):
    """Neither rows that trained nor rows held out are in the file, in any precision, raw or scaled."""
    X, y = digits()
    X = X + np.random.default_rng(0).normal(scale=1e-3, size=X.shape)
    net = make_net()
    estimator = make_pipeline(StandardScaler(), net) if in_pipeline else net
    defended = quiet(defend(estimator, small_diffusion(), selection=selection).fit, X, y, is_member=half(y))
    defended.predict_proba(X)
    file = io.BytesIO()
    joblib.dump(defended, file)
    saved = file.getvalue()
    scaled = StandardScaler().fit_transform(X[half(y)].astype(np.float32))
    for rows in (X, scaled):
        for dtype in (np.float32, np.float64):
            # Half a row gives a copy away as well as a whole one.
            assert not [row for row in rows.astype(dtype) if row[:32].tobytes() in saved]


def test_search_for_rows_finds_what_is_there():
    """The search above would see a row."""
    X, _ = digits()
    file = io.BytesIO()
    joblib.dump({"rows": X.astype(np.float32)}, file)
    assert X[5].astype(np.float32)[:32].tobytes() in file.getvalue()

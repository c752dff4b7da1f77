"""What is saved: it answers the same in another process, and holds no training row."""

import io
import pickle
import re
import subprocess
import sys
import warnings
from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skdiffence.defenses import SELENAClassifier
from skdiffence.diffusion import DiffusionRegenerator
from skdiffence.exceptions import VersionWarning
from skdiffence.utils import _versions
from skdiffence.utils._fingerprint import named_versions
from tests.defenses.cases import RULES, defend, digits, half, quiet
from tests.nets import make_net

ROOT = Path(__file__).parents[2]
ASK = """
import sys, joblib, numpy as np, torch
torch.set_num_threads(1)
for name, mode in (("plain", None), ("plain", "r"), ("packed", None)):
    defended, X = joblib.load(f"{sys.argv[1]}/{name}.joblib", mmap_mode=mode)
    np.savez(f"{sys.argv[1]}/{name}-{mode}.npz", proba=defended.predict_proba(X), labels=defended.predict(X))
"""


def small_diffusion(**params):
    return DiffusionRegenerator({"width": 16}, timestep=100, max_epochs=2, **params)


@pytest.mark.parametrize("exact", [True, False])
def test_new_process_answers_the_same(tmp_path, exact):
    """Saved plain, compressed or to be mapped into memory, where arrays are read-only, and loaded elsewhere."""
    X, y = digits("strings")
    defended = quiet(defend(make_net(), small_diffusion(exact=exact), selection="matched").fit, X, y)
    for name, level in (("plain", 0), ("packed", 1)):
        joblib.dump((defended, X), tmp_path / f"{name}.joblib", compress=level)
    subprocess.run([sys.executable, "-c", ASK, str(tmp_path)], check=True)
    found = sorted(tmp_path.glob("*.npz"))
    assert len(found) == 3
    for answers in map(np.load, found):
        np.testing.assert_array_equal(answers["labels"], defended.predict(X))
        np.testing.assert_array_equal(answers["proba"], defended.predict_proba(X))


@pytest.mark.parametrize("kind", ["defended", "regenerator", "selena"])
def test_other_versions_are_warned_about(kind, monkeypatch):
    """What was pickled with other libraries names them and both versions when it is loaded; once nothing was said."""
    X, y = digits()
    things = {
        "defended": lambda: defend(GaussianNB(), "passthrough").fit(X, y),
        "regenerator": lambda: small_diffusion().fit(X),
        "selena": lambda: SELENAClassifier(GaussianNB(), n_estimators=2, n_excluded=1, distill=False).fit(X, y),
    }
    fitted, here = things[kind](), named_versions()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pickle.loads(pickle.dumps(fitted))
    with monkeypatch.context() as patch:
        patch.setattr(_versions, "named_versions", lambda: here | {"torch": "0.4.1", "numpy": "1.0"})
        saved = pickle.dumps(fitted)
    name = type(fitted).__name__
    with pytest.warns(VersionWarning, match=rf"{name} was saved with numpy 1\.0 \(here .*\), torch 0\.4\.1 \(here"):
        loaded = pickle.loads(saved)
    assert "_skdiffence_versions" not in vars(loaded)
    assert vars(loaded).keys() == vars(fitted).keys()


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


def test_damaged_files_are_errors():
    """With compress=1 no flipped bit gives a model with other answers; without a checksum, nearly every one did."""
    X, y = digits()
    defended = quiet(defend(make_net(), small_diffusion(), selection="swap").fit, X, y)
    file = io.BytesIO()
    joblib.dump(defended, file, compress=1)
    whole, rng = file.getvalue(), np.random.default_rng(0)
    expected = defended.predict_proba(X[:20])
    for place in (1, len(whole) - 1, *rng.integers(len(whole), size=40)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(rng.integers(8))
        try:
            loaded = joblib.load(io.BytesIO(bytes(damaged)))
        except Exception:  # whatever the first wrong byte leads to
            continue
        np.testing.assert_array_equal(loaded.predict_proba(X[:20]), expected)


def test_pages_save_with_a_checksum():
    """Everything that the documentation and the package tell people to save is compressed."""
    places = [ROOT / "README.md", *(ROOT / "docs").rglob("*.rst"), *(ROOT / "skdiffence").rglob("*.py")]
    saves = [text for path in places for text in re.findall(r"joblib\.dump\(.+", path.read_text(encoding="utf-8"))]
    assert len(saves) >= 5
    assert [text for text in saves if "compress=" not in text] == []


def test_search_for_rows_finds_what_is_there():
    """The search above would see a row."""
    X, _ = digits()
    file = io.BytesIO()
    joblib.dump({"rows": X.astype(np.float32)}, file)
    assert X[5].astype(np.float32)[:32].tobytes() in file.getvalue()

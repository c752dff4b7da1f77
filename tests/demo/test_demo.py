"""The demo: whole on its quick settings, and not to be fooled by a broken regenerator."""

import json
import warnings
from dataclasses import replace

import joblib
import numpy as np
import pytest
from sklearn.utils import Bunch

from skdiffence.__main__ import main
from skdiffence._command_line import make_parser
from skdiffence._demo._controls import NoDenoiser
from skdiffence._demo._demo import run_splits
from skdiffence._demo._digits import DemoSettings, attackers_model, pretrained
from skdiffence._demo._results import check_run
from skdiffence.datasets import load_digit_images
from skdiffence.exceptions import DefenseWarning
from tests.defenses.regenerators import ConstantRegenerator, IdentityRegenerator, ZeroRegenerator

TINY = replace(DemoSettings().quick(), n_splits=1, net_epochs=30)


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """One quick run through the command line."""
    folder = tmp_path_factory.mktemp("demo")
    return main(["demo", "--quick", "--output", str(folder), "--seed", "1"]), folder


def run_checks(regenerator):
    """Run one small split and return which check holds."""
    digits = load_digit_images()
    private = Bunch(X=digits.data[700:1300], y=digits.target[700:1300])
    public = Bunch(X_public=digits.data[:700], y_public=digits.target[:700])
    own = attackers_model(TINY, public, 0)
    records, _, _ = run_splits(TINY, private, regenerator.fit(digits.data[:10]), {}, 0, lambda what: None, own)
    return dict(check_run(records, TINY))


def test_demo_writes_everything(demo):
    """Table, figures, figures' facts, denoiser and model; nothing unfinished is left."""
    _, folder = demo
    names = {path.name for path in folder.iterdir()}
    expected = {"denoiser", "table.txt", "results.json", "frontier.png", "roc.png", "signals.png", "regenerations.png"}
    assert names == expected | {"defended.joblib"}


def test_figures_are_said_to_be_of_one_split(demo):
    """An area of 0.64 in a figure stood beside a mean of 0.632 in the table without a word."""
    _, folder = demo
    text = " ".join((folder / "table.txt").read_text().split())
    n_splits = json.loads((folder / "results.json").read_text())["settings"]["n_splits"]
    assert f"The figures show one of the {n_splits} splits" in text


def test_poor_controls_are_not_warned_about():
    """The untrained denoiser is meant to be poor: a warning with its raw repr appeared in the progress bar."""
    digits = load_digit_images()
    private = Bunch(X=digits.data[700:1300], y=digits.target[700:1300])
    controls = {"untrained denoiser": ConstantRegenerator().fit(digits.data[:10])}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run_splits(TINY, private, pretrained(NoDenoiser(), 80, digits.data[:10], 0), controls, 0, lambda what: None)
    said = [str(one.message) for one in caught if issubclass(one.category, DefenseWarning)]
    assert not any("destroys its inputs" in text for text in said)


def test_demo_changes_no_label(demo):
    """Every record of a rule says so, and there is one for each rule and control."""
    _, folder = demo
    records = json.loads((folder / "results.json").read_text())["records"]
    assert {record["labels_changed"] for record in records} == {0}
    assert {"undefended", "first", "members", "matched", "swap", "mean", "untrained denoiser", "label only"} <= {
        record["name"] for record in records
    }


def test_demo_model_answers(demo):
    """The model that is saved answers, its labels on top."""
    _, folder = demo
    defended = joblib.load(folder / "defended.joblib")
    X = load_digit_images().data[:20]
    proba = defended.predict_proba(X)
    np.testing.assert_array_equal(proba.argmax(axis=1), defended.predict(X))


def test_demo_saves_no_training_row(demo):
    """No file holds the bytes of an image, scaled or as the bytes of its pixels."""
    _, folder = demo
    images = load_digit_images().data
    blobs = [path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.suffix != ".png"]
    for image in images[::7]:
        for form in (image.tobytes(), image.astype(np.float64).tobytes()):
            assert not any(form in blob for blob in blobs)


@pytest.mark.parametrize("broken", [ConstantRegenerator, IdentityRegenerator, ZeroRegenerator])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_broken_regenerator_fails_a_check(broken):
    """What destroys its inputs fails the retention, what leaves them alone answers undefended."""
    try:
        checks = run_checks(broken())
    except ValueError as error:
        assert "destroys the inputs" in str(error)  # noqa: PT017 - a rule refused to calibrate on it
        return
    kept = [holds for check, holds in checks.items() if "keep their label" in check or "undefended one" in check]
    assert not all(kept)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_plain_noise_passes_the_same_checks():
    """The checks above fail for what is broken, not for whatever is not trained."""
    digits = load_digit_images()
    checks = run_checks(pretrained(NoDenoiser(), 80, digits.data[:10], 0))
    assert all(holds for check, holds in checks.items() if "label" in check or "undefended one" in check)


def test_arguments():
    """The options of the command line, and one that makes no sense."""
    options = make_parser().parse_args(["demo", "--splits", "3", "--seed", "5", "--quick", "--output", "x"])
    assert (options.splits, options.seed, options.quick, options.output) == (3, 5, True, "x")
    with pytest.raises(SystemExit):
        make_parser().parse_args(["demo", "--splits", "1"])

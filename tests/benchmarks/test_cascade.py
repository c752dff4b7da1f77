"""The cascade runs at a size at which its figures mean nothing."""

import importlib.util

import cascade as module
import numpy as np
import pytest

from skdiffence.attacks import LabelOnlyAttack, NeuralAttack

SMALL = ["--pools", "2", "--models", "4", "--epochs", "2", "--denoiser-epochs", "1"]

pytestmark = [
    pytest.mark.filterwarnings("ignore::skdiffence.exceptions.DefenseWarning"),
    pytest.mark.filterwarnings("ignore:Optimal order is the:UserWarning"),
]


@pytest.fixture
def cascade(monkeypatch):
    """Return the cascade on a few rows, with quick attackers."""
    monkeypatch.setattr(module, "N_PUBLIC", 64)
    monkeypatch.setattr(module, "N_CANDIDATES", 2)
    monkeypatch.setattr(module, "MEMGUARD_STEPS", 2)
    monkeypatch.setattr(module, "LABEL_ONLY", LabelOnlyAttack("noise", n_queries=2, random_state=0))
    monkeypatch.setattr(module, "SIZES", {"pool": 200, "reference": 40, "others": 20})
    monkeypatch.setitem(module.ATTACKS, "neural", NeuralAttack(width=2, max_epochs=1, random_state=0))
    return module


def test_cascade_measures_every_defense_with_and_without_diffence(cascade, tmp_path):
    """On one split, all rows keep the label of the defense below, and what labels tell is the same."""
    digits, options = cascade.load_digit_images(), cascade.parse(SMALL)
    cascade.train_denoiser(digits.data[:64], tmp_path, 1, 0)
    parts = cascade.Bunch(pool=np.arange(64, 264), reference=np.arange(264, 304), others=np.arange(304, 324))
    records, signals, attacked = cascade.run_model(
        (digits.data, digits.target), parts, parts.pool[:100], tmp_path, 0, options
    )
    assert attacked[100:].all() and 0 < attacked[:100].sum() < 100
    assert signals.keys() == records.keys()
    bare = {"undefended", "AdvReg", "MemGuard", "SELENA", "RelaxLoss", "HAMP"}
    bare |= {"DP-SGD"} if importlib.util.find_spec("opacus") else set()
    assert set(records) == bare | {name + cascade.ON_TOP for name in bare}
    for name in bare:
        on_top = records[name + cascade.ON_TOP]
        assert on_top["labels kept"] == 220
        assert on_top["accuracy"] == records[name]["accuracy"]
        assert on_top["labels"] == records[name]["labels"]
        assert on_top["NLL"] != records[name]["NLL"]


def test_cascade_table_and_figure(cascade):
    """Means over pools, LiRA among them, and an arrow from each defense to Diffence on top."""
    pools = cascade.run(cascade.parse([*SMALL, "--only", "RelaxLoss"]))
    values = [np.mean([model["RelaxLoss"]["LiRA"] for model in models]) for models in pools]
    table = cascade.write_table(pools)
    assert f"{np.mean(values):.3f}±" in table
    # 2 pools, 4 models, 2 classifiers, 220 rows.
    assert "labels equal to those of the defense below: 3520 of 3520" in table
    assert len(cascade.draw(pools).arrows_) == 2


def test_cascade_refuses_changed_labels(cascade):
    """The count is of rows that agree, and one that does not ends the run."""
    X = np.eye(3)
    answers = cascade.Bunch(proba=X, label=np.arange(3))
    assert cascade.count_kept_labels(answers, answers) == 3
    with pytest.raises(AssertionError, match="1 labels were changed"):
        cascade.count_kept_labels(answers, cascade.Bunch(proba=X, label=np.array([0, 1, 1])))

"""The audit from the command line: files, status and messages."""

import importlib
import json
import os
import shutil
import sys
from types import SimpleNamespace

import joblib
import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.naive_bayes import GaussianNB
from torch import nn

from skdiffence.__main__ import main
from skdiffence._evaluation._results import Estimate
from skdiffence.datasets import membership_partition
from skdiffence.inspection._cli_audit import _attacks, _names, attacks_above
from skdiffence.inspection._cli_files import CommandError


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A saved forest with its members and non-members."""
    folder = tmp_path_factory.mktemp("audit")
    X, y = load_digits(return_X_y=True)
    parts = membership_partition(len(y), {"members": 100, "others": 120}, random_state=0)
    joblib.dump(RandomForestClassifier(10, random_state=0).fit(X[parts.members], y[parts.members]), folder / "m.joblib")
    for name in ("members", "others"):
        np.savez(folder / f"{name}.npz", X=X[parts[name]], y=y[parts[name]])
    # Digits as they come are sorted by writer: these are no sides of one kind.
    np.savez(folder / "moved.npz", X=X[parts.others] + 1, y=y[parts.others])
    return folder


def command(files, *more, model="m.joblib", others="others.npz", output="out"):
    """Return the arguments of an audit."""
    paths = [str(files / name) for name in (model, "members.npz", others, output)]
    return ["audit", paths[0], "--members", paths[1], "--non-members", paths[2], "--output", paths[3], *more]


def test_audit_writes_a_report(files, capsys):
    """Page, JSON and table; the verdict is printed, and the danger of joblib files."""
    assert main(command(files, "--attacks", "entropy", "correctness", "--seed", "3")) == 0
    assert {path.name for path in (files / "out").iterdir()} == {"report.html", "report.json", "attacks.csv"}
    facts = json.loads((files / "out" / "report.json").read_text())
    assert facts["settings"]["seed"] == 3
    assert list(facts["settings"]["attacks"]) == ["entropy", "correctness"]
    printed = capsys.readouterr()
    assert facts["verdict"]["headline"] in printed.out
    assert "only load models from people you trust" in printed.err


def test_status_tells_of_a_failed_control(files, capsys):
    """Sides that differ as data: the report is written, and the status is 1."""
    arguments = command(files, "--attacks", "entropy", "--max-fpr", "0.1", others="moved.npz", output="failed")
    assert main(arguments) == 1
    said = capsys.readouterr().out
    assert "A control failed" in said
    assert all(str(files / name) in said.splitlines()[1] for name in ("m.joblib", "members.npz", "moved.npz"))
    facts = json.loads((files / "failed" / "report.json").read_text())
    assert facts["verdict"]["status"] == "invalid"
    assert facts["settings"]["max_fpr"] == 0.1


def broken_inputs(folder):
    """Write inputs that can't be used."""
    X, y = np.zeros((5, 64)), np.zeros(5)
    np.savez(folder / "no-y.npz", X=X, labels=y)
    np.savez(folder / "lengths.npz", X=X, y=y[:3])
    np.savez(folder / "objects.npz", X=np.array([{}, {}], dtype=object), y=y[:2])
    np.save(folder / "single.npy", X)
    np.savez(folder / "few.npz", X=X, y=y)
    (folder / "text.npz").write_text("not an archive")
    (folder / "text.joblib").write_text("not a model")
    (folder / "empty.joblib").write_text("")
    joblib.dump({"a": 1}, folder / "dict.joblib")
    joblib.dump(RandomForestClassifier(), folder / "unfitted.joblib")
    module = nn.Linear(64, 10)
    for name in ("weights.pt", "weights.bin"):
        torch.save(module.state_dict(), folder / name)
    torch.save(module.state_dict(), folder / "old.pth", _use_new_zipfile_serialization=False)
    joblib.dump(module, folder / "module.joblib")
    (folder / "rows.csv").write_text("a,b\n1,2\n")
    (folder / "taken" / "report.json").mkdir(parents=True, exist_ok=True)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"others": "nowhere.npz"}, "nowhere.npz does not exist"),
        ({"others": "no-y.npz"}, "without y"),
        ({"others": "lengths.npz"}, "one label for each of its 5 rows"),
        ({"others": "objects.npz"}, "Python objects and columns of mixed types are not read"),
        ({"others": "single.npy"}, "at least 4 different rows"),
        ({"others": "few.npz"}, "at least 4 different rows"),
        ({"others": "text.npz"}, "can't be read as an npz file"),
        ({"model": "nowhere.joblib"}, "nowhere.joblib does not exist"),
        ({"model": "text.joblib"}, "can't be loaded"),
        ({"model": "empty.joblib"}, "can't be loaded as a model saved by joblib.dump: it is empty or was cut off"),
        ({"model": "few.npz"}, "can't be loaded as a model saved by joblib.dump: it is a file of rows"),
        ({"model": "dict.joblib"}, "estimator must have predict_proba. Got dict"),
        ({"model": "weights.pt"}, "weights.pt is a file of torch, and not a model saved by joblib.dump"),
        ({"model": "weights.bin"}, "weights.bin is a file of torch"),
        ({"model": "old.pth"}, "old.pth is a file of torch"),
        ({"model": "module.joblib"}, "Got Linear, which has none. skdiffence.from_module makes a classifier"),
        ({"model": "unfitted.joblib"}, "not fitted"),
        ({"output": "m.joblib"}, "m.joblib can't be written to: it is no folder"),
        ({"output": "m.joblib/below"}, "below can't be written to"),
        ({"output": "/proc/report"}, "/proc/report can't be written to"),
        ({"output": "taken"}, "report.json can't be written: it is a folder"),
        ({"others": "rows.csv"}, "files of one kind"),
    ],
)
def test_input_that_cannot_be_used(files, changed, message, capsys):
    """Status 2, one message that names file and reason, and no report."""
    broken_inputs(files)
    assert main(command(files, "--attacks", "entropy", **{"output": "never"} | changed)) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.out == ""
    assert not list((files / "never").glob("*")) if (files / "never").exists() else True


def test_output_is_tried_before_anything_is_loaded(files, capsys):
    """Work of an hour is not lost to a folder that can't be written; no pickle runs before it is known."""
    assert main(command(files, model="nowhere.joblib", output="m.joblib")) == 2
    assert "can't be written to" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "status"),
    [
        (["--fail-above", "0.99"], 0),
        (["--fail-above", "0.5"], 1),
        (["--fail-above", "0.9"], 1),
        (["--fail-above", "0.9", "--fail-by", "value"], 0),
        (["--fail-above", "0.85", "--fail-by", "value"], 1),
        (["--fail-above", "0.85", "--fail-by", "low"], 0),
    ],
)
def test_threshold_for_ci(files, capsys, options, status):
    """By the upper end of the interval unless another figure is named: few rows can't pass by being few."""
    assert main(command(files, "--attacks", "entropy", "correctness", *options)) == status
    auc = json.loads((files / "out" / "report.json").read_text())["targets"]["audited"]["worst"]
    assert auc["auc_low"] < 0.85 < auc["auc"] < 0.9 < auc["auc_high"] < 0.99
    assert ("allowed" in capsys.readouterr().out) == bool(status)


@pytest.mark.parametrize(
    ("figure", "text"), [(0.712345, "0.712"), (0.70004, "0.70004"), (0.7000000001, "0.7000000001")]
)
def test_what_is_above_the_threshold_reads_as_above(figure, text):
    """An area of 0.70004 was "0.700, above the 0.7 allowed"."""
    target = SimpleNamespace(attacks=[SimpleNamespace(attack="a", auc=Estimate(0.6, 0.5, figure))])
    (said,) = attacks_above(SimpleNamespace(targets={"audited": target}), 0.7, "high")
    assert said == f"a: the upper end of the interval of its AUC is {text}, above the 0.7 allowed"


@pytest.mark.parametrize("value", ["0.4", "1.5", "much"])
def test_threshold_is_an_area(files, capsys, value):
    """A percentage or a value that nothing reaches would switch the check off."""
    with pytest.raises(SystemExit, match="2"):
        main(command(files, "--fail-above", value))
    assert "--fail-above" in capsys.readouterr().err


def test_unknown_attack_and_missing_rows(files, capsys):
    """What the audit itself or the parser refuses."""
    assert main(command(files, "--attacks", "nonsense")) == 2
    assert "nonsense" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(["audit", str(files / "m.joblib")])


@pytest.mark.parametrize(
    ("names", "attacks"),
    [(None, "standard"), (["adaptive"], "adaptive"), (["quick"], "quick"), (["logit"], ["logit"])],
)
def test_suites_and_names(names, attacks):
    """One word is a suite if it is the name of one."""
    assert _attacks(names) == attacks


def test_class_that_cannot_be_found(files, tmp_path, monkeypatch, capsys):
    """A model whose class lives in a script: the message says what to do."""
    (tmp_path / "gone_module.py").write_text("class Net:\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    joblib.dump(importlib.import_module("gone_module").Net(), files / "gone.joblib")
    monkeypatch.undo()
    sys.modules.pop("gone_module")
    assert main(command(files, model="gone.joblib")) == 2
    assert "move it to a module" in capsys.readouterr().err


def test_classes_are_found_in_the_current_folder(files, tmp_path, monkeypatch):
    """As an installed command it does not have the folder on its path; afterwards the path is as it was."""
    module = "from sklearn.naive_bayes import GaussianNB\nclass Near(GaussianNB):\n    pass\n"
    (tmp_path / "near_module.py").write_text(module)
    with monkeypatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        rows = np.load(files / "members.npz")
        near = importlib.import_module("near_module").Near().fit(rows["X"], rows["y"])
        joblib.dump(near, files / "near.joblib")
    del sys.modules["near_module"]
    path = list(sys.path)
    monkeypatch.chdir(tmp_path)
    assert main(command(files, "--attacks", "entropy", model="near.joblib", output="near")) == 0
    assert sys.path == path
    del sys.modules["near_module"]


@pytest.fixture(scope="module")
def two(files):
    """The arguments of an audit of two classifiers, one of which leaks little."""
    rows = np.load(files / "members.npz")
    joblib.dump(GaussianNB(var_smoothing=0.5).fit(rows["X"], rows["y"]), files / "bayes.joblib")
    given = command(files, "--attacks", "entropy", "correctness", output="two")
    return [*given[:2], str(files / "bayes.joblib"), *given[2:]]


def test_several_classifiers_in_one_report(files, two, capsys):
    """A table of all, the report of each, one JSON and one table."""
    assert main(two) == 0
    said = capsys.readouterr().out
    assert said.index("attacks on probabilities") < said.index("Figures behind the verdict")
    facts = json.loads((files / "two" / "report.json").read_text())
    assert list(facts["reports"]) == ["m.joblib", "bayes.joblib"]
    alone = command(files, "--attacks", "entropy", "correctness", output="alone")
    assert main(alone) == 0
    single = json.loads((files / "alone" / "report.json").read_text())
    forest = facts["reports"]["m.joblib"]["targets"]["audited"]
    assert forest["worst"] == single["targets"]["audited"]["worst"]
    table = (files / "two" / "attacks.csv").read_text().splitlines()
    assert table[0].startswith("classifier,target,attack") and len(table) == 5
    page = (files / "two" / "report.html").read_text()
    assert page.count('class="verdict') == 2
    assert page.index("<table") < page.index('class="verdict')
    assert page.index('href="#classifier-2"') < page.index('id="classifier-2"')


def test_threshold_names_the_classifier(two, capsys):
    """Each of them has to pass."""
    assert main([*two, "--fail-above", "0.85", "--fail-by", "value"]) == 1
    above = [line for line in capsys.readouterr().out.splitlines() if "allowed" in line]
    assert len(above) == 1 and above[0].startswith("m.joblib: entropy")


def test_scores_of_several_classifiers(two, tmp_path):
    """A line for each row and classifier."""
    assert main([*two, "--scores", str(tmp_path / "s.csv")]) == 0
    lines = (tmp_path / "s.csv").read_text().splitlines()
    assert lines[0].startswith("classifier,side,row,entropy") and len(lines) == 1 + 2 * 220


@pytest.mark.parametrize(("more", "message"), [("twice", "named once"), ("undefended", "belongs to one model")])
def test_models_that_cannot_be_compared(files, two, more, message, capsys):
    """Before anything is loaded."""
    given = [*two[:2], two[1], *two[2:]] if more == "twice" else [*two, "--undefended", two[1]]
    assert main(given) == 2
    assert message in capsys.readouterr().err


@pytest.mark.skipif(sys.platform != "linux", reason="paths are text on other systems")
@pytest.mark.parametrize("n_models", [1, 2])
def test_paths_that_are_no_utf8(files, tmp_path, capsys, n_models):
    """The report shows their bytes: an audit of an hour is not lost to a name."""
    folder = tmp_path / os.fsdecode(b"donn\xe9es")
    folder.mkdir()
    for name in ("members.npz", "others.npz"):
        shutil.copy(files / name, folder)
    names = [os.fsdecode(b"mod\xe8le.joblib"), "m.joblib"][:n_models]
    for name in names:
        shutil.copy(files / "m.joblib", folder / name)
    given = command(folder, "--attacks", "entropy", "--scores", str(folder / "s.csv"), model=names[0])
    assert main([*given[:2], *(str(folder / name) for name in names[1:]), *given[2:]]) == 0
    assert {path.name for path in (folder / "out").iterdir()} == {"report.html", "report.json", "attacks.csv"}
    assert r"donn\udce9es/out: report.html" in capsys.readouterr().out
    assert r"donn\udce9es/others.npz" in (folder / "out" / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("again", ["./m.joblib", "sub/../m.joblib", "link.joblib"])
def test_one_model_by_two_paths(tmp_path, monkeypatch, again):
    """It is one model, whatever it is called."""
    monkeypatch.chdir(tmp_path)
    for name in ("m.joblib", "n.joblib"):
        (tmp_path / name).write_text("")
    (tmp_path / "sub").mkdir()
    (tmp_path / "link.joblib").symlink_to("m.joblib")
    with pytest.raises(CommandError, match="named once"):
        _names(["m.joblib", "n.joblib", again])
    assert _names(["m.joblib", "n.joblib"]) == ["m.joblib", "n.joblib"]


def test_models_of_one_name_are_told_apart_by_their_folders():
    """As those of two runs."""
    assert _names(["a/m.joblib", "b/m.joblib"]) == ["a/m.joblib", "b/m.joblib"]
    assert _names(["a/m.joblib", "b/n.joblib"]) == ["m.joblib", "n.joblib"]

"""Folders that hold a defended classifier without pickle, and its key in a file apart."""

import base64
import io
import json
import os
import pickle
import stat
import subprocess
import sys
import warnings
import zipfile
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from joblib import Parallel, delayed
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import BaggingClassifier, RandomForestClassifier, StackingClassifier, VotingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.tree._tree import Tree
from skorch import NeuralNetClassifier
from skorch.callbacks import EpochScoring
from torch import nn

from skdiffence.base import from_module
from skdiffence.defenses import (
    DefendedClassifier,
    DistilledDefense,
    MemGuardClassifier,
    OutputClassifier,
    OutputNoiseClassifier,
    SELENAClassifier,
)
from skdiffence.defenses._portable import KEY_VARIABLE, _add_keys
from skdiffence.diffusion import DiffusionRegenerator
from skdiffence.exceptions import DefenseWarning, VersionWarning
from skdiffence.utils._rows import RowSet
from skdiffence.utils._secret import Secret, SecretBytes
from tests.defenses.cases import NAMES, RULES, defend, digits, half, quiet
from tests.nets import MLP, make_net

# skops trusts no trees, of which a changed file could make scikit-learn read beyond their ends.
CLASSES = [MLP, Tree]
ROOT = Path(__file__).parents[2]


class Tied(nn.Module):
    """A module with tied weights, a buffer that is not saved, a setting and a function of torch."""

    def __init__(self, width=16):
        super().__init__()
        self.settings = {"width": width, "names": ("a", None)}
        self.first, self.second = nn.Linear(64, width), nn.Linear(64, width)
        self.second.weight = self.first.weight
        self.last = nn.Sequential(nn.BatchNorm1d(width), nn.Dropout(), nn.Linear(width, 10), nn.Softmax(-1))
        self.register_buffer("shift", torch.ones(width), persistent=False)

    def forward(self, X):
        """Return probabilities."""
        X = X.flatten(1)
        return self.last(torch.relu(self.first(X) + self.second(X) + self.shift))


CLASSES.append(Tied)


def small_diffusion(**params):
    return DiffusionRegenerator({"width": 16}, timestep=100, max_epochs=2, **params)


def fitted(net=None, regenerator=None, **params):
    X, y = digits("strings")
    regenerator = small_diffusion() if regenerator is None else regenerator
    is_member = half(y) if params.get("selection") in RULES else None
    return quiet(defend(make_net() if net is None else net, regenerator, **params).fit, X, y, is_member=is_member), X


def save(defended, folder, **params):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DefenseWarning)
        defended.save_pretrained(folder, **params)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Return a defended net, rows and its folder."""
    defended, X = fitted(selection="matched")
    folder = tmp_path_factory.mktemp("saved") / "defended.v1"
    save(defended, folder)
    return defended, X, folder


def images():
    X, y = digits()
    return X.reshape(-1, 1, 8, 8).astype(np.float32), y


def trained_module(classes=10):
    X, y = digits()
    net = quiet(make_net(Tied, module__width=8).fit, X.astype(np.float32), y)
    return from_module(net.module_, classes, output="proba")


CASES = {
    "net": lambda: fitted(selection="swap"),
    "tied weights": lambda: fitted(make_net(Tied, module__width=8)),
    "partial": lambda: fitted(make_net(partial(Tied, width=8))),
    "frozen module": lambda: fitted(trained_module(), calibration_size=0),
    "frozen module with names": lambda: fitted(trained_module(NAMES), calibration_size=0),
    "net with names": lambda: fitted(make_net(classes=NAMES.tolist())),
    "class weights": lambda: fitted(make_net(criterion__weight=torch.ones(10))),
    "row noise": lambda: fitted(regenerator=small_diffusion(noise="row", key="open sesame")),
    "exact": lambda: fitted(regenerator=small_diffusion(exact=True, n_steps=2)),
    "passthrough": lambda: fitted(regenerator="passthrough"),
    **{rule: partial(fitted, selection=rule) for rule in ("mean", "members", "budgeted", "nearest")},
    "temperature": lambda: fitted(calibrate="temperature"),
    "pipeline": lambda: fitted(make_pipeline(StandardScaler(), make_net())),
    "forest": lambda: fitted(RandomForestClassifier(5, random_state=0)),
}


@pytest.mark.parametrize("case", CASES)
def test_loaded_classifier_answers_the_same(case, tmp_path):
    """To the last bit, and is like the saved one in all that it tells of itself."""
    if case in ("pipeline", "forest"):
        pytest.importorskip("skops")
    defended, X = CASES[case]()
    save(defended, tmp_path / "folder")
    loaded = DefendedClassifier.from_pretrained(tmp_path / "folder", classes=CLASSES)
    np.testing.assert_array_equal(loaded.predict_proba(X), defended.predict_proba(X))
    np.testing.assert_array_equal(loaded.predict(X), defended.predict(X))
    assert repr(loaded) == repr(defended) and loaded.denoiser_saw_members_ == defended.denoiser_saw_members_
    np.testing.assert_array_equal(loaded.not_trained_on_.contains(X), defended.not_trained_on_.contains(X))
    np.testing.assert_array_equal(loaded.calibrated_on_.contains(X), defended.calibrated_on_.contains(X))
    save(loaded, tmp_path / "again")
    again = DefendedClassifier.from_pretrained(tmp_path / "again", classes=CLASSES)
    np.testing.assert_array_equal(again.predict_proba(X), defended.predict_proba(X))


def test_loaded_unet_answers_the_same(tmp_path):
    """Images, with the default kind of denoiser."""
    X, y = images()
    regenerator = DiffusionRegenerator({"block_out_channels": (8, 16)}, timestep=100, max_epochs=1)
    defended = quiet(DefendedClassifier(make_net(), regenerator, n_candidates=2, selection="swap").fit, X, y)
    save(defended, tmp_path / "folder")
    loaded = DefendedClassifier.from_pretrained(tmp_path / "folder", classes=[MLP])
    np.testing.assert_array_equal(loaded.predict_proba(X[:40]), defended.predict_proba(X[:40]))


def test_loaded_classifier_can_be_trained_again(saved):
    """Its parameters came along, the unfitted net among them."""
    defended, X, folder = saved
    _, y = digits("strings")
    loaded = quiet(DefendedClassifier.from_pretrained(folder, classes=[MLP]).fit, X, y, is_member=half(y))
    np.testing.assert_array_equal(loaded.predict_proba(X), defended.predict_proba(X))


ASK = """
import pickle, sys
import joblib, numpy as np, torch
from diffusers import DDPMScheduler, UNet2DModel  # before anything is refused: they are imported when first used
from skdiffence import DefendedClassifier
from tests.nets import MLP
torch.set_num_threads(1)
def refuse(*args, **kwargs):
    raise AssertionError("something was unpickled")
pickle.load = pickle.loads = pickle._Unpickler.load = torch.load = joblib.load = refuse
folder, rows, answers = sys.argv[1:]
np.save(answers, DefendedClassifier.from_pretrained(folder, classes=[MLP]).predict_proba(np.load(rows)))
"""


class Boom:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_new_process_answers_the_same_and_opens_no_pickle(saved, tmp_path):
    """Pickles that somebody has put into the folder, under any name, are not opened."""
    defended, X, folder = saved
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-r", str(folder), str(copy)], check=True)
    for name in ("model.pkl", "defended.joblib", "part-0.skops", "pytorch_model.bin", "params.pt", "arrays.npz"):
        (copy / name).write_bytes(pickle.dumps(Boom(str(tmp_path / "boom"))))
    np.save(tmp_path / "rows.npy", X)
    command = [sys.executable, "-c", ASK, *map(str, (copy, tmp_path / "rows.npy", tmp_path / "answers.npy"))]
    subprocess.run(command, check=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
    np.testing.assert_array_equal(np.load(tmp_path / "answers.npy"), defended.predict_proba(X))
    assert not (tmp_path / "boom").exists()


def test_only_json_and_safetensors(saved):
    """No file is a pickle, and no array holds objects."""
    _, _, folder = saved
    assert {path.name for path in folder.iterdir()} == {
        "arrays.safetensors",
        "defended.json",
        "noise.key",
        "tensors.safetensors",
    }
    json.loads((folder / "defended.json").read_text())


def test_no_training_row_is_in_the_folder(saved):
    """In no precision, raw or as text."""
    _, X, folder = saved
    content = b"".join(path.read_bytes() for path in folder.iterdir())
    for dtype in (np.float32, np.float64):
        assert not [row for row in X.astype(dtype) if row[:32].tobytes() in content]


# Classes


def test_unnamed_types_of_skops_are_refused(tmp_path):
    """Trees are named in the error."""
    pytest.importorskip("skops")
    save(CASES["forest"]()[0], tmp_path / "folder")
    with pytest.raises(ValueError, match=r"not loaded unless you name them: sklearn.tree._tree.Tree\..*classes="):
        DefendedClassifier.from_pretrained(tmp_path / "folder")


def test_unnamed_classes_are_refused(saved):
    """The error says what to write."""
    with pytest.raises(ValueError, match=r"class MLP of tests.nets.*from_pretrained\(folder, classes=\[MLP\]\)"):
        DefendedClassifier.from_pretrained(saved[2])


def _edit(folder, change):
    """Change the notes of a folder, as an attacker does, with checksums that fit."""
    from skdiffence.defenses._portable import _checksum

    outer = json.loads((folder / "defended.json").read_text())
    notes = json.loads(outer["notes"])
    change(notes)
    text = json.dumps(notes)
    (folder / "defended.json").write_text(json.dumps({"checksum": _checksum(text.encode()), "notes": text}))


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("posix", "system"),
        ("builtins", "eval"),
        ("builtins", "exec"),
        ("builtins", "type"),
        ("subprocess", "Popen"),
        ("pickle", "Unpickler"),
        ("torch", "load"),
        ("torch.hub", "load"),
        ("joblib.numpy_pickle", "load"),
        ("skdiffence.utils._unsaved", "Unsaved"),
        ("skdiffence._evaluation._pool", "Pool"),
        ("sklearn.preprocessing._function_transformer", "FunctionTransformer"),
        ("skdiffence.defenses._portable", "os.system"),
        ("no_such_module", "Thing"),
    ],
)
@pytest.mark.parametrize("form", ["object", "class", "partial"])
def test_classes_of_others_are_not_touched(module, name, form, saved, tmp_path):
    """Whatever a changed folder names, nothing is called that the user has not named."""
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-r", str(saved[2]), str(copy)], check=True)
    ref = {"is": "class", "module": module, "name": name}
    evil = {
        "object": {"is": "object", "class": ref, "state": {}},
        "class": ref,
        "partial": {
            "is": "partial",
            "func": ref,
            "args": {"is": "tuple", "items": []},
            "kwargs": {"is": "dict", "items": []},
        },
    }[form]
    _edit(copy, lambda notes: notes["classifier"]["state"].update(verbose=evil))
    with pytest.raises(ValueError, match="not loaded unless you name it"):
        DefendedClassifier.from_pretrained(copy, classes=[MLP])


# The key


def test_key_is_private_and_nowhere_else(saved):
    """Of mode 600, and in no other file of the folder."""
    defended, _, folder = saved
    key = bytes(defended.regenerator_.key_)
    assert stat.S_IMODE((folder / "noise.key").stat().st_mode) == 0o600
    assert key.hex() in (folder / "noise.key").read_text()
    for path in set(folder.iterdir()) - {folder / "noise.key"}:
        content = path.read_bytes()
        assert key not in content and key.hex().encode() not in content
        assert bytes(defended.not_trained_on_.key).hex().encode() not in content  # digests can't be guessed either


class KeysOf(pickle.Pickler):
    """Finds every key in an object, however deep, as pickle meets all of its parts."""

    def __init__(self, value):
        super().__init__(io.BytesIO())
        self.found = set()
        self.dump(value)

    def persistent_id(self, part):
        """Record a key; pickle everything as usual."""
        key = part._value if isinstance(part, Secret) else part.key if isinstance(part, RowSet) else part
        if isinstance(part, (Secret, SecretBytes, RowSet)) and key:
            self.found.add(key.encode() if isinstance(key, str) else bytes(key))


def contents(folder):
    """Yield the content of every file of a folder, and that of every member of its archives."""
    for path in folder.iterdir():
        yield path.read_bytes()
        if path.suffix == ".skops":
            with zipfile.ZipFile(path) as archive:
                yield from map(archive.read, archive.namelist())


LINEAR = LogisticRegression(max_iter=20)
NOISE = OutputNoiseClassifier(LINEAR, key=b"open sesame")
DEFENSES = {
    "noise": lambda: NOISE,
    "label": lambda: OutputClassifier(LINEAR, "label"),
    "memguard": lambda: MemGuardClassifier(LINEAR, attack_epochs=5, max_steps=5),
    "selena": lambda: SELENAClassifier(GaussianNB(), n_estimators=3, n_excluded=1, distill=False),
    "distilled": lambda: DistilledDefense(LINEAR, LINEAR, public=digits()[0][:40] + 1e-3),
    "defended": lambda: defend(LINEAR, small_diffusion(key="open barley"), selection="swap"),
}
# Name: a function of a defense, and whether it can be written.
AROUND = {
    "itself": (lambda each: each, True),
    "pipeline": (lambda each: make_pipeline(StandardScaler(), each), True),
    "frozen": (lambda each: FrozenEstimator(quiet(each.fit, *digits("strings"))), True),
    "calibrated": (lambda each: CalibratedClassifierCV(each, method="temperature", cv=2), False),
    "calibrated frozen": (
        lambda each: CalibratedClassifierCV(FrozenEstimator(quiet(each.fit, *digits("strings"))), method="sigmoid"),
        False,
    ),
    "voting": (lambda each: VotingClassifier([("a", each), ("b", LINEAR)], voting="soft"), False),
    "voting in a pipeline": (
        lambda each: make_pipeline(VotingClassifier([("a", make_pipeline(each))], voting="soft")),
        False,
    ),
    "bagging": (lambda each: BaggingClassifier(each, 2), False),
    "stacking": (lambda each: StackingClassifier([("a", LINEAR)], each, cv=2), False),
    "one against the rest": (OneVsRestClassifier, False),
    "search": (lambda each: GridSearchCV(each, {}, cv=2), False),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("defense", "around"),
    [*((defense, "itself") for defense in DEFENSES), *(("noise", around) for around in AROUND if around != "itself")]
    + [(defense, around) for defense in ("label", "selena", "distilled", "defended") for around in ("frozen", "voting")]
    + [("memguard", "voting")],
)
def test_no_key_of_a_nested_defense_is_in_the_folder(defense, around, tmp_path):
    """Wherever it sits: what can't be written without its keys is refused, and leaves no file behind."""
    pytest.importorskip("skops")
    wrap, can_be_written = AROUND[around]
    defended, X = fitted(wrap(DEFENSES[defense]()), selection="swap")
    keys = KeysOf(defended).found
    assert len(keys) > 1
    folder, key_file = tmp_path / "folder", tmp_path / "vault" / "keys"
    if not can_be_written:
        with pytest.raises(TypeError, match=r"classifier\.estimator.* can't be written without pickle.*skdiffence"):
            save(defended, folder, key_file=key_file)
        assert not list(tmp_path.iterdir())
        return
    save(defended, folder, key_file=key_file)
    for content in contents(folder):
        assert not [key for key in keys for form in (key, key.hex().encode(), base64.b64encode(key)) if form in content]
    assert all(key.hex() in key_file.read_text() or key.decode() in key_file.read_text() for key in keys)
    loaded = DefendedClassifier.from_pretrained(folder, classes=CLASSES, key_file=key_file)
    np.testing.assert_array_equal(loaded.predict_proba(X), defended.predict_proba(X))


@pytest.mark.parametrize("how", ["argument", "variable"])
def test_key_in_another_place(how, tmp_path, monkeypatch):
    """The folder can be shared without it; the file serves several folders."""
    key_file = tmp_path / "vault" / "keys.json"
    if how == "variable":
        monkeypatch.setenv(KEY_VARIABLE, str(key_file))
    params = {"key_file": key_file} if how == "argument" else {}
    defended, X = fitted(selection="swap", regenerator=small_diffusion(key="open sesame"))
    other, _ = fitted(selection="first")
    for name, each in (("one", defended), ("other", other), ("one", defended)):
        save(each, tmp_path / name, **params)
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    assert len(json.loads(key_file.read_text())["keys"]) == 2
    assert not any(b"sesame" in path.read_bytes() for path in (tmp_path / "one").iterdir())
    for name, each in (("one", defended), ("other", other)):
        loaded = DefendedClassifier.from_pretrained(tmp_path / name, classes=[MLP], **params)
        np.testing.assert_array_equal(loaded.predict_proba(X), each.predict_proba(X))
    assert loaded.regenerator_.key_is_secret_ == other.regenerator_.key_is_secret_
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    with pytest.raises(ValueError, match=f"key of the noise is not there.*key_file=.*{KEY_VARIABLE}"):
        DefendedClassifier.from_pretrained(tmp_path / "one", classes=[MLP])


@pytest.mark.parametrize("content", ["", "{}", "[]", "open sesame", '{"keys": 1}', '{"keys": {"sesame": []}}'])
def test_wrong_key_files_are_refused(content, saved, tmp_path):
    """Without printing what is in them."""
    (tmp_path / "keys").write_text(content)
    with pytest.raises(ValueError, match="key_file .*keys") as raised:
        DefendedClassifier.from_pretrained(saved[2], classes=[MLP], key_file=tmp_path / "keys")
    assert "sesame" not in str(raised.value)
    assert raised.value.__cause__ is None


@pytest.mark.parametrize("name", ["denoiser", "checkpoint_dir"])
def test_paths(name, tmp_path):
    """Parameters that are paths come back as paths, which are never taken for names on a hub."""
    X, y = digits("strings")
    small_diffusion(random_state=0).fit(X).save_pretrained(tmp_path / "place")
    regenerator = small_diffusion(random_state=0).set_params(**{name: tmp_path / "place"})
    defended, _ = fitted(regenerator=regenerator, selection="swap")
    save(defended, tmp_path / "folder")
    loaded = DefendedClassifier.from_pretrained(tmp_path / "folder", classes=[MLP])
    assert getattr(loaded.regenerator_, name) == getattr(loaded.regenerator, name) == tmp_path / "place"
    np.testing.assert_array_equal(loaded.predict_proba(X), defended.predict_proba(X))
    quiet(loaded.fit, X, y)


def test_key_in_the_folder_is_found_whatever_the_environment_says(saved, tmp_path, monkeypatch):
    """A folder that was saved before the variable was set can still answer."""
    other, _ = fitted(selection="swap")
    save(other, tmp_path / "other", key_file=tmp_path / "keys")
    monkeypatch.setenv(KEY_VARIABLE, str(tmp_path / "keys"))
    loaded = DefendedClassifier.from_pretrained(saved[2], classes=[MLP])
    np.testing.assert_array_equal(loaded.predict_proba(saved[1]), saved[0].predict_proba(saved[1]))


def test_key_file_inside_the_folder_is_refused(saved, tmp_path):
    """It would be lost with the folder that is replaced."""
    for key_file in (tmp_path / "folder" / "noise.keys", tmp_path / "folder"):
        with pytest.raises(ValueError, match="key_file must lie outside of the folder"):
            save(saved[0], tmp_path / "folder", key_file=key_file)
    assert not list(tmp_path.iterdir())


def test_link_to_a_key_file_is_followed(saved, tmp_path):
    """The file that it leads to gets the key, and the link stays."""
    (tmp_path / "vault").mkdir()
    link = tmp_path / "keys"
    link.symlink_to(tmp_path / "vault" / "real")
    for name in ("one", "two"):
        save(saved[0], tmp_path / name, key_file=link)
    assert link.is_symlink()
    DefendedClassifier.from_pretrained(tmp_path / "two", classes=[MLP], key_file=tmp_path / "vault" / "real")


def test_keys_that_are_added_at_the_same_time(tmp_path):
    """Writers of one file wait for each other, and no key is lost."""
    names = Parallel(n_jobs=4, backend="threading")(
        delayed(_add_keys)(tmp_path / "keys", [("attribute bytes", f"{number:02x}")]) for number in range(40)
    )
    known = json.loads((tmp_path / "keys").read_text())["keys"]
    assert {name: known[name][0][1] for name in names} == {name: f"{k:02x}" for k, name in enumerate(names)}


def test_permissions_of_a_folder_are_kept(saved, tmp_path):
    """Who closed a folder finds it closed after the next save."""
    folder = tmp_path / "folder"
    save(saved[0], folder)
    folder.chmod(0o700)
    save(saved[0], folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_rotated_key(tmp_path):
    """It gives other answers, and what was saved before keeps its own."""
    defended, X = fitted(selection="swap")
    with pytest.warns(DefenseWarning, match=r"follows from random_state.*rotate_key\(\)"):
        defended.save_pretrained(tmp_path / "before", key_file=tmp_path / "keys")
    before = defended.predict_proba(X)
    after = defended.rotate_key().predict_proba(X)
    assert not np.array_equal(before, after) and defended.regenerator_.key_is_secret_
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        defended.save_pretrained(tmp_path / "after", key_file=tmp_path / "keys")
    for name, expected in (("before", before), ("after", after)):
        loaded = DefendedClassifier.from_pretrained(tmp_path / name, classes=[MLP], key_file=tmp_path / "keys")
        np.testing.assert_array_equal(loaded.predict_proba(X), expected)


# Damage, and what can't be written


@pytest.mark.parametrize("name", ["defended.json", "arrays.safetensors", "tensors.safetensors"])
@pytest.mark.parametrize("damage", ["empty", "half", "bit", "missing"])
def test_damaged_files_are_named(name, damage, saved, tmp_path):
    """No flipped bit gives other answers without a word."""
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-r", str(saved[2]), str(copy)], check=True)
    content = (copy / name).read_bytes()
    middle = len(content) * 3 // 4
    (copy / name).write_bytes(
        {
            "empty": b"",
            "half": content[:middle],
            "bit": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
            "missing": b"",
        }[damage]
    )
    if damage == "missing":
        (copy / name).unlink()
    with pytest.raises(ValueError, match=name):
        DefendedClassifier.from_pretrained(copy, classes=[MLP])


def test_missing_folder(tmp_path):
    """It is named."""
    with pytest.raises(FileNotFoundError, match="nowhere does not exist"):
        DefendedClassifier.from_pretrained(tmp_path / "nowhere")


def test_other_versions_are_named(saved, tmp_path):
    """Both versions of each library that differs."""
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-r", str(saved[2]), str(copy)], check=True)
    _edit(copy, lambda notes: notes["versions"].update(torch="0.4.1", numpy="1.0"))
    with pytest.warns(VersionWarning, match=r"copy was saved with numpy 1\.0 \(here .*torch 0\.4\.1 \(here"):
        DefendedClassifier.from_pretrained(copy, classes=[MLP])


def test_folders_of_others_are_kept(saved, tmp_path):
    """Only an empty folder, or one of a defended classifier, is replaced."""
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("text")
    with pytest.raises(FileExistsError, match="holds no defended classifier"):
        save(saved[0], tmp_path / "thesis")
    assert (tmp_path / "thesis" / "chapter.txt").exists()


class OwnNet(NeuralNetClassifier):
    """A net with a function among its settings."""


def test_what_needs_pickle_is_named(tmp_path):
    """Functions have no form without code; nothing is written then."""
    net = OwnNet(MLP, predict_nonlinearity=lambda proba: proba, train_split=None, verbose=0, max_epochs=1)
    defended, _ = fitted(net, selection="swap")
    with pytest.raises(TypeError, match=r"predict_nonlinearity can't be written without pickle.*joblib.dump"):
        save(defended, tmp_path / "folder")
    assert not list(tmp_path.iterdir())


def test_nets_inside_estimators_of_sklearn_are_refused(tmp_path):
    """skops would write them as pickles of torch."""
    pytest.importorskip("skops")
    defended, _ = fitted(VotingClassifier([("net", make_net(max_epochs=1))], voting="soft"), selection="swap")
    with pytest.raises(TypeError, match=r"Got a VotingClassifier that holds objects of skorch and torch, such as"):
        save(defended, tmp_path / "folder")
    assert not list(tmp_path.iterdir())


def test_what_skops_can_t_write_is_named(tmp_path):
    """Such as a frozen defense with a denoiser, whose tensors skops can't take apart."""
    pytest.importorskip("skops")
    inner = FrozenEstimator(fitted(LINEAR, selection="swap")[0])
    defended, _ = fitted(CalibratedClassifierCV(inner, method="temperature"), selection="swap")
    with pytest.raises(TypeError, match=r"classifier\.estimator can't be written.*CalibratedClassifierCV that skops"):
        save(defended, tmp_path / "folder", key_file=tmp_path / "vault" / "keys")
    assert not list(tmp_path.iterdir())


class Functions:
    """A class with a function."""

    @staticmethod
    def inside(X):
        """Return X."""
        return X


@pytest.mark.parametrize("function", [lambda X: X, Functions.inside], ids=["lambda", "static method"])
def test_functions_that_their_name_does_not_lead_to_are_refused(function, tmp_path):
    """skops writes such a name, and the folder could never be loaded."""
    pytest.importorskip("skops")
    defended, _ = fitted(make_pipeline(FunctionTransformer(function), LINEAR), selection="swap")
    with pytest.raises(TypeError, match=r"FunctionTransformer that holds \S+, which its name does not lead to"):
        save(defended, tmp_path / "folder")
    assert not list(tmp_path.iterdir())


def double(layer, inputs, output):
    """A hook."""
    return 2 * output


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda layer: layer.register_forward_hook(double), "forward hooks"),
        (nn.utils.parametrizations.weight_norm, "parametrizations"),
    ],
)
def test_layers_that_answer_by_more_than_their_class_are_refused(change, what, tmp_path):
    """What is loaded would answer otherwise, or could not be loaded."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 10))
    change(net[2])
    defended, _ = fitted(from_module(net, 10), selection="swap")
    with pytest.raises(TypeError, match=f"can't be written without pickle. Got a .*Linear with {what}"):
        save(defended, tmp_path / "folder")
    assert not list(tmp_path.iterdir())


class Recurrent(nn.Module):
    """Reads the rows of an image one after the other."""

    def __init__(self, kind=nn.LSTM):
        super().__init__()
        self.inner = kind(8, 6, batch_first=True)
        self.last = nn.Linear(6, 10)

    def forward(self, X):
        """Return probabilities."""
        return self.last(self.inner(X.reshape(-1, 8, 8))[0][:, -1]).softmax(-1)


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_recurrent_layers(kind, tmp_path):
    """They keep their weights in one piece beside the parameters, which is made anew."""
    defended, X = fitted(make_net(Recurrent, module__kind=kind, max_epochs=1), selection="swap")
    save(defended, tmp_path / "folder")
    loaded = DefendedClassifier.from_pretrained(tmp_path / "folder", classes=[Recurrent])
    np.testing.assert_array_equal(loaded.predict_proba(X), defended.predict_proba(X))
    X, y = digits("strings")
    quiet(loaded.fit, X, y)


def test_history_of_training_comes_back(saved):
    """It is read by epochs and columns, as before."""
    loaded = DefendedClassifier.from_pretrained(saved[2], classes=[MLP])
    assert loaded.estimator_.history[:, "train_loss"] == saved[0].estimator_.history[:, "train_loss"]


class Shifted(nn.LayerNorm):
    """Stands in for a layer of one's own."""

    def forward(self, X):
        """Do something else than the layer of torch."""
        return torch.tanh(super().forward(X) + 1)


def in_module(monkeypatch, module, name="LayerNorm"):
    """Return a class of a name that others have, in a module of its own."""
    cls = type(name, (Shifted,), {"__module__": module, "__qualname__": name})
    monkeypatch.setitem(sys.modules, module, SimpleNamespace(**{name: cls}))
    return cls


def test_classes_of_one_name_are_told_apart(tmp_path, monkeypatch):
    """One's own, torch's, and those of two modules; a class that has moved is found if nothing else is called so."""
    one, other = (in_module(monkeypatch, f"library_{name}") for name in "ab")
    torch.manual_seed(0)
    layers = [nn.Linear(64, 8), one(8), nn.Linear(8, 8), nn.LayerNorm(8), nn.Linear(8, 8), other(8), nn.Linear(8, 10)]
    defended, X = fitted(from_module(nn.Sequential(*layers), 10), selection="swap")
    save(defended, tmp_path / "all")
    for classes in ([one, other], [other, one]):
        loaded = DefendedClassifier.from_pretrained(tmp_path / "all", classes=classes)
        np.testing.assert_array_equal(loaded.predict_proba(X), defended.predict_proba(X))
    moved = [in_module(monkeypatch, f"elsewhere_{name}") for name in "ab"]
    for classes in (moved[:1], moved, [one, moved[0], moved[1]]):
        with pytest.raises(ValueError, match="LayerNorm of library_[ab], and classes= has .*LayerNorm, which may be"):
            DefendedClassifier.from_pretrained(tmp_path / "all", classes=classes)
    defended, X = fitted(from_module(nn.Sequential(*layers[:5], nn.Linear(8, 10)), 10), selection="swap")
    save(defended, tmp_path / "one")
    loaded = DefendedClassifier.from_pretrained(tmp_path / "one", classes=moved[:1])
    np.testing.assert_array_equal(loaded.predict_proba(X), defended.predict_proba(X))


def test_left_out_callbacks_are_named(tmp_path):
    """They matter for training only: answers stay, and a warning tells."""
    defended, X = fitted(make_net(callbacks=[EpochScoring("accuracy", on_train=True)]), selection="swap")
    with pytest.warns(DefenseWarning, match=r"training only: classifier.estimator.callbacks"):
        defended.save_pretrained(tmp_path / "folder")
    loaded = DefendedClassifier.from_pretrained(tmp_path / "folder", classes=[MLP])
    np.testing.assert_array_equal(loaded.predict_proba(X), defended.predict_proba(X))


def test_frozen_net_is_written_once(tmp_path):
    """As parameter and as fitted classifier it is one net."""
    X, y = digits("strings")
    net = make_net()
    net.fit(X.astype(np.float32), np.unique(y, return_inverse=True)[1])
    defended = quiet(
        defend(FrozenEstimator(net), small_diffusion(), calibration_size=0, selection="swap").fit,
        X,
        np.unique(y, return_inverse=True)[1],
    )
    save(defended, tmp_path / "folder")
    loaded = DefendedClassifier.from_pretrained(tmp_path / "folder", classes=[MLP])
    np.testing.assert_array_equal(loaded.predict_proba(X), defended.predict_proba(X))

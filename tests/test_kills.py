"""Runs that are killed by SIGKILL and run again: the same result, bit for bit, and no unreadable file.

The few kills here are part of every run of the tests. ``pytest -m kills`` makes 50 more for each stage, or
as many as the environment variable SKDIFFENCE_KILLS says.
"""

import os
import re
import sys
import time
from collections import Counter

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from skdiffence.diffusion import DiffusionRegenerator, _checkpoint
from tests import kills
from tests.kills import POINTS, STAGES, run

X = np.random.default_rng(0).normal(size=(60, 4))
N_KILLS = int(os.environ.get("SKDIFFENCE_KILLS", 50))


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """Return a function that runs a stage to its end, once."""
    made = {}

    def result(stage):
        if stage not in made:
            made[stage] = run(stage, tmp_path_factory.mktemp(stage) / "kept")
        return made[stage]

    return result


def same(one, other):
    """Return whether two results are equal to the last bit."""
    return len(one) == len(other) and all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def leftovers(folder):
    """Return the names of files that only a killed process leaves."""
    return [path.name for path in folder.rglob(".skdiffence-*")] if folder.exists() else []


@pytest.mark.parametrize(
    ("stage", "point"),
    [
        ("train_dropout", "empty file"),
        ("train_dropout", "after the rename"),
        ("train_images", "half a file"),
        ("train_all_shadows", "half a file"),
        ("train_submodels", "before the rename"),
    ],
)
def test_killed_inside_a_write(stage, point, expected, tmp_path):
    """Twice in a row, in the first write and in the third: the state is the one before or the one after."""
    for number in (0, 2):
        assert run(stage, tmp_path / "kept", write=(point, number)) is None
    assert same(run(stage, tmp_path / "kept"), expected(stage))
    assert not leftovers(tmp_path / "kept")


def test_uninterrupted_result_does_not_depend_on_the_folder(expected):
    """Saving the state changes nothing of the training."""
    plain = DiffusionRegenerator({"width": 16}, max_epochs=3, batch_size=16, random_state=0).fit(kills._rows()[0])
    assert np.array_equal(expected("train_rows")[1], plain.transform(kills._rows()[0]))


@pytest.mark.kills
@pytest.mark.parametrize("stage", STAGES)
def test_random_kills(stage, expected, tmp_path, capsys):
    """Every other kill is at a random moment, the others are at a random place inside a random write."""
    rng, wanted = np.random.default_rng(0), expected(stage)
    start = time.monotonic()
    assert same(run(stage, tmp_path / "timed"), wanted)
    seconds = time.monotonic() - start
    killed, resumed, runs = Counter(), 0, 0
    while killed.total() < N_KILLS:
        folder, runs = tmp_path / str(resumed), runs + 1
        if runs % 2:
            point = "random moment"
            found = run(stage, folder, kill_after=rng.uniform(0, seconds))
        else:
            point = str(rng.choice(POINTS))
            found = run(stage, folder, write=(point, int(rng.integers(3))))
        if found is None:
            killed[point] += 1
        else:  # it went on to the end, and the next one starts from the beginning
            assert same(found, wanted)
            assert not leftovers(folder)
            resumed += 1
        assert runs < 5 * N_KILLS
    with capsys.disabled():
        count = killed.total()
        points = ", ".join(f"{point} {n}" for point, n in sorted(killed.items()))
        told = f"{stage}: {count} kills ({points}), {resumed} runs went on to the end, all with the same result"
        sys.stdout.write(f"\n{told}\n")
    assert resumed


# What is not continued from


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """Return a regenerator with a folder, the state of its training in the middle, and the folder."""
    monkeypatch.setattr(_checkpoint, "SECONDS_BETWEEN", 0.0)
    regenerator = DiffusionRegenerator({"width": 8}, max_epochs=3, checkpoint_dir=tmp_path / "kept", random_state=0)
    with monkeypatch.context() as patch:
        patch.setattr("skdiffence.diffusion._training.finished_state", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            regenerator.fit(X)
    (path,) = (tmp_path / "kept").iterdir()
    return regenerator, path


def _interrupt(*args):
    raise KeyboardInterrupt


DAMAGES = {
    "empty": lambda path: path.write_bytes(b""),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-100]),
    "half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "one bit": lambda path: path.write_bytes(
        path.read_bytes()[:-9] + bytes([path.read_bytes()[-9] ^ 1]) + path.read_bytes()[-8:]
    ),
    "text": lambda path: path.write_text("not a checkpoint"),
    "other weights": lambda path: save_file(load_file(path), path),
    "a notes entry": lambda path: path.write_bytes(
        re.sub(rb'n_updates\\": \d', rb'n_updates\\": 9', path.read_bytes())
    ),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_state_is_refused(damage, kept):
    """No training continues from it without a word, and the error names the file and what to do."""
    regenerator, path = kept
    DAMAGES[damage](path)
    with pytest.raises(ValueError, match=f"checkpoint_dir has a file.*{re.escape(str(path))}.*Remove it") as raised:
        regenerator.fit(X)
    assert not hasattr(regenerator, "denoiser_"), raised.value


def test_state_of_another_training_is_refused(kept):
    """Renamed or copied to the place of this one."""
    regenerator, path = kept
    regenerator.set_params(lr=0.01, max_epochs=1).fit(X)
    (other,) = set(path.parent.iterdir()) - {path}
    other.replace(path)
    with pytest.raises(ValueError, match="it is of another training"):
        regenerator.set_params(lr=0.002, max_epochs=3).fit(X)


@pytest.mark.parametrize(
    "change",
    [
        {"lr": 0.01},
        {"random_state": 1},
        {"batch_size": 32},
        {"ema_decay": 0.9},
        {"max_epochs": 4},
        {"timestep": 50},
        {"beta_schedule": "scaled_linear"},
        {"denoiser": {"width": 8, "n_blocks": 1}},
    ],
)
def test_other_parameters_start_from_the_beginning(change, kept):
    """A training has a file of its own for each of what it depends on."""
    regenerator, path = kept
    before = path.read_bytes()
    regenerator.set_params(**change).fit(X)
    assert len(list(path.parent.iterdir())) == 2 and path.read_bytes() == before


def test_finished_training_is_read(kept, monkeypatch):
    """It is not trained again, whatever the verbosity and the key; its files are private."""
    regenerator, path = kept
    before = regenerator.fit(X)
    answers = before.transform(X)
    monkeypatch.setattr("skdiffence.diffusion._training.Trainer._epoch", _interrupt)
    again = DiffusionRegenerator(**{**regenerator.get_params(), "verbose": 0}).fit(X)
    assert np.array_equal(again.transform(X), answers) and again.history_ == before.history_
    assert again.denoiser_saw_members_
    assert path.stat().st_mode & 0o777 == 0o600 and path.parent.stat().st_mode & 0o777 == 0o700


def test_state_is_saved_no_more_than_once_a_minute(tmp_path, monkeypatch):
    """Between two times nothing is written, and at the end once."""
    saves = []
    save = _checkpoint.Checkpoint.save
    monkeypatch.setattr(_checkpoint.Checkpoint, "save", lambda self, *state: (saves.append(state), save(self, *state)))
    assert _checkpoint.SECONDS_BETWEEN == 60
    DiffusionRegenerator({"width": 8}, max_epochs=3, checkpoint_dir=tmp_path, random_state=0).fit(X)
    assert [notes.get("finished") for _, notes in saves] == [True]


def test_a_seed_is_needed(tmp_path):
    """Without one nothing would ever be found again."""
    with pytest.raises(ValueError, match="checkpoint_dir needs random_state"):
        DiffusionRegenerator({"width": 8}, checkpoint_dir=tmp_path).fit(X)

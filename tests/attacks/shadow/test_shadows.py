"""Shadow models and the cache that keeps them."""

import os
import pickle
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
from sklearn.datasets import make_blobs
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_validate
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils.parallel import Parallel
from skorch.dataset import ValidSplit
from torch import nn

from skdiffence.attacks import train_shadows
from skdiffence.attacks.shadow._shadows import _Job, _run
from skdiffence.defenses import DefendedClassifier
from skdiffence.diffusion import DiffusionRegenerator
from skdiffence.inspection import canary_audit
from skdiffence.model_selection import ShadowSplit
from skdiffence.utils._files import beside
from skdiffence.utils._random import torch_seed
from tests.attacks.shadow.shadow_estimators import LOG, PAUSE, Logged, Weighted
from tests.defenses.regenerators import NoiseRegenerator
from tests.nets import MLP, LogitMLP, make_net

ROOT = Path(__file__).parents[3]
X, y = make_blobs(61, n_features=4, centers=3, cluster_std=4.0, random_state=0)
X32 = X.astype(np.float32)


def small_net(**params):
    """Return a net for the rows of this file."""
    return make_net(MLP, module__n_features=4, module__n_classes=3, max_epochs=2, **params)


def answers(shadows, X=X):
    """Return the probabilities that all shadows answer."""
    with torch_seed(0):  # skorch draws from torch's global generator when it predicts
        return np.stack([shadow.predict_proba(X) for shadow in shadows["estimator"]])


# --- what is trained on what ---------------------------------------------------------------------


@pytest.mark.parametrize("canaries", [None, [5, 60, 31, 0, 7]])
def test_equals_cross_validate_with_the_splitter(canaries):
    """The same halves, and for an estimator without randomness the same models."""
    cv = ShadowSplit(6, canaries=canaries, random_state=3)
    expected = cross_validate(GaussianNB(), X, y, cv=cv, return_estimator=True, return_indices=True)
    found = train_shadows(GaussianNB(), X, y, n_shadows=6, canaries=canaries, random_state=3)
    assert set(found) == {"estimator", "fit_time", "indices"}
    assert found["fit_time"].shape == (6,)
    for side in ("train", "test"):
        for ours, theirs in zip(found["indices"][side], expected["indices"][side], strict=True):
            np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(answers(found), answers(expected))


def test_each_shadow_is_trained_on_its_rows_alone():
    """A row that is out has no influence: shadows without it stay as they are when it changes."""
    changed = X.copy()
    changed[10] += 100
    before, after = (train_shadows(GaussianNB(), rows, y, n_shadows=4, random_state=0) for rows in (X, changed))
    same = [bool((a.theta_ == b.theta_).all()) for a, b in zip(before["estimator"], after["estimator"], strict=True)]
    assert same == [10 not in train for train in before["indices"]["train"]]
    assert sorted(same) == [False, False, True, True]


def test_a_row_s_parameters_go_with_it():
    """What has one entry a row is cut as the rows are; what has not is passed on."""
    weights = np.arange(61.0)
    found = train_shadows(
        Weighted(max_iter=1000), X, y, n_shadows=2, random_state=0, fit_params={"sample_weight": weights}
    )
    for shadow, train in zip(found["estimator"], found["indices"]["train"], strict=True):
        np.testing.assert_array_equal(shadow.weights_, weights[train])


def test_rows_that_a_net_holds_out_are_on_neither_side():
    """An explicit split is kept and recorded; the default one, a fifth of the rows, is not."""
    split = ValidSplit(4)
    for net, share in ((small_net(train_split=split), 0.75), (small_net(train_split=ValidSplit(5)), 1.0)):
        found = train_shadows(net, X32, y, n_shadows=2, random_state=0)
        for shadow, train, test in zip(found["estimator"], *found["indices"].values(), strict=True):
            trained_on = sum(
                batch["train_batch_size"] for batch in shadow.history[0]["batches"] if "train_loss" in batch
            )
            assert len(train) == trained_on == round(share * (61 - len(test)))
            assert not set(train) & set(test)


class Mine(DefendedClassifier):
    """A defense that a user derived."""


@pytest.mark.filterwarnings("error::skdiffence.exceptions.MembershipWarning")
@pytest.mark.parametrize("defense", [DefendedClassifier, Mine])
def test_held_out_rows_of_a_net_inside_a_defense(defense):
    """The defense records them itself, whether its class is the library's or derived from it."""
    net = small_net(train_split=ValidSplit(4))
    found = train_shadows(defense(net, NoiseRegenerator()), X, y, n_shadows=2, random_state=0)
    for train, test in zip(*found["indices"].values(), strict=True):
        assert len(train) == round(0.75 * (61 - len(test)))


def test_rows_that_a_defense_calibrates_on_are_on_neither_side():
    """Known members and non-members of a rule can't be scored."""
    defended = DefendedClassifier(GaussianNB(), NoiseRegenerator(), selection="matched", calibration_size=0.2)
    found = train_shadows(defended, X, y, n_shadows=2, random_state=0)
    for shadow, train, test in zip(found["estimator"], *found["indices"].values(), strict=True):
        assert shadow.n_samples_fit_ > len(train) > 0
        assert len(shadow.calibrated_on_) == 61 - len(train) - len(test)
        assert not (shadow.not_trained_on_.contains(X[train]) | shadow.calibrated_on_.contains(X[train])).any()


# --- seeds ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("estimator", [RandomForestClassifier(3), small_net()], ids=["forest", "net"])
@pytest.mark.usefixtures("untouched_generators")
def test_results_do_not_depend_on_who_trains(estimator):
    """One after the other, or in threads that share torch's generator: the same models, and no global seed touched."""
    first, same, other = (train_shadows(estimator, X32, y, n_shadows=4, random_state=seed) for seed in (0, 0, 1))
    with joblib.parallel_backend("threading"):
        threaded = train_shadows(estimator, X32, y, n_shadows=4, random_state=0, n_jobs=3)
    np.testing.assert_array_equal(answers(first, X32), answers(same, X32))
    np.testing.assert_array_equal(answers(first, X32), answers(threaded, X32))
    assert not np.array_equal(answers(first, X32), answers(other, X32))


def test_work_can_be_sent_to_another_process():
    """What a worker gets is pickled, and gives the same there."""
    work = small_net(), X32, y, {}, _Job(7), np.arange(61) % 2 == 0
    here, there = (_run(*each)["estimator"] for each in (work, pickle.loads(pickle.dumps(work))))
    np.testing.assert_array_equal(*(answers({"estimator": [shadow]}, X32) for shadow in (here, there)))


def test_backends_that_return_all_results_at_once(monkeypatch):
    """Such as joblib's "multiprocessing", which refuses to return them one by one; only the progress bar suffers."""

    def all_at_once(n_jobs, verbose, return_as="list"):
        if return_as != "list":
            raise ValueError("Backend does not support return_as=generator")
        return Parallel(n_jobs=n_jobs)

    expected = train_shadows(GaussianNB(), X, y, n_shadows=2, random_state=0)
    monkeypatch.setattr("skdiffence.utils._parallel.Parallel", all_at_once)
    found = train_shadows(GaussianNB(), X, y, n_shadows=2, random_state=0)
    np.testing.assert_array_equal(answers(found), answers(expected))


def test_every_shadow_has_seeds_of_its_own():
    """A seed that was given stays: it is part of what is audited."""
    forest = make_pipeline(StandardScaler(), RandomForestClassifier(1))
    found = train_shadows(forest, X, y, n_shadows=8, random_state=0)
    assert len({shadow[-1].random_state for shadow in found["estimator"]}) == 8
    found = train_shadows(forest.set_params(randomforestclassifier__random_state=7), X, y, n_shadows=4, random_state=0)
    assert {shadow[-1].random_state for shadow in found["estimator"]} == {7}
    weights = [
        shadow.module_.layers[1].weight for shadow in train_shadows(small_net(lr=0.0), X32, y, n_shadows=2)["estimator"]
    ]
    assert not torch.equal(*weights)


@pytest.mark.parametrize("random_state", [None, 5])
def test_no_shadow_has_the_target_s_key(random_state):
    """A key that was given, or follows from a seed, is not the attacker's to know."""
    regenerator = DiffusionRegenerator(timestep=50, max_epochs=1, key=b"secret")
    defended = DefendedClassifier(GaussianNB(), regenerator, selection="swap", random_state=random_state)
    target = DefendedClassifier(GaussianNB(), regenerator, selection="swap", random_state=random_state).fit(X, y)
    found = train_shadows(defended, X, y, n_shadows=4, random_state=5)
    keys = {shadow.regenerator_.key_ for shadow in found["estimator"]}
    assert len(keys) == 4
    assert target.regenerator_.key_ not in keys
    assert defended.regenerator.key == b"secret"


def test_defended_shadows_answer_through_their_defense():
    """Each by its own candidates."""
    found = train_shadows(DefendedClassifier(GaussianNB(), NoiseRegenerator()), X, y, n_shadows=2, random_state=0)
    for shadow in found["estimator"]:
        assert not (shadow.predict_proba(X) == shadow.estimator_.predict_proba(X)).all(axis=1).any()


# --- refusals ------------------------------------------------------------------------------------

FROZEN = FrozenEstimator(GaussianNB().fit(X, y))


@pytest.mark.parametrize(
    ("estimator", "changes", "message"),
    [
        (FROZEN, {}, "estimator must be trained anew for every shadow, .* Got FrozenEstimator\\(GaussianNB\\)"),
        (make_pipeline(StandardScaler(), FROZEN), {}, "estimator__frozenestimator must be trained anew"),
        (
            DefendedClassifier(GaussianNB(), FrozenEstimator(NoiseRegenerator().fit(X))),
            {},
            "estimator__regenerator must be trained anew .* DiffusionRegenerator\\(denoiser=folder\\)",
        ),
        (make_net(LogitMLP(4, 3), criterion=nn.CrossEntropyLoss), {}, "estimator__module must be a module class"),
        (GaussianNB(), {"n_shadows": 5}, "n_shadows must be an even integer of at least 2, .* Got 5"),
        (GaussianNB(), {"canaries": [1, 61]}, "distinct row numbers from 0 to 60"),
        (GaussianNB(), {"y": None}, "y must hold one label for each row of X. Got None"),
        (GaussianNB(), {"y": y[:-1]}, "y must hold one label for each of the 61 rows of X. Got shape \\(60,\\)"),
        (GaussianNB(), {"X": X[:1], "y": y[:1]}, "At least two rows are needed"),
        (StandardScaler(), {}, "The 'estimator' parameter of train_shadows must be"),
    ],
)
def test_refusals(estimator, changes, message):
    """The message names the parameter and what came."""
    arguments = {"X": X, "y": y, "random_state": 0, "n_shadows": 2} | changes
    with pytest.raises(ValueError, match=message):
        train_shadows(estimator, arguments.pop("X"), arguments.pop("y"), **arguments)


def test_a_cache_needs_a_seed_and_a_readable_estimator(tmp_path):
    """Otherwise nothing would ever be found again, which nobody would notice."""
    with pytest.raises(ValueError, match="cache_dir needs random_state"):
        train_shadows(GaussianNB(), X, y, n_shadows=2, cache_dir=tmp_path)
    unreadable = make_pipeline(FunctionTransformer(kw_args={"file": sys.stdout}), GaussianNB())
    with pytest.raises(TypeError, match="has a state that cannot be read"):
        train_shadows(unreadable, X, y, n_shadows=2, cache_dir=tmp_path, random_state=0)


# --- the cache -----------------------------------------------------------------------------------


@pytest.fixture
def counted(tmp_path, monkeypatch):
    """Return a function that trains shadows with a cache and returns them and how many it had to train."""
    log = tmp_path / "log"
    log.touch()
    monkeypatch.setenv(LOG, str(log))

    def train(estimator=None, X=X, y=y, *, n_shadows=4, random_state=0, **params):
        before = len(log.read_text().splitlines())
        shadows = train_shadows(
            Logged() if estimator is None else estimator,
            X,
            y,
            n_shadows=n_shadows,
            random_state=random_state,
            cache_dir=tmp_path / "cache",
            **params,
        )
        return shadows, len(log.read_text().splitlines()) - before

    return train


def test_the_same_again_is_found(counted):
    """Not too strict: new objects of the same meaning, a progress bar and other workers need no training."""
    first, n_trained = counted()
    assert n_trained == 4
    for estimator, params in ((Logged(), {}), (Logged(depth=1), {"X": X.copy(), "y": y.tolist(), "n_jobs": 1})):
        found, n_trained = counted(estimator, **params)
        assert n_trained == 0
        np.testing.assert_array_equal(answers(found), answers(first))
        np.testing.assert_array_equal(found["fit_time"], first["fit_time"])


@pytest.mark.parametrize(
    "changes",
    [
        {"estimator": Logged(depth=2)},
        {"estimator": Logged(inner=LogisticRegression(C=2.0))},
        {"estimator": make_pipeline(StandardScaler(), Logged())},
        {"X": X[::-1].copy(), "y": y[::-1].copy()},
        {"X": np.where(np.arange(61)[:, None] == 60, X + 1e-9, X)},
        {"y": np.where(np.arange(61) == 60, (y + 1) % 3, y)},
        {"X": X[:60], "y": y[:60]},
        {"random_state": 1},
        {"canaries": np.arange(20)},
        {"fit_params": {"sample_weight": np.ones(61)}},
    ],
    ids=lambda changes: "+".join(changes),
)
def test_whatever_changes_is_trained_anew_and_lives_beside(counted, changes):
    """Parameters, nested ones, row order, one value, one label, rows, seed, split: none takes another's shadows."""
    first, _ = counted()
    changed, n_trained = counted(**changes)
    assert n_trained == 4
    found, n_trained = counted()
    assert n_trained == 0
    np.testing.assert_array_equal(answers(found), answers(first))
    assert counted(**changes)[1] == 0


def test_changed_nested_parameters_and_weights_count(counted, tmp_path):
    """More epochs of a net inside, another weight of a pretrained denoiser, another file in its folder."""
    folder = tmp_path / "denoiser"
    folder.mkdir()
    (folder / "weights").write_bytes(b"1")
    denoiser = nn.Linear(4, 4)
    made = [
        Logged(inner=small_net()),
        Logged(inner=small_net().set_params(max_epochs=3)),
        Logged(inner=DiffusionRegenerator(denoiser)),
        Logged(inner=DiffusionRegenerator(str(folder))),
    ]
    assert [counted(estimator, n_shadows=2)[1] for estimator in made] == [2, 2, 2, 2]
    assert [counted(estimator, n_shadows=2)[1] for estimator in made] == [0, 0, 0, 0]
    nn.init.zeros_(denoiser.weight)
    (folder / "weights").write_bytes(b"2")
    assert [counted(estimator, n_shadows=2)[1] for estimator in made] == [0, 0, 2, 2]


def test_other_versions_count(counted, monkeypatch):
    """A model of another scikit-learn is another model."""
    counted()
    monkeypatch.setattr("sklearn.__version__", "0.1")
    assert counted()[1] == 4


def test_more_shadows_reuse_the_first(counted):
    """A run may be enlarged, in models and in canaries that are drawn after the others."""
    counted()
    assert counted(n_shadows=10)[1] == 6


def test_damaged_files_are_not_taken_for_shadows(counted, tmp_path):
    """Cut short, empty or overwritten in the middle: trained again."""
    first, _ = counted()
    files = sorted((tmp_path / "cache").iterdir())
    assert len(files) == 4
    whole = files[0].read_bytes()
    files[0].write_bytes(whole[: len(whole) // 2])
    files[1].write_bytes(b"")
    middle = len(whole) // 2
    files[2].write_bytes(
        whole[:middle] + bytes(byte ^ 255 for byte in whole[middle : middle + 8]) + whole[middle + 8 :]
    )
    found, n_trained = counted()
    assert n_trained == 3
    np.testing.assert_array_equal(answers(found), answers(first))
    assert counted()[1] == 0


def _foreign(path, other):
    """Return contents that are read without an error, but are not this shadow."""
    shadow = joblib.load(other)
    return {
        "another shadow": shadow,
        "a result of its own form": shadow["result"],
        "a dict": {"estimator": GaussianNB()},
        "a model": GaussianNB(),
        "a list": [1, 2],
        "an entry short": {**shadow, "key": joblib.load(path)["key"], "result": {"estimator": GaussianNB()}},
        "another type": {**shadow, "key": joblib.load(path)["key"], "result": {**shadow["result"], "held_out": "none"}},
    }


@pytest.mark.parametrize(
    "kind",
    ["another shadow", "a result of its own form", "a dict", "a model", "a list", "an entry short", "another type"],
)
def test_readable_files_of_others_are_not_taken_for_shadows(kind, counted, tmp_path):
    """They once raised KeyError 'held_out', or were taken for the shadow whose name they have."""
    first, _ = counted()
    path, other = sorted((tmp_path / "cache").iterdir())[:2]
    joblib.dump(_foreign(path, other)[kind], path)
    found, n_trained = counted()
    assert n_trained == 1
    np.testing.assert_array_equal(answers(found), answers(first))


@pytest.mark.parametrize("exists", [False, True])
def test_cached_files_are_private(exists, tmp_path):
    """Models of the rows are to be kept like the rows, whatever the mask is. A folder that was there stays as it is."""
    folder, before = tmp_path / "deep" / "cache", os.umask(0)
    try:
        if exists:
            folder.mkdir(mode=0o755, parents=True)
        canary_audit(GaussianNB(), X, y, n_canaries=4, n_shadows=4, n_resamples=5, cache_dir=folder, random_state=0)
    finally:
        os.umask(before)
    assert stat.S_IMODE(folder.stat().st_mode) == (0o755 if exists else 0o700)
    assert {path.suffix: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {
        ".joblib": 0o600,
        ".npy": 0o600,
    }


def test_leftovers_of_killed_runs_are_removed(counted, tmp_path):
    """Also by a run that finds all its shadows, whatever run they are of."""
    counted()
    beside(tmp_path / "cache" / "shadow-of-another-run.joblib", "new").write_bytes(b"")
    assert counted()[1] == 0
    assert all(path.name.startswith("shadow-") for path in (tmp_path / "cache").iterdir())


def test_held_out_rows_are_found_again(tmp_path):
    """Who is a member does not depend on where the shadow came from."""
    net = small_net(train_split=ValidSplit(4))
    new, kept = (train_shadows(net, X32, y, n_shadows=2, random_state=0, cache_dir=tmp_path) for _ in range(2))
    for ours, theirs in zip(new["indices"]["train"], kept["indices"]["train"], strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert sum(map(len, new["indices"]["train"])) < 61


SCRIPT = """
from tests.attacks.shadow.shadow_estimators import Logged
from tests.attacks.shadow.test_shadows import X, X32, small_net, y
from skdiffence.attacks import train_shadows
train_shadows(small_net(), X32, y, n_shadows=2, random_state=0, cache_dir={folder!r} + "/nets")
train_shadows(Logged(), X, y, n_shadows=12, random_state=0, cache_dir={folder!r})
"""


def test_a_killed_run_goes_on_where_it_was(counted, tmp_path):
    """Killed without warning, in another process with other string hashes: at most the shadow in flight is lost."""
    folder = tmp_path / "cache"
    environment = os.environ | {PAUSE: "0.25", "PYTHONHASHSEED": "7", "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, "-c", SCRIPT.format(folder=str(folder))], env=environment)
    try:
        deadline = time.monotonic() + 300
        while len(list(folder.glob("shadow-*"))) < 3 and process.poll() is None:
            assert time.monotonic() < deadline, "the other process kept nothing"
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
    n_kept = len(list(folder.glob("shadow-*")))
    n_before = len((tmp_path / "log").read_text().splitlines())
    assert 3 <= n_kept < 12
    assert n_before <= n_kept + 1
    found, n_trained = counted(n_shadows=12)
    assert n_trained == 12 - n_kept
    here = train_shadows(GaussianNB(), X, y, n_shadows=12, random_state=0)
    np.testing.assert_array_equal(answers(found), answers(here))
    # Nets of the other process are found, and are those that this one trains.
    there, here = (
        train_shadows(small_net(), X32, y, n_shadows=2, random_state=0, cache_dir=place)
        for place in (folder / "nets", None)
    )
    assert len(list((folder / "nets").iterdir())) == 2
    np.testing.assert_array_equal(answers(there, X32), answers(here, X32))


def test_progress_is_shown_when_asked(capsys):
    """On standard error, and only then."""
    train_shadows(GaussianNB(), X, y, n_shadows=2, random_state=0)
    assert not capsys.readouterr().err
    train_shadows(GaussianNB(), X, y, n_shadows=2, random_state=0, verbose=1)
    assert "training shadows: 100%" in capsys.readouterr().err

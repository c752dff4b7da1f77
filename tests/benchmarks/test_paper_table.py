"""The parts of the paper's table that its figures rest on."""

import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from paper.answers import RULES, ViewsOfCandidates
from paper.experiment import Experiment
from paper.measure import canary_figures, scores_of
from paper.networks import OneCycle, QuickResNet, flipped_and_shifted, quick_training
from paper.presets import PRESETS
from paper.regenerators import ByTimestep, RegenerationStore, ShippedRegenerator
from paper.report import derived, write_summary
from paper.rows import attacked, draw_rows, joined, members, some
from paper.store import OutOfTime, Store
from paper.targets import TARGETS, UNDEFENDED, AnswerCache, fit_target
from paper_summary import brief, claim, further_attacks, rows_of, single_trainings, summary
from paper_table import PARTS, main, run
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from skorch import NeuralNetClassifier
from torch import nn

from skdiffence.attacks import LiRAAttack
from skdiffence.defenses import MeanRule, MemGuardClassifier
from skdiffence.diffusion import DiffusionRegenerator

SMALL = replace(PRESETS["smoke"], calibration=4, known=3, scored=5, reference=6, public=10, further=0)


class ConstantNoise(nn.Module):
    """Predicts the same noise everywhere."""

    value = 0.25

    def __init__(self, value=value):
        super().__init__()
        self.value = value

    def forward(self, x, timesteps):
        """Return the value in the shape of x."""
        return torch.full_like(x, self.value)


@pytest.fixture
def images():
    rng = np.random.default_rng(0)
    return rng.random((9, 3, 8, 8), dtype=np.float32)


@pytest.fixture
def npz(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "images.npz"
    np.savez(path, X=rng.integers(0, 256, (50, 8, 8, 3), dtype=np.uint8), y=np.arange(50) % 4)
    return path


def regenerator(network, X, **settings):
    return DiffusionRegenerator(network, key=1, value_range=(0, 1), **settings).fit(X)


def test_parts_are_disjoint(npz):
    """No image is in two parts, and all parts come from one shuffle."""
    rows = draw_rows(npz, SMALL, 0)
    parts = [rows[name].X.reshape(len(rows[name].y), -1) for name in (*SMALL.private, "public")]
    together = np.concatenate(parts)
    assert len(np.unique(together, axis=0)) == len(together) == sum(SMALL.private.values()) + SMALL.public


def test_public_rows_do_not_depend_on_sizes_and_seed(npz):
    """A denoiser serves every size and every shuffle of the private parts."""
    rows = [draw_rows(npz, replace(SMALL, scored=scored), seed) for scored, seed in ((5, 3), (2, 3), (5, 4))]
    assert np.array_equal(rows[0].public.X, rows[1].public.X)
    assert np.array_equal(rows[0].public.X, rows[2].public.X)
    assert not np.array_equal(rows[0].member_scored.X, rows[2].member_scored.X)


def test_members_are_what_is_scored_and_known_and_calibrated_on(npz):
    """Scored members are members, scored others are not."""
    rows = draw_rows(npz, SMALL, 0)
    trained = {row.tobytes() for row in members(rows).X}
    for what in ("known", "scored"):
        part = attacked(rows, what)
        assert [row.tobytes() in trained for row in part.X] == part.is_member.tolist()


def test_further_members_only_train(npz):
    """They are members, and nobody knows, scores or calibrates on them."""
    rows = draw_rows(npz, replace(SMALL, further=8, public=4), 0)
    further = {row.tobytes() for row in rows.member_further.X}
    assert len(further) == 8
    assert further <= {row.tobytes() for row in members(rows).X}
    assert not further & {row.tobytes() for what in ("known", "scored") for row in attacked(rows, what).X}


def test_some_rows_are_of_all_classes(npz):
    """A few rows of each side are drawn at random, not from the first classes, and always alike."""
    rows = draw_rows(npz, replace(SMALL, scored=15, public=4, known=1, calibration=1, reference=1), 0)
    scored = attacked(rows, "scored")
    few = some(scored, 8)
    assert few.is_member.tolist() == [True] * 8 + [False] * 8
    order = np.argsort(scored.y, kind="stable")
    by_class = type(scored)(X=scored.X[order], y=scored.y[order], is_member=scored.is_member[order])
    assert len(np.unique(some(by_class, 8).y[:8])) >= 3
    assert np.array_equal(some(scored, 8).X, few.X)


def test_too_few_images_are_named(npz):
    """A data set that can't fill the parts is an error that says how many are needed."""
    with pytest.raises(ValueError, match="at least 1060 images for this preset. Got 50"):
        draw_rows(npz, replace(SMALL, public=1020 + 6), 0)


def test_store_takes_what_was_made(tmp_path):
    """Equal facts find the result, other facts make it anew."""
    made = []
    make = lambda: made.append(1) or len(made)  # noqa: E731
    assert [Store(tmp_path).take("it", {"a": 1}, make) for _ in range(2)] == [1, 1]
    assert Store(tmp_path).take("it", {"a": 2}, make) == 2


def test_store_takes_nothing_made_by_other_versions(tmp_path, monkeypatch):
    """What another version of a library made is made anew."""
    assert Store(tmp_path).take("it", {}, lambda: 1) == 1
    monkeypatch.setattr("paper.store.library_versions", lambda: ["another"])
    assert Store(tmp_path).take("it", {}, lambda: 2) == 2


def test_nothing_is_begun_after_the_time(tmp_path):
    """What is kept is returned, and what is not is another run's work."""
    assert Store(tmp_path).take("it", {}, lambda: 1) == 1
    late = Store(tmp_path, minutes=0)
    assert late.take("it", {}, lambda: 2) == 1
    with pytest.raises(OutOfTime, match="Stopped before another"):
        late.take("another", {}, lambda: 2)


class Short:
    """An experiment that has time for some records, and for no attack that asks again."""

    preset = SMALL

    def __init__(self, left):
        self.left = left

    def denoiser(self, which):
        return which

    def timestep(self):
        return 160

    def curve(self):
        return []

    def record(self, name, target, how):
        if not self.left:
            raise OutOfTime("over")
        self.left -= 1
        return {"target": target, "name": name, "calibration": {"leak": 0.0, "calls": 1.0}}

    def asked(self, target, how, n_rows):
        raise OutOfTime("over")


OPTIONS = {"targets": TARGETS, "answers": None, "without": (), "until": None, "ask": None, "asked_rows": None}


def test_records_of_a_run_that_stopped_are_kept():
    """What was measured before the time was over is there to be written."""
    results = {}
    options = SimpleNamespace(**OPTIONS | {"without": PARTS})
    with pytest.raises(OutOfTime):
        run(Short(len(RULES) + 2), options, results)
    assert [record["name"] for record in results["records"]] == [UNDEFENDED, RULES[0]]


def test_what_was_made_is_found_behind_what_is_missing():
    """Without time, all that earlier runs have kept is written, and the first of what they have not is named."""

    class Kept(Short):
        def record(self, name, target, how):
            if (target, name) == (UNDEFENDED, "views") or target == "HAMP":
                raise OutOfTime(f"before {target}, {name}")
            return super().record(name, target, how)

        def asked(self, target, how, n_rows):
            if target == "SELENA":
                return "found"
            raise OutOfTime("before SELENA")

    results = {}
    limits = {"targets": (UNDEFENDED, "SELENA", "HAMP"), "answers": ("views", "mean"), "ask": ("mean",)}
    options = SimpleNamespace(**OPTIONS | limits | {"without": ("controls", "floors", "timing", "lira", "canaries")})
    with pytest.raises(OutOfTime, match="before undefended, views"):
        run(Kept(100), options, results)
    assert [(record["target"], record["name"]) for record in results["records"]] == [
        (UNDEFENDED, UNDEFENDED), (UNDEFENDED, "mean"),
        ("SELENA", UNDEFENDED), ("SELENA", "mean"), ("SELENA", "views"),
    ]  # fmt: skip
    assert results["asked"] == [{"target": "SELENA", "name": "mean", "attacks": "found"}]


def test_a_run_may_be_limited_to_some_answers():
    """Nothing else is measured, and the rule is chosen among those that are named."""
    results = {}
    limits = {"targets": (UNDEFENDED, "MemGuard"), "answers": ("matched", "views"), "without": PARTS}
    options = SimpleNamespace(**OPTIONS | limits)
    run(Short(100), options, results)
    assert results["chosen_rule"] == "matched"
    assert [(record["target"], record["name"]) for record in results["records"]] == [
        (UNDEFENDED, UNDEFENDED), (UNDEFENDED, "matched"), (UNDEFENDED, "views"),
        ("MemGuard", UNDEFENDED), ("MemGuard", "matched"), ("MemGuard", "views"),
    ]  # fmt: skip


def test_views_of_other_targets_are_made_if_they_are_named():
    """They take more time than rules, and are left out of the whole table but for two targets."""
    results = {}
    options = SimpleNamespace(**OPTIONS | {"targets": ("SELENA", "MemGuard"), "without": ("floors", "asked")})
    run(Short(100), options, results)
    made = {target: {r["name"] for r in results["records"] if r["target"] == target} for target in options.targets}
    assert made["SELENA"] - made["MemGuard"] == {"views", "views of mean", "student"}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--answers", "views"], "--answers must name one of the rules: first, .* Got views"),
        (["--asked-rows", "1"], "--asked-rows must be at least 2, .* Got 1"),
    ],
)
def test_options_that_no_run_can_use_are_named(arguments, expected, monkeypatch, capsys, tmp_path):
    """Before anything is read or made."""
    made = ["paper_table.py", "--data", str(tmp_path / "nothing"), "--output", str(tmp_path / "out"), *arguments]
    monkeypatch.setattr("sys.argv", made)
    with pytest.raises(SystemExit):
        main()
    assert re.search(expected, capsys.readouterr().err)
    assert not (tmp_path / "out").exists()


def test_attackers_may_ask_about_some_answers_and_rows():
    """What asks again is limited to what is named, where the table has it."""
    asked = []

    class Patient(Short):
        def asked(self, target, how, n_rows):
            asked.append((target, how, n_rows))
            return "found"

    limits = {"targets": (UNDEFENDED, "SELENA"), "answers": ("mean", "views"), "ask": ("views", "student")}
    without = ("controls", "floors", "timing", "lira", "canaries")
    results = {}
    run(Patient(100), SimpleNamespace(**OPTIONS | limits | {"asked_rows": 7, "without": without}), results)
    assert asked == [(UNDEFENDED, {"answers": "views"}, 7), ("SELENA", {"answers": "views"}, 7)]
    assert results["asked"] == [{"target": name, "name": "views", "attacks": "found"} for name in limits["targets"]]


@pytest.mark.parametrize("further", [0, 9])
def test_shadows_are_behind_the_answers_of_the_table_alone(further):
    """Nothing is asked of a target that is not in the table, and of canaries only where there are any."""
    asked = []

    class Shadowed(Short):
        preset = replace(SMALL, further=further, lira_targets=(UNDEFENDED, "HAMP"))

        def lira(self, target, how):
            asked.append(("lira", target, how.get("answers")))
            return "found"

        def canaries(self, target, how):
            asked.append(("canaries", target, how.get("answers")))
            return "of canaries"

    limits = {"targets": (UNDEFENDED,), "answers": ("matched", "mean")}
    without = ("controls", "floors", "timing", "asked")
    results = {}
    run(Shadowed(100), SimpleNamespace(**OPTIONS | limits | {"without": without}), results)
    parts = ("lira", "canaries") if further else ("lira",)
    assert asked == [(part, UNDEFENDED, name) for name in (None, "mean") for part in parts]
    assert [each["attacks"] for each in results["canaries"]] == ["of canaries"] * (2 if further else 0)


def test_canaries_that_are_known_by_heart():
    """Models that answer canaries with certainty where they were trained on them, and alike where they were not."""
    membership = np.array([[1, 0, 1, 0], [0, 1, 0, 1], [1, 1, 0, 0]], dtype=bool)
    y = np.array([0, 1, 0])
    by_heart, unknown = [0.9, 0.1], [0.4, 0.6]
    probas = [
        np.array(
            [(by_heart if there else unknown)[:: -1 if label else 1] for there, label in zip(model, y, strict=True)]
        )
        for model in membership.T
    ]
    found = canary_figures(probas, y, membership, 0)
    assert {name: numbers["auc"] for name, numbers in found.items()} == {"LiRA": 1.0, "phi": 1.0, "correctness": 1.0}
    alike = canary_figures([np.full((3, 2), 0.5)] * 4, y, membership, 0)
    assert {name: numbers["auc"] for name, numbers in alike.items()} == {"LiRA": 0.5, "phi": 0.5, "correctness": 0.5}
    assert alike["phi"]["auc_interval"][0] <= 0.5 <= alike["phi"]["auc_interval"][1]


def test_shadows_learn_wrong_labels_of_rows_that_nobody_scores(tmp_path):
    """Canaries are further rows, and all else in the pool has its own label and is where it is looked for."""
    sizes = {"calibration": 8, "known": 6, "scored": 10, "further": 40, "reference": 6, "public": 30}
    preset = replace(SMALL, **sizes, epochs=1, batch_size=16)
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "rows.npz", X=rng.integers(0, 256, (150, 8, 8, 3), dtype=np.uint8), y=np.arange(150) % 2)
    rows = draw_rows(tmp_path / "rows.npz", preset, 0)
    experiment = Experiment(preset, rows, Store(tmp_path / "store"), 0)
    pool, shadows = experiment.shadows(UNDEFENDED)
    truth = joined(attacked(rows, "known"), attacked(rows, "scored"), rows.member_calibration, rows.member_further)
    assert np.array_equal(pool.X, truth.X)
    assert sorted(pool.canaries) == np.flatnonzero(pool.y != truth.y).tolist()
    assert len(pool.canaries) == 4
    assert pool.canaries.min() >= len(truth.y) - 40
    assert len(shadows["estimator"]) == 4
    # Their answers, and those of an average of views, are attacked.
    for how in ({}, {"answers": "views"}):
        found = experiment.canaries(UNDEFENDED, how)
        assert set(found) == {"LiRA", "phi", "correctness"}
        assert all(0 <= numbers["auc"] <= 1 for numbers in found.values())
    # Shadows are asked about known and scored rows alone, and these have the scores that they have in the whole pool.
    target, part = experiment.target(UNDEFENDED), attacked(rows, "known")
    whole = LiRAAttack(shadows, pool=(pool.X, pool.y)).fit(target, part.X, part.y, part.is_member)
    areas = [roc_auc_score(experiment.scored.is_member, whole.score_samples(experiment.scored.X, experiment.scored.y))]
    found = experiment.lira(UNDEFENDED, {})
    assert [found[whole.mode_]["auc"]] == areas
    assert set(found) == {"offline", "online"}


def test_quick_training_cools_down_and_ends_on_plain_images():
    """Whatever the number of rows: the last rate is near zero, and the last quarter of the epochs augments nothing."""
    rates, changed = [], []

    class Watched(QuickResNet):
        def forward(self, x):
            if self.training:
                changed.append(self.augmented)
            return super().forward(x)

    class Watch(OneCycle):
        def on_batch_end(self, net, **kwargs):
            rates.append(net.optimizer_.param_groups[0]["lr"])
            super().on_batch_end(net, **kwargs)

    recipe = quick_training("small", 4, 0.25, batch_size=4, highest=0.05)
    recipe |= {"module__widths": (4, 8), "callbacks": [("schedule", Watch(0.05, 0.25))]}
    net = NeuralNetClassifier(Watched, criterion=nn.CrossEntropyLoss, train_split=None, verbose=0, **recipe)
    X = np.random.default_rng(0).random((10, 3, 8, 8), dtype=np.float32)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net.fit(X, np.arange(10) % 2)
    assert len(rates) == 4 * 3
    assert max(rates) == pytest.approx(0.05, rel=0.1)
    assert rates[-1] < 0.05 / 20
    assert changed == [True] * 9 + [False] * 3
    assert net.predict_proba(X).dtype == np.float32


@pytest.mark.parametrize("name", TARGETS)
def test_quick_training_of_every_target(name, tmp_path):
    """Each defense trains with the schedule and the augmentation, as it does with the paper's optimizer."""
    sizes = {"calibration": 8, "known": 6, "scored": 20, "further": 10, "reference": 16, "public": 10}
    preset = replace(SMALL, **sizes, recipe="one cycle", epochs=2, batch_size=16, private_epochs=1)
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "rows.npz", X=rng.integers(0, 256, (150, 8, 8, 3), dtype=np.uint8), y=np.arange(150) % 2)
    rows = draw_rows(tmp_path / "rows.npz", preset, 0)
    target = fit_target(name, preset, rows, 0, lambda: fit_target(UNDEFENDED, preset, rows, 0, None))
    proba = target.predict_proba(rows.other_scored.X)
    assert proba.shape == (20, 2)
    np.testing.assert_allclose(proba.sum(axis=1), 1, rtol=1e-5)


def test_flips_and_shifts_are_cut_out_of_the_padded_image():
    """Each image is one of the 2 x 81 windows of itself or its mirror image."""
    x = torch.rand(6, 2, 5, 5, generator=torch.Generator().manual_seed(0))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        moved = flipped_and_shifted(x)
    for one, other in zip(x, moved, strict=True):
        padded = [nn.functional.pad(each, (4,) * 4, mode="replicate") for each in (one, one.flip(2))]
        windows = [each[:, i : i + 5, j : j + 5] for each in padded for i in range(9) for j in range(9)]
        assert any(torch.equal(other, window) for window in windows)


def test_views_of_candidates_keep_the_label(images):
    """The mean over flips and shifts of four candidates, by hand, has the net's label on top."""

    class Net:
        classes_ = np.array([3, 5])

        def predict_proba(self, X):
            p = 1 / (1 + np.exp(-20 * (X.mean(axis=(1, 2, 3)) - 0.5)))
            return np.column_stack([p, 1 - p])

        def predict(self, X):
            return self.classes_[self.predict_proba(X).argmax(axis=1)]

    class Darker:
        def regenerate(self, X, candidate):
            return X * np.float32(1 - 0.1 * candidate)

    answers = ViewsOfCandidates(Net(), "flips", Darker())
    proba = answers.predict_proba(images)
    assert np.array_equal(Net.classes_[proba.argmax(axis=1)], Net().predict(images))
    candidates = [MeanRule(4).candidate(index) for index in range(2)]
    means = [Net().predict_proba(Darker().regenerate(images, candidate)) for candidate in candidates]
    kept = np.mean(means, axis=0).argmax(axis=1) == proba.argmax(axis=1)
    assert kept.any()
    np.testing.assert_allclose(proba[kept], np.mean(means, axis=0)[kept], rtol=1e-6)


def test_timestep_chooses_among_regenerators(images):
    """Another timestep is another regenerator."""
    both = {step: regenerator(ConstantNoise(), images, timestep=step) for step in (10, 40)}
    chosen = ByTimestep(both, 10)
    assert np.array_equal(chosen.regenerate(images), both[10].regenerate(images))
    assert np.array_equal(chosen.set_params(timestep=40).regenerate(images), both[40].regenerate(images))


def test_regenerations_are_made_once_and_found_again(tmp_path, images):
    """What is kept equals what would be made, in any order, mixed with other rows, and in the next process."""
    plain = regenerator(ConstantNoise(), images)
    stored = RegenerationStore(plain, tmp_path / "kept", 3).fit(images[:6])
    expected = np.stack([plain.regenerate(images, candidate) for candidate in range(3)])
    assert np.array_equal(stored.regenerate(images[:4], 1), expected[1, :4])
    assert stored.n_made_ == 4
    order, candidates = np.array([8, 2, 0, 5, 2]), np.array([0, 1, 2, 1, 1])
    assert np.array_equal(stored.regenerate(images[order], candidates), expected[candidates, order])
    assert stored.n_made_ == 4 + 3  # row 0 of another candidate, row 5, and the row that it was not fitted to
    assert np.array_equal(stored.regenerate(images[order], candidates), expected[candidates, order])
    assert stored.n_made_ == 7
    stored.note()
    again = RegenerationStore(plain, tmp_path / "kept", 3).fit(images[:6])
    assert np.array_equal(again.regenerate(images[:6], 1)[[0, 5]], expected[1, [0, 5]])
    assert again.n_made_ == 1  # row 4 of candidate 1 alone was missing


def test_only_the_latest_of_other_rows_are_kept(tmp_path, images, monkeypatch):
    """Rows that the store was not fitted to take no more than so much memory, and are answered all the same."""
    plain = regenerator(ConstantNoise(), images)
    stored = RegenerationStore(plain, tmp_path / "kept", 3).fit(images[:1])
    monkeypatch.setattr("paper.regenerators._STRANGERS_BYTES", 3 * np.float32(images[0]).nbytes)
    assert np.array_equal(stored.regenerate(images[1:6], 0), plain.regenerate(images[1:6], 0))
    assert np.array_equal(stored.regenerate(images[3:6], 0), plain.regenerate(images[3:6], 0))
    assert stored.n_made_ == 5
    assert np.array_equal(stored.regenerate(images[1:3], 0), plain.regenerate(images[1:3], 0))
    assert stored.n_made_ == 7
    assert len(stored.strangers_) == 3


def test_regenerations_that_were_not_noted_are_made_again(tmp_path, images):
    """The mask alone vouches: a run that was cut off before it leaves nothing that is taken for made."""
    plain = regenerator(ConstantNoise(), images)
    RegenerationStore(plain, tmp_path / "kept", 2).fit(images).regenerate(images, 0)
    again = RegenerationStore(plain, tmp_path / "kept", 2).fit(images)
    assert np.array_equal(again.regenerate(images, 0), plain.regenerate(images, 0))
    assert again.n_made_ == len(images)


def test_shipped_noising_is_the_loop_of_the_official_code(images):
    """Two steps of DDIM, written out: the first changes nothing, the second ends at index 0."""
    ours = regenerator(ConstantNoise(), images, timestep=160)
    abar = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64), 0)
    noise = _noise_of(ours, images)
    x = torch.from_numpy(images).double() * 2 - 1
    x = x / abar[159].sqrt() + (1 / abar[159] - 1).sqrt() * noise
    current = 160
    for target in (160, 0):
        predicted = torch.full_like(x, ConstantNoise.value)
        clean = (x - (1 - abar[current]).sqrt() * predicted) / abar[current].sqrt()
        x = abar[target].sqrt() * clean + (1 - abar[target]).sqrt() * predicted
        current = target
    expected = (x.clamp(-1, 1) + 1) / 2
    np.testing.assert_allclose(ShippedRegenerator(ours).regenerate(images, 2), expected, atol=2e-6)


def _noise_of(ours, images):
    """Read candidate 2's noise off mid-gray, in which a denoiser that predicts zeros leaves it; it is little enough."""
    zeros = regenerator(ConstantNoise(0.0), images, timestep=10)
    gray = np.full_like(images, 0.5)
    level = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64), 0)[10]
    left = torch.from_numpy(zeros.regenerate(gray, 2)).double() * 2 - 1
    return left * level.sqrt() / (1 - level).sqrt()


def test_answers_are_asked_for_once():
    """Repeated inputs cost nothing, and answers are those of the classifier."""
    rng = np.random.default_rng(0)
    X, y = rng.random((40, 3)).astype(np.float32), np.arange(40) % 3
    model = LogisticRegression().fit(X, y)
    cache = AnswerCache(model).fit(X)
    asked = X[[0, 1, 0, 5]]
    assert np.array_equal(cache.predict_proba(asked), model.predict_proba(asked))
    assert np.array_equal(cache.predict(X), model.predict(X))
    assert cache.n_asked_ == 40


def test_labels_of_memguard_are_found_without_its_noise():
    """For label-only attacks, which ask for thousands, a search of noise behind each label would take minutes."""
    rng = np.random.default_rng(0)
    X, y = rng.random((60, 3)).astype(np.float32), np.arange(60) % 3
    guarded = MemGuardClassifier(LogisticRegression(), attack_epochs=5, max_steps=5, random_state=0).fit(X, y)
    cache = AnswerCache(guarded).fit(X[:10])
    assert np.array_equal(cache.predict(X), guarded.predict(X))
    assert cache.n_asked_ == 0


def _record(target, name, auc):
    rng = np.random.default_rng(0)
    is_member = np.arange(200) % 2 == 0
    scores = rng.normal(size=200)
    numbers = scores_of(name, is_member, scores, scores > 0, np.ones(200, dtype=bool)) | {"auc": auc, "accuracy": auc}
    names = ("neural", "loss", "confidence", "entropy", "modified_entropy", "phi", "non_monotone", "correctness")
    names += ("reference", "label_only_reference")
    return {"target": target, "name": name, "attacks": {each: dict(numbers) for each in names}}


def test_relative_changes_and_excess_over_the_floor():
    """By hand: from 0.9 to 0.6 is a third less; with a floor of 0.5, three quarters of the excess are gone."""
    records = [_record("net", UNDEFENDED, 0.9), _record("net", "swap", 0.6)]
    records[0]["attacks"]["correctness"]["auc"] = 0.45
    floors = {"net": {"noise": {"auc": 0.5}}}
    row = derived({"records": records, "floors": floors})[1]
    assert row["relative_auc"] == pytest.approx(-1 / 3)
    assert row["floor"] == 0.5
    assert row["excess_removed"] == pytest.approx(0.75)
    assert row["floor_by_worst"] == pytest.approx(0.5 / 0.9 - 1)


def test_summary_of_a_run_without_the_undefended_target():
    """It tells of the first target that the run has."""
    records = [_record("SELENA", UNDEFENDED, 0.9), _record("SELENA", "swap", 0.6)]
    facts = {"parts": {"public": {"n": 7}}, "preset": "smoke", "seed": 0}
    results = {"records": records, "floors": {}, "timestep": 160, "chosen_rule": "swap", "facts": facts}
    text = write_summary(results | {"derived": derived(results)})
    assert "rows: 7 public" in text
    assert re.search("SELENA target behind it: .*paper's attacks, AUC -33.3%", text)


def test_less_than_labels_is_no_excess():
    """What an attack finds below the floor counts as nothing, and without any excess there is no share of it."""
    records = [_record("net", UNDEFENDED, 0.9), _record("net", "swap", 0.6)]
    of = lambda floor: derived({"records": records, "floors": {"net": {"noise": {"auc": floor}}}})[1]  # noqa: E731
    assert of(0.9)["excess_removed"] is None
    records[0]["attacks"]["correctness"]["auc"] = 0.5
    assert of(0.7)["excess_removed"] == 1


def test_rates_that_rest_on_few_rows_are_marked():
    """A rate of 1 % of 100 non-members rests on one of them."""
    numbers = _record("net", "x", 0.5)["attacks"]["loss"]
    assert numbers["tpr_0.001_rests_on_few"]
    assert numbers["tpr_0.01_rests_on_few"]


def test_summary_counts_each_data_set_once():
    """By hand: the strongest attack falls from 0.9 to 0.6 and 0.7 in two trainings, and from 0.8 to 0.6 elsewhere."""
    runs = []
    trainings = ((0, "a", 0.9, 0.6, 0.05), (1, "a", 0.9, 0.7, 0.05), (0, "b", 0.8, 0.6, 0.15))
    for seed, data, before, after, cost in trainings:
        records = [_record(UNDEFENDED, UNDEFENDED, before), _record(UNDEFENDED, "mean", after)]
        for record, worth in zip(records, (0.8, 0.8 - cost), strict=True):
            record["attacks"]["label_only_reference"]["auc"] = 0.55
            record["attacks"]["correctness"]["auc"] = 0.5
            record |= {"failure_auc": worth, "recalibrated_nll": 1 - worth, "beyond": cost / 2, "labels_changed": 0}
        results = {"records": records, "floors": {}, "facts": {"data": data, "seed": seed}}
        runs += rows_of(results | {"derived": derived(results)})
    row = runs[1]
    assert row["relative_auc"] == pytest.approx(-1 / 3)
    assert row["cap"] == pytest.approx(0.55 / 0.9 - 1)
    assert row["over_floor"] == pytest.approx(0.05)
    assert row["failure_lost"] == pytest.approx(0.05)
    assert row["nll_gained"] == pytest.approx(0.05)
    average = next(line for line in claim(runs, "mean").splitlines() if "average" in line)
    assert f"{((-1 / 3 - 2 / 9) / 2 - 1 / 4) / 2:.3f}" in average
    assert "a, undefended, trainings: 2" in summary(runs, "a", UNDEFENDED)
    assert summary([*runs, runs[1] | {"name": "a control"}], "a", UNDEFENDED).splitlines()[-1].startswith("a control")
    cells = next(line for line in brief(runs, ["mean"]).splitlines() if line.startswith("mean")).split()
    assert cells == ["mean", "0.025±0.000", "0.075", "0.100", "0.100"]


def test_summary_shows_each_training_and_the_extremes():
    """By hand, of two trainings, of which one has no answer of a student."""
    runs = [
        {"data": "a", "target": "net", "seed": seed, "name": name, "beyond": beyond, "nll_gained": -beyond}
        | {"beyond_interval": [beyond - 0.1, beyond + 0.1]}
        for seed, name, beyond in ((1, "mean", 0.25), (0, "mean", 0.125), (0, "student", 0.5))
    ]
    lines = single_trainings(runs, ["mean", "student"], "beyond").splitlines()[4:]
    assert [re.split(r" {2,}", line)[2:] for line in lines] == [
        ["0.125 (0.025 to 0.225)", "0.500 (0.400 to 0.600)"],
        ["0.250 (0.150 to 0.350)", "-"],
        ["0.125", "0.500"],
        ["0.250", "0.500"],
        ["0.025", "0.400"],
        ["0.350", "0.600"],
    ]
    lines = single_trainings(runs, ["mean"], "nll_gained").splitlines()[4:]
    assert [line.split()[-1] for line in lines] == ["-0.125", "-0.250", "-0.250", "-0.125"]


def test_summary_of_attacks_that_ask_again_averages_over_trainings():
    """By hand: 0.5 and 0.7 in two trainings; nothing where no run asked again."""
    runs = [
        {
            "facts": {"data": "a"},
            "asked": [{"target": UNDEFENDED, "name": "mean", "attacks": {"one query": {"auc": area}}}],
        }
        for area in (0.5, 0.7)
    ]
    assert "a, undefended, mean 0.600±" in " ".join(further_attacks(runs, "asked").split())
    assert further_attacks([{"facts": {"data": "a"}, "asked": []}], "canaries") == ""

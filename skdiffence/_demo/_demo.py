"""The main job on scikit-learn's digits: how much a classifier leaks, and how much less behind the defense."""

import json
import platform
import time
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path

import joblib
import numpy as np
import sklearn
import torch
from sklearn.frozen import FrozenEstimator
from sklearn.utils import Bunch
from skorch import NeuralNetClassifier
from torch import nn
from tqdm.auto import tqdm

from skdiffence._demo._cache import RegenerationCache
from skdiffence._demo._controls import NoDenoiser
from skdiffence._demo._experiment import CHOSEN, RULES, UNDEFENDED, Split, compare, milliseconds_per_row
from skdiffence._demo._table import format_table, mean_and_margin, summarize
from skdiffence.datasets import load_digit_images, membership_partition
from skdiffence.diffusion import DiffusionRegenerator
from skdiffence.inspection.displays._candidate import CandidateDisplay
from skdiffence.inspection.displays._mixin import new_axes
from skdiffence.inspection.displays._roc import MembershipRocDisplay
from skdiffence.inspection.displays._signal import SignalDisplay
from skdiffence.metrics import correctness_signal, entropy_signal
from skdiffence.utils._files import whole_file
from skdiffence.utils._random import mix_seed


@dataclass(frozen=True)
class DemoSettings:
    """What the demo runs; sizes are numbers of rows.

    Net, denoiser and timestep were set in trials on other splits of the same digits, so that what they show is mildly
    optimistic. Nothing is chosen on the rows that a run scores.
    """

    n_public: int = 700
    n_members: int = 120
    n_known: int = 50
    n_splits: int = 5
    n_candidates: int = 30
    timestep: int = 240
    denoiser: dict = field(default_factory=dict)
    denoiser_epochs: int = 45
    net_epochs: int = 200
    noise_timesteps: tuple = (160, 240)
    min_retention: float = 0.6

    def quick(self):
        """A run of seconds that goes through every step; its figures mean nothing."""
        return replace(self, n_splits=2, n_candidates=6, denoiser_epochs=8, noise_timesteps=(160,), min_retention=0.3)

    def with_splits(self, n_splits):
        """The same on another number of splits."""
        return replace(self, n_splits=n_splits)


class DigitNet(nn.Module):
    """One hidden layer on flattened images, wide enough to learn a hundred digits by heart."""

    def __init__(self, width=128):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))

    def forward(self, X):
        """Return logits of shape (n, 10)."""
        return self.layers(X)


def make_net(settings):
    """Return the unfitted net of the demo."""
    return NeuralNetClassifier(
        DigitNet,
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.SGD,
        optimizer__momentum=0.9,
        lr=0.05,
        batch_size=32,
        max_epochs=settings.net_epochs,
        train_split=None,
        verbose=0,
    )


TPR = "entropy_tpr_at_fpr"

PRIVACY = [
    ("entropy_roc_auc", "entropy AUC", 3),
    ("confidence_roc_auc", "confid. AUC", 3),
    ("non_monotone_roc_auc", "non-mono. AUC", 3),
    ("worst_roc_auc", "worst AUC", 3),
    ("entropy_correct_roc_auc", "AUC if right", 3),
    ("correctness_roc_auc", "floor AUC", 3),
    ("confidence_accuracy", "attack acc.", 3),
    (TPR, "TPR", 3),
]
UTILITY = [
    ("accuracy", "test acc.", 3),
    ("labels_changed", "changed", 0),
    ("retention", "retention", 3),
    ("fallback", "fall-back", 3),
    ("nll", "NLL", 3),
    ("expected_calibration_error", "ECE", 3),
    ("failure_detection_auc", "fail. AUC", 3),
    ("calls", "calls/row", 2),
    ("milliseconds", "ms/row", 2),
]


def train_denoiser(settings, X_public, output, seed, verbose):
    """Train the denoiser on public rows and take it as a pretrained one, as a user would.

    Parameters
    ----------
    settings : DemoSettings
        Of the run.
    X_public : ndarray of shape (n, 1, 8, 8)
        Rows that no classifier is trained on.
    output : Path
        The denoiser is saved in a folder of it.
    seed : int
        Seeds the training.
    verbose : int
        Whether to show progress.

    Returns
    -------
    regenerator : DiffusionRegenerator
        Fitted.
    """
    trained = DiffusionRegenerator(
        denoiser=settings.denoiser,
        timestep=settings.timestep,
        max_epochs=settings.denoiser_epochs,
        lr=4e-3,
        batch_size=32,
        value_range=(0, 1),
        random_state=seed,
        verbose=verbose,
    )
    trained.fit(X_public).save_pretrained(output / "denoiser")
    return pretrained(output / "denoiser", settings.timestep, X_public, seed)


def pretrained(denoiser, timestep, X, seed):
    """Return a fitted regenerator around a denoiser that is not trained again."""
    return DiffusionRegenerator(denoiser, timestep=timestep, value_range=(0, 1), random_state=seed).fit(X)


def make_controls(settings, X_public, seed):
    """Return what stands in the denoiser's place in the control rows, by the name of the row."""
    untrained = DiffusionRegenerator(
        settings.denoiser, timestep=settings.timestep, max_epochs=1, lr=1e-12, value_range=(0, 1), random_state=seed
    )
    controls = {
        f"plain noise, t={timestep}": pretrained(NoDenoiser(), timestep, X_public, seed)
        for timestep in settings.noise_timesteps
    }
    return controls | {"untrained denoiser": untrained.fit(X_public[:64])}


def run_splits(settings, digits, private, regenerator, controls, seed, progress):
    """Compare all defenses on every split.

    Returns
    -------
    records : list of dict
        One for each row of the table and split.
    split : Split
        The last one.
    defended : dict of str to classifier
        Of the last split.
    """
    cache = RegenerationCache(regenerator).fit(None)
    controls = {name: RegenerationCache(control).fit(None) for name, control in controls.items()}
    X, y = digits.data[private], digits.target[private]
    sizes = {"members": settings.n_members, "known": settings.n_known}
    records = []
    for number in range(settings.n_splits):
        step = f"split {number + 1}: {{}}".format
        progress(step("training the net"))
        split_seed = mix_seed(seed, "split", number) % 2**31
        split = Split(X, y, lambda: make_net(settings), sizes, settings.n_candidates, split_seed)
        new, defended = compare(split, cache, controls, lambda name, step=step: progress(step(name)))
        records += new
    return records, split, defended


def time_rules(records, split, regenerator):
    """Add milliseconds per row, measured on the last split without a cache, to its records."""
    times = {UNDEFENDED: milliseconds_per_row(split.net, split.X_rest)}
    for rule in RULES:
        times[rule] = milliseconds_per_row(split.defend(FrozenEstimator(regenerator), rule), split.X_rest)
    for record in records:
        if record["seed"] == split.seed and record["name"] in times:
            record["milliseconds"] = times[record["name"]]


def removed_share(records, name, key, floor=None):
    """Share of an attack's excess over a floor that a defense removes, from means over splits.

    Parameters
    ----------
    records : list of dict
        Of all splits.
    name : str
        The defense.
    key : str
        The AUC.
    floor : str or None, default=None
        Key of the floor's AUC, of the undefended answers; None is 0.5.

    Returns
    -------
    share : float
    """

    def mean(row, of):
        return np.mean([record[of] for record in records if record["name"] == row])

    level = 0.5 if floor is None else mean(UNDEFENDED, floor)
    return float(1 - abs(mean(name, key) - level) / (mean(UNDEFENDED, key) - level))


def paired_difference(records, name, other, key):
    """Mean difference of two rows over splits, and the half-width of its 95 % interval."""
    by_seed = [{r["seed"]: r[key] for r in records if r["name"] == row} for row in (name, other)]
    return mean_and_margin([by_seed[0][seed] - by_seed[1][seed] for seed in by_seed[0]])


def check_run(records, settings):
    """Check that what the table shows is a working defense, and no artifact of a broken one.

    Returns
    -------
    checks : list of (str, bool)
        What was checked, and whether it holds.
    """
    rows = [record for record in records if record["name"] in {*RULES, CHOSEN}]
    retention = min(record["retention"] for record in rows)
    leak, margin = mean_and_margin([r["entropy_roc_auc"] for r in records if r["name"] == UNDEFENDED])
    change, _ = paired_difference(records, CHOSEN, UNDEFENDED, "entropy_roc_auc")
    return [
        ("no label is changed", all(record["labels_changed"] == 0 for record in rows)),
        ("no answer is the undefended one", all(record["undefended_answers"] == 0 for record in rows)),
        (
            f"at least {settings.min_retention:.0%} of the candidates keep their label (lowest: {retention:.0%})",
            retention >= settings.min_retention,
        ),
        (f"the undefended classifier leaks (entropy AUC {leak:.3f}±{margin:.3f})", leak - margin > 0.5),
        (f"the defense lowers the leak (entropy AUC by {-change:.3f})", change < 0),
    ]


def explain(records, settings):
    """Say in two sentences what the table means."""

    def value(name, key):
        return mean_and_margin([record[key] for record in records if record["name"] == name])

    (before, b), (after, a) = value(UNDEFENDED, "entropy_roc_auc"), value(CHOSEN, "entropy_roc_auc")
    floor, _ = value(UNDEFENDED, "correctness_roc_auc")
    asked = sum(record["labels_asked"] for record in records if record["name"] == CHOSEN)
    changed = sum(record["labels_changed"] for record in records if record["name"] == CHOSEN)
    return (
        f"An attacker who sees the undefended answers tells members from non-members with an entropy AUC of "
        f"{before:.3f}±{b:.3f}; behind Diffence it is {after:.3f}±{a:.3f}, which removes "
        f"{removed_share(records, CHOSEN, 'entropy_roc_auc'):.0%} of what exceeds a guess (0.5) and "
        f"{removed_share(records, CHOSEN, 'confidence_roc_auc', 'correctness_roc_auc'):.0%} of what the confidence "
        f"attack gains over labels alone ({floor:.3f}, the floor that no label-preserving defense can pass), with "
        f"{changed} of {asked} labels changed. The price is in what confidence is worth: NLL on non-members goes from "
        f"{value(UNDEFENDED, 'nll')[0]:.3f} to {value(CHOSEN, 'nll')[0]:.3f} and failure-detection "
        f"AUC from {value(UNDEFENDED, 'failure_detection_auc')[0]:.3f} to "
        f"{value(CHOSEN, 'failure_detection_auc')[0]:.3f}; means over {settings.n_splits} random splits, ± half of a "
        "95 % interval, rule chosen on calibration rows, denoiser trained on public rows only."
    )


def save_figures(output, split, defended):
    """Save the three figures, of the last split; the images are of non-members."""
    scored = split.scored
    after = defended[CHOSEN].predict_proba(scored.X)
    scores = {
        "entropy, undefended": entropy_signal(None, scored.proba),
        "entropy, defended": entropy_signal(None, after),
        "label only (floor)": correctness_signal(scored.y, scored.proba),
    }
    both = {"proba_before": scored.proba, "y": scored.labels}
    displays = {
        "roc": MembershipRocDisplay.from_predictions(scored.is_member, scores, ax=new_axes((6, 5.6))),
        "signals": SignalDisplay.from_predictions(scored.is_member, after, **both, ax=new_axes((7.2, 3.2), 2)),
        "regenerations": CandidateDisplay.from_estimator(defended[CHOSEN], split.X_rest, ax=new_axes((7, 7.6))),
    }
    for name, display in displays.items():
        with whole_file(output / f"{name}.png") as path:
            display.figure_.savefig(path, dpi=150)


def write_table(records, settings):
    """Write both halves of the table, rows in the order in which they were measured."""
    chosen = [record["rule"] for record in records if record["name"] == CHOSEN]
    counts = ", ".join(f"{rule} {chosen.count(rule)}x" for rule in dict.fromkeys(chosen))
    fpr = next(key for key in records[0] if key.startswith(TPR)).removeprefix(f"{TPR}_")
    heading = (
        f"means over {settings.n_splits} splits ± half of a 95 % interval; {settings.n_members} members, "
        f"N={settings.n_candidates}, timestep {settings.timestep}; TPR of the entropy attack at {fpr} FPR;\n"
        f"chosen: the rule that leaks least on calibration rows ({counts}); controls below it use the same rule"
    )
    records = [{**record, TPR: record[f"{TPR}_{fpr}"]} for record in records]
    privacy = format_table(summarize(records, [key for key, _, _ in PRIVACY]), PRIVACY, "what answers tell")
    utility = format_table(summarize(records, [key for key, _, _ in UTILITY]), UTILITY, "what answers are worth")
    return f"{privacy}\n\n{utility}\n\n{heading}"


def machine():
    """Name what the figures were measured with."""
    return {
        "skdiffence": version("skdiffence"),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "scikit-learn": sklearn.__version__,
        "processor": platform.machine(),
        "threads": torch.get_num_threads(),
    }


def run_demo(settings, output, *, seed=0, verbose=1, regenerator=None):
    """Run the main job.

    Parameters
    ----------
    settings : DemoSettings
        Sizes.
    output : str or path
        Folder for table, figures, denoiser and model; made if there is none.
    seed : int, default=0
        Seeds everything.
    verbose : int, default=1
        Whether to show progress.
    regenerator : regenerator or None, default=None
        Fitted, to be used in place of the one that is trained on the public rows.

    Returns
    -------
    run : Bunch
        ``records``, ``checks``, ``table`` and ``meaning``.
    """
    start = time.perf_counter()
    output = Path(output)
    output.mkdir(parents=True, exist_ok=True)
    digits = load_digit_images()
    partition_seed = mix_seed(seed, "public") % 2**31
    parts = membership_partition(len(digits.data), {"public": settings.n_public}, random_state=partition_seed)
    X_public = digits.data[parts.public]
    if regenerator is None:
        regenerator = train_denoiser(settings, X_public, output, seed, verbose)
    controls = make_controls(settings, X_public, seed)
    n_steps = settings.n_splits * (len(RULES) + len(controls) + 5)
    with tqdm(total=n_steps, disable=not verbose, unit="step") as bar:

        def progress(what):
            bar.set_description(what)
            bar.update()

        records, split, defended = run_splits(settings, digits, parts.rest, regenerator, controls, seed, progress)
        bar.update(n_steps - bar.n)
    time_rules(records, split, regenerator)
    run = Bunch(
        records=records,
        checks=check_run(records, settings),
        table=write_table(records, settings),
        meaning=explain(records, settings),
    )
    save_run(run, settings, output, seed, time.perf_counter() - start)
    save_figures(output, split, defended)
    with whole_file(output / "defended.joblib") as path:
        joblib.dump(split.defend(FrozenEstimator(regenerator), records_rule(records, split)), path)
    return run


def records_rule(records, split):
    """The rule that was chosen on a split."""
    return next(r["rule"] for r in records if r["name"] == CHOSEN and r["seed"] == split.seed)


def save_run(run, settings, output, seed, seconds):
    """Save the table as text and all that it rests on as JSON; neither holds a row of data."""
    with whole_file(output / "table.txt") as path:
        path.write_text(f"{run.table}\n\n{run.meaning}\n", encoding="utf-8")
    facts = {"settings": asdict(settings), "seed": seed, "seconds": seconds, "machine": machine()}
    facts |= {"checks": [{"check": name, "holds": bool(holds)} for name, holds in run.checks], "records": run.records}
    with whole_file(output / "results.json") as path:
        path.write_text(json.dumps(facts, indent=1, default=float), encoding="utf-8")

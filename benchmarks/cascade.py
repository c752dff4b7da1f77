"""Measure which defenses gain from Diffence on top.

A defense that acts in training, or on finished answers, leaves something for an attacker to find. Diffence can stand
before any of them, because it needs no more than a classifier that answers. A small network is trained on a few of
scikit-learn's digits, undefended and with six defenses, and attacked with and without Diffence on top.

It takes about two minutes of an idle processor core. Three pools of rows with two trainings each are few, and LiRA,
which needs other trained models, is left out. The figures of the documentation come from longer runs::

    python benchmarks/cascade.py --pools 5 --seed 100 --output cascade
    python benchmarks/cascade.py --pools 3 --models 8 --seed 100 --only RelaxLoss HAMP
"""

# %%
# Data
# ----
#
# 600 public images train the denoiser. A *pool* of 300 private images is halved again and again: one half trains a
# model, the other half and further rows are its non-members. With ``--models 8`` each row is in four models, and the
# other seven are shadow models of each. 150 reference rows, which no attack is scored on, serve the defenses that
# need known non-members.

import argparse
import importlib.util
import json
import tempfile
import warnings
from pathlib import Path

import joblib
import numpy as np
import torch
from scipy.stats import t as student
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import roc_auc_score
from sklearn.utils import Bunch
from skorch import NeuralNetClassifier
from torch import nn

from skdiffence import DefendedClassifier, DiffusionRegenerator
from skdiffence.attacks import (
    HistogramAttack,
    LabelOnlyAttack,
    NeuralAttack,
    ThresholdAttack,
    lira_leave_one_out,
    query,
)
from skdiffence.datasets import load_digit_images, membership_partition
from skdiffence.defenses import (
    AdvRegClassifier,
    DPSGDClassifier,
    HAMPClassifier,
    MemGuardClassifier,
    RelaxLossClassifier,
    SELENAClassifier,
)
from skdiffence.inspection import PrivacyUtilityDisplay
from skdiffence.metrics import expected_calibration_error, failure_detection_auc, logit_signal
from skdiffence.model_selection import ShadowSplit

SIZES = {"pool": 300, "reference": 150, "others": 350}
N_PUBLIC, TIMESTEP, N_CANDIDATES = 600, 240, 10
MEMGUARD_STEPS = 100
UNDEFENDED, ON_TOP = "undefended", " + Diffence"
ATTACKS = {
    "neural": NeuralAttack(width=8, max_epochs=50, lr=0.01, patience=50, random_state=0),
    "loss": ThresholdAttack("loss"),
    "confidence": ThresholdAttack("confidence"),
    "entropy": ThresholdAttack("entropy"),
    "mod. entropy": ThresholdAttack("modified_entropy"),
    "histogram": HistogramAttack(),
    "labels": ThresholdAttack("correctness"),
}
LABEL_ONLY = LabelOnlyAttack("noise", estimator="mean", n_queries=16, random_state=0)


# %%
# Defenses
# --------
#
# All train the same network on the same rows. AdvReg and MemGuard get the reference rows as known non-members;
# MemGuard changes the answers of the undefended network. DP-SGD needs ``skdiffence[privacy]``.


class Net(nn.Module):
    """One hidden layer on flattened images, wide enough to memorize 150 digits."""

    def __init__(self, width=128):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))

    def forward(self, X):
        """Return logits of shape (n, 10)."""
        return self.layers(X)


def make_defenses(seed, epochs):
    """Return unfitted classifiers by name."""
    own = {"optimizer": torch.optim.Adam, "lr": 0.005, "max_epochs": epochs, "batch_size": 32, "verbose": 0}
    net = NeuralNetClassifier(Net, criterion=nn.CrossEntropyLoss, train_split=None, **own)
    defenses = {
        UNDEFENDED: DefendedClassifier(net, "passthrough", random_state=seed),
        "AdvReg": AdvRegClassifier(Net, random_state=seed, **own),
        "MemGuard": None,  # made around the undefended one when that is trained
        "SELENA": SELENAClassifier(net, n_estimators=10, n_excluded=4, random_state=seed),
        "RelaxLoss": RelaxLossClassifier(Net, random_state=seed, **own),
        "HAMP": HAMPClassifier(Net, random_state=seed, **own),
    }
    if importlib.util.find_spec("opacus"):
        settings = own | {"optimizer": torch.optim.SGD, "lr": 2.0, "batch_size": 50, "max_epochs": 30}
        defenses["DP-SGD"] = DPSGDClassifier(Net, target_epsilon=100.0, random_state=seed, **settings)
    return defenses


def fit_defenses(members, reference, seed, epochs, only):
    """Return classifiers by name, trained on the members; all, or the undefended one and those named."""
    X, y = (np.concatenate(pair) for pair in zip(members, reference, strict=True))
    is_member = np.arange(len(y)) < len(members[1])
    fitted = {}
    for name, defense in make_defenses(seed, epochs).items():
        if only and name not in (UNDEFENDED, *only):
            continue
        if name == "MemGuard":
            defense = MemGuardClassifier(
                FrozenEstimator(fitted[UNDEFENDED].estimator_), max_steps=MEMGUARD_STEPS, random_state=seed
            )
        needs_reference = name in ("AdvReg", "MemGuard")
        fitted[name] = defense.fit(X, y, is_member=is_member) if needs_reference else defense.fit(*members)
    return fitted


# %%
# Diffence on top
# ---------------
#
# The denoiser was trained on public rows and saved. Nothing is trained again: the fitted defense is frozen, and its
# answers to regenerated inputs take the place of its answers to the inputs. Labels stay those of the defense on every
# row, which is checked.


def train_denoiser(X, folder, epochs, seed):
    """Train a denoiser on public rows and save it."""
    settings = {"timestep": TIMESTEP, "max_epochs": epochs, "lr": 4e-3, "batch_size": 32, "value_range": (0, 1)}
    DiffusionRegenerator(random_state=seed, **settings).fit(X).save_pretrained(folder)


def put_on_top(fitted, regenerator, X, y, seed):
    """Return a fitted classifier behind Diffence; on the rows given it looks whether the denoiser is sound."""
    defended = DefendedClassifier(
        FrozenEstimator(fitted),
        FrozenEstimator(regenerator),
        n_candidates=N_CANDIDATES,
        selection="first",
        random_state=seed,
    )
    return defended.fit(X, y)


def count_kept_labels(defended, below):
    """Return on how many rows the label, and the top of the answer, is that of the defense below; it must be all."""
    agree = (defended.label == below.label) & (defended.proba.argmax(axis=1) == below.label)
    assert agree.all(), f"{(~agree).sum()} labels were changed"
    return int(agree.sum())


# %%
# One model
# ---------
#
# Attackers know half of the pool's rows and score the other half, then the other way round. All defenses are attacked
# on the same rows, those that MemGuard was not calibrated on. What answers are worth is measured on non-members of the
# pool and on further rows.


def attack_auc(attack, target, answers, X, y, is_member, half):
    """Return the area under an attack's ROC curve, the mean of both halves."""
    areas = []
    for known in (half, ~half):
        if target is None:
            attacker = clone(attack).fit_answers(answers.take(known), is_member[known])
            scores = attacker.score_answers(answers.take(~known))
        else:
            scores = clone(attack).fit(target, X[known], y[known], is_member[known]).score_samples(X[~known], y[~known])
        areas.append(roc_auc_score(is_member[~known], scores))
    return float(np.mean(areas))


def turned(auc):
    """Return an area as somebody sees it who knows its direction."""
    return max(auc, 1 - auc)


def worth(answers):
    """Return the utility of answers to non-members."""
    right = answers.proba[np.arange(len(answers)), answers.y]
    return {
        "accuracy": float(answers.correct.mean()),
        "NLL": float(-np.log(np.maximum(right, 1e-12)).mean()),
        "ECE": expected_calibration_error(answers.y, answers.proba),
        "failure det.": failure_detection_auc(answers.y, answers.proba),
    }


def run_model(data, parts, members, folder, seed, options):
    """Train every defense on some rows of a pool, and attack it with and without Diffence on top.

    Returns
    -------
    records : dict of str to dict
        Figures by name.
    signals : dict of str to ndarray of shape (n_pool,)
        Phi of every row of the pool, for LiRA.
    attacked : ndarray of shape (n_pool,), dtype bool
        The rows that were attacked.
    """
    X, y = data
    reference = X[parts.reference], y[parts.reference]
    fitted = fit_defenses((X[members], y[members]), reference, seed, options.epochs, options.only)
    regenerator = DiffusionRegenerator(folder, timestep=TIMESTEP, value_range=(0, 1), random_state=seed).fit(X)
    rows = np.concatenate((parts.pool, parts.others))
    is_member, in_pool = np.isin(rows, members), np.arange(len(rows)) < len(parts.pool)
    attacked = in_pool.copy()
    if "MemGuard" in fitted:
        attacked &= ~fitted["MemGuard"].calibrated_on_.contains(X[rows])
    half = np.random.default_rng(seed).random(attacked.sum()) < 0.5
    scored = X[rows][attacked], y[rows][attacked], is_member[attacked], half
    records, signals = {}, {}
    for name, below in fitted.items():
        defended = put_on_top(below, regenerator, reference[0][:50], reference[1][:50], seed)
        answers = {name: query(below, X[rows], y[rows]), name + ON_TOP: query(defended, X[rows], y[rows])}
        # Labels are the same with and without Diffence, and so is what labels alone tell.
        floor = attack_auc(LABEL_ONLY, below, None, *scored)
        for which, asked in answers.items():
            found = {key: attack_auc(attack, None, asked.take(attacked), *scored) for key, attack in ATTACKS.items()}
            found |= {"label-only": max(floor, found["labels"])} | worth(asked.take(~is_member))
            records[which] = found | {"worst": max(turned(found[key]) for key in ATTACKS)}
            signals[which] = logit_signal(asked.y, asked.proba)[in_pool]
        records[name + ON_TOP]["labels kept"] = count_kept_labels(answers[name + ON_TOP], answers[name])
    return records, signals, attacked[in_pool]


# %%
# All models
# ----------
#
# Models of one pool see many of the same rows, and each is a shadow of the others. The mean over a pool is one value,
# and the interval is over pools.


def run_pool(data, private, folder, number, options):
    """Return the figures of every model of a pool."""
    seed = options.seed + number
    parts = membership_partition(len(private), SIZES, random_state=seed)
    parts = Bunch(**{name: private[rows] for name, rows in parts.items()})
    halves = [parts.pool[train] for train, _ in ShadowSplit(options.models, random_state=seed).split(parts.pool)]
    models = [
        run_model(data, parts, members, folder, 1000 * seed + index, options) for index, members in enumerate(halves)
    ]
    if options.models >= 4:
        add_lira(models, np.column_stack([np.isin(parts.pool, members) for members in halves]))
    return [records for records, _, _ in models]


def add_lira(models, membership):
    """Add to each model's figures the area of LiRA, with the others as its shadows, behind the same defense."""
    for name in models[0][0]:
        scores = lira_leave_one_out(np.column_stack([signals[name] for _, signals, _ in models]), membership)
        for index, (records, _, attacked) in enumerate(models):
            auc = roc_auc_score(membership[attacked, index], scores[attacked, index])
            records[name] |= {"LiRA": auc, "worst": max(records[name]["worst"], turned(auc))}


def mean_and_margin(values):
    """Return the mean over pools and half of its 95 % interval."""
    margin = student.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))
    return float(np.mean(values)), float(margin)


def over_pools(pools, name, key, without=None):
    """Return mean and margin of a figure, or of its paired difference to another classifier's."""
    values = [[model[name][key] - (model[without][key] if without else 0) for model in models] for models in pools]
    return mean_and_margin(np.mean(values, axis=1))


def write_block(title, columns, pools, with_differences=False):
    """Return a table of figures of every classifier, or of what Diffence changes in them."""
    names = list(pools[0][0])
    lines = [f"{title:24}" + "".join(f"{key:>15}" for key in columns)]
    for name in names:
        if with_differences and name.endswith(ON_TOP):
            continue
        which = (name + ON_TOP, name) if with_differences else (name, None)
        form = "{:+.3f}±{:.3f}" if with_differences else "{:.3f}±{:.3f}"
        cells = (form.format(*over_pools(pools, which[0], key, which[1])) for key in columns)
        lines.append(f"{name:24}" + "".join(f"{cell:>15}" for cell in cells))
    return "\n".join(lines)


def write_table(pools):
    """Return the tables of the comparison."""
    found = [key for key in FOUND if key in pools[0][0][UNDEFENDED]]
    changed = [key for key in found if key != "label-only"] + WORTH[1:]
    kept = sum(record.get("labels kept", 0) for models in pools for model in models for record in model.values())
    blocks = [
        write_block("privacy", found, pools),
        write_block("utility", WORTH, pools),
        write_block("what Diffence changes", changed, pools, with_differences=True),
        f"labels equal to those of the defense below: {kept} of {kept}",
    ]
    return "\n\n".join(blocks)


# The loss attack's area is the confidence attack's: one orders rows as the other does.
FOUND = ["neural", "confidence", "entropy", "mod. entropy", "histogram", "LiRA", "worst", "label-only"]
WORTH = ["accuracy", "NLL", "ECE", "failure det."]


# %%
# The figure
# ----------
#
# An arrow leads from each defense to the same one with Diffence on top, a plus. Down is what Diffence is for; to the
# left is what it costs.


def draw(pools):
    """Return the privacy-utility display of all classifiers."""
    names = list(pools[0][0])
    privacy, utility = (np.array([over_pools(pools, name, key) for name in names]) for key in ("worst", "NLL"))
    display = PrivacyUtilityDisplay(
        utility=-utility[:, 0],
        privacy=privacy[:, 0],
        privacy_margin=privacy[:, 1],
        name=["+" if name.endswith(ON_TOP) else name for name in names],
        reference=[names.index(name.removesuffix(ON_TOP)) for name in names],
        utility_label="log-likelihood of non-members' labels (higher is more useful)",
        privacy_label="AUC of the worst attack (lower is more private)",
    )
    return display.plot()


def run(options):
    """Run the comparison and return the figures of all models, pool by pool."""
    digits = load_digit_images()
    parts = membership_partition(len(digits.target), {"public": N_PUBLIC}, random_state=options.seed)
    with tempfile.TemporaryDirectory() as folder:
        train_denoiser(digits.data[parts.public], folder, options.denoiser_epochs, options.seed)
        jobs = (
            joblib.delayed(run_pool)((digits.data, digits.target), parts.rest, folder, number, options)
            for number in range(options.pools)
        )
        pools = []
        for models in joblib.Parallel(n_jobs=options.jobs, return_as="generator")(jobs):
            pools.append(models)
            print(f"{len(pools)} of {options.pools} pools", flush=True)
        return pools


def parse(arguments=None):
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Which defenses gain from Diffence on top?")
    parser.add_argument("--pools", type=int, default=3, help="sets of rows, at least 2")
    parser.add_argument("--models", type=int, default=2, help="models of each pool, even; LiRA needs 4 or more")
    parser.add_argument("--epochs", type=int, default=60, help="of every network but DP-SGD's")
    parser.add_argument("--denoiser-epochs", type=int, default=45)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", default=None, help="defenses to compare with the undefended network")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--output", type=Path, default=None, help="folder for table, figure and figures as JSON")
    return parser.parse_args(arguments)


def main():
    """Run, print and draw."""
    options = parse()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", "Optimal order is the", UserWarning)
    pools = run(options)
    table = write_table(pools)
    print(table)
    display = draw(pools)
    if options.output is not None:
        options.output.mkdir(parents=True, exist_ok=True)
        (options.output / "cascade.txt").write_text(table + "\n", encoding="utf-8")
        facts = {"options": vars(options), "pools": pools}
        (options.output / "cascade.json").write_text(json.dumps(facts, indent=1, default=str), encoding="utf-8")
        display.figure_.savefig(options.output / "cascade.png", dpi=120)


if __name__ == "__main__":
    main()

"""The table, as text and numbers, and the figures of a run."""

import platform
from dataclasses import asdict

import numpy as np
import sklearn
import skorch
import torch
from _common import with_ends
from tabulate import tabulate

import skdiffence
from paper.measure import LABEL_AWARE, LABEL_FREE, PAPER_ATTACKS, RATES
from paper.rows import some
from paper.targets import UNDEFENDED
from skdiffence._demo._engine import whole_file
from skdiffence.inspection import CandidateDisplay, PrivacyUtilityDisplay, SignalDisplay


def two_sided(auc):
    """Return the area for an attacker who may reverse the scores."""
    return max(auc, 1 - auc)


def worst(record, attacks):
    """Return the name and the area of the strongest of some attacks."""
    found = {name: two_sided(record["attacks"][name]["auc"]) for name in attacks if name in record["attacks"]}
    name = max(found, key=found.get)
    return name, found[name]


def floor_of(results, target, record):
    """Return the strongest attack on a target's labels, the row's own label included."""
    areas = {name: numbers["auc"] for name, numbers in results["floors"].get(target, {}).items()}
    areas["correctness"] = record["attacks"]["correctness"]["auc"]
    name = max(areas, key=areas.get)
    return name, areas[name]


def derived(results):
    """Return figures derived from each record: relative changes, excess over the floor, the worst attack."""
    bases = {record["target"]: record for record in results["records"] if record["name"] == UNDEFENDED}
    rows = []
    for record in results["records"]:
        base = bases[record["target"]]
        (name, auc), (_, before) = worst(record, PAPER_ATTACKS), worst(base, PAPER_ATTACKS)
        best_now, best_before = (max(r["attacks"][a]["accuracy"] for a in PAPER_ATTACKS) for r in (record, base))
        (aware_name, aware), (_, aware_before) = worst(record, LABEL_AWARE), worst(base, LABEL_AWARE)
        floor_name, floor = floor_of(results, record["target"], base)
        free = {a: (two_sided(record["attacks"][a]["auc"]), two_sided(base["attacks"][a]["auc"])) for a in LABEL_FREE}
        excess = aware_before - floor
        rows.append(
            {
                "target": record["target"],
                "name": record["name"],
                "worst_attack": name,
                "worst_auc": auc,
                "relative_auc": auc / before - 1,
                "relative_accuracy": best_now / best_before - 1,
                "floor": floor,
                "floor_attack": floor_name,
                "floor_by_worst": floor / before - 1,
                "label_aware_attack": aware_name,
                "label_aware_auc": aware,
                # An attack that finds less than labels do has no excess left.
                "excess_removed": 1 - max(aware - floor, 0) / excess if excess > 0.005 else None,
                **{f"relative_{a}": now / then - 1 for a, (now, then) in free.items()},
            }
        )
    return rows


def facts(options, preset, rows, seconds):
    """Return what is needed to repeat a run."""
    return {
        "data": options.data.name.partition(".")[0],
        "preset": options.preset,
        "meaningful": preset.meaningful,
        "settings": asdict(preset) | ({} if options.asked_rows is None else {"asked_rows": options.asked_rows}),
        "seed": options.seed,
        "parts": {
            name: {"n": len(rows[name].y), "digest": digest} for name, digest in rows.facts.items() if name != "seed"
        },
        "seconds_of_this_run": seconds,
        "versions": {
            "python": platform.python_version(),
            **{package.__name__: package.__version__ for package in (np, sklearn, skdiffence, skorch, torch)},
        },
        "machine": {
            "processor": platform.machine(),
            "threads": torch.get_num_threads(),
            "cuda": torch.cuda.is_available(),
        },
    }


# Text

PRIVACY_COLUMNS = ("worst AUC", "change", "acc. change", "entropy", "phi", "confid.", "loss", "m-entropy", "neural",
                   "non-mono.", "if right", "floor", "excess gone", "own floor", "beyond", "TPR 1 %")  # fmt: skip
UTILITY_COLUMNS = ("train acc.", "test acc.", "changed", "retention", "fall-back", "NLL", "recal. NLL", "ECE",
                   "fail. AUC", "calls", "timing AUC", "ms")  # fmt: skip


def _privacy_cells(record, row):
    attacks = record["attacks"]
    tpr = attacks["confidence"][f"tpr_{RATES[1]}"], attacks["confidence"][f"tpr_{RATES[1]}_rests_on_few"]
    gone = row["excess_removed"]
    return [
        f"{row['worst_auc']:.3f}",
        f"{row['relative_auc']:+.1%}",
        f"{row['relative_accuracy']:+.1%}",
        *(f"{attacks[a]['auc']:.3f}" for a in ("entropy", "phi", "confidence", "loss", "modified_entropy", "neural")),
        f"{attacks['non_monotone']['auc']:.3f}",
        f"{attacks['confidence']['auc_if_right']:.3f}",
        f"{row['floor']:.3f}",
        "-" if gone is None else f"{gone:.0%}",
        f"{attacks['label_only_reference']['auc']:.3f}",
        with_ends(record["beyond"], *record["beyond_interval"]),
        f"{tpr[0]:.3f}" + ("*" if tpr[1] else ""),
    ]


def _utility_cells(record, milliseconds):
    retention = record.get("retention", {}).get("non_members")
    # Only the rules themselves and the bare classifier were timed, under their own names.
    ms = milliseconds.get(record["name"]) if record["target"] == UNDEFENDED else None
    return [
        f"{record['train_accuracy']:.3f}",
        f"{record['test_accuracy']:.3f}",
        f"{record['labels_changed']}",
        "-" if retention is None else f"{retention:.2f}",
        f"{record['fallback']:.3f}" if "fallback" in record else "-",
        f"{record['nll']:.3f}",
        f"{record['recalibrated_nll']:.3f}",
        f"{record['ece']:.3f}",
        f"{record['failure_auc']:.3f}",
        f"{record['calls']:.2f}" if "calls" in record else "-",
        f"{record['timing_auc']:.3f}" if "calls" in record else "-",
        "-" if ms is None else f"{ms:.2f}",
    ]


def _aligned(lines):
    alignment = ["left", "left", *["right"] * (len(lines[0]) - 2)]
    return tabulate(lines, tablefmt="plain", disable_numparse=True, colalign=alignment)


def write_table(results):
    """Return the two halves of the table as text."""
    rows = results["derived"]
    names = [(record["target"], record["name"]) for record in results["records"]]
    privacy = [["target", "answers", *PRIVACY_COLUMNS]]
    utility = [["target", "answers", *UTILITY_COLUMNS]]
    for name, record, row in zip(names, results["records"], rows, strict=True):
        privacy.append([*name, *_privacy_cells(record, row)])
        utility.append([*name, *_utility_cells(record, results["milliseconds"])])
    return _aligned(privacy) + "\n\n" + _aligned(utility)


def write_summary(results):
    """Return the timestep and the rule that were chosen, and their effect on the table's first target, as text."""
    row = next(row for row in results["derived"] if row["name"] == results["chosen_rule"])
    facts = results["facts"]
    sizes = ", ".join(f"{part['n']} {name.replace('_', ' ')}" for name, part in facts["parts"].items())
    gone = "-" if row["excess_removed"] is None else f"{row['excess_removed']:.0%}"
    names = {
        "entropy AUC": "relative_entropy",
        "phi AUC": "relative_phi",
        "strongest of the paper's attacks, AUC": "relative_auc",
        "their accuracy": "relative_accuracy",
        "the floor of labels alone would be": "floor_by_worst",
    }
    changes = ", ".join(f"{name} {row[key]:+.1%}" for name, key in names.items())
    return "\n".join(
        [
            f"preset {facts['preset']}, seed {facts['seed']}; rows: {sizes}",
            f"chosen on calibration rows: timestep {results['timestep']}, rule {results['chosen_rule']!r}",
            f"{row['target']} target behind it: {changes}",
            f"strongest label-aware attack ({row['label_aware_attack']}) {row['label_aware_auc']:.3f}, floor "
            f"{row['floor']:.3f} ({row['floor_attack']}): {gone} of its excess over the floor is gone",
            "a star marks a rate that rests on fewer than ten non-members",
        ]
    )


def write_curve(results):
    """Return the curve over timesteps as text."""
    lines = [["denoiser", "timestep", "entropy AUC", "phi AUC", "NLL", "ECE", "fail. AUC", "retention", "calls"]]
    for point in results["curve"]:
        retention = point.get("retention", {}).get("non_members")
        lines.append(
            [
                point["kind"],
                "-" if point["timestep"] is None else str(point["timestep"]),
                *(f"{point[key]:.3f}" for key in ("entropy", "phi", "nll", "ece", "failure_auc")),
                "-" if retention is None else f"{retention:.2f}",
                f"{point['calls']:.2f}",
            ]
        )
    return _aligned(lines)


def _with_ends(numbers, key="auc"):
    return with_ends(numbers[key], *numbers[f"{key}_interval"])


def write_others(results):
    """Return LiRA, the floors and the attacks of several queries as text."""
    lira = [["LiRA", "answers", "mode", "AUC", "TPR 0.1 % FPR", "TPR 1 % FPR"]]
    for each in results["lira"]:
        for mode, numbers in each["attacks"].items():
            marks = ["*" if numbers[f"tpr_{rate}_rests_on_few"] else "" for rate in RATES]
            rates = [_with_ends(numbers, f"tpr_{rate}") + mark for rate, mark in zip(RATES, marks, strict=True)]
            lira.append([each["target"], each["name"], mode, _with_ends(numbers), *rates])
    floors = [["labels alone", "attack", "AUC"]]
    for target, attacks in results["floors"].items():
        floors += [[target, name, _with_ends(numbers)] for name, numbers in attacks.items()]
    asked = [["phi at the true label", "defense", "one query", "near-duplicates x8", "pre-compensated x8"]]
    for each in results["asked"]:
        asked.append([each["target"], each["name"], *(_with_ends(numbers) for numbers in each["attacks"].values())])
    canaries = [["canaries, each shadow the target of the others", "answers", "LiRA", "phi", "labels"]]
    for each in results["canaries"]:
        canaries.append([each["target"], each["name"], *(_with_ends(numbers) for numbers in each["attacks"].values())])
    return "\n\n".join(_aligned(lines) for lines in (lira, floors, asked, canaries) if len(lines) > 1)


# Figures


def save_figures(experiment, results, output):
    """Draw the figures of the paper from the results: the plane, phi's distributions, and a grid of regenerations."""
    from matplotlib import pyplot as plt

    figures = {
        "plane.png": lambda: _plane(results),
        "phi.png": lambda: _distributions(experiment, results),
        "regenerations.png": lambda: _grid(experiment, results),
        "timesteps.png": lambda: _curve(results),
    }
    if not any(record["target"] == UNDEFENDED for record in results["records"]):
        figures.pop("phi.png")
    for name, draw in figures.items():
        figure = draw()
        with whole_file(output / name) as path:
            figure.savefig(path, dpi=110, bbox_inches="tight")
        plt.close(figure)


def _plane(results):
    chosen = results["chosen_rule"]
    rows = {(row["target"], row["name"]): row for row in results["derived"]}
    records = {(record["target"], record["name"]): record for record in results["records"]}
    names, utility, privacy, margins, reference = [], [], [], [], []
    for target in dict.fromkeys(record["target"] for record in results["records"]):
        for name in (UNDEFENDED, chosen):
            record, row = records[target, name], rows[target, name]
            label = target if name == UNDEFENDED else f"{target} + Diffence"
            low, high = record["attacks"][row["worst_attack"]]["auc_interval"]
            names.append(label)
            utility.append(record["test_accuracy"])
            privacy.append(row["worst_auc"])
            margins.append((high - low) / 2)
            reference.append(target)
    display = PrivacyUtilityDisplay(
        utility=utility,
        privacy=privacy,
        name=names,
        privacy_margin=margins,
        reference=reference,
        utility_label="test accuracy",
        privacy_label="AUC of the strongest of the paper's attacks",
    )
    return display.plot().figure_


def _distributions(experiment, results):
    before = experiment.answers({})
    how = next(r for r in results["records"] if r["target"] == UNDEFENDED and r["name"] == results["chosen_rule"])
    after = experiment.answers({key: how[key] for key in ("kind", "timestep", "answers")})
    display = SignalDisplay.from_predictions(experiment.scored.is_member, after, proba_before=before)
    return display.figure_


def _grid(experiment, results):
    X = some(experiment.scored, 3).X
    stored = experiment.regenerations("public", results["timestep"])
    n = min(6, experiment.preset.n_candidates)
    candidates = np.stack([stored.regenerate(X, candidate) for candidate in range(n)], axis=1)
    target = experiment.target(UNDEFENDED)
    answers = np.stack([target.predict_proba(candidates[:, c]) for c in range(n)], axis=1)
    proba = target.predict_proba(X)
    keeps = answers.argmax(axis=2) == proba.argmax(axis=1)[:, None]
    chosen = np.where(keeps.any(axis=1), keeps.argmax(axis=1), n - 1)
    display = CandidateDisplay.from_predictions(X, candidates, proba, answers, chosen, value_range=(0, 1))
    return display.figure_


def _curve(results):
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for axis, key, name in zip(axes, ("nll", "failure_auc"), ("NLL", "failure-detection AUC"), strict=True):
        for kind, style in (("public", "o-"), ("plain noise", "s-")):
            points = [point for point in results["curve"] if point["kind"] == kind]
            x, y = [point[key] for point in points], [0.5 + point["leak"] for point in points]
            axis.plot(x, y, style, label="trained denoiser" if kind == "public" else kind)
            for point, *place in zip(points, x, y, strict=True):
                axis.annotate(point["timestep"], place, xytext=(3, 3), textcoords="offset points", fontsize=7)
        before = results["curve"][0]
        axis.plot(before[key], 0.5 + before["leak"], "k*", label="undefended")
        axis.axhline(0.5, color="gray", lw=0.8)
        axis.set(xlabel=f"{name}, calibration non-members", ylabel="AUC of entropy or phi, the larger")
    axes[0].legend(fontsize=8)
    return figure

"""What several runs of ``paper_table.py`` found together: some rows for each data set, the paper's claim, a figure.

    python benchmarks/paper_summary.py RESULTS.json ... --output DIR

Each file is the ``results.json`` of one seed, which is one shuffle, one training of each target and one key. Means are
over seeds, with half of a 95 % interval where there are several.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt
from paper.measure import PAPER_ATTACKS
from paper.targets import UNDEFENDED
from tabulate import tabulate

from skdiffence._demo._engine import whole_file
from skdiffence._demo._record import save_text
from skdiffence._demo._table import format_means, format_table, mean_and_margin, summarize

# What the paper says of the strongest attack, on average over its data sets: changes of its AUC and of its accuracy.
PAPER = {UNDEFENDED: (-0.140, -0.158), "SELENA": (-0.100, -0.093)}
ANSWERS = (UNDEFENDED, "first", "members", "matched", "mean", "tuned", "views", "views of mean",
           "views of mean, lowest t", "student", "student of mean", "label only")  # fmt: skip
COLUMNS = [
    ("worst_auc", "strongest", 3),
    ("relative_auc", "change", 3),
    ("relative_accuracy", "of accuracy", 3),
    ("cap", "change to the floor", 3),
    ("beyond", "beyond", 3),
    ("failure_auc", "fail. AUC", 3),
    ("recalibrated_nll", "recal. NLL", 3),
    ("calls", "calls", 2),
    ("labels_changed", "changed", 0),
]
COSTS = [("failure_lost", "fail. AUC lost", 3), ("nll_gained", "recal. NLL gained", 3)]
CLAIM = [
    ("relative_auc", "AUC", 3),
    ("paper_auc", "paper's", 3),
    ("relative_accuracy", "accuracy", 3),
    ("paper_accuracy", "paper's", 3),
    ("cap", "AUC at the floor", 3),
    ("over_floor", "AUC over the floor", 3),
    *COSTS,
]


def rows_of(results):
    """Return one flat record for each answer of one run."""
    bases = {record["target"]: record for record in results["records"] if record["name"] == UNDEFENDED}
    rows = []
    for record, found in zip(results["records"], results["derived"], strict=True):
        base = bases[record["target"]]
        # The most that is found without a look at a confidence: from labels, or from labels and a model of one's own.
        floor = max(found["floor"], record["attacks"]["label_only_reference"]["auc"])
        before = found["worst_auc"] / (1 + found["relative_auc"])
        rows.append(
            {
                **{key: record.get(key, np.nan) for key in ("beyond", "failure_auc", "recalibrated_nll", "calls")},
                "labels_changed": record["labels_changed"],
                "beyond_interval": record.get("beyond_interval"),
                **{key: found[key] for key in ("worst_auc", "relative_auc", "relative_accuracy")},
                "cap": min(floor / before - 1, 0),
                "over_floor": max(record["attacks"][name]["auc"] for name in PAPER_ATTACKS) - floor,
                "failure_lost": base["failure_auc"] - record["failure_auc"],
                "nll_gained": record["recalibrated_nll"] - base["recalibrated_nll"],
                "data": results["facts"]["data"],
                "target": record["target"],
                "name": record["name"],
                "seed": results["facts"]["seed"],
            }
        )
    return rows


def brief(rows, answers):
    """Return what some answers tell beyond labels and an own model, and what they cost where they were measured."""
    places = list(dict.fromkeys((row["data"], row["target"]) for row in rows))
    table = {}
    for name in (UNDEFENDED, *answers):
        named = [{**row, "name": (row["data"], row["target"])} for row in rows if row["name"] == name]
        found = summarize(named, ["beyond", *(key for key, _, _ in COSTS)])
        table[name] = {place: found.get(place, {}).get("beyond", (np.nan, np.nan)) for place in places}
        # Each target on each data set counts once, whatever the number of its trainings.
        lost = {key: mean_and_margin([row[key][0] for row in found.values()])[0] for key, _, _ in COSTS}
        table[name] |= {key: (mean, np.nan) for key, mean in lost.items()}
    columns = [(place, f"{place[1]}, {place[0]}", 3) for place in places]
    return "AUC beyond labels and own model; worth lost, on average\n\n" + format_table(
        table, [*columns, *COSTS], "answers"
    )


# What is shown of each training, and of which the extremes are.
SINGLE = {
    "beyond": "AUC beyond labels and own model in each training, with 95 % intervals over rows",
    "failure_lost": "failure-detection AUC lost in each training",
    "nll_gained": "recalibrated NLL gained in each training",
}


def single_trainings(rows, answers, key):
    """Return a figure of some answers in each training, and its extremes, those of interval ends too, as text."""
    names, found = (UNDEFENDED, *answers), {}
    for row in rows:
        found.setdefault((row["data"], row["target"], row["seed"]), {})[row["name"]] = row
    lines = [
        [f"{data}, {target}, seed {seed}", *(_with_interval(answered.get(name), key) for name in names)]
        for (data, target, seed), answered in sorted(found.items())
    ]
    figures = {name: [row[key] for row in rows if row["name"] == name] for name in names}
    ends = {name: [row.get(f"{key}_interval") for row in rows if row["name"] == name] for name in names}
    ends = {name: [end for each in intervals if each for end in each] for name, intervals in ends.items()}
    for label, extreme, values in (
        ("lowest", min, figures),
        ("highest", max, figures),
        ("lowest end", min, ends),
        ("highest end", max, ends),
    ):
        if any(values.values()):
            lines.append([label, *(f"{extreme(values[name]):.3f}" if values[name] else "-" for name in names)])
    table = tabulate(lines, ["training", *names], stralign="right", colalign=("left",), disable_numparse=True)
    return f"{SINGLE[key]}\n\n{table}"


def _with_interval(row, key):
    if row is None:
        return "-"
    interval = row.get(f"{key}_interval")
    return f"{row[key]:.3f}" + (f" ({interval[0]:.3f} to {interval[1]:.3f})" if interval else "")


# Attacks that are run on some answers alone: the part of a run's results, and what is shown of it.
FURTHER = {
    "asked": "phi at the true label, AUC",
    "lira": "LiRA, AUC",
    "canaries": "rows with wrong labels, each shadow the target of the others, AUC",
}


def further_attacks(runs, part):
    """Return what the attacks of a part of the results find, as text; nothing where no run has it."""
    records = [
        {"name": f"{run['facts']['data']}, {each['target']}, {each['name']}"}
        | {name: numbers["auc"] for name, numbers in each["attacks"].items()}
        for run in runs
        for each in run.get(part, [])
    ]
    columns = [(name, name, 3) for name in records[0] if name != "name"] if records else []
    return format_means(records, columns, FURTHER[part]) if records else ""


def summary(rows, data, target):
    """Return the rows of one target on one data set as text."""
    here = [row for row in rows if (row["data"], row["target"]) == (data, target)]
    # Controls, which few runs have, come last.
    names = dict.fromkeys((*ANSWERS, *(row["name"] for row in here)))
    chosen = [row for name in names for row in here if row["name"] == name]
    n = len({row["seed"] for row in chosen})
    return f"{data}, {target}, trainings: {n}\n\n" + format_means(chosen, COLUMNS, "answers")


def claim(rows, answers):
    """Return the paper's claim beside what certain answers give, for each data set and on average, as text."""
    table = {}
    for target, (auc, accuracy) in PAPER.items():
        here = [row for row in rows if (row["target"], row["name"]) == (target, answers)]
        named = [{**row, "name": f"{target}, {row['data']}"} for row in here]
        found = summarize(named, [key for key, _, _ in CLAIM])
        if len(found) > 1:
            # Each data set counts once, whatever the number of its trainings.
            means = {key: np.mean([row[key][0] for row in found.values()]) for key, _, _ in CLAIM}
            found[f"{target}, average"] = {key: (float(mean), np.nan) for key, mean in means.items()}
        for row in found.values():
            row |= {"paper_auc": (auc, np.nan), "paper_accuracy": (accuracy, np.nan)}
        table |= found
    return f"strongest of the paper's attacks behind {answers!r}\n\n" + format_table(table, CLAIM, "target")


def draw(rows):
    """Return a figure of leak beyond labels against the worth of confidence, a panel for each data set and target.

    A small point is one training, a large one their mean.
    """
    places = list(dict.fromkeys((row["data"], row["target"]) for row in rows if row["target"] in PAPER))
    n_columns = min(2, len(places))
    n_lines = -(-len(places) // n_columns)
    size = 4.5 * n_columns, 3.2 * n_lines + 0.8
    figure, axes = plt.subplots(n_lines, n_columns, sharey=True, figsize=size, layout="constrained", squeeze=False)
    shown = {}
    for axis, (data, target) in zip(axes.flat, places, strict=False):
        for number, name in enumerate(ANSWERS):
            here = [row for row in rows if (row["data"], row["target"], row["name"]) == (data, target, name)]
            if here:
                x, y = ([row[key] for row in here] for key in ("failure_auc", "beyond"))
                style = {"marker": "*" if name == UNDEFENDED else "o", "ls": "none"}
                style["color"] = "k" if name == UNDEFENDED else f"C{number % 10}"
                axis.plot(x, y, **style, ms=3, alpha=0.6)
                (shown[name],) = axis.plot(np.mean(x), np.mean(y), **style, ms=7)
        axis.axhspan(-0.02, 0.02, color="0.9", zorder=0)
        axis.set(title=f"{data}, {target}", xlabel="failure-detection AUC")
    for axis in axes.flat[len(places) :]:
        axis.set_axis_off()
    for line in axes:
        line[0].set_ylabel("AUC beyond labels and own model")
    figure.legend(shown.values(), shown, loc="outside lower center", ncols=4, fontsize=8)
    return figure


def main():
    """Read, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", nargs="+", type=Path, help="results.json of each run")
    parser.add_argument("--answers", nargs="+", default=["matched", "mean", "tuned"], help="beside the paper's claim")
    parser.add_argument("--output", type=Path, required=True, help="folder of summary.txt and summary.png")
    options = parser.parse_args()
    runs = [json.loads(path.read_text(encoding="utf-8")) for path in options.results]
    rows = [row for run in runs for row in rows_of(run)]
    places = dict.fromkeys((row["data"], row["target"]) for row in rows)
    parts = [brief(rows, options.answers), *(claim(rows, name) for name in options.answers)]
    parts += [single_trainings(rows, options.answers, key) for key in SINGLE]
    parts += [summary(rows, *place) for place in places] + [further_attacks(runs, part) for part in FURTHER]
    text = "\n\n".join(part for part in parts if part)
    print(text)
    options.output.mkdir(parents=True, exist_ok=True)
    save_text(options.output / "summary.txt", text + "\n")
    figure = draw(rows)
    with whole_file(options.output / "summary.png") as path:
        figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()

"""Tables and figure of ``frontier.py``."""

import numpy as np
from matplotlib import pyplot as plt
from selection_attacks import joined

from skdiffence._demo._engine import whole_file
from skdiffence._demo._table import format_means, format_table, mean_and_margin, summarize
from skdiffence.metrics import auc_difference_interval

ON_ANSWERS = ("entropy", "logit", "non_monotone", "reference")
ON_LABELS = ("labels", "labels_and_own_model")
TITLES = {"trained": "trained denoiser", "untrained": "untrained denoiser", "none": "plain noise"}
LEAK = [
    ("entropy", "entropy", 3),
    ("phi_right", "phi, right", 3),
    ("non_monotone", "non-mono.", 3),
    ("reference", "answers, own model", 3),
    ("labels_and_own_model", "labels, own model", 3),
    ("beyond", "beyond", 3),
    ("strongest_beyond", "strongest", 3),
    ("near_duplicates", "8 near-dup.", 3),
    ("precompensated", "8 precomp.", 3),
]
WORTH = [
    ("failure_detection_auc", "fail. AUC", 3),
    ("recalibrated_nll", "recal. NLL", 3),
    ("nll", "raw NLL", 3),
    ("expected_calibration_error", "raw ECE", 3),
    ("calls", "calls", 2),
    ("labels_changed", "changed", 0),
]
PAIRED = [
    ("beyond", "beyond", 3),
    ("non_monotone", "non-mono.", 3),
    ("near_duplicates", "8 near-dup.", 3),
    ("precompensated", "8 precomp.", 3),
    ("failure_detection_auc", "fail. AUC", 3),
    ("recalibrated_nll", "recal. NLL", 3),
]


def beyond(record, signals):
    """Return how far the attacks on answers are above those on labels, with the interval of the first over the rows."""
    is_member, answers = joined(signals["reference"])
    low, high = auc_difference_interval(is_member, answers, joined(signals["labels_and_own_model"])[1])
    strongest = max(record[name] for name in ON_ANSWERS) - max(record[name] for name in ON_LABELS)
    return {
        "beyond": record["reference"] - record["labels_and_own_model"],
        "beyond_low": float(low),
        "beyond_high": float(high),
        "strongest_beyond": float(strongest),
    }


def labeled(record):
    """Return the record under the name that tables show."""
    timestep, group = record["timestep"], record["group"]
    where = f"{TITLES[group]}, " if group in ("untrained", "none") else ""
    return {**record, "name": f"{where}{record['short']}" + ("" if timestep is None else f", {timestep}")}


def report(records):
    """Return all tables as text."""
    records = [labeled(record) for record in records]
    kinds = sorted({tuple(record["split"].split("-")[1:]) for record in records})
    parts = []
    for kind in kinds if len(kinds) > 1 else []:
        rows = [record for record in records if tuple(record["split"].split("-")[1:]) == kind]
        parts.append(f"denoiser of {kind[0]} epochs, {len({record['split'] for record in rows})} splits")
        parts += tables_of(rows)
    parts.append(f"all {len({record['split'] for record in records})} splits")
    return "\n\n".join([*parts, *tables_of(records)])


def tables_of(records):
    """Return leak, worth and paired differences."""
    return [
        format_means(records, LEAK, "leak"),
        format_means(records, WORTH, "worth and cost"),
        format_table(paired(records, "undefended"), PAIRED, "less undefended"),
        format_table(paired_rules(records), PAIRED, "less matched"),
    ]


def paired(records, other, names=None, columns=PAIRED):
    """Return differences from one answer on the same splits."""
    base = {record["split"]: record for record in records if record["name"] == other}
    table = {}
    for name in names or dict.fromkeys(record["name"] for record in records if record["name"] != other):
        rows = [record for record in records if record["name"] == name and record["split"] in base]
        table[name] = {
            key: mean_and_margin([row.get(key, np.nan) - base[row["split"]].get(key, np.nan) for row in rows])
            for key, _, _ in columns
        }
    return table


def paired_rules(records):
    """Return differences of other answers from "matched" at its timestep."""
    names = dict.fromkeys(record["name"] for record in records)
    table = {}
    for base in (name for name in names if name.startswith("matched")):
        timestep = base.rpartition(" ")[2]
        ours = [name for name in names if name.endswith(f" {timestep}") and name != base]
        table |= {f"{name} - {base}": row for name, row in paired(records, base, ours).items()}
    return table


CURVES = (
    ("trained", "one candidate", "C0o:"),
    ("trained", "mean of 2", "C0s--"),
    ("trained", "mean of 4", "C0D-"),
    ("trained", "views of mean of 4", "C6v-"),
    ("none", "one candidate", "C1o:"),
    ("none", "mean of 4", "C1D-"),
)
POINTS = (
    ("controls", "undefended", "k*"),
    ("controls", "label only", "kP"),
    ("controls", "test-time augmentation", "C3v"),
    ("student", "student of undefended", "C2^"),
    ("student", "student of mean of 4", "C2D"),
    ("trained", "matched", "C4X"),
    ("trained", "first", "C4x"),
    ("untrained", "mean of 4", "C5D"),
)


def draw(records, path):
    """Draw the leak beyond labels and own model against failure detection and against the recalibrated likelihood."""
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.6), layout="constrained", sharey=True)
    worths = (("failure_detection_auc", "Failure-detection AUC"), ("recalibrated_nll", "Recalibrated NLL"))
    for ax, (worth, title) in zip(axes, worths, strict=True):
        for group, short, style in CURVES:
            draw_points(ax, records, group, short, worth, style, annotate=group == "trained" and short == "mean of 4")
        for group, short, style in POINTS:
            draw_points(ax, records, group, short, worth, style)
        ax.axhspan(-0.02, 0.02, color="0.92", zorder=0)
        ax.set_xlabel(title)
    axes[1].invert_xaxis()
    axes[0].set_ylabel("AUC beyond labels and own model")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center", fontsize="small")
    with whole_file(path) as whole, open(whole, "wb") as file:
        figure.savefig(file, format="png", dpi=130)
    plt.close(figure)


def draw_points(ax, records, group, short, worth, style, *, annotate=False):
    """Draw the means of an answer at each of its timesteps, joined by a line."""
    rows = [dict(record, name=record["timestep"]) for record in records if record["group"] == group]
    rows = [record for record in rows if record["short"] == short]
    means = summarize(rows, ["beyond", worth])
    if not means:
        return
    timesteps = sorted(means, key=lambda timestep: timestep or 0)
    x, y = ([means[timestep][key][0] for timestep in timesteps] for key in (worth, "beyond"))
    title = f"{TITLES[group]}, {short}" if group in ("untrained", "none") else short
    ax.plot(x, y, style, ms=6, lw=1, label=title)
    for timestep, *place in zip(timesteps, x, y, strict=True) if annotate else ():
        ax.annotate(timestep, place, xytext=(5, 3), textcoords="offset points", fontsize=8)

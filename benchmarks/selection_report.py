"""Tables and figure of ``selection.py``."""

import numpy as np
from matplotlib import pyplot as plt
from scipy.stats import norm

from skdiffence._demo._engine import whole_file
from skdiffence._demo._table import format_table, mean_and_margin, summarize

PAPER_CALLS = 60
UNDEFENDED, BASELINE = "undefended", "matched"
SINGLE = [
    ("phi", "phi AUC", 3),
    ("phi_right", "phi, right", 3),
    ("entropy", "entropy", 3),
    ("logit", "true label", 3),
    ("non_monotone", "non-mono.", 3),
    ("non_monotone_right", "nm., right", 3),
    ("tpr", "TPR", 3),
]
SEVERAL = [("near_duplicates", "8 near-dup.", 3), ("precompensated", "8 precomp.", 3), ("timing", "calls' AUC", 3)]
UTILITY = [
    ("nll", "NLL", 3),
    ("expected_calibration_error", "ECE", 3),
    ("failure_detection_auc", "fail. AUC", 3),
    ("calls", "calls/row", 2),
    ("paper", "paper's", 0),
    ("retention", "retention", 3),
    ("fallback", "no label", 3),
]
COMPARED = [
    ("phi", "phi AUC", 3),
    ("phi_right", "phi, right", 3),
    ("non_monotone", "non-mono.", 3),
    ("near_duplicates", "8 near-dup.", 3),
    ("precompensated", "8 precomp.", 3),
    ("tpr", "TPR", 3),
    ("nll", "NLL", 3),
    ("failure_detection_auc", "fail. AUC", 3),
    ("calls", "calls/row", 2),
]


PAIRED = [
    ("phi", "phi, mean", 3),
    ("phi_right", "phi, right", 3),
    ("non_monotone", "non-mono.", 3),
    ("near_duplicates", "8 near-dup.", 3),
    ("precompensated", "8 precomp.", 3),
]


def report(records, signals=None):
    """Return all tables as text.

    Parameters
    ----------
    records : list of dict
        Of all splits, rules and timesteps.
    signals : dict of str to tuple of two ndarrays, or None
        Of a single split, by :func:`signal_name`: its rows then give the intervals.
    """
    records = [dict(record, paper=PAPER_CALLS) if "calls" in record else record for record in records]
    parts = []
    for timestep in sorted({record["timestep"] for record in records if "timestep" in record}, reverse=True):
        rows = [record for record in records if record.get("timestep", timestep) == timestep]
        fpr = next((record["fpr"] for record in rows if "fpr" in record), np.nan)
        parts.append(f"timestep {timestep}; TPR of the attack on phi at the true label, at {fpr:g} FPR")
        for columns, first in ((SINGLE, "one query"), (SEVERAL, "several queries"), (UTILITY, "utility and cost")):
            parts.append(format_table(summary(rows, columns, signals), columns, first))
        parts.append(format_table(differences(rows, timestep, signals), COMPARED, f"less {BASELINE}"))
    parts.append(expectations(records))
    return "\n\n".join(parts)


def summary(rows, columns, signals):
    """Return means and margins; the margin of one split is half of its rows' interval."""
    table = summarize(rows, [key for key, _, _ in columns])
    if signals is not None:
        for record in rows:
            for key, _, _ in columns:
                if f"{key}_low" in record:
                    half = (record[f"{key}_high"] - record[f"{key}_low"]) / 2
                    table[record["name"]][key] = (record[key], half)
    return table


def differences(rows, timestep, signals):
    """Return paired differences from the baseline, over splits or over the rows of one."""
    baseline = {record["seed"]: record for record in rows if record["name"] == BASELINE}
    table = {}
    for name in dict.fromkeys(record["name"] for record in rows if record["name"] not in (BASELINE, UNDEFENDED)):
        records = [record for record in rows if record["name"] == name]
        table[name] = {
            key: mean_and_margin([r.get(key, np.nan) - baseline[r["seed"]].get(key, np.nan) for r in records])
            for key, _, _ in COMPARED
        }
        if signals is not None:
            base = next(iter(baseline.values()))
            for key in table[name]:
                ours, theirs = (signals.get(signal_name(record, key)) for record in (records[0], base))
                if ours is not None:
                    table[name][key] = paired_auc(ours, theirs)
    return table


def signal_name(record, key):
    """Return the name under which the signal of an attack on a rule is kept."""
    return f"{record['name']}, {record.get('timestep')}, {key}"


def paired_auc(sides, baseline):
    """Return the difference of two AUC on the same rows, and half of its 95 % interval (DeLong et al. 1988)."""
    placements = [placements_of(*each) for each in (sides, baseline)]
    moved = [one - other for one, other in zip(*placements, strict=True)]
    variance = sum(move.var(ddof=1) / len(move) for move in moved)
    return float(moved[0].mean()), float(norm.ppf(0.975) * np.sqrt(variance))


def placements_of(members, non_members):
    """Return, for each member, the share of non-members below it, and for each non-member that of members above it."""

    def below(values, sample):
        ordered = np.sort(sample)
        sides = [np.searchsorted(ordered, values, side) for side in ("left", "right")]
        return np.mean(sides, axis=0) / len(sample)

    return below(members, non_members), 1 - below(non_members, members)


def report_pairs(splits, pairs):
    """Return paired differences of rules at any two timesteps: of phi split by split over its rows, and means of all.

    Parameters
    ----------
    splits : list of tuple (records, signals)
        Of each split, as :func:`report` takes them.
    pairs : list of tuple (name, timestep, other name, other timestep)
        What to compare beside all rules with the baseline at every timestep.
    """
    measured = [(record["name"], record["timestep"]) for record in splits[0][0] if "timestep" in record]
    bases = [which for which in measured if which[0] == BASELINE]
    rows = {}
    for name, timestep, other, its in [(*one, *base) for base in bases for one in measured if one != base] + pairs:
        row = rows[f"{name}, {timestep} - {other}, {its}"] = {}
        for key, _, _ in PAIRED:
            names = f"{name}, {timestep}, {key}", f"{other}, {its}, {key}"
            found = [paired_auc(*(signals[name] for name in names)) for _, signals in splits]
            row |= {f"{key}, {number}": pair for number, pair in enumerate(found, start=1)}
            row[key] = mean_and_margin([mean for mean, _ in found])
    columns = [(f"phi, {number}", f"phi, split {number}", 3) for number in range(1, len(splits) + 1)]
    return "\n\n" + format_table(rows, columns + PAIRED, "paired differences")


def expectations(records):
    """Return what "first" costs beside the cost expected from the retention of its rows, as text."""
    lines = []
    for timestep in sorted({record["timestep"] for record in records if "first_calls" in record}, reverse=True):
        of = [record for record in records if record.get("timestep") == timestep and "first_calls" in record]
        ratio, margin = mean_and_margin([record["first_calls"] / record["first_expected"] for record in of])
        margin = margin if len(of) > 1 else of[0].get("first_margin", np.nan)
        cost = np.mean([record["first_calls"] for record in of])
        lines.append(
            f'timestep {timestep}: "first" takes {cost:.3f} calls on calibration rows, {ratio:.3f}±{margin:.3f} of '
            "what their retention lets expect"
        )
    tuned = [f"{record['chosen']} at {record['chosen_timestep']}" for record in records if "chosen" in record]
    if tuned:
        counts = ", ".join(f"{choice} {tuned.count(choice)}x" for choice in sorted(set(tuned)))
        lines.append(f"tuned, at the timestep of its choice: {counts}")
    return "\n".join(lines)


def report_timed(timed):
    """Return what response times reveal about membership, as text."""
    lines = [f"{name}: {area:.3f} ({low:.3f}-{high:.3f})" for name, (area, low, high) in timed.items()]
    return "\n\nAUC of the seconds that an answer takes\n" + "\n".join(lines) if lines else ""


def draw_frontier(records, path, signals=None):
    """Draw what rules leak against what their confidence is worth, and against calls."""
    records = [record for record in records if "calls" in record]
    # Of several timesteps the color tells which one it is.
    named = [dict(record, name=(record["name"], int(record["timestep"]))) for record in records]
    draw_rules(summary(named, [(key, None, None) for key in ("phi", "failure_detection_auc", "calls")], signals), path)


def draw_rules(rows, path):
    """Draw the means and intervals of rules, a marker for each; the undefended net lies far off.

    ``rows`` has pairs of mean and half an interval by quantity, by name and timestep.
    """
    figure, axes = plt.subplots(1, 2, figsize=(9.5, 4.6), layout="constrained", sharey=True)
    names = {"calls": "denoiser calls per row", "failure_detection_auc": "failure-detection AUC"}
    for ax, x in zip(axes, names, strict=True):
        draw_panel(ax, rows, x, "phi")
        ax.set(xlabel=names[x], xmargin=0.08)
    axes[0].set(ylabel="AUC of phi (0.5: nothing leaks)", xscale="log", xlim=(0.8, 20))
    axes[0].set_xticks([1, 2, 4, 8, 16], ["1", "2", "4", "8", "16"])
    axes[0].minorticks_off()
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center", fontsize=9)
    with whole_file(path) as file:
        figure.savefig(file, dpi=130)
    plt.close(figure)


def draw_panel(ax, rows, x, y):
    """Draw the points of a panel with their intervals, a color for each timestep and a marker for each rule."""
    colors = {timestep: f"C{i}" for i, timestep in enumerate(sorted({timestep for _, timestep in rows}))}
    markers = dict(zip(dict.fromkeys(name for name, _ in rows), "osD^v<>PXphd*", strict=False))
    for (name, timestep), row in rows.items():
        (x_mean, x_half), (y_mean, y_half) = row[x], row[y]
        bars = {"xerr": np.nan_to_num(x_half), "yerr": np.nan_to_num(y_half)}
        look = {"fmt": markers[name], "color": colors[timestep], "ms": 6, "lw": 0.6, "mec": "white", "mew": 0.5}
        ax.errorbar(x_mean, y_mean, **bars, **look)
    for name, marker in markers.items():
        ax.plot([], [], marker, color="0.4", ms=6, label=name)
    for timestep, color in colors.items() if len(colors) > 1 else ():
        ax.plot([], [], "s", color=color, ms=8, label=f"timestep {timestep}")

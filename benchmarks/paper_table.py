"""The main table of the paper, on images: every prior defense, with and without Diffence, under every attack.

    python benchmarks/paper_table.py --data PATH --preset smoke --output DIR
    python benchmarks/paper_table.py --data PATH --preset cpu --output DIR

PATH is a folder of images (one folder for each class), an archive of one, or an ``.npz`` file with ``X`` and ``y``.
Every stage is kept in DIR under a digest of what it was made from: the same command goes on where a run was stopped.
"smoke" only shows that all of it runs, and its figures mean nothing; "cpu" is meant for two cores, "gpu" has the
paper's sizes. What it writes: ``results.json``, with every figure of the tables; ``table.txt``; and four pictures.
"""

import time
from pathlib import Path

from _common import RESULTS, make_parser
from paper.experiment import PAPER_TIMESTEP, RULES, Experiment
from paper.presets import PRESETS
from paper.report import (
    derived,
    facts,
    save_figures,
    write_curve,
    write_others,
    write_summary,
    write_table,
)
from paper.rows import draw_rows
from paper.store import Store
from paper.targets import TARGETS, UNDEFENDED

from skdiffence._demo._record import save_json, save_text

# Those that attacks which ask eight times are shown against, on the undefended target and on others: learned intervals
# differ between targets, and so do the candidates that a learned rule needs of every changed row.
ASKED_RULES = ("first", "matched", "swap", "lowest")
ASKED_RULES_ON_OTHERS = ("lowest",)
# One that learns nothing and needs few candidates: a search behind every shadow would need nearly all of every row.
LIRA_RULES = ("lowest",)


def rows_of_table(experiment, timestep):
    """Return the target, the name and the making of each row of the table."""

    def rules(kind="public", at=timestep, names=RULES, note=""):
        return {f"{rule}{note}": {"kind": kind, "timestep": at, "rule": rule} for rule in names}

    table = [(target, UNDEFENDED, {}) for target in TARGETS]
    table += [(target, name, how) for target in TARGETS for name, how in rules().items()]
    more = {}
    if timestep != PAPER_TIMESTEP:
        more |= rules(at=PAPER_TIMESTEP, note=f", t={PAPER_TIMESTEP}")
    more |= rules(kind="members", note=", members' denoiser")
    more |= rules(kind="shipped", at=PAPER_TIMESTEP, names=("first", "matched"), note=", as shipped")
    for noise in experiment.preset.noise_timesteps:
        more |= rules("plain noise", noise, (experiment.chosen_rule,), f", plain noise {noise}")
    more |= rules(kind="untrained", names=(experiment.chosen_rule,), note=", untrained denoiser")
    more |= {output: {"output": output} for output in ("label only", "output noise")}
    table += [(UNDEFENDED, name, how) for name, how in more.items()]
    return sorted(table, key=lambda row: TARGETS.index(row[0]))


def choose_rule(experiment, timestep):
    """Return the rule that leaks least on the calibration rows of the undefended target, the cheaper one of equals."""
    leaks = {}
    for rule in RULES:
        record = experiment.record(rule, UNDEFENDED, {"kind": "public", "timestep": timestep, "rule": rule})
        leaks[rule] = record["calibration"]["leak"], record["calibration"]["calls"]
    return min(leaks, key=lambda rule: (round(leaks[rule][0], 2), leaks[rule][1]))


def run(experiment, until):
    """Go through all stages.

    Returns
    -------
    results : dict or None
        None if it was to stop earlier.
    """
    attacked = TARGETS if "all" in experiment.preset.lira_targets else experiment.preset.lira_targets
    if until == "targets":
        for target in TARGETS:
            experiment.fitted(target)
        for target in attacked:
            experiment.shadows(target)
        return None
    experiment.denoiser("public")
    if until == "denoiser":
        return None
    timestep = experiment.timestep()
    experiment.chosen_rule = choose_rule(experiment, timestep)
    if until == "choice":
        return None
    results = {"timestep": timestep, "chosen_rule": experiment.chosen_rule, "curve": experiment.curve()}
    chosen = {"kind": "public", "timestep": timestep, "rule": experiment.chosen_rule}
    results["milliseconds"] = {
        how.get("rule", UNDEFENDED): experiment.milliseconds(how)
        for how in ({}, *({**chosen, "rule": rule} for rule in RULES))
    }
    results["records"], results["floors"], results["asked"] = [], {}, []
    table = rows_of_table(experiment, timestep)
    for target in TARGETS:
        results["records"] += [experiment.record(name, target, how) for of, name, how in table if of == target]
        results["floors"][target] = experiment.floor(target)
        rules = (*ASKED_RULES, experiment.chosen_rule) if target == UNDEFENDED else ASKED_RULES_ON_OTHERS
        for how in ({}, *({**chosen, "rule": rule} for rule in dict.fromkeys(rules))):
            found = experiment.asked(target, how)
            results["asked"].append({"target": target, "name": how.get("rule", UNDEFENDED), "attacks": found})
    results["lira"] = [
        {"target": target, "name": how.get("rule", UNDEFENDED), **experiment.lira(target, how)}
        for target in attacked
        for how in ({}, *({**chosen, "rule": rule} for rule in LIRA_RULES))
    ]
    return results


def main():
    """Run, write and print."""
    parser = make_parser(__doc__, seed=0)
    parser.set_defaults(output=RESULTS / "paper-table")
    parser.add_argument("--data", type=Path, required=True, help="images: a folder, an archive or an .npz file")
    parser.add_argument("--preset", choices=PRESETS, default="smoke")
    parser.add_argument("--until", choices=("denoiser", "targets", "choice"), help="stop after this stage")
    options = parser.parse_args()
    start, preset = time.perf_counter(), PRESETS[options.preset]
    rows = draw_rows(options.data, preset, options.seed)
    experiment = Experiment(preset, rows, Store(options.output / options.preset), options.seed)
    results = run(experiment, options.until)
    if results is None:
        return
    results["derived"] = derived(results)
    results["facts"] = facts(options.preset, preset, rows, options.seed, time.perf_counter() - start)
    save_json(options.output / options.preset / "results.json", results)
    note = "" if preset.meaningful else "A check that everything runs: too few rows for any conclusion.\n\n"
    text = note + "\n\n".join(write(results) for write in (write_summary, write_table, write_curve, write_others))
    save_text(options.output / options.preset / "table.txt", text + "\n")
    print(text)
    save_figures(experiment, results, options.output / options.preset)


if __name__ == "__main__":
    main()

"""The main table of the paper, on images: every prior defense, with and without Diffence, under every attack.

    python benchmarks/paper_table.py --data PATH --preset smoke --output DIR
    python benchmarks/paper_table.py --data PATH --preset paper --minutes 60 --output DIR
    python benchmarks/paper_table.py --data PATH --preset paper --output DIR --seed 1 --targets undefended SELENA

PATH is a folder of images (one folder for each class), an archive of one, or an ``.npz`` file with ``X`` and ``y``.
Every stage is kept in DIR under a digest of what it was made from: the same command goes on where a run was stopped,
and with ``--minutes`` it begins nothing new after that time, and writes what is there. "smoke" only shows that all
of it runs, and its figures mean nothing; "cpu" is a small run for two cores, "paper" is one of 25,000 members for two
cores and some hours, "gpu" has the paper's sizes. Another seed is another shuffle of all but the public rows, another
training of each target and another key, for which few targets and answers may be enough (``--targets``, ``--answers``),
with some parts left out (``--without``).
What it writes, in a folder of DIR for each seed: ``results.json``, with every figure of the tables; ``table.txt``; and
four pictures.
"""

import time
from pathlib import Path

from _common import RESULTS, make_parser
from paper.answers import RULES
from paper.experiment import PAPER_TIMESTEP, Experiment
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
from paper.store import OutOfTime, Store
from paper.targets import TARGETS, UNDEFENDED

from skdiffence._demo._record import save_json, save_text

# Those that attacks which ask eight times are shown against, on the undefended target and on others: learned intervals
# differ between targets, and so do the candidates that a learned rule needs of every changed row.
ASKED = ("views", "views of mean, lowest t", UNDEFENDED, "mean", "first", "matched", "swap", "lowest")
ASKED_ON_OTHERS = ("views", "views of mean, lowest t", UNDEFENDED, "mean", "lowest")
# Those that learn nothing and need few candidates: a search behind every shadow would need nearly all of every row.
LIRA_ANSWERS = (UNDEFENDED, "lowest", "mean", "views", "views of mean, lowest t")
# Beside the rules; a student takes as long as the target itself.
TIMED = ("views", "views of mean, lowest t")
# Views and students, which take more time, are for these alone, unless they are asked for by name.
FURTHER = (UNDEFENDED, "SELENA")
ANSWERS = (*RULES, "tuned", "views", "views of mean", "views of mean, lowest t", "student")
PARTS = ("controls", "floors", "asked", "lira", "canaries", "timing")


def rows_of_table(experiment, timestep, options):
    """Return the target, the name and the making of each row of the table."""

    def rules(kind="public", at=timestep, names=RULES, note=""):
        return {f"{rule}{note}": {"kind": kind, "timestep": at, "answers": rule} for rule in names}

    lowest = min(experiment.preset.timesteps)
    answers = {UNDEFENDED: {}, **rules(), "tuned": {"kind": "public", "answers": "tuned"}}
    further = {"views": {"answers": "views"}, **rules(names=("views of mean",))}
    if lowest != timestep:
        further |= rules(at=lowest, names=("views of mean",), note=", lowest t")
    further |= {"student": {"answers": "student"}}
    table = [(target, name, how) for target in options.targets for name, how in answers.items()]
    with_further = [target for target in options.targets if options.answers or target in FURTHER]
    table += [(target, name, how) for target in with_further for name, how in further.items()]
    table = [row for row in table if row[1] in (UNDEFENDED, *(options.answers or ANSWERS))]
    more = {"student of mean": {"kind": "public", "timestep": timestep, "answers": "student"}}
    if timestep != PAPER_TIMESTEP:
        more |= rules(at=PAPER_TIMESTEP, note=f", t={PAPER_TIMESTEP}")
    more |= rules(kind="members", names=("first", "matched", "mean"), note=", members' denoiser")
    if experiment.preset.short_denoiser_epochs:
        more |= rules(kind="short", names=("first", "matched", "mean"), note=", short training")
    more |= rules(kind="shipped", at=PAPER_TIMESTEP, names=("first", "matched"), note=", as shipped")
    averaged = tuple(dict.fromkeys((experiment.chosen_rule, "mean")))
    for noise in experiment.preset.noise_timesteps:
        more |= rules("plain noise", noise, averaged, f", plain noise {noise}")
    more |= rules(kind="untrained", names=averaged, note=", untrained denoiser")
    more |= {output: {"answers": output} for output in ("label only", "output noise")}
    if "controls" not in options.without:
        table += [(UNDEFENDED, name, how) for name, how in more.items()]
    return sorted(table, key=lambda row: TARGETS.index(row[0]))


def choose_rule(experiment, timestep, rules):
    """Return the rule that leaks least on the calibration rows of the undefended target, the cheaper one of equals."""
    leaks = {}
    for rule in rules:
        record = experiment.record(rule, UNDEFENDED, {"kind": "public", "timestep": timestep, "answers": rule})
        leaks[rule] = record["calibration"]["leak"], record["calibration"]["calls"]
    return min(leaks, key=lambda rule: (round(leaks[rule][0], 2), leaks[rule][1]))


class Attempts:
    """Stages that are gone through as long as there is time, and after that those which an earlier run has kept."""

    def __init__(self):
        self.first_missing = None

    def __call__(self, stage, *args):
        """Return what a stage finds, or None if it is still to be made and there is no time left."""
        try:
            return stage(*args)
        except OutOfTime as error:
            self.first_missing = self.first_missing or error
            return None


def run(experiment, options, results):
    """Go through all stages, and put what they find into ``results``, which stays empty if it is to stop earlier.

    Raises
    ------
    OutOfTime
        Naming the first stage that was left out, after those that were kept have been put into ``results``.
    """
    attacked = options.targets if "all" in experiment.preset.lira_targets else experiment.preset.lira_targets
    if options.until == "targets":
        for target in options.targets:
            experiment.fitted(target)
        for target in attacked if "lira" not in options.without else ():
            experiment.shadows(target)
        return
    experiment.denoiser("public")
    if options.until == "denoiser":
        return
    timestep = experiment.timestep()
    rules = [rule for rule in RULES if rule in (options.answers or ANSWERS)]
    experiment.chosen_rule = choose_rule(experiment, timestep, rules)
    if options.until == "choice":
        return
    results |= {"timestep": timestep, "chosen_rule": experiment.chosen_rule, "curve": experiment.curve()}
    results |= {"milliseconds": {}, "records": [], "floors": {}, "asked": [], "lira": [], "canaries": []}
    table = rows_of_table(experiment, timestep, options)
    attempt = Attempts()
    for target in options.targets:
        for _, name, how in (row for row in table if row[0] == target):
            record = attempt(experiment.record, name, target, how)
            if record is None and name == UNDEFENDED:
                break  # what the others are compared with
            results["records"] += [record] if record else []

    made = {target: {name: how for one, name, how in table if one == target} for target in options.targets}
    for target in options.targets:
        if "floors" not in options.without:
            found = attempt(experiment.floor, target)
            results["floors"] |= {target: found} if found else {}
        names = options.ask or ((*ASKED, experiment.chosen_rule) if target == UNDEFENDED else ASKED_ON_OTHERS)
        for name in dict.fromkeys(names) if "asked" not in options.without else ():
            if name in made[target]:
                found = attempt(experiment.asked, target, made[target][name], options.asked_rows)
                results["asked"] += [{"target": target, "name": name, "attacks": found}] if found else []
    if "timing" not in options.without and UNDEFENDED in made:
        for name in (name for name in (UNDEFENDED, *rules, *TIMED) if name in made[UNDEFENDED]):
            found = attempt(experiment.milliseconds, made[UNDEFENDED][name])
            results["milliseconds"] |= {name: found} if found else {}
    # Only further rows may have wrong labels: nobody scores these.
    parts = ("lira", "canaries") if experiment.preset.further else ("lira",)
    for target in (target for target in attacked if target in made):
        for name in (name for name in LIRA_ANSWERS if name in made[target]):
            for part in (part for part in parts if part not in options.without):
                found = attempt(getattr(experiment, part), target, made[target][name])
                results[part] += [{"target": target, "name": name, "attacks": found}] if found else []
    if attempt.first_missing:
        raise attempt.first_missing


def main():
    """Run, write and print."""
    parser = make_parser(__doc__, seed=0)
    parser.set_defaults(output=RESULTS / "paper-table")
    parser.add_argument("--data", type=Path, required=True, help="images: a folder, an archive or an .npz file")
    parser.add_argument("--preset", choices=PRESETS, default="smoke")
    parser.add_argument("--until", choices=("denoiser", "targets", "choice"), help="stop after this stage")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no further stage after this time")
    parser.add_argument("--targets", nargs="+", choices=TARGETS, default=TARGETS)
    parser.add_argument(
        "--answers", nargs="+", choices=ANSWERS, help="those of the table, behind every target; a rule at least"
    )
    parser.add_argument(
        "--ask", nargs="+", choices=(UNDEFENDED, *ANSWERS), help="those that attacks of eight queries are run against"
    )
    parser.add_argument("--asked-rows", type=int, help="scored rows of each side for these attacks")
    parser.add_argument("--without", nargs="+", choices=PARTS, default=(), help="leave out parts")
    options = parser.parse_args()
    if options.answers and not set(RULES) & set(options.answers):
        parser.error(f"--answers must name one of the rules: {', '.join(RULES)}. Got {' '.join(options.answers)}.")
    if options.asked_rows is not None and options.asked_rows < 2:
        parser.error(f"--asked-rows must be at least 2, for half as many rows are known. Got {options.asked_rows}.")
    start, preset = time.perf_counter(), PRESETS[options.preset]
    rows = draw_rows(options.data, preset, options.seed)
    store = Store(options.output / options.preset, options.minutes)
    experiment = Experiment(preset, rows, store, options.seed)
    results, complete = {}, True
    try:
        run(experiment, options, results)
    except OutOfTime as error:
        print(error)
        complete = False
    if not results.get("records"):
        return
    results |= {"complete": complete, "derived": derived(results)}
    results["facts"] = facts(options, preset, rows, time.perf_counter() - start)
    folder = options.output / options.preset / f"seed-{options.seed}"
    folder.mkdir(exist_ok=True)
    save_json(folder / "results.json", results)
    if not complete:
        return
    note = "" if preset.meaningful else "A check that everything runs: too few rows for any conclusion.\n\n"
    text = note + "\n\n".join(write(results) for write in (write_summary, write_table, write_curve, write_others))
    save_text(folder / "table.txt", text + "\n")
    print(text)
    save_figures(experiment, results, folder)


if __name__ == "__main__":
    main()

"""Every selection rule on the same regenerations: the success of attacks, the utility and the cost of answers.

    python benchmarks/selection.py --splits 20
    python benchmarks/selection.py --data cifar10.npz --denoiser denoiser-folder --timesteps 160 200 --splits 3

Digits without ``--data``, a file of arrays X (n, channels, height, width) and y. Each split has a net, a choice of
calibration rows and a key of its own. With ``--data`` these are of the first rows that ``--private`` reserves, on which
the denoiser must not have been trained. What was measured, and with ``--data`` every regeneration, is kept in the
output folder, where a run that was interrupted finds it.

Rules are calibrated on rows that are not scored, and all of them score the same rows. AUC as a mean over splits with
half of its 95 % interval, or of one split with half of that over its rows; differences from "matched" are paired. The
attack "non-mono." learns from half of the rows and scores the other half; all others are told that members are
answered with more confidence, and sooner.
"""

import json
import time
from functools import partial
from pathlib import Path

import numpy as np
import selection_attacks as attacks
import selection_data as data
from _common import make_parser
from paper.regenerators import ByTimestep
from selection_report import draw_frontier, report, report_pairs, report_timed, signal_name
from sklearn.frozen import FrozenEstimator

from skdiffence._demo._cache import RegenerationCache
from skdiffence._demo._digits import pretrained
from skdiffence._demo._engine import whole_file
from skdiffence._demo._record import machine, save_json, save_text
from skdiffence.defenses import BudgetedRule, DefendedClassifier, LowestRule, TunedDefendedClassifier

SIDES = ("members", "others")
AHEAD = (1, 4, 10, 30)
TIMED = ("first", "matched", "swap", "lowest of 4")
# Options that decide what a figure is; the others, which figures there are.
DECISIVE = ("n_candidates", "tuned", "n_repeated", "data", "private", "scored", "calibration", "denoiser")
# What the tuned choice is made from.
OURS = ("swap", "lowest", "nearest", "within", "budgeted")
PAPER = ("first", "members", "matched")
RULES = {
    **{name: name for name in (*PAPER, "swap")},
    "lowest of 2": LowestRule(max_candidates=2),
    "lowest of 4": "lowest",
    **{name: name for name in ("nearest", "within", "budgeted")},
    "budget of 4": BudgetedRule(max_calls=4),
}


class AheadCache(RegenerationCache):
    """Make candidates 1 to 3, 4 to 9 and 10 to 29 together: a small batch takes hardly longer than a row."""

    def _make(self, X, candidate):
        ahead = range(candidate, next((end for end in AHEAD if end > candidate), candidate + 1))
        X, candidates = np.tile(X, (len(ahead), 1, 1, 1)), np.repeat(ahead, len(X))
        self._keep(X, candidates, self.regenerator.regenerate(X, candidates))


def make_regenerators(options, X, seed):
    """Return the defense's fitted regenerator for each timestep, and the attacker's, who has another key."""
    made = {}
    for who, key in (("defense", 2 * seed), ("attacker", 2 * seed + 1)):
        for timestep in set(options.timesteps + options.tuned):
            regenerator = pretrained(options.denoiser, timestep, X, key)
            if options.data is None:
                made[who, timestep] = AheadCache(regenerator).fit(X)
            else:
                made[who, timestep] = RegenerationCache(regenerator, options.folder / f"{who}-{seed}-{timestep}").fit(X)
    return made


def compare(split, regenerators, options):
    """Measure each rule at each timestep on one split, and keep what is measured in a file of the split.

    Returns
    -------
    records : list of dict
        One for each rule and timestep.
    signals : dict of str to tuple of two ndarrays
        What each attack measured for each of them.
    """
    kept = Kept(options.folder / f"split-{split.seed}")

    def measure(name, timestep, make, more=None):
        if kept.has(name, timestep):
            return
        start = time.process_time()
        classifier = make()
        facts = more(classifier) if more else {}
        # The attacker knows the timestep that the answers are made with.
        known = facts.get("chosen_timestep", timestep or options.timesteps[0])
        record, signals = attacks.measure(split, classifier, FrozenEstimator(regenerators["attacker", known]), options)
        where = {} if timestep is None else {"timestep": timestep}
        record |= {"name": name, **where, "seed": split.seed, **facts}
        kept.add({**record, "processor_seconds": time.process_time() - start}, signals)
        print(f"  {name}, {timestep}: {time.process_time() - start:.0f} s of processor", flush=True)

    for timestep in options.timesteps:
        regenerator = FrozenEstimator(regenerators["defense", timestep])
        if split.scored is None:
            split.draw_scored_rows(split.defend(regenerator, "matched"))
            measure("undefended", None, lambda: split.net)
        for name, rule in RULES.items():
            more = partial(attacks.expected_calls, split, options.n_candidates) if name == "first" else None
            measure(name, timestep, partial(split.defend, regenerator, rule), more)
    if options.tuned:
        measure("tuned", options.timesteps[0], partial(tune, split, regenerators, options), chosen)
    return kept.records, kept.signals


def tune(split, regenerators, options):
    """Return the choice among our rules and the timesteps to tune over, made on the calibration rows."""
    regenerator = ByTimestep({t: regenerators["defense", t] for t in options.tuned}, options.tuned[0])
    defended = DefendedClassifier(
        FrozenEstimator(split.net),
        FrozenEstimator(regenerator),
        n_candidates=options.n_candidates,
        random_state=split.seed,
    )
    tuned = TunedDefendedClassifier(defended, timesteps=options.tuned, selections=OURS, objective="calls")
    return tuned.fit(split.X_fit, split.y_fit, is_member=split.is_member)


def chosen(tuned):
    """Return the rule and the timestep that were chosen."""
    best = tuned.best_params_
    return {"chosen": str(best["selection"]), "chosen_timestep": int(best["timestep"])}


def check_folder(options):
    """Raise if the folder holds figures of other settings, which a run would take for its own."""
    settings = {name: str(getattr(options, name)) for name in DECISIVE}
    path = options.folder / "settings.json"
    if not path.exists():
        save_json(path, settings)
    elif (kept := json.loads(path.read_text(encoding="utf-8"))) != settings:
        raise SystemExit(f"{options.folder} holds figures of other settings, {kept}: give another --output")


class Kept:
    """What was measured on a split, in this run and before."""

    def __init__(self, path):
        self.path, self.records, self.signals = path, [], {}
        if path.with_suffix(".json").exists():
            self.records = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
            with np.load(path.with_suffix(".npz")) as file:
                for key in {key.rpartition(" ")[0] for key in file}:
                    self.signals[key] = file[f"{key} members"], file[f"{key} others"]

    def has(self, name, timestep):
        """Return whether a rule has been measured."""
        return any(record["name"] == name and record.get("timestep") == timestep for record in self.records)

    def add(self, record, signals):
        """Write what was measured; the signals first, which are not read without a record."""
        self.records.append(record)
        for key, sides in signals.items():
            self.signals[signal_name(record, key)] = sides
        flat = {f"{k} {side}": v for k, sides in self.signals.items() for side, v in zip(SIDES, sides, strict=True)}
        with whole_file(self.path.with_suffix(".npz")) as path, open(path, "wb") as file:
            np.savez_compressed(file, **flat)
        save_json(self.path.with_suffix(".json"), self.records)


def time_last(split, options):
    """Attack the seconds that answers of the last split take, without a cache."""
    regenerator = FrozenEstimator(pretrained(options.denoiser, options.timesteps[0], split.X_fit, 2 * split.seed))
    return attacks.time_answers(split, regenerator, {name: RULES[name] for name in TIMED}, options.seconds)


def parse():
    """Read the options."""
    parser = make_parser(__doc__, seed=600)
    parser.add_argument("--splits", type=int, help="20 of digits, 1 with --data")
    parser.add_argument("--first", type=int, default=0, help="number of the first split, for runs side by side")
    parser.add_argument("--n-candidates", type=int, default=30)
    parser.add_argument("--timesteps", type=int, nargs="+", default=[240], help="the first is the tuned choice's line")
    parser.add_argument("--tuned", type=int, nargs="*", default=[160, 200, 240], help="timesteps of the tuned choice")
    parser.add_argument("--n-repeated", type=int, default=70, help="rows a side that are asked about eight times")
    parser.add_argument("--seconds", type=int, default=0, help="rows a side whose answers are timed, on the last split")
    names = ("NAME", "TIMESTEP", "OTHER", "TIMESTEP")
    parser.add_argument("--pair", nargs=4, action="append", default=[], metavar=names, help="two to compare, paired")
    parser.add_argument("--data", type=Path, default=None, help="file of arrays X and y; digits without")
    parser.add_argument("--private", type=int, default=20_000, help="rows that the denoiser did not see")
    parser.add_argument("--scored", type=int, default=None, help="scored rows a side; 500 non-members of digits")
    parser.add_argument("--calibration", type=int, default=500, help="calibration rows a side, with --data")
    parser.add_argument("--denoiser", type=Path, default=None, help="folder; trained on public digits without")
    options = parser.parse_args()
    if options.data is not None and options.denoiser is None:
        parser.error("--data needs --denoiser, a folder of one that was trained on other rows")
    return options


def main():
    """Run the comparison and print it."""
    options = parse()
    options.folder = options.output / f"selection-{options.data.stem if options.data else 'digits'}-{options.seed}"
    options.folder.mkdir(parents=True, exist_ok=True)
    options.splits = options.splits or (20 if options.data is None else 1)
    options.scored = options.scored or (500 if options.data is None else 5_000)
    check_folder(options)
    records, measured, start = [], [], time.perf_counter()
    for split in data.splits(options):
        new, signals = compare(split, make_regenerators(options, split.X_fit, split.seed), options)
        records += new
        measured.append((new, signals))
        print(f"split {split.seed}: {time.perf_counter() - start:.0f} s", flush=True)
    timed = time_last(split, options) if options.seconds else {}
    facts = {**vars(options), "machine": machine(), "rows": data.describe(split), "timed": timed, "records": records}
    signals = signals if options.splits == 1 else None
    tables = report(records, signals) + report_pairs(measured, options.pair) + report_timed(timed)
    print(tables)
    save_json(options.folder / "records.json", facts)
    save_text(options.folder / "tables.txt", tables + "\n")
    draw_frontier(records, options.folder / "frontier.png", signals)


if __name__ == "__main__":
    main()

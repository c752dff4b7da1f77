"""The demo: how much a classifier of digits leaks, and how much less behind the defense."""

import time
from dataclasses import asdict

import joblib
import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.utils import Bunch
from tqdm.auto import tqdm

from skdiffence._demo._cache import RegenerationCache
from skdiffence._demo._digits import attackers_model, draw_digits, make_controls, split_digits, train_denoiser
from skdiffence._demo._record import machine, milliseconds_per_row, save_json, save_text
from skdiffence._demo._results import check_run, explain, write_table
from skdiffence._demo._split import DEFAULT, RULES, UNDEFENDED, compare
from skdiffence._demo._table import summarize
from skdiffence.inspection import CandidateDisplay, MembershipRocDisplay, PrivacyUtilityDisplay, SignalDisplay
from skdiffence.inspection.displays._mixin import new_axes
from skdiffence.metrics import correctness_signal, entropy_signal
from skdiffence.utils._files import check_writable, whole_file
from skdiffence.utils._random import mix_seed

# Steps of the progress bar on a split beside its rules and controls: training the net, calibrating, the undefended
# answers, and the two controls that only change answers.
_OTHER_STEPS = 5
FILES = ("table.txt", "results.json", "frontier.png", "roc.png", "signals.png", "regenerations.png", "defended.joblib")


def run_demo(settings, output, *, seed=0, verbose=1):
    """Train, defend, attack, and save what comes out.

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

    Returns
    -------
    run : Bunch
        ``records``, ``checks``, ``table`` and ``meaning``.
    """
    start = time.perf_counter()
    output = check_writable(output, FILES)
    digits = draw_digits(settings, mix_seed(seed, "public") % 2**31)
    regenerator = train_denoiser(settings, digits.X_public, output, seed, verbose)
    controls = make_controls(settings, digits.X_public, seed)
    own = attackers_model(settings, digits, mix_seed(seed, "attacker") % 2**31)
    n_steps = settings.n_splits * (len(RULES) + len(controls) + _OTHER_STEPS)
    with tqdm(total=n_steps, disable=not verbose, unit="step") as bar:

        def progress(what):
            bar.set_description(what)
            bar.update()

        records, split, defended = run_splits(settings, digits, regenerator, controls, seed, progress, own)
        bar.update(n_steps - bar.n)
    _time_rules(records, split, regenerator)
    run = Bunch(
        records=records,
        checks=check_run(records, settings),
        table=write_table(records, settings),
        meaning=f"{explain(records, settings)} {_about_figures(settings)}",
    )
    _save_results(run, settings, output, seed, time.perf_counter() - start)
    _save_figures(output, split, defended, records, settings.n_splits)
    with whole_file(output / "defended.joblib") as path:
        joblib.dump(split.defend(FrozenEstimator(regenerator), DEFAULT), path, compress=1)
    return run


def run_splits(settings, digits, regenerator, controls, seed, progress, own=None):
    """Compare all defenses on every split.

    Parameters
    ----------
    settings : DemoSettings
        Sizes.
    digits : Bunch
        As :func:`draw_digits` returns them.
    regenerator : regenerator
        The defense's; fitted.
    controls : dict of str to regenerator
        What is used in its place in the control rows.
    seed : int
        Seeds the splits.
    progress : callable (str)
        Called with the name of each step.
    own : classifier or None, default=None
        The attacker's own model.

    Returns
    -------
    records : list of dict
        One for each row of the table and split.
    split : Split
        The last one.
    defended : dict of str to classifier
        The classifiers of the last split.
    """
    cache = RegenerationCache(regenerator).fit(None)
    controls = {name: RegenerationCache(control).fit(None) for name, control in controls.items()}
    records = []
    for number in range(settings.n_splits):
        step = f"split {number + 1}: {{}}".format
        progress(step("training the net"))
        split = split_digits(settings, digits, mix_seed(seed, "split", number) % 2**31, own)
        new, defended = compare(split, cache, controls, lambda name, step=step: progress(step(name)))
        records += new
    return records, split, defended


def _about_figures(settings):
    """Return why the figures differ from the table."""
    if settings.n_splits == 1:
        return "The figures show the same split as the table."
    return (
        f"The figures show one of the {settings.n_splits} splits, the last, so that their areas differ from the means "
        "in the table; frontier.png alone has means."
    )


def _time_rules(records, split, regenerator):
    """Add milliseconds per row, measured on the last split without a cache, to its records."""
    times = {UNDEFENDED: milliseconds_per_row(split.net, split.X_rest)}
    for rule in RULES:
        times[rule] = milliseconds_per_row(split.defend(FrozenEstimator(regenerator), rule), split.X_rest)
    for record in records:
        if record["seed"] == split.seed and record["name"] in times:
            record["milliseconds"] = times[record["name"]]


def _frontier(records):
    """Draw what an attacker with a model of his own finds against what confidence is worth."""
    keys = ("failure_detection_auc", "reference_roc_auc", "label_only_reference_roc_auc")
    rows = summarize(records, keys)
    (worth, margins), (found, found_margins) = (np.transpose([row[key] for row in rows.values()]) for key in keys[:2])
    return PrivacyUtilityDisplay(
        utility=worth,
        privacy=found,
        name=list(rows),
        utility_margin=np.nan_to_num(margins),
        privacy_margin=np.nan_to_num(found_margins),
        reference=UNDEFENDED,
        floor=rows[UNDEFENDED][keys[2]][0],
        utility_label="failure-detection AUC on non-members",
        privacy_label="AUC of answers and own model",
    ).plot(ax=new_axes((8, 6)))


def _save_results(run, settings, output, seed, seconds):
    """Save the table as text, and the records as JSON; neither holds a row of data."""
    save_text(output / "table.txt", f"{run.table}\n\n{run.meaning}\n")
    facts = {"settings": asdict(settings), "seed": seed, "seconds": seconds, "machine": machine()}
    facts["checks"] = [{"check": name, "holds": bool(holds)} for name, holds in run.checks]
    save_json(output / "results.json", facts | {"records": run.records})


def _save_figures(output, split, defended, records, n_splits):
    """Save three figures of the last split, which say so and show non-members, and one of the means over splits."""
    scored = split.scored
    after = defended[DEFAULT].predict_proba(scored.X)
    scores = {
        "entropy, undefended": entropy_signal(None, scored.proba),
        "entropy, defended": entropy_signal(None, after),
        "label only (floor)": correctness_signal(scored.y, scored.proba),
    }
    both = {"proba_before": scored.proba, "y": scored.labels}
    displays = {
        "roc": MembershipRocDisplay.from_predictions(scored.is_member, scores, ax=new_axes((6, 5.6))),
        "signals": SignalDisplay.from_predictions(scored.is_member, after, **both, ax=new_axes((7.2, 3.2), 2)),
        "regenerations": CandidateDisplay.from_estimator(defended[DEFAULT], split.X_rest, ax=new_axes((7, 7.6))),
    }
    for display in displays.values() if n_splits > 1 else ():
        display.figure_.suptitle(f"one of {n_splits} splits; the table has means over all", fontsize="small")
    displays["frontier"] = _frontier(records)
    for name, display in displays.items():
        with whole_file(output / f"{name}.png") as path:
            display.figure_.savefig(path, dpi=150)

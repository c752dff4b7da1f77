"""The sections of a report's page below the verdict. To add one: write its function, and name it in ``sections``."""

import base64
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image

from skdiffence._evaluation._results import Estimate
from skdiffence.inspection.report._figures import Figure, attacks_figure, compared_attacks, phi_figure, roc_figure
from skdiffence.inspection.report._format import interval, number, percent, queries, rate, words
from skdiffence.inspection.report._sentences import defense_sentences, row_sentences, untested
from skdiffence.inspection.report._statistics import point_at, statistics
from skdiffence.inspection.report._verdict import CONTROLS

_MOST_CLASSES = 25
_NO_LABELS = "Not measured: it needs true labels, which were not given."
_HOW_TO_READ = [
    "AUC, the area under the ROC curve, is the probability that an attack ranks a random member above a random "
    "non-member. 0.5 is a random guess, 1 is perfect. The direction is learned, so an AUC below 0.5 counts as one "
    "above.",
    "TPR at a low FPR is the share of members that an attack identifies while it wrongly accuses hardly any "
    "non-member. It shows leaks that an average hides. Below ten accused non-members it is noise, and marked so.",
    "AUC, label right, is the AUC among correctly labeled rows. It is above 0.5 without any leak of confidence where "
    "members are easier than others or all labeled right: compare it with that of the attack on the label and an own "
    "model, which never sees a confidence.",
    "The floor is the strongest attack that sees labels only, with or without a model of the attacker's own. A "
    "defense that keeps labels can't go below it, and an attack below the floor shows the weakness of the attack, not "
    "the strength of the defense. Leak beyond labels is the AUC of the strongest attack on answers less the floor.",
    "Epsilon is a lower bound: if membership had been drawn at random, no training with a smaller "
    "differential-privacy epsilon could have given these figures. A bound of 0 proves nothing.",
    "Failure-detection AUC is how well confidence separates right from wrong answers. It is what users lose when a "
    "defense flattens confidence. Calibration error and log-loss are lower for better answers.",
    "An audit finds a lower bound. No leak found is not the same as no leak.",
]


@dataclass(frozen=True)
class Table:
    """A table of the page.

    Parameters
    ----------
    heading : list of str
        Heads of the columns.
    lines : list of list of str
        Cells by row.
    title : str, default=""
        The line above it.
    caption : str, default=""
        The line below it.
    marked : list of int, default=()
        Rows that stand out.
    """

    heading: list
    lines: list
    title: str = ""
    caption: str = ""
    marked: list = ()


@dataclass(frozen=True)
class Section:
    """A section of the page.

    Parameters
    ----------
    title : str, default=""
        Its title.
    figure : Figure, default=None
        Its figure.
    sentences : list of str, default=()
        Its text.
    tables : list of Table, default=()
        Its tables.
    images : list of tuple of str, default=()
        Address and label of each image, under the line that they are rows of the training set.
    """

    title: str = ""
    figure: Figure | None = None
    sentences: list = ()
    tables: list = ()
    images: list = ()


def sections(report):
    """Return the sections of a report's page.

    Parameters
    ----------
    report : AuditReport
        The report.

    Returns
    -------
    sections : list of Section
        In the order in which they are shown.
    """
    return [
        _controls(report),
        Section("Figures behind the verdict", sentences=statistics(report)),
        attacks(report),
        _low_fpr(report),
        Section("Confidence of members and non-members", phi_figure(report, _names(report))),
        _utility(report),
        _rows_and_defense(report),
        _by_class(report),
        _cost(report),
        Section("What was not tested", sentences=untested(report)),
        Section("How to read this", sentences=_HOW_TO_READ),
        _settings(report),
    ]


def attacks(report, *, with_figure=True):
    """Return the section on all attacks; for a notebook, the tables alone.

    Parameters
    ----------
    report : AuditReport
        The report.
    with_figure : bool, default=True
        Whether the section has a title and a figure.

    Returns
    -------
    section : Section
    """
    names = _names(report)
    note = f"Bold: the strongest. In brackets: {100 * report.settings['confidence_level']:g} % intervals."
    # One table for each target: side by side, the figures would not fit on paper.
    tables = [
        Table(
            attack_heading(report),
            [attack_line(report, target, attack) for attack in target.attacks],
            title=names[name] if len(names) > 1 else "",
            caption=note,
            marked=[i for i, attack in enumerate(target.attacks) if attack.attack == target.worst.attack],
        )
        for name, target in report.targets.items()
    ]
    return Section("Attacks", attacks_figure(report, names), tables=tables) if with_figure else Section(tables=tables)


def attack_heading(report):
    """Return the heads of the columns of :func:`attack_line`."""
    level = report.settings["max_fpr"]
    rates = [] if level is None else [f"TPR at {percent(level)} FPR"]
    return ["attack", "AUC", "AUC, label right", "attack accuracy", *rates, ""]


def attack_line(report, target, attack):
    """Return the cells of one attack on one target.

    Parameters
    ----------
    report : AuditReport
        The report.
    target : TargetResult
        The target.
    attack : AttackResult
        The attack.

    Returns
    -------
    cells : list of str
    """
    level = report.settings["max_fpr"]
    rates = [] if level is None else [rate(point_at(attack, level))]
    figures = map(interval, (attack.auc, attack.correct_auc, attack.accuracy))
    return [words(attack.attack), *figures, *rates, _remark(target, attack)]


def _remark(target, attack):
    """Return the relation of an attack to the label-only baseline."""
    if attack is target.floor:
        return "floor"
    return "weaker than labels" if target.is_weaker_than_labels(attack) else "labels only" * attack.label_only


def _names(report):
    if len(report.targets) == 1:
        return dict.fromkeys(report.targets, "audited")
    return {"audited": "with the defense", "undefended": "without the defense"}


def _strongest(target):
    return next(attack for attack in target.attacks if attack.attack == target.worst.attack)


def _low_fpr(report):
    names = _names(report)
    lines = [
        [names[name], words(attack.attack), percent(point.max_fpr), percent(point.fpr), rate(point)]
        for name, attack in compared_attacks(report)
        for point in attack.tpr_at_fpr
    ]
    table = Table(["target", "attack", "FPR allowed", "FPR reached", "TPR"], lines)
    return Section("True positive rates at low false positive rates", roc_figure(report, names), tables=[table])


def _utility(report):
    names, lines = _names(report), []
    for name, target in report.targets.items():
        for side, measured in target.utility.items():
            figures = [measured["accuracy"], -measured["neg_log_loss"]]
            figures += [measured["expected_calibration_error"], measured["failure_detection_auc"]]
            lines.append([names[name], side.replace("_", "-"), *map(number, figures)])
    if not report.settings["true_labels"]:
        return Section("Utility of the answers", sentences=[_NO_LABELS])
    changed = report.defense.get("labels_changed")
    caption = "" if changed is None else f"Labels changed by the defense: {changed}."
    heading = ["target", "rows", "accuracy", "log-loss", "calibration error", "failure-detection AUC"]
    return Section("Utility of the answers", tables=[Table(heading, lines, caption=caption)])


def _controls(report):
    results = {True: "holds", False: "FAILED", None: "not run"}
    lines = [[CONTROLS[name], results[control.holds], control.why] for name, control in report.controls.items()]
    failed = [i for i, control in enumerate(report.controls.values()) if control.holds is False]
    return Section("Controls", tables=[Table(["control", "", "what was found"], lines, marked=failed)])


def _rows_and_defense(report):
    shown = report.shown or {"images": [], "labels": []}
    images = [(png_uri(image), label) for image, label in zip(shown["images"], shown["labels"], strict=True)]
    sentences = [*row_sentences(report.rows), *defense_sentences(report)]
    return Section("Rows and defense", sentences=sentences, images=images)


def png_uri(pixels):
    """Return an image as a data URI.

    Parameters
    ----------
    pixels : ndarray of shape (channels, height, width), dtype uint8
        One channel or three.

    Returns
    -------
    uri : str
    """
    file = BytesIO()
    Image.fromarray(pixels[0] if len(pixels) == 1 else np.moveaxis(pixels, 0, -1)).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def _by_class(report):
    strongest = _strongest(report.targets["audited"])
    if strongest.by_class is None:
        return Section("By class", sentences=[_NO_LABELS])
    groups = sorted(strongest.by_class.items(), key=lambda item: -np.nan_to_num(item[1]["value"], nan=-1))
    lines = [_class_line(*item) for item in groups[:_MOST_CLASSES]]
    which = f"the {len(lines)} of {len(groups)} classes that leak most" if len(groups) > len(lines) else "all classes"
    caption = (
        f"{words(strongest.attack)}, {which}. The highest of many figures is high by chance as well: read it with its "
        "interval."
    )
    return Section("By class", tables=[Table(["class", "AUC", "members", "non-members"], lines, caption=caption)])


def _class_line(name, group):
    auc = Estimate(group["value"], group["low"], group["high"])
    return [name, interval(auc), f"{group['n_members']:.0f}", f"{group['n_non_members']:.0f}"]


def _cost(report):
    target = report.targets["audited"]
    lines = [
        [words(attack.attack), queries(attack), f"{attack.seconds:.2f}", f"{attack.epsilon_lower_bound:.2f}"]
        for attack in target.attacks
    ]
    asked = ", ".join(f"{method} for {n} rows" for method, n in target.rows_asked.items())
    caption = f"Attacks with one query per row share it: {asked}, in {target.seconds_asked:.2f} s."
    heading = ["attack", "queries per row", "seconds", "epsilon at least"]
    title = "Cost of the attacks, and the differential privacy that they rule out"
    return Section(title, tables=[Table(heading, lines, caption=caption)])


def _settings(report):
    settings = report.settings
    lines = [[f"attack {name}", kind] for name, kind in settings["attacks"].items()]
    names = ("seed", "known", "confidence_level", "max_fpr", "n_permutations")
    lines += [[name, str(settings[name])] for name in names]
    lines += [[name, version] for name, version in settings["versions"].items()]
    return Section("Settings, to run it again", tables=[Table(["setting", "value"], lines)])

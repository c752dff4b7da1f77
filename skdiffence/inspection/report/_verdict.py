"""The verdict of an audit in plain words: what was found, how bad it is, and what to do."""

from dataclasses import dataclass

from skdiffence._evaluation._measure import LOW_RATE
from skdiffence.inspection.report._format import counted, of_100, percent, words
from skdiffence.inspection.report._statistics import (
    FEWEST_FOR_LOW_RATE,
    LEVEL,
    labels_tell,
    leaks_beyond_labels,
    most_identified,
    statistics,
)
from skdiffence.inspection.report._strongest import strongest_on

# Up to this AUC, a leak is called so. A few members who are identified with certainty make it at least serious.
_SEVERITIES = {0.55: "slight", 0.65: "moderate", 0.8: "serious", 1.0: "severe"}

_HEADLINES = {
    "invalid": "A control failed: the figures below can't be relied on.",
    "leak": "The answers reveal who was in the training set.",
    "labels only": "The labels reveal who was in the training set; no leak beyond them was found.",
    "none found": "No leak was found with these attacks on these rows.",
}
_NEXT_STEPS = {
    "invalid": "Find out why the control failed, and audit again.",
    "leak": "Add a defense, or release labels instead of probabilities, and audit again.",
    "still a leak": "Strengthen the defense, or release labels instead of probabilities, and audit again.",
    "labels only": (
        "No defense that keeps labels lowers this leak. Train with less overfitting or with differential privacy, and "
        "audit again."
    ),
    "none found": "See what was not tested. No leak found is not the same as no leak.",
}
CONTROLS = {
    "null": "Null control: attacks must not separate non-members that are called members at random",
    "positive": "Positive control: attacks on a classifier that memorizes its members must succeed",
    "blind": "Blind control: members and non-members must not be separable without the classifier",
}
# Why attacks are left out, in the settings of an audit.
NO_NUMBERS, NO_ARRAY = "needs dense rows of numbers, which these are not", "needs an array, which these rows are not"
NO_LABELS = "needs true labels, which were not given"
_KINDS = {"probabilities": "probabilities", "labels": "labels alone", "cost": "time or work of the answers"}


@dataclass(frozen=True)
class Verdict:
    """What an audit found, in words.

    Parameters
    ----------
    status : {"invalid", "leak", "labels only", "none found"}
        "invalid" if a control failed; "leak" if the attacks together find more than chance explains, or one of them
        identifies members with certainty at a false positive rate of 1 % or less; "labels only" if the labels leak and
        no leak beyond them was found.
    severity : {"unknown", "none found", "slight", "moderate", "serious", "severe"}
        How bad it is: "unknown" if a control failed, otherwise by the AUC of the strongest attack, up to 0.55, 0.65,
        0.8 and above, and at least "serious" if an attack identifies members with certainty at a false positive rate
        of 1 % or less: ten times as often as non-members, by the lower end of an interval that is corrected for the
        number of attacks and rates.
    headline : str
        One sentence.
    next_step : str
        What to do.
    sentences : list of str
        The summary: controls that failed, severity and next step, attacks of each kind with and without the defense,
        what could not be run without true labels, and controls that were not run.
    statistics : list of str
        The figures that this rests on, with intervals and p-values.
    """

    status: str
    severity: str
    headline: str
    next_step: str
    sentences: list
    statistics: list


def verdict(report):
    """Return the verdict of an audit. Failed controls come first.

    Parameters
    ----------
    report : AuditReport
        The report.

    Returns
    -------
    verdict : Verdict
    """
    status = _status(report)
    severity = _severity(report, status)
    next_step = _NEXT_STEPS["still a leak" if status == "leak" and "undefended" in report.targets else status]
    sentences = [f"{CONTROLS[control.name]}. It failed: {control.why}." for control in report.failed_controls]
    sentences += [*_how_bad(report, severity), f"What to do: {next_step}", *_by_kind(report), *_without_labels(report)]
    sentences += _not_run(report)
    return Verdict(status, severity, _HEADLINES[status], next_step, sentences, statistics(report))


def _status(report):
    if report.failed_controls:
        return "invalid"
    target = report.targets["audited"]
    # An area is an average: a few members who are identified with certainty can be lost in it.
    if report.worst.p_value > LEVEL and not target.identified:
        return "none found"
    # Labels are named only where an attack on labels alone was run and finds something.
    return "labels only" if labels_tell(target) and not leaks_beyond_labels(target, LEVEL) else "leak"


def _severity(report, status):
    if status in ("invalid", "none found"):
        return "unknown" if status == "invalid" else status
    severity = next(name for auc, name in _SEVERITIES.items() if report.worst.auc.value <= auc)
    is_sure = bool(report.targets["audited"].identified)
    return "serious" if is_sure and severity in ("slight", "moderate") else severity


def _how_bad(report, severity):
    if severity == "unknown":
        return []
    if severity == "none found":
        return [f"How bad: no attack found more than chance explains. {_in_words(report.worst)}.", *_too_few(report)]
    identified = report.targets["audited"].identified
    point = identified[0].point if identified else most_identified(report)
    text = f"How bad: {severity}. {_in_words(report.worst)}"
    if point is None or not point.is_reliable:
        return [f"{text}."]
    return [
        f"{text}. An attacker who accepts to accuse {percent(point.max_fpr)} of the non-members wrongly identifies "
        f"{percent(point.tpr.value)} of the members."
    ]


def _too_few(report):
    """Return a sentence if there are too few non-members to see that a few members are identified."""
    n_others = report.rows["n_non_members"]
    if n_others >= FEWEST_FOR_LOW_RATE:
        return []
    return [
        f"Whether a few members are identified at a false positive rate of {percent(LOW_RATE)} was not tested: it "
        f"takes {FEWEST_FOR_LOW_RATE} non-members, and there are {n_others}."
    ]


def _in_words(worst):
    return (
        f"Given a member and a non-member, the strongest attack picks the member in {of_100(worst.auc.value)} cases, "
        "where guessing does so in 50"
    )


def _by_kind(report):
    """Return a sentence for each kind of attack that was run, with and without the defense."""
    lines = []
    for kind, what in _KINDS.items():
        attack = strongest_on(report, kind)
        if attack is None:
            lines += [f"Attacks on {what} were not run."] if kind != "cost" else []
            continue
        lines.append(f"Attacks on {what}: {_cases(attack)}{_before(report, kind)}.{_remark(kind)}")
    return lines


def _cases(attack):
    return f"right in {of_100(attack.auc.value)} cases (the strongest: {words(attack.attack)})"


def _before(report, kind):
    """Return the same without the defense; labels are the same unless the defense changed some."""
    if "undefended" not in report.targets or kind == "labels" and not report.defense["labels_changed"]:
        return ""
    before = strongest_on(report, kind, "undefended")
    return f"; without the defense {_cases(before)}"


def _remark(kind):
    return " A defense that keeps labels has no effect on these." if kind == "labels" else ""


def _without_labels(report):
    settings = report.settings
    if settings["true_labels"]:
        return []
    names = [words(name) for name, reason in settings["left_out"].items() if reason == NO_LABELS]
    n_asked = len(names) + len(settings["attacks"])
    need = "needs them and was" if len(names) == 1 else "need them and were"
    not_run = f"{len(names)} of {counted(n_asked, 'attack')} {need} not run: {', '.join(names)}. "
    return [
        f"True labels were not given. {not_run * bool(names)}How good the answers are could not be measured. An "
        "attacker who knows the labels may find more."
    ]


def _not_run(report):
    """Return a sentence on the controls that could not be run."""
    skipped = [control for control in report.controls.values() if control.holds is None]
    if not skipped:
        return []
    reasons = "; ".join(f"{control.name}, {control.why.removeprefix('not run: ')}" for control in skipped)
    return [f"{counted(len(skipped), 'control')} of {len(report.controls)} could not be run: {reasons}."]

"""What an audit found, in words: the verdict, what it rests on and what it leaves open."""

from dataclasses import dataclass

import numpy as np

_CHANCE = 0.05

CONTROLS = {
    "null": "Null control: non-members called members at random must not be told apart",
    "positive": "Positive control: a classifier that remembers its members must be seen through",
    "blind": "Blind control: who never asks the classifier must not tell the sides apart",
}


@dataclass(frozen=True)
class Verdict:
    """What an audit comes to.

    Parameters
    ----------
    status : {"invalid", "leak", "labels only", "none found"}
        "invalid" where a control failed; "labels only" where what leaks is in the labels and nothing was found
        beyond them.
    headline : str
        One sentence.
    sentences : list of str
        What it rests on.
    """

    status: str
    headline: str
    sentences: list


def verdict(report):
    """Return what an audit comes to; a failed control comes before everything else.

    Parameters
    ----------
    report : AuditReport
        Of the audit.

    Returns
    -------
    verdict : Verdict
    """
    status = _status(report)
    headlines = {
        "invalid": "A control failed: the figures below can't be relied on.",
        "leak": "The answers tell who was in the training set.",
        "labels only": "The labels tell who was in the training set; nothing beyond them was found.",
        "none found": "No leak was found with these attacks on these rows.",
    }
    sentences = [_control_sentence(control) for control in report.failed_controls]
    sentences += [_worst_sentence(report), _chance_sentence(report), *_rate_sentence(report)]
    sentences += [_floor_sentence(report), *_beyond_sentence(report), *_undefended_sentence(report)]
    return Verdict(status, headlines[status], [*sentences, _price_sentence(report)])


def _status(report):
    facts = report.targets["audited"]
    if report.failed_controls:
        return "invalid"
    if facts["worst"]["p_value"] > _CHANCE:
        return "none found"
    beyond = facts["beyond_labels"]
    return "labels only" if beyond is None or beyond["p_value"] > _CHANCE else "leak"


def interval(record, key, digits=3):
    """Write a value and its interval.

    Parameters
    ----------
    record : dict
        With the value and its ends.
    key : str
        Of the value.
    digits : int, default=3
        Behind the point.

    Returns
    -------
    text : str
        A dash where the value is not known.
    """
    value, low, high = (record[key + end] for end in ("", "_low", "_high"))
    return "-" if np.isnan(value) else f"{value:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def percent(value):
    """Write a rate as a percentage, with a decimal below 10 %."""
    return f"{100 * value:.{1 if 0 < abs(value) < 0.0995 else 0}f} %"


def _control_sentence(control):
    return f"{CONTROLS[control['name']]}. It failed: {control['why']}."


def _worst_sentence(report):
    worst = report.worst
    return (
        f"The strongest of {_counted(worst['n_attacks'], 'attack')}, {worst['attack']}, has an area under the ROC "
        f"curve of {interval(worst, 'auc')}: of one member and one non-member it picks the member in "
        f"{100 * worst['auc']:.0f} of 100 cases, where guessing picks it in 50."
    )


def _counted(n, what):
    return f"{n} {what}" + "s" * (n != 1)


def _chance_sentence(report):
    worst = report.worst
    text = (
        f"{_counted(worst['n_attacks'], 'attack')} that know{'s' * (worst['n_attacks'] == 1)} nothing would stay below "
        f"{worst['null_quantile']:.3f} in 97.5 % of the cases, in either half of the rows. Taking all attacks together "
        f"and each by its own certainty, chance alone gives such a result with p = {worst['p_value']:.2g} (the surest "
        f"is {worst['least_likely']})."
    )
    if worst["p_value"] <= _CHANCE:
        return text
    return f"{text} With this many rows an area of up to {worst['auc_high']:.3f} can't be ruled out."


def rates_at(records, max_fpr):
    """Return the operating point of each attack at one false positive rate, by name."""
    points = {record["attack"]: record["tpr_at_fpr"] for record in records}
    return {name: next(p for p in levels if p["max_fpr"] == max_fpr) for name, levels in points.items()}


def _rate_sentence(report):
    level = report.settings["max_fpr"]
    if level is None:
        n = report.rows["n_non_members"]
        return [f"With {n} non-members no rate at a low false positive rate can be given: it takes at least 100."]
    points = rates_at(report.targets["audited"]["attacks"], level)
    name = max(points, key=lambda key: points[key]["tpr"])
    point = points[name]
    text = (
        f"At a false positive rate of {percent(level)} the attack that finds most, {name}, finds "
        f"{percent(point['tpr'])} of the members ({percent(point['tpr_low'])} to {percent(point['tpr_high'])})."
    )
    if not point["is_reliable"]:
        text += f" That rate is below 10 of the {report.rows['n_non_members']} non-members: the figure is noise."
    return [text]


def _floor_sentence(report):
    floor = report.floor
    if floor is None:
        return "No attack was run that sees labels only, so the floor that no defense can pass is not known."
    return (
        f"Labels alone, by the strongest attack that sees nothing else ({floor['attack']}), give "
        f"{interval(floor, 'auc')}: a defense that keeps labels can't go below this floor."
    )


def _beyond_sentence(report):
    beyond = report.targets["audited"]["beyond_labels"]
    if beyond is None:
        return []
    found = "chance alone may do this" if beyond["p_value"] > _CHANCE else "what leaks beyond the label"
    return [
        f"Among rows that are labeled correctly the strongest attack, {beyond['attack']}, has "
        f"{interval(beyond, 'auc')} (p = {beyond['p_value']:.2g}): {found}."
    ]


def _undefended_sentence(report):
    if "undefended" not in report.targets:
        return []
    worst, n = report.targets["undefended"]["worst"], report.rows["n_members"] + report.rows["n_non_members"]
    return [
        f"Without the defense the strongest attack, {worst['attack']}, has {interval(worst, 'auc')}. The defense "
        f"changed {report.defense['labels_changed']} of {n} labels."
    ]


def _price_sentence(report):
    after = report.targets["audited"]["utility"]["non_members"]
    text = f"On non-members {percent(after['accuracy'])} of the labels are right; "
    if "undefended" not in report.targets:
        return (
            f"{text}the log-loss is {-after['neg_log_loss']:.3f}, the calibration error "
            f"{after['expected_calibration_error']:.3f} and the failure-detection AUC "
            f"{_number(after['failure_detection_auc'])}."
        )
    before = report.targets["undefended"]["utility"]["non_members"]
    return (
        f"{text}with the defense the log-loss goes from {-before['neg_log_loss']:.3f} to "
        f"{-after['neg_log_loss']:.3f}, the calibration error from {before['expected_calibration_error']:.3f} to "
        f"{after['expected_calibration_error']:.3f} and the failure-detection AUC from "
        f"{_number(before['failure_detection_auc'])} to {_number(after['failure_detection_auc'])}."
    )


def _number(value):
    return "-" if np.isnan(value) else f"{value:.3f}"


def row_sentences(report):
    """Say which rows the audit rests on."""
    rows = report.rows
    text = [f"{rows['n_members']} members and {rows['n_non_members']} non-members were attacked."]
    if left_out := rows["held_out_or_calibrated_left_out"]:
        text.append(f"{left_out} rows that the classifier held out or was calibrated on were left out.")
    if rows["duplicates_left_out"] is None:
        text.append("Rows could not be compared by content: duplicates across the sides were not looked for.")
        return text
    if left_out := rows["duplicates_left_out"]:
        text.append(f"{left_out} rows with the same content on both sides were left out.")
    if near := rows["near_duplicates"]:
        text.append(
            f"{near} of the attacked rows equal one of the other side once values are rounded to 256 steps; each can "
            "hide a part of the leak."
        )
    return text


def defense_sentences(report):
    """Say what the defense tells of itself."""
    facts = report.defense
    if "denoiser_saw_members" not in facts:
        return []
    saw = {
        True: "The denoiser was trained on members; what it leaks on its own account is not measured here.",
        False: "The denoiser was not trained on members.",
        None: "Whether the denoiser was trained on members is not known.",
    }
    text = [saw[facts["denoiser_saw_members"]]]
    if "selection" not in facts:
        return text
    if facts["key_is_secret"] is False:
        text.append("The key of its noise is not secret: it follows from a number in the code.")
    if facts["search"] == "lazy" and facts["selection"] != "swap":
        text.append('search="lazy": how long an answer takes tells about membership to whoever can time it.')
    if facts["fallback"] == "original":
        text.append('fallback="original": rows that no candidate fits are answered undefended.')
    for side, rates in facts["retention"].items():
        fallback = facts["fallback_rate"][side]["overall"]
        text.append(
            f"On {rates['n_rows']} {side.replace('_', '-')} {percent(rates['overall'])} of the candidates kept their "
            f"label, and {percent(fallback)} of the rows had none that did."
        )
    return text


def untested(report):
    """Say what the audit leaves open."""
    ran = report.settings["attack_facts"].values()
    open_questions = {
        "Attacks that train shadow models (LiRA, RMIA), the strongest known where training can be copied.": any(
            facts["needs_shadows"] for facts in ran
        ),
        "Repeated, shifted or prepared queries about one row, and an attacker with its own denoiser.": any(
            facts["family"] == "adaptive" and facts["uses"] == "proba" for facts in ran
        ),
        "Attacks on labels that ask many times about one row: the floor may lie higher.": any(
            facts["family"] == "label_only" for facts in ran
        ),
        "How long an answer takes, and how much work it is.": any(facts["uses"] == "cost" for facts in ran),
    }
    return [text for text, was_tested in open_questions.items() if not was_tested] + [
        "Single persons: all figures are averages over these rows. Rare or mislabeled rows can leak far more.",
        "Attackers who see weights, gradients or intermediate values, and questions other than membership.",
    ]


def text_table(report):
    """Write the attacks of all targets as an aligned text table."""
    level = report.settings["max_fpr"]
    heading = ["target", "attack", "AUC", "AUC if label right", "attack acc.", "queries"]
    if level is not None:
        heading.insert(5, f"TPR at {percent(level)} FPR")
    lines = [heading]
    for name, facts in report.targets.items():
        for record in facts["attacks"]:
            line = [name, record["attack"], *(interval(record, key) for key in ("auc", "correct_auc", "accuracy"))]
            line.append(f"{record['queries_per_row']:.3g}")
            if level is not None:
                line.insert(5, rate_cell(rates_at([record], level)[record["attack"]]))
            lines.append([*line, remark(record, facts["floor"])])
    lines[0] = [*heading, ""]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines]
    padded.insert(1, "-" * len(padded[0].rstrip()))
    return "\n".join(line.rstrip() for line in padded)


def rate_cell(point):
    """Write a true positive rate with its interval, marked where it is noise."""
    text = f"{percent(point['tpr'])} [{percent(point['tpr_low'])}, {percent(point['tpr_high'])}]"
    return text if point["is_reliable"] else f"({text}: noise)"


def remark(record, floor):
    """Say beside an attack where it stands to the floor."""
    if record["attack"] == floor:
        return "floor"
    return "weaker than labels" if record["weaker_than_labels"] else "labels only" * record["label_only"]

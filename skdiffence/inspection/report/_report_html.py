"""The report as one page: the verdict first, no other file, no network, readable on paper and in the dark."""

from html import escape

import numpy as np

from skdiffence.inspection.report._report_figures import attacks_svg, phi_svg, png_uri, roc_svg
from skdiffence.inspection.report._report_style import STYLE
from skdiffence.inspection.report._report_text import (
    CONTROLS,
    defense_sentences,
    interval,
    percent,
    rate_cell,
    rates_at,
    remark,
    row_sentences,
    untested,
    verdict,
)

_TONES = {"invalid": "invalid", "leak": "leak", "labels only": "labels", "none found": "none"}
_NAMES = {"audited": "as audited", "undefended": "without the defense"}
_MOST_CLASSES = 25
_HOW_TO_READ = (
    "AUC, the area under the ROC curve, is the chance that an attack ranks a random member above a random "
    "non-member. 0.5 is a guess, 1 is certainty. The direction is learned, so an area below 0.5 is counted as "
    "one above.",
    "TPR at a low FPR is the share of members that are found while hardly anybody is accused falsely. It shows leaks "
    "that an average hides. Below ten falsely accused non-members it is noise, and marked so.",
    "AUC, label right, looks at correctly labeled rows only: what leaks beyond the label itself.",
    "The floor is what an attack finds that sees labels only. A defense that keeps labels can't go below it, and an "
    "attack that finds less than the floor shows the attack's weakness, not the defense's strength.",
    "Epsilon is a lower bound: had membership been drawn at random, no training with a smaller differential-privacy "
    "epsilon could have given these figures. A bound of 0 proves nothing.",
    "Failure-detection AUC is how well confidence tells right answers from wrong ones: what a defense that flattens "
    "confidence takes from honest users. Calibration error and log-loss are lower for better answers.",
    "An audit finds a lower bound. No leak found is not the same as no leak.",
)


def full_html(report):
    """Return the report as a page.

    Parameters
    ----------
    report : AuditReport
        What to show.

    Returns
    -------
    page : str
    """
    body = "\n".join(
        [
            "<h1>Membership audit</h1>",
            f'<p class="soft">{escape(_made_with(report))}</p>',
            _verdict(report),
            _notes(report),
            _section("The attacks", _attack_figure(report), _attack_tables(report)),
            _section("Few false accusations", _roc_figure(report), _rate_table(report)),
            _section("Confidence of members and non-members", _phi_figure(report)),
            _section("What the answers are worth", _utility_table(report)),
            _section("Controls", _control_table(report)),
            _section("Rows and defense", _list(row_sentences(report) + defense_sentences(report)), _rows(report)),
            _section("By class", _class_table(report)),
            _section("What the attacks cost, and the differential privacy they exclude", _cost_table(report)),
            _section("What was not tested", _list(untested(report))),
            _section("How to read this", _list(_HOW_TO_READ)),
            _section("To run it again", _settings_table(report)),
        ]
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n<meta name="color-scheme" '
        f'content="light dark">\n<title>Membership audit: {escape(verdict(report).headline)}</title>\n'
        f'<style>body {{ margin: 0; }}{STYLE}</style>\n</head>\n<body class="skd">\n<main>\n{body}\n</main>\n</body>\n'
        "</html>\n"
    )


def compact_html(report):
    """Return verdict and table for a notebook.

    Parameters
    ----------
    report : AuditReport
        What to show.

    Returns
    -------
    fragment : str
    """
    return f'<style>{STYLE}</style>\n<div class="skd">{_verdict(report)}{_notes(report)}{_attack_tables(report)}</div>'


def _made_with(report):
    settings = report.settings
    return f"{settings['created']} · skdiffence {settings['versions']['skdiffence']} · seed {settings['seed']}"


def _section(title, *parts):
    body = "\n".join(part for part in parts if part)
    return f"<section>\n<h2>{escape(title)}</h2>\n{body}\n</section>" if body else ""


def _list(sentences):
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
    return f"<ul>{items}</ul>" if items else ""


def _table(heading, lines, caption="", marked=()):
    head = "".join(f"<th>{escape(cell)}</th>" for cell in heading)
    rows = []
    for i, line in enumerate(lines):
        cells = "".join(_cell(*cell) if isinstance(cell, tuple) else _cell(cell) for cell in line)
        rows.append(f"<tr{' class=mark' * (i in marked)}>{cells}</tr>")
    note = f"<caption>{escape(caption)}</caption>" if caption else ""
    body = f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody>"
    return f'<div class="scroll"><table>{note}{body}</table></div>'


def _cell(text, below=""):
    below = f'<br><span class="soft">{escape(below)}</span>' if below else ""
    return f"<td{' class=wide' * (len(text) > 60)}>{escape(text)}{below}</td>"


def _figure(svg, caption):
    return f"<figure>{svg}<figcaption>{escape(caption)}</figcaption></figure>"


def _verdict(report):
    found = verdict(report)
    return (
        f'<div class="verdict {_TONES[found.status]}"><strong>{escape(found.headline)}</strong>'
        f"{_list(found.sentences)}</div>"
    )


def _notes(report):
    return f"<p><strong>To be checked:</strong></p>{_list(report.notes)}" if report.notes else ""


def _name(target, report):
    return _NAMES[target] if len(report.targets) > 1 else target


def _attack_figure(report):
    floor = report.floor
    records = {_name(target, report): facts["attacks"] for target, facts in report.targets.items()}
    caption = "" if floor is None else f"Dotted: labels alone ({floor['attack']}), the floor."
    level = None if floor is None else floor["auc"]
    return _figure(attacks_svg(records, level, report.settings["confidence"]), caption)


def _attack_tables(report):
    """One table for each target: beside each other, the figures would not fit on paper."""
    level = report.settings["max_fpr"]
    heading = ["attack", "AUC", "AUC, label right", "attack accuracy"]
    heading += [] if level is None else [f"TPR at {percent(level)} FPR"]
    tables = []
    for target, facts in report.targets.items():
        lines = [_attack_line(record, level, facts["floor"]) for record in facts["attacks"]]
        marked = [i for i, record in enumerate(facts["attacks"]) if record["attack"] == facts["worst"]["attack"]]
        title = f"<h3>{escape(_name(target, report))}</h3>" if len(report.targets) > 1 else ""
        tables.append(title + _table(heading, lines, marked=marked))
    note = f"Bold: the strongest. In brackets: {100 * report.settings['confidence']:g} % intervals."
    return "\n".join(tables) + f'<p class="soft">{escape(note)}</p>'


def _attack_line(record, level, floor):
    figures = [interval(record, key) for key in ("auc", "correct_auc", "accuracy")]
    line = [(record["attack"], remark(record, floor)), *figures]
    return line if level is None else [*line, rate_cell(rates_at([record], level)[record["attack"]])]


def _cost_table(report):
    lines = [
        [
            record["attack"],
            f"{record['queries_per_row']:.3g}",
            f"{record['seconds']:.2f}",
            f"{record['epsilon_lower_bound']:.2f}",
        ]
        for record in report.targets["audited"]["attacks"]
    ]
    facts = report.targets["audited"]
    asked = ", ".join(f"{method} for {n} rows" for method, n in facts["rows_asked"].items())
    caption = f"Attacks of one query share it: {asked}, in {facts['seconds_asked']:.2f} s."
    return _table(["attack", "queries per row", "seconds", "epsilon at least"], lines, caption)


def _roc_figure(report):
    worst, floor = report.worst["attack"], report.floor
    curves = {f"{worst}, {_name('audited', report)}": report.scores["audited"][worst]}
    if "undefended" in report.targets:
        name = report.targets["undefended"]["worst"]["attack"]
        curves[f"{name}, {_NAMES['undefended']}"] = report.scores["undefended"][name]
    if floor is not None and floor["attack"] != worst:
        curves[f"{floor['attack']} (floor)"] = report.scores["audited"][floor["attack"]]
    return _figure(roc_svg(report.is_member, curves), "The strongest attack, and the floor.")


def _strongest(facts):
    return next(record for record in facts["attacks"] if record["attack"] == facts["worst"]["attack"])


def _rate_table(report):
    lines = []
    for target, facts in report.targets.items():
        record = _strongest(facts)
        for point in record["tpr_at_fpr"]:
            line = [_name(target, report), record["attack"], percent(point["max_fpr"]), percent(point["fpr"])]
            lines.append([*line, rate_cell(point)])
    return _table(["target", "strongest attack", "FPR allowed", "FPR reached", "TPR"], lines)


def _phi_figure(report):
    order = sorted(report.phi, reverse=True)  # without the defense first
    phis = {_name(target, report): report.phi[target] for target in order}
    return _figure(phi_svg(report.is_member, phis), "Attacks live on the difference between the two shapes.")


def _utility_table(report):
    keys = ("accuracy", "neg_log_loss", "expected_calibration_error", "failure_detection_auc")
    lines = []
    for target, facts in report.targets.items():
        for side, numbers in facts["utility"].items():
            values = [-numbers[key] if key == "neg_log_loss" else numbers[key] for key in keys]
            cells = ["-" if np.isnan(value) else f"{value:.3f}" for value in values]
            lines.append([_name(target, report), side.replace("_", "-"), *cells])
    caption = ""
    if "labels_changed" in report.defense:
        caption = f"Labels changed by the defense: {report.defense['labels_changed']}."
    heading = ["target", "rows", "accuracy", "log-loss", "calibration error", "failure-detection AUC"]
    return _table(heading, lines, caption)


def _control_table(report):
    words = {True: "holds", False: "FAILED", None: "not run"}
    lines = [[CONTROLS[name], words[c["holds"]], c["why"]] for name, c in report.controls.items()]
    failed = [i for i, line in enumerate(lines) if line[1] == words[False]]
    return _table(["control", "", "what was seen"], lines, marked=failed)


def _class_table(report):
    worst = _strongest(report.targets["audited"])
    groups = sorted(worst["by_class"].items(), key=lambda item: -np.nan_to_num(item[1]["value"], nan=-1))
    lines = [
        [name, _class_cell(group), f"{group['n_members']:.0f}", f"{group['n_non_members']:.0f}"]
        for name, group in groups[:_MOST_CLASSES]
    ]
    which = f"the {len(lines)} of {len(groups)} classes that leak most" if len(groups) > len(lines) else "all classes"
    caption = (
        f"{worst['attack']}, {which}. The highest of many figures is high by chance as well: read it with its interval."
    )
    return _table(["class", "AUC", "members", "non-members"], lines, caption)


def _class_cell(group):
    if np.isnan(group["value"]):
        return "-"
    return f"{group['value']:.3f} [{group['low']:.3f}, {group['high']:.3f}]"


def _rows(report):
    if report.shown is None:
        return ""
    figures = "".join(
        f'<figure><img src="{png_uri(image)}" alt="member labeled {escape(label)}"><figcaption>{escape(label)}'
        "</figcaption></figure>"
        for image, label in zip(report.shown["images"], report.shown["labels"], strict=True)
    )
    text = "Members that the strongest attack is surest of. These are rows of the training set."
    return f'<p>{text}</p><div class="rows">{figures}</div>'


def _settings_table(report):
    settings = report.settings
    lines = [[f"attack {name}", kind] for name, kind in settings["attacks"].items()]
    lines += [[name, str(settings[name])] for name in ("seed", "known", "confidence", "max_fpr", "n_permutations")]
    lines += [[name, number] for name, number in settings["versions"].items()]
    return _table(["setting", "value"], lines)

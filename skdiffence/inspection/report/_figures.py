"""The figures of a report: drawn by the displays, as SVG whose colors are those of the page."""

import re
from dataclasses import dataclass
from html import escape
from io import StringIO

from markupsafe import Markup

from skdiffence.inspection.displays._attack_auc import AttackAucDisplay
from skdiffence.inspection.displays._mixin import (
    BLACK,
    BLUE,
    GRAY,
    GREEN,
    LIGHT,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    new_axes,
)
from skdiffence.inspection.displays._roc import MembershipRocDisplay
from skdiffence.inspection.displays._roc_curve import roc_curves
from skdiffence.inspection.displays._signal import SignalDisplay
from skdiffence.inspection.report._format import words
from skdiffence.inspection.report._statistics import floor_kind
from skdiffence.inspection.report._strongest import strongest_on
from skdiffence.utils._optional import import_optional

# The style sheet's names of the colors that displays and matplotlib use.
_COLORS = {
    BLACK: "ink",
    GRAY: "soft",
    LIGHT: "line",
    "#cccccc": "line",
    "#ffffff": "paper",
    BLUE: "blue",
    VERMILLION: "vermillion",
    GREEN: "green",
    PURPLE: "purple",
    ORANGE: "orange",
    SKY: "sky",
}
_COLORS = {color.lower(): f"var(--{name})" for color, name in _COLORS.items()}
# Text stays text, and is never read as mathematics: names of attacks and classes are shown as they are.
_STYLE = {"svg.fonttype": "none", "svg.hashsalt": "report", "text.parse_math": False, "font.size": 10}


@dataclass(frozen=True)
class Figure:
    """A figure of the page.

    Parameters
    ----------
    svg : Markup
        The figure, or what to install where it can't be drawn.
    caption : str
        The line below it.
    """

    svg: Markup
    caption: str


def attacks_figure(report, names):
    """Draw the AUC of every attack with its interval, beside the floor.

    Parameters
    ----------
    report : AuditReport
        The report.
    names : dict of str to str
        What targets are called.

    Returns
    -------
    figure : Figure
    """
    floor, targets = report.floor, report.targets
    display = AttackAucDisplay(
        name=[words(attack.attack) for attack in targets["audited"].attacks],
        auc={
            names[name]: [(attack.auc.value, attack.auc.low, attack.auc.high) for attack in target.attacks]
            for name, target in targets.items()
        },
        floor=None if floor is None else floor.auc.value,
    )
    level = f"Lines: {100 * report.settings['confidence_level']:g} % intervals."
    caption = level if floor is None else f"{level} Dashed: {floor_kind(report)} ({words(floor.attack)}), the floor."
    return _figure("AUC of every attack", caption, display.plot, (7, 1 + 0.28 * len(display.name)))


def roc_figure(report, names):
    """Draw the ROC curves of the strongest attack on the probabilities of each target, and of the floor.

    Parameters
    ----------
    report : AuditReport
        The report.
    names : dict of str to str
        What targets are called.

    Returns
    -------
    figure : Figure
    """
    curves = {}
    for target, attack in compared_attacks(report):
        what = "the floor" if attack.label_only else names[target]
        curves[f"{words(attack.attack)}, {what}"] = target, attack

    def draw(ax):
        return roc_display(report, curves).plot(ax)

    caption = (
        "The strongest attack on probabilities, and the floor. At each single false positive rate, a band holds the "
        f"true curve with {100 * report.settings['confidence_level']:g} % confidence. A single point is that of an "
        "attack with two scores, a dashed curve equals another one."
    )
    return _figure("ROC curves on logarithmic axes", caption, draw, (6, 5.6))


def roc_display(report, curves):
    """Return the display of ROC curves, with the areas and intervals of the report.

    Parameters
    ----------
    report : AuditReport
        The report.
    curves : dict of str to tuple of (str, AttackResult)
        Target and attack by the name of the curve.

    Returns
    -------
    display : MembershipRocDisplay
        Not plotted. An attack whose area is that of the reversed scores has the curve of its own scores, whose rates
        are those of the tables, and is called so.
    """
    level = report.settings["confidence_level"]
    scores = {name: report.scores[target][attack.attack] for name, (target, attack) in curves.items()}
    areas = [attack.auc for _, attack in curves.values()]
    drawn = roc_curves(report.is_member, scores, level) | {
        "roc_auc": [area.value for area in areas],
        "roc_auc_interval": [(area.low, area.high) for area in areas],
    }
    reversed_ = [attack.roc_auc.value < 0.5 for _, attack in curves.values()]
    names = [f"{name}, area reversed" if back else name for name, back in zip(curves, reversed_, strict=True)]
    return MembershipRocDisplay(**drawn, name=names, confidence_level=level)


def compared_attacks(report):
    """Return the strongest attack on the probabilities of each target, and the floor.

    Parameters
    ----------
    report : AuditReport
        The report.

    Returns
    -------
    pairs : list of tuple of (str, AttackResult)
        The name of the target, and the attack. Where no attack reads probabilities, the strongest one of all.
    """
    pairs = [(target, strongest_on(report, "probabilities", target)) for target in report.targets]
    pairs = [(target, attack) for target, attack in pairs if attack is not None]
    if report.floor is not None:
        pairs.append(("audited", report.floor))
    return pairs or [(target, strongest_on(report, "cost", target)) for target in report.targets]


def phi_figure(report, names):
    """Draw the distributions of phi for members and non-members, one panel for each target.

    Parameters
    ----------
    report : AuditReport
        The report.
    names : dict of str to str
        What targets are called.

    Returns
    -------
    figure : Figure
    """
    order = sorted(report.phi, reverse=True)  # the undefended one first
    display = SignalDisplay(
        is_member=report.is_member,
        signal=[report.phi[target] for target in order],
        name=[names[target] for target in order],
        xlabel="phi = ln p / (1 - p) of the answered label",
        confidence_level=report.settings["confidence_level"],
    )
    caption = (
        "The attacks exploit the difference between the two distributions. Probabilities of exactly 1 have no finite "
        'phi and are counted in the bin "p = 1".'
    )
    return _figure("Confidence of members and non-members", caption, display.plot, (7, 3.2), len(order))


def _figure(title, caption, draw, size, n_axes=1):
    try:
        style = import_optional("matplotlib.style", extra="plot")
    except ImportError as error:
        return Figure(f"No figure: {error}", caption)
    with style.context(["default", _STYLE]):
        text = StringIO()
        figure = draw(ax=new_axes(size, n_axes)).figure_
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(text, format="svg", transparent=True, metadata=nothing)
    return Figure(Markup(_inline(text.getvalue(), title)), caption)


def _inline(text, title):
    """Return an SVG file as an element of an HTML page, in the page's colors."""
    _, width, height = re.search(r'<svg [^>]*?viewBox="(0 0 (\S+) (\S+))"[^>]*>', text).groups()
    body = text[text.index("</defs>") + len("</defs>") :]  # behind the file's own style
    body = re.sub(r'<g id="[^"]*"', "<g", body).replace("xlink:href", "href")
    body = re.sub(' d="[^"]*"', lambda path: re.sub(r"(\.\d)\d+", r"\1", path[0]), body)
    body = re.sub('style="[^"]*"', lambda style: re.sub("#[0-9a-f]{6}", _of_page, style[0]), body)
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{float(width):.0f}pt" role="img" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title>{body}"
    )


def _of_page(color):
    return _COLORS.get(color[0], color[0])

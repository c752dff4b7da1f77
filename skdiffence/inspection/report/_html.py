"""The HTML of a report, rendered by jinja2 from the templates beside this file."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from skdiffence.inspection.report._sections import attacks, sections
from skdiffence.inspection.report._sentences import subject
from skdiffence.inspection.report._verdict import verdict


def page_html(report):
    """Return the report as a page that needs no other file and no network.

    Parameters
    ----------
    report : AuditReport
        The report.

    Returns
    -------
    page : str
    """
    return _render("page", report, sections=sections(report))


def notebook_html(report):
    """Return verdict and attacks as an HTML fragment for a notebook.

    Parameters
    ----------
    report : AuditReport
        The report.

    Returns
    -------
    fragment : str
    """
    return _render("fragment", report, sections=[attacks(report, with_figure=False)])


def comparison_html(reports, heading, lines):
    """Return several reports below a table as a page that needs no other file and no network.

    Parameters
    ----------
    reports : dict of str to AuditReport
        The reports by name.
    heading : list of str
        Heads of the table's columns.
    lines : list of list of str
        The table's cells, a line for each report.

    Returns
    -------
    page : str
    """
    parts = [
        (name, subject(report.settings, report.rows), verdict(report), report.notes, sections(report))
        for name, report in reports.items()
    ]
    return _template("comparison").render(parts=parts, heading=heading, lines=lines)


def _render(name, report, **context):
    head = subject(report.settings, report.rows)
    return _template(name).render(subject=head, verdict=verdict(report), notes=report.notes, **context)


def _template(name):
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(f"{name}.html.jinja")

"""The command ``audit``: reads a model and rows from files, and writes a report."""

from argparse import ArgumentTypeError
from pathlib import Path

from skdiffence.attacks import get_attack_names
from skdiffence.inspection._audit import SUITES, audit
from skdiffence.inspection._cli_files import (
    CommandError,
    check_report_files,
    check_scores_file,
    load_model,
    load_sides,
    shown,
    write_table,
)
from skdiffence.inspection.report._comparison import AuditComparison
from skdiffence.utils._files import check_writable

TRUST = "Loading a joblib file runs whatever code is in it: only load models from people you trust."
SCORES = "The file tells who was in the training set: keep it like the training data."
AUDIT_FILES = ("report.html", "report.json", "attacks.csv")
_ENDS = {"low": "lower end of the interval", "value": "estimate", "high": "upper end of the interval"}


def add_audit_parser(commands, at_least):
    """Add the command to a parser.

    Parameters
    ----------
    commands : argparse subparsers
        Commands of the command line.
    at_least : callable (int) -> callable
        Returns a parser of integers that are not smaller.
    """
    parser = commands.add_parser(
        "audit",
        help="measure what a saved classifier reveals about who was in its training set",
        description=f"Attack a saved classifier and write report.html, report.json and attacks.csv. {TRUST}",
        epilog=(
            "Status: 0; 1 where a control of the audit failed, or an attack is above --fail-above; 2 where the input "
            "can't be used or something else went wrong; 130 after an interrupt."
        ),
    )
    what = "fitted classifier with predict and predict_proba, saved by joblib.dump; several are compared in one report"
    parser.add_argument("models", nargs="+", metavar="MODEL", help=what)
    what = "arrays X and y in .npz, or a .csv or .parquet table with --label; y and --label may lack"
    sides = (("--members", "rows that it was trained on"), ("--non-members", "rows that it was not trained on"))
    for flag, which in sides:
        parser.add_argument(flag, required=True, metavar="FILE", help=f"{which}: {what}")
    parser.add_argument("--label", metavar="COLUMN", help="column of the labels in tables")
    parser.add_argument("--output", default="skdiffence-audit", help="folder for the report (default: %(default)s)")
    parser.add_argument("--undefended", metavar="MODEL", help="the same classifier without its defense")
    names = f"{' or '.join(SUITES)} (default: standard), or some of {', '.join(get_attack_names())}"
    parser.add_argument("--attacks", nargs="+", metavar="NAME", help=names)
    parser.add_argument("--seed", type=at_least(0), default=0, help="seeds splits and attacks (default: 0)")
    parser.add_argument("--max-fpr", type=float, help="false positive rate that the report highlights")
    parser.add_argument("--show-rows", action="store_true", help="put images of training rows in the report")
    parser.add_argument("--scores", metavar="FILE", help=f"write the scores of each row, .csv or .parquet. {SCORES}")
    parser.add_argument(
        "--fail-above", type=_area, metavar="AUC", help="end with status 1 if the AUC of an attack is above this"
    )
    parser.add_argument(
        "--fail-by",
        choices=tuple(_ENDS),
        default="high",
        help="what --fail-above compares: upper end of the interval, estimate or lower end (default: high)",
    )


def _area(text):
    value = float(text)
    if not 0.5 <= value <= 1:
        raise ArgumentTypeError(f"must be an AUC between 0.5 and 1, got {text}")
    return value


_area.__name__ = "float"


def run_audit(options):
    """Run the command.

    Parameters
    ----------
    options : argparse.Namespace
        Parsed arguments.

    Returns
    -------
    report : AuditReport or AuditComparison

    Raises
    ------
    CommandError, OSError
        If a file can't be read or written.
    TypeError, ValueError
        If their content is not valid for an audit.
    """
    # An audit takes minutes: what it writes to is tried first.
    read = [*options.models, options.members, options.non_members, *filter(None, [options.undefended])]
    written = [Path(options.output) / name for name in AUDIT_FILES]
    check_report_files(written, read)
    folder = check_writable(options.output, AUDIT_FILES)
    check_scores_file(options.scores, [*read, *written])
    names = _names(options.models)
    if options.undefended is not None and len(names) > 1:
        raise CommandError(f"--undefended belongs to one model. Got {len(names)}: audit it as one of them.")
    models = [load_model(path) for path in options.models]
    undefended = None if options.undefended is None else load_model(options.undefended)
    reports = [_audit_one(*pair, undefended, options) for pair in zip(options.models, models, strict=True)]
    report = AuditComparison(dict(zip(names, reports, strict=True))) if len(reports) > 1 else reports[0]
    for name, write in zip(AUDIT_FILES, (report.to_html, report.to_json, report.to_csv), strict=True):
        write(folder / name)
    if options.scores is not None:
        write_table(report.to_scores_frame(), options.scores)
    return report


def _names(paths):
    """Return the file names of models, or their paths where these are not distinct."""
    names = [shown(Path(path).name) for path in paths]
    if len({Path(path).resolve() for path in paths}) < len(paths):
        raise CommandError(f"Each model must be named once. Got {' '.join(paths)}.")
    return names if len(set(names)) == len(names) else [shown(path) for path in paths]


def _audit_one(path, model, undefended, options):
    sides = load_sides([options.members, options.non_members], options.label, model)
    return audit(
        model,
        *sides,
        attacks=_attacks(options.attacks),
        undefended=undefended,
        max_fpr="auto" if options.max_fpr is None else options.max_fpr,
        show_rows=options.show_rows,
        subject=shown(f"{path}; members {options.members}, non-members {options.non_members}"),
        random_state=options.seed,
        verbose=1,
    )


def _attacks(names):
    if not names:
        return "standard"
    return names[0] if len(names) == 1 and names[0] in SUITES else names


def attacks_above(report, threshold, end):
    """Return what attacks on the audited classifiers exceed a threshold.

    Parameters
    ----------
    report : AuditReport or AuditComparison
        The report.
    threshold : float or None
        Highest AUC allowed; None allows all.
    end : {"high", "value", "low"}
        What of the AUC is compared.

    Returns
    -------
    sentences : list of str
        One for each attack that exceeds it, by the figure compared.
    """
    if threshold is None:
        return []
    if isinstance(report, AuditComparison):
        found = {name: attacks_above(each, threshold, end) for name, each in report.reports.items()}
        return [f"{name}: {sentence}" for name, sentences in found.items() for sentence in sentences]
    figures = {attack.attack: getattr(attack.auc, end) for attack in report.targets["audited"].attacks}
    return [
        f"{name}: the {_ENDS[end]} of its AUC is {_apart(figure, threshold)}, above the {threshold:.15g} allowed"
        for name, figure in sorted(figures.items(), key=lambda item: -item[1])
        if figure > threshold
    ]


def _apart(figure, threshold):
    """Return a figure above the threshold with three decimals, or as many as it takes to be above it as text."""
    texts = (f"{figure:.{digits}f}" for digits in range(3, 18))
    return next((text for text in texts if float(text) > threshold), repr(float(figure)))

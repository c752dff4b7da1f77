"""The command ``audit``: reads a model and rows from files, and writes a report."""

from pathlib import Path
from zipfile import BadZipFile

import joblib
import numpy as np

from skdiffence.attacks import get_attack_names
from skdiffence.inspection._audit import SUITES, audit
from skdiffence.utils._files import whole_file

TRUST = "Loading a joblib file runs whatever code is in it: only load models from people you trust."


class CommandError(Exception):
    """The input can't be used; the message says why."""


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
        epilog="Status: 0, or 1 where a control of the audit failed, or 2 where the input can't be used.",
    )
    parser.add_argument("model", help="fitted classifier with predict and predict_proba, saved by joblib.dump")
    sides = (("--members", "rows that it was trained on"), ("--non-members", "rows that it was not trained on"))
    for flag, what in sides:
        parser.add_argument(flag, required=True, metavar="FILE.npz", help=f"{what}: arrays X and y")
    parser.add_argument("--output", default="skdiffence-audit", help="folder for the report (default: %(default)s)")
    parser.add_argument("--undefended", metavar="MODEL", help="the same classifier without its defense")
    what = f"{' or '.join(SUITES)} (default: standard), or some of {', '.join(get_attack_names())}"
    parser.add_argument("--attacks", nargs="+", metavar="NAME", help=what)
    parser.add_argument("--seed", type=at_least(0), default=0, help="seeds splits and attacks (default: 0)")
    parser.add_argument("--max-fpr", type=float, help="false positive rate that the report highlights")
    parser.add_argument("--show-rows", action="store_true", help="put images of training rows in the report")


def run_audit(options):
    """Run the command.

    Parameters
    ----------
    options : argparse.Namespace
        Parsed arguments.

    Returns
    -------
    report : AuditReport
    written : list of str
        Names of the files in the output folder.

    Raises
    ------
    CommandError
        If a file can't be read or written, or its content is not valid for an audit.
    """
    sides = [_load_rows(path) for path in (options.members, options.non_members)]
    model = _load_model(options.model)
    undefended = None if options.undefended is None else _load_model(options.undefended)
    folder = _make_folder(options.output)
    try:
        report = audit(
            model,
            *sides,
            attacks=_attacks(options.attacks),
            undefended=undefended,
            max_fpr="auto" if options.max_fpr is None else options.max_fpr,
            show_rows=options.show_rows,
            random_state=options.seed,
            verbose=1,
        )
    except (TypeError, ValueError) as error:
        raise CommandError(str(error)) from error
    return report, _write(report, folder)


def _attacks(names):
    if not names:
        return "standard"
    return names[0] if len(names) == 1 and names[0] in SUITES else names


def _load_rows(path):
    """Return the arrays X and y of a file; never unpickles anything."""
    try:
        with np.load(path, allow_pickle=False) as file:
            missing = {"X", "y"} - set(file.files)
            if missing:
                names = " and ".join(sorted(missing))
                raise CommandError(f"{path} must hold arrays X and y. Got {sorted(file.files)}, without {names}.")
            return file["X"], file["y"]
    except (AttributeError, TypeError):
        message = f"{path} must hold arrays X and y. Got one array without a name: np.savez(path, X=X, y=y) writes two."
        raise CommandError(message) from None
    except FileNotFoundError:
        raise CommandError(f"{path} does not exist.") from None
    except (BadZipFile, EOFError, OSError, ValueError) as error:
        raise CommandError(
            f"{path} can't be read as an npz file of plain numbers or text: {error} Columns of mixed types and Python "
            "objects are not read, because loading them can run code."
        ) from error


def _load_model(path):
    try:
        return joblib.load(path)
    except FileNotFoundError:
        raise CommandError(f"{path} does not exist.") from None
    except (AttributeError, ImportError) as error:
        raise CommandError(
            f"{path} needs a class or function that can't be found here: {error}. If it was defined in a script or a "
            "notebook, move it to a module, save the model again, and run this command where the module can be "
            "imported (PYTHONPATH)."
        ) from error
    except Exception as error:  # a damaged pickle can raise anything
        raise CommandError(f"{path} can't be loaded: {type(error).__name__}: {error}") from error


def _make_folder(path):
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CommandError(f"{path} can't be made: {error}") from error
    return Path(path)


def _write(report, folder):
    report.to_html(folder / "report.html")
    report.to_json(folder / "report.json")
    try:
        frame = report.to_frame()
    except ImportError:
        return ["report.html", "report.json"]
    with whole_file(folder / "attacks.csv") as path:
        frame.to_csv(path, index=False)
    return ["report.html", "report.json", "attacks.csv"]

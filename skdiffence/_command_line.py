"""The commands ``demo``, ``audit`` and ``convert``: their arguments, what they print, and their status."""

import argparse
import os
import sys
import traceback
import warnings
from contextlib import contextmanager
from importlib.metadata import version

from tqdm.auto import tqdm

from skdiffence._demo._demo import FILES, run_demo
from skdiffence._demo._digits import DemoSettings
from skdiffence.diffusion._cli_convert import add_convert_parser, run_convert
from skdiffence.inspection._cli_audit import AUDIT_FILES, SCORES, TRUST, add_audit_parser, attacks_above, run_audit
from skdiffence.inspection._cli_files import CommandError, shown

_FAILED, _UNUSABLE = 1, 2


def _at_least(lowest):
    """Return a parser of integers that are no smaller."""

    def parse(text):
        value = int(text)
        if value < lowest:
            raise argparse.ArgumentTypeError(f"must be at least {lowest}, got {value}")
        return value

    parse.__name__ = "int"
    return parse


def make_parser():
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(prog="skdiffence", description="Membership privacy for classifiers.")
    parser.add_argument("--version", action="version", version=f"skdiffence {version('skdiffence')}")
    commands = parser.add_subparsers(dest="command", required=True)
    _add_demo_parser(commands)
    add_audit_parser(commands, _at_least)
    add_convert_parser(commands, _at_least)
    for command in commands.choices.values():
        command.add_argument("--traceback", action="store_true", help="show where in the code an error occurred")
    return parser


def _add_demo_parser(commands):
    demo = commands.add_parser(
        "demo",
        help="show on scikit-learn's digits how much a classifier leaks and how much less behind the defense",
        description="Train nets on digits until they overfit, defend them with every rule, attack all of it.",
    )
    demo.add_argument("--output", default="skdiffence-demo", help="folder for table, figures and model")
    demo.add_argument("--seed", type=_at_least(0), default=0, help="seeds everything (default: 0)")
    n_splits = DemoSettings.n_splits
    demo.add_argument("--splits", type=_at_least(2), help=f"number of random splits (default: {n_splits})")
    demo.add_argument("--quick", action="store_true", help="every step in seconds; the figures mean nothing")


def run(arguments=None):
    """Run a command, and return its status.

    Parameters
    ----------
    arguments : list of str or None, default=None
        None takes those of the process.

    Returns
    -------
    status : int
        0; 1 where a check of the demo or a control of the audit failed, or an attack is above the threshold; 2 where
        the input can't be used, or the model or the machine failed.
    """
    options = make_parser().parse_args(arguments)
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        try:
            status = {"demo": _demo, "audit": _audit, "convert": _convert}[options.command](options)
            sys.stdout.flush()
            return status
        except BrokenPipeError:
            # Whoever read the output has gone; Python must not try again when it ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return _stopped("the output was closed before it was written.")
        except (Exception, SystemExit) as error:  # whatever a model raises, status 1 is for failed controls
            if options.traceback:
                traceback.print_exc()
            return _stopped(_described(error))


def _stopped(message):
    print(f"error: {message}", file=sys.stderr)
    return _UNUSABLE


def _described(error):
    """Return an error in one line; with its class where it is not an objection to the input."""
    text = " ".join(str(error).split())
    if isinstance(error, (CommandError, OSError, TypeError, ValueError)) and text:
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _show_warning(message, category, filename, lineno, file=None, line=None):
    tqdm.write(f"warning: {' '.join(str(message).split())}", file=sys.stderr)


def _demo(options):
    settings = DemoSettings()
    if options.quick:
        settings = settings.quick()
    if options.splits is not None:
        settings = settings.with_splits(options.splits)
    run = run_demo(settings, options.output, seed=options.seed)
    print(f"\n{run.table}\n\n{run.meaning}\n")
    for check, holds in run.checks:
        print(f"[{'ok' if holds else 'FAILED'}] {check}")
    print(shown(f"\nIn {options.output}: {', '.join(FILES)}"))
    return 0 if all(holds for _, holds in run.checks) else _FAILED


def _audit(options):
    print(TRUST, file=sys.stderr)
    with _importable_here():
        report = run_audit(options)
    if options.scores is not None:
        print(shown(f"warning: scores of each row are in {options.scores}. {SCORES}"), file=sys.stderr)
    above = attacks_above(report, options.fail_above, options.fail_by)
    print(shown("\n".join(["", str(report), "", *above, f"In {options.output}: {', '.join(AUDIT_FILES)}"])))
    return _FAILED if report.failed_controls or above else 0


@contextmanager
def _importable_here():
    """Look for the classes of saved models in the current folder too, as ``python -m`` does, but after all others."""
    folder, path = os.getcwd(), list(sys.path)
    sys.path.append(folder)
    try:
        yield
    finally:
        sys.path[:] = path


def _convert(options):
    print(shown(run_convert(options)))
    return 0

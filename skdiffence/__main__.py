"""The command line: ``python -m skdiffence demo`` and ``python -m skdiffence audit``."""

import argparse
import sys

from skdiffence._demo._demo import run_demo
from skdiffence._demo._digits import DemoSettings
from skdiffence.inspection._cli_audit import TRUST, CommandError, add_audit_parser, run_audit


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
    parser = argparse.ArgumentParser(prog="python -m skdiffence", description="Membership privacy for classifiers.")
    commands = parser.add_subparsers(dest="command", required=True)
    _add_demo_parser(commands)
    add_audit_parser(commands, _at_least)
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


def main(arguments=None):
    """Run a command.

    Parameters
    ----------
    arguments : list of str or None, default=None
        None takes those of the process.

    Returns
    -------
    status : int
        0; 1 where a check of the demo or a control of the audit failed; 2 where the input can't be used.
    """
    options = make_parser().parse_args(arguments)
    return _demo(options) if options.command == "demo" else _audit(options)


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
    print(f"\nIn {options.output}: table.txt, results.json, roc.png, signals.png, regenerations.png, defended.joblib")
    return 0 if all(holds for _, holds in run.checks) else 1


def _audit(options):
    print(TRUST, file=sys.stderr)
    try:
        report, written = run_audit(options)
    except CommandError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"\n{report}\n\nIn {options.output}: {', '.join(written)}")
    return 1 if report.failed_controls else 0


if __name__ == "__main__":
    sys.exit(main())

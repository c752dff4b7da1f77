"""The command line: ``skdiffence demo``, ``audit`` and ``convert``, or ``python -m skdiffence`` and the same."""

import sys


def main(arguments=None):
    """Run a command.

    Parameters
    ----------
    arguments : list of str or None, default=None
        None takes those of the process.

    Returns
    -------
    status : int
        0; 1 where a check of the demo or a control of the audit failed, or an attack is above the threshold; 2 where
        the input can't be used, or the model or the machine failed; 130 after an interrupt.
    """
    try:
        # Imports take seconds, and are interrupted as work is.
        from skdiffence._command_line import run

        return run(arguments)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())

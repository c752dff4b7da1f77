"""The command line as a shell sees it: status, standard error, version and entry point."""

import importlib
import os
import runpy
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest

import skdiffence
from skdiffence import _command_line as command_line
from skdiffence.__main__ import main
from skdiffence.exceptions import MembershipWarning

ROOT = Path(skdiffence.__file__).parents[1]
COMMANDS = {
    "audit": ["audit", "m.joblib", "--members", "a.npz", "--non-members", "b.npz"],
    "demo": ["demo", "--quick"],
}
RUNS = {"audit": "run_audit", "demo": "run_demo"}


def stopped_by(monkeypatch, command, error):
    """Run a command whose work raises an error."""

    def work(*args, **kwargs):
        raise error

    monkeypatch.setattr(command_line, RUNS[command], work)
    return main(COMMANDS[command])


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (RuntimeError("mat1 and mat2\nshapes cannot\n  be multiplied"), 2, "RuntimeError: mat1 and mat2 shapes cannot"),
        (ValueError("X must be finite."), 2, "error: X must be finite."),
        (MemoryError(), 2, "error: MemoryError"),
        (OSError(28, "No space left on device"), 2, "No space left on device"),
        (KeyError("held_out"), 2, "KeyError: 'held_out'"),
        (AssertionError(), 2, "error: AssertionError"),
        (SystemExit(1), 2, "error: SystemExit: 1"),
        (RecursionError("maximum recursion depth exceeded"), 2, "RecursionError"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_status_one_is_for_findings(monkeypatch, capsys, command, error, status, said):
    """Whatever breaks ends with 2 and one line, and no traceback; CI takes 1 for a failed control."""
    assert stopped_by(monkeypatch, command, error) == status
    printed = capsys.readouterr()
    lines = [line for line in printed.err.splitlines() if not line.startswith("Loading a joblib file")]
    assert len(lines) == 1 and said in lines[0]
    assert printed.out == ""


def test_traceback_for_those_who_ask(monkeypatch, capsys):
    """An error inside a model of the user's own can be found."""
    monkeypatch.setitem(COMMANDS, "audit", [*COMMANDS["audit"], "--traceback"])
    assert stopped_by(monkeypatch, "audit", RuntimeError("inside")) == 2
    assert "Traceback" in capsys.readouterr().err


def test_closed_output_is_no_finding(monkeypatch, capfd):
    """A pager that was left early."""
    monkeypatch.setattr("os.dup2", lambda *args: None)
    monkeypatch.setattr(sys.stdout, "fileno", lambda: 1, raising=False)
    assert stopped_by(monkeypatch, "audit", BrokenPipeError(32, "Broken pipe")) == 2
    assert "closed" in capfd.readouterr().err


def test_warnings_are_sentences(monkeypatch, capsys):
    """Without file, line number, class and source, and the filters are as before."""

    def work(*args):
        warnings.warn("some of them\nare not members", MembershipWarning, stacklevel=1)
        raise ValueError("enough")

    before = warnings.showwarning
    monkeypatch.setattr(command_line, "run_audit", work)
    main(COMMANDS["audit"])
    assert "\nwarning: some of them are not members\nerror: enough\n" in capsys.readouterr().err
    assert warnings.showwarning is before


def test_version(capsys):
    """As pip has installed it."""
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"skdiffence {skdiffence.__version__}\n"


def test_entry_point(monkeypatch):
    """The installed command is this one."""
    given = {}
    monkeypatch.setattr("setuptools.setup", given.update)
    runpy.run_path(ROOT / "setup.py")
    (script,) = given["entry_points"]["console_scripts"]
    name, _, place = script.partition(" = ")
    module, _, function = place.partition(":")
    assert name == "skdiffence"
    assert getattr(importlib.import_module(module), function) is main


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent otherwise")
@pytest.mark.parametrize("start", [["-m", "skdiffence"], ["-c", "from skdiffence.__main__ import main; exit(main())"]])
def test_interrupt_of_imports(tmp_path, start):
    """Ctrl-C in the seconds that imports take ends as any other does, also as the installed command."""
    (tmp_path / "torch.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    given = [sys.executable, *start, *COMMANDS["audit"]]
    done = subprocess.run(given, cwd=tmp_path, env=env, capture_output=True, check=False)
    assert done.returncode == 130
    assert done.stderr == b"interrupted\n"


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent otherwise")
def test_interrupt_from_outside(tmp_path):
    """Ctrl-C while a model answers: 130 and no traceback, as shells expect."""
    (tmp_path / "slow.py").write_text(
        "import time\n"
        "class Slow:\n"
        "    classes_ = [0, 1]\n"
        "    def __setstate__(self, state):\n"
        "        open('loaded', 'w').close()\n"
        "        time.sleep(60)\n"
    )
    (tmp_path / "save.py").write_text(
        "import joblib, slow\nmodel = slow.Slow()\nmodel.a = 1\njoblib.dump(model, 'm.joblib')\n"
    )
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(tmp_path)])}
    subprocess.run([sys.executable, "save.py"], cwd=tmp_path, env=env, check=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "skdiffence", *COMMANDS["audit"]], cwd=tmp_path, env=env, stderr=subprocess.PIPE
    )
    while not (tmp_path / "loaded").exists() and process.poll() is None:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"Traceback" not in said and said.endswith(b"interrupted\n")

"""Work on files and folders that tests run in processes of their own, some of which they kill."""

import json
import os
import signal

from skdiffence.utils import _files, _folders

N_FILES = 4


def write_version(folder, version):
    """Write a folder whose files all hold one number."""
    with _folders.whole_folder(folder) as unfinished:
        for number in range(N_FILES):
            (unfinished / f"{number}.json").write_text(json.dumps(version))


def read_versions(folder):
    """Return the numbers in the files."""
    return [json.loads((folder / f"{number}.json").read_text()) for number in range(N_FILES)]


def die():
    """End the process as the out-of-memory killer does."""
    os.kill(os.getpid(), signal.SIGKILL)


def write_and_die(folder, version, *, after):
    """Write a version of a folder and die after that many renames, before the first file (-1) or before a rename."""
    rename, done = os.rename, []

    def counted(old, new):
        if len(done) == after:
            die()
        rename(old, new)
        done.append(new)
        if len(done) == after:
            die()

    os.rename = counted
    if after < 0:
        _folders.flush = lambda path: die()
    write_version(folder, version)


def write_file_and_die(path):
    """Die in the middle of a file."""
    with _files.whole_file(path) as unfinished, open(unfinished, "w") as file:
        file.write("half")
        file.flush()
        die()


def write_on_and_on(folder, first, stop):
    """Replace a folder until told to stop."""
    version = first
    while not stop.is_set():
        write_version(folder, version)
        version += 1


def read_on_and_on(folder, n_times, outcomes):
    """Read a folder many times; report versions that are mixed, and errors."""
    wrong = []
    for _ in range(n_times):
        try:
            versions = _folders.read_folder(folder, read_versions)
            if len(set(versions)) > 1:
                wrong.append(str(versions))
        except Exception as error:
            wrong.append(repr(error))
    outcomes.put(wrong)


def read_when_told(go, folder, outcomes):
    """Read a folder once, when an event is set."""
    go.wait()
    read_on_and_on(folder, 1, outcomes)

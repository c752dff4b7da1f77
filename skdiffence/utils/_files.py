"""Files that are written completely or not at all, also by processes that are killed or write at the same time.

A file is written under a temporary name, and its writer holds a lock on it. A temporary file without a lock was left
by a process that was killed. The next writer in the folder removes it.
"""

import contextlib
import os
import re
import secrets
import shutil
import stat
import tempfile
import time
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows has no such locks: nothing is taken for a leftover there
    fcntl = None

_PREFIX = ".skdiffence-"
_TEMPORARY = re.compile(re.escape(_PREFIX) + r"(new|old)-[0-9a-f]{16}-.+", re.DOTALL)
# Seconds to wait for other processes. None of ours holds a lock that long, but for slow readers of a folder.
PATIENCE = 2.0
_PAUSE = 0.005
_TRIED_BYTES = 2**20  # as much as a report with figures takes


@contextlib.contextmanager
def whole_file(path, *, private=False):
    """Write a file under a temporary name and move it to its path at the end of the block.

    Parameters
    ----------
    path : str or path
        The path of the file. An existing file is replaced, and its permissions are kept; a link is followed.
    private : bool, default=False
        Whether only the current user can read the file, whatever the permissions were.

    Yields
    ------
    unfinished : Path
        The temporary path, in the same folder and with the same suffix. It exists, empty. It is removed if the block
        raises, and by the next call in this folder if the process is killed.
    """
    path = Path(path).resolve()
    remove_leftovers(path.parent)
    before = None if private else mode_of(path)
    mode = 0o600 if private or before is not None else 0o666
    with temporary(path, lambda place: _new_file(place, mode)) as unfinished:
        yield unfinished
        flush(unfinished)
        if before is not None:
            os.chmod(unfinished, before)
        os.replace(unfinished, path)


def mode_of(path):
    """Return the permissions of a file or folder, or None if there is none."""
    try:
        return stat.S_IMODE(os.stat(path).st_mode)
    except FileNotFoundError:
        return None


def check_writable(folder, names=()):
    """Make a folder, and check that files can be written there.

    Parameters
    ----------
    folder : str or path
        The folder.
    names : iterable of str, default=()
        Names of the files that will be written; existing files are left alone.

    Returns
    -------
    folder : Path

    Raises
    ------
    OSError
        If the folder can't be made or written to, or one of the names is that of a folder.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(_TRIED_BYTES))
    except OSError as error:
        why = "it is no folder" if isinstance(error, FileExistsError) else error.strerror or error
        raise OSError(f"{folder} can't be written to: {why}") from error
    for name in names:
        if (folder / name).is_dir():
            raise OSError(f"{folder / name} can't be written: it is a folder")
    return folder


def remove_leftovers(folder):
    """Remove the temporary files and folders of killed processes from a folder, as far as this is allowed.

    Parameters
    ----------
    folder : str or path
        What is not known to be a leftover stays: files that are being written, and all files where locks don't work.
    """
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):
            if _TEMPORARY.fullmatch(name):
                _remove_if_left(Path(folder, name))


def beside(path, kind):
    """Return an unused path beside another one, for its "new" or its "old" version."""
    return path.with_name(f"{_PREFIX}{kind}-{secrets.token_hex(8)}-{path.name}")


@contextlib.contextmanager
def temporary(path, make):
    """Make a temporary file or folder beside a path, lock it in the block, and remove it at the end.

    Parameters
    ----------
    path : Path
        The path of the finished file or folder.
    make : callable(Path)
        Makes the file or folder.

    Yields
    ------
    unfinished : Path
        The temporary path.
    """
    unfinished, handle = _new_and_locked(path, make)
    try:
        yield unfinished
    finally:
        _close(handle)
        remove(unfinished)


def _new_and_locked(path, make):
    while True:
        unfinished = beside(path, "new")
        make(unfinished)
        # Another process may take it for a leftover before it is locked, and remove it.
        with contextlib.suppress(FileNotFoundError):
            handle = _open(unfinished)
            if _is_mine(handle) and is_at(handle, unfinished):
                return unfinished, handle
            _close(handle)


def lock(handle, *, shared=False, patience=0.0):
    """Lock an open file or folder until it is closed or the process ends, however it ends.

    Parameters
    ----------
    handle : int or None
        The open file. None, where there are no locks, does nothing.
    shared : bool, default=False
        Whether others may have shared locks at the same time.
    patience : float, default=0.0
        Seconds to wait for others.

    Returns
    -------
    locked : bool
        False if another process, or another thread, holds a lock.

    Raises
    ------
    OSError
        If the file system has no locks.
    """
    end = time.monotonic() + patience
    while handle is not None:
        try:
            fcntl.flock(handle, fcntl.LOCK_NB | (fcntl.LOCK_SH if shared else fcntl.LOCK_EX))
            return True
        except BlockingIOError:
            if time.monotonic() >= end:
                return False
            time.sleep(_PAUSE)
    return True


@contextlib.contextmanager
def opened(path):
    """Open a file or folder to lock it, and close it at the end of the block.

    Yields
    ------
    handle : int or None
        None where there are no locks.
    """
    handle = _open(path)
    try:
        yield handle
    finally:
        _close(handle)


def old_versions(path):
    """Return the old versions of a file or folder, made by :func:`beside`, the last one first."""
    own = re.compile(re.escape(_PREFIX) + r"old-[0-9a-f]{16}-" + re.escape(path.name))
    try:
        with os.scandir(path.parent) as entries:
            found = [(entry.stat().st_ctime_ns, entry.path) for entry in entries if own.fullmatch(entry.name)]
    except OSError:
        return []
    return [Path(place) for _, place in sorted(found, reverse=True)]


def is_at(handle, path):
    """Return whether a path still leads to an open file or folder."""
    if handle is None:
        return os.path.exists(path)
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except FileNotFoundError:
        return False


def remove(path):
    """Remove a file or folder, if it is there and can be removed."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def _new_file(path, mode):
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode))


def flush(path):
    """Wait until a file is on the disk: after a crash of the machine a renamed file may otherwise be empty."""
    with open(path, "r+b") as file:
        os.fsync(file.fileno())


def _is_mine(handle):
    try:
        return lock(handle, patience=PATIENCE)
    except OSError:  # without locks nobody removes anything
        return True


def _open(path):
    return None if fcntl is None else os.open(path, os.O_RDONLY | os.O_NONBLOCK)


def _close(handle):
    if handle is not None:
        os.close(handle)


def _remove_if_left(path):
    if fcntl is None:
        return
    kind, _, name = path.name.removeprefix(_PREFIX).split("-", 2)
    with contextlib.suppress(OSError), opened(path) as handle:
        # An old version is the only one if a process was killed before the new one was in place.
        if lock(handle) and (kind == "new" or path.with_name(name).exists()):
            remove(path)

"""Folders of which always one whole version is found, also while another process replaces it or after it was killed."""

import contextlib
import errno
import os
from pathlib import Path

from skdiffence.utils._files import (
    PATIENCE,
    beside,
    flush,
    is_at,
    lock,
    mode_of,
    old_versions,
    opened,
    remove,
    remove_leftovers,
    temporary,
)

# A reader that finds neither the folder nor an old version may have looked while both were being moved.
_LOOKS = 3


@contextlib.contextmanager
def whole_folder(folder):
    """Write a folder under a temporary name and put it in place of an earlier version at the end of the block.

    Of several writers at the same time, the last one to finish remains.

    Parameters
    ----------
    folder : str or path
        The path of the folder. An existing one is replaced, and its permissions are kept; a link is followed.

    Yields
    ------
    unfinished : Path
        The temporary folder. It is removed if the block raises, and by the next call if the process is killed.

    Raises
    ------
    OSError
        If the current folder is in it, or it is a mount point: such a folder cannot be replaced.
    """
    folder = Path(folder).resolve()
    if Path.cwd().is_relative_to(folder):
        raise OSError(f"{folder} is the current folder, or around it, and cannot be replaced. Give another folder.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    recover(folder)
    before = mode_of(folder)
    with temporary(folder, lambda place: os.mkdir(place, 0o777 if before is None else 0o700)) as unfinished:
        yield unfinished
        if before is not None:
            os.chmod(unfinished, before)
        for file in unfinished.rglob("*"):
            if file.is_file():
                flush(file)
        _put(unfinished, folder)


def read_folder(folder, read):
    """Return what a function reads from a folder, all of it from the same version of the folder.

    Parameters
    ----------
    folder : str or path
        A folder that :func:`whole_folder` may replace meanwhile.
    read : callable(Path)
        It is called again if the folder was replaced while it read.

    Returns
    -------
    content : object
        What ``read`` returns.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    """
    folder = Path(folder)
    while recover(folder):
        with contextlib.suppress(_ReplacedError):
            return _read_one_version(folder, read)
    raise FileNotFoundError(f"{folder} does not exist.")


def recover(folder):
    """Finish what a killed writer has left: put the last whole version back in place, and remove the rest.

    Parameters
    ----------
    folder : str or path
        The path of the folder, which is missing if a writer was killed while it replaced the folder.

    Returns
    -------
    found : bool
        Whether the folder is there.
    """
    folder = Path(folder).resolve()
    for _ in range(_LOOKS):
        if folder.exists():
            remove_leftovers(folder.parent)
            return True
        for old in old_versions(folder):
            _put_back(old, folder)
    return folder.exists()


def _put_back(old, folder):
    with contextlib.suppress(OSError), opened(old) as handle:
        # A living writer holds the lock until its new version is in place.
        lock(handle, patience=PATIENCE)
        if is_at(handle, old) and not folder.exists():
            os.rename(old, folder)


class _ReplacedError(Exception):
    """The folder was replaced while it was read."""


def _read_one_version(folder, read):
    """Return what a function reads from a folder, and raise _ReplacedError if the folder was replaced meanwhile."""
    with contextlib.ExitStack() as stack:
        try:
            handle = stack.enter_context(opened(folder))
        except FileNotFoundError:
            raise _ReplacedError from None
        with contextlib.suppress(OSError):
            lock(handle, shared=True, patience=PATIENCE)
        try:
            content = read(folder)
        except Exception:
            if is_at(handle, folder):
                raise
            raise _ReplacedError from None
        if not is_at(handle, folder):
            raise _ReplacedError
        return content


def _put(unfinished, folder):
    """Move a finished folder to its path, and remove what was there."""
    replaced = []
    try:
        while not _moved(unfinished, folder):
            with contextlib.suppress(FileNotFoundError), opened(folder) as handle:
                with contextlib.suppress(OSError):
                    lock(handle, patience=PATIENCE)  # those who still read after that read again
                if is_at(handle, folder):
                    old = beside(folder, "old")
                    os.rename(folder, old)
                    replaced.append(old)
                    # With the lock still held, so that nobody puts the old version back.
                    if _moved(unfinished, folder):
                        break
    finally:
        if folder.exists():
            for old in replaced:
                remove(old)


def _moved(unfinished, folder):
    try:
        os.rename(unfinished, folder)
    except OSError as error:
        # Another folder was there: an earlier version, which a writer may have moved away since, or one just put there.
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            return False
        # Some systems say it in another way.
        if not folder.is_dir() or not unfinished.is_dir():
            raise
        return False
    return True

"""Files that are written completely or not at all."""

import contextlib
import os
import secrets
import tempfile
from pathlib import Path

_TRIED_BYTES = 2**20  # as much as a report with figures takes


@contextlib.contextmanager
def whole_file(path):
    """Write a file under a temporary name and move it to its path at the end of the block.

    Parameters
    ----------
    path : str or path
        The path of the file. An existing file is replaced.

    Yields
    ------
    unfinished : Path
        The temporary path, in the same folder and with the same suffix. It is removed if the block raises.
    """
    path = Path(path)
    unfinished = path.with_name(f".{path.stem}-{secrets.token_hex(8)}{path.suffix}")
    try:
        yield unfinished
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


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

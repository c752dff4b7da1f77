"""Files that are written completely or not at all."""

import contextlib
import os
import secrets
from pathlib import Path


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

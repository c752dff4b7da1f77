"""Files that appear whole or not at all."""

import contextlib
import os
import secrets
from pathlib import Path


@contextlib.contextmanager
def whole_file(path):
    """Write a file beside its place and move it there once it is finished.

    Parameters
    ----------
    path : str or path
        Where the file is to be; replaced if there is one.

    Yields
    ------
    unfinished : Path
        Where to write, with the same suffix. It is removed if the block raises.
    """
    path = Path(path)
    unfinished = path.with_name(f".{path.stem}-{secrets.token_hex(8)}{path.suffix}")
    try:
        yield unfinished
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)

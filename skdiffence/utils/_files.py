"""Files that appear whole or not at all."""

import contextlib
import os
import tempfile
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
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
    os.close(handle)
    try:
        yield Path(name)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise

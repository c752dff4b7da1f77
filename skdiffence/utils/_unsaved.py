"""Data that reaches worker processes, but is in no saved object."""

import contextlib
import hashlib
import os
import pickle
import secrets
import tempfile
import weakref
from pathlib import Path

from skdiffence.utils._files import remove_leftovers, temporary
from skdiffence.utils._sklearn import num_samples

# The data of this process by token: what comes back from a worker is recognized.
_LIVE = weakref.WeakValueDictionary()
# Open files without a name are reached under the number of the process and of the file.
_OPEN_FILES = Path("/proc/self/fd")
_OF_OTHERS = []


class Unsaved:
    """Data that is neither pickled nor printed, as a parameter of an estimator.

    Pickled, it holds the place of a temporary file, readable by its owner only, from which worker processes of this
    machine read the data. The file is removed with the object. On Linux it has no name in any folder, so that nothing
    is left of it however the process ends. Elsewhere, what a killed process left is removed at the next use. What is
    unpickled after that has no data.

    Parameters
    ----------
    data : object
        Stored as it is. None reads it from the file.
    token : bytes, default=None
        Name of the object in this process; None draws one.
    spill : tuple of (path, checksum), default=None
        The file, once it is written.
    """

    _name = "data"
    _lost = "The data were not saved."

    def __init__(self, data, *, token=None, spill=None):
        self._data = data
        self._token = secrets.token_bytes(16) if token is None else token
        self._spill = spill
        _LIVE[self._token] = self

    @property
    def data(self):
        """The data; read back from the temporary file in a worker process.

        Raises
        ------
        ValueError
            If the object was unpickled and its data are gone.
        """
        if self._data is None:
            self._data = self._read()
        return self._data

    def __len__(self):
        return num_samples(self.data)

    def __deepcopy__(self, memo):
        # It is never changed, so that clones of an estimator can share it.
        return self

    def __reduce__(self):
        if self._spill is None:
            spill, close = _write(self.data)
            weakref.finalize(self, _in_process, os.getpid(), close)
            self._spill = spill
        return _restore, (type(self), self._token, self._spill)

    def __repr__(self):
        try:
            return f"<{self._name} of {len(self)} rows>"
        except (ValueError, TypeError):
            return f"<{self._name} without rows>"

    def _read(self):
        path, checksum = self._spill
        try:
            # The checksum, taken from the pickle, keeps anybody else's file of that name from being loaded.
            if os.path.isfile(path) and _checksum(path) == checksum:
                with open(path, "rb") as file:
                    return pickle.load(file)
        except OSError:  # gone, or another user's
            pass
        raise ValueError(self._lost)


def _restore(cls, token, spill):
    return _LIVE[token] if token in _LIVE else cls(None, token=token, spill=spill)


def _write(data):
    """Write data where only this user can read them.

    Returns
    -------
    spill : tuple of (path, checksum)
        Where other processes of this machine find the data while this process lives.
    close : callable
        Removes the file.
    """
    with contextlib.ExitStack() as stack:
        path = stack.enter_context(_unnamed_file() if _OPEN_FILES.is_dir() else _named_file())
        with open(path, "wb") as file:
            pickle.dump(data, file, protocol=5)
        return (path, _checksum(path)), stack.pop_all().close


@contextlib.contextmanager
def _unnamed_file():
    with tempfile.TemporaryFile(prefix="skdiffence-") as file:
        yield f"/proc/{os.getpid()}/fd/{file.fileno()}"


@contextlib.contextmanager
def _named_file():
    folder = Path(tempfile.gettempdir())
    remove_leftovers(folder)
    with temporary(folder / "pool", lambda path: os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))) as path:
        yield str(path)


def _checksum(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "blake2b").digest()


def _in_process(owner, close):
    if os.getpid() == owner:
        close()
    else:
        # A forked worker has a copy of the object, but the file is not its own: it must not even be forgotten.
        _OF_OTHERS.append(close)

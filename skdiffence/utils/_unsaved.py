"""Data that reaches worker processes, but is in no saved object."""

import contextlib
import hashlib
import os
import pickle
import secrets
import tempfile
import weakref

from skdiffence.utils._sklearn import num_samples

# The data of this process by token: what comes back from a worker is recognized.
_LIVE = weakref.WeakValueDictionary()


class Unsaved:
    """Data that is neither pickled nor printed, as a parameter of an estimator.

    Pickled, it holds the name of a temporary file, readable by its owner only, from which worker processes read
    the data. The file is removed with the object, at the latest when the process ends; what is unpickled after that
    has no data.

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
            self._spill = _write(self.data)
            weakref.finalize(self, _remove, self._spill[0], os.getpid())
        return _restore, (type(self), self._token, self._spill)

    def __repr__(self):
        try:
            return f"<{self._name} of {len(self)} rows>"
        except (ValueError, TypeError):
            return f"<{self._name} without rows>"

    def _read(self):
        path, checksum = self._spill
        # The checksum, taken from the pickle, keeps anybody else's file of that name from being loaded.
        if not os.path.exists(path) or _checksum(path) != checksum:
            raise ValueError(self._lost)
        with open(path, "rb") as file:
            return pickle.load(file)


def _restore(cls, token, spill):
    return _LIVE[token] if token in _LIVE else cls(None, token=token, spill=spill)


def _write(data):
    """Write the data where only this user can read them; return the path and a checksum."""
    handle, path = tempfile.mkstemp(prefix="skdiffence-", suffix=".pool")  # mode 0600
    with os.fdopen(handle, "wb") as file:
        pickle.dump(data, file, protocol=5)
    return path, _checksum(path)


def _checksum(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "blake2b").digest()


def _remove(path, owner):
    # A forked worker has a copy of the object, but the file is not its own.
    if os.getpid() == owner:
        with contextlib.suppress(OSError):
            os.remove(path)

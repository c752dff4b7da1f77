"""All rows that a scorer compares with: in memory and in worker processes, never in a saved object."""

import contextlib
import functools
import hashlib
import os
import pickle
import secrets
import tempfile
import weakref

import numpy as np

from skdiffence._evaluation._rows import row_keys
from skdiffence.utils._sklearn import num_samples
from skdiffence.utils._validation import check_is_member

_KEY_SIZE = 32
# The pools of this process by token: a pool that comes back from a worker is recognized.
_LIVE = weakref.WeakValueDictionary()


class Pool:
    """Rows, labels and, where given, membership of all rows that an evaluation is about.

    Pickled, it holds the name of a temporary file, readable by its owner only, from which worker processes read
    the rows. The file is removed with the pool, at the latest when the process ends; a pool that is unpickled
    after that has no rows.

    Parameters
    ----------
    data : tuple of (X, y) or (X, y, is_member)
        Stored as it is; checked when it is used. None reads it from the file.
    token : bytes, default=None
        Name of the pool in this process; None draws one.
    spill : tuple of (path, checksum), default=None
        The file, once it is written.
    """

    def __init__(self, data, *, token=None, spill=None):
        self._data = data
        self._token = secrets.token_bytes(16) if token is None else token
        self._spill = spill
        _LIVE[self._token] = self

    @property
    def data(self):
        """What the pool was made of; read back from the temporary file in a worker process.

        Raises
        ------
        ValueError
            If the pool was unpickled and its rows are gone.
        """
        if self._data is None:
            self._data = _read(*self._spill)
        return self._data

    @functools.cached_property
    def digest_key(self):
        """Key of the pool's digests."""
        return secrets.token_bytes(_KEY_SIZE)

    @functools.cached_property
    def keys(self):
        """Digests of the rows in order, and whether they are digests of the content."""
        return row_keys(self.X, self.digest_key)

    @property
    def X(self):
        """The rows."""
        return self.data[0]

    @property
    def y(self):
        """The labels, as an array."""
        return np.asarray(self.data[1])

    @property
    def is_member(self):
        """Membership as booleans, None if it is to be inferred."""
        return check_is_member(self.data[2], len(self), both_sides=True) if len(self.data) == 3 else None

    def __len__(self):
        return num_samples(self.X)

    def check(self):
        """Check the form of the data.

        Returns
        -------
        is_member : ndarray of shape (n_samples,), dtype bool, or None
            Membership, None if it is to be inferred.

        Raises
        ------
        ValueError
            If it is not a tuple of two or three, or lengths differ.
        """
        if not isinstance(self.data, (tuple, list)) or len(self.data) not in (2, 3):
            raise ValueError(
                f"pool must be a tuple (X, y) or (X, y, is_member). Got {type(self.data).__name__}"
                + (f" of length {len(self.data)}." if isinstance(self.data, (tuple, list)) else ".")
            )
        if self.y.shape != (len(self),):
            raise ValueError(
                f"pool must hold one label for each row. Got {len(self)} rows and labels of shape {self.y.shape}."
            )
        return self.is_member

    def __deepcopy__(self, memo):
        # It is never changed, so that clones of a scorer can share it.
        return self

    def __reduce__(self):
        if self._spill is None:
            self._spill = _write(self.data)
            weakref.finalize(self, _remove, self._spill[0], os.getpid())
        return _restore, (self._token, self._spill)

    def __repr__(self):
        try:
            return f"<pool of {len(self)} rows>"
        except (ValueError, TypeError):
            return "<pool without rows>"


def _restore(token, spill):
    return _LIVE[token] if token in _LIVE else Pool(None, token=token, spill=spill)


def _write(data):
    """Write the data where only this user can read them; return the path and a checksum."""
    handle, path = tempfile.mkstemp(prefix="skdiffence-", suffix=".pool")  # mode 0600
    with os.fdopen(handle, "wb") as file:
        pickle.dump(data, file, protocol=5)
    return path, _checksum(path)


def _checksum(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "blake2b").digest()


def _read(path, checksum):
    # The checksum, taken from the pickle, keeps anybody else's file of that name from being loaded.
    if not os.path.exists(path) or _checksum(path) != checksum:
        raise ValueError(
            "pool has no rows here: an AttackScorer is saved without them, so that no training row is saved with it. "
            "Give it the rows again: scorer.set_params(pool=(X, y))."
        )
    with open(path, "rb") as file:
        return pickle.load(file)


def _remove(path, owner):
    # A forked worker has a copy of the pool, but the file is not its own.
    if os.getpid() == owner:
        with contextlib.suppress(OSError):
            os.remove(path)

"""Rows compared by content: canonical bytes, keyed digests, and sets of digests."""

import hashlib
import math
import secrets

import numpy as np

from skdiffence.utils._sklearn import num_samples

_DIGEST_SIZE = 16
_KEY_SIZE = 32


def canonical_rows(X):
    """Return the rows of X in the form in which rows are compared.

    Parameters
    ----------
    X : array-like of shape (n, ...) or data frame
        Numeric rows of any shape.

    Returns
    -------
    rows : ndarray of shape (n, d), dtype float32, C order
        Flattened rows. -0.0 is replaced by 0.0 and every NaN by the same NaN, so that rows with equal numbers have
        equal bytes.

    Raises
    ------
    ValueError
        If X is not numeric.
    """
    try:
        # Values beyond float32 become infinities, which compare like other values.
        with np.errstate(over="ignore"):
            rows = np.array(X, dtype=np.float32, order="C")
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"X must be numeric so that its rows can be compared by content. Got {type(X).__name__}: {error}"
        ) from None
    rows = rows.reshape(num_samples(X), math.prod(rows.shape[1:]))
    rows += 0.0  # -0.0 + 0.0 is 0.0
    rows[np.isnan(rows)] = np.nan
    return rows


def row_digests(X, key=b""):
    """Return one keyed digest for each row of X.

    Parameters
    ----------
    X : array-like of shape (n, ...) or data frame
        Numeric rows of any shape.
    key : bytes, default=b""
        Key of the hash, at most 64 bytes. Who does not know the key cannot compare the digests with those of guessed
        rows.

    Returns
    -------
    digests : ndarray of shape (n,), dtype S16
        BLAKE2b digests of the canonical rows.
    """
    rows = canonical_rows(X)
    digests = [hashlib.blake2b(row, digest_size=_DIGEST_SIZE, key=key).digest() for row in rows]
    return np.array(digests, dtype=f"S{_DIGEST_SIZE}")


def data_digest(*arrays):
    """Return a digest of the values, shapes, kinds of dtype and order of rows of arrays.

    Parameters
    ----------
    *arrays : array-like or None
        Their order counts.

    Returns
    -------
    digest : bytes of length 16
    """
    digest = hashlib.blake2b(digest_size=_DIGEST_SIZE)
    for array in arrays:
        array = np.asarray(array)
        digest.update(f"{array.dtype.kind}{array.shape}".encode())
        if array.dtype.kind in "OUSV":
            digest.update("\0".join(map(repr, array.ravel().tolist())).encode())
        else:
            digest.update(np.ascontiguousarray(array))
    return digest.digest()


class RowSet:
    """A set of rows that stores keyed digests instead of the rows.

    Parameters
    ----------
    digests : ndarray of dtype S16
        Keyed digests of the rows.
    key : bytes
        The key of the digests.
    """

    def __init__(self, digests, key):
        self.digests = np.unique(digests)
        self.key = key

    @classmethod
    def of(cls, X, key=None):
        """Return the set of the rows of X, with a random key unless one is given."""
        key = secrets.token_bytes(_KEY_SIZE) if key is None else key
        return cls(row_digests(X, key), key)

    @classmethod
    def empty(cls):
        """Return a set without rows."""
        return cls(np.empty(0, dtype=f"S{_DIGEST_SIZE}"), b"")

    def contains(self, X):
        """Return for each row of X whether it is in the set.

        Returns
        -------
        mask : ndarray of shape (n,), dtype bool
        """
        if not len(self):
            return np.zeros(num_samples(X), dtype=bool)
        return np.isin(row_digests(X, self.key), self.digests)

    def __len__(self):
        return len(self.digests)

    def __repr__(self):
        return f"<RowSet of {len(self)} distinct rows>"

"""The three kinds of noise: shared by all rows, derived from each row, and fresh at every call."""

import functools
import hashlib
import math
import secrets

import numpy as np
import torch
from sklearn.utils import gen_batches

from skdiffence.diffusion._philox import philox_normals

KEY_SIZE = 32
_SEED_SIZE = 16  # bytes: four words of Philox
N_CANDIDATES_MAX = 2**32
_CANDIDATES_AT_ONCE = 64
# Shared noise of a few candidates is cached, at most 32 MiB.
_TABLES_KEPT, _VALUES_KEPT = 32, 1 << 18
_ROWS_HASHED_AT_ONCE = 256


def derive_key(*parts):
    """Return a key of 32 bytes that depends on all parts and on their types.

    Parameters
    ----------
    *parts : bytes, str or int
        Content of the key.

    Returns
    -------
    key : bytes of length 32
    """
    digest = hashlib.blake2b(digest_size=KEY_SIZE, person=b"skdiffence key")
    for part in parts:
        data = part if isinstance(part, bytes) else str(part).encode()
        digest.update(f"{type(part).__name__}:{len(data)}:".encode() + data)
    return digest.digest()


class Noise:
    """Noise for the rows of one call, made batch by batch.

    Seeds are copied to a GPU once, and shared noise of a few candidates is made once.

    Parameters
    ----------
    kind : {"shared", "row", "fresh"}
        "shared" noise is a function of (key, candidate), "row" noise of (key, row, candidate). "fresh" noise is drawn
        from the entropy of the operating system, and has no negated candidates.
    key : bytes
        Secret key, at most 64 bytes.
    codes : callable(slice) -> uint8 ndarray of shape (n, d)
        Returns rows quantized to 8 bits, for "row" noise.
    candidates : int64 ndarray of shape (n,)
        Candidate number of each row; a negative one, ~j = -1 - j, has the noise of j with the opposite sign.
    shape : tuple of int
        Shape of one row's noise.
    device : torch.device
        Where to make the noise.

    Raises
    ------
    ValueError
        If a candidate is negative and the noise is "fresh".
    """

    def __init__(self, kind, key, codes, candidates, shape, device):
        self.shape, self.device = shape, device
        self.table, self.is_shared = None, kind == "shared"
        if kind == "shared":
            candidates, inverse = np.unique(candidates, return_inverse=True)
            self.inverse = self._put(inverse.reshape(-1))
            if len(candidates) <= _CANDIDATES_AT_ONCE:
                self.table = _shared_table(key, candidates, shape, device)
                return
            seeds = np.repeat(_shared_seed(key), len(candidates), axis=0)
        elif kind == "row":
            seeds = _row_seeds(key, codes, len(candidates))
        else:
            if candidates.min() < 0:
                raise ValueError(
                    "candidate must not be negative if noise='fresh', because noise that is drawn anew at every call "
                    f"cannot be negated. Got {candidates.min()}. Use noise='shared', or MeanRule(antithetic=False)."
                )
            seeds = _words(secrets.token_bytes(_SEED_SIZE * len(candidates)))
        self.seeds, self.candidates = self._put(seeds), self._put(np.array(candidates))

    def __call__(self, rows):
        """Return the noise of some rows.

        Parameters
        ----------
        rows : slice
            Which rows.

        Returns
        -------
        noise : float32 tensor of shape (n_rows, *shape)
        """
        if not self.is_shared:
            return self._make(self.seeds[rows], self.candidates[rows])
        if self.table is not None:
            return self.table[self.inverse[rows]]
        used, inverse = self.inverse[rows].unique(return_inverse=True)
        return self._make(self.seeds[used], self.candidates[used])[inverse]

    def _make(self, seeds, candidates):
        return _normals(seeds, candidates, self.shape, self.device)

    def _put(self, array):
        return torch.from_numpy(array).to(self.device)


def _normals(seeds, candidates, shape, device):
    is_negated = candidates < 0
    normals = philox_normals(seeds, torch.where(is_negated, ~candidates, candidates), math.prod(shape), device)
    normals.mul_(1.0 - 2.0 * is_negated.float().to(device)[:, None])  # exact
    return normals.reshape(-1, *shape)


def _shared_table(key, candidates, shape, device):
    make = _kept_table if len(candidates) * math.prod(shape) <= _VALUES_KEPT else _make_table
    return make(key, candidates.tobytes(), shape, device)


def _make_table(key, candidates, shape, device):
    candidates = torch.from_numpy(np.frombuffer(candidates, dtype=np.int64).copy()).to(device)
    seeds = torch.from_numpy(_shared_seed(key)).to(device).expand(len(candidates), -1)
    return _normals(seeds, candidates, shape, device)


_kept_table = functools.lru_cache(_TABLES_KEPT)(_make_table)


def _shared_seed(key):
    return _words(hashlib.blake2b(key=key, digest_size=_SEED_SIZE, person=b"shared noise").digest())


def _row_seeds(key, codes, n_rows):
    keyed = hashlib.blake2b(key=key, digest_size=_SEED_SIZE, person=b"row noise")
    parts = (np.ascontiguousarray(codes(rows)) for rows in gen_batches(n_rows, _ROWS_HASHED_AT_ONCE))
    return _words(b"".join(_digest(keyed, row) for part in parts for row in part))


def _digest(keyed, row):
    digest = keyed.copy()  # so that the key is hashed once, not once per row
    digest.update(row)
    return digest.digest()


def _words(data):
    return np.frombuffer(data, dtype="<u4").reshape(-1, 4).astype(np.int64)

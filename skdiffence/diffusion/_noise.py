"""The three kinds of noise: shared by all rows, of the row itself, and fresh at every call."""

import hashlib
import secrets

import numpy as np
import torch

from skdiffence.diffusion._philox import philox_normals

KEY_SIZE = 32
_SEED_SIZE = 16  # bytes: four words of Philox
N_CANDIDATES_MAX = 2**32


def derive_key(*parts):
    """Return a key of 32 bytes that depends on all parts and on their types.

    Parameters
    ----------
    *parts : bytes, str or int
        What the key is made of.

    Returns
    -------
    key : bytes of length 32
    """
    digest = hashlib.blake2b(digest_size=KEY_SIZE, person=b"skdiffence key")
    for part in parts:
        data = part if isinstance(part, bytes) else str(part).encode()
        digest.update(f"{type(part).__name__}:{len(data)}:".encode() + data)
    return digest.digest()


def noise_for(kind, key, codes, candidates, shape, device):
    """Return the noise of some rows.

    Parameters
    ----------
    kind : {"shared", "row", "fresh"}
        "shared" is a function of (key, candidate), "row" of (key, row, candidate), "fresh" of nothing: it is
        drawn from the operating system's entropy.
    key : bytes
        Secret key, at most 64 bytes.
    codes : callable() -> uint8 ndarray of shape (n, d)
        Makes the 8-bit form of the rows, where it is needed.
    candidates : int64 ndarray of shape (n,)
        Candidate number of each row.
    shape : tuple of int
        Shape of one row's noise.
    device : torch.device
        Where to make the noise.

    Returns
    -------
    noise : float32 tensor of shape (n, *shape)
    """
    size, inverse = int(np.prod(shape)), slice(None)
    if kind == "shared":
        candidates, inverse = np.unique(candidates, return_inverse=True)
        seeds = np.repeat(_shared_seed(key), len(candidates), axis=0)
    elif kind == "row":
        seeds = _row_seeds(key, codes())
    else:
        seeds = _words(secrets.token_bytes(_SEED_SIZE * len(candidates)))
    normals = philox_normals(torch.from_numpy(seeds), torch.from_numpy(np.array(candidates)), size, device)
    if kind == "shared":
        normals = normals[torch.from_numpy(inverse.reshape(-1)).to(device)]
    return normals.reshape(-1, *shape)


def _shared_seed(key):
    return _words(hashlib.blake2b(key=key, digest_size=_SEED_SIZE, person=b"shared noise").digest())


def _row_seeds(key, codes):
    keyed = hashlib.blake2b(key=key, digest_size=_SEED_SIZE, person=b"row noise")
    return _words(b"".join(_digest(keyed, row) for row in np.ascontiguousarray(codes)))


def _digest(keyed, row):
    digest = keyed.copy()  # the key block is hashed once, not once per row
    digest.update(row)
    return digest.digest()


def _words(data):
    return np.frombuffer(data, dtype="<u4").reshape(-1, 4).astype(np.int64)

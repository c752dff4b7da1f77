"""What each kind of noise is a function of."""

import numpy as np
import pytest
import torch

from skdiffence.diffusion import _noise as _noise_module
from skdiffence.diffusion._noise import Noise, derive_key

CPU = torch.device("cpu")
CODES = np.random.default_rng(0).integers(0, 256, size=(20, 12), dtype=np.uint8)
KEY = derive_key("key")


def _noise(kind, key=KEY, codes=CODES, candidates=0):
    candidates = np.broadcast_to(np.asarray(candidates, dtype=np.int64), len(codes))
    return Noise(kind, key, lambda rows: codes[rows], candidates, (3, 2, 2), CPU)(slice(None))


def test_shared_is_one_for_all_rows():
    """Shared noise is one tensor per candidate."""
    noise = _noise("shared")
    assert noise.shape == (20, 3, 2, 2) and noise.dtype == torch.float32
    assert torch.equal(noise, noise[:1].expand_as(noise))
    assert not torch.equal(noise, _noise("shared", candidates=1))


@pytest.mark.parametrize("kind", ["shared", "row"])
def test_function_of_key_and_candidate(kind):
    """The same key and candidate give the same noise; any other gives another."""
    assert torch.equal(_noise(kind), _noise(kind))
    assert not torch.equal(_noise(kind), _noise(kind, key=derive_key("other")))
    mixed = np.arange(20) % 3
    for candidate in range(3):
        assert torch.equal(_noise(kind, candidates=mixed)[mixed == candidate],
                           _noise(kind, candidates=candidate)[mixed == candidate])


@pytest.mark.parametrize("kind", ["shared", "row"])
@pytest.mark.parametrize("n_candidates", [1, 3, 100])
def test_negative_candidates_are_negated(kind, n_candidates):
    """The noise of candidate ~j is that of j with the opposite sign, alone and among others, to the last bit."""
    candidates = np.arange(20) % n_candidates
    noise = _noise(kind, candidates=candidates)
    assert torch.equal(_noise(kind, candidates=~candidates), -noise)
    mixed = np.where(np.arange(20) % 2, ~candidates, candidates)
    signs = torch.from_numpy(1.0 - 2.0 * (np.arange(20) % 2)).float().reshape(-1, 1, 1, 1)
    assert torch.equal(_noise(kind, candidates=mixed), signs * noise)


def test_fresh_noise_cannot_be_negated():
    """No call knows the noise of another one."""
    with pytest.raises(ValueError, match="candidate must not be negative if noise='fresh'"):
        _noise("fresh", candidates=-1)


def test_row_is_of_the_row():
    """Row noise follows the row through any order, differs between rows, and changes with one gray level."""
    noise = _noise("row")
    order = np.random.default_rng(1).permutation(20)
    assert torch.equal(_noise("row", codes=CODES[order]), noise[torch.from_numpy(order)])
    assert len(torch.unique(noise.flatten(1), dim=0)) == 20
    neighbor = CODES.copy()
    neighbor[0, 0] ^= 1
    changed = _noise("row", codes=neighbor)
    assert not torch.equal(changed[0], noise[0]) and torch.equal(changed[1:], noise[1:])


@pytest.mark.parametrize("kind", ["shared", "row"])
@pytest.mark.parametrize("n_candidates", [1, 3, 100])
def test_batches_are_parts_of_the_whole(kind, n_candidates):
    """Noise made batch by batch is the noise made at once, for few candidates and for many."""
    codes = np.random.default_rng(0).integers(0, 256, size=(300, 12), dtype=np.uint8)
    candidates = np.random.default_rng(1).permutation(300) % n_candidates
    noise = Noise(kind, KEY, lambda rows: codes[rows], candidates, (3, 2, 2), CPU)
    parts = torch.cat([noise(slice(start, start + 37)) for start in range(0, 300, 37)])
    assert torch.equal(parts, noise(slice(None)))
    alone = [Noise(kind, KEY, lambda rows, i=i: codes[i : i + 1][rows], candidates[i : i + 1], (3, 2, 2), CPU)
             for i in (0, 41, 299)]
    assert torch.equal(torch.cat([each(slice(None)) for each in alone]), parts[[0, 41, 299]])


def test_row_takes_any_layout():
    """Codes that are not contiguous are hashed as their values."""
    assert torch.equal(_noise("row", codes=np.asfortranarray(CODES)), _noise("row"))


def test_fresh_is_fresh(untouched_generators):
    """Fresh noise is another at each call and row, and moves no global generator."""
    first, second = _noise("fresh"), _noise("fresh")
    assert len(torch.unique(torch.cat([first, second]).flatten(1), dim=0)) == 40


@pytest.mark.parametrize("one, other", [(b"1", "1"), ("1", 1), (1, 2), (("a", "bc"), ("ab", "c"))])
def test_keys_differ(one, other):
    """Keys of unequal secrets are unequal, types and boundaries included."""
    as_parts = [parts if isinstance(parts, tuple) else (parts,) for parts in (one, other)]
    keys = [derive_key(*parts) for parts in as_parts]
    assert keys[0] != keys[1] and len(keys[0]) == 32


def test_kept_noise_is_what_would_be_made(monkeypatch):
    """Shared noise that was made before is that of the same key, candidates and shape, and changing it harms nobody."""
    made = {}
    for _ in range(2):
        for key in (KEY, derive_key("other")):
            for candidate in (0, 1):
                noise = _noise("shared", key=key, candidates=candidate)
                assert torch.equal(noise, made.setdefault((key, candidate), noise.clone()))
                noise.zero_()
    monkeypatch.setattr(_noise_module, "_VALUES_KEPT", 0)
    for (key, candidate), noise in made.items():
        assert torch.equal(noise, _noise("shared", key=key, candidates=candidate))

"""The counter-based generator against published vectors, and its normal numbers against the normal law."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from skdiffence.diffusion._philox import box_muller, philox, philox_normals

ALL = 0xFFFFFFFF


def _words(*values):
    return tuple(torch.tensor([value], dtype=torch.int64) for value in values)


# Known-answer tests of Random123 for philox4x32-10: counter, key, output.
VECTORS = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((ALL, ALL, ALL, ALL), (ALL, ALL), (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize("counter, key, expected", VECTORS)
def test_known_answers(counter, key, expected):
    """The words are those that Random123 publishes."""
    assert tuple(int(word) for word in philox(_words(*counter), _words(*key))) == expected


def test_many_counters_at_once():
    """Vectorized words equal Philox in Python integers, counter by counter."""
    counters = torch.randint(0, 2**32, (50, 4), generator=torch.Generator().manual_seed(0))
    made = torch.stack(philox(tuple(counters.T), _words(12345, 4000000000)), dim=1)
    for counter, words in zip(counters.tolist(), made.tolist(), strict=True):
        assert words == _philox_of_integers(counter, [12345, 4000000000])


def _philox_of_integers(counter, key):
    for _ in range(10):
        left, right = 0xD2511F53 * counter[0], 0xCD9E8D57 * counter[2]
        counter = [right >> 32 ^ counter[1] ^ key[0], right & ALL, left >> 32 ^ counter[3] ^ key[1], left & ALL]
        key = [(key[0] + 0x9E3779B9) & ALL, (key[1] + 0xBB67AE85) & ALL]
    return counter


def test_box_muller_equals_library():
    """The series equal library logarithm, cosine and sine to float32 rounding, at the ends too."""
    words = torch.randint(0, 2**32, (2, 10_000), generator=torch.Generator().manual_seed(1))
    words[0, :4] = torch.tensor([0, ALL, 0, ALL])
    words[1, :4] = torch.tensor([0, 0, ALL, ALL])
    first, second = box_muller(*words)
    radius = np.sqrt(-2 * np.log((words[0].numpy() + 0.5) / 2**32))
    quadrant, rest = np.divmod(words[1].numpy(), 2**30)
    angle = (quadrant + (rest + 0.5) / 2**30 - 0.5) * math.pi / 2
    np.testing.assert_allclose(first.numpy(), radius * np.cos(angle), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(second.numpy(), radius * np.sin(angle), rtol=1e-6, atol=1e-7)


def test_normal():
    """200,000 numbers pass for normal: their law, their tails, their independence."""
    z = philox_normals(torch.tensor([[1, 2, 3, 4]]), torch.tensor([0]), 200_000, torch.device("cpu"))[0].numpy()
    assert stats.kstest(z, "norm").pvalue > 1e-3
    assert abs(z.mean()) < 4 / np.sqrt(len(z))
    assert abs(z.var() - 1) < 4 * np.sqrt(2 / len(z))
    assert abs(stats.kurtosis(z)) < 4 * np.sqrt(24 / len(z))
    beyond = np.mean(np.abs(z) > 3.5)
    assert abs(beyond - 2 * stats.norm.sf(3.5)) < 4 * np.sqrt(beyond / len(z))
    for lag in (1, 2, 3, 4):
        assert abs(np.corrcoef(z[lag:], z[:-lag])[0, 1]) < 4 / np.sqrt(len(z))


@pytest.mark.parametrize("size", [1, 3, 4, 5, 64, 40_000])
def test_prefix_and_rows(size):
    """A number depends on seed, candidate and position alone: not on how many are made, nor beside what."""
    seeds = torch.randint(0, 2**32, (7, 4), generator=torch.Generator().manual_seed(2))
    candidates = torch.arange(7)
    all_rows = philox_normals(seeds, candidates, size, torch.device("cpu"))
    longer = philox_normals(seeds[3:4], candidates[3:4], size + 9, torch.device("cpu"))
    assert torch.equal(all_rows[3], longer[0, :size])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="compares with a GPU")
def test_same_bits_on_gpu():
    """A GPU makes the same bits as a CPU."""
    seeds = torch.randint(0, 2**32, (100, 4), generator=torch.Generator().manual_seed(3))
    made = [philox_normals(seeds, torch.arange(100), 3072, torch.device(name)).cpu() for name in ("cpu", "cuda")]
    assert torch.equal(*made)

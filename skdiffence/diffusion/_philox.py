"""Philox4x32-10, a counter-based generator, and normal numbers from it that are bit-identical on all devices."""

import math

import torch

_MASK = 0xFFFFFFFF
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10

# Words per pass: the integer temporaries of a pass then stay in the processor's cache.
_BLOCKS_PER_PASS = {"cpu": 1 << 14, "cuda": 1 << 22}

# Taylor coefficients, exact enough for float32 on |x| <= pi/4 (sine and cosine) and |s| <= 0.172 (artanh).
_SINE = [(-1) ** i / math.factorial(2 * i + 1) for i in range(6)]
_COSINE = [(-1) ** i / math.factorial(2 * i) for i in range(7)]
_ARTANH = [1 / (2 * i + 1) for i in range(7)]


def philox(counter, key):
    """Return the four output words of Philox4x32-10 for each counter.

    Words of 32 bits are held in int64, which torch multiplies exactly on every device. The product of two words wraps
    modulo 2**64, and its halves follow by shift and mask.

    Parameters
    ----------
    counter : sequence of 4 int64 tensors that broadcast
        Counter words, lowest first, each in [0, 2**32).
    key : sequence of 2 int64 tensors that broadcast
        Key words, each in [0, 2**32).

    Returns
    -------
    words : tuple of 4 int64 tensors
        Output words in [0, 2**32).

    References
    ----------
    Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
    """
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(_ROUNDS):
        p0, p1 = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0, c1, c2, c3 = (_high(p1) ^ c1 ^ k0), p1 & _MASK, (_high(p0) ^ c3 ^ k1), p0 & _MASK
        k0, k1 = (k0 + _WEYL[0]) & _MASK, (k1 + _WEYL[1]) & _MASK
    return c0, c1, c2, c3


def _high(product):
    return (product >> 32) & _MASK


def philox_normals(seeds, candidates, size, device):
    """Return standard normal numbers that are a pure function of (seed, candidate, position).

    Parameters
    ----------
    seeds : int64 tensor of shape (n, 4)
        Words in [0, 2**32): two of key and two of counter, for each row of output.
    candidates : int64 tensor of shape (n,)
        Candidate numbers in [0, 2**32), the second counter word.
    size : int
        Normal numbers per row, at most 2**34.
    device : torch.device
        Where to compute. The result does not depend on it.

    Returns
    -------
    normals : float32 tensor of shape (n, size), on ``device``
    """
    seeds, candidates = seeds.to(device), candidates.to(device)
    normals = torch.empty(len(seeds), size, dtype=torch.float32, device=device)
    n_blocks = -(-size // 4)
    budget = _BLOCKS_PER_PASS.get(torch.device(device).type, _BLOCKS_PER_PASS["cpu"])
    width = min(n_blocks, budget)
    height = max(1, budget // width)
    for top in range(0, len(seeds), height):
        rows = slice(top, top + height)
        for left in range(0, n_blocks, width):
            blocks = torch.arange(left, min(left + width, n_blocks), device=device)
            columns = slice(4 * left, min(4 * (left + width), size))
            made = _normals_of_blocks(seeds[rows, :, None], candidates[rows, None], blocks)
            normals[rows, columns] = made[:, : columns.stop - columns.start]
    return normals


def _normals_of_blocks(seeds, candidates, blocks):
    counter = (blocks[None], candidates, seeds[:, 2], seeds[:, 3])
    w0, w1, w2, w3 = philox(counter, (seeds[:, 0], seeds[:, 1]))
    pairs = (*box_muller(w0, w1), *box_muller(w2, w3))
    return torch.stack(pairs, dim=-1).flatten(1)


def box_muller(radius_word, angle_word):
    """Transform two 32-bit words to two independent standard normal numbers.

    Only additions, multiplications, divisions, square roots and selections are used, in float64, each as a separate
    step. IEEE 754 fixes their results, so CPUs and GPUs return the same bits. Library logarithms and cosines differ
    between devices.

    Parameters
    ----------
    radius_word, angle_word : int64 tensors
        Words in [0, 2**32).

    Returns
    -------
    normals : tuple of 2 float32 tensors
        At most 6.77 in absolute value.
    """
    uniform = (radius_word.double() + 0.5) * 2.0**-32  # never 0, never 1
    radius = torch.sqrt(_log(uniform) * -2.0)
    cosine, sine = _turn(angle_word)
    return (radius * cosine).float(), (radius * sine).float()


def _log(x):
    """Return the natural logarithm of float64 x in (0, 1)."""
    mantissa, exponent = torch.frexp(x)
    # Move the mantissa from [0.5, 1) to [sqrt(1/2), sqrt(2)), where few terms of the series are enough.
    small = (mantissa < math.sqrt(0.5)).double()
    mantissa = mantissa * (small + 1.0)
    exponent = exponent.double() - small
    s = (mantissa - 1.0) / (mantissa + 1.0)
    return exponent * math.log(2.0) + s * _polynomial(s * s, _ARTANH) * 2.0


def _turn(word):
    """Return cosine and sine of the angle that a 32-bit word encodes, uniform on the circle."""
    quadrant = word >> 30
    fraction = ((word & 0x3FFFFFFF).double() + 0.5) * 2.0**-30
    x = (fraction - 0.5) * (math.pi / 2)
    square = x * x
    cosine, sine = _polynomial(square, _COSINE), x * _polynomial(square, _SINE)
    # Products with 0, 1 and -1 are exact selections, and much faster than torch.where.
    odd, sign = (quadrant & 1).double(), 1.0 - (quadrant & 2).double()
    even = 1.0 - odd
    return sign * (even * cosine - odd * sine), sign * (odd * cosine + even * sine)


def _polynomial(x, coefficients):
    value = torch.full_like(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        value = value * x
        value = value + coefficient
    return value

"""Value ranges, padding, standardization and 8-bit codes."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from skdiffence.diffusion._space import ImageSpace, RowSpace, check_range, detect_range

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    "low, high, dtype, expected",
    [
        (0, 1, float, (0, 1)),
        (0.1, 0.3, float, (0, 1)),
        (-1, 1, float, (-1, 1)),
        (-0.2, 0.5, float, (-1, 1)),
        (0, 255, float, (0, 255)),
        (0, 3, np.uint8, (0, 255)),
        (0, 16, float, (0, 16)),
        (0, 127, int, (0, 127)),
        (0, 128, int, (0, 255)),
        (-2.1, 2.6, float, (-2.1, 2.6)),
        (0, 1000, float, (0, 1000)),
    ],
)
def test_detect_range(low, high, dtype, expected):
    """The natural range is found, else the data's own."""
    X = np.linspace(low, high, 16).reshape(1, 1, 4, 4).astype(dtype)
    assert tuple(detect_range(X)) == pytest.approx(expected)


def test_detect_range_of_equal_values():
    """Images without a range are an error that names value_range."""
    with pytest.raises(ValueError, match="value_range='auto' found only one value"):
        detect_range(np.full((2, 1, 4, 4), 7.0))


@pytest.mark.parametrize("bad", [(1, 0), (0, 0), (0,), (0, 1, 2), (0, np.inf), ("a", "b"), ([0, 0], [1, 1]), 3])
def test_check_range(bad):
    """A value range that is none is an error that names it."""
    with pytest.raises(ValueError, match="value_range must be 'auto' or a finite pair"):
        check_range(bad, 3)


@settings(deadline=None, max_examples=40)
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    channels=st.integers(1, 4),
    multiple=st.sampled_from([1, 2, 4, 8]),
    low=st.floats(-300, 300),
    span=st.floats(1e-2, 1e3),
)
def test_image_round_trip(height, width, channels, multiple, low, span):
    """Encoding and decoding gives the image back, padded in between to the multiple, within [-1, 1]."""
    X = np.random.default_rng(0).uniform(low, low + span, size=(2, channels, height, width)).astype(np.float32)
    space = ImageSpace(X.shape[1:], np.array([low, low + span]), multiple)
    x = space.encode(X, CPU)
    assert x.shape[1:] == space.shape and all(side % multiple == 0 for side in x.shape[2:])
    assert x.dtype == torch.float32 and float(x.abs().max()) <= 1
    np.testing.assert_allclose(space.decode(x, X), X, atol=1e-6 * (abs(low) + span))


def test_padding_repeats_edges():
    """Padding is of the edges, so that no border is seen that the image does not have."""
    X = np.random.default_rng(0).uniform(size=(1, 1, 3, 3))
    x = ImageSpace((1, 3, 3), np.array([0.0, 1.0]), 8).encode(X, CPU)[0, 0]
    assert torch.equal(x[0], x[2]) and torch.equal(x[-1], x[-2]) and torch.equal(x[:, 0], x[:, 2])


def test_range_per_channel():
    """A range for each channel maps each channel's ends to -1 and 1."""
    ends = np.array([[0.0, -2.0], [1.0, 2.0]])
    X = np.stack([ends[0], ends[1]]).reshape(2, 2, 1, 1)
    x = ImageSpace((2, 1, 1), ends).encode(X, CPU)
    assert x.flatten().tolist() == [-1, -1, 1, 1]


def test_decode_clamps():
    """Denoised images are clamped to the range."""
    space = ImageSpace((1, 1, 1), np.array([0.0, 10.0]))
    assert space.decode(torch.tensor([[[[3.0]]], [[[-3.0]]]]), None).flatten().tolist() == [10, 0]


def test_codes_of_uint8_and_float_agree():
    """An image has the same 8-bit code as uint8 and as float."""
    X = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
    as_bytes = ImageSpace((1, 16, 16), np.array([0.0, 255.0])).quantize(X)
    as_floats = ImageSpace((1, 16, 16), np.array([0.0, 1.0])).quantize((X / 255).astype(np.float32))
    np.testing.assert_array_equal(as_bytes, X.reshape(1, -1))
    np.testing.assert_array_equal(as_floats, as_bytes)


def test_rows_standardize(rows):
    """Varying features are standardized; the constant one is left out and passes unchanged."""
    space = RowSpace.of(rows)
    x = space.encode(rows, CPU)
    assert x.dtype == torch.float64 and space.shape == (4,)
    np.testing.assert_allclose(x.numpy().mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(x.numpy().std(axis=0), 1, rtol=1e-4)
    other = rows + 1
    decoded = space.decode(space.encode(other, CPU), other)
    np.testing.assert_allclose(decoded, other, rtol=1e-6)
    assert (decoded[:, 3] == 8).all()


def test_codes_of_rows_ignore_dtype(rows):
    """The code of a row is the same in float32 and float64, with 0.0 and -0.0."""
    space = RowSpace.of(rows)
    np.testing.assert_array_equal(space.quantize(rows), space.quantize(rows.astype(np.float32)))
    zero = np.zeros((1, 5))
    np.testing.assert_array_equal(space.quantize(zero), space.quantize(-zero))


def test_constant_after_rounding():
    """A constant column whose standard deviation rounds to something tiny still counts as constant."""
    X = np.c_[np.full(1000, 0.1), np.arange(1000)]
    assert RowSpace.of(X).varies.tolist() == [1]

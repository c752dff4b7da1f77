"""Arrays of images: channels come first."""

import numpy as np

# Images have 1 to 4 channels: gray, gray and alpha, color, color and alpha. Others are rare, and are recognized only
# where the two sides of an image are equal.
_CHANNELS = (1, 2, 3, 4)
_LONGEST = 3  # times the shorter side


def has_channels_last(shape):
    """Whether an array has the shape of images with their channels last.

    Shapes that may be either, such as (n, 3, 32, 3) or (n, 16, 4, 4), are taken for channels first.

    Parameters
    ----------
    shape : tuple of int
        Shape of the array.

    Returns
    -------
    last : bool
    """
    if len(shape) != 4 or shape[1] in _CHANNELS or shape[2] in _CHANNELS:
        return False
    _, height, width, channels = shape
    if channels in _CHANNELS:
        return max(height, width) <= _LONGEST * min(height, width)
    return height == width and 2 * channels <= width


def _shape(X):
    if hasattr(X, "shape"):
        return tuple(X.shape)
    try:
        return np.shape(X)
    except ValueError:  # a ragged list, which is refused elsewhere
        return ()


def _is_transposed(got, expected):
    return got != expected and got == (*expected[1:], expected[0])


def check_channels_first(X, *, name="X", shape=None):
    """Raise an error if images have their channels last.

    Parameters
    ----------
    X : array-like
        Images, or anything else, which passes.
    name : str, default="X"
        What the error calls it.
    shape : tuple of int or None, default=None
        (channels, height, width) that images must have. None judges by the shape of X alone.

    Raises
    ------
    ValueError
        If X has the shape (n, height, width, channels).
    """
    got = _shape(X)
    if has_channels_last(got) if shape is None else _is_transposed(got[1:], tuple(shape)):
        raise ValueError(
            f"{name} must hold images with their channels first: (n_samples, channels, height, width). Got shape "
            f"{got}, which looks like (n_samples, height, width, channels). Use {name}.transpose(0, 3, 1, 2)."
        )

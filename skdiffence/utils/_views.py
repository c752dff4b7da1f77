"""Flips and shifts of images: a few fixed views of each image, the unchanged one first."""

from functools import partial

import numpy as np

from skdiffence.utils._images import check_channels_first
from skdiffence.utils._sklearn import num_samples

_KINDS = ("identity", "flips", "shifts", "flips+shifts")


def check_images(X):
    """Return images as an array.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_channels, height, width)
        Images, channels first.

    Returns
    -------
    X : ndarray
        In the dtype of the input.

    Raises
    ------
    ValueError
        If X has another shape, or channels last.
    """
    X = np.asarray(X)
    if X.ndim != 4:
        raise ValueError(
            "X must hold images of shape (n_samples, n_channels, height, width) to be flipped and shifted. "
            f"Got shape {X.shape}."
        )
    check_channels_first(X)
    return X


def flip(X):
    """Flip images horizontally.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_channels, height, width)
        Images.

    Returns
    -------
    X_flipped : ndarray of the same shape and dtype
    """
    # A copy, because torch rejects arrays with negative strides.
    return np.ascontiguousarray(check_images(X)[..., ::-1])


def shift(X, dy, dx):
    """Shift images by whole pixels, repeating their edge.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_channels, height, width)
        Images.
    dy, dx : int
        Number of pixels down and to the right; negative for up and left.

    Returns
    -------
    X_shifted : ndarray of the same shape and dtype
    """
    X = check_images(X)
    rows, columns = (
        np.clip(np.arange(side) - step, 0, side - 1) for side, step in zip(X.shape[2:], (dy, dx), strict=True)
    )
    return X[:, :, rows[:, np.newaxis], columns]


def augmentations(kind="flips+shifts", *, step=1):
    """Return fixed views as functions of images.

    Parameters
    ----------
    kind : {"identity", "flips", "shifts", "flips+shifts"}, default="flips+shifts"
        "flips" are 2 views, "shifts" 9 (by -step, 0 or +step along both axes), and both together 18.
    step : int, default=1
        Number of pixels of a shift.

    Returns
    -------
    views : list of callable
        Each takes and returns images. The first is the identity; small changes come before large ones.

    Raises
    ------
    ValueError
        If the kind is unknown, or the step is below 1.
    """
    if kind not in _KINDS:
        raise ValueError(f"kind must be one of {', '.join(map(repr, _KINDS))}. Got {kind!r}.")
    if step < 1:
        raise ValueError(f"step must be at least 1 pixel. Got {step!r}.")
    flips = (False, True) if "flips" in kind else (False,)
    steps = _steps(step) if "shifts" in kind else [(0, 0)]
    return [partial(_view, flipped=flipped, dy=dy, dx=dx) for dy, dx in steps for flipped in flips]


def _steps(step):
    both = [(dy, dx) for dy in (0, -step, step) for dx in (0, -step, step)]
    return sorted(both, key=lambda move: abs(move[0]) + abs(move[1]))


def _view(X, *, flipped, dy, dx):
    X = flip(X) if flipped else check_images(X)
    return shift(X, dy, dx) if dy or dx else X


def all_views(X, *, queries, shift=1):
    """Return the arrays to query for X.

    Parameters
    ----------
    X : array-like of shape (n_samples, ...)
        Rows; images if they are flipped or shifted.
    queries : {"identity", "flips", "shifts", "flips+shifts"} or callable
        Views of images, or a function that takes X and returns a list of arrays of further queries.
    shift : int, default=1
        Number of pixels of a shift.

    Returns
    -------
    views : list of array-like of shape (n_samples, ...)
        The first is X itself.

    Raises
    ------
    ValueError
        If X must hold images and does not, or a query has another number of rows.
    """
    return [X, *further_views(X, queries=queries, shift=shift)]


def further_views(X, *, queries, shift=1, name="queries"):
    """Yield the arrays of :func:`all_views` but the first, one after another; ``name`` is what an error calls them."""
    if isinstance(queries, str):
        further = () if queries == "identity" else augmentations(queries, step=shift)[1:]
        yield from (view(X) for view in further)
        return
    for view in queries(X):
        if num_samples(view) != num_samples(X):
            raise ValueError(
                f"{name} must return arrays with one row for each of the {num_samples(X)} rows. "
                f"Got {num_samples(view)}."
            )
        yield view

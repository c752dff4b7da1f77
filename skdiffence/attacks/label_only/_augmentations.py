"""Images flipped and shifted: the same few views of every image, the unchanged one first."""

from functools import partial

import numpy as np

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
        Of the same type of numbers.

    Raises
    ------
    ValueError
        If X is of another shape.
    """
    X = np.asarray(X)
    if X.ndim != 4:
        raise ValueError(
            "X must hold images of shape (n_samples, n_channels, height, width) to be flipped and shifted. "
            f"Got shape {X.shape}."
        )
    return X


def flip(X):
    """Mirror images, left for right.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_channels, height, width)
        Images.

    Returns
    -------
    X_flipped : ndarray of the same shape and dtype
    """
    # A copy: torch refuses arrays that run backwards.
    return np.ascontiguousarray(check_images(X)[..., ::-1])


def shift(X, dy, dx):
    """Move images by whole pixels; their edge is repeated where nothing moved in.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_channels, height, width)
        Images.
    dy, dx : int
        How far down and how far right; negative for up and left.

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
    """Return the fixed views of an image, as functions of images.

    Parameters
    ----------
    kind : {"identity", "flips", "shifts", "flips+shifts"}, default="flips+shifts"
        "flips" are 2 views, "shifts" 9 (by -step, 0 or +step along both axes), both together 18.
    step : int, default=1
        Pixels of a shift.

    Returns
    -------
    views : list of callable
        Each takes and returns images. The first leaves them as they are; small changes come before large ones.

    Raises
    ------
    ValueError
        If there is no such kind, or the step is none.
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
    """Return the arrays to ask about for X.

    Parameters
    ----------
    X : array-like of shape (n_samples, ...)
        Rows; images where they are flipped and shifted.
    queries : {"identity", "flips", "shifts", "flips+shifts"} or callable
        Views of an image, or what takes X and returns a list of arrays of further queries.
    shift : int, default=1
        Pixels of a shift.

    Returns
    -------
    views : list of array-like of shape (n_samples, ...)
        X itself first.

    Raises
    ------
    ValueError
        If X is no images and must be, or a query has another number of rows.
    """
    if isinstance(queries, str):
        return [X] if queries == "identity" else [view(X) for view in augmentations(queries, step=shift)]
    views = [X, *queries(X)]
    for view in views[1:]:
        if num_samples(view) != num_samples(X):
            raise ValueError(
                f"queries must return arrays with one row for each of the {num_samples(X)} rows. "
                f"Got {num_samples(view)}."
            )
    return views

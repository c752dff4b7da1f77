"""Rows as small pictures, images as they are and features as lines, with short labels."""

import numpy as np

from skdiffence.inspection.displays._mixin import BLUE, GRAY, LIGHT
from skdiffence.utils._images import check_channels_first

_LONGEST = 12  # characters of a label


def as_pictures(X, candidates, value_range):
    """Return rows and their candidates in the form in which they are drawn.

    Parameters
    ----------
    X : array-like of shape (n, channels, height, width) or (n, d)
        Originals.
    candidates : array-like of shape (n, n_candidates, ...)
        Candidates of each.
    value_range : array-like of shape (2,), (2, channels) or (2, d), or None
        Lowest and highest value; None is that of the originals.

    Returns
    -------
    pictures : ndarray of shape (n, 1 + n_candidates, height, width), (n, 1 + n_candidates, height, width, 3) or \
            (n, 1 + n_candidates, d)
        Values in [0, 1]; the first picture of each row is the original.

    Raises
    ------
    ValueError
        If shapes or the range do not fit.
    """
    X, candidates = np.asarray(X, dtype=np.float64), np.asarray(candidates, dtype=np.float64)
    check_channels_first(X)
    shape = len(X), *candidates.shape[1:2], *X.shape[1:]
    if X.ndim not in (2, 4) or candidates.shape != shape or not X.size:
        raise ValueError(
            "X must have shape (n, channels, height, width) or (n, d), and candidates one more axis after the "
            f"first. Got {X.shape} and {candidates.shape}."
        )
    X = np.concatenate([X[:, None], candidates], axis=1)
    is_image = X.ndim == 5
    if value_range is None:
        # Features have no common unit, the channels of an image have one.
        low, high = (end(X[:, 0], axis=None if is_image else 0) for end in (np.min, np.max))
    else:
        low, high = _checked_range(value_range, X.shape[2])
    if is_image:
        low, high = (np.reshape(end, (-1, 1, 1)) for end in (low, high))
    span = np.where(high > low, high - low, 1.0)
    unit = np.clip((X - low) / span, 0.0, 1.0)
    if not is_image:
        return unit
    n_shown = 3 if X.shape[2] in (3, 4) else 1
    return np.moveaxis(unit[:, :, :3], 2, -1) if n_shown == 3 else unit[:, :, 0]


def _checked_range(value_range, n_values):
    ends = np.asarray(value_range, dtype=np.float64)
    if ends.shape not in {(2,), (2, n_values)} or not np.isfinite(ends).all():
        raise ValueError(f"value_range must be finite, of shape (2,) or (2, {n_values}). Got {value_range!r}.")
    return ends


def draw_picture(ax, pictures, which, box, cmap):
    """Draw one picture of a row into a box of the axes.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        To draw on.
    pictures : ndarray of shape (n_pictures, ...)
        All pictures of the row.
    which : int
        Which of them to draw; 0 is the original, which stands behind lines as well.
    box : tuple of float
        Left, right, bottom and top.
    cmap : str or matplotlib.colors.Colormap
        Colors of images with one channel.

    Returns
    -------
    artist : matplotlib.image.AxesImage or matplotlib.lines.Line2D
    """
    picture = pictures[which]
    if picture.ndim > 1:
        return ax.imshow(picture, extent=box, cmap=cmap, vmin=0, vmax=1, interpolation="nearest")
    left, right, bottom, top = box
    x = np.linspace(left, right, 2 * len(picture) + 1)[1::2]
    ax.fill_between((left, right), bottom, top, color=LIGHT, alpha=0.5, linewidth=0)

    def line(values, **style):
        y = bottom + (top - bottom) * (0.05 + 0.9 * values)
        return ax.plot(x, y, marker=".", markersize=4, **style)[0]

    if which:
        line(pictures[0], color=GRAY, alpha=0.5, linewidth=1)
    return line(picture, color=BLUE if which else GRAY, linewidth=1.2)


def shortened(label, longest=_LONGEST):
    """Return a label as text, cut with an ellipsis if it is longer than a number of characters."""
    text = str(label)
    return text if len(text) <= longest else f"{text[: longest - 1]}\N{HORIZONTAL ELLIPSIS}"


def exchanged(label, other):
    """Return the text for a label that is exchanged with another one, on two lines if it is long."""
    text = f"{label} \N{RIGHTWARDS ARROW} {other}"
    return text if len(text) <= _LONGEST else f"{label}\n\N{RIGHTWARDS ARROW} {other}"

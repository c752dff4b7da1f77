"""Names beside points."""

import numpy as np
from sklearn.isotonic import isotonic_regression

FONT_SIZE = 8


def write_names(ax, names, x, y, colors):
    """Write names beside their points, on the side with more room, and one line apart from each other.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        Axes whose limits are set.
    names : list of str
        Names of the points.
    x, y : ndarray of shape (n_points,)
        The points.
    colors : list of str
        Colors of the names.

    Returns
    -------
    texts : list of matplotlib.text.Annotation
    """
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    line = 1.3 * FONT_SIZE * (top - bottom) / (ax.bbox.height * 72 / ax.figure.dpi)
    on_left = x > (left + right) / 2
    text_y = np.array(y)
    for side in filter(np.any, (on_left, ~on_left)):
        order = np.flatnonzero(side)[np.argsort(y[side], kind="stable")]
        lines = line * np.arange(len(order))
        # The least moves that keep the order, leave a line between neighbors, and stay inside the axes.
        ends = bottom + line / 2, top - line / 2 - lines[-1]
        text_y[order] = isotonic_regression(y[order] - lines, y_min=ends[0], y_max=max(ends)) + lines
    text_x = x + np.where(on_left, -1, 1) * 0.03 * (right - left)
    return [
        ax.annotate(
            name,
            (x[i], y[i]),
            xytext=(text_x[i], text_y[i]),
            ha="right" if on_left[i] else "left",
            va="center",
            fontsize=FONT_SIZE,
            color=colors[i],
            arrowprops={"arrowstyle": "-", "color": colors[i], "linewidth": 0.5, "shrinkA": 0, "shrinkB": 2},
        )
        for i, name in enumerate(names)
    ]

"""Names beside points, each where it covers the least of what else is drawn."""

import numpy as np

# Directions in which a name may stand from its point, the most natural first; and how far off, in points (1/72 inch).
_DIRECTIONS = [(1, 0), (1, 1), (1, -1), (0, 1), (0, -1), (-1, 0), (-1, 1), (-1, -1)]
_DISTANCES = (6, 12, 20, 30, 42, 56, 72, 90)
_WITH_LEADER = 12
_ALIGNMENT = {-1: ("right", "top"), 0: ("center", "center"), 1: ("left", "bottom")}
# A name that can't be read is worse than any number of points and lines below it.
_COST_OF_UNREADABLE, _COST_OF_POINT, _COST_OF_DISTANCE, _COST_OF_RANK = 1000.0, 1.0, 0.02, 0.001
_N_ROUNDS = 4
_MARGIN = 1.5


def place_labels(ax, x, y, names, *, obstacles=(), fontsize=8, colors=None):
    """Write names beside points so that they cover neither each other nor points.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        To draw on; its limits must be final.
    x, y : ndarray of shape (n_points,)
        The points.
    names : list of str
        Their names.
    obstacles : array-like of shape (n_obstacles, 2), default=()
        Further places that are better left free, in the units of the axes.
    fontsize : float, default=8
        Of the names.
    colors : list of str, default=None
        Colors of the names; None is black.

    Returns
    -------
    texts : list of matplotlib.text.Annotation
        In the order of the points.
    """
    root = ax.figure.canvas.figure
    root.draw_without_rendering()  # only a layout knows where points are
    pixels_per_point = root.dpi / 72
    points = ax.transData.transform(np.column_stack([x, y]))
    others = ax.transData.transform(np.reshape(np.asarray(obstacles, dtype=float), (-1, 2)))
    sizes = [_size(ax, name, fontsize) for name in names]
    frame = np.asarray(ax.get_window_extent().extents)
    options = [_options(point, size, pixels_per_point) for point, size in zip(points, sizes, strict=True)]
    fixed = [_fixed_costs(places, np.vstack([points, others]), frame) for places in options]
    chosen = {}
    # Whoever was placed early is placed again, now that it is known where the others are.
    for i in [*_crowded_first(points)] * _N_ROUNDS:
        placed = [options[j][chosen[j]][2] for j in chosen if j != i]
        hidden = np.array([_overlap(box, placed).sum() for _, _, box in options[i]])
        chosen[i] = int(np.argmin(fixed[i] + _COST_OF_UNREADABLE * hidden))
    chosen = [options[i][chosen[i]] for i in range(len(names))]
    colors = ["black"] * len(names) if colors is None else colors
    return [_write(ax, (x[i], y[i]), names[i], *chosen[i][:2], fontsize, colors[i]) for i in range(len(names))]


def _size(ax, name, fontsize):
    text = ax.annotate(name, (0.5, 0.5), xycoords="axes fraction", fontsize=fontsize)
    extent = text.get_window_extent()
    text.remove()
    return np.array([extent.width, extent.height])


def _crowded_first(points):
    """Return the points in the order in which names are placed: those with the nearest neighbors first."""
    if len(points) < 2:
        return range(len(points))
    distance = np.linalg.norm(points[:, None] - points[None], axis=-1)
    np.fill_diagonal(distance, np.inf)
    return np.argsort(distance.min(axis=1), kind="stable")


def _box(point, size, direction, distance):
    """Return left, bottom, right and top of a name that stands in a direction from a point."""
    direction = np.asarray(direction)
    nearest = point + distance * direction / np.linalg.norm(direction)
    low = nearest - size * (1 - direction) / 2
    return np.concatenate([low, low + size])


def _overlap(box, others):
    """Return the share of a box that each of the others covers."""
    others = np.reshape(others, (-1, 4))
    sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    return np.clip(sides + _MARGIN, 0, None).prod(axis=1) / np.prod(box[2:] - box[:2])


def _options(point, size, pixels_per_point):
    """Return the places where a name may stand: direction, distance in points and box in pixels."""
    return [
        (direction, distance, _box(point, size, direction, distance * pixels_per_point))
        for distance in _DISTANCES
        for direction in _DIRECTIONS
    ]


def _fixed_costs(options, points, frame):
    """Return what each place costs, whatever other names do."""
    costs = []
    for rank, (_, distance, box) in enumerate(options):
        outside = np.maximum(frame[:2] - box[:2], 0).sum() + np.maximum(box[2:] - frame[2:], 0).sum()
        inside = ((points > box[:2] - _MARGIN) & (points < box[2:] + _MARGIN)).all(axis=1).sum()
        near = _COST_OF_DISTANCE * distance + _COST_OF_RANK * rank
        costs.append(_COST_OF_UNREADABLE * outside + _COST_OF_POINT * inside + near)
    return np.array(costs)


def _write(ax, point, name, direction, distance, fontsize, color):
    offset = distance * np.asarray(direction) / np.linalg.norm(direction)
    horizontal, vertical = _ALIGNMENT[direction[0]][0], _ALIGNMENT[direction[1]][1]
    leader = {"arrowstyle": "-", "color": color, "linewidth": 0.5, "shrinkA": 0, "shrinkB": 3}
    text = ax.annotate(
        name,
        point,
        xytext=tuple(offset),
        textcoords="offset points",
        ha=horizontal,
        va=vertical,
        fontsize=fontsize,
        color=color,
        arrowprops=leader if distance > _WITH_LEADER else None,
    )
    # Names stand inside the axes; a layout that made room for them would move the points.
    text.set_in_layout(False)
    return text

"""What the displays share: colors, axes to draw on, and the keywords of artists."""

import numpy as np

from skdiffence.utils._optional import import_optional

# Okabe and Ito's colors, which people with any common color deficiency can tell apart.
BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"
BLACK, GRAY, LIGHT = "#000000", "#6E6E6E", "#E8E8E8"
PALETTE = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, BLACK)


class DisplayMixin:
    """Base of displays, which work as scikit-learn's do.

    ``from_estimator`` asks a fitted classifier and calls ``from_predictions``, which computes the arrays of the
    constructor and calls ``plot``, which draws them.
    """

    def _set_axes(self, ax, figsize, n_axes=1):
        """Set ``ax_`` and ``figure_`` to the given axes, or to a new figure of pyplot.

        Parameters
        ----------
        ax : Axes, array-like of Axes or None
            As given to ``plot``.
        figsize : tuple of float
            Size of a new figure in inches.
        n_axes : int, default=1
            Number of axes.

        Returns
        -------
        axes : ndarray of shape (n_axes,)
            The axes.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If ``ax`` is of another type or number.
        """
        kind = import_optional("matplotlib.axes", extra="plot").Axes
        if ax is None:
            pyplot = import_optional("matplotlib.pyplot", extra="plot")
            ax = pyplot.subplots(1, n_axes, figsize=figsize, layout="constrained")[1]
        axes = np.atleast_1d(np.asarray(ax, dtype=object)).ravel()
        if len(axes) != n_axes or not all(isinstance(one, kind) for one in axes):
            wanted = "one matplotlib Axes" if n_axes == 1 else f"{n_axes} matplotlib Axes"
            got = f"{len(axes)} objects of type {', '.join(sorted({type(one).__name__ for one in axes}))}"
            raise ValueError(f"ax must be None or {wanted}. Got {got}.")
        for one in axes:
            one.spines[["top", "right"]].set_visible(False)
        self.ax_ = axes[0] if n_axes == 1 else axes
        self.figure_ = axes[0].figure
        return axes


def new_axes(figsize, n_axes=1):
    """Return axes side by side in a new figure that pyplot does not know.

    Parameters
    ----------
    figsize : tuple of float
        Size in inches.
    n_axes : int, default=1
        Number of axes.

    Returns
    -------
    axes : Axes, or ndarray of shape (n_axes,)
        One, or several.
    """
    figure = import_optional("matplotlib.figure", extra="plot").Figure(figsize=figsize, layout="constrained")
    return figure.subplots(1, n_axes)


def check_matplotlib():
    """Raise an ImportError that says how to install it if there is no matplotlib."""
    import_optional("matplotlib", extra="plot")


def styled(artist, defaults, given):
    """Return keywords for an artist: the defaults, overruled by those given, whose aliases are known.

    Parameters
    ----------
    artist : {"Line2D", "Patch"}
        What they are for.
    defaults : dict
        Keywords by their full names.
    given : dict or None
        The user's, which may use aliases such as "c" for "color".

    Returns
    -------
    keywords : dict
    """
    module = import_optional({"Line2D": "matplotlib.lines", "Patch": "matplotlib.patches"}[artist], extra="plot")
    cbook = import_optional("matplotlib.cbook", extra="plot")
    return {**defaults, **cbook.normalize_kwargs(given or {}, getattr(module, artist))}


def draw_level(ax, value, *, across="y", linestyle=":"):
    """Draw a thin line at one value of an axis, behind all else.

    Parameters
    ----------
    ax : Axes
        To draw on.
    value : float
        Where to draw.
    across : {"x", "y"}, default="y"
        The axis of the value.
    linestyle : str, default=":"
        Style of the line.

    Returns
    -------
    line : matplotlib.lines.Line2D
    """
    draw = ax.axhline if across == "y" else ax.axvline
    return draw(value, color=GRAY, linewidth=0.9, linestyle=linestyle, zorder=0)


def as_list(value):
    """Return lists as they are, anything else as a list of one; None stays None."""
    return value if value is None or isinstance(value, list) else [value]


def interval_text(value, interval):
    """Return a value with two decimals and, unless it is None, its interval."""
    return f"{value:.2f}" if interval is None else "{:.2f} ({:.2f} to {:.2f})".format(value, *interval)

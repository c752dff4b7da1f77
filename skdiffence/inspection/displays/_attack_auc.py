"""The AUC of several attacks with intervals."""

import numpy as np

from skdiffence.inspection.displays._mixin import PALETTE, DisplayMixin, draw_level
from skdiffence.inspection.displays._pictures import shortened

_LONGEST = 40
_APART = 0.26  # of two targets on the line of an attack


class AttackAucDisplay(DisplayMixin):
    """The AUC of several attacks with intervals, one line for each attack.

    Parameters
    ----------
    name : list of str
        Names of the attacks.
    auc : dict of str to array-like of shape (n_attacks, 3)
        AUC and both ends of its interval, by the name of the attacked classifier.
    floor : float, default=None
        AUC of the strongest attack that sees labels only.

    Attributes
    ----------
    errorbars_ : list of matplotlib.container.ErrorbarContainer
        The points and intervals of each classifier.
    chance_level_ : matplotlib.lines.Line2D
        The line of a random guess.
    floor_ : matplotlib.lines.Line2D or None
        The line of the floor.
    ax_ : matplotlib.axes.Axes
        The axes.
    figure_ : matplotlib.figure.Figure
        Their figure.
    """

    def __init__(self, *, name, auc, floor=None):
        self.name = name
        self.auc = auc
        self.floor = floor

    def plot(self, ax=None):
        """Draw the points and intervals.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on. None makes a new figure.

        Returns
        -------
        display : AttackAucDisplay
            This object.
        """
        lines = np.arange(len(self.name))
        (ax,) = self._set_axes(ax, (7, 1 + 0.28 * len(lines)))
        self.errorbars_ = []
        for i, (label, ends) in enumerate(self.auc.items()):
            auc, low, high = np.transpose(ends)
            y = lines + _APART * (i - (len(self.auc) - 1) / 2)
            style = {"fmt": "o", "markersize": 4, "elinewidth": 1.6, "color": PALETTE[i], "label": label}
            self.errorbars_.append(ax.errorbar(auc, y, xerr=np.clip([auc - low, high - auc], 0, None), **style))
        self.chance_level_ = draw_level(ax, 0.5, across="x")
        self.floor_ = None if self.floor is None else draw_level(ax, self.floor, across="x", linestyle="--")
        ax.set_yticks(lines, [shortened(name, _LONGEST) for name in self.name])
        ax.set(ylim=(len(lines) - 0.5, -0.5), xlim=(min(0.45, ax.get_xlim()[0]), 1))
        ax.set_xlabel("AUC; 0.5 is a random guess")
        ax.tick_params(left=False)
        if len(self.auc) > 1:
            ax.figure.legend(loc="outside lower left", ncols=len(self.auc), frameon=False)
        return self

"""The three figures of the demo: ROC curves, distributions of a signal, originals beside their regenerations."""

import numpy as np
from sklearn.metrics import roc_curve

from skdiffence.metrics import logit_signal
from skdiffence.utils._optional import import_optional

_MEMBERS, _NON_MEMBERS = "#c0392b", "#2471a3"


def _new_figure(n_rows, n_columns, size):
    figure = import_optional("matplotlib.figure", extra="plot")
    # A figure of its own touches neither pyplot's state nor a display.
    drawing = figure.Figure(figsize=size, layout="constrained")
    return drawing, drawing.subplots(n_rows, n_columns, squeeze=False)


def plot_roc(is_member, scores):
    """Draw ROC curves of attacks on logarithmic axes.

    Parameters
    ----------
    is_member : ndarray of shape (n,), dtype bool
        True for members.
    scores : dict of str to ndarray of shape (n,)
        Attack scores by the name of the curve.

    Returns
    -------
    figure : matplotlib.figure.Figure
    """
    figure, ((axes,),) = _new_figure(1, 1, (6, 5.5))
    lowest = 1 / (~is_member).sum()
    for name, score in scores.items():
        fpr, tpr, _ = roc_curve(is_member, score, drop_intermediate=False)
        axes.plot(np.maximum(fpr, lowest / 2), np.maximum(tpr, lowest / 2), drawstyle="steps-post", label=name)
    line = np.geomspace(lowest, 1, 50)
    axes.plot(line, line, color="0.6", linestyle="--", label="guessing")
    axes.axvspan(lowest / 2, 10 * lowest, color="0.93", label="below 10 non-members: noise")
    axes.set(xscale="log", yscale="log", xlim=(lowest, 1), ylim=(lowest, 1.05))
    axes.set(xlabel="false positive rate", ylabel="true positive rate", title="Who was in the training set?")
    axes.legend(loc="lower right", fontsize="small")
    return figure


def plot_signals(is_member, before, after):
    """Draw the distributions of phi for members and non-members, before and after.

    Parameters
    ----------
    is_member : ndarray of shape (n,), dtype bool
        True for members.
    before, after : ndarray of shape (n, n_classes)
        Undefended and defended answers.

    Returns
    -------
    figure : matplotlib.figure.Figure
    """
    figure, (axes,) = _new_figure(1, 2, (9, 3.6))
    phis = [logit_signal(proba, proba.argmax(axis=1)) for proba in (before, after)]
    low, high = np.quantile(np.concatenate(phis), (0.005, 0.995))
    bins = np.linspace(low, high, 31)
    for ax, phi, title in zip(axes, phis, ("undefended", "behind Diffence"), strict=True):
        for side, color, label in ((is_member, _MEMBERS, "members"), (~is_member, _NON_MEMBERS, "non-members")):
            ax.hist(phi[side].clip(low, high), bins=bins, density=True, alpha=0.55, color=color, label=label)
        ax.set(title=title, xlabel="confidence in the answered label, ln p / (1 - p)")
    axes[0].set_ylabel("density")
    axes[1].sharey(axes[0])
    axes[0].legend()
    return figure


def plot_regenerations(images, candidates):
    """Draw images beside their regenerations.

    Parameters
    ----------
    images : ndarray of shape (n, channels, height, width)
        Originals, of non-members.
    candidates : list of ndarray of the same shape
        Their regenerations.

    Returns
    -------
    figure : matplotlib.figure.Figure
    """
    figure, axes = _new_figure(1 + len(candidates), len(images), (0.9 * len(images) + 1, 0.95 * (1 + len(candidates))))
    for row, batch in enumerate([images, *candidates]):
        for ax, image in zip(axes[row], batch, strict=True):
            ax.imshow(image[0], cmap="gray", vmin=0, vmax=1)
            ax.set(xticks=[], yticks=[])
        axes[row][0].set_ylabel("original" if row == 0 else f"candidate {row - 1}", rotation=0, ha="right", va="center")
    return figure

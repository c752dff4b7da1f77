"""Distributions of a signal for members and non-members, before and after a defense."""

from numbers import Integral, Real

import numpy as np
from sklearn.metrics import roc_auc_score

from skdiffence._evaluation._usable_rows import usable_rows
from skdiffence.attacks import query
from skdiffence.inspection.displays._defended import undefended_answers
from skdiffence.inspection.displays._mixin import (
    BLUE,
    VERMILLION,
    DisplayMixin,
    as_list,
    check_matplotlib,
    draw_level,
    interval_text,
    styled,
)
from skdiffence.metrics import auc_interval
from skdiffence.metrics._signals import SIGNALS, check_proba
from skdiffence.utils._sklearn import HasMethods, Interval, StrOptions, validate_params
from skdiffence.utils._validation import check_is_member

_XLABELS = {
    "confidence": "probability of the {} label",
    "correctness": "1 where the label is the {} one",
    "entropy": "negated entropy, nats",
    "hinge": "margin of ln p of the {} label",
    "logit": "phi of the {} label",
    "loss": "ln p of the {} label",
    "modified_entropy": "negated modified entropy, nats",
}
# Rarer values are counted in the outermost bins, so that a few of them do not press all others together.
_RARE = 0.005
# Signals beyond are those of probabilities that are 0 or 1 to the last bit, as those of forests.
_SATURATED = 100.0


class SignalDisplay(DisplayMixin):
    """Distributions of a membership signal for members and non-members.

    There is one panel for each set of answers, usually before and after a defense, all with the same bins and axes.
    The title of a panel is the AUC of the signal. An attack may do better than any one signal.

    Use :meth:`from_estimator` or :meth:`from_predictions` to make one.

    Parameters
    ----------
    is_member : ndarray of shape (n_samples,), dtype bool
        True for members.
    signal : ndarray of shape (n_samples,), or list of them
        The signal of each row, one array for each panel.
    name : str or list of str, default=None
        Titles of the panels.
    xlabel : str, default=None
        What the signal is.
    confidence_level : float, default=0.95
        Confidence level of the intervals of the AUC.

    Attributes
    ----------
    hists_ : list of tuple of matplotlib.patches.Polygon
        For each panel the outlines of non-members and members.
    bins_ : ndarray of shape (n_bins + 1,)
        Edges of the bins, the same in all panels.
    ax_ : matplotlib.axes.Axes or ndarray of them
        The axes; an array if there are several panels.
    figure_ : matplotlib.figure.Figure
        Their figure.

    See Also
    --------
    MembershipRocDisplay : ROC curves of attacks.
    skdiffence.metrics.logit_signal : The default signal.

    Notes
    -----
    Each side is scaled to an area of one. Values below the 0.5 % and above the 99.5 % quantile of all panels are
    counted in the outermost bins. Signals of probabilities that are exactly 0 or 1 have a bin of their own at the end.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> from skdiffence.inspection import SignalDisplay
    >>> X, y = load_digits(return_X_y=True)
    >>> is_member = y >= 0
    >>> is_member[::2] = False
    >>> forest = RandomForestClassifier(20, random_state=0).fit(X[is_member], y[is_member])
    >>> display = SignalDisplay.from_estimator(forest, X, y, is_member, signal="entropy")
    >>> len(display.bins_)
    31
    """

    def __init__(self, *, is_member, signal, name=None, xlabel=None, confidence_level=0.95):
        self.is_member = is_member
        self.signal = signal
        self.name = name
        self.xlabel = xlabel
        self.confidence_level = confidence_level

    @validate_params(
        {
            "ax": "no_validation",
            "n_bins": [Interval(Integral, 2, None, closed="left")],
            "members_kw": [dict, None],
            "non_members_kw": [dict, None],
        },
        prefer_skip_nested_validation=True,
    )
    def plot(self, ax=None, *, n_bins=30, members_kw=None, non_members_kw=None):
        """Draw the distributions.

        Parameters
        ----------
        ax : matplotlib.axes.Axes or array-like of them, default=None
            Axes to draw on, one for each panel. None makes a new figure.
        n_bins : int, default=30
            Number of bins.
        members_kw, non_members_kw : dict, default=None
            Keywords of the outlines of the two sides.

        Returns
        -------
        display : SignalDisplay
            This object.

        Raises
        ------
        ValueError
            If lengths differ, a side is empty or a value is not finite.
        """
        is_member, signals, names = self._checked()
        axes = self._set_axes(ax, (1.6 + 2.8 * len(signals), 3.2), len(signals))
        self.bins_, named = _bins(np.concatenate(signals), n_bins)
        self.hists_ = []
        sides = (
            (~is_member, BLUE, "non-members", non_members_kw),
            (is_member, VERMILLION, "members", members_kw),
        )
        for panel, signal, name in zip(axes, signals, names, strict=True):
            placed = _placed(signal, self.bins_, named)
            self.hists_.append(tuple(self._draw(panel, placed[rows], *style) for rows, *style in sides))
            ends = auc_interval(is_member, signal, confidence_level=self.confidence_level)
            title = "AUC " + interval_text(roc_auc_score(is_member, signal), ends)
            panel.set_title(title if name is None else f"{name}\n{title}", loc="left", fontsize="medium")
            panel.set_xlabel(self.xlabel or "")
            _name_ends(panel, self.bins_, named)
        top = max(panel.get_ylim()[1] for panel in axes)
        for panel in axes:
            # Above all bars there is room for the legend.
            panel.set(xlim=self.bins_[[0, -1]], ylim=(0, 1.25 * top))
            panel.tick_params(labelleft=panel is axes[0])
        axes[0].set_ylabel("density")
        axes[0].legend(loc="upper left", fontsize="small", frameon=False)
        return self

    @classmethod
    @validate_params(
        {
            "estimator": [HasMethods(["predict_proba"])],
            "X": "no_validation",
            "y": ["array-like"],
            "is_member": ["array-like"],
            "signal": [StrOptions(set(SIGNALS))],
            "at": [StrOptions({"answered", "true"})],
            "ax": "no_validation",
        },
        prefer_skip_nested_validation=False,
    )
    def from_estimator(cls, estimator, X, y, is_member, *, signal="logit", at="answered", ax=None, **kwargs):
        """Ask a fitted classifier and draw the distributions.

        A classifier with a defense (one that has ``select`` and, in ``estimator_``, the undefended classifier) gets a
        second panel, in front, for the undefended answers. Rows that the defense was calibrated on are left out. Each
        of the two classifiers is asked about each row once.

        Parameters
        ----------
        estimator : classifier
            Fitted, with ``predict_proba``.
        X : array-like of shape (n_samples, ...)
            Rows of known membership.
        y : array-like of shape (n_samples,)
            Their labels.
        is_member : array-like of shape (n_samples,), dtype bool
            True for rows that the classifier was trained on.
        signal : {"confidence", "correctness", "entropy", "hinge", "logit", "loss", "modified_entropy"}, \
                default="logit"
            The signal, see :mod:`skdiffence.metrics`.
        at : {"answered", "true"}, default="answered"
            The label at which the signal is taken. An attacker always sees the answered one.
        ax : matplotlib.axes.Axes or array-like of them, default=None
            Axes to draw on, one for each panel. None makes a new figure.
        **kwargs : dict
            Further keywords of :meth:`from_predictions` and :meth:`plot`.

        Returns
        -------
        display : SignalDisplay
        """
        check_matplotlib()
        rows = usable_rows([estimator], X, y, is_member)
        answers = query(estimator, rows.X, rows.y)
        has_before = hasattr(estimator, "select") and hasattr(estimator, "estimator_")
        return cls.from_predictions(
            rows.is_member,
            answers.proba,
            proba_before=undefended_answers(estimator)(rows.X)[1] if has_before else None,
            y=answers.label if at == "answered" else answers.y,
            signal=signal,
            at=at,
            ax=ax,
            **kwargs,
        )

    @classmethod
    @validate_params(
        {
            "is_member": ["array-like"],
            "proba": ["array-like"],
            "proba_before": ["array-like", None],
            "y": ["array-like", None],
            "signal": [StrOptions(set(SIGNALS))],
            "at": [StrOptions({"answered", "true"})],
            "confidence_level": [Interval(Real, 0, 1, closed="neither")],
            "ax": "no_validation",
        },
        prefer_skip_nested_validation=False,
    )
    def from_predictions(
        cls,
        is_member,
        proba,
        *,
        proba_before=None,
        y=None,
        signal="logit",
        at="answered",
        confidence_level=0.95,
        ax=None,
        **kwargs,
    ):
        """Draw the distributions of a signal of answers.

        Parameters
        ----------
        is_member : array-like of shape (n_samples,), dtype bool
            True for members.
        proba : array-like of shape (n_samples, n_classes)
            Answers.
        proba_before : array-like of shape (n_samples, n_classes), default=None
            Answers to the same rows without the defense; they get a panel of their own.
        y : array-like of shape (n_samples,), dtype int, default=None
            Columns of the labels at which the signal is taken, see :func:`~skdiffence.metrics.label_columns`. None is
            the most probable one of each answer.
        signal : {"confidence", "correctness", "entropy", "hinge", "logit", "loss", "modified_entropy"}, \
                default="logit"
            The signal, see :mod:`skdiffence.metrics`.
        at : {"answered", "true"}, default="answered"
            What ``y`` holds; "true" needs it.
        confidence_level : float, default=0.95
            Confidence level of the intervals of the AUC.
        ax : matplotlib.axes.Axes or array-like of them, default=None
            Axes to draw on, one for each panel. None makes a new figure.
        **kwargs : dict
            Further keywords of :meth:`plot`.

        Returns
        -------
        display : SignalDisplay

        Raises
        ------
        ValueError
            If shapes differ, a side is empty, an answer does not hold probabilities, or the signal needs the true
            labels.
        """
        check_matplotlib()
        if at == "true" and y is None:
            raise ValueError("y must hold the columns of the true labels where at='true'. Got None.")
        if at == "answered" and signal == "correctness":
            raise ValueError("signal='correctness' needs the true labels: at='true'. Got at='answered'.")
        panels = [check_proba(answers) for answers in (proba_before, proba) if answers is not None]
        shapes = [answers.shape for answers in panels]
        if len(set(shapes)) > 1:
            raise ValueError(f"proba_before and proba must be of one shape. Got {shapes}.")
        values = [SIGNALS[signal](each.argmax(axis=1) if y is None else y, each) for each in panels]
        display = cls(
            is_member=check_is_member(is_member, len(panels[0]), both_sides=True),
            signal=values if len(panels) > 1 else values[0],
            name=["undefended", "defended"] if len(panels) > 1 else None,
            xlabel=_XLABELS[signal].format(at),
            confidence_level=confidence_level,
        )
        return display.plot(ax, **kwargs)

    def _checked(self):
        signals = [np.asarray(signal, dtype=np.float64) for signal in as_list(self.signal)]
        names = as_list(self.name) or [None] * len(signals)
        is_member = check_is_member(self.is_member, len(signals[0]), both_sides=True)
        if len(names) != len(signals) or any(signal.shape != is_member.shape for signal in signals):
            shapes = [signal.shape for signal in signals]
            raise ValueError(
                f"signal must hold one value for each row and panel, and name one title for each panel. Got shapes "
                f"{shapes} for {len(is_member)} rows and the names {names}."
            )
        if not all(np.isfinite(signal).all() for signal in signals):
            raise ValueError("signal must be finite. Got values that are not.")
        return is_member, signals, names

    def _draw(self, panel, values, color, label, given):
        defaults = {"facecolor": (color, 0.3), "edgecolor": color, "linewidth": 1.3, "label": label}
        style = styled("Patch", defaults, given)
        return panel.hist(values, bins=self.bins_, density=True, histtype="stepfilled", **style)[2][0]


def _bins(values, n_bins):
    """Return the edges of the bins, and by its place the name of each bin for probabilities of 0 or 1."""
    ends = {0: "p = 0"} if (values < -_SATURATED).any() else {}
    ends |= {n_bins - 1: "p = 1"} if (values > _SATURATED).any() else {}
    ordinary = values[np.abs(values) <= _SATURATED] if len(ends) < n_bins else values
    low, high = np.quantile(ordinary, (_RARE, 1 - _RARE)) if len(ordinary) else (0.0, 0.0)
    low, high = (low, high) if low < high else (low - 0.5, high + 0.5)
    if len(ends) == n_bins:
        return np.linspace(low, high, n_bins + 1), {}
    step = (high - low) / (n_bins - len(ends))
    return np.linspace(low - step * (0 in ends), high + step * (n_bins - 1 in ends), n_bins + 1), ends


def _inner(bins, ends):
    """Return the ends of the bins of ordinary values."""
    return bins[1 if 0 in ends else 0], bins[-2 if len(bins) - 2 in ends else -1]


def _placed(values, bins, ends):
    """Return values moved to where they are counted: in the bin of their name, or in an outermost one of the others."""
    low, high = _inner(bins, ends)
    # A value at the upper edge of a bin is counted in the next one.
    placed = values.clip(low, np.nextafter(high, low) if len(bins) - 2 in ends else high)
    for place, beyond in ((0, values < -_SATURATED), (len(bins) - 2, values > _SATURATED)):
        if place in ends:
            placed = np.where(beyond, bins[place : place + 2].mean(), placed)
    return placed


def _name_ends(panel, bins, ends):
    """Write the names of such bins below the axis, and separate them from the other bins."""
    if not ends:
        return
    panel.set_xlim(bins[0], bins[-1])
    inner, margin = _inner(bins, ends), 0.08 * (bins[-1] - bins[0])
    ticks = {tick: f"{tick:g}" for tick in panel.get_xticks() if inner[0] <= tick <= inner[1]}
    centers = {bins[place : place + 2].mean(): name for place, name in ends.items()}
    ticks = {tick: text for tick, text in ticks.items() if min(abs(tick - end) for end in centers) > margin} | centers
    panel.set_xticks(list(ticks), list(ticks.values()))
    for place in ends:
        draw_level(panel, bins[1 if place == 0 else -2], across="x")

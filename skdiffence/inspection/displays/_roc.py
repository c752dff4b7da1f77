"""ROC curves of membership attacks on logarithmic axes."""

from numbers import Real

import numpy as np

from skdiffence._evaluation._named_attacks import named_attacks
from skdiffence._evaluation._usable_rows import score_rows, usable_rows
from skdiffence.attacks import query
from skdiffence.base import MembershipAttack
from skdiffence.inspection.displays._mixin import (
    GRAY,
    LIGHT,
    PALETTE,
    DisplayMixin,
    as_list,
    check_matplotlib,
    styled,
)
from skdiffence.inspection.displays._roc_curve import (
    FEW_POINTS,
    curve_label,
    roc_band,
    roc_curves,
    style_apart,
    with_more_points,
)
from skdiffence.metrics._operating_point import FEWEST_AT_RATE
from skdiffence.utils._random import draw_seed, mix_seed
from skdiffence.utils._sklearn import HasMethods, Interval, validate_params

_CURVE, _CHANCE = "membership-roc-curve", "membership-roc-chance"


class MembershipRocDisplay(DisplayMixin):
    """ROC curves of membership attacks on logarithmic axes.

    The area under the curve averages over all rows. Logarithmic axes show what it hides: an attack that identifies a
    few members and hardly ever accuses a non-member, at the left end. Rates there rest on few non-members, so the part
    of the plot below ten of them is shaded.

    Use :meth:`from_estimator` or :meth:`from_predictions` to make one.

    Parameters
    ----------
    fpr, tpr : ndarray or list of ndarray
        False and true positive rates; a list holds one array for each curve.
    roc_auc : float or list of float, default=None
        Area under each curve, for the legend.
    roc_auc_interval : tuple of two floats or list of them, default=None
        Interval of each area, for the legend.
    name : str or list of str, default=None
        Names of the curves.
    n_members, n_non_members : int, default=None
        Numbers of rows that the rates are shares of. Without the non-members nothing is shaded; without either there
        are no bands.
    confidence_level : float, default=0.95
        Confidence level of the bands.

    Attributes
    ----------
    lines_ : list of matplotlib.lines.Line2D
        The curves.
    bands_ : list of matplotlib.collections.PolyCollection
        Their bands; empty if there are none.
    chance_level_ : matplotlib.lines.Line2D or None
        The line of a random guess; None if it is not drawn, or was there before.
    noise_ : matplotlib.patches.Patch or None
        The shaded area.
    ax_ : matplotlib.axes.Axes
        The axes.
    figure_ : matplotlib.figure.Figure
        Their figure.

    See Also
    --------
    skdiffence.metrics.tpr_at_fpr_score : One point of the curve.
    SignalDisplay : Distributions of a signal.

    Notes
    -----
    The band is pointwise: at each single false positive rate that a threshold gives, not at all of them at once, it
    holds the true curve with at least the given confidence, at any number of rows. It is made of Clopper and Pearson's
    intervals of both rates at every threshold, and not of resamples, which know nothing of what was never seen. The
    price is width: for normal scores, 15 to 1,000 rows a side, bands at 95 % held the true rate in 99 % of 1,000 trials
    and more. Rows are taken as independent, and the attack as given.

    Between two thresholds the curve is what an attacker reaches by drawing lots between them: a straight line, which
    is bent on these axes. The band is drawn from ten non-members on. An attack with two scores, such as whether the
    label is right, has a single point, which is drawn alone: a line would promise rates that none of its thresholds
    gives. A curve that equals an earlier one is dashed, so that both are seen.

    References
    ----------
    Carlini et al., "Membership inference attacks from first principles", S&P 2022, section III.

    Clopper and Pearson, "The use of confidence or fiducial limits illustrated in the case of the binomial", Biometrika
    26, 1934.

    Examples
    --------
    >>> import numpy as np
    >>> from skdiffence.inspection import MembershipRocDisplay
    >>> rng = np.random.default_rng(0)
    >>> is_member = np.repeat([True, False], 200)
    >>> scores = {"sharp": rng.normal(size=400) + 2 * is_member, "blunt": rng.normal(size=400) + is_member}
    >>> display = MembershipRocDisplay.from_predictions(is_member, scores)
    >>> display.name
    ['sharp', 'blunt']
    >>> display.ax_.get_xscale()
    'log'
    """

    def __init__(
        self,
        *,
        fpr,
        tpr,
        roc_auc=None,
        roc_auc_interval=None,
        name=None,
        n_members=None,
        n_non_members=None,
        confidence_level=0.95,
    ):
        self.fpr = fpr
        self.tpr = tpr
        self.roc_auc = roc_auc
        self.roc_auc_interval = roc_auc_interval
        self.name = name
        self.n_members = n_members
        self.n_non_members = n_non_members
        self.confidence_level = confidence_level

    def plot(
        self,
        ax=None,
        *,
        name=None,
        curve_kwargs=None,
        plot_band=True,
        plot_chance_level=True,
        chance_level_kw=None,
        plot_noise=True,
    ):
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on; those of another display of this kind get further curves. None makes a new figure.
        name : str or list of str, default=None
            Names of the curves, in place of those given before.
        curve_kwargs : dict or list of dict, default=None
            Keywords of the lines, for all curves or each.
        plot_band : bool, default=True
            Whether to draw the bands.
        plot_chance_level : bool, default=True
            Whether to draw the line of a random guess.
        chance_level_kw : dict, default=None
            Keywords of that line.
        plot_noise : bool, default=True
            Whether to shade the rates that rest on fewer than ten non-members.

        Returns
        -------
        display : MembershipRocDisplay
            This object.

        Raises
        ------
        ValueError
            If lengths differ.
        """
        curves = self._curves(name, curve_kwargs)
        (ax,) = self._set_axes(ax, (6, 5.6))
        n_before = sum(line.get_gid() == _CURVE for line in ax.lines)
        low = min(self._left_end(curves), ax.get_xlim()[0] if n_before else 1)
        self.lines_, self.bands_, self.chance_level_, self.noise_ = [], [], None, None
        for number, (label, fpr, tpr, given) in enumerate(curves, start=n_before):
            style = {"color": PALETTE[number % len(PALETTE)], "linewidth": 1.6, "label": label, "gid": _CURVE}
            earlier = [curve[1:3] for curve in curves[: number - n_before]]
            style |= style_apart(fpr, is_twin=any(np.array_equal((fpr, tpr), pair) for pair in earlier))
            self._draw_curve(ax, fpr, tpr, low, styled("Line2D", style, given))
            if plot_band and len(fpr) > FEW_POINTS and None not in (self.n_members, self.n_non_members):
                self._draw_band(ax, fpr, tpr, low)
        if plot_chance_level and not any(line.get_gid() == _CHANCE for line in ax.lines):
            # On logarithmic axes the diagonal from (0, 0) to (1, 1) needs a start above zero.
            style = {"color": GRAY, "linestyle": "--", "linewidth": 1, "label": "a guess", "gid": _CHANCE, "zorder": 1}
            (self.chance_level_,) = ax.plot((1e-12, 1), (1e-12, 1), **styled("Line2D", style, chance_level_kw))
        if plot_noise and self.n_non_members is not None and not n_before:
            self.noise_ = ax.axvspan(0, FEWEST_AT_RATE / self.n_non_members, color=LIGHT, zorder=0, linewidth=0)
            self.noise_.set_label(f"below {FEWEST_AT_RATE} non-members: noise")
        _finish(ax, low)
        return self

    @classmethod
    @validate_params(
        {
            "estimator": [HasMethods(["predict_proba"])],
            "X": "no_validation",
            "y": ["array-like"],
            "is_member": ["array-like"],
            "attack": [str, MembershipAttack, list, dict],
            "known": [Interval(Real, 0, 0.5, closed="right")],
            "random_state": ["random_state"],
            "ax": "no_validation",
        },
        prefer_skip_nested_validation=False,
    )
    def from_estimator(
        cls, estimator, X, y, is_member, *, attack="confidence", known=0.5, random_state=None, ax=None, **kwargs
    ):
        """Attack a fitted classifier and draw the curves.

        The attacker knows half of the rows and scores the other half, then the halves change roles. Rows that a
        defense was calibrated on are left out. The classifier is asked about each row once for all attacks that need
        one answer.

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
        attack : str, MembershipAttack, list or dict of them, default="confidence"
            The attack; several draw a curve each. Names are those of :func:`~skdiffence.attacks.get_attack_names`.
        known : float, default=0.5
            Share of the rows that the attacker knows, at most 0.5.
        random_state : int, RandomState instance or None, default=None
            Splits known from scored rows and seeds attacks.
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on. None makes a new figure.
        **kwargs : dict
            Further keywords of :meth:`from_predictions` and :meth:`plot`.

        Returns
        -------
        display : MembershipRocDisplay

        Raises
        ------
        ValueError
            If membership contradicts the classifier, or there are too few rows to attack.
        """
        check_matplotlib()
        attacks = named_attacks(attack if isinstance(attack, (list, dict)) else [attack], "attack")
        rows = usable_rows([estimator], X, y, is_member)
        answers, seed = query(estimator, rows.X, rows.y), draw_seed(random_state)
        scores = {
            key: score_rows(one, estimator, answers, rows, known=known, seed=mix_seed(seed, key))
            for key, one in attacks.items()
        }
        if not isinstance(attack, (list, dict)):
            ((name, scores),) = scores.items()
            kwargs = {"name": name, **kwargs}
        return cls.from_predictions(rows.is_member, scores, ax=ax, **kwargs)

    @classmethod
    @validate_params(
        {
            "y_true": ["array-like"],
            "y_score": ["array-like", dict],
            "name": [str, None],
            "confidence_level": [Interval(Real, 0, 1, closed="neither")],
            "ax": "no_validation",
        },
        prefer_skip_nested_validation=True,
    )
    def from_predictions(cls, y_true, y_score, *, name=None, confidence_level=0.95, ax=None, **kwargs):
        """Draw the curves of attack scores.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,), dtype bool
            True for members.
        y_score : array-like of shape (n_samples,), or dict of str to array-like
            Attack scores, higher for likelier members; a dict draws a curve for each entry.
        name : str, default=None
            Name of a single curve.
        confidence_level : float, default=0.95
            Confidence level of the bands and of the intervals of the areas.
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on. None makes a new figure.
        **kwargs : dict
            Further keywords of :meth:`plot`.

        Returns
        -------
        display : MembershipRocDisplay

        Raises
        ------
        ValueError
            If lengths differ, a side is empty or a score is not finite.
        """
        check_matplotlib()
        if isinstance(y_score, dict) and name is not None:
            raise ValueError(f"name must be None where y_score is a dict, whose keys are the names. Got {name!r}.")
        curves = roc_curves(y_true, y_score, confidence_level)
        name = list(y_score) if isinstance(y_score, dict) else name
        return cls(**curves, name=name, confidence_level=confidence_level).plot(ax, **kwargs)

    def _curves(self, name, curve_kwargs):
        """Return label, rates and keywords of each curve, or raise an error that names the lengths that differ."""
        lists = {key: as_list(getattr(self, key)) for key in ("fpr", "tpr", "roc_auc", "roc_auc_interval")}
        n_curves = len(lists["fpr"])
        lists["name"] = as_list(self.name if name is None else name)
        lists["curve_kwargs"] = [curve_kwargs] * n_curves if isinstance(curve_kwargs, dict) else curve_kwargs
        lengths = {key: len(value) for key, value in lists.items() if value is not None}
        if set(lengths.values()) != {n_curves}:
            raise ValueError(f"All of these must be given for each of the curves. Got {lengths}.")
        curves = [{key: value and value[i] for key, value in lists.items()} for i in range(n_curves)]
        for curve in curves:
            shapes = [np.shape(curve[key]) for key in ("fpr", "tpr")]
            if shapes[0] != shapes[1] or len(shapes[0]) != 1:
                raise ValueError(f"fpr and tpr must be one-dimensional and equally long. Got shapes {shapes}.")
        return [(curve_label(curve), np.asarray(curve["fpr"]), curve["tpr"], curve["curve_kwargs"]) for curve in curves]

    def _left_end(self, curves):
        """Return the left end of the axes: half of the first non-member's rate."""
        if self.n_non_members is not None:
            return 0.5 / self.n_non_members
        return 0.5 * min((rate for _, fpr, _, _ in curves for rate in fpr if rate > 0), default=1.0)

    def _draw_curve(self, ax, fpr, tpr, low, style):
        if len(fpr) == FEW_POINTS:
            # At the edge where it has no place on a logarithmic axis.
            self.lines_ += ax.plot(max(fpr[1], low), max(tpr[1], low), **style, clip_on=False)
            return
        points = with_more_points(fpr, tpr, start=low / 10)
        # A logarithmic axis has no zero: such points are drawn outside of the limits.
        points = (np.maximum(rates, low / 10) for rates in points)
        self.lines_ += ax.plot(*points, **style)

    def _draw_band(self, ax, fpr, tpr, low):
        start = min(FEWEST_AT_RATE / self.n_non_members, 1.0)
        sides = self.n_members, self.n_non_members
        rates, *ends = roc_band(fpr, tpr, *sides, start=start, confidence_level=self.confidence_level)
        ends = (np.maximum(end, low / 10) for end in ends)
        style = {"color": self.lines_[-1].get_color(), "alpha": 0.13, "linewidth": 0}
        self.bands_.append(ax.fill_between(rates, *ends, **style))


def _finish(ax, low):
    ax.set(xscale="log", yscale="log", xlim=(low, 1), ylim=(low, 1.15), box_aspect=1)
    ax.set(xlabel="false positive rate", ylabel="true positive rate")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter("")
    # Curves first, also those that were added to another display's.
    handles = sorted(ax.get_legend_handles_labels()[0], key=lambda handle: handle.get_gid() != _CURVE)
    ax.legend(handles=handles, loc="lower right", fontsize="small")

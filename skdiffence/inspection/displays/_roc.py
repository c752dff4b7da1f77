"""ROC curves of membership attacks on logarithmic axes, where an attack that is sure of a few rows shows."""

from numbers import Real

import numpy as np
from sklearn.metrics import auc, roc_curve

from skdiffence._evaluation._named_attacks import named_attacks
from skdiffence._evaluation._scored_rows import scored_rows
from skdiffence.base import MembershipAttack
from skdiffence.inspection.displays._mixin import (
    GRAY,
    LIGHT,
    PALETTE,
    DisplayMixin,
    as_list,
    check_matplotlib,
    check_scores_by_name,
    interval_text,
    soften,
    styled,
)
from skdiffence.inspection.displays._roc_band import band_at, roc_rectangles, with_more_points
from skdiffence.metrics import auc_interval
from skdiffence.metrics._checks import check_membership
from skdiffence.utils._random import draw_seed, mix_seed
from skdiffence.utils._sklearn import HasMethods, Interval, validate_params

_CURVE, _GUESS = "membership-roc-curve", "membership-roc-guess"
_FEWEST = 10
_N_GRID = 300
_SIZE = (6, 5.6)
_CONFIDENCE = Interval(Real, 0, 1, closed="neither")
_STYLE = {
    "ax": "no_validation",
    "confidence": [_CONFIDENCE],
    "name": [str, None],
    "curve_kwargs": [dict, list, None],
    "plot_band": ["boolean"],
    "plot_chance_level": ["boolean"],
    "chance_level_kw": [dict, None],
    "plot_noise": ["boolean"],
}


class MembershipRocDisplay(DisplayMixin):
    """ROC curves of membership attacks on logarithmic axes.

    The area under the curve averages over all rows; what one row has to fear is an attack that finds few members and
    accuses hardly anybody falsely, at the left end. Rates there rest on few non-members: the part of the plot below
    ten of them is shaded.

    Use :meth:`from_estimator` or :meth:`from_predictions` to make one.

    Parameters
    ----------
    fpr, tpr : ndarray or list of ndarray
        False and true positive rates; a list holds one array for each curve.
    roc_auc : float or list of float, default=None
        Area under each curve, for the legend.
    name : str or list of str, default=None
        Names of the curves.
    fpr_low, fpr_high, tpr_low, tpr_high : ndarray or list of ndarray, default=None
        Ends of the joint confidence region of both rates at each threshold, for the band.
    roc_auc_low, roc_auc_high : float or list of float, default=None
        Interval of each area, for the legend.
    n_non_members : int, default=None
        How many rows the false positive rates are shares of. None is one divided by the smallest positive rate, and
        nothing is shaded.

    Attributes
    ----------
    lines_ : list of matplotlib.lines.Line2D
        The curves.
    bands_ : list of matplotlib.collections.PolyCollection
        Their bands; empty if there are none.
    chance_level_ : matplotlib.lines.Line2D or None
        The line of a guess; None where it is not drawn, or was there before.
    noise_ : matplotlib.patches.Patch or None
        The shaded area.
    ax_ : matplotlib.axes.Axes
        The axes.
    figure_ : matplotlib.figure.Figure
        Their figure.

    See Also
    --------
    skdiffence.metrics.tpr_at_fpr_score : One point of the curve.
    SignalDisplay : The scores themselves.

    Notes
    -----
    The band is pointwise: at each single false positive rate that a threshold gives, not at all of them at once, it
    holds the true curve with at least the given confidence, at any number of rows. It is made of Clopper and Pearson's
    intervals of both rates at every threshold, not of resamples, which know nothing of what was never seen. The price
    is width: of normal scores, 15 to 1,000 a side, bands at 95 % held the true rate in 99 % of 1,000 trials and more.
    Rows are taken as independent, and the attack as given.

    Between two thresholds the curve is what an attacker reaches who draws lots between them, a straight line that bends
    on these axes; the band is drawn where it says something, from ten non-members on.

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
        name=None,
        fpr_low=None,
        fpr_high=None,
        tpr_low=None,
        tpr_high=None,
        roc_auc_low=None,
        roc_auc_high=None,
        n_non_members=None,
    ):
        self.fpr = fpr
        self.tpr = tpr
        self.roc_auc = roc_auc
        self.name = name
        self.fpr_low = fpr_low
        self.fpr_high = fpr_high
        self.tpr_low = tpr_low
        self.tpr_high = tpr_high
        self.roc_auc_low = roc_auc_low
        self.roc_auc_high = roc_auc_high
        self.n_non_members = n_non_members

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
            Whether to draw the line of a guess.
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
        (ax,) = self._open(ax, _SIZE)
        n_before = sum(line.get_gid() == _CURVE for line in ax.lines)
        # The line of the first non-member, and room on its left for what is found without accusing anybody.
        low = 0.5 / self._n_non_members(curves)
        if n_before:
            low = min(low, ax.get_xlim()[0])
        self.lines_, self.bands_, self.chance_level_, self.noise_ = [], [], None, None
        for number, curve in enumerate(curves, start=n_before):
            self._draw(ax, curve, PALETTE[number % len(PALETTE)], low, plot_band)
        if plot_chance_level and not any(line.get_gid() == _GUESS for line in ax.lines):
            self._draw_chance_level(ax, chance_level_kw)
        if plot_noise and self.n_non_members is not None and not n_before:
            self.noise_ = ax.axvspan(0, _FEWEST / self.n_non_members, color=LIGHT, zorder=0, linewidth=0)
            self.noise_.set_label(f"below {_FEWEST} non-members: noise")
        ax.set(xscale="log", yscale="log", xlim=(low, 1), ylim=(low, 1.15), box_aspect=1)
        ax.set(xlabel="false positive rate", ylabel="true positive rate")
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_formatter("{x:g}")
            axis.set_minor_formatter("")
        # Curves first, also those that were added to another display's.
        handles = sorted(ax.get_legend_handles_labels()[0], key=lambda handle: handle.get_gid() != _CURVE)
        ax.legend(handles=handles, loc="lower right", fontsize="small")
        soften(ax)
        return self

    @classmethod
    @validate_params(
        {
            "estimator": [HasMethods(["predict", "predict_proba"])],
            "X": "no_validation",
            "y": ["array-like"],
            "is_member": ["array-like"],
            "attack": [str, MembershipAttack, list, dict],
            "known": [Interval(Real, 0, 0.5, closed="right")],
            "random_state": ["random_state"],
            **_STYLE,
        },
        prefer_skip_nested_validation=False,
    )
    def from_estimator(
        cls,
        estimator,
        X,
        y,
        is_member,
        *,
        attack="confidence",
        known=0.5,
        random_state=None,
        name=None,
        confidence=0.95,
        ax=None,
        curve_kwargs=None,
        plot_band=True,
        plot_chance_level=True,
        chance_level_kw=None,
        plot_noise=True,
    ):
        """Attack a fitted classifier and draw the curves.

        Half of the rows is known to the attacker and the other half scored, then the halves change roles. Rows that a
        defense was calibrated on are left out. The classifier is asked about each row once, for all attacks that need
        one answer.

        Parameters
        ----------
        estimator : classifier
            Fitted, with ``predict`` and ``predict_proba``.
        X : array-like of shape (n_samples, ...)
            Rows of known membership.
        y : array-like of shape (n_samples,)
            Their labels.
        is_member : array-like of shape (n_samples,), dtype bool
            True for rows that the classifier was trained on.
        attack : str, MembershipAttack, list or dict of them, default="confidence"
            What attacks; several draw a curve each. Names are those of
            :func:`~skdiffence.attacks.get_attack_names`.
        known : float, default=0.5
            Share of the rows that the attacker knows, at most 0.5.
        random_state : int, RandomState instance or None, default=None
            Splits known from scored rows and seeds attacks.
        name : str, default=None
            Name of a single curve; None is the attack's.
        confidence : float, default=0.95
            Of the band and of the areas' intervals.
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on. None makes a new figure.
        curve_kwargs : dict or list of dict, default=None
            Keywords of the lines, for all curves or each.
        plot_band : bool, default=True
            Whether to draw the bands.
        plot_chance_level : bool, default=True
            Whether to draw the line of a guess.
        chance_level_kw : dict, default=None
            Keywords of that line.
        plot_noise : bool, default=True
            Whether to shade the rates that rest on fewer than ten non-members.

        Returns
        -------
        display : MembershipRocDisplay

        Raises
        ------
        ValueError
            If membership contradicts the classifier, or a side has fewer than four distinct rows.
        """
        check_matplotlib()
        attacks = named_attacks(attack if isinstance(attack, (list, dict)) else [attack])
        rows = scored_rows([estimator], X, y, is_member)
        answers, seed = rows.answers(estimator), draw_seed(random_state)
        scores = {
            key: rows.attack(one, estimator, answers, known=known, seed=mix_seed(seed, key))
            for key, one in attacks.items()
        }
        if len(scores) == 1 and not isinstance(attack, (list, dict)):
            ((key, scores),) = scores.items()
            name = key if name is None else name
        return cls.from_predictions(
            rows.is_member,
            scores,
            name=name,
            confidence=confidence,
            ax=ax,
            curve_kwargs=curve_kwargs,
            plot_band=plot_band,
            plot_chance_level=plot_chance_level,
            chance_level_kw=chance_level_kw,
            plot_noise=plot_noise,
        )

    @classmethod
    @validate_params(
        {"y_true": ["array-like"], "y_score": ["array-like", dict], **_STYLE}, prefer_skip_nested_validation=True
    )
    def from_predictions(
        cls,
        y_true,
        y_score,
        *,
        name=None,
        confidence=0.95,
        ax=None,
        curve_kwargs=None,
        plot_band=True,
        plot_chance_level=True,
        chance_level_kw=None,
        plot_noise=True,
    ):
        """Draw the curves of attack scores.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,), dtype bool
            True for members.
        y_score : array-like of shape (n_samples,), or dict of str to array-like
            Attack scores, higher for what is more likely a member; a dict draws a curve for each entry.
        name : str, default=None
            Name of a single curve.
        confidence : float, default=0.95
            Of the band and of the areas' intervals.
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on. None makes a new figure.
        curve_kwargs : dict or list of dict, default=None
            Keywords of the lines, for all curves or each.
        plot_band : bool, default=True
            Whether to draw the bands.
        plot_chance_level : bool, default=True
            Whether to draw the line of a guess.
        chance_level_kw : dict, default=None
            Keywords of that line.
        plot_noise : bool, default=True
            Whether to shade the rates that rest on fewer than ten non-members.

        Returns
        -------
        display : MembershipRocDisplay

        Raises
        ------
        ValueError
            If lengths differ, a side is empty or a score is not finite.
        """
        check_matplotlib()
        named = check_scores_by_name(y_score, "y_score", name)
        curves = [_curve(y_true, score, confidence) for score in named.values()]
        single = not isinstance(y_score, dict)
        arrays = {key: curves[0][key] if single else [curve[key] for curve in curves] for key in curves[0]}
        n_non_members = int(np.count_nonzero(~np.asarray(y_true, dtype=bool)))
        display = cls(name=name if single else list(named), n_non_members=n_non_members, **arrays)
        return display.plot(
            ax,
            curve_kwargs=curve_kwargs,
            plot_band=plot_band,
            plot_chance_level=plot_chance_level,
            chance_level_kw=chance_level_kw,
            plot_noise=plot_noise,
        )

    def _curves(self, name, curve_kwargs):
        """Return one dict a curve, or say which lengths differ."""
        name = self.name if name is None else name
        lists = {key: as_list(value) for key, value in vars(self).items() if key in _PER_CURVE}
        lists |= {"name": as_list(name), "curve_kwargs": curve_kwargs}
        n_curves = len(lists["fpr"])
        if isinstance(curve_kwargs, dict):
            lists["curve_kwargs"] = [curve_kwargs] * n_curves
        lengths = {key: len(value) for key, value in lists.items() if value is not None}
        if set(lengths.values()) != {n_curves}:
            raise ValueError(f"All of these must be given for each of the curves. Got {lengths}.")
        curves = [{key: value and value[i] for key, value in lists.items()} for i in range(n_curves)]
        for curve in curves:
            points = {key: np.shape(curve[key]) for key in _PER_POINT if curve[key] is not None}
            if len(set(points.values())) > 1 or np.ndim(curve["fpr"]) != 1:
                raise ValueError(f"All of these must be one-dimensional and equally long. Got shapes {points}.")
        return curves

    def _n_non_members(self, curves):
        if self.n_non_members is not None:
            return self.n_non_members
        positive = [rate for curve in curves for rate in np.asarray(curve["fpr"]) if rate > 0]
        return 1 / min(positive, default=1.0)

    def _draw(self, ax, curve, color, low, plot_band):
        defaults = {"color": color, "linewidth": 1.6, "label": _label(curve), "gid": _CURVE}
        grid = np.geomspace(low / 10, 1, _N_GRID)
        points = with_more_points(np.asarray(curve["fpr"]), np.asarray(curve["tpr"]), grid)
        # Zero has no place on a logarithmic axis: it goes out of sight.
        points = (np.maximum(rates, low / 10) for rates in points)
        self.lines_ += ax.plot(*points, **styled("Line2D", defaults, curve["curve_kwargs"]))
        rectangles = {key: curve[key] for key in _RECTANGLE}
        if plot_band and all(ends is not None for ends in rectangles.values()):
            start = low if self.n_non_members is None else min(_FEWEST / self.n_non_members, 1.0)
            rates = np.unique(np.concatenate([[start], grid, rectangles["fpr_low"], rectangles["fpr_high"]]))
            rates = rates[rates >= start]
            ends = (np.maximum(end, low / 10) for end in band_at(rates, **rectangles))
            color = self.lines_[-1].get_color()
            self.bands_.append(ax.fill_between(rates, *ends, color=color, alpha=0.13, linewidth=0))

    def _draw_chance_level(self, ax, given):
        # On logarithmic axes the diagonal from (0, 0) to (1, 1) needs a start above zero.
        ends = (1e-12, 1)
        defaults = {"color": GRAY, "linestyle": "--", "linewidth": 1, "label": "a guess", "gid": _GUESS, "zorder": 1}
        (self.chance_level_,) = ax.plot(ends, ends, **styled("Line2D", defaults, given))


_RECTANGLE = ("fpr_low", "fpr_high", "tpr_low", "tpr_high")
_PER_POINT = ("fpr", "tpr", *_RECTANGLE)
_PER_CURVE = (*_PER_POINT, "roc_auc", "roc_auc_low", "roc_auc_high")


def _curve(y_true, score, confidence):
    is_member, score = check_membership(y_true, score)
    # All thresholds: the band is made from the rates at each of them.
    fpr, tpr, _ = roc_curve(is_member, score, drop_intermediate=False)
    rectangles = roc_rectangles(fpr, tpr, is_member.sum(), (~is_member).sum(), confidence=confidence)
    low, high = auc_interval(is_member, score, confidence_level=confidence)
    areas = {"roc_auc": float(auc(fpr, tpr)), "roc_auc_low": low, "roc_auc_high": high}
    return {"fpr": fpr, "tpr": tpr, **rectangles, **areas}


def _label(curve):
    parts = [] if curve["name"] is None else [curve["name"]]
    if curve["roc_auc"] is not None:
        parts.append(f"AUC {interval_text(curve['roc_auc'], curve['roc_auc_low'], curve['roc_auc_high'])}")
    return ": ".join(parts) or None

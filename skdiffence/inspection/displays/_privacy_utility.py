"""The trade-off between privacy and utility of several defenses."""

from numbers import Integral, Real

import numpy as np
from sklearn.metrics import roc_auc_score

from skdiffence._evaluation._named_attacks import named_attacks
from skdiffence._evaluation._usable_rows import score_rows, usable_rows
from skdiffence.attacks import Answers, query
from skdiffence.base import MembershipAttack
from skdiffence.inspection.displays._mixin import BLACK, BLUE, GRAY, DisplayMixin, check_matplotlib, draw_level
from skdiffence.inspection.displays._point_names import FONT_SIZE, write_names
from skdiffence.inspection.displays._privacy_plane import (
    AXIS_LABELS,
    check_points,
    check_references,
    measure,
    named_estimators,
)
from skdiffence.metrics._checks import check_membership
from skdiffence.metrics._signals import check_columns, check_proba
from skdiffence.utils._random import draw_seed
from skdiffence.utils._sklearn import Interval, StrOptions, validate_params
from skdiffence.utils._validation import check_is_member

_GUESS = 0.5
_MARGIN = 0.12  # of the axes, around all points
_SETTINGS = {
    "plane": [StrOptions(set(AXIS_LABELS))],
    "reference": [str, Interval(Integral, 0, None, closed="left"), list, None],
    "confidence_level": [Interval(Real, 0, 1, closed="neither")],
    "ax": "no_validation",
}


class PrivacyUtilityDisplay(DisplayMixin):
    """The trade-off between privacy and utility of several defenses.

    Each point is a classifier; an arrow leads to it from the undefended one. Towards the lower right is better. A
    useful defense goes down further than it goes left.

    Use :meth:`from_estimator` or :meth:`from_predictions` to make one.

    Parameters
    ----------
    utility : array-like of shape (n_points,)
        Utility of the answers, higher is better.
    privacy : array-like of shape (n_points,)
        AUC of an attack, lower is better.
    name : list of str
        Names of the points.
    utility_margin, privacy_margin : array-like of shape (n_points,) or (2, n_points), default=None
        Error bars: half-widths of intervals, or their extent below and above the values.
    reference : int, str or list of them, default=None
        Index or name of the undefended point, for all or one for each point. A point without one, or that is its own,
        gets no arrow.
    floor : float, default=None
        AUC of an attack that sees labels only, drawn as a line. No defense that keeps labels goes below it.
    utility_label, privacy_label : str, default=None
        Labels of the axes.

    Attributes
    ----------
    points_ : matplotlib.collections.PathCollection
        The points.
    texts_ : list of matplotlib.text.Annotation
        Their names.
    arrows_ : list of matplotlib.text.Annotation
        The arrows.
    errorbar_ : matplotlib.container.ErrorbarContainer or None
        The error bars.
    chance_level_ : matplotlib.lines.Line2D
        The line of a random guess.
    floor_ : matplotlib.lines.Line2D or None
        The line of the floor.
    ax_ : matplotlib.axes.Axes
        The axes.
    figure_ : matplotlib.figure.Figure
        Their figure.

    See Also
    --------
    skdiffence.model_selection.AttackScorer : The same numbers in cross-validation.

    Notes
    -----
    There are two planes. "failure_detection" shows what a label-preserving defense changes: how well the confidence of
    an answer separates right from wrong answers, and the AUC of an attack among correctly labeled rows, where the label
    itself says nothing about membership and a random guess is the floor. "accuracy" is the plane of most papers: a
    defense that keeps all labels moves straight down in it, whatever it does to confidence.

    References
    ----------
    Peng, Naseh, Houmansadr: Diffence, NDSS 2025, section VI.

    Examples
    --------
    >>> from skdiffence.inspection import PrivacyUtilityDisplay
    >>> display = PrivacyUtilityDisplay(
    ...     utility=[0.74, 0.60, 0.51],
    ...     privacy=[0.71, 0.55, 0.53],
    ...     name=["undefended", "swap", "label only"],
    ...     privacy_margin=[0.02, 0.02, 0.02],
    ...     reference="undefended",
    ... )
    >>> len(display.plot().arrows_)
    2
    """

    def __init__(
        self,
        *,
        utility,
        privacy,
        name,
        utility_margin=None,
        privacy_margin=None,
        reference=None,
        floor=None,
        utility_label=None,
        privacy_label=None,
    ):
        self.utility = utility
        self.privacy = privacy
        self.name = name
        self.utility_margin = utility_margin
        self.privacy_margin = privacy_margin
        self.reference = reference
        self.floor = floor
        self.utility_label = utility_label
        self.privacy_label = privacy_label

    def plot(self, ax=None):
        """Draw the points.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on; their limits are set. None makes a new figure.

        Returns
        -------
        display : PrivacyUtilityDisplay
            This object.

        Raises
        ------
        ValueError
            If lengths differ, a value is not finite or a reference does not exist.
        """
        keys = ("utility", "privacy", "utility_margin", "privacy_margin")
        points = {key: getattr(self, key) for key in keys}
        x, y, x_margin, y_margin = check_points(points, len(list(self.name)))
        references = check_references(self.reference, list(self.name))
        (ax,) = self._set_axes(ax, (6, 4.6))
        self.errorbar_ = None
        if not (x_margin is None and y_margin is None):
            style = {"fmt": "none", "ecolor": GRAY, "elinewidth": 0.8, "alpha": 0.6, "zorder": 1}
            self.errorbar_ = ax.errorbar(x, y, xerr=x_margin, yerr=y_margin, **style)
        colors = [BLACK if i in references else BLUE for i in range(len(x))]
        self.points_ = ax.scatter(x, y, c=colors, s=28, zorder=3)
        self.arrows_ = [
            _arrow(ax, (x[start], y[start]), (x[end], y[end]))
            for end, start in enumerate(references)
            if start not in (-1, end)
        ]
        self.chance_level_ = _named_level(ax, _GUESS, "a guess", ":")
        self.floor_ = None if self.floor is None else _named_level(ax, self.floor, "labels alone", "--")
        levels = [_GUESS] if self.floor is None else [_GUESS, self.floor]
        ax.set(xlim=_limits(x, x_margin), ylim=_limits(y, y_margin, levels))
        ax.set(xlabel=self.utility_label or "utility", ylabel=self.privacy_label or "attack AUC")
        self.texts_ = write_names(ax, self.name, x, y, colors)
        return self

    @classmethod
    @validate_params(
        {
            "estimators": [dict, list],
            "X": "no_validation",
            "y": ["array-like"],
            "is_member": ["array-like"],
            "attack": [str, MembershipAttack],
            "known": [Interval(Real, 0, 0.5, closed="right")],
            "random_state": ["random_state"],
            **_SETTINGS,
        },
        prefer_skip_nested_validation=False,
    )
    def from_estimator(
        cls,
        estimators,
        X,
        y,
        is_member,
        *,
        plane="failure_detection",
        attack="confidence",
        reference=0,
        confidence_level=0.95,
        known=0.5,
        random_state=None,
        ax=None,
    ):
        """Measure fitted classifiers on the same rows and draw them.

        Rows that any of them was calibrated on are left out for all. Each is asked about each row once, unless the
        attack needs more.

        Parameters
        ----------
        estimators : dict of str to classifier, or list of classifiers
            Fitted, with ``predict`` and ``predict_proba``; those of a list are named by their classes.
        X : array-like of shape (n_samples, ...)
            Rows of known membership.
        y : array-like of shape (n_samples,)
            Their labels.
        is_member : array-like of shape (n_samples,), dtype bool
            True for rows that the classifiers were trained on.
        plane : {"failure_detection", "accuracy"}, default="failure_detection"
            What is measured, see the Notes of the class.
        attack : str or MembershipAttack, default="confidence"
            The attack, see :func:`~skdiffence.attacks.get_attack_names`. It knows half of the rows and scores the
            other half, then the halves change roles.
        reference : int, str or list of them, default=0
            Index or name of the undefended classifier, for all or one for each; None draws no arrows.
        confidence_level : float, default=0.95
            Confidence level of the error bars.
        known : float, default=0.5
            Share of the rows that the attacker knows, at most 0.5.
        random_state : int, RandomState instance or None, default=None
            Splits known from scored rows and seeds the attack.
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on. None makes a new figure.

        Returns
        -------
        display : PrivacyUtilityDisplay

        Raises
        ------
        ValueError
            If membership contradicts a classifier, or a number can't be measured on these rows.
        """
        check_matplotlib()
        named = named_estimators(estimators)
        rows = usable_rows(list(named.values()), X, y, is_member)
        (attack,) = named_attacks([attack], "attack").values()
        seed = draw_seed(random_state)
        answers = {name: query(estimator, rows.X, rows.y) for name, estimator in named.items()}
        y_score = {
            name: score_rows(attack, estimator, answers[name], rows, known=known, seed=seed)
            for name, estimator in named.items()
        }
        measured = measure(answers, rows.is_member, y_score, plane, confidence_level)
        return cls._of_measured(answers, rows.is_member, measured, plane, reference).plot(ax)

    @classmethod
    @validate_params(
        {"is_member": ["array-like"], "y": ["array-like"], "proba": [dict], "y_score": [dict], **_SETTINGS},
        prefer_skip_nested_validation=True,
    )
    def from_predictions(
        cls, is_member, y, proba, y_score, *, plane="failure_detection", reference=0, confidence_level=0.95, ax=None
    ):
        """Measure answers to the same rows, and scores of an attack on them, and draw them.

        Parameters
        ----------
        is_member : array-like of shape (n_samples,), dtype bool
            True for members.
        y : array-like of shape (n_samples,), dtype int
            Columns of the true labels, see :func:`~skdiffence.metrics.label_columns`.
        proba : dict of str to array-like of shape (n_samples, n_classes)
            Answers by the name of the point; the most probable label is taken for the predicted one.
        y_score : dict of str to array-like of shape (n_samples,)
            Attack scores by the name of the point, higher for likelier members.
        plane : {"failure_detection", "accuracy"}, default="failure_detection"
            What is measured, see the Notes of the class.
        reference : int, str or list of them, default=0
            Index or name of the undefended answers, for all or one for each; None draws no arrows.
        confidence_level : float, default=0.95
            Confidence level of the error bars.
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on. None makes a new figure.

        Returns
        -------
        display : PrivacyUtilityDisplay

        Raises
        ------
        ValueError
            If shapes or names differ, answers do not hold probabilities, or a number can't be measured on these rows.
        """
        check_matplotlib()
        if not proba or proba.keys() != y_score.keys():
            raise ValueError(
                "proba and y_score must hold the same names, at least one. "
                f"Got {sorted(proba)} and {sorted(y_score)}."
            )
        answers = {name: _answers(y, check_proba(one)) for name, one in proba.items()}
        is_member = check_is_member(is_member, len(y), both_sides=True)
        y_score = {name: check_membership(is_member, one)[1] for name, one in y_score.items()}
        measured = measure(answers, is_member, y_score, plane, confidence_level)
        return cls._of_measured(answers, is_member, measured, plane, reference).plot(ax)

    @classmethod
    def _of_measured(cls, answers, is_member, measured, plane, reference):
        """Return the display, which in the plane of accuracy has a floor: what the undefended labels tell."""
        display = cls(**measured, name=list(answers), reference=reference)
        start = check_references(reference, list(answers))[0]
        if plane == "accuracy" and start >= 0:
            display.floor = float(roc_auc_score(is_member, list(answers.values())[start].correct))
        return display


def _answers(y, proba):
    return Answers(proba, proba.argmax(axis=1), check_columns(y, proba), np.arange(proba.shape[1]))


def _limits(values, margin, more=()):
    below, above = (0, 0) if margin is None else margin
    everything = np.concatenate([values - below, values + above, more])
    around = _MARGIN * max(np.ptp(everything), 0.02)
    return everything.min() - around, everything.max() + around


def _arrow(ax, start, end):
    style = {"arrowstyle": "-|>", "color": BLUE, "alpha": 0.35, "linewidth": 1, "shrinkA": 4, "shrinkB": 4}
    return ax.annotate("", end, xytext=start, arrowprops=style, zorder=2)


def _named_level(ax, level, name, linestyle):
    # At the left end: in the units of the axes along x, and of the data along y.
    style = {"xycoords": ax.get_yaxis_transform(), "textcoords": "offset points", "fontsize": FONT_SIZE}
    ax.annotate(name, (0, level), xytext=(3, 1), color=GRAY, **style)
    return draw_level(ax, level, linestyle=linestyle)

"""What defenses take from attackers, against what they take from users."""

from numbers import Integral, Real

import numpy as np
from sklearn.metrics import roc_auc_score

from skdiffence._evaluation._named_attacks import named_attacks
from skdiffence._evaluation._scored_rows import ScoredRows, scored_rows
from skdiffence.attacks import Answers
from skdiffence.base import MembershipAttack
from skdiffence.inspection.displays._label_placement import place_labels
from skdiffence.inspection.displays._mixin import BLACK, BLUE, GRAY, DisplayMixin, check_matplotlib, soften
from skdiffence.inspection.displays._privacy_plane import AXIS_LABELS, privacy_of, utility_of
from skdiffence.metrics._signals import check_columns, check_proba
from skdiffence.utils._random import draw_seed
from skdiffence.utils._sklearn import Interval, StrOptions, validate_params
from skdiffence.utils._validation import check_is_member

_GUESS = 0.5
_PAD = 0.12
_SIZE = (6, 4.6)
_SETTINGS = {
    "plane": [StrOptions(set(AXIS_LABELS))],
    "attack": [str, MembershipAttack],
    "reference": [str, Interval(Integral, 0, None, closed="left"), list, None],
    "confidence": [Interval(Real, 0, 1, closed="neither")],
    "known": [Interval(Real, 0, 0.5, closed="right")],
    "random_state": ["random_state"],
    "ax": "no_validation",
}


class PrivacyUtilityDisplay(DisplayMixin):
    """What defenses take from attackers, against what they take from users.

    Each point is a classifier; an arrow leads to it from the undefended one. Towards the lower right is better. A
    defense that is of use goes down further than it goes left.

    Use :meth:`from_estimator` or :meth:`from_predictions` to make one.

    Parameters
    ----------
    utility : array-like of shape (n_points,)
        What the answers are worth, higher is better.
    privacy : array-like of shape (n_points,)
        What attacks find in them, lower is better.
    name : list of str
        Names of the points.
    utility_margin, privacy_margin : array-like of shape (n_points,) or (2, n_points), default=None
        Error bars: half-widths of intervals, or what lies below and above.
    reference : int, str or list of them, default=None
        Index or name of the undefended point, for all or one for each point. A point without one, or that is its own,
        gets no arrow.
    floor : float, default=None
        What an attack finds that sees labels only: no defense that keeps labels goes below. It is drawn as a line.
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
        The line of a guess.
    floor_ : matplotlib.lines.Line2D or None
        The line of labels alone.
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
    an answer tells right from wrong, and how well attacks do among correctly labeled rows, where the label itself says
    nothing about membership and a guess is the floor. "accuracy" is the plane of most papers: a defense that keeps all
    labels moves straight down in it, whatever it does to confidence.

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
            Axes to draw on; limits are set to hold the points. None makes a new figure.

        Returns
        -------
        display : PrivacyUtilityDisplay
            This object.

        Raises
        ------
        ValueError
            If lengths differ, a value is not finite or a reference does not exist.
        """
        x, y, margins, references = self._checked()
        (ax,) = self._open(ax, _SIZE)
        is_reference = np.isin(np.arange(len(x)), references)
        colors = [BLACK if is_one else BLUE for is_one in is_reference]
        self.errorbar_ = None
        if any(margin is not None for margin in margins):
            style = {"fmt": "none", "ecolor": GRAY, "elinewidth": 0.8, "alpha": 0.6, "zorder": 1}
            self.errorbar_ = ax.errorbar(x, y, xerr=margins[0], yerr=margins[1], **style)
        self.points_ = ax.scatter(x, y, c=colors, s=28, zorder=3)
        arrows = [(int(r), i) for i, r in enumerate(references) if r not in (-1, i)]
        self.arrows_ = [_arrow(ax, (x[r], y[r]), (x[i], y[i])) for r, i in arrows]
        self._set_limits(ax, x, y, margins)
        self._draw_levels(ax)
        ax.set(xlabel=self.utility_label or "utility", ylabel=self.privacy_label or "attack AUC")
        soften(ax)
        in_the_way = np.concatenate([_along(x, y, margins, arrows), self._levels(ax)])
        self.texts_ = place_labels(ax, x, y, list(self.name), obstacles=in_the_way, colors=colors)
        return self

    @classmethod
    @validate_params(
        {
            "estimators": [dict, list],
            "X": "no_validation",
            "y": ["array-like"],
            "is_member": ["array-like"],
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
        confidence=0.95,
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
            What attacks, see :func:`~skdiffence.attacks.get_attack_names`. It knows half of the rows and scores the
            other half, then the halves change roles.
        reference : int, str or list of them, default=0
            Index or name of the undefended classifier, for all or one for each; None draws no arrows.
        confidence : float, default=0.95
            Of the error bars.
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
        named = _named_estimators(estimators)
        rows = scored_rows(list(named.values()), X, y, is_member)
        answers = {name: rows.answers(estimator) for name, estimator in named.items()}
        how = {"plane": plane, "attack": attack, "confidence": confidence, "known": known}
        return cls._from_answers(answers, rows, named, how, draw_seed(random_state), reference).plot(ax)

    @classmethod
    @validate_params(
        {"is_member": ["array-like"], "y": ["array-like"], "proba": [dict], **_SETTINGS},
        prefer_skip_nested_validation=False,
    )
    def from_predictions(
        cls,
        is_member,
        y,
        proba,
        *,
        plane="failure_detection",
        attack="confidence",
        reference=0,
        confidence=0.95,
        known=0.5,
        random_state=None,
        ax=None,
    ):
        """Measure answers to the same rows and draw them.

        Parameters
        ----------
        is_member : array-like of shape (n_samples,), dtype bool
            True for members.
        y : array-like of shape (n_samples,), dtype int
            Columns of the true labels, see :func:`~skdiffence.metrics.label_columns`.
        proba : dict of str to array-like of shape (n_samples, n_classes)
            Answers by the name of the point; the most probable label is taken for the predicted one.
        plane : {"failure_detection", "accuracy"}, default="failure_detection"
            What is measured, see the Notes of the class.
        attack : str or MembershipAttack, default="confidence"
            What attacks; one that needs a single answer a row. It knows half of the rows and scores the other half,
            then the halves change roles.
        reference : int, str or list of them, default=0
            Index or name of the undefended answers, for all or one for each; None draws no arrows.
        confidence : float, default=0.95
            Of the error bars.
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
            If shapes differ, answers do not hold probabilities, the attack needs more than answers, or a number can't
            be measured on these rows.
        """
        check_matplotlib()
        if not proba:
            raise ValueError("proba must hold at least one set of answers. Got an empty dict.")
        answers = {}
        for name, one in proba.items():
            one = check_proba(one)
            classes = np.arange(one.shape[1])
            answers[name] = Answers(one, one.argmax(axis=1), check_columns(y, one), classes)
        (attack,) = named_attacks([attack]).values()
        if not attack.asks_once:
            raise ValueError(f"attack must need one answer a row only. Got {attack!r}: use from_estimator.")
        y = np.asarray(y)
        # Without the rows themselves, their numbers stand for them.
        rows = ScoredRows(np.arange(len(y))[:, None], y, check_is_member(is_member, len(y), both_sides=True))
        how = {"plane": plane, "attack": attack, "confidence": confidence, "known": known}
        targets = dict.fromkeys(answers)
        return cls._from_answers(answers, rows, targets, how, draw_seed(random_state), reference).plot(ax)

    @classmethod
    def _from_answers(cls, answers, rows, targets, how, seed, reference):
        (attack,) = named_attacks([how["attack"]]).values()
        utility, privacy = [], []
        for name, given in answers.items():
            scores = rows.attack(attack, targets[name], given, known=how["known"], seed=seed)
            utility.append(utility_of(name, given, rows.is_member, how["plane"], how["confidence"]))
            privacy.append(privacy_of(name, given, rows.is_member, scores, how["plane"], how["confidence"]))
        (utility, utility_margin), (privacy, privacy_margin) = _with_margins(utility), _with_margins(privacy)
        display = cls(
            utility=utility,
            privacy=privacy,
            name=list(answers),
            utility_margin=utility_margin,
            privacy_margin=privacy_margin,
            reference=reference,
            utility_label=AXIS_LABELS[how["plane"]][0],
            privacy_label=AXIS_LABELS[how["plane"]][1],
        )
        start = display._references()[0]
        if how["plane"] == "accuracy" and start >= 0:
            undefended = list(answers.values())[start]
            display.floor = float(roc_auc_score(rows.is_member, undefended.correct))
        return display

    def _references(self):
        """Return the index of each point's undefended one, -1 for none."""
        names, given = list(self.name), self.reference
        given = given if isinstance(given, list) else [given] * len(names)
        if len(given) != len(names):
            raise ValueError(f"reference must be one, or one for each of the {len(names)} points. Got {len(given)}.")
        return np.array([_reference(one, names) for one in given], dtype=int)

    def _checked(self):
        values = {"utility": self.utility, "privacy": self.privacy}
        values |= {"utility_margin": self.utility_margin, "privacy_margin": self.privacy_margin}
        values = {key: None if value is None else np.asarray(value, dtype=np.float64) for key, value in values.items()}
        n = len(list(self.name))
        allowed = {"utility": {(n,)}, "privacy": {(n,)}}
        for key, value in values.items():
            if value is None:
                continue
            if value.shape not in allowed.get(key, {(n,), (2, n)}) or not np.isfinite(value).all():
                raise ValueError(f"{key} must hold a finite number for each of the {n} points. Got {value.tolist()}.")
            if key.endswith("margin") and value.min(initial=0.0) < 0:
                raise ValueError(f"{key} must not be negative. Got {value.min()}.")
        margins = [values[key] for key in ("utility_margin", "privacy_margin")]
        margins = [margin if margin is None or margin.ndim == 2 else np.stack([margin, margin]) for margin in margins]
        return values["utility"], values["privacy"], margins, self._references()

    def _levels(self, ax):
        """Return points along the lines of a guess and of labels alone."""
        across = np.linspace(*ax.get_xlim(), 80)
        levels = [_GUESS] if self.floor is None else [_GUESS, self.floor]
        return np.concatenate([np.column_stack([across, np.full_like(across, level)]) for level in levels])

    def _set_limits(self, ax, x, y, margins):
        levels = [_GUESS] + ([] if self.floor is None else [self.floor])
        for values, margin, more, set_limits in (
            (x, margins[0], [], ax.set_xlim),
            (y, margins[1], levels, ax.set_ylim),
        ):
            below, above = (0, 0) if margin is None else margin
            everything = np.concatenate([values - below, values + above, more])
            span = max(np.ptp(everything), 0.02)
            set_limits(everything.min() - _PAD * span, everything.max() + _PAD * span)

    def _draw_levels(self, ax):
        self.chance_level_ = ax.axhline(_GUESS, color=GRAY, linewidth=0.8, linestyle=":", zorder=0)
        _level_name(ax, _GUESS, "a guess")
        self.floor_ = None
        if self.floor is not None:
            self.floor_ = ax.axhline(self.floor, color=GRAY, linewidth=0.8, linestyle="--", zorder=0)
            _level_name(ax, self.floor, "labels alone")


def _reference(one, names):
    if one is None:
        return -1
    if isinstance(one, str):
        if one not in names:
            raise ValueError(f"reference must be one of {names}. Got {one!r}.")
        return names.index(one)
    if not 0 <= one < len(names):
        raise ValueError(f"reference must be from 0 to {len(names) - 1}. Got {one}.")
    return int(one)


def _named_estimators(estimators):
    if not estimators:
        raise ValueError(f"estimators must hold at least one classifier. Got {estimators!r}.")
    if isinstance(estimators, dict):
        return estimators
    named = {}
    for estimator in estimators:
        name = type(estimator).__name__
        # The second of a class is its 2.
        n_before = sum(type(other) is type(estimator) for other in named.values())
        named[f"{name} {n_before + 1}" if n_before else name] = estimator
    return named


def _with_margins(values):
    """Return values, and what their intervals reach below and above them."""
    value, low, high = np.array(values, dtype=np.float64).T
    return value, np.clip([value - low, high - value], 0, None)


def _arrow(ax, start, end):
    style = {"arrowstyle": "-|>", "color": BLUE, "alpha": 0.35, "linewidth": 1, "shrinkA": 4, "shrinkB": 4}
    return ax.annotate("", end, xytext=start, arrowprops=style, zorder=2)


def _level_name(ax, level, name):
    # At the left end, in the units of the axes along x and of the data along y.
    style = {"fontsize": 8, "color": GRAY, "ha": "left", "va": "bottom"}
    ax.annotate(name, (0, level), xycoords=ax.get_yaxis_transform(), xytext=(3, 1), textcoords="offset points", **style)


def _along(x, y, margins, arrows):
    """Return points along arrows and error bars, which names should not cover."""
    along = [np.linspace((x[r], y[r]), (x[i], y[i]), 15) for r, i in arrows]
    for axis, margin in enumerate(margins):
        if margin is not None:
            for i in range(len(x)):
                ends = np.array([[x[i], y[i]], [x[i], y[i]]])
                ends[:, axis] += (-margin[0, i], margin[1, i])
                along.append(np.linspace(*ends, 9))
    return np.concatenate([np.empty((0, 2)), *along])

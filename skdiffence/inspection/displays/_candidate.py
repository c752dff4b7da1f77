"""Originals beside their candidates, and which of these answers."""

from numbers import Integral

import numpy as np

from skdiffence.inspection.displays._defended import candidates_of, undefended_responses
from skdiffence.inspection.displays._mixin import (
    BLACK,
    GRAY,
    GREEN,
    VERMILLION,
    DisplayMixin,
    check_matplotlib,
    shortened,
)
from skdiffence.inspection.displays._pictures import as_pictures, draw_picture
from skdiffence.metrics._signals import check_columns, check_proba
from skdiffence.utils._frames import as_numbers, is_frame
from skdiffence.utils._optional import import_optional
from skdiffence.utils._sklearn import HasMethods, Interval, num_samples, safe_indexing, validate_params

_SHOWN = 5
# In widths of a picture: from one to the next, what is below each, and the height of lines.
_STEP, _BELOW, _LINES = 1.14, 0.62, 0.7
# Heights of images that are much wider or taller than this are cut to it.
_SHAPES = (0.4, 2.5)
_INCHES = 0.86
_LONGEST = 12


class CandidateDisplay(DisplayMixin):
    """Originals beside their candidates, and which of these answers.

    Each candidate stands above the label and the confidence that the classifier gives it. The one that answers is
    framed; candidates whose label differs from the original's are struck out. Where such a one answers, its label has
    been exchanged with the original's.

    Use :meth:`from_estimator` or :meth:`from_predictions` to make one.

    Parameters
    ----------
    X : ndarray of shape (n, channels, height, width) or (n, d)
        Originals. Of images with two or more than four channels the first is shown, of four the first three.
    candidates : ndarray of shape (n, n_candidates, ...)
        Candidates of each, in the same form.
    label : ndarray of shape (n,)
        The label of each original.
    candidate_label : ndarray of shape (n, n_candidates)
        The label that each candidate gets.
    confidence : ndarray of shape (n,)
        The probability of the original's label.
    candidate_confidence : ndarray of shape (n, n_candidates)
        The probability of each candidate's label.
    chosen : ndarray of shape (n,), dtype int
        Number of the candidate that answers, -1 for the original itself.
    number : ndarray of shape (n, n_candidates), dtype int, default=None
        Numbers of the candidates; None is 0, 1, 2 and so on.
    y : ndarray of shape (n,), default=None
        True labels.
    value_range : ndarray of shape (2,), (2, channels) or (2, d), default=None
        Lowest and highest value. None is taken from the originals.

    Attributes
    ----------
    images_ : list of list of matplotlib artists
        For each row the original and the candidates: images, or lines for rows of features.
    texts_ : list of list of matplotlib.text.Text
        What stands below them.
    frames_ : list of matplotlib.patches.Rectangle
        The frame of each row that shows what answers.
    strikes_ : list of matplotlib.lines.Line2D
        One for each candidate whose label differs.
    ax_ : matplotlib.axes.Axes
        The axes.
    figure_ : matplotlib.figure.Figure
        Their figure.

    See Also
    --------
    skdiffence.defenses.DefendedClassifier.select : Which candidates answer.

    Notes
    -----
    This shows rows of data, and which candidate answers tells about membership: it is for the owner of the classifier.
    Rows of features are drawn as lines over the features, the original behind each candidate.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> from skdiffence import DefendedClassifier, DiffusionRegenerator
    >>> from skdiffence.inspection import CandidateDisplay
    >>> X, y = load_wine(return_X_y=True)
    >>> regenerator = DiffusionRegenerator(max_epochs=20)
    >>> defended = DefendedClassifier(RandomForestClassifier(20), regenerator, random_state=0).fit(X, y)
    >>> display = CandidateDisplay.from_estimator(defended, X, rows=[0, 100], n_candidates=3)
    >>> display.candidate_label.shape
    (2, 3)
    """

    def __init__(
        self,
        *,
        X,
        candidates,
        label,
        candidate_label,
        confidence,
        candidate_confidence,
        chosen,
        number=None,
        y=None,
        value_range=None,
    ):
        self.X = X
        self.candidates = candidates
        self.label = label
        self.candidate_label = candidate_label
        self.confidence = confidence
        self.candidate_confidence = candidate_confidence
        self.chosen = chosen
        self.number = number
        self.y = y
        self.value_range = value_range

    def plot(self, ax=None, *, cmap="gray"):
        """Draw the originals and their candidates.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on; all of it is used. None makes a new figure.
        cmap : str or matplotlib.colors.Colormap, default="gray"
            Colors of images with one channel.

        Returns
        -------
        display : CandidateDisplay
            This object.

        Raises
        ------
        ValueError
            If shapes do not fit together, or a chosen candidate is not among those given.
        """
        pictures, number = self._checked()
        n, n_columns = pictures.shape[:2]
        height = np.clip(pictures.shape[2] / pictures.shape[3], *_SHAPES) if pictures.ndim > 3 else _LINES
        pitch = height + _BELOW
        (ax,) = self._set_axes(ax, (0.3 + _INCHES * n_columns * _STEP, 0.8 + _INCHES * n * pitch))
        self.images_, self.texts_, self.frames_, self.strikes_ = [], [], [], []
        for row in range(n):
            # From the lower left corner of each picture to its upper right one.
            bottom = -pitch * row - height
            boxes = [(_STEP * column, _STEP * column + 1, bottom, bottom + height) for column in range(n_columns)]
            self.images_.append([draw_picture(ax, pictures[row], i, box, cmap) for i, box in enumerate(boxes)])
            self.texts_.append([self._describe(ax, row, i, box, number) for i, box in enumerate(boxes)])
            self._mark(ax, row, boxes, number)
        for column in range(n_columns):
            heading = "original" if column == 0 else f"candidate {column - 1}"
            ax.text(_STEP * column + 0.5, 0.1, heading, ha="center", va="bottom", fontsize=8, color=GRAY)
        self._finish(ax, _STEP * n_columns, pitch * n)
        return self

    @classmethod
    @validate_params(
        {
            "estimator": [HasMethods(["predict", "select"])],
            "X": "no_validation",
            "rows": ["array-like", None],
            "n_candidates": [Interval(Integral, 1, None, closed="left")],
            "y": ["array-like", None],
            "ax": "no_validation",
            "cmap": "no_validation",
        },
        prefer_skip_nested_validation=True,
    )
    def from_estimator(cls, estimator, X, *, rows=None, n_candidates=6, y=None, ax=None, cmap="gray"):
        """Regenerate some rows and draw them.

        Parameters
        ----------
        estimator : DefendedClassifier
            Fitted.
        X : array-like of shape (n_samples, ...)
            Rows.
        rows : array-like of int, default=None
            Which of them to show; None is the first five.
        n_candidates : int, default=6
            How many candidates to show. Where a later one answers it takes the last place.
        y : array-like of shape (n_samples,), default=None
            True labels of X, to be shown.
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on; all of it is used. None makes a new figure.
        cmap : str or matplotlib.colors.Colormap, default="gray"
            Colors of images with one channel.

        Returns
        -------
        display : CandidateDisplay

        Raises
        ------
        ValueError
            If the classifier answers undefended, its regenerator draws new noise at each call, so that what is shown
            is not what answered, or rows are not those of X.

        Notes
        -----
        This costs one call of denoiser and classifier for each row and candidate shown, and what
        :meth:`~skdiffence.defenses.DefendedClassifier.select` costs.
        """
        check_matplotlib()
        regenerate, answer = candidates_of(estimator), undefended_responses(estimator)
        index = _checked_rows(rows, num_samples(X))
        if y is not None and num_samples(y) != num_samples(X):
            raise ValueError(f"y must hold one label for each of the {num_samples(X)} rows of X. Got {num_samples(y)}.")
        shown = safe_indexing(X, index)
        shown = shown if is_frame(shown) else np.asarray(shown)
        chosen = estimator.select(shown).candidate
        number = np.tile(np.arange(n_candidates), (len(index), 1))
        number[:, -1] = np.maximum(number[:, -1], chosen)
        candidates = [regenerate(shown, column) for column in number.T]
        (label, *candidate_label), (proba, *candidate_proba) = zip(*map(answer, [shown, *candidates]), strict=True)
        return cls.from_predictions(
            as_numbers(shown),
            np.stack([as_numbers(each) for each in candidates], axis=1),
            proba,
            np.stack(candidate_proba, axis=1),
            chosen,
            label=label,
            candidate_label=np.stack(candidate_label, axis=1),
            number=number,
            classes=estimator.classes_,
            y=None if y is None else np.asarray(y)[index],
            value_range=getattr(estimator.regenerator_, "value_range_", None),
            ax=ax,
            cmap=cmap,
        )

    @classmethod
    @validate_params(
        {
            "X": ["array-like"],
            "candidates": ["array-like"],
            "proba": ["array-like"],
            "candidate_proba": ["array-like"],
            "chosen": ["array-like"],
            "label": ["array-like", None],
            "candidate_label": ["array-like", None],
            "number": ["array-like", None],
            "classes": ["array-like", None],
            "y": ["array-like", None],
            "value_range": ["array-like", None],
            "ax": "no_validation",
            "cmap": "no_validation",
        },
        prefer_skip_nested_validation=True,
    )
    def from_predictions(
        cls,
        X,
        candidates,
        proba,
        candidate_proba,
        chosen,
        *,
        label=None,
        candidate_label=None,
        number=None,
        classes=None,
        y=None,
        value_range=None,
        ax=None,
        cmap="gray",
    ):
        """Draw rows and their candidates by what a classifier answered to each.

        Parameters
        ----------
        X : array-like of shape (n, channels, height, width) or (n, d)
            Originals.
        candidates : array-like of shape (n, n_candidates, ...)
            Candidates of each.
        proba : array-like of shape (n, n_classes)
            Answers to the originals.
        candidate_proba : array-like of shape (n, n_candidates, n_classes)
            Answers to the candidates.
        chosen : array-like of shape (n,), dtype int
            Number of the candidate that answers, -1 for the original itself.
        label : array-like of shape (n,), dtype int, default=None
            Columns of the labels of the originals; None is the most probable ones.
        candidate_label : array-like of shape (n, n_candidates), dtype int, default=None
            The same for the candidates.
        number : array-like of shape (n, n_candidates), dtype int, default=None
            Numbers of the candidates; None is 0, 1, 2 and so on.
        classes : array-like of shape (n_classes,), default=None
            The labels of the columns; None is 0, 1, 2 and so on.
        y : array-like of shape (n,), default=None
            True labels, to be shown.
        value_range : array-like of shape (2,), (2, channels) or (2, d), default=None
            Lowest and highest value. None is taken from the originals.
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on; all of it is used. None makes a new figure.
        cmap : str or matplotlib.colors.Colormap, default="gray"
            Colors of images with one channel.

        Returns
        -------
        display : CandidateDisplay

        Raises
        ------
        ValueError
            If shapes do not fit together, or answers do not hold probabilities.
        """
        check_matplotlib()
        proba, candidate_proba = check_proba(proba), np.asarray(candidate_proba, dtype=np.float64)
        if candidate_proba.ndim != 3 or candidate_proba.shape[::2] != proba.shape:
            raise ValueError(
                f"candidate_proba must have shape (n, n_candidates, n_classes). Got {candidate_proba.shape} for proba "
                f"of shape {proba.shape}."
            )
        flat = check_proba(candidate_proba.reshape(-1, proba.shape[1]))
        label = proba.argmax(axis=1) if label is None else check_columns(label, proba)
        given = flat.argmax(axis=1) if candidate_label is None else check_columns(np.ravel(candidate_label), flat)
        classes = np.arange(proba.shape[1]) if classes is None else np.asarray(classes)
        display = cls(
            X=np.asarray(X),
            candidates=np.asarray(candidates),
            label=classes[label],
            candidate_label=classes[given].reshape(candidate_proba.shape[:2]),
            confidence=np.take_along_axis(proba, label[:, None], axis=1)[:, 0],
            candidate_confidence=np.take_along_axis(flat, given[:, None], 1).reshape(candidate_proba.shape[:2]),
            chosen=np.asarray(chosen),
            number=number,
            y=y,
            value_range=value_range,
        )
        return display.plot(ax, cmap=cmap)

    def _checked(self):
        """Return what is drawn, originals first, and the numbers of the candidates."""
        pictures = as_pictures(self.X, self.candidates, self.value_range)
        n, n_candidates = grid = np.shape(self.candidates)[:2]
        number = np.tile(np.arange(n_candidates), (n, 1)) if self.number is None else np.asarray(self.number)
        wanted = dict.fromkeys(("label", "confidence", "chosen", "y"), grid[:1])
        wanted |= dict.fromkeys(("candidate_label", "candidate_confidence", "number"), grid)
        given = {name: np.shape(value) for name in wanted if (value := getattr(self, name)) is not None}
        wrong = {name: shape for name, shape in given.items() if shape != wanted[name]}
        if wrong:
            raise ValueError(f"Shapes must fit {n} originals with {n_candidates} candidates each. Got {wrong}.")
        chosen = np.asarray(self.chosen)
        lost = (chosen >= 0) & ~(number == chosen[:, None]).any(axis=1)
        if lost.any():
            raise ValueError(f"chosen must hold numbers of candidates that are given, or -1. Got {chosen[lost][0]}.")
        return pictures, number

    def _describe(self, ax, row, column, box, number):
        """Write label and confidence below a picture."""
        label, confidence, color = _short(self.label[row]), self.confidence[row], BLACK
        if column:
            own = self.candidate_label[row, column - 1]
            this = number[row, column - 1]
            lead = "" if this == column - 1 else f"#{this}: "
            if own != self.label[row]:
                color = VERMILLION
                label = _exchanged(_short(own), label) if self.chosen[row] == this else _short(own)
            label, confidence = lead + label, self.candidate_confidence[row, column - 1]
        text = f"{label}\n{confidence:.3f}"
        if self.y is not None and not column:
            text += f"\n(true: {_short(self.y[row])})"
        return ax.text((box[0] + box[1]) / 2, box[2] - 0.05, text, ha="center", va="top", fontsize=8, color=color)

    def _mark(self, ax, row, boxes, number):
        """Frame what answers and strike out what has another label."""
        chosen = 0 if self.chosen[row] < 0 else 1 + int(np.argmax(number[row] == self.chosen[row]))
        patches = import_optional("matplotlib.patches", extra="plot")
        left, right, bottom, top = boxes[chosen]
        frame = patches.Rectangle((left, bottom), right - left, top - bottom, fill=False, color=GREEN, linewidth=3)
        self.frames_.append(ax.add_patch(frame))
        self.texts_[row][chosen].set_fontweight("bold")
        for column in np.flatnonzero(np.asarray(self.candidate_label[row]) != self.label[row]) + 1:
            left, right, bottom, top = boxes[column]
            self.strikes_ += ax.plot((left, right), (bottom, top), color=VERMILLION, linewidth=1.6)

    def _finish(self, ax, width, depth):
        ax.set(xlim=(-0.08, width - _STEP + 1.08), ylim=(-depth, 0.5), aspect="equal", xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
        ax.set_xlabel("framed: answers; struck out: another label than the original's", fontsize=8, color=GRAY)


def _short(label):
    return shortened(label, _LONGEST)


def _exchanged(label, other):
    arrow = "\N{RIGHTWARDS ARROW}"
    text = f"{label} {arrow} {other}"
    return text if len(text) <= _LONGEST else f"{label}\n{arrow} {other}"


def _checked_rows(rows, n):
    index = np.arange(min(_SHOWN, n)) if rows is None else np.asarray(rows)
    if index.ndim != 1 or not len(index) or index.dtype.kind not in "iu" or index.min() < 0 or index.max() >= n:
        raise ValueError(f"rows must hold at least one index of the {n} rows of X. Got {rows!r}.")
    return index

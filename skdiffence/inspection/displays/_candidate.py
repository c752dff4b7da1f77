"""Rows beside their candidates, with the candidate that answers."""

from numbers import Integral

import numpy as np

from skdiffence.inspection.displays._defended import AVERAGED, regenerated
from skdiffence.inspection.displays._mixin import BLACK, GRAY, GREEN, VERMILLION, DisplayMixin, check_matplotlib
from skdiffence.inspection.displays._pictures import as_pictures, draw_picture, exchanged, shortened
from skdiffence.metrics._signals import check_columns, check_proba
from skdiffence.utils._optional import import_optional
from skdiffence.utils._sklearn import HasMethods, Interval, validate_params

# In widths of a picture: from one to the next, what is below each, and the height of lines.
_STEP, _BELOW, _LINES = 1.14, 0.62, 0.7
# Heights of images that are much wider or taller than this are cut to it.
_SHAPES = (0.4, 2.5)
_INCHES = 0.86


class CandidateDisplay(DisplayMixin):
    """Rows beside their candidates, with the candidate that answers.

    Below each candidate are its label and the confidence of the classifier. The candidate that answers is framed.
    Candidates whose label differs from the original's are struck out; if one of them answers, its label has been
    exchanged with the original's.

    Use :meth:`from_estimator` or :meth:`from_predictions` to make one.

    Parameters
    ----------
    X : ndarray of shape (n, channels, height, width) or (n, d)
        Originals. Images with two or more than four channels show the first, those with four the first three.
    candidates : ndarray of shape (n, n_candidates, ...)
        Candidates of each, in the same form.
    label : ndarray of shape (n,)
        Label of each original.
    candidate_label : ndarray of shape (n, n_candidates)
        Label of each candidate.
    confidence : ndarray of shape (n,)
        Probability of the original's label.
    candidate_confidence : ndarray of shape (n, n_candidates)
        Probability of each candidate's label.
    chosen : ndarray of shape (n,), dtype int
        Number of the candidate that answers, -1 for the original itself, -2 for an average of all.
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
        The text below them.
    frames_ : list of matplotlib.patches.Rectangle
        The frame of each row, around what answers.
    strikes_ : list of matplotlib.lines.Line2D
        One for each candidate whose label differs.
    ax_ : matplotlib.axes.Axes
        The axes.
    figure_ : matplotlib.figure.Figure
        Their figure.

    See Also
    --------
    skdiffence.defenses.DefendedClassifier.select : Numbers of the candidates that answer.

    Notes
    -----
    The display is for the owner of the classifier: it shows rows of data, and the number of the candidate that answers
    tells about membership. Rows of features are drawn as lines over the features, the original behind each candidate.

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
        ax.set(xlim=(-0.08, _STEP * (n_columns - 1) + 1.08), ylim=(-pitch * n, 0.5), aspect="equal")
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
        ax.set_xlabel("framed: the answer; struck out: another label than the original's", fontsize=8, color=GRAY)
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
            Indices of the rows to show; None is the first five.
        n_candidates : int, default=6
            Number of candidates to show. If a later one answers, it takes the last place.
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
            If the classifier answers undefended, its regenerator draws new noise at each call, so that the candidates
            shown are not those that answer, or rows are not those of X.

        Notes
        -----
        The cost is one call of denoiser and classifier for each row and candidate shown, and that of
        :meth:`~skdiffence.defenses.DefendedClassifier.select`.
        """
        check_matplotlib()
        return cls.from_predictions(**regenerated(estimator, X, rows, n_candidates, y), ax=ax, cmap=cmap)

    @classmethod
    @validate_params(
        {
            **dict.fromkeys(("X", "candidates", "proba", "candidate_proba", "chosen"), ["array-like"]),
            **dict.fromkeys(("label", "candidate_label", "number", "classes", "y"), ["array-like", None]),
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
        """Draw rows and their candidates with the answers of a classifier.

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
            Number of the candidate that answers, -1 for the original itself, -2 for an average of all.
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
        grid, flat = candidate_proba.shape[:2], check_proba(candidate_proba.reshape(-1, proba.shape[1]))
        classes = np.arange(proba.shape[1]) if classes is None else np.asarray(classes)
        label, confidence = _labeled(proba, label, classes)
        candidate_label, candidate_confidence = _labeled(flat, candidate_label, classes)
        display = cls(
            X=np.asarray(X),
            candidates=np.asarray(candidates),
            label=label,
            candidate_label=candidate_label.reshape(grid),
            confidence=confidence,
            candidate_confidence=candidate_confidence.reshape(grid),
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
        given = {name: np.shape(value) for name, value in vars(self).items() if name in wanted and value is not None}
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
        label, confidence, color = shortened(self.label[row]), self.confidence[row], BLACK
        if column:
            own = self.candidate_label[row, column - 1]
            this = number[row, column - 1]
            lead = "" if this == column - 1 or self.chosen[row] == AVERAGED else f"#{this}: "
            if own != self.label[row]:
                color = VERMILLION
                label = exchanged(shortened(own), label) if self.chosen[row] == this else shortened(own)
            label, confidence = lead + label, self.candidate_confidence[row, column - 1]
        text = f"{label}\n{confidence:.3f}"
        if self.y is not None and not column:
            text += f"\n(true: {shortened(self.y[row])})"
        return ax.text((box[0] + box[1]) / 2, box[2] - 0.05, text, ha="center", va="top", fontsize=8, color=color)

    def _mark(self, ax, row, boxes, number):
        """Frame the picture that answers, and strike out those with another label."""
        chosen = 0 if self.chosen[row] < 0 else 1 + int(np.argmax(number[row] == self.chosen[row]))
        patches = import_optional("matplotlib.patches", extra="plot")
        left, right, bottom, top = boxes[chosen]
        if self.chosen[row] == AVERAGED:
            (left, _, bottom, top), (_, right, *_) = boxes[1], boxes[-1]
        frame = patches.Rectangle((left, bottom), right - left, top - bottom, fill=False, color=GREEN, linewidth=3)
        self.frames_.append(ax.add_patch(frame))
        if self.chosen[row] != AVERAGED:
            self.texts_[row][chosen].set_fontweight("bold")
        for column in np.flatnonzero(np.asarray(self.candidate_label[row]) != self.label[row]) + 1:
            left, right, bottom, top = boxes[column]
            self.strikes_ += ax.plot((left, right), (bottom, top), color=VERMILLION, linewidth=1.6)


def _labeled(proba, columns, classes):
    """Return the label of each row and its probability."""
    columns = proba.argmax(axis=1) if columns is None else check_columns(np.ravel(columns), proba)
    return classes[columns], proba[np.arange(len(proba)), columns]

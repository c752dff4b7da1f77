"""Queries and answers: what a target returns for rows, queried once for all attacks that need no more than that."""

from dataclasses import dataclass, replace

import numpy as np

from skdiffence.attacks._targets import as_answer, check_column_numbers, check_target, numbers_columns, predict_labels
from skdiffence.metrics import label_columns
from skdiffence.metrics._signals import SIGNALS
from skdiffence.utils._frames import check_detached
from skdiffence.utils._rows import take_rows
from skdiffence.utils._sklearn import num_samples
from skdiffence.utils._skorch import predicts_argmax
from skdiffence.utils._torch import explained_shapes
from skdiffence.utils._validation import as_class_labels

# Signals of an answer that are read without the true label.
LABEL_FREE_SIGNALS = frozenset({"answered_logit", "entropy"})


@dataclass(frozen=True)
class Answers:
    """A target's answers for rows, and the rows' true labels where these are known.

    Parameters
    ----------
    proba : ndarray of shape (n_samples, n_classes), dtype float64, or None
        Class probabilities, None where only labels were queried.
    label : ndarray of shape (n_samples,), dtype int64
        Column of the predicted label.
    y : ndarray of shape (n_samples,), dtype int64, or None
        Column of the true label, -1 for a class without a column. None where true labels are not known.
    classes : ndarray of shape (n_classes,)
        The labels of the columns.
    X : array-like of shape (n_samples, ...), default=None
        The rows, for attacks that compare an answer with other answers for the same row.

    Examples
    --------
    >>> import numpy as np
    >>> from skdiffence.attacks import Answers
    >>> answers = Answers(np.array([[0.8, 0.2], [0.4, 0.6]]), np.array([0, 1]), np.array([0, 0]), np.array([0, 1]))
    >>> answers.correct
    array([ True, False])
    >>> len(answers.take([1]))
    1
    """

    proba: np.ndarray
    label: np.ndarray
    y: np.ndarray
    classes: np.ndarray
    X: object = None

    @property
    def correct(self):
        """Whether each row was labeled correctly, of shape (n_samples,)."""
        self.check_true_labels("whether a row is labeled correctly")
        return self.label == self.y

    def check_true_labels(self, what):
        """Raise an error if true labels are not known.

        Parameters
        ----------
        what : str
            What they are needed for.

        Raises
        ------
        ValueError
            If they are not.
        """
        if self.y is None:
            raise ValueError(f"y must hold the true label of each row, for {what}. Got None.")

    def signal(self, name):
        """Return a signal of each answer.

        Parameters
        ----------
        name : str
            A name of :mod:`skdiffence.metrics`' signals, or "answered_logit", phi at the predicted label.

        Returns
        -------
        signal : ndarray of shape (n_samples,), dtype float64
        """
        if name == "correctness":
            # By the predicted label, which for some targets is not the most probable class.
            return self.correct.astype(np.float64)
        if name == "answered_logit":
            return SIGNALS["logit"](self.label, self.proba)
        if name not in LABEL_FREE_SIGNALS:
            self.check_true_labels(f"the signal {name!r}")
        return SIGNALS[name](self.y, self.proba)

    def take(self, rows):
        """Return the answers for some of the rows.

        Parameters
        ----------
        rows : array-like
            Indices, or a mask of shape (n_samples,).

        Returns
        -------
        answers : Answers
        """
        X = self.X
        if X is not None:
            X = take_rows(X, np.arange(len(self))[rows])
        proba = None if self.proba is None else self.proba[rows]
        label = None if self.label is None else self.label[rows]
        y = None if self.y is None else self.y[rows]
        return Answers(proba, label, y, self.classes, X)

    def __len__(self):
        return len(self.label if self.proba is None else self.proba)


def query(target, X, y):
    """Query a target once for probabilities and predicted labels of rows.

    Parameters
    ----------
    target : classifier
        A fitted classifier with ``predict_proba``. Without ``classes_`` its labels are the numbers of its columns;
        without ``predict`` its label of a row is that of the largest probability.
    X : array-like of shape (n_samples, ...)
        Rows.
    y : array-like of shape (n_samples,) or None
        True labels. None where they are not known, for attacks that do not read them.

    Returns
    -------
    answers : Answers
        From one call of ``predict_proba``, and one of ``predict`` unless that is the argmax of the former by
        construction.

    Raises
    ------
    TypeError
        If the target has no ``predict_proba``.
    ValueError
        If X and y differ in length, or the target does not return one row for each row of X and one column for each
        class. A bare skorch net predicts column numbers, so the labels must be column numbers.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> from skdiffence.attacks import query
    >>> X, y = load_digits(return_X_y=True)
    >>> forest = RandomForestClassifier(10, random_state=0).fit(X[:900], y[:900])
    >>> query(forest, X, y).proba.shape
    (1797, 10)
    """
    answers = query_proba(target, X, y)
    return replace(answers, label=_predicted_columns(target, X, answers))


def query_proba(target, X, y):
    """Query a target for probabilities only; the answers have no predicted labels. See :func:`query`."""
    check_target(target)
    check_detached(X)
    n_samples = num_samples(X)
    if y is not None:
        y = check_y(y, n_samples)
    with explained_shapes(X):
        proba = target.predict_proba(X)
    proba = as_answer(proba, "predict_proba", n_samples).astype(np.float64, copy=False)
    if proba.ndim != 2:
        raise ValueError(
            f"target must return predict_proba with one row for each of the {n_samples} rows of X, and one column for "
            f"each class. Got shape {proba.shape}. For the probability p of the second of two classes, return "
            "np.column_stack([1 - p, p])."
        )
    classes = _column_labels(target, () if y is None else y, proba.shape[1])
    return Answers(proba, None, None if y is None else label_columns(y, classes), classes, X)


def check_y(y, n_samples):
    """Return true labels as an array, one for each row."""
    if y is None:
        raise ValueError("y must hold the true label of each row, which the attack reads. Got None.")
    y = as_class_labels(y)
    if y.shape != (n_samples,):
        got = len(y) if y.ndim == 1 else f"shape {y.shape}"
        raise ValueError(f"y must hold one label for each of the {n_samples} rows of X. Got {got}.")
    return y


def _predicted_columns(target, X, answers):
    if predicts_argmax(target) or not hasattr(target, "predict"):
        return answers.proba.argmax(axis=1)
    predicted = predict_labels(target, X)
    columns = label_columns(predicted, answers.classes)
    if (columns < 0).any():
        raise ValueError(f"target must predict one of its classes. Got {predicted[columns < 0][0]!s}.")
    return columns


def _column_labels(target, y, n_columns):
    if numbers_columns(target):
        return check_column_numbers(target, y, n_columns)
    classes = np.asarray(target.classes_)
    if classes.shape != (n_columns,):
        raise ValueError(
            f"target must return predict_proba with one column for each of its {len(classes)} classes. "
            f"Got {n_columns} columns."
        )
    return classes

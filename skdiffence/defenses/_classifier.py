"""The fitted classifier inside a defense: labels as column indices and validated probabilities."""

from functools import partial

import numpy as np

from skdiffence.metrics._probabilities import describe_fault, off_rows
from skdiffence.utils._blocks import row_blocks
from skdiffence.utils._columns import settle_ties, sorted_columns
from skdiffence.utils._frames import as_numbers, like
from skdiffence.utils._loading import loadable, with_own_loaders
from skdiffence.utils._sklearn import num_samples, safe_indexing
from skdiffence.utils._skorch import as_nets_take, explained_dtypes, nets_inside, predicts_argmax, predicts_columns
from skdiffence.utils._torch import explained_shapes

_BLOCK_ROWS = 128  # a multiple of the batches of "exact" answers


class FittedClassifier:
    """A fitted classifier whose labels are column indices and whose probabilities are validated.

    Its columns are in the order of the sorted classes, whatever the order of the estimator's own.

    Parameters
    ----------
    estimator : classifier
        Fitted, with ``predict`` and ``predict_proba``.
    classes : array-like of shape (n_classes,)
        The class of each column of the estimator's ``predict_proba``.
    batch_size : int or None, default=None
        Number of rows of each call, the last one padded with zeros. None makes one call.
    """

    def __init__(self, estimator, classes, batch_size=None):
        self.estimator = with_own_loaders(estimator)
        self.classes = np.asarray(classes)
        self.batch_size = batch_size
        self._answers_columns = predicts_columns(estimator)
        self._one_pass = predicts_argmax(estimator)
        self._holds_net = bool(nets_inside(estimator))

    def predict(self, X):
        """Return the predicted label of each row as a column index.

        Parameters
        ----------
        X : ndarray or data frame of shape (n, ...)
            Inputs.

        Returns
        -------
        labels : ndarray of shape (n,), dtype int
        """
        return self._in_batches(self._labels, X)

    def predict_both(self, X):
        """Return the predicted labels and the probabilities.

        Parameters
        ----------
        X : ndarray or data frame of shape (n, ...)
            Inputs.

        Returns
        -------
        labels : ndarray of shape (n,), dtype int
        proba : ndarray of shape (n, n_classes)

        Raises
        ------
        ValueError
            If probabilities are negative or not finite, or rows neither sum to 1 nor were rounded.
        """
        return self._in_batches(self._labels_and_proba, X)

    def predict_proba(self, X):
        """Return the probabilities alone; see :meth:`predict_both`."""
        return self._in_batches(self._proba, X)

    def in_type(self, values, X):
        """Return changed rows in the type of X; those of an array that a net gets are not rounded to integers.

        Parameters
        ----------
        values : ndarray of shape (n, ...)
            Changed rows, in floating point.
        X : ndarray or data frame of shape (n, ...)
            The rows that they replace.

        Returns
        -------
        rows : ndarray or data frame of shape (n, ...)
        """
        if self._holds_net and isinstance(X, np.ndarray):
            return values.astype(np.result_type(X.dtype, np.float32), copy=False)
        return like(values, X)

    def _labels(self, X):
        return self._columns(self.estimator.predict(loadable(self.estimator, X)))

    def _labels_and_proba(self, X):
        X = loadable(self.estimator, X)
        proba = self._proba(X)
        # Where predict is the argmax of the same probabilities, they are computed once.
        return proba.argmax(axis=1) if self._one_pass else self._columns(self.estimator.predict(X)), proba

    def _proba(self, X):
        proba = np.asarray(self.estimator.predict_proba(loadable(self.estimator, X)))
        self._check(proba)
        off = off_rows(proba)
        if len(off):
            # What was lost by rounding is shared out, so that every row sums to 1.
            proba = proba.copy()
            proba[off] /= proba[off].sum(axis=1, keepdims=True)
        return sorted_columns(proba, self.classes)

    def _columns(self, predicted):
        predicted = np.asarray(predicted)
        if predicted.ndim != 1:
            raise ValueError(
                f"estimator.predict must answer one label for each row. Got an array of shape {predicted.shape}."
            )
        if self._answers_columns:
            return np.argsort(np.argsort(self.classes))[predicted.astype(np.int64)]
        # The estimator's own classes: it may have been trained on encoded labels.
        return np.searchsorted(np.sort(self.estimator.classes_), predicted)

    def _check(self, proba):
        if proba.ndim != 2 or proba.shape[1] != len(self.classes):
            raise ValueError(
                f"estimator.predict_proba must answer one column for each of the {len(self.classes)} classes. "
                f"Got an array of shape {proba.shape}."
            )
        if (fault := describe_fault(proba)) is not None:
            raise ValueError(
                "estimator.predict_proba must answer probabilities: no row negative, every row of sum 1. "
                f"{fault}{self._hint(proba)}"
            )

    def _hint(self, proba):
        """Return the usual cause in a net: a criterion that does not go with what the module returns."""
        nets = nets_inside(self.estimator)
        if not nets or not np.isfinite(proba).all():
            return ""
        criteria = {getattr(net.criterion, "__name__", type(net.criterion).__name__) for net in nets.values()}
        return (
            f" The net's criterion is {', '.join(sorted(criteria))}: skorch derives the softmax of logits from "
            "torch.nn.CrossEntropyLoss alone. Use it with a module that returns logits, or set predict_nonlinearity."
        )

    def _in_batches(self, method, X):
        return in_blocks(partial(self._block, method), X)

    def _block(self, method, X):
        with explained_shapes(X), explained_dtypes(self.estimator):
            return self._padded(method, as_nets_take(self.estimator, X))

    def _padded(self, method, X):
        if self.batch_size is None or not num_samples(X):
            return method(X)
        parts = [self._padded_batch(method, X, start) for start in range(0, num_samples(X), self.batch_size)]
        return _joined(parts)

    def _padded_batch(self, method, X, start):
        rows = safe_indexing(X, slice(start, start + self.batch_size))
        n = num_samples(rows)
        if n < self.batch_size:
            # Whole repetitions of a row keep a frame's index and dtypes; their values are then zeroed.
            take = np.zeros(self.batch_size, dtype=int)
            take[:n] = np.arange(n)
            rows = safe_indexing(rows, take)
            values = np.array(as_numbers(rows))
            values[n:] = 0
            rows = like(values, rows)
        answer = method(rows)
        return tuple(part[:n] for part in answer) if isinstance(answer, tuple) else answer[:n]


def in_blocks(answer, X):
    """Return the answers for all rows, asked for a block of rows at a time.

    Rows may be in a file, or smaller than in the precision that nets take.

    Parameters
    ----------
    answer : callable (X) -> ndarray or tuple of ndarray
        Returns an answer for each row, which does not depend on the other rows.
    X : ndarray or data frame of shape (n, ...)
        All rows.

    Returns
    -------
    answers : ndarray of shape (n, ...) or tuple of such arrays
    """
    parts = [answer(safe_indexing(X, rows)) for rows in row_blocks(X, multiple=_BLOCK_ROWS)]
    return _joined(parts) if parts else answer(X)


def _joined(parts):
    """Return the answers for parts of the rows as those for all rows."""
    if len(parts) == 1:
        return parts[0]
    if isinstance(parts[0], tuple):
        return tuple(np.concatenate(part) for part in zip(*parts, strict=True))
    return np.concatenate(parts)


def put_label_on_top(proba, labels):
    """Exchange the largest probability of each row and the label's, so that the argmax is the label.

    Parameters
    ----------
    proba : ndarray of shape (n, n_classes)
        Probabilities; changed in place.
    labels : ndarray of shape (n,), dtype int
        Column that becomes the argmax.

    Returns
    -------
    proba : ndarray of shape (n, n_classes)
        The same array.
    """
    rows = np.flatnonzero(proba.argmax(axis=1) != labels)
    top, label = proba[rows].argmax(axis=1), labels[rows]
    highest = proba[rows, top]
    proba[rows, top] = proba[rows, label]
    proba[rows, label] = highest
    proba[rows] = settle_ties(proba[rows], label)
    return proba

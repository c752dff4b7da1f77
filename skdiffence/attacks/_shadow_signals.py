"""What shadow models answered about the rows of their pool, and where in it a row is."""

import secrets

import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils.parallel import Parallel, delayed

from skdiffence.attacks._answers import _column_labels
from skdiffence.base import is_inference_only
from skdiffence.metrics import label_columns
from skdiffence.utils._rows import row_digests
from skdiffence.utils._sklearn import num_samples, safe_indexing

_KEY_SIZE = 32


class ShadowSignals:
    """Signals and memberships of a pool's distinct rows, found again by content and label.

    Rows that stand in the pool more than once with the same label are one: a shadow that was trained on any of them
    was trained on all. Of the pool itself only keyed digests and labels are kept.

    Parameters
    ----------
    shadows : dict
        ``estimator``, the fitted shadows, and ``indices``, with their ``train`` and ``test`` rows of the pool.
    pool : tuple of (X, y)
        The rows that the indices refer to, and their labels.
    signal : callable
        Takes class probabilities and columns of the true labels, and returns an array of shape (n_samples,).
    views : callable, default=None
        Takes X and returns the list of arrays to ask about for it; None asks about X itself.
    n_jobs : int, default=None
        Shadows asked at the same time, by joblib.

    Attributes
    ----------
    signals : ndarray of shape (n_rows, n_models, n_queries)
        NaN where a shadow neither trained on the row nor left it out.
    membership : ndarray of shape (n_rows, n_models), dtype bool
        True where the shadow was trained on the row.
    """

    def __init__(self, shadows, pool, signal, *, views=None, n_jobs=None):
        X, y = _check_pool(pool)
        self.estimators, train, test = check_shadows(shadows, len(y))
        self._signal, self._views, self._n_jobs = signal, views, n_jobs
        self._key = secrets.token_bytes(_KEY_SIZE)
        digests = row_digests(X, self._key)
        first, place = _distinct(digests, y)
        self._digests, self._labels = digests[first], y[first]
        rows = safe_indexing(X, first)
        self.signals = self.ask(rows, self._labels)
        self.membership = np.zeros(self.signals.shape[:2], dtype=bool)
        for model, estimator in enumerate(self.estimators):
            self._note(model, place[train[model]], None if test is None else place[test[model]])
            self.signals[held_back(estimator, rows), model] = np.nan

    def _note(self, model, trained, left_out):
        if left_out is not None:
            neither = np.ones(len(self.signals), dtype=bool)
            neither[trained] = neither[left_out] = False
            self.signals[neither, model] = np.nan
        self.membership[trained, model] = True

    def ask(self, X, y):
        """Ask all shadows about rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Rows.
        y : ndarray of shape (n_samples,)
            Their labels.

        Returns
        -------
        signals : ndarray of shape (n_samples, n_models, n_queries), dtype float64
        """
        views = [X] if self._views is None else self._views(X)
        run = Parallel(n_jobs=self._n_jobs, return_as="generator")
        parts = run(delayed(signals_of)(estimator, views, y, self._signal) for estimator in self.estimators)
        signals = np.empty((len(y), len(self.estimators), len(views)))
        for model, part in enumerate(parts):
            signals[:, model] = part
        return signals

    def gather(self, answers):
        """Return what the shadows say about the rows that a target answered.

        Rows of the pool were asked about before; the shadows are asked about others now.

        Parameters
        ----------
        answers : Answers
            The target's, with their rows.

        Returns
        -------
        signals : ndarray of shape (n_samples, n_models, n_queries)
            NaN where a shadow has none.
        membership : ndarray of shape (n_samples, n_models), dtype bool
            True where a shadow was trained on the row.
        inside : ndarray of shape (n_samples,), dtype bool
            Whether the row is in the pool.

        Raises
        ------
        ValueError
            If the answers hold no rows, or a row is not in the pool and of a class that the target does not know.
        """
        if answers.X is None:
            raise ValueError(
                "answers must hold the rows that were asked about, so that they can be looked up in the pool. "
                "Got X=None. query() puts them there."
            )
        place = self._find(answers)
        inside = place >= 0
        signals, membership = self.signals[place], self.membership[place] & inside[:, np.newaxis]
        if not inside.all():
            labels = answers.y[~inside]
            if (labels < 0).any():
                raise ValueError(
                    f"{(labels < 0).sum()} rows are not in the pool and have labels that the target does not know, so "
                    "the shadows can't be asked about them."
                )
            signals[~inside] = self.ask(safe_indexing(answers.X, np.flatnonzero(~inside)), answers.classes[labels])
        return signals, membership, inside

    def _find(self, answers):
        """Return each row's place among the distinct rows, -1 for rows outside the pool."""
        digests = np.concatenate((self._digests, row_digests(answers.X, self._key)))
        # A class that the target does not know is -1 on both sides.
        columns = np.concatenate((label_columns(self._labels, answers.classes), answers.y))
        numbers = np.unique(digests, return_inverse=True)[1] * (len(answers.classes) + 1) + columns
        ours, wanted = np.split(numbers, [len(self._digests)])
        order = np.argsort(ours, kind="stable")
        place = order[np.searchsorted(ours, wanted, sorter=order).clip(max=len(ours) - 1)]
        return np.where(ours[place] == wanted, place, -1)


def signals_of(model, views, y, signal):
    """Ask a model for probabilities, and for nothing else.

    Parameters
    ----------
    model : classifier
        Fitted.
    views : list of array-like of shape (n_samples, ...)
        What to ask about each row.
    y : ndarray of shape (n_samples,)
        The true labels. A class that the model was never shown has probability zero.
    signal : callable
        Takes class probabilities and columns of the true labels, and returns an array of shape (n_samples,).

    Returns
    -------
    signals : ndarray of shape (n_samples, n_queries)
    """
    signals = np.empty((len(y), len(views)))
    for query, view in enumerate(views):
        proba = np.asarray(model.predict_proba(view), dtype=np.float64)
        if proba.ndim != 2 or len(proba) != len(y):
            raise ValueError(
                f"{type(model).__name__} must answer predict_proba with one row for each of {len(y)} rows. "
                f"Got shape {proba.shape}."
            )
        signals[:, query] = signal(proba, label_columns(y, _column_labels(model, y, proba.shape[1])))
    return signals


def _distinct(digests, y):
    """Return where each distinct pair of row and label first stands, and which of them each row is."""
    labels, numbers = np.unique(y, return_inverse=True)
    pairs = np.unique(digests, return_inverse=True)[1] * len(labels) + numbers
    _, first, which = np.unique(pairs, return_index=True, return_inverse=True)
    # In the order of the pool, so that sums over all rows do not depend on the key of the digests.
    order = np.argsort(first)
    return first[order], np.argsort(order)[which]


def _check_pool(pool):
    if not isinstance(pool, (tuple, list)) or len(pool) != 2:
        raise ValueError(
            "pool must be a tuple (X, y), the rows that the indices of the shadows refer to and their labels. "
            f"Got {type(pool).__name__}" + (f" of length {len(pool)}." if isinstance(pool, (tuple, list)) else ".")
        )
    X, y = pool[0], np.asarray(pool[1])
    if y.shape != (num_samples(X),) or not len(y):
        raise ValueError(f"pool must hold rows, and one label for each. Got {num_samples(X)} and shape {y.shape}.")
    return X, y


def check_shadows(shadows, n_pool):
    """Return the shadow models and the rows that they were trained on.

    Parameters
    ----------
    shadows : dict
        What ``cross_validate`` returns with ``return_estimator=True`` and ``return_indices=True``.
    n_pool : int
        Number of rows that the indices may refer to.

    Returns
    -------
    estimators : list of estimator
    train : list of ndarray of int
        Rows of the pool that each was trained on.
    test : list of ndarray of int, or None
        Rows that each left out; None where nothing is said, so that it is all others.

    Raises
    ------
    ValueError
        If estimators or indices are missing, differ in number or do not fit the pool, or an estimator has no
        ``predict_proba``.
    """
    lacking = [name for name in ("estimator", "indices") if name not in shadows]
    if lacking or "train" not in shadows["indices"]:
        raise ValueError(
            "shadows must be what train_shadows returns, or cross_validate with return_estimator=True and "
            f"return_indices=True. Got a dict with the keys {sorted(map(str, shadows))}."
        )
    estimators = list(shadows["estimator"])
    if dumb := [type(estimator).__name__ for estimator in estimators if not hasattr(estimator, "predict_proba")]:
        raise ValueError(f"shadows must hold fitted classifiers with predict_proba. Got {dumb[0]}.")
    train = _check_indices(shadows["indices"]["train"], "train", len(estimators), n_pool)
    test = shadows["indices"].get("test")
    return estimators, train, None if test is None else _check_indices(test, "test", len(estimators), n_pool)


def _check_indices(indices, name, n_models, n_pool):
    indices = [np.asarray(rows) for rows in indices]
    if len(indices) != n_models or n_models < 2:
        raise ValueError(
            "shadows must hold at least two estimators and the indices of each. "
            f"Got {n_models} estimators and {name} indices of {len(indices)}."
        )
    for rows in indices:
        if rows.ndim != 1 or (
            rows.size and (rows.dtype.kind not in "iu" or not 0 <= rows.min() <= rows.max() < n_pool)
        ):
            got = f"from {rows.min()} to {rows.max()}" if rows.size and rows.dtype.kind in "iuf" else rows.dtype
            raise ValueError(
                f"shadows: {name} indices must be numbers of rows of the pool, from 0 to {n_pool - 1}. Got {got}. "
                "Is this the pool that the shadows were trained on?"
            )
    return [rows.astype(int) for rows in indices]


def held_back(estimator, X):
    """Say which rows a shadow had, but did not train on, or calibrated itself on.

    Parameters
    ----------
    estimator : estimator
        Fitted; the last step of pipelines, what searches found and frozen wrappers hold are asked.
    X : array-like of shape (n_samples, ...)
        Rows.

    Returns
    -------
    mask : ndarray of shape (n_samples,), dtype bool
    """
    mask = np.zeros(num_samples(X), dtype=bool)
    for rows, steps in _kept_records(estimator):
        seen = X
        for step in steps:
            seen = step.transform(seen)
        mask |= rows.contains(seen)
    return mask


def _kept_records(estimator, steps=()):
    """Yield the sets of rows that an estimator, or one inside it, stored, and the steps that rows go through before."""
    for name in ("not_trained_on_", "calibrated_on_"):
        if len(rows := getattr(estimator, name, ())):
            yield rows, steps
    if isinstance(estimator, Pipeline):
        passed = [step for _, step in estimator.steps[:-1] if step not in (None, "passthrough")]
        inner, steps = estimator.steps[-1][1], (*steps, *(step for step in passed if not is_inference_only(step)))
    else:
        inner = getattr(estimator, "estimator" if isinstance(estimator, FrozenEstimator) else "best_estimator_", None)
    if inner is not None:
        yield from _kept_records(inner, steps)

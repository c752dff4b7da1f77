"""Signals of shadow models for the rows of their pool, found again by content."""

import secrets

import numpy as np

from skdiffence._fitted import stored_rows
from skdiffence.attacks.shadow._signal_matrix import signal_matrix, signals_of
from skdiffence.metrics import label_columns
from skdiffence.utils._parallel import run
from skdiffence.utils._rows import row_digests
from skdiffence.utils._sklearn import num_samples, safe_indexing
from skdiffence.utils._validation import as_labels

_KEY_SIZE = 32
# LiRA uses phi, RMIA the confidence in the true class.
POOL_SIGNALS = ("confidence", "logit")


class ShadowSignals:
    """Signals and memberships of a pool's distinct rows, found again by content and label.

    Copies of a row with the same label are one row: a shadow that was trained on one of them was trained on all. Of the
    pool itself only keyed digests and labels are stored.

    Parameters
    ----------
    shadows : dict
        ``estimator``, the fitted shadows, and ``indices``, with their ``train`` and ``test`` rows of the pool.
    pool : tuple of (X, y)
        The rows that the indices refer to, and their labels.
    views : callable, default=None
        Takes X and returns the list of arrays to query for it. None queries X itself.
    n_jobs : int, default=None
        Number of shadows queried at the same time, by joblib.
    path : Path, default=None
        File of the signals, see :func:`signal_matrix`.

    Attributes
    ----------
    membership : ndarray of shape (n_rows, n_models), dtype bool
        True where the shadow was trained on the row.
    """

    def __init__(self, shadows, pool, *, views=None, n_jobs=None, path=None):
        X, y = check_pool(pool)
        self.estimators, train, test = check_shadows(shadows, len(y))
        self._views, self._n_jobs = views, n_jobs
        self._key = secrets.token_bytes(_KEY_SIZE)
        digests = row_digests(X, self._key)
        first, place = _distinct(digests, y)
        self._digests, self._labels = digests[first], y[first]
        rows = safe_indexing(X, first)
        self.membership = _marked(train, place, len(first))
        known = np.ones_like(self.membership) if test is None else self.membership | _marked(test, place, len(first))
        for model, estimator in enumerate(self.estimators):
            known[stored_rows(estimator, rows).any, model] = False
        self._matrix = signal_matrix(
            self.estimators, rows, self._labels, known, POOL_SIGNALS, views=views, n_jobs=n_jobs, path=path
        )

    def signals(self, name):
        """Return one of the signals of the pool's distinct rows.

        Parameters
        ----------
        name : str
            One of POOL_SIGNALS.

        Returns
        -------
        signals : ndarray of shape (n_rows, n_models, n_queries)
            NaN where it is not known whether the shadow was trained on the row. Read-only.
        """
        return self._matrix[:, POOL_SIGNALS.index(name)].swapaxes(0, 1)

    def _query(self, X, y, name):
        """Query all shadows for rows outside the pool; return signals of shape (n_samples, n_models, n_queries)."""
        views = [X] if self._views is None else self._views(X)
        models = [(model,) for model in self.estimators]
        parts = run(signals_of, models, shared=(views, y, [name]), n_jobs=self._n_jobs)
        return np.stack([part[0] for part in parts], axis=1)

    def gather(self, answers, name):
        """Return the shadows' signals for the rows of answers.

        Signals of rows of the pool are looked up. For other rows the shadows are queried.

        Parameters
        ----------
        answers : Answers
            The target's answers, with their rows.
        name : str
            One of POOL_SIGNALS.

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
            If the answers hold no rows, or a row outside the pool has a label that the target does not know.
        """
        if answers.X is None:
            raise ValueError(
                "answers must hold their rows, so that they can be found in the pool. Got X=None. query() sets them."
            )
        place = self._find(answers)
        inside = place >= 0
        signals, membership = self.signals(name)[place], self.membership[place] & inside[:, np.newaxis]
        if not inside.all():
            labels = answers.y[~inside]
            if (labels < 0).any():
                raise ValueError(
                    f"{(labels < 0).sum()} rows are not in the pool and have labels that the target does not know, so "
                    "the shadows can't be queried for them."
                )
            outsiders = safe_indexing(answers.X, np.flatnonzero(~inside))
            signals[~inside] = self._query(outsiders, answers.classes[labels], name)
        return signals, membership, inside

    def _find(self, answers):
        """Return the index of each row among the pool's distinct rows, -1 for rows outside the pool."""
        digests = np.concatenate((self._digests, row_digests(answers.X, self._key)))
        # A class that the target does not know is -1 on both sides.
        columns = np.concatenate((label_columns(self._labels, answers.classes), answers.y))
        numbers = np.unique(digests, return_inverse=True)[1] * (len(answers.classes) + 1) + columns
        ours, wanted = np.split(numbers, [len(self._digests)])
        order = np.argsort(ours, kind="stable")
        place = order[np.searchsorted(ours, wanted, sorter=order).clip(max=len(ours) - 1)]
        return np.where(ours[place] == wanted, place, -1)


def _marked(indices, place, n_rows):
    """Return a mask of shape (n_rows, n_models) of the distinct rows at each model's indices."""
    mask = np.zeros((n_rows, len(indices)), dtype=bool)
    for model, rows in enumerate(indices):
        mask[place[rows], model] = True
    return mask


def _distinct(digests, y):
    """Return the index of the first copy of each distinct pair of row and label, and for each row its pair."""
    labels, numbers = np.unique(y, return_inverse=True)
    pairs = np.unique(digests, return_inverse=True)[1] * len(labels) + numbers
    _, first, which = np.unique(pairs, return_index=True, return_inverse=True)
    # In the order of the pool, so that sums over all rows do not depend on the key of the digests.
    order = np.argsort(first)
    return first[order], np.argsort(order)[which]


def check_pool(pool):
    """Return the rows and labels of a pool.

    Parameters
    ----------
    pool : tuple of (X, y)
        The parameter.

    Returns
    -------
    X : array-like of shape (n_samples, ...)
    y : ndarray of shape (n_samples,)

    Raises
    ------
    ValueError
        If it is not a pair, or X and y differ in length.
    """
    if not isinstance(pool, (tuple, list)) or len(pool) != 2:
        raise ValueError(
            "pool must be a tuple (X, y), the rows that the indices of the shadows refer to and their labels. "
            f"Got {type(pool).__name__}" + (f" of length {len(pool)}." if isinstance(pool, (tuple, list)) else ".")
        )
    X, y = pool[0], as_labels(pool[1], "y of pool")
    if y.shape != (num_samples(X),) or not len(y):
        raise ValueError(f"pool must hold rows, and one label for each. Got {num_samples(X)} and shape {y.shape}.")
    return X, y


def check_shadows(shadows, n_pool):
    """Return the shadow models and the rows that they were trained on.

    Parameters
    ----------
    shadows : dict
        The result of ``cross_validate`` with ``return_estimator=True`` and ``return_indices=True``.
    n_pool : int
        Number of rows of the pool.

    Returns
    -------
    estimators : list of estimator
    train : list of ndarray of int
        Rows of the pool that each was trained on.
    test : list of ndarray of int, or None
        Rows that each left out; None if not given, which means all other rows.

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
    without_proba = [type(estimator).__name__ for estimator in estimators if not hasattr(estimator, "predict_proba")]
    if without_proba:
        raise ValueError(f"shadows must hold fitted classifiers with predict_proba. Got {without_proba[0]}.")
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

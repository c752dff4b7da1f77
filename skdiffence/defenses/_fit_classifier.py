"""Fit the wrapped classifier: seeded, on encoded labels if it is a net, with a record of the rows that trained it."""

import numpy as np
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.utils import Bunch

from skdiffence._fitted import holds_rows_out, is_frozen, stored_rows, trained_nets
from skdiffence.defenses._classes import classes_of_columns, encode, frozen_classes
from skdiffence.utils import _skorch as skorch
from skdiffence.utils._random import mix_seed, seed_nested, torch_seed
from skdiffence.utils._rows import RowSet, data_digest
from skdiffence.utils._sklearn import safe_indexing
from skdiffence.utils._torch import explained_shapes
from skdiffence.utils._validation import index_fit_params


def fit_on_rows(estimator, X, y, rows, seed, params, *, seeded):
    """Fit a clone of a classifier to its training rows, or take a frozen one as it is.

    Parameters
    ----------
    estimator : classifier
        Not changed.
    X : array-like of shape (n, ...)
        All rows.
    y : ndarray of shape (n,)
        Their labels.
    rows : Bunch
        From :func:`~skdiffence.defenses._calibration.split_rows`. Rows that the classifier holds out are removed from
        ``train`` and ``members``.
    seed : int
        Seeds training.
    params : dict
        Parameters of ``fit`` for all rows.
    seeded : bool
        Whether estimators without a ``random_state`` of their own are seeded, too.

    Returns
    -------
    fitted : Bunch
        ``estimator``; ``classes``, one for each of its columns, in their order; ``n_samples``, the number of rows that
        trained it, None if a classifier in it is frozen; ``not_trained_on``, a RowSet.
    """
    if isinstance(estimator, FrozenEstimator):
        trained, held_out = estimator, rows.held_out
        classes = classes_of_columns(estimator, frozen_classes(estimator), X)
    else:
        X_train, y_train = safe_indexing(X, rows.train), y[rows.train]
        params = index_fit_params(params, rows.train, len(y))
        trained, classes, split_off = train(estimator, X_train, y_train, y, seed, params, seeded=seeded)
        split_off, rows.train = rows.train[split_off], np.delete(rows.train, split_off)
        rows.members = rows.members[~np.isin(rows.members, split_off)]
        held_out = np.concatenate((rows.held_out, split_off))
    n_samples = len(rows.train)
    if holds_rows_out(trained):
        # Classifiers inside hold out rows by themselves, which are no members then.
        trained_on = {
            side: ~stored_rows(trained, skorch.as_nets_take(estimator, safe_indexing(X, rows[side]))).not_trained_on
            for side in ("train", "members")
            if len(rows[side])
        }
        rows.members = rows.members[trained_on.get("members", slice(0))]
        n_samples = np.count_nonzero(trained_on["train"])
    n_samples = None if is_frozen(estimator) else n_samples
    return Bunch(estimator=trained, classes=classes, n_samples=n_samples, not_trained_on=rows_outside(X, held_out))


def train(estimator, X, y, known, seed, params, *, seeded):
    """Train a clone of a classifier.

    Parameters
    ----------
    estimator : classifier
        Not changed.
    X : array-like of shape (n, ...)
        Training rows.
    y : ndarray of shape (n,)
        Their labels.
    known : ndarray
        All labels.
    seed : int
        Seeds the training of nets, together with the rows themselves.
    params : dict
        Passed to ``fit``.
    seeded : bool
        Whether estimators without a ``random_state`` of their own are seeded, too.

    Returns
    -------
    trained : classifier
    classes : ndarray of shape (n_classes,)
        One for each column, in their order: that of ``classes=`` for a net that was given them.
    held_out : ndarray of int
        The rows that the nets held out, by their ``train_split`` or as a part of their defense.

    Raises
    ------
    KeyboardInterrupt
        If the training of a net was interrupted, which skorch does not raise.
    """
    X = skorch.as_nets_take(estimator, X)
    digest = data_digest(X, y)
    trained = clone(estimator)
    if seeded:
        seed_nested(trained, seed, "estimator", digest)
    recorders = skorch.prepare_splits(trained)
    target, classes = encode(trained, X, y, known)
    if classes is None:
        trained.fit(X, target, **params)
        return trained, trained.classes_, np.empty(0, dtype=int)
    with explained_shapes(X), torch_seed(mix_seed(seed, "net", digest)), skorch.explained_dtypes(trained):
        trained.fit(X, target, **params)
    inside = trained_nets(trained)
    skorch.check_trained_to_the_end(part.estimator for part in inside)
    classes = classes_of_columns(trained, classes, X)
    return trained, classes, np.union1d(skorch.restore_splits(trained, recorders, inside), take_held_out(inside))


def take_held_out(inside):
    """Return the rows that nets held out by themselves.

    Parameters
    ----------
    inside : list of FittedPart
        Trained nets. Their own records are emptied: they have digests of the rows as these reached the nets.

    Returns
    -------
    held_out : ndarray of int
        Row numbers.
    """
    nets = [part.estimator for part in inside if part.all_rows and hasattr(part.estimator, "held_out_")]
    for net in nets:
        net.not_trained_on_ = RowSet.empty()
    return np.unique(np.concatenate([np.empty(0, dtype=int), *(net.held_out_ for net in nets)]))


def rows_outside(X, held_out):
    """Return the set of held-out rows, without those of which a duplicate trained.

    Parameters
    ----------
    X : array-like of shape (n, ...)
        All rows.
    held_out : ndarray of int
        Indices of held-out rows.

    Returns
    -------
    rows : RowSet
    """
    if not len(held_out):
        return RowSet.empty()
    outside = RowSet.of(safe_indexing(X, held_out))
    return outside.without(RowSet.of(safe_indexing(X, np.setdiff1d(np.arange(len(X)), held_out)), key=outside.key))

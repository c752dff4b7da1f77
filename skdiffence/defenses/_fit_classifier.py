"""Training the wrapped classifier: seeded, on encoded labels where it is a net, and knowing what trained it."""

import numpy as np
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from skdiffence._fitted import trained_nets
from skdiffence.utils import _skorch as skorch
from skdiffence.utils._random import mix_seed, seed_nested, torch_seed
from skdiffence.utils._rows import RowSet, data_digest
from skdiffence.utils._sklearn import safe_indexing


def encode(estimator, y, known):
    """Encode labels as nets want them.

    Parameters
    ----------
    estimator : estimator
        The classifier; labels are encoded if ``fit`` trains a net in it.
    y : ndarray of shape (n,)
        Labels.
    known : ndarray
        All labels that there are; a net has an output for each, also for those that y lacks.

    Returns
    -------
    target : ndarray of shape (n,)
        int64 for nets, float32 for binary nets, else y itself.
    classes : ndarray of shape (n_classes,) or None
        The labels in the order of the codes; None where y was not encoded.

    Raises
    ------
    ValueError
        If a binary net gets more than two classes.
    """
    inside = skorch.nets_inside(estimator, frozen=False).values()
    if not inside:
        return y, None
    # What stands around a net finds the classes in y by itself.
    classes = np.unique(known if skorch.predicts_columns(estimator) else y)
    codes = np.searchsorted(classes, y)
    if not any(skorch.is_binary_net(net) for net in inside):
        return codes.astype(np.int64), classes
    if len(classes) > 2:
        raise ValueError(
            "Only binary classification is supported by NeuralNetBinaryClassifier. "
            f"y must have two classes. Got {len(classes)} classes."
        )
    return codes.astype(np.float32), classes


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
        All labels that there are.
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
    held_out : ndarray of int
        The rows that the nets kept from training, by their ``train_split`` or as a part of their defense.

    Raises
    ------
    KeyboardInterrupt
        If a net's training was interrupted, which skorch keeps to itself.
    """
    digest = data_digest(X, y)
    trained = clone(estimator)
    if seeded:
        seed_nested(trained, seed, "estimator", digest)
    recorders = skorch.prepare_splits(trained)
    target, classes = encode(trained, y, known)
    if classes is None:
        trained.fit(X, target, **params)
        return trained, trained.classes_, np.empty(0, dtype=int)
    with torch_seed(mix_seed(seed, "net", digest)):
        trained.fit(X, target, **params)
    inside = trained_nets(trained)
    skorch.check_trained_to_the_end(part.estimator for part in inside)
    return trained, classes, np.union1d(skorch.restore_splits(trained, recorders, inside), take_held_out(inside))


def take_held_out(inside):
    """Take over from nets which rows they held out themselves.

    Parameters
    ----------
    inside : list of FittedPart
        Trained nets. Their own records, of the rows in the form that reached them, are emptied.

    Returns
    -------
    held_out : ndarray of int
        Row numbers.
    """
    nets = [part.estimator for part in inside if part.all_rows and hasattr(part.estimator, "held_out_")]
    for net in nets:
        net.not_trained_on_ = RowSet.empty()
    return np.unique(np.concatenate([np.empty(0, dtype=int), *(net.held_out_ for net in nets)]))


def frozen_classes(frozen):
    """Return the classes of a frozen classifier.

    Raises
    ------
    ValueError
        If it is not fitted.
    """
    try:
        check_is_fitted(frozen.estimator)
        return np.asarray(frozen.estimator.classes_)
    except (NotFittedError, AttributeError):
        # Older nets pass for fitted, but don't know their classes.
        raise ValueError(
            f"estimator=FrozenEstimator({type(frozen.estimator).__name__}) must hold a fitted classifier. "
            "Got an unfitted one."
        ) from None


def rows_outside(X, held_out):
    """Return the set of rows that did not train: those held out, less any whose duplicate trained.

    Parameters
    ----------
    X : array-like of shape (n, ...)
        All rows.
    held_out : ndarray of int
        Those held out.

    Returns
    -------
    rows : RowSet
    """
    if not len(held_out):
        return RowSet.empty()
    outside = RowSet.of(safe_indexing(X, held_out))
    trained = RowSet.of(safe_indexing(X, np.setdiff1d(np.arange(len(X)), held_out)), key=outside.key)
    return RowSet(np.setdiff1d(outside.digests, trained.digests), outside.key)

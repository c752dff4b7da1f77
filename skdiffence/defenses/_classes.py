"""Which class each column of a net belongs to, also where the training rows lack some."""

import numpy as np
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from skdiffence.metrics import label_columns
from skdiffence.utils import _skorch as skorch
from skdiffence.utils._loading import loadable, with_own_loaders
from skdiffence.utils._random import torch_seed
from skdiffence.utils._sklearn import safe_indexing
from skdiffence.utils._torch import explained_shapes

_REMEDY = (
    "Give the net all labels, in the order of its outputs: NeuralNetClassifier(..., classes=[...]). Labels that are "
    "numbers from 0 are taken for the numbers of the outputs."
)


def encode(estimator, X, y, known):
    """Encode labels for nets.

    Parameters
    ----------
    estimator : estimator
        The classifier. Labels are encoded if ``fit`` trains a net in it.
    X : array-like of shape (n, ...)
        Rows.
    y : ndarray of shape (n,)
        Their labels.
    known : ndarray
        All labels. A net has an output for each, also for those that y lacks.

    Returns
    -------
    target : ndarray of shape (n,)
        int64 for nets, the type of their weights for binary nets, else y itself.
    classes : ndarray of shape (n_classes,) or None
        The labels in the order of the codes; None if y was not encoded.

    Raises
    ------
    ValueError
        If a binary net gets more than two classes, or labels are not among the ``classes`` of a net.
    """
    inside = skorch.nets_inside(estimator, frozen=False).values()
    if not inside:
        return y, None
    if not skorch.predicts_columns(estimator):
        # What stands around a net finds the classes in y by itself.
        classes = np.unique(y)
    elif (declared := skorch.declared_classes(estimator)) is not None:
        classes = _checked(declared, known)
    else:
        classes = _numbered(estimator, X, y, np.unique(known))
    codes = label_columns(y, classes)
    if not any(skorch.is_binary_net(net) for net in inside):
        return codes, classes
    if len(classes) > 2:
        raise ValueError(
            "Only binary classification is supported by NeuralNetBinaryClassifier. "
            f"y must have two classes. Got {len(classes)} classes."
        )
    return codes.astype(skorch.input_dtype(estimator)), classes


def _checked(classes, known):
    """Return the classes that a net was given, checked to hold all labels."""
    labels = np.unique(known)
    try:
        missing = labels[label_columns(labels, classes) < 0]
    except ValueError:  # text and numbers
        missing = labels
    if len(missing):
        raise ValueError(
            f"y must hold labels of the net's classes={classes.tolist()} only. Got "
            f"{', '.join(map(str, missing[:5].tolist()))} as well."
        )
    return classes


def _numbered(estimator, X, y, labels):
    """Return the labels or, where these are numbers of outputs with some left out, the numbers of all outputs."""
    binary = skorch.is_binary_net(skorch.final_estimator(estimator))
    if binary or not _are_numbers(labels) or labels[-1] < len(labels):
        return labels
    n_outputs = count_outputs(estimator, X, y)
    return np.arange(n_outputs).astype(labels.dtype) if labels[-1] < n_outputs else labels


def _are_numbers(labels):
    """Return whether labels are whole numbers from 0."""
    return labels.dtype.kind in "iuf" and labels[0] >= 0 and bool((labels == np.floor(labels)).all())


def count_outputs(estimator, X, y):
    """Return how many outputs a net has, by the answer of one that is initialized and not trained.

    Parameters
    ----------
    estimator : estimator
        A net or a pipeline that ends in one, whose other steps are fitted to some rows of each class; not changed.
    X : array-like of shape (n, ...)
        Rows.
    y : ndarray of shape (n,)
        Their labels.

    Returns
    -------
    n_outputs : int
        0 if the net does not answer.
    """
    rows = np.sort(np.concatenate([np.flatnonzero(y == label)[:2] for label in np.unique(y)]))
    net, X, codes = clone(estimator), safe_indexing(X, rows), np.unique(y[rows], return_inverse=True)[1]
    try:
        with torch_seed(0):
            while isinstance(net, Pipeline):
                *steps, (_, net) = net.steps
                X = Pipeline(steps).fit_transform(X, codes) if steps else X
            X = skorch.as_nets_take(net, X)
            # Callbacks may write files.
            net.set_params(callbacks="disable", verbose=0).initialize()
            net.check_data(X, codes)  # some nets answer within the range of their inputs
            return count_columns(net, safe_indexing(X, np.arange(1)))
    except Exception:  # training will raise it again, with the user's own settings
        return 0


def count_columns(estimator, X):
    """Return the number of columns of a fitted classifier's probabilities.

    Parameters
    ----------
    estimator : classifier
        Fitted.
    X : array-like of shape (n, ...)
        Rows, at least one.

    Returns
    -------
    n_columns : int
    """
    with explained_shapes(X), skorch.explained_dtypes(estimator):
        rows = loadable(estimator, skorch.as_nets_take(estimator, X))
        return np.shape(with_own_loaders(estimator).predict_proba(rows))[-1]


def classes_of_columns(estimator, classes, X):
    """Return a class for each column of a fitted classifier.

    Parameters
    ----------
    estimator : classifier
        Fitted.
    classes : ndarray of shape (n_classes,)
        The classes of the rows that trained it, in the order of their codes.
    X : array-like of shape (n, ...)
        Rows, at least one.

    Returns
    -------
    classes : ndarray of shape (n_columns,)
        For a net whose labels are the numbers of its outputs, the numbers of all of them.

    Raises
    ------
    ValueError
        If a net has more columns than classes are known.
    """
    if not skorch.predicts_columns(estimator):
        return classes
    n_columns = count_columns(estimator, safe_indexing(X, np.arange(1)))
    if n_columns <= len(classes):
        return classes
    if _are_numbers(np.sort(classes)) and classes.max() < n_columns:
        return np.arange(n_columns).astype(classes.dtype)
    raise ValueError(
        f"estimator.predict_proba must answer one column for each of the {len(classes)} classes. Got a net with "
        f"{n_columns} columns, and nothing tells which classes the rows lack. {_REMEDY}"
    )


def frozen_classes(frozen):
    """Return the classes of a frozen classifier, in the order of its columns.

    Raises
    ------
    ValueError
        If it is not fitted, or a net in it was given weights and no classes.
    """
    try:
        # Classes that are not of scikit-learn do not tell.
        if hasattr(skorch.final_estimator(frozen), "__sklearn_tags__"):
            check_is_fitted(frozen.estimator)
    except NotFittedError:
        _raise_unfitted(frozen)
    try:
        declared = skorch.declared_classes(frozen)
        return np.asarray(frozen.estimator.classes_) if declared is None or not len(declared) else declared
    except AttributeError:
        final = skorch.final_estimator(frozen)
        if skorch.predicts_columns(frozen) and getattr(final, "initialized_", False):
            raise ValueError(
                f"estimator=FrozenEstimator({type(frozen.estimator).__name__}) must hold a classifier that knows its "
                "labels. Got a net that was initialized without classes and never fitted. "
                f"{_REMEDY} Or make it of the module alone: skdiffence.from_module(net.module_, classes=[...])."
            ) from None
        # Some unfitted nets pass check_is_fitted, but have no classes.
        _raise_unfitted(frozen)


def _raise_unfitted(frozen):
    raise ValueError(
        f"estimator=FrozenEstimator({type(frozen.estimator).__name__}) must hold a fitted classifier. "
        "Got an unfitted one."
    ) from None

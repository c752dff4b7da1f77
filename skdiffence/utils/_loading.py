"""How rows reach a net that predicts: in the form that loads fastest, by loaders with generators of their own."""

import copy
from functools import partial

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.frozen import FrozenEstimator
from skorch import NeuralNet, NeuralNetBinaryClassifier, NeuralNetClassifier
from skorch.dataset import Dataset
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

# A net predicts the same for a dataset as for an array if these are skorch's own.
_PREDICTING = ("predict", "predict_proba", "forward_iter", "get_dataset", "get_iterator")
_KINDS = (NeuralNetClassifier, NeuralNetBinaryClassifier)
_COLLATING = {"collate_fn", "sampler", "batch_sampler"}


class Rows(TorchDataset):
    """Dataset of the rows of an array, which a data loader takes in batches; row by row costs more than a small net.

    Parameters
    ----------
    X : ndarray of shape (n, ...)
        The rows, of any byte order. Floating point of more than 64 bits is rounded to these.
    """

    def __init__(self, X):
        # torch knows neither, and files of images and measurements are often big-endian.
        wide = X.dtype.kind == "f" and X.dtype.itemsize > 8
        X = X.astype(np.float64 if wide else X.dtype.newbyteorder("="), copy=False)
        # torch does not take negative strides, and warns of read-only arrays.
        plain = X.flags.writeable and all(step >= 0 for step in X.strides)
        self.rows = torch.from_numpy(X if plain else X.copy())

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        return self.__getitems__([index])[0]

    def __getitems__(self, indices):
        no_target = torch.zeros(1)
        return [(row, no_target) for row in self.rows[indices].unbind()]


def loadable(estimator, X):
    """Return rows in the form that a net loads fastest, with the same predictions.

    Parameters
    ----------
    estimator : classifier
        Fitted.
    X : ndarray of shape (n, ...) or data frame
        Rows to predict.

    Returns
    -------
    rows : Rows or X
        X if the estimator is not a net or customizes how it loads data.
    """
    while isinstance(estimator, FrozenEstimator):
        estimator = estimator.estimator
    if not isinstance(estimator, NeuralNet) or not isinstance(X, np.ndarray) or X.dtype != np.float32:
        return X
    predicts = all(getattr(type(estimator), name) in [getattr(kind, name) for kind in _KINDS] for name in _PREDICTING)
    loads = estimator.dataset is Dataset and estimator.iterator_valid is DataLoader
    special = estimator.get_params_for("dataset") or _COLLATING & estimator.get_params_for("iterator_valid").keys()
    return Rows(X) if predicts and loads and not special else X


def with_own_generator(iterator):
    """Give a data loader a generator of its own, since it draws from torch's global one whenever it is iterated.

    Restoring the global generator afterwards would turn it back for other threads.

    Parameters
    ----------
    iterator : iterable of batches
        Changed in place if it is a DataLoader without a generator.

    Returns
    -------
    iterator : iterable of batches
        The same object.
    """
    if isinstance(iterator, DataLoader) and iterator.generator is None:
        iterator.generator = torch.Generator()
    return iterator


def with_own_loaders(estimator):
    """Return a fitted estimator whose nets predict without drawing from torch's global generator.

    Parameters
    ----------
    estimator : estimator
        Not changed.

    Returns
    -------
    estimator : estimator
        A shallow copy that shares everything but the way from a net to its loader; the same object if no net is inside.
    """
    if isinstance(estimator, NeuralNet):
        # copy.copy would save and load the weights.
        return _shallow(estimator, {"get_iterator": partial(_iterator, estimator)})
    state = getattr(estimator, "__dict__", {})
    changed = {name: new for name, value in state.items() if (new := _replaced(value)) is not value}
    return _shallow(estimator, changed) if changed else estimator


def _replaced(value):
    """Return a fitted part, or a container of parts, with other loaders; the same object if no net is inside."""
    if isinstance(value, dict):
        changed = {name: new for name, part in value.items() if (new := _replaced(part)) is not part}
        if not changed:
            return value
        new = copy.copy(value)
        new.update(changed)
        return new
    if type(value) in (list, tuple):
        parts = type(value)(map(_replaced, value))
        return value if all(one is other for one, other in zip(parts, value, strict=True)) else parts
    # scikit-learn has fitted parts that are no estimators.
    is_part = isinstance(value, BaseEstimator) or hasattr(type(value), "predict_proba")
    return with_own_loaders(value) if is_part else value


def _shallow(estimator, attributes):
    new = object.__new__(type(estimator))
    new.__dict__.update(vars(estimator) | attributes)
    return new


def _iterator(net, dataset, training=False):
    return with_own_generator(net.get_iterator(dataset, training=training))

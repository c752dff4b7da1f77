"""What skorch networks need before they can stand where a scikit-learn classifier stands."""

import warnings

import numpy as np
import torch
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from skorch import NeuralNet, NeuralNetBinaryClassifier, NeuralNetClassifier
from skorch.callbacks import EarlyStopping
from skorch.dataset import Dataset, ValidSplit
from torch import nn
from torch.utils.data import DataLoader, Subset
from torch.utils.data import Dataset as TorchDataset

from skdiffence.exceptions import MembershipWarning

# What a net splits off when its user said nothing; skorch's own default, written out because clones of it are copies.
_DEFAULT_SPLITS = (vars(ValidSplit(5)), vars(ValidSplit(5, stratified=True)))


def final_estimator(estimator):
    """Return the estimator whose ``predict`` answers: the last step of pipelines, what a FrozenEstimator holds."""
    while isinstance(estimator, (FrozenEstimator, Pipeline)):
        estimator = estimator.estimator if isinstance(estimator, FrozenEstimator) else estimator.steps[-1][1]
    return estimator


def nets_inside(estimator, *, frozen=True):
    """Return the skorch nets of an estimator, by the prefix of their parameters.

    Parameters
    ----------
    estimator : estimator
        A net, or anything that holds nets as parameters.
    frozen : bool, default=True
        Whether nets inside a FrozenEstimator, which are not trained, are among them.

    Returns
    -------
    nets : dict of str to NeuralNet
        The estimator itself has the prefix "".
    """
    if isinstance(estimator, NeuralNet):
        return {"": estimator}
    params = {f"{name}__": value for name, value in estimator.get_params(deep=True).items()}
    shells = {prefix: value for prefix, value in params.items() if isinstance(value, FrozenEstimator)}
    if isinstance(estimator, FrozenEstimator):
        shells, params = {"": estimator}, {}
    hidden = tuple(shells)
    nets = {
        prefix: value
        for prefix, value in params.items()
        if isinstance(value, NeuralNet) and not prefix.startswith(hidden)
    }
    if frozen:
        for prefix, shell in shells.items():
            inner = nets_inside(shell.estimator)
            nets |= {f"{prefix}estimator__{name}": net for name, net in inner.items()}
    return nets


def answers_columns(estimator):
    """Say whether ``predict`` answers column indices, as nets do, and not elements of ``classes_``."""
    return isinstance(final_estimator(estimator), NeuralNet)


def is_binary_net(estimator):
    """Say whether a net has one output and wants float32 targets."""
    return isinstance(estimator, NeuralNetBinaryClassifier)


def answers_by_argmax(estimator):
    """Say whether ``predict`` is by construction the argmax of ``predict_proba``."""
    return getattr(type(final_estimator(estimator)), "predict", None) is NeuralNetClassifier.predict


# What must be skorch's own for a net to take a dataset in place of an array and answer the same.
_ANSWERING = ("predict", "predict_proba", "forward_iter", "get_dataset", "get_iterator")
_COLLATING = {"collate_fn", "sampler", "batch_sampler"}


class Rows(TorchDataset):
    """Rows of an array, handed to a data loader a batch at a time; one by one costs more than a small net.

    Parameters
    ----------
    X : ndarray of shape (n, ...)
        The rows.
    """

    def __init__(self, X):
        # torch takes neither arrays that run backwards nor, without a warning, those that can't be written to.
        plain = X.flags.writeable and all(step >= 0 for step in X.strides)
        self.rows = torch.from_numpy(X if plain else X.copy())

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        return self.__getitems__([index])[0]

    def __getitems__(self, indices):
        nothing = torch.zeros(1)  # where skorch wants a target
        return [(row, nothing) for row in self.rows[indices].unbind()]


def loadable(estimator, X):
    """Return rows in the form in which a net loads them fastest, for the same answer.

    Parameters
    ----------
    estimator : classifier
        Fitted.
    X : ndarray of shape (n, ...) or data frame
        What it is asked about.

    Returns
    -------
    rows : Rows or X
        X where the estimator is no net, or one that has its own way with data.
    """
    while isinstance(estimator, FrozenEstimator):
        estimator = estimator.estimator
    if not isinstance(estimator, NeuralNet) or not isinstance(X, np.ndarray) or X.dtype != np.float32:
        return X
    kinds = (NeuralNetClassifier, NeuralNetBinaryClassifier)
    answers = all(getattr(type(estimator), name) in [getattr(kind, name) for kind in kinds] for name in _ANSWERING)
    loads = estimator.dataset is Dataset and estimator.iterator_valid is DataLoader
    special = estimator.get_params_for("dataset") or _COLLATING & estimator.get_params_for("iterator_valid").keys()
    return Rows(X) if answers and loads and not special else X


def instantiated_modules(estimator):
    """Return the modules with weights that nets hold as parameters, so that clones of the nets share the weights.

    Parameters
    ----------
    estimator : estimator
        A net, or anything that holds nets as parameters. Nets inside a FrozenEstimator are left out.

    Returns
    -------
    modules : dict of str to Module
        By the name of the estimator's parameter.
    """
    return {
        f"{prefix}{name}": value
        for prefix, net in nets_inside(estimator, frozen=False).items()
        for name, value in net.get_params(deep=False).items()
        if isinstance(value, nn.Module) and value.state_dict()
    }


def check_uninstantiated(estimator):
    """Raise if a net would carry trained weights from one fit to the next.

    Raises
    ------
    ValueError
        If a net holds an instantiated module with weights, which ``clone`` copies as they are.
    """
    if modules := instantiated_modules(estimator):
        name, module = next(iter(modules.items()))
        raise ValueError(
            f"estimator__{name} must be a module class or a function that makes a module, so that every fit starts "
            f"from new weights. Got an instance of {type(module).__name__}: clones of the net would share what it "
            f"learned, members and non-members alike. Pass the class, with its arguments as {name}__argument=value, "
            "or functools.partial(...); wrap a trained net in FrozenEstimator."
        )


def _is_default_split(split):
    return type(split) is ValidSplit and vars(split) in _DEFAULT_SPLITS


def _watches_validation(net):
    """Say whether a callback asks for what only a validation split can tell."""
    made = clone(net).initialize_callbacks().callbacks_
    monitors = [getattr(callback, "monitor", None) for _, callback in made]
    return any(callable(monitor) or not str(monitor or "train").startswith("train") for monitor in monitors)


class RecordingSplit:
    """A ``train_split`` that remembers which rows it held out of training.

    Parameters
    ----------
    split : callable
        The split that was asked for.

    Attributes
    ----------
    held_out : ndarray of int or None
        The rows; None until a net was trained with it.
    """

    def __init__(self, split):
        self.split = split
        self.held_out = None

    def __call__(self, dataset, y=None, **params):
        self.held_out = np.empty(0, dtype=int)
        train, valid = self.split(dataset, y, **params)
        if isinstance(train, Subset) and train.dataset is dataset:
            self.held_out = np.setdiff1d(np.arange(len(dataset)), np.asarray(train.indices))
        elif train is not dataset:
            raise ValueError(
                "train_split must leave the training rows traceable: the given dataset itself, or a torch Subset "
                f"of it. Got {type(train).__name__} from {self.split!r}."
            )
        return train, valid


def prepare_splits(estimator):
    """Keep nets from silently training on four fifths of the rows, and record what explicit splits hold out.

    Parameters
    ----------
    estimator : estimator
        A clone; its nets are changed in place.

    Returns
    -------
    recorders : dict of str to RecordingSplit
        By parameter name; the explicit splits, to be put back by :func:`restore_splits`.
    """
    recorders = {}
    for prefix, net in nets_inside(estimator, frozen=False).items():
        if net.train_split is None:
            continue
        if _is_default_split(net.train_split) and not _watches_validation(net):
            estimator.set_params(**{f"{prefix}train_split": None})
        else:
            recorders[f"{prefix}train_split"] = RecordingSplit(net.train_split)
    if recorders:
        estimator.set_params(**recorders)
    return recorders


def restore_splits(estimator, recorders):
    """Put the splits that were recorded back in place, and return the rows that they held out.

    Returns
    -------
    held_out : ndarray of int
        Row numbers, without duplicates.

    Warns
    -----
    MembershipWarning
        If a net was trained as a copy, so that nobody knows its held-out rows.
    """
    if recorders:
        estimator.set_params(**{name: recorder.split for name, recorder in recorders.items()})
    unseen = [name for name, recorder in recorders.items() if recorder.held_out is None]
    if unseen:
        warnings.warn(
            f"{', '.join(unseen)} holds rows out of copies of the net that {type(estimator).__name__} trains, and "
            "which ones can't be told: all rows count as trained on. Set train_split=None to train on all of them.",
            MembershipWarning,
            stacklevel=2,
        )
    held_out = [recorder.held_out for recorder in recorders.values() if recorder.held_out is not None]
    return np.unique(np.concatenate([np.empty(0, dtype=int), *held_out]))


def check_trained_to_the_end(estimator):
    """Raise the KeyboardInterrupt that skorch swallows, so that no half-trained net looks fitted.

    Raises
    ------
    KeyboardInterrupt
        If a net stopped before ``max_epochs`` though nothing in it stops early.
    """
    for net in nets_inside(estimator, frozen=False).values():
        if hasattr(net, "callbacks_") and not _is_finished(net):
            raise KeyboardInterrupt("training of the net inside the defended classifier was interrupted")


def _is_finished(net):
    callbacks = {name: callback for name, callback in net.callbacks_ if callback is not None}
    if len(net.history) < net.max_epochs and not any(isinstance(each, EarlyStopping) for each in callbacks.values()):
        return False
    # What an epoch notes last: a callback's loss, or where callbacks are off the count of its batches.
    mark = "train_loss" if "train_loss" in callbacks else "train_batch_count"
    return not len(net.history) or mark in net.history[-1]

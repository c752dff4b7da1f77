"""What skorch networks need before they can stand where a scikit-learn classifier stands."""

import numpy as np
from sklearn.frozen import FrozenEstimator
from skorch import NeuralNet, NeuralNetBinaryClassifier, NeuralNetClassifier
from skorch.callbacks import EarlyStopping
from skorch.dataset import ValidSplit
from torch import nn
from torch.utils.data import Subset

# What a net splits off when its user said nothing; skorch's own default, written out because clones of it are copies.
_DEFAULT_SPLITS = (vars(ValidSplit(5)), vars(ValidSplit(5, stratified=True)))


def unfrozen(estimator):
    """Return the estimator inside a FrozenEstimator, or the estimator itself."""
    return estimator.estimator if isinstance(estimator, FrozenEstimator) else estimator


def nets_inside(estimator):
    """Return the skorch nets of an estimator, by the prefix of their parameters.

    Parameters
    ----------
    estimator : estimator
        A net, or anything that holds nets as parameters.

    Returns
    -------
    nets : dict of str to NeuralNet
        The estimator itself has the prefix "".
    """
    if isinstance(estimator, NeuralNet):
        return {"": estimator}
    params = estimator.get_params(deep=True)
    return {f"{name}__": value for name, value in params.items() if isinstance(value, NeuralNet)}


def is_binary_net(estimator):
    """Say whether a net has one output and wants float32 targets."""
    return isinstance(estimator, NeuralNetBinaryClassifier)


def answers_by_argmax(estimator):
    """Say whether ``predict`` is by construction the argmax of ``predict_proba``."""
    return type(estimator).predict is NeuralNetClassifier.predict


def check_uninstantiated(estimator):
    """Refuse nets that would carry trained weights from one fit to the next.

    Raises
    ------
    ValueError
        If a net holds an instantiated module with weights, which ``clone`` copies as they are.
    """
    for prefix, net in nets_inside(estimator).items():
        for name, value in net.get_params(deep=False).items():
            if isinstance(value, nn.Module) and value.state_dict():
                raise ValueError(
                    f"estimator__{prefix}{name} must be a module class or a function that makes a module, so that "
                    f"every fit starts from new weights. Got an instance of {type(value).__name__}: clones of the net "
                    "would share what it learned, members and non-members alike. Pass the class, with its arguments as "
                    f"{name}__argument=value, or functools.partial(...); wrap a trained net in FrozenEstimator."
                )


def _is_default_split(split):
    return type(split) is ValidSplit and vars(split) in _DEFAULT_SPLITS


def _watches_validation(net):
    callbacks = net.callbacks if isinstance(net.callbacks, (list, tuple)) else ()
    callbacks = [entry[-1] if isinstance(entry, tuple) else entry for entry in callbacks]
    return any("valid" in str(getattr(callback, "monitor", "")) for callback in callbacks)


class RecordingSplit:
    """A ``train_split`` that remembers which rows it held out of training.

    Parameters
    ----------
    split : callable
        The split that was asked for.
    """

    def __init__(self, split):
        self.split = split
        self.held_out = np.empty(0, dtype=int)

    def __call__(self, dataset, y=None, **params):
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
    for prefix, net in nets_inside(estimator).items():
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
    """Put the splits that were recorded back in place."""
    if recorders:
        estimator.set_params(**{name: recorder.split for name, recorder in recorders.items()})


def check_trained_to_the_end(estimator):
    """Raise the KeyboardInterrupt that skorch swallows, so that no half-trained net looks fitted.

    Raises
    ------
    KeyboardInterrupt
        If a net stopped before ``max_epochs`` though nothing in it stops early.
    """
    for net in nets_inside(estimator).values():
        if not hasattr(net, "history_"):
            continue
        stops_early = any(isinstance(callback, EarlyStopping) for _, callback in getattr(net, "callbacks_", ()))
        unfinished = len(net.history) and "train_loss" not in net.history[-1]
        if unfinished or (len(net.history) < net.max_epochs and not stops_early):
            raise KeyboardInterrupt("training of the net inside the defended classifier was interrupted")

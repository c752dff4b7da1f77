"""What skorch nets need to take the place of a scikit-learn classifier."""

import contextlib
import warnings

import numpy as np
import torch
from sklearn.base import clone, is_classifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from skorch import NeuralNet, NeuralNetBinaryClassifier, NeuralNetClassifier
from skorch.callbacks import EarlyStopping
from skorch.dataset import ValidSplit
from torch import nn
from torch.utils.data import Subset

from skdiffence.exceptions import MembershipWarning
from skdiffence.utils._frames import as_numbers, with_columns_of
from skdiffence.utils._modules import ModuleClassifier, module_dtype
from skdiffence.utils._params import nested_params

# skorch's default splits by their content, because a clone's split is a copy.
_DEFAULT_SPLITS = (vars(ValidSplit(5)), vars(ValidSplit(5, stratified=True)))
_HALF = (torch.float16, torch.bfloat16)


def final_estimator(estimator):
    """Return the estimator whose ``predict`` makes the predictions of another.

    Parameters
    ----------
    estimator : estimator
        Goes through pipelines, FrozenEstimator and fitted searches.

    Returns
    -------
    final : estimator
        Not a pipeline, frozen or a fitted search.
    """
    while True:
        if isinstance(estimator, FrozenEstimator):
            estimator = estimator.estimator
        elif isinstance(estimator, Pipeline):
            estimator = estimator.steps[-1][1]
        elif hasattr(estimator, "best_estimator_"):
            estimator = estimator.best_estimator_
        else:
            return estimator


def nets_inside(estimator, *, frozen=True):
    """Return the skorch nets among the parameters of an estimator.

    Parameters
    ----------
    estimator : estimator
        Fitted or not. Meta-estimators that fit clones keep the unfitted nets as parameters.
    frozen : bool, default=True
        Whether to include nets inside a FrozenEstimator, which are not trained.

    Returns
    -------
    nets : dict of str to NeuralNet
        By the prefix of their parameters, which is "" for the estimator itself.
    """
    params = {"": estimator} if isinstance(estimator, NeuralNet) else nested_params(estimator)
    wrappers = {prefix: value for prefix, value in params.items() if isinstance(value, FrozenEstimator)}
    trained = {prefix: value for prefix, value in params.items() if not prefix.startswith(tuple(wrappers))}
    nets = {prefix: value for prefix, value in trained.items() if isinstance(value, NeuralNet)}
    if frozen:
        for prefix, wrapper in wrappers.items():
            nets |= {f"{prefix}estimator__{name}": net for name, net in nets_inside(wrapper.estimator).items()}
    return nets


def predicts_columns(estimator):
    """Return whether ``predict`` gives column indices, as nets do, and not elements of ``classes_``."""
    final = final_estimator(estimator)
    return isinstance(final, NeuralNet) and not isinstance(final, ModuleClassifier)


def declared_classes(estimator):
    """Return the labels that a net was given as ``classes``, in the order of its outputs.

    Parameters
    ----------
    estimator : estimator
        Fitted or not.

    Returns
    -------
    classes : ndarray of shape (n_classes,) or None
        None if ``predict`` gives no column indices, or the net was given none.
    """
    classes = getattr(final_estimator(estimator), "classes", None) if predicts_columns(estimator) else None
    return None if classes is None else np.asarray(classes)


def predicts_argmax(estimator):
    """Return whether ``predict`` is by construction the argmax of ``predict_proba``."""
    predict = getattr(type(final_estimator(estimator)), "predict", None)
    return predict in (ModuleClassifier.predict, NeuralNetClassifier.predict, RandomForestClassifier.predict)


def is_binary_net(estimator):
    """Return whether a net has one output and float32 targets."""
    return isinstance(estimator, NeuralNetBinaryClassifier)


def is_net(estimator):
    """Return whether an estimator is a net, or a frozen one, so that it gets rows just as they are given."""
    while isinstance(estimator, FrozenEstimator):
        estimator = estimator.estimator
    return isinstance(estimator, NeuralNet)


def as_nets_take(estimator, X):
    """Return rows in the precision of a net's weights if an estimator holds one; otherwise as they are.

    Parameters
    ----------
    estimator : estimator
        What gets the rows, fitted or not.
    X : ndarray of shape (n, ...) or data frame
        Numeric rows.

    Returns
    -------
    X : ndarray or data frame
        A data frame stays one, unless the estimator itself is a net.
    """
    # Modules that were made classifiers convert their rows themselves, some to float64.
    if all(isinstance(net, ModuleClassifier) for net in nets_inside(estimator).values()):
        return X
    rows = as_numbers(X).astype(input_dtype(estimator), copy=False)
    return rows if is_net(estimator) else with_columns_of(rows, X)


def instantiated_modules(estimator):
    """Return the modules that nets hold as parameters and that learn, so that clones of the nets share what is learned.

    Parameters
    ----------
    estimator : estimator
        A net, or anything that holds nets as parameters. Nets inside a FrozenEstimator are left out. Criteria without
        parameters, such as a loss with weights of the classes, learn nothing.

    Returns
    -------
    modules : dict of str to Module
        By the name of the estimator's parameter.
    """
    return {
        f"{prefix}{name}": value
        for prefix, net in nets_inside(estimator, frozen=False).items()
        for name, value in net.get_params(deep=False).items()
        if isinstance(value, nn.Module) and _learns(value, is_criterion=name in {"criterion", *net._criteria})
    }


def _learns(module, *, is_criterion):
    if not is_criterion:
        return bool(module.state_dict())
    keeps_averages = any(isinstance(part, nn.modules.batchnorm._NormBase) for part in module.modules())
    return keeps_averages or any(True for _ in module.parameters())


def input_dtype(estimator):
    """Return the type in which nets get their rows: that of their weights, single or double precision.

    Parameters
    ----------
    estimator : estimator
        Fitted or not.

    Returns
    -------
    dtype : type
        float64 if a net inside has such weights, else float32.
    """
    dtypes = {_weights_dtype(net) for net in nets_inside(estimator).values()}
    return np.float64 if torch.float64 in dtypes else np.float32


def _weights_dtype(net):
    """Return the type of a net's weights; None where a module can't be made just to look at it."""
    module = getattr(net, "module_", None)
    if module is None:
        try:
            # Without memory and without random numbers.
            with torch.device("meta"):
                module = net.initialized_instance(net.module, net.get_params_for("module"))
        except Exception:  # the module's own code; training will raise it, if it is an error
            return None
    return module_dtype(module)


@contextlib.contextmanager
def explained_dtypes(estimator):
    """Raise an error that names the weights' type where a net of another precision can't take its rows.

    Raises
    ------
    ValueError
        Instead of an error of torch.
    """
    try:
        yield
    except (RuntimeError, TypeError) as error:
        odd = [dtype for net in nets_inside(estimator).values() if (dtype := _weights_dtype(net)) in _HALF]
        if not odd:
            raise
        raise ValueError(
            f"estimator holds a net with weights of {odd[0]}, and gets rows of {np.dtype(input_dtype(estimator))}. "
            "Convert them in the module's forward and return single precision, or give a trained module to "
            f"skdiffence.from_module, which does both. torch says: {error}"
        ) from error


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
    """Return whether a callback monitors a score on the validation split."""
    made = clone(net).initialize_callbacks().callbacks_
    monitors = [getattr(callback, "monitor", None) for _, callback in made]
    return any(callable(monitor) or not str(monitor or "train").startswith("train") for monitor in monitors)


class RecordingSplit:
    """A ``train_split`` that records which rows it held out.

    Parameters
    ----------
    split : callable
        The split to record.
    name : str
        The parameter that it stands for; copies keep it.

    Attributes
    ----------
    held_out : ndarray of int or None
        The rows; None until a net was trained with it.
    """

    def __init__(self, split, name):
        self.split = split
        self.name = name
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
    """Set default splits of nets to None, so that nets train on all rows, and record what explicit splits hold out.

    Nets inside a classifier of this library are left to it.

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
        name = f"{prefix}train_split"
        if net.train_split is None or _is_looked_after(estimator, prefix):
            continue
        if _is_default_split(net.train_split) and not _watches_validation(net):
            estimator.set_params(**{name: None})
        else:
            recorders[name] = RecordingSplit(net.train_split, name)
    if recorders:
        estimator.set_params(**recorders)
    return recorders


def _is_looked_after(estimator, prefix):
    """Return whether a net is inside a classifier of this library, which records itself what the net holds out."""
    params = nested_params(estimator).items()
    around = (value for name, value in params if prefix.startswith(name) and prefix != name)
    classes = (cls for value in around if is_classifier(value) for cls in type(value).__mro__)
    return any(cls.__module__.partition(".")[0] == "skdiffence" for cls in classes)


def restore_splits(estimator, recorders, trained):
    """Put recorded splits back in place and return the rows that they held out.

    Parameters
    ----------
    estimator : estimator
        Fitted.
    recorders : dict of str to RecordingSplit
        As given by :func:`prepare_splits`.
    trained : list of FittedPart
        The nets inside that were trained.

    Returns
    -------
    held_out : ndarray of int
        Row numbers, without duplicates.

    Warns
    -----
    MembershipWarning
        If a net was trained on some of the rows only, so that the numbers of its held-out rows mean nothing here.
    """
    # Meta-estimators train copies of a net, which hold copies of its recorder.
    copies = [part for part in trained if isinstance(part.estimator.train_split, RecordingSplit)]
    recorded = [*recorders.values(), *(part.estimator.train_split for part in copies if part.all_rows)]
    recorded = [each for each in recorded if each.held_out is not None]
    for part in copies:
        part.estimator.train_split = part.estimator.train_split.split
    if recorders:
        estimator.set_params(**{name: recorder.split for name, recorder in recorders.items()})
    if unknown := sorted(recorders.keys() - {each.name for each in recorded}):
        warnings.warn(
            f"{', '.join(unknown)} holds rows out of copies of the net that {type(estimator).__name__} trains, and "
            "which ones can't be told: all rows count as trained on. Set train_split=None to train on all of them.",
            MembershipWarning,
            stacklevel=2,
        )
    return np.unique(np.concatenate([np.empty(0, dtype=int), *(each.held_out for each in recorded)]))


def check_trained_to_the_end(nets):
    """Raise the KeyboardInterrupt that skorch swallows, so that no half-trained net looks fitted.

    Parameters
    ----------
    nets : iterable of NeuralNet
        Nets after training.

    Raises
    ------
    KeyboardInterrupt
        If a net stopped before ``max_epochs`` though nothing in it stops early.
    """
    for net in nets:
        if hasattr(net, "callbacks_") and not _is_finished(net):
            raise KeyboardInterrupt("training of the net inside the defended classifier was interrupted")


def _is_finished(net):
    callbacks = {name: callback for name, callback in net.callbacks_ if callback is not None}
    if len(net.history) < net.max_epochs and not any(isinstance(each, EarlyStopping) for each in callbacks.values()):
        return False
    # The last entry of a finished epoch: a callback's loss, or without callbacks the number of batches.
    last = "train_loss" if "train_loss" in callbacks else "train_batch_count"
    return not len(net.history) or last in net.history[-1]

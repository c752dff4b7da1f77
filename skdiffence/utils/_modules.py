"""Fitted classifiers made of trained torch modules."""

import copy
import warnings
from collections.abc import Mapping
from numbers import Integral, Real
from pathlib import Path

import numpy as np
import torch
from sklearn.frozen import FrozenEstimator
from skorch import NeuralNetClassifier
from torch import nn
from torch.utils.data import Dataset

from skdiffence.utils._columns import sorted_columns
from skdiffence.utils._frames import as_numbers
from skdiffence.utils._loading import Rows, with_own_generator
from skdiffence.utils._random import torch_seed
from skdiffence.utils._sklearn import Interval, StrOptions, validate_params
from skdiffence.utils._torch import resolve_device
from skdiffence.utils._validation import as_floats, as_labels

# What DataParallel, DistributedDataParallel and torch.compile put in front of the names of weights.
_PREFIXES = ("module.", "_orig_mod.")
# Sums of probabilities in the module's precision.
_TOLERANCE = {torch.float16: 1e-2, torch.bfloat16: 5e-2}
# A single row of logits can have the sum 1 by chance, several can't. Single outputs need no chance to be below 1.
_FEW_ROWS, _FEW_SINGLE = 4, 20


@validate_params(
    {
        "classes": [Interval(Integral, 2, None, closed="left"), "array-like"],
        "state_dict": [Mapping, str, Path, None],
        "output": [StrOptions({"logits", "proba"})],
        "mean": [Real, "array-like", None],
        "std": [Real, "array-like", None],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "device": [str, torch.device],
    },
    prefer_skip_nested_validation=True,
)
def from_module(
    module, classes, *, state_dict=None, output="logits", mean=None, std=None, batch_size=128, device="auto"
):
    """Return a trained torch module as a fitted classifier.

    The module is copied and never trained, so that it can be audited, scored and defended as it is. Its labels are
    those of ``classes``, and it takes arrays, frames and lists of any numeric type.

    Read more in the :ref:`User Guide <from_module>`.

    Parameters
    ----------
    module : torch.nn.Module, or callable that returns one
        Takes a batch and returns one output for each class or, for two classes, a single output of shape (n_samples,)
        or (n_samples, 1), which stands for the second of ``classes``. Of a tuple the first element is taken, of a dict
        or an object with ``logits`` these. The weights may have any floating-point type, half precision included.
    classes : array-like of shape (n_classes,) or int
        The labels, in the order of the module's outputs. An integer is the number of classes, whose labels are the
        numbers of the outputs. The classifier's own ``classes_`` are sorted, as scikit-learn expects them, and so are
        the columns of its ``predict_proba``.
    state_dict : mapping, str or Path, default=None
        The trained weights, or a file of them that ``torch.save`` wrote. Nothing but tensors is read from a file.
        Names may start with the prefix of ``DataParallel`` or ``torch.compile``. They are converted to the type of the
        module's own weights. None keeps the weights of the instance.
    output : {"logits", "proba"}, default="logits"
        What the module returns. "logits" are turned into probabilities by a softmax, a single one by a sigmoid.
        Log-probabilities, as of ``LogSoftmax``, are logits.
    mean, std : float or array-like of shape (n_channels,) or (n_features,), default=None
        What is subtracted from the inputs, and what they are then divided by, in the units of the inputs: 255 times as
        large for bytes as for images between 0 and 1. One value for each channel of images or for each feature of rows.
    batch_size : int, default=128
        Number of rows that are passed to the module at once.
    device : str or torch.device, default="auto"
        Where the module computes. "auto" is the GPU if there is one.

    Returns
    -------
    classifier : FrozenEstimator
        Holds a fitted :class:`skorch.NeuralNetClassifier` whose ``predict`` returns labels. Its ``classes_`` are
        sorted, and column k of ``predict_proba`` is that of ``classes_[k]``.

    Raises
    ------
    TypeError
        If ``module`` is neither a module nor returns one.
    ValueError
        If a parameter is invalid, or the weights do not fit the module. Outputs that contradict ``classes`` or
        ``output`` raise it when rows are predicted.

    Warns
    -----
    UserWarning
        When rows are predicted and outputs look like probabilities although ``output`` says logits, but are too few to
        be sure of it: less than four rows at once, or single outputs.

    See Also
    --------
    skdiffence.defenses.DefendedClassifier : Defends it.
    skdiffence.inspection.audit : Measures what it leaks.

    Notes
    -----
    Which rows trained the module only its owner knows: pass ``is_member`` to ``fit`` of a defense that needs known
    non-members, and ``pool=(X, y, is_member)`` to :class:`~skdiffence.model_selection.AttackScorer`.

    The inputs are standardized in single precision, or double if the weights are, and then converted to the type of
    the weights. Rows of 32-bit or 64-bit integers stay what they are if the module has an embedding: they are tokens.
    Probabilities are computed in single precision or double.

    Examples
    --------
    >>> import torch
    >>> from sklearn.datasets import load_digits
    >>> from skdiffence import from_module
    >>> X, y = load_digits(return_X_y=True)
    >>> module = torch.nn.Linear(64, 10)
    >>> classifier = from_module(module, classes=[f"digit {k}" for k in range(10)], mean=4.9, std=6.0)
    >>> classifier.predict_proba(X[:5]).shape
    (5, 10)
    >>> str(classifier.predict(X[:1])[0]).startswith("digit")
    True
    """
    classes = _checked_classes(classes)
    module = _with_weights(_made(module), state_dict)
    answering = AnsweringModule(module, _numbers(mean, "mean"), _numbers(std, "std"), output, len(classes))
    net = ModuleClassifier(
        answering,
        classes=classes,
        batch_size=batch_size,
        device=str(resolve_device(device)),
        predict_nonlinearity=None,
        train_split=None,
        callbacks="disable",
        verbose=0,
    )
    return FrozenEstimator(net.initialize())


def _checked_classes(classes):
    labels = np.arange(classes) if isinstance(classes, Integral) else as_labels(classes, "classes")
    if labels.ndim != 1 or len(labels) < 2 or len(np.unique(labels)) < len(labels):
        raise ValueError(
            "classes must hold one label for each output of the module, two at least and none twice, in the order of "
            f"the outputs. Got {classes!r}."
        )
    return labels


def _made(module):
    """Return a copy of a module, or a new one."""
    if isinstance(module, nn.Module):
        return copy.deepcopy(module)
    made = None
    if callable(module):
        # New weights are drawn, even if those of state_dict replace them.
        with torch_seed(0):
            made = module()
    if not isinstance(made, nn.Module):
        got = type(module).__name__ if made is None else f"one that returns a {type(made).__name__}"
        raise TypeError(f"module must be a torch.nn.Module, or a function without arguments that makes one. Got {got}.")
    return made


def _with_weights(module, state_dict):
    if state_dict is None:
        return module
    if isinstance(state_dict, (str, Path)):
        state_dict = _read_weights(state_dict)
    state_dict = dict(state_dict)
    for prefix in _PREFIXES:
        nn.modules.utils.consume_prefix_in_state_dict_if_present(state_dict, prefix)
    try:
        module.load_state_dict(state_dict)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise ValueError(
            f"state_dict must hold the weights of {type(module).__name__}. Got {len(state_dict)} entries"
            f"{''.join(f', {name}' for name in list(state_dict)[:3])}. torch says: {error}"
        ) from error
    return module


def _read_weights(path):
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ValueError(f"state_dict={str(path)!r} does not exist.") from None
    except Exception as error:  # a damaged file can raise anything
        raise ValueError(
            f"state_dict={str(path)!r} must be a file of weights alone, as torch.save(module.state_dict(), file) "
            f"writes it. Other objects are not read, because loading them can run code. Got {type(error).__name__}."
        ) from error
    if not isinstance(weights, Mapping):
        raise ValueError(f"state_dict={str(path)!r} must hold a dict of weights. Got {type(weights).__name__}.")
    return weights


def _numbers(values, name):
    if values is None:
        return None
    numbers = torch.as_tensor(np.array(as_floats(values, name)))
    if numbers.ndim > 1 or not torch.isfinite(numbers).all() or (name == "std" and (numbers <= 0).any()):
        above = " above 0" if name == "std" else ""
        raise ValueError(
            f"{name} must be a finite number{above}, or one for each channel or feature. Got {values!r}."
        )
    return numbers


def module_dtype(module):
    """Return the type of a module's first floating-point weight; float32 if there is none."""
    weights = (weight.dtype for weight in module.parameters() if weight.is_floating_point())
    return next(weights, torch.float32)


class AnsweringModule(nn.Module):
    """A module with what stands in front of it and behind it: standardized inputs, and probabilities of all classes.

    Parameters
    ----------
    module : Module
        Returns logits or probabilities.
    mean, std : tensor of shape () or (n_channels,), or None
        Of the inputs.
    output : {"logits", "proba"}
        What the module returns.
    n_classes : int
        Number of classes.
    """

    def __init__(self, module, mean, std, output, n_classes):
        super().__init__()
        self.module = module.requires_grad_(False)
        self.output = output
        self.n_classes = n_classes
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)

    def forward(self, X):
        """Return probabilities of shape (n_samples, n_classes)."""
        own = module_dtype(self.module)
        # Half precision is too coarse to standardize in.
        wide = torch.promote_types(own, torch.float32)
        if not self._takes_codes(X):
            X = self._standardized(X.to(wide)).to(own)
        answer = _first(self.module(X))
        return self._proba(answer.to(wide), _TOLERANCE.get(own, 1e-4))

    def _takes_codes(self, X):
        """Return whether rows hold codes, such as tokens, that an embedding looks up."""
        plain = self.mean is None and self.std is None and X.dtype in (torch.int32, torch.int64)
        return plain and any(isinstance(part, nn.Embedding) for part in self.module.modules())

    def _standardized(self, X):
        if self.mean is not None:
            X = X - _per_channel(self.mean, X, "mean")
        return X if self.std is None else X / _per_channel(self.std, X, "std")

    def _proba(self, answer, tolerance):
        single = answer.ndim == 1 or answer.ndim == 2 and answer.shape[1] == 1
        if answer.shape[1:].numel() != (1 if single else self.n_classes) or single and self.n_classes > 2:
            raise ValueError(
                f"module must return one output for each of the {self.n_classes} classes"
                f"{', or a single one' * (self.n_classes == 2)}. Got shape {tuple(answer.shape)}. classes must hold a "
                "label for each output, also for those without a row."
            )
        if single:
            answer = answer.reshape(-1)
            is_proba = bool(((answer >= 0) & (answer <= 1)).all())
        else:
            is_proba = bool((answer >= 0).all() and ((answer.sum(dim=1) - 1).abs() <= tolerance).all())
        self._check_output(answer, is_proba, single)
        if self.output == "logits":
            return _two_columns(torch.sigmoid(answer)) if single else torch.softmax(answer, dim=1)
        return _two_columns(answer) if single else answer / answer.sum(dim=1, keepdim=True)

    def _check_output(self, answer, is_proba, single):
        # The logarithm of a probability may be minus infinity.
        if torch.isnan(answer).any() or (answer == torch.inf).any():
            raise ValueError(
                "module must return finite outputs. Got NaN or infinity: inputs are not finite, training diverged, or "
                "half precision overflows."
            )
        if self.output == "proba" and not is_proba:
            raise ValueError(
                f"module must return probabilities with output='proba'. Got values from {answer.min():.3g} to "
                f"{answer.max():.3g}: for logits or log-probabilities pass output='logits'."
            )
        if self.output == "logits" and is_proba:
            self._refuse_probabilities(len(answer), single)

    def _refuse_probabilities(self, n, single):
        got = f"{n} outputs from 0 to 1" if single else f"{n} rows that are not negative and sum to 1"
        what = "module must return logits or log-probabilities with output='logits'."
        if not single and n >= _FEW_ROWS:
            raise ValueError(f"{what} Got {got}: for probabilities pass output='proba'.")
        # Few rows, or single outputs, can lie there by chance.
        if not single or n >= _FEW_SINGLE:
            warnings.warn(f"{what} Got {got}: if these are probabilities, pass output='proba'.", stacklevel=2)


def _first(answer):
    """Return the tensor of logits or probabilities in what a module returned."""
    if isinstance(answer, torch.Tensor):
        return answer
    if isinstance(answer, Mapping) and "logits" in answer:
        return answer["logits"]
    found = getattr(answer, "logits", answer[0] if isinstance(answer, (tuple, list)) and answer else None)
    if not isinstance(found, torch.Tensor):
        raise ValueError(f"module must return a tensor, or a tuple that starts with one. Got {type(answer).__name__}.")
    return found


def _per_channel(values, X, name):
    """Return numbers in a shape that broadcasts along the channels of images or the features of rows."""
    if values.ndim and (X.ndim < 2 or len(values) not in (1, X.shape[1])):
        raise ValueError(
            f"{name} must be one number, or one for each of the {X.shape[1] if X.ndim > 1 else 1} channels or features "
            f"of X. Got {len(values)}."
        )
    return values.to(X.dtype).reshape(-1, *(1,) * (X.ndim - 2)) if values.ndim else values.to(X.dtype)


def _two_columns(proba):
    return torch.stack([1 - proba, proba], dim=1)


class ModuleClassifier(NeuralNetClassifier):
    """A skorch classifier that predicts labels instead of column numbers, made by :func:`from_module`.

    Its parameter ``classes`` is in the order of the module's outputs, its attribute ``classes_`` is sorted.
    """

    @property
    def classes_(self):
        """The sorted labels, in the order of the columns of ``predict_proba``."""
        return np.unique(self.classes)

    def predict(self, X):
        """Return the label of the largest probability of each row."""
        return self.classes_[self.predict_proba(X).argmax(axis=1)]

    def predict_proba(self, X):
        """Return the probabilities of the sorted classes, for arrays, frames and lists of numbers."""
        if not isinstance(X, (torch.Tensor, Dataset)):
            X = Rows(as_numbers(X))
        if not len(X):
            return np.empty((0, len(self.classes_)), dtype=np.float32)
        return sorted_columns(super().predict_proba(X), self.classes)

    def get_iterator(self, dataset, training=False):
        """Return batches, drawn without torch's global generator where they are not for training."""
        iterator = super().get_iterator(dataset, training=training)
        return iterator if training else with_own_generator(iterator)

    def __getstate__(self):
        # The parameter and what was initialized from it are one object, which is saved once.
        state = super().__getstate__()
        state.pop("module", None)
        return state

    def __setstate__(self, state):
        super().__setstate__(state)
        self.__dict__["module"] = self.module_

"""The base of skorch classifiers that are defended by the way they are trained."""

import copy
import traceback
from abc import ABCMeta, abstractmethod

import numpy as np
import torch
from sklearn.base import BaseEstimator
from skorch import NeuralNetClassifier
from skorch.callbacks import EarlyStopping
from skorch.dataset import get_len
from skorch.utils import to_numpy, to_tensor
from torch import nn

from skdiffence.defenses._fit_classifier import rows_outside
from skdiffence.utils._loading import with_own_generator
from skdiffence.utils._random import draw_seed, mix_seed, torch_seed
from skdiffence.utils._sklearn import all_or_nothing

# What training changes in place; to go on with it, copies are trained.
_TRAINED = ("module_", "criterion_", "optimizer_", "history_")


class TrainingDefense(NeuralNetClassifier, metaclass=ABCMeta):
    """Base of skorch classifiers that minimize another loss than the cross-entropy.

    A subclass writes ``defended_loss``. The module returns one logit for each class; ``predict_proba`` applies the
    softmax.
    """

    _parameter_constraints: dict = {"random_state": ["random_state"]}
    #: Whether the loss uses the parameters of the criterion.
    _uses_criterion = False
    #: Why training can't be continued by ``partial_fit`` or ``warm_start``; None if it can.
    _trains_once_because = None

    def __init__(self, module, *, criterion, train_split, random_state, **net_params):
        super().__init__(module, criterion=criterion, train_split=train_split, **net_params)
        self.random_state = random_state

    @property
    def classes_(self):
        """The class codes, in the order of the columns.

        These also where the net was given ``classes``: those are the labels, in the order of the outputs, for a
        classifier around the net that takes labels. The net itself is fitted to codes and predicts codes.
        """
        classes = super().classes_
        return classes if self.classes is None else np.arange(len(classes))

    @abstractmethod
    def defended_loss(self, logits, y):
        """Return the training loss of a batch.

        Parameters
        ----------
        logits : tensor of shape (n_samples, n_classes)
            The output of the module.
        y : int64 tensor of shape (n_samples,)
            Class codes.

        Returns
        -------
        loss : tensor of shape ()
        """

    def initialize(self):
        """Initialize module, criterion, optimizer and history, with weights seeded by ``random_state``.

        Returns
        -------
        self : classifier

        Raises
        ------
        ValueError
            If a parameter is invalid.
        """
        BaseEstimator._validate_params(self)
        self._check_components()
        self.seed_ = draw_seed(self.random_state)
        with torch_seed(mix_seed(self.seed_, "weights")):
            return super().initialize()

    @all_or_nothing(forget=False)
    def fit(self, X, y, **fit_params):
        """Train the net.

        A call that raises leaves the net as it was before: fitted as before, or unfitted.

        Parameters
        ----------
        X : ndarray or tensor of shape (n_samples, ...)
            Inputs, in the dtype of the module's weights.
        y : array-like of shape (n_samples,)
            Class codes from 0 to n_classes - 1, as in skorch. ``DefendedClassifier(..., "passthrough")`` takes labels
            of any type.
        **fit_params : dict
            Passed to the module's ``forward``.

        Returns
        -------
        self : classifier

        Raises
        ------
        ValueError
            If X, y or a parameter is invalid.
        KeyboardInterrupt
            If training was interrupted, where a net of skorch itself would return half-trained.
        """
        return super().fit(X, y, **fit_params)

    @all_or_nothing(forget=False)
    def partial_fit(self, X, y=None, classes=None, **fit_params):
        """Train the net further, or from new weights if it is not fitted yet.

        A call that raises leaves the net as it was before.

        Parameters
        ----------
        X : ndarray or tensor of shape (n_samples, ...)
            Inputs.
        y : array-like of shape (n_samples,), default=None
            Class codes.
        classes : None
            Not used; here for compatibility with scikit-learn.
        **fit_params : dict
            Passed to the module's ``forward``.

        Returns
        -------
        self : classifier

        Raises
        ------
        ValueError
            If X, y or a parameter is invalid.
        KeyboardInterrupt
            If training was interrupted.
        """
        if not self.initialized_:
            self.initialize()
        elif len(self.history):
            vars(self).update(copy.deepcopy({name: getattr(self, name) for name in _TRAINED}))
        self.notify("on_train_begin", X=X, y=y)
        try:
            self.fit_loop(X, y, **fit_params)
        except KeyboardInterrupt as interrupt:  # skorch swallows every one
            if not _is_early_stop(interrupt):
                raise
        self.notify("on_train_end", X=X, y=y)
        return self

    def fit_loop(self, X, y=None, epochs=None, **fit_params):
        """Train for a number of epochs.

        Parameters
        ----------
        X : ndarray or tensor of shape (n_samples, ...)
            Inputs.
        y : array-like of shape (n_samples,), default=None
            Class codes.
        epochs : int, default=None
            Number of epochs; None is ``max_epochs``.
        **fit_params : dict
            Passed to the module's ``forward``.

        Returns
        -------
        self : classifier

        Raises
        ------
        ValueError
            If the net was trained before and its training can't be continued.
        """
        if self._trains_once_because and len(self.history):
            raise ValueError(
                f"{type(self).__name__} can't go on training: {self._trains_once_because}. Call fit, with "
                "warm_start=False."
            )
        try:
            with torch_seed(mix_seed(self.seed_, "epochs", len(self.history))):
                return super().fit_loop(X, y, epochs, **fit_params)
        finally:
            self._end_training()

    def _end_training(self):
        """Remove what only training needs; called after the last epoch, also if an error or a callback ends it."""

    def _record_training_rows(self, X, rows):
        """Set which rows train, and which are held out."""
        self.held_out_ = np.setdiff1d(np.arange(get_len(X)), rows)
        self.not_trained_on_ = rows_outside(as_array(X), self.held_out_)
        self.n_samples_fit_ = len(rows)

    def check_data(self, X, y):
        """Raise an error if the data are invalid.

        Parameters
        ----------
        X : ndarray or tensor of shape (n_samples, ...)
            Inputs.
        y : array-like of shape (n_samples,)
            Class codes.

        Raises
        ------
        ValueError
            If X is empty or not finite, or y does not hold a class code for each row.
        """
        super().check_data(X, y)
        values = as_array(X)
        if not len(values) or values.dtype.kind not in "biuf" or not np.isfinite(values).all():
            raise ValueError(
                f"X must hold finite numbers, at least one row of them. Got shape {values.shape} of dtype "
                f"{values.dtype}."
            )
        codes = to_numpy(y)
        if codes.shape != values.shape[:1] or codes.dtype.kind not in "iu" or codes.min() < 0:
            raise ValueError(
                f"y must hold a class code for each of the {len(values)} rows: integers from 0. Got shape "
                f"{codes.shape} of dtype {codes.dtype}. DefendedClassifier takes labels of any type."
            )

    def get_loss(self, y_pred, y_true, X=None, training=False):
        """Return the defense's loss in training and the criterion's in validation.

        Parameters
        ----------
        y_pred : tensor of shape (n_samples, n_classes)
            The output of the module.
        y_true : tensor of shape (n_samples,)
            Class codes.
        X : tensor, default=None
            Not used.
        training : bool, default=False
            Whether it is the training loss.

        Returns
        -------
        loss : tensor of shape ()

        Raises
        ------
        ValueError
            If the module does not return one logit for each class.
        """
        y = to_tensor(y_true, device=self.device).long()
        if y_pred.ndim != 2 or y_pred.shape[1] <= max(1, int(y.max())):
            raise ValueError(
                f"module must give one logit for each class, two at least. Got outputs of shape {tuple(y_pred.shape)} "
                f"for class codes up to {int(y.max())}."
            )
        return self.defended_loss(y_pred, y) if training else super().get_loss(y_pred, y, X=X)

    def predict_proba(self, X):
        """Return class probabilities.

        Parameters
        ----------
        X : ndarray or tensor of shape (n_samples, ...)
            Inputs.

        Returns
        -------
        proba : ndarray of shape (n_samples, n_classes)
        """
        self.check_is_fitted()
        if not get_len(X):
            raise ValueError("X must hold at least one row. Got none.")
        return super().predict_proba(X)

    def get_iterator(self, dataset, training=False):
        """Return batches, drawn without torch's global generator where they are not for training.

        Parameters
        ----------
        dataset : dataset
            Rows.
        training : bool, default=False
            Whether the batches are for training.

        Returns
        -------
        iterator : iterable of batches
        """
        iterator = super().get_iterator(dataset, training=training)
        return iterator if training else with_own_generator(iterator)

    def _check_components(self):
        if isinstance(self.module, nn.Module):
            raise ValueError(
                "module must be a module class or a function that makes a module, so that every fit starts from new "
                f"weights. Got an instance of {type(self.module).__name__}. Pass its arguments as module__argument."
            )
        if not (isinstance(self.criterion, type) and issubclass(self.criterion, nn.CrossEntropyLoss)):
            raise ValueError(
                f"criterion must be torch.nn.CrossEntropyLoss or a subclass. Got {self.criterion!r}. The module gives "
                "logits."
            )
        given = sorted(name for name in self.get_params(deep=False) if name.startswith("criterion__"))
        if given and not self._uses_criterion:
            raise ValueError(f"{type(self).__name__} trains on a loss of its own, in which {given} have no place.")


def _is_early_stop(interrupt):
    """Return whether the callback EarlyStopping, which stops by an interrupt, raised it."""
    frame = [frame for frame, _ in traceback.walk_tb(interrupt.__traceback__)][-1]
    return isinstance(frame.f_locals.get("self"), EarlyStopping)


def as_array(X):
    """Return an array or tensor as an array.

    Raises
    ------
    ValueError
        If X is something else, such as a frame, a dict or a dataset.
    """
    if not isinstance(X, (np.ndarray, torch.Tensor)):
        raise ValueError(f"X must be an array or a tensor. Got {type(X).__name__}.")
    return to_numpy(X)

"""DP-SGD: clipped gradients with Gaussian noise, and an account of the privacy spent."""

from numbers import Real

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, Subset

from skdiffence.defenses.training._base import TrainingDefense
from skdiffence.defenses.training._opacus import (
    CollateOrEmpty,
    allow_in_place,
    noise_for_epsilon,
    spent_epsilon,
)
from skdiffence.utils._optional import import_optional
from skdiffence.utils._random import draw_seed, mix_seed
from skdiffence.utils._sklearn import Interval, StrOptions


class DPSGDClassifier(TrainingDefense):
    """Train a net with differential privacy, by opacus.

    The gradient of each row is clipped to a norm, Gaussian noise is added to their sum, and every batch takes each row
    independently with the same probability. This bounds the influence of a single row on the weights; the bound is a
    fitted attribute.

    Read more in the :ref:`User Guide <training_defenses>`.

    Parameters
    ----------
    module : torch.nn.Module class or callable
        Returns the module, which returns one logit for each class. Batch normalization is replaced by group
        normalization.
    noise_multiplier : float, default=1.0
        Standard deviation of the noise, as a multiple of ``max_grad_norm``. 0 clips only. Not used with
        ``target_epsilon``, unless there is no step to take.
    max_grad_norm : float, default=1.0
        Norm to which the gradient of a row is clipped.
    target_epsilon : float or None, default=None
        Epsilon at the end of training, for which the noise is chosen.
    delta : float or None, default=None
        Delta of the guarantee, in (0, 1). None is one divided by the number of training rows.
    accountant : {"rdp", "prv"}, default="rdp"
        How epsilon is computed. "rdp" bounds it at any noise. "prv" is tighter, by a sixth or so, but slow where there
        is little noise, and infinite at noise multipliers of a few hundredths.
    criterion : type, default=torch.nn.CrossEntropyLoss
        What the validation loss is; it must be this class or a subclass without arguments.
    train_split : callable or None, default=None
        As in skorch, but nothing is held out unless asked for.
    random_state : int, RandomState instance or None, default=None
        Seeds weights, batches and noise. From an integer the noise can be computed, and the guarantee does not hold
        against those who know it. None takes the noise from the operating system and stores no seed of it.
    **net_params : dict
        As in :class:`skorch.NeuralNetClassifier`: ``module__width``, ``optimizer``, ``lr``, ``max_epochs`` and others.
        ``batch_size`` is the mean size of a batch. Those of ``iterator_train`` have no place.

    Attributes
    ----------
    epsilon_ : float
        Epsilon of the steps taken, at ``delta_``; infinite without noise.
    delta_ : float
        Delta of the guarantee.
    noise_multiplier_ : float
        The noise multiplier in use.
    n_steps_ : int
        Number of steps.
    sample_rate_ : float
        Probability that a batch takes a row.
    n_samples_fit_ : int
        Number of rows that trained the net.
    not_trained_on_ : RowSet
        Keyed digests of rows that ``train_split`` held out; epsilon says nothing about them.
    held_out_ : ndarray of int
        Their indices.
    classes_ : ndarray of shape (n_classes,)
        The class codes.

    See Also
    --------
    RelaxLossClassifier : A defense without a guarantee.
    skdiffence.defenses.DefendedClassifier : May be put around it, for labels of any type with "passthrough".

    Notes
    -----
    A step costs a forward and a backward pass, and memory for the gradient of every row in the batch. Prediction costs
    the same as without the defense.

    Epsilon covers the weights only, and adding or removing one row. It does not cover the training losses in
    ``history``: publish the weights alone, as ``save_params(f_params=...)`` writes them. Nor does it cover choices that
    depend on the data: hyperparameter search, early stopping, or the number of rows. A fit that is interrupted leaves
    neither weights nor an account of them.

    The noise comes from torch's generators, which are not cryptographically secure.

    Training can't be continued by ``partial_fit``, and ``warm_start`` neither: call ``fit``.

    References
    ----------
    Abadi, Chu, Goodfellow, McMahan, Mironov, Talwar and Zhang, "Deep learning with differential privacy", CCS 2016,
    algorithm 1.

    Yousefpour et al., "Opacus: user-friendly differential privacy library in PyTorch", 2021.

    Examples
    --------
    >>> import torch
    >>> from sklearn.datasets import load_digits
    >>> from torch import nn
    >>> from skdiffence.defenses import DPSGDClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> X = (X[:400] / 16).astype("float32")
    >>> net = DPSGDClassifier(nn.Linear, module__in_features=64, module__out_features=10, lr=1.0, max_epochs=10,
    ...                       batch_size=60, verbose=0, random_state=0).fit(X[:300], y[:300])
    >>> print(f"epsilon {net.epsilon_:.1f} at delta {net.delta_:.4f}")
    epsilon 7.3 at delta 0.0033
    >>> net.score(X[300:], y[300:400]) > 0.7
    True
    """

    _parameter_constraints: dict = {
        **TrainingDefense._parameter_constraints,
        "noise_multiplier": [Interval(Real, 0, None, closed="left")],
        "max_grad_norm": [Interval(Real, 0, None, closed="neither")],
        "target_epsilon": [Interval(Real, 0, None, closed="neither"), None],
        "delta": [Interval(Real, 0, 1, closed="neither"), None],
        "accountant": [StrOptions({"prv", "rdp"})],
    }

    _trains_once_because = "what was spent before, on which rows, would not be known"

    def __init__(
        self,
        module,
        *,
        noise_multiplier=1.0,
        max_grad_norm=1.0,
        target_epsilon=None,
        delta=None,
        accountant="rdp",
        criterion=nn.CrossEntropyLoss,
        train_split=None,
        random_state=None,
        **net_params,
    ):
        super().__init__(
            module, criterion=criterion, train_split=train_split, random_state=random_state, **net_params
        )
        self.noise_multiplier = noise_multiplier
        self.max_grad_norm = max_grad_norm
        self.target_epsilon = target_epsilon
        self.delta = delta
        self.accountant = accountant

    def initialize_module(self):
        """Initialize the module, with layers that treat each row independently.

        Returns
        -------
        self : DPSGDClassifier

        Raises
        ------
        ValueError
            If a layer has no replacement.
        """
        super().initialize_module()
        validators = import_optional("opacus.validators", extra="privacy")
        # Before the optimizer is initialized, which would hold the parameters of replaced layers.
        self.module_ = validators.ModuleValidator.fix(self.module_)
        opacus = import_optional("opacus", extra="privacy")
        errors = validators.ModuleValidator.validate(self.module_)
        errors += opacus.GradSampleModule.validate(self.module_, strict=False)
        if errors:
            raise ValueError(f"module must not have layers that mix rows or that keep state of them. Got {errors}.")
        return self

    def fit_loop(self, X, y=None, epochs=None, **fit_params):
        """Train for a number of epochs and account for the privacy spent.

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
        self : DPSGDClassifier

        Raises
        ------
        ValueError
            If the net was trained before.
        """
        self.epochs_ = self.max_epochs if epochs is None else epochs
        return super().fit_loop(X, y, epochs, **fit_params)

    def get_split_datasets(self, X, y=None, **fit_params):
        """Hold out validation rows, and prepare the net for private training on the others.

        Parameters
        ----------
        X : ndarray or tensor of shape (n_samples, ...)
            Inputs.
        y : array-like of shape (n_samples,), default=None
            Class codes.
        **fit_params : dict
            Passed to ``train_split``.

        Returns
        -------
        dataset_train : dataset
            The training rows.
        dataset_valid : dataset or None
            The validation rows.
        """
        dataset, dataset_valid = super().get_split_datasets(X, y, **fit_params)
        rows = np.asarray(dataset.indices) if isinstance(dataset, Subset) else np.arange(len(dataset))
        self._record_training_rows(X, rows)
        self._make_private(len(dataset))
        return dataset, dataset_valid

    def get_iterator(self, dataset, training=False):
        """Return batches; for training, each row is in a batch with the same probability.

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
        if not training or self.private_ is None:
            return super().get_iterator(dataset, training=training)
        samplers = import_optional("opacus.utils.uniform_sampler", extra="privacy")
        sampler = samplers.UniformWithReplacementSampler(
            num_samples=len(dataset),
            sample_rate=self.sample_rate_,
            generator=torch.Generator().manual_seed(mix_seed(self.private_["seed"], "batches")),
            steps=round(1 / self.sample_rate_),
        )
        return DataLoader(dataset, batch_sampler=sampler, collate_fn=CollateOrEmpty(dataset))

    def notify(self, method_name, **cb_kwargs):
        """Call the callbacks. At the end of an epoch they see the module as it is after training, without its wrapper.

        Parameters
        ----------
        method_name : str
            The method of the callbacks.
        **cb_kwargs : dict
            Passed to it.
        """
        if method_name != "on_epoch_end" or self.private_ is None:
            super().notify(method_name, **cb_kwargs)
            return
        wrapped = self.module_
        self.module_ = wrapped._module
        try:
            super().notify(method_name, **cb_kwargs)
        finally:
            self.module_ = wrapped

    def train_step(self, batch, **fit_params):
        """Take a step; on an empty batch, a step of noise only.

        Parameters
        ----------
        batch : tuple of (X, y)
            Rows.
        **fit_params : dict
            Passed to the module's ``forward``.

        Returns
        -------
        step : dict
            ``loss`` and ``y_pred``.
        """
        if len(batch[1]):
            return super().train_step(batch, **fit_params)
        self.optimizer_.zero_grad(set_to_none=True)
        for parameter in self.optimizer_.params:
            parameter.grad_sample = parameter.new_zeros((0, *parameter.shape))
        self.optimizer_.step()
        return {"loss": torch.zeros(()), "y_pred": None}

    def run_single_epoch(self, iterator, training, prefix, step_fn, **fit_params):
        """Run an epoch. One without any rows counts as one row of loss 0, so that the mean loss is defined.

        Parameters
        ----------
        iterator : iterable of batches
            Rows.
        training : bool
            Whether the net is trained on them.
        prefix : str
            Prefix of the entries in ``history``.
        step_fn : callable
            Called with each batch.
        **fit_params : dict
            Passed to the module's ``forward``.
        """
        super().run_single_epoch(iterator, training, prefix, step_fn, **fit_params)
        if training and not any(batch.get("train_batch_size") for batch in self.history[-1]["batches"]):
            self.history.record_batch("train_batch_size", 1)

    def defended_loss(self, logits, y):
        """Return the cross-entropy.

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
        return functional.cross_entropy(logits, y)

    def _make_private(self, n_samples):
        """Wrap module and optimizer by opacus, until training ends."""
        opacus = import_optional("opacus", extra="privacy")
        optimizers = import_optional("opacus.optimizers", extra="privacy")
        batch_size = n_samples if self.batch_size == -1 else min(self.batch_size, n_samples)
        n_batches = -(-n_samples // batch_size)
        self.sample_rate_, self.delta_ = 1 / n_batches, 1 / n_samples if self.delta is None else self.delta
        self.noise_multiplier_ = self._noise(n_batches * self.epochs_)
        # From its seed the noise can be computed: one from the operating system is not kept.
        seed = draw_seed(None) if self.random_state is None else self.seed_
        self.private_ = {"seed": seed, "optimizer": self.optimizer_, "n_steps": 0}
        self.module_ = allow_in_place(opacus.GradSampleModule(self.module_))
        device = next(self.module_.parameters()).device
        self.optimizer_ = optimizers.DPOptimizer(
            self.optimizer_,
            noise_multiplier=self.noise_multiplier_,
            max_grad_norm=self.max_grad_norm,
            expected_batch_size=max(round(n_samples / n_batches), 1),
            generator=torch.Generator(device).manual_seed(mix_seed(seed, "noise")),
        )
        self.optimizer_.attach_step_hook(self._count)

    def _noise(self, n_steps):
        # Without a step nothing is spent, whatever the noise.
        if self.target_epsilon is None or not n_steps:
            return self.noise_multiplier
        return noise_for_epsilon(self.accountant, self.target_epsilon, self.sample_rate_, n_steps, self.delta_)

    def _count(self, optimizer):
        self.private_["n_steps"] += 1

    def _end_training(self):
        """Unwrap module and optimizer, remove the gradients without noise, and compute epsilon."""
        if self.private_ is None:
            return
        self.n_steps_, self.optimizer_ = self.private_["n_steps"], self.private_["optimizer"]
        self.private_ = None
        self.module_ = self.module_.to_standard_module()
        for parameter in self.module_.parameters():
            parameter.grad = None
            for name in list(vars(parameter)):
                delattr(parameter, name)
        self.epsilon_ = spent_epsilon(
            self.accountant, self.noise_multiplier_, self.sample_rate_, self.n_steps_, self.delta_
        )

    def _check_components(self):
        super()._check_components()
        self.private_ = None
        given = sorted(name for name in self.get_params(deep=False) if name.startswith("iterator_train__"))
        if given:
            raise ValueError(f"DPSGDClassifier draws its own batches, in which {given} have no place.")

"""What DP-SGD needs of opacus: gradients of rows, empty batches, and the account of the privacy spent."""

from functools import partial

import numpy as np
import torch

from skdiffence.utils._optional import import_optional

_MOST_NOISE = 1e6
# How near the search for the noise comes: to epsilon, as opacus does, or else to the noise itself.
_EPSILON_TOLERANCE, _NOISE_TOLERANCE = 0.01, 1e-6


def allow_in_place(private):
    """Let activations and sums change the outputs of layers in place, as ResNets do, with the same gradients.

    torch refuses this to the outputs of layers with backward hooks, which is how opacus reads the gradients of rows.

    Parameters
    ----------
    private : opacus.GradSampleModule
        Changed in place.

    Returns
    -------
    private : opacus.GradSampleModule
        The same object.
    """
    for layer in private.iterate_submodules(private._module):
        if not layer._backward_hooks:
            continue
        _, read_gradient = layer._backward_hooks.popitem()
        handle = layer.register_forward_hook(partial(_hand_on_copy, read_gradient))
        private.autograd_grad_sample_hooks.append(handle)
    return private


def _hand_on_copy(read_gradient, layer, inputs, output):
    first, *others = output if isinstance(output, tuple) else (output,)
    if not first.requires_grad:
        return None
    first.register_hook(lambda gradient: read_gradient(layer, None, (gradient,)))
    return (first.clone(), *others) if isinstance(output, tuple) else first.clone()


class CollateOrEmpty:
    """Collate rows to a batch, or to an empty batch of the same shapes."""

    def __init__(self, dataset):
        self.dataset = dataset

    def __call__(self, rows):
        if rows:
            return torch.utils.data.default_collate(rows)
        return [part[:0] for part in torch.utils.data.default_collate([self.dataset[0]])]


def noise_for_epsilon(accountant, target_epsilon, sample_rate, n_steps, delta):
    """Return the noise multiplier with which steps spend an epsilon, or less where no noise spends just that.

    It is that of opacus' ``get_noise_multiplier``, whose search does not end where epsilon changes by more than its
    tolerance from one noise to the next: it jumps to infinity under "prv".

    Parameters
    ----------
    accountant : {"rdp", "prv"}
        Name of the accountant.
    target_epsilon : float
        Epsilon of all steps.
    sample_rate : float
        Probability of a row to be in a step.
    n_steps : int
        Number of steps, at least one.
    delta : float
        In (0, 1).

    Returns
    -------
    noise_multiplier : float

    Raises
    ------
    ValueError
        If no noise is enough.
    """
    try:
        return _least_noise(
            lambda noise: spent_epsilon(accountant, noise, sample_rate, n_steps, delta), target_epsilon
        )
    except (RuntimeError, ValueError) as error:
        raise ValueError(
            f"target_epsilon={target_epsilon!r} is too small: no noise that opacus tries makes {n_steps} steps, each "
            f"of which takes a row with a probability of {sample_rate:.3g}, spend so little at delta={delta:.3g}. With "
            "accountant='rdp' and the most noise it is "
            f"{spent_epsilon('rdp', _MOST_NOISE, sample_rate, n_steps, delta):.3g}. Raise target_epsilon or delta, or "
            "lower max_epochs or batch_size."
        ) from error


def _least_noise(spend, target):
    """Return the least noise that spends at most a target, by bisection."""
    low, high, spent = 0.0, 10.0, np.inf
    while spent > target:
        high *= 2
        spent = spend(high)
        if high > _MOST_NOISE:
            raise ValueError("The privacy budget is too low.")
    while target - spent > _EPSILON_TOLERANCE and high - low > _NOISE_TOLERANCE * high:
        noise = (low + high) / 2
        if (tried := spend(noise)) < target:
            high, spent = noise, tried
        else:
            low = noise
    return high


def spent_epsilon(accountant, noise_multiplier, sample_rate, n_steps, delta):
    """Return the epsilon of steps of the sampled Gaussian mechanism.

    Parameters
    ----------
    accountant : {"rdp", "prv"}
        Name of the accountant.
    noise_multiplier : float
        Standard deviation of the noise divided by the sensitivity.
    sample_rate : float
        Probability of a row to be in a step.
    n_steps : int
        Number of steps.
    delta : float
        In (0, 1).

    Returns
    -------
    epsilon : float
    """
    if not n_steps:
        return 0.0
    if not noise_multiplier:
        return np.inf
    accountants = import_optional("opacus.accountants", extra="privacy")
    account = accountants.create_accountant(accountant)
    account.history = [(noise_multiplier, sample_rate, n_steps)]
    # The bound may fall below what is possible.
    return max(float(account.get_epsilon(delta=delta)), 0.0)

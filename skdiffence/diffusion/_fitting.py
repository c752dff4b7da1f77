"""The work of fitting a regenerator: its denoiser is loaded or trained, in the input space of that denoiser."""

import math
import os
import warnings
from functools import partial

import numpy as np
import torch
from sklearn.utils import Bunch
from tqdm.auto import tqdm

from skdiffence.diffusion._checkpoint import Checkpoint, training_key
from skdiffence.diffusion._denoisers import count_parameters, make_denoiser, ready_denoiser, side_multiple
from skdiffence.diffusion._estimate import LONG_TRAINING, duration, long_training_message
from skdiffence.diffusion._loading import copy_pretrained, load_pretrained
from skdiffence.diffusion._schedule import Schedule, check_steps, make_scheduler
from skdiffence.diffusion._space import ImageSpace, RowSpace, check_range, check_resize, detect_range
from skdiffence.diffusion._training import EncodedRows, Trainer
from skdiffence.exceptions import TrainingTimeWarning
from skdiffence.utils._torch import computes_bfloat16

# Types of the parameter ``denoiser`` that stand for a denoiser that is trained already.
PRETRAINED = (str, os.PathLike, torch.nn.Module)
# Fewest updates and fewest epochs of max_epochs="auto". Few rows need more epochs than that for so many updates.
_AUTO_UPDATES = {"rows": 1000, "images": 400}
_AUTO_EPOCHS = 10


def fit_denoiser(params, X, device, seed, digest):
    """Return a loaded or trained denoiser, its schedule and its input space.

    Parameters
    ----------
    params : DiffusionRegenerator
        Its parameters are read.
    X : ndarray of shape (n_samples, channels, height, width) or (n_samples, n_features)
        Validated images or rows.
    device : torch.device
        Where to train.
    seed : int
        Seeds initial weights and training.
    digest : bytes
        Digest of X.

    Returns
    -------
    fitted : Bunch
        ``network``, ``history``, ``scheduler``, ``n_levels`` (the number of noise levels that it was trained for) and
        ``space``.

    Raises
    ------
    ValueError
        If a parameter is invalid for X, or the denoiser cannot be used.
    """
    if params.precision == "bfloat16" and X.ndim == 4 and not computes_bfloat16(device):
        message = f"precision='bfloat16' is emulated on this {device.type}, and many times slower than 'float32'."
        warnings.warn(message, TrainingTimeWarning, stacklevel=5)
    loaded = _loaded(params, X.shape[1:]) if isinstance(params.denoiser, PRETRAINED) else None
    scheduler = getattr(loaded, "scheduler", None) or make_scheduler(params.n_train_timesteps, params.beta_schedule)
    schedule = Schedule(scheduler)
    n_levels = _count_levels(params, schedule, loaded)
    check_steps(schedule, params.timestep, params.n_steps, n_levels - 1)
    network, space = (_row_network if X.ndim == 2 else _image_network)(params, X, loaded, seed)
    is_named = isinstance(params.denoiser, (str, os.PathLike))
    name = f"denoiser={str(params.denoiser)!r}" if is_named else "denoiser"
    network, history = ready_denoiser(network, space, name), []
    if params.verbose:
        _tell(params, network, space, schedule, device)
    if loaded is None:
        network, history = _trained(params, network, space, X, schedule, n_levels, device, seed, digest)
    return Bunch(network=network, history=history, scheduler=scheduler, n_levels=n_levels, space=space)


def uses_bfloat16(precision, device):
    """Return whether networks of images are computed in bfloat16."""
    return precision == "bfloat16" or (precision == "auto" and device.type == "cuda" and computes_bfloat16(device))


def count_epochs(params, X):
    """Return the number of epochs of a training on X."""
    if params.max_epochs != "auto":
        return params.max_epochs
    n_updates = _AUTO_UPDATES["rows" if X.ndim == 2 else "images"]
    return max(_AUTO_EPOCHS, math.ceil(n_updates / math.ceil(len(X) / params.batch_size)))


def expected_gain(params, shape):
    """Return ``noise_gain_`` of a regenerator whose denoiser ``fit`` would train on rows of a shape."""
    if len(shape) != 3:
        return 1.0
    size = check_resize(params.resize, shape[1:], None)
    return ImageSpace(shape, np.array([0.0, 1.0]), size=size).noise_gain()


def _loaded(params, shape):
    load = copy_pretrained if isinstance(params.denoiser, torch.nn.Module) else load_pretrained
    return load(params.denoiser, shape, params.class_label)


def _count_levels(params, schedule, loaded):
    if loaded is not None:
        return min(loaded.n_levels, len(schedule))
    if params.train_timesteps == "auto":
        return min(params.timestep + 1, len(schedule))
    if params.train_timesteps > len(schedule):
        raise ValueError(
            f"train_timesteps must be at most n_train_timesteps={len(schedule)}. Got {params.train_timesteps}."
        )
    return params.train_timesteps


def _row_network(params, X, loaded, seed):
    saved = loaded is not None and "mean" in loaded.notes
    space = RowSpace.of_saved(loaded.notes) if saved else RowSpace.of(X)
    if not space.shape[0]:
        raise ValueError("X must have a feature that varies over its rows. All features are constant.")
    return loaded.network if loaded else make_denoiser(params.denoiser, space.shape, seed), space


def _image_network(params, X, loaded, seed):
    auto = isinstance(params.value_range, str)
    value_range = detect_range(X) if auto else check_range(params.value_range, X.shape[1])
    size = check_resize(params.resize, X.shape[2:], None if loaded is None else loaded.image_size)
    n_channels = (loaded.n_channels if loaded else None) or X.shape[1]
    network = loaded.network if loaded else make_denoiser(params.denoiser, (n_channels, *size), seed)
    return network, ImageSpace(X.shape[1:], value_range, side_multiple(network), size, n_channels)


def _tell(params, network, space, schedule, device):
    tqdm.write(f"denoiser: {count_parameters(network):,} parameters, {device}")
    gain = space.noise_gain()
    if gain != 1:
        noise = schedule.noise_to_signal(params.timestep)
        tqdm.write(
            f"images of shape {space.image_shape} are denoised as {(space.shape[0], *space.size)}: the noise of "
            f"timestep {params.timestep}, {noise:.3f} of half the value range, is {gain * noise:.3f} at the size of "
            f"X, as at timestep {schedule.effective_timestep(params.timestep, gain)} without resizing"
        )


def _trained(params, network, space, X, schedule, n_levels, device, seed, digest):
    settings = {
        "n_levels": n_levels,
        "max_epochs": count_epochs(params, X),
        "batch_size": params.batch_size,
        "lr": params.lr,
        "ema_decay": params.ema_decay,
        "autocast": X.ndim == 4 and uses_bfloat16(params.precision, device),
        "seed": seed,
    }
    checkpoint = None
    if params.checkpoint_dir is not None:
        key = training_key(params, network, space, digest, {**settings, "device": device.type})
        checkpoint = Checkpoint(params.checkpoint_dir, key)
    on_estimate = partial(_tell_time, network, space, params.verbose)
    trainer = Trainer(schedule, **settings, verbose=params.verbose, on_estimate=on_estimate)
    return trainer.train(network.requires_grad_(True).to(device), EncodedRows(X, space, device), checkpoint)


def _tell_time(network, space, verbose, seconds):
    if verbose:
        tqdm.write(f"denoiser: about {duration(seconds)} of training")
    if seconds > LONG_TRAINING:
        message = long_training_message(network, space.shape, seconds, count_parameters(network))
        warnings.warn(message, TrainingTimeWarning, stacklevel=2)

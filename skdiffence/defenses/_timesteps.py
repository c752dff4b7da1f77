"""The timesteps that a tuned classifier chooses from, and what is left of their noise at the size of the images."""

import copy

import numpy as np
from sklearn.frozen import FrozenEstimator

from skdiffence.diffusion import DiffusionRegenerator
from skdiffence.diffusion._fitting import PRETRAINED, expected_gain
from skdiffence.diffusion._schedule import Schedule, make_scheduler

# What "auto" stands for, at the size of the images.
AUTO = (120, 160, 200)
EFFECTIVE = ("effective_timestep", "effective_noise")


def thawed(regenerator):
    """Return the regenerator inside a FrozenEstimator, or the regenerator itself."""
    return regenerator.estimator if isinstance(regenerator, FrozenEstimator) else regenerator


def moved_to(regenerator, timestep):
    """Return a fitted regenerator at another timestep, with the same denoiser and key."""
    if timestep is None:
        return regenerator
    moved = copy.copy(thawed(regenerator)).set_params(timestep=timestep)
    return FrozenEstimator(moved) if isinstance(regenerator, FrozenEstimator) else moved


def timestep_to_fit(regenerator, timesteps, shape):
    """Return the timestep that a regenerator is fitted with, the highest that its denoiser must know.

    Parameters
    ----------
    regenerator : regenerator
        Unfitted, with a parameter ``timestep``.
    timesteps : sequence of int or "auto"
        To choose from.
    shape : tuple of int
        Shape of one row.

    Returns
    -------
    timestep : int
    """
    if timesteps != "auto":
        return max(timesteps)
    if not isinstance(regenerator, DiffusionRegenerator):
        return max(AUTO)
    if isinstance(regenerator.denoiser, PRETRAINED):
        return regenerator.timestep  # what its denoiser knows is found when it is loaded
    schedule = Schedule(make_scheduler(regenerator.n_train_timesteps, regenerator.beta_schedule))
    return max(_at_size(schedule, expected_gain(regenerator, shape)))


def timesteps_to_measure(regenerator, timesteps):
    """Return the timesteps to choose from.

    Parameters
    ----------
    regenerator : regenerator
        Fitted.
    timesteps : list of int, [None] or "auto"
        "auto" stands for those whose noise, where the regenerator resizes images, is left as that of the timesteps of
        ``AUTO``, or for the highest that the denoiser knows.

    Returns
    -------
    timesteps : list of int or [None]
    """
    if timesteps != "auto":
        return timesteps
    inner = thawed(regenerator)
    if not isinstance(inner, DiffusionRegenerator):
        return list(AUTO)
    wanted = _at_size(Schedule(inner.scheduler_), inner.noise_gain_)
    return list(dict.fromkeys(min(timestep, inner.max_timestep_) for timestep in wanted))


def effective(regenerator):
    """Return the timestep and the noise of a fitted regenerator at the size of the images, NaN if it has none."""
    inner = thawed(regenerator)
    return {name: getattr(inner, f"{name}_", np.nan) for name in EFFECTIVE}


def _at_size(schedule, gain):
    if gain == 1:
        return AUTO
    known = [min(timestep, len(schedule) - 1) for timestep in AUTO]
    return [schedule.timestep_of(schedule.noise_to_signal(timestep) / gain) for timestep in known]

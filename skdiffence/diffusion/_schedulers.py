"""Noise schedules of pretrained denoisers: read from the scheduler configs of diffusers, or refused with the reason."""

import inspect

import torch

from skdiffence.diffusion._schedule import PREDICTION_TYPES

# They sample in different ways, but their networks are trained alike: on the noise of betas, at the timestep's number.
_WITH_BETAS = {
    "DDIMInverseScheduler",
    "DDIMParallelScheduler",
    "DDIMScheduler",
    "DDPMParallelScheduler",
    "DDPMScheduler",
    "DEISMultistepScheduler",
    "DPMSolverMultistepInverseScheduler",
    "DPMSolverMultistepScheduler",
    "DPMSolverSDEScheduler",
    "DPMSolverSinglestepScheduler",
    "EulerAncestralDiscreteScheduler",
    "EulerDiscreteScheduler",
    "HeunDiscreteScheduler",
    "KDPM2AncestralDiscreteScheduler",
    "KDPM2DiscreteScheduler",
    "LMSDiscreteScheduler",
    "PNDMScheduler",
    "RePaintScheduler",
    "SASolverScheduler",
    "UniPCMultistepScheduler",
}
# Parts of the names of others, and what is different about their networks.
_REFUSED = {
    "Flow": "its network was trained by flow matching, which has no betas",
    "ScoreSde": "its network is a score-based model (NCSN++ or score-SDE), whose noise has no betas",
    "KarrasVe": "its network is a score-based model, whose noise has no betas",
    "EDM": "its network is an EDM, which scales inputs and outputs in another way",
    "CMStochastic": "its network is a consistency model, which scales inputs and outputs in another way",
    "LCM": "its network is a consistency model, which no longer predicts the noise of one timestep",
    "TCD": "its network is a consistency model, which no longer predicts the noise of one timestep",
    "SCM": "its network is a consistency model, which scales inputs and outputs in another way",
}
_OLD_CLASSES = {"GaussianDDPMScheduler": "DDPMScheduler"}
_OLD_NAMES = {"timesteps": "num_train_timesteps", "clip_predicted_image": "clip_sample"}
# This one is there only beside another library, and has the defaults of that one.
_DEFAULTS_OF = {"DPMSolverSDEScheduler": "HeunDiscreteScheduler"}


class RefusedError(ValueError):
    """A pretrained denoiser cannot be used. The message goes on after the name of the denoiser."""


def read_scheduler(config, class_name=None):
    """Return a DDPMScheduler with the noise schedule of a scheduler config.

    Parameters
    ----------
    config : dict
        Content of a ``scheduler_config.json``.
    class_name : str or None, default=None
        Name of the scheduler class. None takes that of the config.

    Returns
    -------
    scheduler : DDPMScheduler
        With the betas, prediction type and clipping of the config and of the defaults of its class.

    Raises
    ------
    RefusedError
        If the scheduler is not one of betas, predicts something else, or its betas are no noise schedule.
    """
    class_name = _check_class(class_name or config.get("_class_name", "DDPMScheduler"))
    config = _with_new_names(config)
    _check_parameterization(config)
    try:
        scheduler = _as_ddpm(_defaults(class_name) | config)
    except Exception as error:  # diffusers raises errors of all kinds for values that fit no scheduler
        cause = str(error).partition("\n")[0]
        raise RefusedError(f"has a scheduler_config.json that makes no {class_name}: {cause}") from error
    _check_betas(scheduler.betas)
    return scheduler


def _check_class(class_name):
    class_name = _OLD_CLASSES.get(class_name, class_name)
    if class_name not in _WITH_BETAS:
        reason = next(
            (why for part, why in _REFUSED.items() if part in str(class_name)), "its noise may not be of betas"
        )
        raise RefusedError(
            f"has a {class_name}: {reason}. Denoisers with the betas of a DDPM can be used, and the schedulers "
            "DDPM, DDIM, PNDM, DPMSolver, Euler and their like."
        )
    return class_name


def _with_new_names(config):
    config = dict(config)
    for old, new in _OLD_NAMES.items():
        if old in config:
            config.setdefault(new, config.pop(old))
    if config.pop("predict_epsilon", None) is False:
        config.setdefault("prediction_type", "sample")
    return config


def _check_parameterization(config):
    predicted = config.get("prediction_type", "epsilon")
    if predicted not in PREDICTION_TYPES:
        raise RefusedError(
            f"has a scheduler with prediction_type={predicted!r}, but only {', '.join(PREDICTION_TYPES)} can be "
            "denoised with."
        )
    if config.get("timestep_type", "discrete") != "discrete":
        raise RefusedError(
            "has a scheduler with timestep_type='continuous': its network is an EDM, whose timesteps are not numbers "
            "of noise levels."
        )
    if config.get("use_flow_sigmas"):
        raise RefusedError("has a scheduler with use_flow_sigmas=True: its network was trained by flow matching.")


def _defaults(class_name):
    import diffusers

    parameters = inspect.signature(getattr(diffusers, _DEFAULTS_OF.get(class_name, class_name)).__init__).parameters
    return {name: parameter.default for name, parameter in parameters.items()}


def _as_ddpm(config):
    from diffusers import DDPMScheduler

    clips = bool(config.get("clip_sample", False))
    return DDPMScheduler(
        config["num_train_timesteps"],
        beta_start=config["beta_start"],
        beta_end=config["beta_end"],
        beta_schedule=config["beta_schedule"],
        trained_betas=config["trained_betas"],
        rescale_betas_zero_snr=bool(config.get("rescale_betas_zero_snr", False)),
        prediction_type=config.get("prediction_type", "epsilon"),
        clip_sample=clips,
        clip_sample_range=float(config.get("clip_sample_range", 1.0)) if clips else 1.0,
    )


def _check_betas(betas):
    fine = torch.isfinite(betas) & (betas > 0) & (betas < 1)
    if betas.ndim == 1 and len(betas):
        fine[-1] |= betas[-1] == 1  # zero terminal SNR
    if betas.ndim != 1 or not len(betas) or not fine.all():
        bad = betas.flatten()[~fine.flatten()][:1].tolist()
        raise RefusedError(
            "has a scheduler whose betas are no noise schedule: each must be above 0 and below 1. Got "
            f"{bad[0] if bad else f'shape {tuple(betas.shape)}'}. Look at num_train_timesteps, beta_start, beta_end "
            "and trained_betas."
        )

"""The command ``convert``: makes a folder of a denoiser from a checkpoint of pytorch-ddpm or guided-diffusion."""

import torch

from skdiffence.diffusion._checkpoints import LayoutError, convert, read_checkpoint
from skdiffence.diffusion._denoisers import count_parameters
from skdiffence.diffusion._pretrained import Pretrained, save_pretrained
from skdiffence.diffusion._schedule import PREDICTION_TYPES
from skdiffence.diffusion._schedulers import RefusedError, read_scheduler

_SCHEDULES = ("linear", "scaled_linear", "squaredcos_cap_v2")


def add_convert_parser(commands, at_least):
    """Add the command to a parser.

    Parameters
    ----------
    commands : argparse subparsers
        Commands of the command line.
    at_least : callable (int) -> callable
        Returns a parser of integers that are not smaller.
    """
    parser = commands.add_parser(
        "convert",
        help="make a denoiser folder from a checkpoint of pytorch-ddpm or guided-diffusion",
        description=(
            "Write the UNet of a checkpoint as a folder that DiffusionRegenerator and diffusers load. No code in the "
            "file is run. What a checkpoint does not tell is given by the options: look at how it was trained."
        ),
    )
    parser.add_argument("file", help="checkpoint, saved by torch.save")
    parser.add_argument("folder", help="where to write; an existing denoiser is replaced")
    parser.add_argument("--weights", metavar="NAME", help="entry of the file (default: ema_model, else net_model)")
    parser.add_argument(
        "--image-size",
        type=at_least(1),
        help="side of its images (default: 32 for pytorch-ddpm, 256 for guided-diffusion)",
    )
    parser.add_argument(
        "--head-channels",
        type=at_least(1),
        default=64,
        help="channels of an attention head of guided-diffusion (default: %(default)s)",
    )
    parser.add_argument(
        "--n-levels", type=at_least(1), help="number of noise levels (default: as the file says, else 1000)"
    )
    parser.add_argument("--beta-start", type=float, default=1e-4, help="first beta (default: %(default)s)")
    parser.add_argument("--beta-end", type=float, default=0.02, help="last beta (default: %(default)s)")
    parser.add_argument("--beta-schedule", choices=_SCHEDULES, default="linear", help="(default: %(default)s)")
    parser.add_argument("--prediction-type", choices=PREDICTION_TYPES, default="epsilon", help="(default: %(default)s)")


def run_convert(options):
    """Convert a checkpoint.

    Parameters
    ----------
    options : argparse.Namespace
        Of the parser.

    Returns
    -------
    message : str
        What was written.

    Raises
    ------
    ValueError
        If the file is no such checkpoint, or the options are no noise schedule.
    """
    from diffusers import UNet2DModel

    weights = read_checkpoint(options.file, options.weights)
    config, renamed, n_told = convert(weights, head_channels=options.head_channels)
    is_guided = n_told is None
    size = options.image_size or (256 if is_guided else 32)
    scheduler = _scheduler(options, n_told, learns_variance=config["out_channels"] == 2 * config["in_channels"])
    try:
        with torch.device("meta"):  # no random weights are drawn
            network = UNet2DModel(sample_size=size, **config)
        network.load_state_dict(renamed, strict=True, assign=True)
    except (RuntimeError, ValueError) as error:
        raise LayoutError(f"the checkpoint fits no UNet2DModel: {' '.join(str(error).split()):.300}") from error
    notes = {"n_levels": len(scheduler.betas), "image_size": (size, size)}
    save_pretrained(options.folder, Pretrained(network, scheduler, notes))
    kind = "guided-diffusion" if is_guided else "pytorch-ddpm"
    return (
        f"{options.folder}: UNet of {kind}, {count_parameters(network):,} parameters, images of side {size}, "
        f"{len(scheduler.betas)} noise levels with {options.beta_schedule} betas. "
        f"Use DiffusionRegenerator({options.folder!r})."
    )


def _scheduler(options, n_told, *, learns_variance):
    if n_told is not None and options.n_levels not in (None, n_told):
        raise ValueError(
            f"--n-levels must be {n_told}, for which the checkpoint has embeddings. Got {options.n_levels}."
        )
    config = {
        "num_train_timesteps": n_told or options.n_levels or 1000,
        "beta_start": options.beta_start,
        "beta_end": options.beta_end,
        "beta_schedule": options.beta_schedule,
        "prediction_type": options.prediction_type,
    }
    try:
        scheduler = read_scheduler(config | {"clip_sample": False})
    except RefusedError as error:
        raise ValueError(f"the options make no noise schedule: the checkpoint {error}") from error
    if learns_variance:
        scheduler.register_to_config(variance_type="learned_range")
    return scheduler

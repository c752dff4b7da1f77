"""Networks that predict noise: a UNet sized to the image, a multilayer perceptron for rows, or a user's module."""

import math
from collections.abc import Mapping
from functools import partial

import torch
from torch import nn

from skdiffence.diffusion._schedulers import RefusedError
from skdiffence.utils._random import torch_seed

_MIN_SIDE = 8  # images are halved until a side is below this
_TIME_WIDTH = 32


def unet_config(shape, given=None):
    """Return the arguments of a small UNet2DModel for images of this shape.

    Parameters
    ----------
    shape : tuple of int
        (channels, height, width).
    given : dict, default=None
        Arguments of ``diffusers.UNet2DModel`` that replace the defaults. The defaults of block types and group counts
        follow from ``block_out_channels``.

    Returns
    -------
    config : dict
        Arguments of ``diffusers.UNet2DModel``.
    """
    given = dict(given or {})
    n_channels, height, width = shape
    channels = tuple(given.get("block_out_channels", _default_widths(max(height, width))))
    groups = math.gcd(8, *channels)
    multiple = 2 ** (len(channels) - 1)
    config = {
        "sample_size": tuple(-(-side // multiple) * multiple for side in (height, width)),
        "in_channels": n_channels,
        "out_channels": n_channels,
        "block_out_channels": channels,
        "down_block_types": ("DownBlock2D",) * len(channels),
        "up_block_types": ("UpBlock2D",) * len(channels),
        "layers_per_block": 1,
        "norm_num_groups": groups,
        "attention_head_dim": groups,
    }
    return config | given


def _default_widths(side):
    n_levels = 1
    while side / 2 ** (n_levels - 1) >= _MIN_SIDE and n_levels < (3 if side <= 48 else 4):
        n_levels += 1
    # With equal training time on 32x32 photographs, 16 channels at full size kept as many labels as 32, at a third of
    # the cost of a call. A fourth level kept no more (docs: performance). Larger images get half as many channels, so
    # that one of 64x64 costs what one of 32x32 does, times 1.6.
    base, widest = (16, 4) if side <= 48 else (8, 8)
    return tuple(base * min(2**level, widest) for level in range(n_levels))


def make_unet(shape, given=None):
    """Return an untrained UNet2DModel for images of this shape.

    Parameters
    ----------
    shape : tuple of int
        (channels, height, width).
    given : dict, default=None
        Arguments of ``diffusers.UNet2DModel`` that replace the defaults.

    Returns
    -------
    network : UNet2DModel

    Raises
    ------
    ValueError
        If the arguments fit no UNet2DModel or another number of channels.
    """
    from diffusers import UNet2DModel  # takes seconds to import

    config = unet_config(shape, given)
    try:
        network = UNet2DModel(**config)
    except (TypeError, ValueError, ZeroDivisionError, RuntimeError) as error:
        raise ValueError(f"denoiser={given!r} fits no UNet2DModel for images of shape {shape}: {error}") from error
    try:
        check_channels(network.config, shape[0])
    except RefusedError as error:
        raise ValueError(f"denoiser {error}") from None
    return network


def check_channels(config, n_channels, *, colors=False):
    """Raise a RefusedError if the config of a network has other channels than images have.

    Parameters
    ----------
    config : dict or object
        Its ``in_channels`` and ``out_channels`` are read, if it has any.
    n_channels : int
        Number of channels of the images.
    colors : bool, default=False
        Whether a network of 3 channels may be used for images of 1.
    """
    read = config.get if isinstance(config, Mapping) else partial(getattr, config)
    takes = read("in_channels", n_channels)
    gives = read("out_channels", takes)
    fits = takes == n_channels or (colors and (n_channels, takes) == (1, 3))
    # Networks that also predict a variance return it in as many channels again, after the mean.
    if not fits or gives not in (takes, 2 * takes):
        raise RefusedError(f"takes {takes} channels and gives {gives}, but the images have {n_channels} channels.")


def side_multiple(network):
    """Return the number that the sides of an image must be a multiple of: 2 to the number of downsamplings."""
    widths = getattr(getattr(network, "config", None), "block_out_channels", None)
    return 2 ** (len(widths) - 1) if widths else 1


def count_parameters(network):
    """Return the number of weights of a network."""
    return sum(weight.numel() for weight in network.parameters())


class RowDenoiser(nn.Module):
    """Multilayer perceptron that predicts the noise in standardized rows, in float64.

    Parameters
    ----------
    n_features : int
        Number of features.
    width : int, default=128
        Width of the hidden layers.
    n_blocks : int, default=2
        Number of residual blocks.

    Attributes
    ----------
    config : dict
        The arguments, for saving.
    """

    def __init__(self, n_features, width=128, n_blocks=2):
        super().__init__()
        self.config = {"n_features": n_features, "width": width, "n_blocks": n_blocks}
        self.enter = nn.Linear(n_features, width)
        self.time = nn.Linear(2 * _TIME_WIDTH, width)
        self.blocks = nn.ModuleList([nn.Linear(width, width) for _ in range(n_blocks)])
        self.leave = nn.Linear(width, n_features)
        self.register_buffer("frequencies", torch.exp(-math.log(1e4) * torch.arange(_TIME_WIDTH) / _TIME_WIDTH))
        self.double()

    def forward(self, x, timesteps):
        """Return the predicted noise.

        Parameters
        ----------
        x : float64 tensor of shape (n, n_features)
            Noisy standardized rows.
        timesteps : int64 tensor of shape (n,)
            Timestep of each row.

        Returns
        -------
        noise : float64 tensor of shape (n, n_features)
        """
        angles = timesteps[:, None] * self.frequencies
        time = self.time(torch.cat([angles.sin(), angles.cos()], dim=1))
        hidden = self.enter(x)
        for block in self.blocks:
            hidden = hidden + nn.functional.silu(block(nn.functional.silu(hidden + time)))
        return self.leave(hidden)


def make_row_denoiser(n_features, given=None):
    """Return an untrained RowDenoiser.

    Parameters
    ----------
    n_features : int
        Number of features that vary.
    given : dict, default=None
        ``width`` and ``n_blocks``.

    Returns
    -------
    network : RowDenoiser

    Raises
    ------
    ValueError
        If there are other arguments.
    """
    try:
        return RowDenoiser(n_features, **(given or {}))
    except (TypeError, RuntimeError) as error:
        raise ValueError(
            f"denoiser={given!r} fits no network for rows, which takes 'width' and 'n_blocks': {error}"
        ) from error


def call_network(network, x, timesteps, n_channels):
    """Call a network and return its prediction as a tensor, without a learned variance behind it.

    Parameters
    ----------
    network : torch module
        A diffusers model or any module that is called with (x, timesteps).
    x : tensor of shape (n, channels, ...)
        Noisy inputs.
    timesteps : int64 tensor of shape (n,)
        Their timesteps.
    n_channels : int
        Number of channels (features, for rows).

    Returns
    -------
    predicted : tensor of shape of x
    """
    answer = network(x, timesteps)
    answer = getattr(answer, "sample", answer[0] if isinstance(answer, tuple) else answer)
    return answer[:, :n_channels]


def make_denoiser(denoiser, shape, seed):
    """Return an untrained denoiser.

    Parameters
    ----------
    denoiser : None, dict or callable(shape)
        Arguments of the default network for images or rows, or a function that returns a module.
    shape : tuple of int
        Shape of one row as the denoiser sees it.
    seed : int
        Seeds the initial weights.

    Returns
    -------
    network : torch module

    Raises
    ------
    ValueError
        If the arguments fit no network, or the function returns something else.
    """
    with torch_seed(seed):
        if denoiser is None or isinstance(denoiser, dict):
            return make_unet(shape, denoiser) if len(shape) > 1 else make_row_denoiser(shape[0], denoiser)
        network = denoiser(shape)
    if not isinstance(network, nn.Module):
        raise ValueError(f"denoiser must return a torch module. It returned a {type(network).__name__}.")
    return network


def ready_denoiser(network, space, name="denoiser"):
    """Return a denoiser on the CPU in eval mode, in the dtype of a space, after one call to test it.

    Parameters
    ----------
    network : torch module
        Changed in place.
    space : ImageSpace or RowSpace
        Where its inputs are.
    name : str, default="denoiser"
        What error messages call it.

    Returns
    -------
    network : torch module

    Raises
    ------
    ValueError
        If it can't be called with inputs of the space, or answers in another shape or with NaN.
    """
    network = moved(_cast(network, space.dtype).eval().requires_grad_(False), torch.device("cpu"))
    # Not zeros, which hide weights that are far too large.
    x = torch.linspace(-1, 1, 2 * math.prod(space.shape), dtype=space.dtype).reshape(2, *space.shape)
    try:
        with torch.inference_mode():
            answer = call_network(network, x, torch.zeros(2, dtype=torch.int64), x.shape[1])
    except Exception as error:  # a user's module may raise anything
        raise ValueError(f"{name} can't be called with inputs of shape {tuple(x.shape)}: {error}") from error
    if answer.shape != x.shape:
        raise ValueError(f"{name} must answer in the shape of its input {tuple(x.shape)}. Got {tuple(answer.shape)}.")
    if not torch.isfinite(answer).all():
        raise ValueError(f"{name} answers NaN or infinite values. Its weights are damaged, or its training diverged.")
    return network


def moved(network, device):
    """Return a network on a device."""
    # Looking at one weight is much faster than asking a network to move to where it is.
    weight = next(network.parameters(), None)
    index = None if weight is None else weight.device.index
    there = weight is not None and weight.device.type == device.type and device.index in (None, index)
    return network if there else network.to(device)


def _cast(network, dtype):
    # Networks of diffusers log a message at every cast, even one that changes nothing.
    floating = [weight for weight in network.parameters() if weight.is_floating_point()]
    return network.to(dtype) if any(weight.dtype != dtype for weight in floating) else network

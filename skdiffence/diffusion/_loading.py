"""Pretrained denoisers, read from folders in the layout of diffusers or from the hub, or given as modules."""

import contextlib
import copy
import re
from functools import partial
from pathlib import Path

import torch

# Older diffusers use safetensors.torch without importing it.
from safetensors.torch import load_file

from skdiffence.diffusion._denoisers import RowDenoiser, check_channels
from skdiffence.diffusion._layout import NOTES, ROW_WEIGHTS, check_row_weights, check_unet, find_weights, read_layout
from skdiffence.diffusion._pretrained import Pretrained
from skdiffence.diffusion._schedulers import RefusedError
from skdiffence.utils._folders import read_folder, recover

_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")


def load_pretrained(denoiser, shape, class_label=None):
    """Load a denoiser from a folder or from the Hugging Face hub.

    What cannot be used is refused before any weight is read.

    Parameters
    ----------
    denoiser : str or path
        A folder that ``save_pretrained`` wrote (of a UNet2DModel, of a DDPM pipeline, or of a
        DiffusionRegenerator), or the name of such a folder on the Hugging Face hub, "owner/name".
    shape : tuple of int
        Shape of a row of X: (channels, height, width), or (n_features,).
    class_label : int or None, default=None
        Label of a class-conditional network that stands for no class.

    Returns
    -------
    pretrained : Pretrained

    Raises
    ------
    ValueError
        If there is no such folder, its denoiser is of another kind than can be used or does not fit X, or its files
        are damaged.
    """
    name = str(denoiser)
    with _naming(name):
        if Path(denoiser).is_file():
            raise RefusedError(
                "is a file, not a folder. python -m skdiffence convert FILE FOLDER makes a folder of a checkpoint of "
                "pytorch-ddpm or guided-diffusion."
            )
        if recover(denoiser):
            return read_folder(denoiser, lambda folder: _load(folder, shape, class_label))
        folder = _download(name, ["*.json"])
        return _load(folder, shape, class_label, partial(_download, name))


def _load(folder, shape, class_label, download=None):
    layout = read_layout(folder, class_label)
    _check_fits(layout, shape)
    if download is not None:
        download([f"{layout.folder.relative_to(folder) / '*.safetensors'}"])
    network = _load_rows(layout) if layout.is_for_rows else _load_unet(layout)
    _check_finite(network)
    return Pretrained(without_classes(network, class_label), layout.scheduler, layout.notes)


@contextlib.contextmanager
def _naming(name):
    """Begin messages about a denoiser with its name, and say of errors in reading files that these look damaged."""
    try:
        yield
    except RefusedError as error:
        raise ValueError(f"denoiser={name!r} {error}") from error
    except Exception as error:  # damaged files raise errors of safetensors, torch, json or diffusers
        raise ValueError(
            f"denoiser={name!r} could not be loaded, its files look damaged or incomplete "
            f"({type(error).__name__}: {error}). Save or download it again."
        ) from error


def _download(name, patterns):
    if not _HUB_NAME.fullmatch(name):
        raise RefusedError(
            "is not a folder here. Give the path of an existing folder written by save_pretrained, or the name of one "
            "on the hub, 'owner/name'."
        )
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=patterns))
    except Exception as error:  # the client raises errors of many libraries
        raise RefusedError(
            f"is not a folder here and could not be downloaded from the hub ({type(error).__name__}: {error}). Without "
            "network access, download it elsewhere (hf download owner/name --local-dir folder) and pass the folder."
        ) from error


def _check_fits(layout, shape):
    if layout.is_for_rows and len(shape) > 1:
        raise RefusedError(f"is a denoiser of rows of {len(layout.notes['mean'])} features, but X has images.")
    if not layout.is_for_rows and len(shape) == 1:
        raise RefusedError("is a denoiser of images, but X has rows. X must have shape (n, channels, height, width).")
    if layout.is_for_rows and len(layout.notes["mean"]) != shape[0]:
        raise RefusedError(f"was trained on rows of {len(layout.notes['mean'])} features. X has {shape[0]} features.")
    if not layout.is_for_rows:
        check_channels({"in_channels": 3, "out_channels": 3} | layout.config, shape[0], colors=True)
    n_levels = layout.notes.get("n_levels", 1)
    if layout.scheduler is not None and n_levels > len(layout.scheduler.betas):
        raise RefusedError(
            f"has a {NOTES} with n_levels={n_levels}, but its schedule has {len(layout.scheduler.betas)} levels."
        )


def _load_unet(layout):
    from diffusers import UNet2DModel

    network, info = UNet2DModel.from_pretrained(
        layout.folder,
        variant=find_weights(layout),
        use_safetensors=True,
        local_files_only=True,
        low_cpu_mem_usage=False,
        output_loading_info=True,
    )
    missing, unexpected = info["missing_keys"], info["unexpected_keys"]
    if missing or unexpected:
        raise ValueError(f"weights are missing {list(missing)[:3]} or unexpected {list(unexpected)[:3]}")
    return network


def _load_rows(layout):
    check_row_weights(layout)
    network = RowDenoiser(**{name: layout.config[name] for name in ("n_features", "width", "n_blocks")})
    network.load_state_dict(load_file(layout.folder / ROW_WEIGHTS))
    n_varying = sum(scale > 0 for scale in layout.notes["scale"])
    if network.enter.in_features != n_varying:
        raise RefusedError(
            f"has a network for {network.enter.in_features} features that vary, but {NOTES} has {n_varying} of them."
        )
    return network


def _check_finite(network):
    for name, weight in network.state_dict().items():
        if weight.is_floating_point() and not torch.isfinite(weight).all():
            raise RefusedError(f"has weights that are NaN or infinite, in {name}. Its training may have diverged.")


def without_classes(network, class_label):
    """Return a class-conditional UNet2DModel as one without classes, which always sees the given label.

    Parameters
    ----------
    network : UNet2DModel or other module
        Changed in place.
    class_label : int or None
        The label. None leaves the network as it is.

    Returns
    -------
    network : torch module
    """
    if class_label is None:
        return network
    # The embedding of a class is added to that of the timestep, which ends with this bias.
    with torch.no_grad():
        network.time_embedding.linear_2.bias += network.class_embedding.weight[class_label]
    network.class_embedding = None
    network.register_to_config(num_class_embeds=None)
    return network


def copy_pretrained(network, shape, class_label=None):
    """Return a copy of a trained module.

    Parameters
    ----------
    network : torch module
        Any module. A UNet2DModel is checked as one from a folder is.
    shape : tuple of int
        Shape of a row of X.
    class_label : int or None, default=None
        Label of a class-conditional UNet2DModel that stands for no class.

    Returns
    -------
    pretrained : Pretrained

    Raises
    ------
    ValueError
        If it is a UNet2DModel that cannot be used or does not fit X.
    """
    from diffusers import UNet2DModel

    is_unet = isinstance(network, UNet2DModel)
    try:
        if is_unet and len(shape) == 1:
            raise RefusedError("is a UNet2DModel, for images of shape (n, channels, height, width). X has rows.")
        if is_unet:
            check_unet(network.config, class_label)
        if len(shape) > 1:
            check_channels(getattr(network, "config", {}), shape[0], colors=True)
    except RefusedError as error:
        raise ValueError(f"denoiser {error}") from error
    if class_label is not None and not is_unet:
        raise ValueError(f"class_label is for a UNet2DModel. denoiser is a {type(network).__name__}.")
    return Pretrained(without_classes(copy.deepcopy(network), class_label))

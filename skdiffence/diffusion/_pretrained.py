"""Trained denoisers, and how they are written to folders in the layout of diffusers."""

import json
import math
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

# Older diffusers use safetensors.torch without importing it.
from safetensors.torch import save_file
from torch import nn

from skdiffence.diffusion._denoisers import RowDenoiser
from skdiffence.diffusion._layout import INDEX, NOTES, ROW_WEIGHTS
from skdiffence.utils._fingerprint import fingerprint
from skdiffence.utils._folders import whole_folder
from skdiffence.utils._params import nested_params


@dataclass
class Pretrained:
    """A trained denoiser and its metadata.

    Parameters
    ----------
    network : torch module
        The denoiser.
    scheduler : diffusers scheduler or None, default=None
        The noise schedule of the denoiser, if it comes with one.
    notes : dict
        Metadata of ``DiffusionRegenerator.save_pretrained``: "n_levels"; for rows "mean" and "scale", for images
        "image_size".
    """

    network: nn.Module
    scheduler: object = None
    notes: dict = field(default_factory=dict)

    @property
    def image_size(self):
        """Height and width of the images that the denoiser was trained on, or None if that is not known."""
        size = self.notes.get("image_size") or getattr(getattr(self.network, "config", None), "sample_size", None)
        return None if not size else (size, size) if isinstance(size, int) else tuple(size)

    @property
    def n_levels(self):
        """Number of noise levels that the denoiser was trained on, or infinity if that is not known."""
        config = getattr(self.network, "config", None)
        learned = getattr(config, "time_embedding_type", None) == "learned"  # a table with an entry for each level
        return self.notes.get("n_levels", config.num_train_timesteps if learned else math.inf)

    @property
    def n_channels(self):
        """Number of channels that the denoiser takes, or None if that is not known."""
        return getattr(getattr(self.network, "config", None), "in_channels", None)


def weights_on_disk(estimator):
    """Return digests of the folders and files that the regenerators inside an estimator load their denoisers from.

    Parameters
    ----------
    estimator : estimator
        With regenerators among its parameters, at any depth.

    Returns
    -------
    content : dict
        By the name of the parameter, the digest of each file by its path in the folder.
    """
    places = {
        prefix: value.denoiser
        for prefix, value in nested_params(estimator).items()
        if isinstance(getattr(value, "denoiser", None), (str, os.PathLike))
    }
    content = {}
    for name, place in places.items():
        files = [Path(place), *Path(place).rglob("*")] if Path(place).exists() else []
        content[name] = {
            str(file.relative_to(place)): fingerprint(file.read_bytes()) for file in files if file.is_file()
        }
    return content


def save_pretrained(folder, pretrained):
    """Write a denoiser to a folder that diffusers and the regenerator read, completely or not at all.

    Parameters
    ----------
    folder : str or path
        Where to write. An existing denoiser is replaced.
    pretrained : Pretrained
        The denoiser.

    Raises
    ------
    FileExistsError
        If the folder exists and does not hold a denoiser.
    ValueError
        If the network is neither a UNet2DModel nor a RowDenoiser.
    """
    _check_replaceable(Path(folder))
    with whole_folder(folder) as unfinished:
        _write(unfinished, pretrained)


def _check_replaceable(folder):
    if not folder.exists():
        return
    ours = folder.is_dir() and (not any(folder.iterdir()) or (folder / INDEX).is_file() or (folder / NOTES).is_file())
    if not ours:
        raise FileExistsError(f"{folder} exists and is no denoiser. Choose another folder or remove it.")


def _write(folder, pretrained):
    network = pretrained.network
    if isinstance(network, RowDenoiser):
        _write_rows(folder, network)
        pretrained.scheduler.save_pretrained(folder / "scheduler")
    else:
        _write_pipeline(folder, network, pretrained.scheduler)
    notes = {name: np.asarray(value).tolist() for name, value in pretrained.notes.items()}
    (folder / NOTES).write_text(json.dumps(notes, indent=2), encoding="utf-8")


def _write_rows(folder, network):
    config = {"_class_name": type(network).__name__, **network.config}
    (folder / "config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")
    save_file({name: weight.cpu().contiguous() for name, weight in network.state_dict().items()}, folder / ROW_WEIGHTS)


def _write_pipeline(folder, network, scheduler):
    from diffusers import DDPMPipeline, UNet2DModel

    if not isinstance(network, UNet2DModel):
        raise ValueError(
            f"save_pretrained writes UNet2DModel and the default network for rows, not a {type(network).__name__}. "
            "Keep this regenerator with joblib.dump."
        )
    DDPMPipeline(network, scheduler).save_pretrained(folder, safe_serialization=True)

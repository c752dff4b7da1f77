"""Pretrained denoisers, read from and written to folders in the layout of diffusers, or read from the hub."""

import contextlib
import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

# Older diffusers use safetensors.torch without importing it.
from safetensors.torch import load_file, save_file
from torch import nn

from skdiffence.diffusion._denoisers import RowDenoiser
from skdiffence.utils._fingerprint import fingerprint
from skdiffence.utils._folders import read_folder, recover, whole_folder
from skdiffence.utils._params import nested_params

# Holds what the layout of diffusers has no place for.
_NOTES = "regenerator.json"
_ROW_WEIGHTS = "model.safetensors"
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")


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
        Metadata of ``DiffusionRegenerator.save_pretrained``: "n_levels" and, for rows, "mean" and "scale".
    """

    network: nn.Module
    scheduler: object = None
    notes: dict = field(default_factory=dict)


def load_pretrained(denoiser):
    """Load a denoiser from a folder or from the Hugging Face hub.

    Parameters
    ----------
    denoiser : str or path
        A folder that ``save_pretrained`` wrote (of a UNet2DModel, of a DDPM pipeline, or of a
        DiffusionRegenerator), or the name of such a folder on the Hugging Face hub, "owner/name".

    Returns
    -------
    pretrained : Pretrained

    Raises
    ------
    ValueError
        If there is no such folder, or its files are of another kind or damaged.
    """
    if recover(denoiser) and not Path(denoiser).is_file():
        return read_folder(denoiser, lambda folder: _load(folder, denoiser))
    return _load(_download(str(denoiser)), denoiser)


def _load(folder, denoiser):
    notes = _read_json(folder / _NOTES, denoiser) if (folder / _NOTES).is_file() else {}
    if (folder / "model_index.json").is_file():
        network = _load_unet(folder / "unet", denoiser)
        return Pretrained(network, _load_scheduler(folder / "scheduler", denoiser), notes)
    if (folder / "config.json").is_file():
        config = _read_json(folder / "config.json", denoiser)
        if config.get("_class_name") == "RowDenoiser":
            network = _load_rows(folder, config, denoiser)
            return Pretrained(network, _load_scheduler(folder / "scheduler", denoiser), notes)
        return Pretrained(_load_unet(folder, denoiser), None, notes)
    raise ValueError(
        f"denoiser={str(denoiser)!r} has neither a model_index.json nor a config.json. Give a folder written by "
        "save_pretrained of diffusers.UNet2DModel, diffusers.DDPMPipeline or DiffusionRegenerator."
    )


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


def _download(name):
    if not _HUB_NAME.fullmatch(name):
        raise ValueError(
            f"denoiser={name!r} is not a folder here. Give the path of an existing folder written by "
            "save_pretrained, or the name of one on the hub, 'owner/name'."
        )
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=["*.json", "*.safetensors"]))
    except Exception as error:  # the client raises errors of many libraries
        raise ValueError(
            f"denoiser={name!r} is not a folder here and could not be downloaded from the hub "
            f"({type(error).__name__}: {error}). Without network access, download it elsewhere "
            "(hf download owner/name --local-dir folder) and pass the folder."
        ) from error


def _read_json(path, denoiser):
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"denoiser={str(denoiser)!r} has an unreadable {path.name}: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"denoiser={str(denoiser)!r} has a {path.name} that holds no dictionary.")
    return content


def _load_unet(folder, denoiser):
    config = _read_json(folder / "config.json", denoiser)
    if config.get("_class_name") != "UNet2DModel":
        raise ValueError(f"denoiser={str(denoiser)!r} holds a {config.get('_class_name')}, not a UNet2DModel.")
    _check_safetensors(folder, "diffusion_pytorch_model.safetensors*", denoiser)
    from diffusers import UNet2DModel

    with _naming_damage(denoiser):
        network, info = UNet2DModel.from_pretrained(
            folder, use_safetensors=True, local_files_only=True, low_cpu_mem_usage=False, output_loading_info=True
        )
        _check_complete(info["missing_keys"], info["unexpected_keys"])
    return network


def _load_rows(folder, config, denoiser):
    _check_safetensors(folder, _ROW_WEIGHTS, denoiser)

    with _naming_damage(denoiser):
        network = RowDenoiser(**{name: config[name] for name in ("n_features", "width", "n_blocks")})
        network.load_state_dict(load_file(folder / _ROW_WEIGHTS))
    return network


def _check_safetensors(folder, pattern, denoiser):
    if not any(folder.glob(pattern)):
        found = sorted(path.name for path in folder.glob("*") if path.suffix in {".bin", ".pt", ".pth", ".ckpt"})
        pickled = f" {', '.join(found)} can run any code when loaded and is refused; convert it." if found else ""
        raise ValueError(f"denoiser={str(denoiser)!r} has no weights in safetensors form.{pickled}")


def _check_complete(missing, unexpected):
    if missing or unexpected:
        raise ValueError(f"weights are missing {list(missing)[:3]} or unexpected {list(unexpected)[:3]}")


@contextlib.contextmanager
def _naming_damage(denoiser):
    try:
        yield
    except Exception as error:  # damaged files raise errors of safetensors, torch, json or diffusers
        raise ValueError(
            f"denoiser={str(denoiser)!r} could not be loaded, its files look damaged or incomplete "
            f"({type(error).__name__}: {error}). Save or download it again."
        ) from error


def _load_scheduler(folder, denoiser):
    from diffusers import DDPMScheduler

    config = _read_json(folder / "scheduler_config.json", denoiser)
    with _naming_damage(denoiser):
        # Configs of other schedulers hold the same betas under the same names.
        known = set(DDPMScheduler.__init__.__annotations__) | {"prediction_type"}
        return DDPMScheduler.from_config({name: value for name, value in config.items() if name in known})


def save_pretrained(folder, pretrained):
    """Write a denoiser to a folder that diffusers and :func:`load_pretrained` read, completely or not at all.

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
    ours = folder.is_dir() and (
        not any(folder.iterdir()) or (folder / "model_index.json").is_file() or (folder / _NOTES).is_file()
    )
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
    (folder / _NOTES).write_text(json.dumps(notes, indent=2), encoding="utf-8")


def _write_rows(folder, network):
    config = {"_class_name": type(network).__name__, **network.config}
    (folder / "config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")
    save_file({name: weight.cpu().contiguous() for name, weight in network.state_dict().items()}, folder / _ROW_WEIGHTS)


def _write_pipeline(folder, network, scheduler):
    from diffusers import DDPMPipeline, UNet2DModel

    if not isinstance(network, UNet2DModel):
        raise ValueError(
            f"save_pretrained writes UNet2DModel and the default network for rows, not a {type(network).__name__}. "
            "Keep this regenerator with joblib.dump."
        )
    DDPMPipeline(network, scheduler).save_pretrained(folder, safe_serialization=True)

"""Folders of denoisers as diffusers writes them: where everything is, and what cannot be used. Reads no weights."""

import json
import math
import re
from dataclasses import dataclass, field
from pathlib import Path

from skdiffence.diffusion._schedulers import RefusedError, read_scheduler

NOTES = "regenerator.json"  # holds what the layout of diffusers has no place for
ROW_WEIGHTS = "model.safetensors"
INDEX = "model_index.json"

_WEIGHTS = re.compile(r"diffusion_pytorch_model(?:\.(?P<variant>[\w-]+))?\.safetensors")
_SHARDS = re.compile(r"diffusion_pytorch_model\.safetensors\.index(?:\.(?P<variant>[\w-]+))?\.json")
_PICKLED = {".bin", ".pt", ".pth", ".ckpt", ".pkl"}
_AUTOENCODERS = ("vae", "vqvae", "movq")
# Parts of the names of networks, and what is different about them.
_REFUSED = {
    "Condition": "it is conditioned on text or on other images, and would have to be told what it is to see",
    "Transformer": "it is a transformer, and is conditioned on classes or text",
    "Unconditional": "it is of the first version of diffusers, whose configs no later version reads",
}


@dataclass
class Layout:
    """What the files of a denoiser tell without its weights.

    Parameters
    ----------
    folder : path
        Holds the weights of the network.
    config : dict
        Config of the network.
    scheduler : DDPMScheduler or None
        The noise schedule, if the denoiser comes with one.
    notes : dict
        Validated content of ``regenerator.json``, empty if there is none.
    """

    folder: Path
    config: dict
    scheduler: object = None
    notes: dict = field(default_factory=dict)

    @property
    def is_for_rows(self):
        """Whether the network denoises rows instead of images."""
        return self.config.get("_class_name") == "RowDenoiser"


def read_layout(folder, class_label=None):
    """Return the layout of a folder, or refuse it.

    Parameters
    ----------
    folder : path
        Existing folder.
    class_label : int or None, default=None
        Label of a class-conditional network that stands for no class.

    Returns
    -------
    layout : Layout

    Raises
    ------
    RefusedError
        If the folder holds no denoiser, another kind of model than can be used, or damaged files.
    """
    root = folder
    if not (folder / INDEX).is_file() and folder.name in _components(folder.parent):
        root = folder.parent  # the folder of a pipeline's network, where the pipeline knows its scheduler
    components = _components(root)
    _check_components(components)
    unet = root / "unet" if (root / "unet" / "config.json").is_file() else root
    if not (unet / "config.json").is_file():
        raise RefusedError(
            "has no config.json, in it or in its folder unet. Give a folder written by save_pretrained of "
            "diffusers.UNet2DModel, diffusers.DDPMPipeline or DiffusionRegenerator."
        )
    config = read_json(unet / "config.json")
    _check_network(config, class_label)
    scheduler = _find_scheduler(root, components)
    notes = read_json(root / NOTES) if (root / NOTES).is_file() else None
    layout = Layout(unet, config, scheduler)
    if notes is not None or layout.is_for_rows:
        layout.notes = check_notes(notes or {}, is_for_rows=layout.is_for_rows)
    if layout.is_for_rows and scheduler is None:
        raise RefusedError("has no scheduler_config.json, without which the noise of its rows is not known.")
    return layout


def _components(root):
    """Return the components of a pipeline and their classes: what its index lists, or what folders of autoencoders."""
    if not (root / INDEX).is_file():
        return {name: name for name in _AUTOENCODERS if (root / name / "config.json").is_file()}
    index = read_json(root / INDEX)
    lists = {name: value for name, value in index.items() if isinstance(value, list) and len(value) == 2}
    return {name: value[1] for name, value in lists.items() if value[1] is not None}


def _check_components(components):
    latent = [name for name in _AUTOENCODERS if name in components]
    if latent:
        raise RefusedError(
            f"is a latent model: its network denoises what {latent[0]!r} encodes, not images. Give a denoiser of "
            "images themselves."
        )
    others = sorted(components.keys() - {"unet", "scheduler"})
    if others:
        raise RefusedError(
            f"is a pipeline with {', '.join(others)} beside unet and scheduler, and needs more than an image. Give an "
            "unconditional denoiser of images."
        )


def _check_network(config, class_label):
    name = config.get("_class_name")
    if name == "RowDenoiser":
        return
    if name != "UNet2DModel":
        reason = next((why for part, why in _REFUSED.items() if part in str(name)), None)
        raise RefusedError(f"holds a {name}, not a UNet2DModel{f': {reason}' if reason else ''}.")
    check_unet(config, class_label)


def check_unet(config, class_label=None):
    """Raise a RefusedError unless a UNet2DModel can be called with an image alone.

    Parameters
    ----------
    config : mapping
        Config of the UNet2DModel.
    class_label : int or None, default=None
        Label of a class-conditional network that stands for no class.

    Raises
    ------
    RefusedError
        If the network is told the spread of the noise instead of a timestep, or needs a class.
    """
    embedding = config.get("time_embedding_type", "positional")
    if embedding not in ("positional", "learned"):
        raise RefusedError(
            f"has a UNet2DModel with time_embedding_type={embedding!r}: it is a score-based model (NCSN++ or "
            "score-SDE), which is told the spread of the noise instead of a timestep."
        )
    kind = config.get("class_embed_type")
    if kind is not None:
        raise RefusedError(f"is conditional: its class_embed_type is {kind!r}, for which no label stands for no class.")
    n_classes = config.get("num_class_embeds")
    if n_classes is None and class_label is not None:
        raise RefusedError(f"is not conditional on classes. Leave out class_label={class_label}.")
    if n_classes is not None and class_label is None:
        raise RefusedError(
            f"is conditional on {n_classes} class labels. If one of them stands for no class (the unconditional token, "
            f"often the last), give it as class_label. Else it cannot be used: the label of an image is not known."
        )
    if n_classes is not None and not 0 <= class_label < n_classes:
        raise RefusedError(f"has class labels 0 to {n_classes - 1}. Got class_label={class_label}.")


def _find_scheduler(root, components):
    places = (root / "scheduler" / "scheduler_config.json", root / "scheduler_config.json")
    path = next((place for place in places if place.is_file()), None)
    if path is not None:
        return read_scheduler(read_json(path), components.get("scheduler"))
    if "scheduler" in components:
        raise RefusedError("has no scheduler_config.json, in it or in its folder scheduler.")
    return None


def find_weights(layout):
    """Return the variant of the weights to load, once all their files are found.

    Parameters
    ----------
    layout : Layout
        Of a UNet2DModel.

    Returns
    -------
    variant : str or None
        None for weights without a variant, which go first.

    Raises
    ------
    RefusedError
        If there are no weights in safetensors form, or not all of their files.
    """
    names = sorted(path.name for path in layout.folder.iterdir())
    variants = {}
    for name in names:
        match = _WEIGHTS.fullmatch(name) or _SHARDS.fullmatch(name)
        # The parts of sharded weights have names of the same form.
        if match and not re.search(r"-\d{5}-of-\d{5}", name):
            variants.setdefault(match["variant"], name)
    if not variants:
        raise RefusedError(f"has no weights in safetensors form.{_pickled(names)}")
    if len(variants) > 1 and None not in variants and "fp16" not in variants:
        raise RefusedError(f"has several variants of weights, {', '.join(sorted(variants))}. Leave one.")
    variant = next(iter(variants)) if len(variants) == 1 else (None if None in variants else "fp16")
    _check_shards(layout.folder, variants[variant])
    return variant


def _check_shards(folder, name):
    if not name.endswith(".json"):
        return
    parts = read_json(folder / name).get("weight_map")
    if not isinstance(parts, dict) or not parts:
        raise RefusedError(f"has a {name} without a weight_map.")
    missing = sorted({str(part) for part in parts.values() if not (folder / str(part)).is_file()})
    if missing:
        raise RefusedError(
            f"lacks {len(missing)} files of its weights, the first of them {missing[0]}. Download it again."
        )


def check_row_weights(layout):
    """Raise a RefusedError if the weights of a denoiser of rows are not there."""
    if not (layout.folder / ROW_WEIGHTS).is_file():
        raise RefusedError(f"has no {ROW_WEIGHTS}.{_pickled(path.name for path in layout.folder.iterdir())}")


def _pickled(names):
    found = sorted(name for name in names if Path(name).suffix in _PICKLED)
    return f" {', '.join(found)} can run any code when loaded and is refused; convert it." if found else ""


def read_json(path):
    """Return the dictionary of a JSON file.

    Parameters
    ----------
    path : path
        Where it is.

    Returns
    -------
    content : dict

    Raises
    ------
    RefusedError
        If it can't be read or holds something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise RefusedError(f"has an unreadable {path.name}: {error}") from error
    if not isinstance(content, dict):
        raise RefusedError(f"has a {path.name} that holds no dictionary.")
    return content


def check_notes(notes, *, is_for_rows):
    """Return the content of ``regenerator.json`` if it is what ``save_pretrained`` writes.

    Parameters
    ----------
    notes : dict
        "n_levels", the number of noise levels that were trained; for rows also "mean" and "scale" of each feature, and
        for images "image_size".
    is_for_rows : bool
        Whether the denoiser is for rows, and must have a mean and a scale.

    Returns
    -------
    notes : dict

    Raises
    ------
    RefusedError
        If an entry is missing or no such value.
    """
    if not _is_count(notes.get("n_levels")):
        raise RefusedError(
            f"has a {NOTES} in which n_levels is no count of noise levels. Got {notes.get('n_levels')!r}."
        )
    size = notes.get("image_size")
    if "image_size" in notes and not (isinstance(size, list) and len(size) == 2 and all(map(_is_count, size))):
        raise RefusedError(f"has a {NOTES} in which image_size is no height and width. Got {size!r:.60}.")
    if not is_for_rows:
        if notes.keys() & {"mean", "scale"}:
            raise RefusedError(f"has a {NOTES} of rows, but its network is a UNet2DModel for images.")
        return notes
    for name in ("mean", "scale"):
        values = notes.get(name)
        if not isinstance(values, list) or not values or not all(map(_is_number, values)):
            raise RefusedError(
                f"has a {NOTES} in which {name} is no list of one number for each feature. Got {values!r:.60}."
            )
    if len(notes["mean"]) != len(notes["scale"]):
        raise RefusedError(f"has a {NOTES} with {len(notes['mean'])} means, but {len(notes['scale'])} scales.")
    if min(notes["scale"]) < 0 or max(notes["scale"]) == 0:
        raise RefusedError(
            f"has a {NOTES} in which a scale is negative or all are 0, but they are standard deviations."
        )
    return notes


def _is_count(value):
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)

"""The device that torch computes on, and torch's errors in the words of the caller."""

import contextlib
import re
from pathlib import Path

import numpy as np
import torch

# Words by which torch and its layers complain about the shape of their input.
_ABOUT_SHAPES = re.compile(
    r"\b(sizes?|shapes?|dims?|dimensions?|dimensional|channels|unpack|normalized_shape|input_size|running_mean)\b|1D|2D|3D",
    flags=re.IGNORECASE,
)


@contextlib.contextmanager
def explained_shapes(X):
    """Raise an error that names the rows where a module can't take them.

    Parameters
    ----------
    X : array-like of shape (n_samples, ...)
        The rows that it gets.

    Raises
    ------
    ValueError
        Instead of an error of torch about a shape.
    """
    try:
        yield
    except (RuntimeError, IndexError, ValueError) as error:
        if isinstance(error, torch.OutOfMemoryError) or _ABOUT_SHAPES.search(str(error)) is None:
            raise
        if not any("torch" in Path(file).parts for file in _files(error.__traceback__)):
            raise
        shape = tuple(np.shape(X)[1:])
        raise ValueError(
            f"X must have rows that the net's module takes. Got rows of shape {shape}. torch says: {error}"
        ) from error


def _files(traceback):
    while traceback is not None:
        yield traceback.tb_frame.f_code.co_filename
        traceback = traceback.tb_next


def resolve_device(device="auto"):
    """Return a torch device from a parameter.

    Parameters
    ----------
    device : {"auto"}, str or torch.device, default="auto"
        "auto" is the current CUDA device if there is one, else the CPU.

    Returns
    -------
    device : torch.device
        With its index on CUDA, so that caches of different devices are told apart.

    Raises
    ------
    ValueError
        If torch does not know the device, or there is no CUDA device.
    """
    if isinstance(device, str) and device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        resolved = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"device must be 'auto' or a device that torch knows. Got {device!r}: {error}") from None
    if resolved.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device={device!r} needs a CUDA device, and torch finds none.")
    if resolved.type == "cuda" and resolved.index is None:
        return torch.device("cuda", torch.cuda.current_device())
    return resolved


def computes_bfloat16(device):
    """Return whether a device has instructions for bfloat16. Others emulate it, many times slower than float32.

    Parameters
    ----------
    device : torch.device

    Returns
    -------
    found : bool
        True also for devices that torch does not tell it of.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    found = torch.cpu.get_capabilities() if device.type == "cpu" else {}
    return found.get("architecture") != "x86_64" or found.get("avx512_bf16", False) or found.get("amx_bf16", False)

"""The device that torch computes on."""

import torch


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

"""Where torch computes."""

import torch


def resolve_device(device="auto"):
    """Return the device to compute on.

    Parameters
    ----------
    device : {"auto"}, str or torch.device, default="auto"
        "auto" is the current CUDA device where there is one, else the CPU.

    Returns
    -------
    device : torch.device
        On CUDA with its index, so that what is kept for a device is found only on that one.

    Raises
    ------
    ValueError
        If torch does not know the device, or it is CUDA and there is none.
    """
    if isinstance(device, str) and device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        resolved = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"device must be 'auto' or a device that torch knows. Got {device!r}: {error}") from None
    if resolved.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device={device!r} was asked for, but torch finds no CUDA device here.")
    if resolved.type == "cuda" and resolved.index is None:
        return torch.device("cuda", torch.cuda.current_device())
    return resolved

"""How long the training of a denoiser will take, and what takes less time."""

LONG_TRAINING = 3600.0  # seconds, beyond which a user is told
_FEWEST_CHANNELS = 8
_SMALLEST_SIDE = 32


def duration(seconds):
    """Return a time in words, such as "3.2 hours"."""
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}" if seconds < 10 * length else f"{seconds / length:.0f} {unit}"
    return f"{max(seconds, 1):.0f} seconds"


def long_training_message(network, shape, seconds, n_parameters):
    """Return a warning that a training takes long, with everything that makes it shorter.

    Parameters
    ----------
    network : torch module
        The denoiser.
    shape : tuple of int
        Shape of one row as the denoiser sees it.
    seconds : float
        Estimated time.
    n_parameters : int
        Number of weights of the denoiser.

    Returns
    -------
    message : str
    """
    remedies = []
    widths = getattr(getattr(network, "config", None), "block_out_channels", None)
    if widths is not None and max(widths) > _FEWEST_CHANNELS:
        smaller = tuple(max(_FEWEST_CHANNELS, width // 2) for width in widths)
        remedies.append(f'a smaller network, denoiser={{"block_out_channels": {smaller}}}')
    if len(shape) == 3 and max(shape[1:]) > _SMALLEST_SIDE:
        remedies.append(f"images made smaller for the denoiser, resize={max(_SMALLEST_SIDE, max(shape[1:]) // 2)}")
    remedies.append("fewer epochs or rows")
    remedies.append("a pretrained denoiser, denoiser=folder, which is not trained at all")
    return (
        f"Training the denoiser will take about {duration(seconds)} at the speed of its first updates "
        f"({n_parameters:,} weights, inputs of shape {shape}). What takes less: {'; '.join(remedies)}."
    )

"""Calls of a trained denoiser: batch size, padding, precision and memory layout on the device in use."""

import contextlib
import math
import threading
from functools import partial

import torch

from skdiffence.diffusion._batches import rows_per_batch
from skdiffence.diffusion._compiled import bucket_above, bucket_below, compiled, next_batch
from skdiffence.diffusion._denoisers import call_network, moved

ROWS_PER_EXACT_BATCH = 32
# Images of at least so many pixels are faster with their channels last. Smaller ones are not on a CPU.
_PIXELS_FOR_CHANNELS_LAST = 16 * 16

_CUDNN_LOCK = threading.RLock()


class DenoiserCalls:
    """Calls of a trained denoiser on one device.

    Parameters
    ----------
    denoiser : torch module
        Called with (x, timesteps). It is moved to the device.
    shape : tuple of int
        Shape of one row as the denoiser sees it.
    device : torch.device
        Where to compute.
    autocast : bool
        Whether to compute in bfloat16 where that is safe.
    exact : bool
        Whether to pad every batch to one size, so that answers do not depend on the batch.
    owner : object or None
        The owner of the compiled denoiser, see :func:`compiled`. None to leave the denoiser uncompiled.

    Attributes
    ----------
    batch_size : int
        Number of rows to ask for at a time.
    next_batch : callable or None
        Returns how many of so many rows to ask for next, see :func:`in_batches`.
    """

    def __init__(self, denoiser, shape, device, *, autocast, exact, owner):
        self.device, self.autocast, self.exact = device, autocast, exact
        denoiser = moved(denoiser, device)
        self._call = partial(_call, denoiser) if owner is None else compiled(owner, denoiser)
        size = ROWS_PER_EXACT_BATCH if exact else rows_per_batch(denoiser, shape, device)
        self._pads_to_buckets = owner is not None and not exact
        self.batch_size = bucket_below(size) if self._pads_to_buckets else size
        self.next_batch = next_batch if self._pads_to_buckets else None
        is_large_image = math.prod(shape[1:]) >= _PIXELS_FOR_CHANNELS_LAST  # rows count as one pixel
        # One layout for all batches, because a compiled denoiser is compiled anew for another one.
        self._layout = torch.channels_last if is_large_image else torch.contiguous_format

    def __call__(self, x, timestep):
        """Return the prediction of the denoiser.

        Parameters
        ----------
        x : tensor of shape (n, ...)
            Noisy rows.
        timestep : int
            Timestep of all rows.

        Returns
        -------
        predicted : tensor of the shape and dtype of x
        """
        n_rows = len(x)
        n_missing = self._padded(n_rows) - n_rows
        if n_missing > 0:
            x = torch.cat([x, x.new_zeros(n_missing, *x.shape[1:])])
        x = x.contiguous(memory_format=self._layout)
        timesteps = torch.full((len(x),), timestep, device=self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast):
            predicted = self._call(x, timesteps)
        return predicted[:n_rows].to(x.dtype)

    def _padded(self, n_rows):
        if self.exact:
            return ROWS_PER_EXACT_BATCH
        return bucket_above(n_rows) if self._pads_to_buckets else n_rows

    @contextlib.contextmanager
    def steady_kernels(self):
        """Fix the algorithm and the precision of cuDNN inside the block.

        By default cuDNN chooses its algorithm by timing and rounds products to 10 bits.
        """
        if self.device.type != "cuda":
            yield
            return
        flags = {"enabled": True, "benchmark": False, "deterministic": self.exact, "allow_tf32": False}
        # The flags belong to the process. Threads that restore them in another order would leave them changed.
        with _CUDNN_LOCK, torch.backends.cudnn.flags(**flags):
            yield


def _call(network, x, timesteps):
    return call_network(network, x, timesteps, x.shape[1])

"""The spaces in which denoisers work: padded images in [-1, 1], and rows standardized feature by feature."""

import numpy as np
import torch
from torch.nn import functional

# Rows are quantized over this many standard deviations on either side of the mean.
_ROW_SPAN = 4.0
_LEVELS = 255
# Images of these types are copied to a GPU as they are.
_CARRIED = (np.uint8, np.float32, np.float64)


class ImageSpace:
    """Images, edge-padded and mapped from their value range to [-1, 1], in float32.

    Parameters
    ----------
    image_shape : tuple of int
        (channels, height, width).
    value_range : ndarray of shape (2,) or (2, channels), dtype float64
        Lowest and highest value, for all channels or each.
    multiple : int, default=1
        Height and width are padded to a multiple of it, because each level of a UNet halves them.
    """

    dtype = torch.float32

    def __init__(self, image_shape, value_range, multiple=1):
        self.image_shape, self.value_range = image_shape, value_range
        self.low, self.high = (np.array(end, dtype=np.float64).reshape(-1, 1, 1) for end in value_range)
        self._on_device = {}
        missing = [-side % multiple for side in image_shape[1:]]
        (top, bottom), (left, right) = ((m // 2, m - m // 2) for m in missing)
        self.padding = (left, right, top, bottom)
        self.shape = (image_shape[0], *(side + m for side, m in zip(image_shape[1:], missing, strict=True)))

    def outside(self, X):
        """Count the values outside the range, float32 rounding aside."""
        slack = 1e-6 * (self.high - self.low)
        low, high = self.low - slack, self.high + slack
        if X.min() >= low.max() and X.max() <= high.min():  # nearly always, and much faster than to count
            return 0
        return int(np.count_nonzero((low > X) | (high < X)))

    def encode(self, X, device):
        """Return X as the denoiser sees it; values outside the range are clipped to it.

        Parameters
        ----------
        X : ndarray of shape (n, channels, height, width)
            Images in their value range.
        device : torch.device
            Where to put them. X is copied there as it is, and mapped there.

        Returns
        -------
        x : float32 tensor of shape (n, *self.shape)
        """
        carried = X.dtype if device.type != "cpu" and X.dtype in _CARRIED else np.float64
        low, high = self._ends_on(device)
        x = torch.from_numpy(np.array(X, dtype=carried, order="C")).to(device).double()
        x = x.sub_(low).div_(high - low).clamp_(0.0, 1.0).mul_(2.0).sub_(1.0).float()
        return functional.pad(x, self.padding, mode="replicate") if any(self.padding) else x

    def decode(self, x, X):
        """Return denoised images in the value range of X: cropped, and clamped to the range.

        Parameters
        ----------
        x : tensor of shape (n, *self.shape)
            Denoised images.
        X : ndarray of shape (n, channels, height, width)
            The originals (not used: nothing of an image passes unchanged).

        Returns
        -------
        regenerated : float32 ndarray of shape (n, channels, height, width)
        """
        left, _, top, _ = self.padding
        height, width = self.image_shape[1:]
        low, high = (end.float() for end in self._ends_on(x.device))
        x = x[..., top : top + height, left : left + width].float().clamp(-1.0, 1.0)
        # Rounding may leave the range again by one unit in the last place.
        x = x.add_(1.0).mul_((high - low) / 2).add_(low).clamp_(low, high)
        return x.cpu().numpy()

    def quantize(self, X):
        """Return X at 8 bits over its value range, as uint8 of shape (n, d)."""
        unit = np.array(X, dtype=np.float64)
        unit -= self.low
        unit /= self.high - self.low
        np.clip(unit, 0.0, 1.0, out=unit)
        unit *= _LEVELS
        return np.rint(unit, out=unit).astype(np.uint8).reshape(len(X), -1)

    def _ends_on(self, device):
        # Copied to each device once: a copy per batch would make a GPU wait.
        if device not in self._on_device:
            self._on_device[device] = tuple(torch.from_numpy(end).to(device) for end in (self.low, self.high))
        return self._on_device[device]

    def __getstate__(self):
        return {name: value for name, value in vars(self).items() if name != "_on_device"}

    def __setstate__(self, state):
        vars(self).update(state, _on_device={})


class RowSpace:
    """Rows, standardized per feature in float64; features that never varied are left out and pass unchanged.

    Parameters
    ----------
    mean, scale : float64 ndarrays of shape (d,)
        Mean and standard deviation of each feature, 0 for a constant one.
    """

    dtype = torch.float64

    def __init__(self, mean, scale):
        self.mean, self.scale = mean, scale
        self.varies = np.flatnonzero(scale > 0)
        self.shape = (len(self.varies),)

    @classmethod
    def of(cls, X):
        """Learn the space of X, an ndarray of shape (n, d)."""
        X = np.asarray(X, dtype=np.float64)
        mean = X.mean(axis=0)
        scale = X.std(axis=0)
        # A constant column's standard deviation may come out as rounding error instead of 0.
        scale[np.ptp(X, axis=0) == 0] = 0.0
        return cls(mean, scale)

    @classmethod
    def of_saved(cls, notes, n_features):
        """Return the space of a saved denoiser, from its "mean" and "scale", if it has so many features."""
        mean, scale = (np.array(notes[name], dtype=np.float64) for name in ("mean", "scale"))
        if len(mean) != n_features:
            raise ValueError(f"denoiser was trained on rows of {len(mean)} features. X has {n_features} features.")
        return cls(mean, scale)

    @property
    def value_range(self):
        """Range over which each feature is quantized, of shape (2, d)."""
        return np.stack([self.mean - _ROW_SPAN * self.scale, self.mean + _ROW_SPAN * self.scale])

    def outside(self, X):
        """Rows have no range that a value could lie outside of."""
        return 0

    def encode(self, X, device):
        """Return the standardized varying features as a float64 tensor of shape (n, d_varying)."""
        return torch.from_numpy(self._standard(X)).to(device)

    def decode(self, x, X):
        """Return denoised rows in the units of X, constant features as they are in X, as float32."""
        regenerated = np.array(X, dtype=np.float32)
        regenerated[:, self.varies] = x.cpu().numpy() * self.scale[self.varies] + self.mean[self.varies]
        return regenerated

    def quantize(self, X):
        """Return the varying features at 8 bits over four standard deviations either side of the mean."""
        unit = np.clip(self._standard(X) / (2 * _ROW_SPAN) + 0.5, 0.0, 1.0)
        return np.rint(unit * _LEVELS).astype(np.uint8)

    def _standard(self, X):
        # Through float32 first, so that an answer does not depend on the dtype that a row comes in.
        X = np.asarray(X, dtype=np.float32)[:, self.varies].astype(np.float64)
        return (X - self.mean[self.varies]) / self.scale[self.varies]


def detect_range(X):
    """Return the natural value range that images lie in.

    Parameters
    ----------
    X : ndarray of shape (n, channels, height, width)
        Images.

    Returns
    -------
    value_range : float64 ndarray of shape (2,)
        (0, 255) for uint8; else the first of (0, 1), (-1, 1) and, where the values use the upper half of it,
        (0, 255), that holds all values; else their minimum and maximum.

    Raises
    ------
    ValueError
        If all values are equal and in none of these ranges.
    """
    low, high = float(X.min()), float(X.max())
    if X.dtype == np.uint8 or (low >= 0 and 127 < high <= 255):
        return np.array([0.0, 255.0])
    if low >= -1 and high <= 1:
        return np.array([0.0 if low >= 0 else -1.0, 1.0])
    if low == high:
        raise ValueError(f"value_range='auto' can't tell a range from images that are all {low}. Give value_range.")
    return np.array([low, high])


def check_range(value_range, n_channels):
    """Return a given value range as an array, or say what is wrong with it.

    Parameters
    ----------
    value_range : pair of floats or of array-likes of shape (channels,)
        Lowest and highest value.
    n_channels : int
        Number of channels.

    Returns
    -------
    value_range : float64 ndarray of shape (2,) or (2, channels)

    Raises
    ------
    ValueError
        If it is not such a pair, not finite, or low is not below high.
    """
    try:
        ends = np.array(np.broadcast_arrays(*value_range), dtype=np.float64)
    except (TypeError, ValueError):
        ends = np.empty(0)
    if ends.shape not in {(2,), (2, n_channels)} or not np.isfinite(ends).all() or not (ends[0] < ends[1]).all():
        raise ValueError(
            "value_range must be 'auto' or a finite pair (low, high) with low < high, each a number or one number "
            f"for each of the {n_channels} channels. Got {value_range!r}."
        )
    return ends

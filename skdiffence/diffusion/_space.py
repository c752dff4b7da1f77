"""Maps to the input spaces of denoisers: resized and padded images in [-1, 1], and rows standardized by feature."""

import math
import numbers

import numpy as np
import torch
from torch.nn import functional

# Rows are quantized over this many standard deviations on either side of the mean.
_ROW_SPAN = 4.0
_LEVELS = 255
_VALUES_AT_ONCE = 2**24
# Images of these types are copied to a GPU as they are.
_CARRIED = (np.uint8, np.float32, np.float64)


class ImageSpace:
    """Space of images, mapped from their value range to [-1, 1], resized and edge-padded, in float32.

    Parameters
    ----------
    image_shape : tuple of int
        (channels, height, width).
    value_range : ndarray of shape (2,) or (2, channels), dtype float64
        Lowest and highest value, for all channels or each.
    multiple : int, default=1
        Height and width are padded to a multiple of it, because each downsampling of a UNet halves them.
    size : tuple of int or None, default=None
        Height and width that images are resized to. None leaves them as they are.
    n_channels : int or None, default=None
        Number of channels of the denoiser. If it is not that of the images, which then have one, the channel is
        repeated, and the mean of the denoised channels is the result.
    """

    dtype = torch.float32

    def __init__(self, image_shape, value_range, multiple=1, size=None, n_channels=None):
        self.image_shape, self.value_range = image_shape, value_range
        self.low, self.high = (np.array(end, dtype=np.float64).reshape(-1, 1, 1) for end in value_range)
        self._on_device = {}
        self.size = tuple(image_shape[1:] if size is None else size)
        missing = [-side % multiple for side in self.size]
        (top, bottom), (left, right) = ((m // 2, m - m // 2) for m in missing)
        self.padding = (left, right, top, bottom)
        n_channels = image_shape[0] if n_channels is None else n_channels
        self.shape = (n_channels, *(side + m for side, m in zip(self.size, missing, strict=True)))

    @property
    def is_resized(self):
        """Whether images are resized for the denoiser."""
        return self.size != tuple(self.image_shape[1:])

    def answer_dtype(self, X):
        """Return the dtype of regenerated images, float32."""
        return np.float32

    def outside(self, X):
        """Return the number of values outside the range, with a tolerance for float32 rounding."""
        slack = 1e-6 * (self.high - self.low)
        low, high = self.low - slack, self.high + slack
        if X.min() >= low.max() and X.max() <= high.min():  # nearly always, and much faster than to count
            return 0
        return int(np.count_nonzero((low > X) | (high < X)))

    def encode(self, X, device):
        """Map X to the input space of the denoiser. Values outside the range are clipped to it.

        Parameters
        ----------
        X : ndarray of shape (n, channels, height, width)
            Images in their value range.
        device : torch.device
            The device of the result. X is copied there before it is mapped.

        Returns
        -------
        x : float32 tensor of shape (n, *self.shape)
        """
        carried = X.dtype if device.type != "cpu" and X.dtype in _CARRIED else np.float64
        low, high = self._ends_on(device)
        x = torch.from_numpy(np.array(X, dtype=carried, order="C")).to(device).double()
        x = x.sub_(low).div_(high - low).clamp_(0.0, 1.0).mul_(2.0).sub_(1.0).float()
        x = _resized(x, self.size).clamp_(-1.0, 1.0) if self.is_resized else x
        x = x if self.shape[0] == x.shape[1] else x.expand(-1, self.shape[0], -1, -1)
        return functional.pad(x, self.padding, mode="replicate") if any(self.padding) else x

    def decode(self, x, X):
        """Map denoised images back to the value range, cropped and clamped to it.

        Parameters
        ----------
        x : tensor of shape (n, *self.shape)
            Denoised images.
        X : ndarray of shape (n, channels, height, width)
            The originals. Ignored: no part of an image passes unchanged.

        Returns
        -------
        regenerated : float32 ndarray of shape (n, channels, height, width)
        """
        low, high = (end.float() for end in self._ends_on(x.device))
        x = self._to_image(x.float().clamp(-1.0, 1.0)).clamp(-1.0, 1.0)
        # Rounding may exceed the range by one unit in the last place.
        x = x.add_(1.0).mul_((high - low) / 2).add_(low).clamp_(low, high)
        return x.cpu().numpy()

    def noise_gain(self):
        """Return the standard deviation, at the size of the images, of noise that has 1 at the denoiser's.

        Noise averages out where images are shrunk on the way back, and where the channels of a color denoiser are
        averaged.
        """
        kept = [_kept_variance(*sides) for sides in zip(self.size, self.image_shape[1:], strict=True)]
        return math.sqrt(math.prod(kept) * self.image_shape[0] / self.shape[0])

    def _to_image(self, x):
        left, _, top, _ = self.padding
        height, width = self.size
        x = x[..., top : top + height, left : left + width]
        x = x if self.shape[0] == self.image_shape[0] else x.mean(dim=1, keepdim=True)
        return _resized(x, self.image_shape[1:]) if self.is_resized else x

    def quantize(self, X):
        """Return X quantized to 8 bits of its value range, as uint8 of shape (n, d)."""
        unit = np.array(X, dtype=np.float64)
        unit -= self.low
        unit /= self.high - self.low
        np.clip(unit, 0.0, 1.0, out=unit)
        unit *= _LEVELS
        return np.rint(unit, out=unit).astype(np.uint8).reshape(len(X), -1)

    def _ends_on(self, device):
        # Copied to each device once. Copies for every batch would slow a GPU down.
        if device not in self._on_device:
            self._on_device[device] = tuple(torch.from_numpy(end).to(device) for end in (self.low, self.high))
        return self._on_device[device]

    def __getstate__(self):
        return {name: value for name, value in vars(self).items() if name != "_on_device"}

    def __setstate__(self, state):
        vars(self).update(state, _on_device={})


def _resized(x, size):
    # Without antialiasing, an image that is shrunk keeps a few of its pixels and all of their noise.
    return functional.interpolate(x.contiguous(), size=tuple(size), mode="bicubic", antialias=True)


def _kept_variance(side, new_side):
    if side == new_side:
        return 1.0
    # Resizing is linear and separable: the identity gives the weights of each new pixel. Its columns are repeated,
    # because torch resizes images of one column in another way.
    weights = _resized(torch.eye(side)[:, None, :, None].expand(-1, -1, -1, 4), (new_side, 4))[..., 0]
    return float(weights.square().sum(dim=0).mean())


class RowSpace:
    """Space of rows, standardized by feature in float64. Constant features and missing values pass unchanged.

    To the denoiser, a missing value is the mean of its feature.

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
        """Return the space of X, an ndarray of shape (n, d)."""
        # Some features at a time: float64 may be several times the size of X.
        size = max(1, _VALUES_AT_ONCE // len(X))
        starts = range(0, X.shape[1], size)
        return cls(*np.hstack([_moments(np.asarray(X[:, i : i + size], dtype=np.float64)) for i in starts]))

    @classmethod
    def of_saved(cls, notes):
        """Return the space of a saved denoiser, from its "mean" and "scale"."""
        return cls(*(np.array(notes[name], dtype=np.float64) for name in ("mean", "scale")))

    @property
    def value_range(self):
        """Range of each feature for quantization, of shape (2, d)."""
        return np.stack([self.mean - _ROW_SPAN * self.scale, self.mean + _ROW_SPAN * self.scale])

    def outside(self, X):
        """Return 0, because the values of rows have no limits."""
        return 0

    def noise_gain(self):
        """Return 1: rows are not resized."""
        return 1.0

    def answer_dtype(self, X):
        """Return the dtype of regenerated rows: float32 where that holds the values of the dtype of X, else float64."""
        return np.result_type(X.dtype, np.float32)

    def encode(self, X, device):
        """Map X to standardized features that vary, a float64 tensor of shape (n, d_varying)."""
        return torch.from_numpy(self._standard(X)).to(device)

    def decode(self, x, X):
        """Map denoised rows back to the units of X, with the constant features and the missing values of X."""
        regenerated = np.array(X, dtype=self.answer_dtype(X))
        x = x.cpu().numpy()
        if regenerated.dtype.itemsize > 4:
            # The last bits of float64 depend on the other rows of a batch.
            x = x.astype(np.float32).astype(np.float64)
        changed = x * self.scale[self.varies] + self.mean[self.varies]
        is_missing = np.isnan(regenerated[:, self.varies])
        regenerated[:, self.varies] = np.where(is_missing, np.nan, changed)
        return regenerated

    def quantize(self, X):
        """Return the varying features quantized to 8 bits of their range, as uint8."""
        unit = np.clip(self._standard(X) / (2 * _ROW_SPAN) + 0.5, 0.0, 1.0)
        return np.rint(unit * _LEVELS).astype(np.uint8)

    def _standard(self, X):
        X = np.asarray(X)[:, self.varies].astype(np.float64)
        standard = (X - self.mean[self.varies]) / self.scale[self.varies]
        return np.where(np.isnan(standard), 0.0, standard)


def _moments(X):
    """Return the mean and the standard deviation of each feature; 0 for the latter if the feature is constant."""
    mean, scale = np.zeros((2, X.shape[1]))
    # A feature without a single value has no mean.
    known = ~np.isnan(X).all(axis=0)
    values = X if known.all() else X[:, known]
    if np.isnan(values).any():
        mean[known], scale[known] = np.nanmean(values, axis=0), np.nanstd(values, axis=0)
        varies = np.nanmax(values, axis=0) > np.nanmin(values, axis=0)
    else:
        mean[known], scale[known] = values.mean(axis=0), values.std(axis=0)
        varies = np.ptp(values, axis=0) > 0
    # The standard deviation of a constant column may be a rounding error instead of 0.
    scale[known] *= varies
    return np.stack([mean, scale])


def detect_range(X):
    """Return the value range of images.

    Parameters
    ----------
    X : ndarray of shape (n, channels, height, width)
        Images.

    Returns
    -------
    value_range : float64 ndarray of shape (2,)
        (0, 255) for uint8, or for values within it of which some are above 127. Otherwise the first of (0, 1) and
        (-1, 1) that contains all values, or their minimum and maximum.

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
        raise ValueError(f"value_range='auto' found only one value in X, {low}. Give value_range.")
    return np.array([low, high])


def check_range(value_range, n_channels):
    """Return a validated value range as an array.

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
        If it is no such pair, not finite, or the lowest value is not below the highest.
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


def check_resize(resize, size, trained_size):
    """Return the size of images at the denoiser.

    Parameters
    ----------
    resize : "auto", int, pair of int or None
        The parameter.
    size : tuple of int
        Height and width of the images.
    trained_size : tuple of int or None
        Height and width that a pretrained denoiser was trained at. None if it is not known or none is.

    Returns
    -------
    size : tuple of int

    Raises
    ------
    ValueError
        If it is none of these.
    """
    if resize is None:
        return tuple(size)
    if isinstance(resize, str):
        return tuple(trained_size or size)
    sides = (resize, resize) if isinstance(resize, numbers.Integral) else tuple(resize)
    if len(sides) != 2 or not all(isinstance(side, numbers.Integral) and side >= 1 for side in sides):
        raise ValueError(f"resize must be 'auto', None, a side or a pair (height, width) in pixels. Got {resize!r}.")
    return tuple(int(side) for side in sides)

"""Loaders of images, canaries, and partitions into members and non-members."""

from skdiffence.datasets._canaries import make_canaries
from skdiffence.datasets._digits import load_digit_images
from skdiffence.datasets._images import load_images
from skdiffence.datasets._partition import membership_partition

__all__ = ["load_digit_images", "load_images", "make_canaries", "membership_partition"]

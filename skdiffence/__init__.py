"""Membership privacy for trained classifiers: measure the leak, then lower it without one changed label."""

from skdiffence.base import from_module
from skdiffence.defenses import DefendedClassifier
from skdiffence.diffusion import DiffusionRegenerator

__version__ = "0.1.0"

__all__ = ["DefendedClassifier", "DiffusionRegenerator", "__version__", "from_module"]

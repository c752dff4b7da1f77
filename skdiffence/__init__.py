"""Membership privacy for trained classifiers: measure the leak, then lower it without one changed label."""

import importlib

__version__ = "0.1.0"

__all__ = ["DefendedClassifier", "DiffusionRegenerator", "__version__", "from_module"]

_PLACES = {
    "DefendedClassifier": "skdiffence.defenses",
    "DiffusionRegenerator": "skdiffence.diffusion",
    "from_module": "skdiffence.base",
}
_ROOMS = (
    "attacks",
    "base",
    "datasets",
    "defenses",
    "diffusion",
    "exceptions",
    "inspection",
    "metrics",
    "model_selection",
)


def __getattr__(name):
    # Imported where they are used: torch takes seconds, also of a command that is asked for its version.
    if name in _PLACES:
        return getattr(importlib.import_module(_PLACES[name]), name)
    if name in _ROOMS:
        return importlib.import_module(f"skdiffence.{name}")
    raise AttributeError(f"module 'skdiffence' has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *__all__, *_ROOMS})

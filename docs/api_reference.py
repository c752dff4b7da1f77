"""The API reference as data, from which ``conf.py`` writes its pages; a test checks that no public module is missing.

Each section is (module, title, one sentence, names): the sentence is that of the module, the names are its ``__all__``.
"""

from importlib import import_module

TITLES = {
    "skdiffence.defenses": "Defenses",
    "skdiffence.diffusion": "Diffusion",
    "skdiffence.attacks": "Attacks",
    "skdiffence.metrics": "Metrics",
    "skdiffence.model_selection": "Model selection",
    "skdiffence.inspection": "Inspection",
    "skdiffence.datasets": "Datasets",
    "skdiffence.base": "Base classes",
    "skdiffence.exceptions": "Warnings",
}


def section(name, title):
    """Return the section of a module."""
    module = import_module(name)
    return name, title, module.__doc__.partition("\n")[0], module.__all__


SECTIONS = [section(name, title) for name, title in TITLES.items()]

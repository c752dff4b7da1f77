"""The API reference as data, from which ``conf.py`` writes its pages; a test checks that no public module is missing.

Each section is (module, title, one sentence, names): the sentence is that of the module, the names are its ``__all__``.
Within a module the names are grouped by the rooms that they are defined in.
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
# Rooms of a room, and modules of metrics, in the order in which they are read; names of no such place come first.
GROUPS = {
    "rules": "Rules: how candidates become one answer",
    "training": "While the classifier is trained",
    "output": "On finished answers",
    "answer": "On the answer to the row itself",
    "label_only": "On labels only, or beside a model of the attacker's own",
    "shadow": "With shadow models",
    "adaptive": "By somebody who knows that inputs are regenerated",
    "report": "Reports",
    "displays": "Plots",
    "_signals": "Signals: one number for each row",
    "_scores": "Scores of an attack or a classifier",
    **dict.fromkeys(["_intervals", "_bootstrap", "_operating_point"], "Scores with intervals"),
    **dict.fromkeys(["_groups", "_per_row"], "Of a group or of a single row"),
    **dict.fromkeys(["_multiple_attacks", "_epsilon"], "Of several attacks, and of differential privacy"),
}


def section(name, title):
    """Return the section of a module."""
    module = import_module(name)
    return name, title, module.__doc__.partition("\n")[0], module.__all__


SECTIONS = [section(name, title) for name, title in TITLES.items()]


def room_of(module, name):
    """Return the place below a module, a key of GROUPS, that a public name is defined in, or an empty string."""
    home = getattr(getattr(import_module(module), name), "__module__", "").removeprefix(f"{module}.")
    return next((part for part in home.split(".") if part in GROUPS), "")


def summary(names):
    """Return the table of some names."""
    lines = [".. autosummary::", "   :toctree: generated", "   :nosignatures:", "", *(f"   {name}" for name in names)]
    return "\n".join([*lines, ""])


def heading(title, mark):
    """Return a title of reStructuredText."""
    return f"{title}\n{mark * len(title)}\n"


def module_page(module, title, sentence, names):
    """Return the page of a module."""
    groups = {name: GROUPS.get(room_of(module, name), "") for name in names}
    parts = [heading(title, "="), f".. currentmodule:: {module}\n", f"{sentence} (:mod:`{module}`)\n"]
    for group in ["", *dict.fromkeys(GROUPS.values())]:
        if inside := [name for name in names if groups[name] == group]:
            parts += [heading(group, "-"), summary(inside)] if group else [summary(inside)]
    return "\n".join(parts)


def pages():
    """Return the pages of the reference by name."""
    found = {module.removeprefix("skdiffence."): module_page(module, *rest) for module, *rest in SECTIONS}
    lines = [".. _api:\n", heading("API reference", "=")]
    lines += ["Everything public, by the room it lives in. Names that begin with an underscore are not part of it.\n"]
    lines += [".. toctree::\n   :hidden:\n", *(f"   {name}" for name in found), ""]
    lines += [".. list-table::\n   :widths: 30 70\n"]
    for module, _, sentence, _ in SECTIONS:
        lines += [f"   * - :doc:`{module.removeprefix('skdiffence.')}`", f"     - {sentence}"]
    return found | {"index": "\n".join([*lines, ""])}

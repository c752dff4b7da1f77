"""The table of attacks, made of what their classes say of themselves."""

import inspect

from api_reference import room_of

import skdiffence.attacks
from skdiffence.base import MembershipAttack

READS = {"proba": "probabilities", "labels": "labels", "cost": "time or work"}
FAMILIES = {"answer": "the row itself", "label_only": "the row and its neighbors", "shadow": "the row itself"}
ROOMS = ["answer", "label_only", "shadow", "adaptive"]
COLUMNS = ["Attack", "Asks about", "Reads", "Rows", "Trains", "One query a row"]


def fact(cls, name, words):
    """Return what a class says, or that a setting decides."""
    value = getattr(cls, name)
    return "a setting decides" if isinstance(value, property) else words.get(value, value)


def trains(cls):
    """Return what models an attacker trains."""
    if cls.needs_shadows is True:
        return "shadow models"
    return {True: "a reference model", False: "nothing"}.get(cls.own_model, "a setting decides")


def attack_classes():
    """Return the public attacks by name."""
    found = {name: getattr(skdiffence.attacks, name) for name in skdiffence.attacks.__all__}
    return {
        name: item
        for name, item in found.items()
        if inspect.isclass(item) and issubclass(item, MembershipAttack) and not inspect.isabstract(item)
    }


def row(cls, name):
    """Return the cells of an attack."""
    families = FAMILIES | {"adaptive": "what a defense leaves open"}
    return [
        f":class:`~skdiffence.attacks.{name}`",
        fact(cls, "family", families),
        fact(cls, "uses", READS),
        fact(cls, "row_type", {}),
        trains(cls),
        fact(cls, "asks_once", {True: "yes", False: "no"}),
    ]


def attack_facts():
    """Return the table of attacks as reStructuredText."""
    classes = attack_classes()
    names = sorted(classes, key=lambda name: (ROOMS.index(room_of("skdiffence.attacks", name)), name))
    lines = [".. list-table::", "   :header-rows: 1", "   :widths: 26 20 14 12 16 12", ""]
    for cells in [COLUMNS, *(row(classes[name], name) for name in names)]:
        lines += [f"   {'* -' if number == 0 else '  -'} {cell}" for number, cell in enumerate(cells)]
    return "\n".join([*lines, ""])

"""Attacks that use predicted labels only, of a row and of its neighbors."""

from skdiffence.attacks.label_only._boundary import BoundaryAttack
from skdiffence.attacks.label_only._label_only import LabelOnlyAttack
from skdiffence.attacks.label_only._reference import LabelOnlyReferenceAttack

__all__ = [
    "BoundaryAttack",
    "LabelOnlyAttack",
    "LabelOnlyReferenceAttack",
]

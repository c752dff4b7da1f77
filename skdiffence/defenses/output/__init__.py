"""Defenses that modify the predicted probabilities of a trained classifier."""

from skdiffence.defenses.output._augmented import AugmentedClassifier
from skdiffence.defenses.output._coarse import OutputClassifier
from skdiffence.defenses.output._memguard import MemGuardClassifier
from skdiffence.defenses.output._noise import OutputNoiseClassifier

__all__ = [
    "AugmentedClassifier",
    "MemGuardClassifier",
    "OutputClassifier",
    "OutputNoiseClassifier",
]

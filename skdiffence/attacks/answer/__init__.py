"""Attacks on a single answer for each row."""

from skdiffence.attacks.answer._classifier import ClassifierAttack
from skdiffence.attacks.answer._correctness import CorrectnessAttack
from skdiffence.attacks.answer._histogram import HistogramAttack
from skdiffence.attacks.answer._neural import NeuralAttack
from skdiffence.attacks.answer._non_monotone import NonMonotoneAttack
from skdiffence.attacks.answer._quantile import QuantileAttack
from skdiffence.attacks.answer._reference import ReferenceAttack
from skdiffence.attacks.answer._threshold import ThresholdAttack

__all__ = [
    "ClassifierAttack",
    "CorrectnessAttack",
    "HistogramAttack",
    "NeuralAttack",
    "NonMonotoneAttack",
    "QuantileAttack",
    "ReferenceAttack",
    "ThresholdAttack",
]

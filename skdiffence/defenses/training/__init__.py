"""Defenses that change how the classifier is trained."""

from skdiffence.defenses.training._advreg import AdvRegClassifier
from skdiffence.defenses.training._dpsgd import DPSGDClassifier
from skdiffence.defenses.training._hamp import HAMPClassifier
from skdiffence.defenses.training._relaxloss import RelaxLossClassifier
from skdiffence.defenses.training._selena import SELENAClassifier

__all__ = [
    "AdvRegClassifier",
    "DPSGDClassifier",
    "HAMPClassifier",
    "RelaxLossClassifier",
    "SELENAClassifier",
]

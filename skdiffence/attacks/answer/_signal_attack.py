"""The base of attacks on one signal of the answer."""

from skdiffence.attacks._answers import LABEL_FREE_SIGNALS
from skdiffence.attacks._base import SingleQueryAttack
from skdiffence.metrics._signals import SIGNALS
from skdiffence.utils._sklearn import StrOptions


class SignalAttack(SingleQueryAttack):
    """Base class of attacks with a parameter ``signal``."""

    _parameter_constraints: dict = {"signal": [StrOptions(set(SIGNALS))]}

    @property
    def uses(self):
        """What is read in an answer: "labels" for the signal "correctness", otherwise "proba"."""
        return "labels" if self.signal == "correctness" else "proba"

    @property
    def needs_true_labels(self):
        """Whether true labels are read: unless the signal is "entropy"."""
        return self.signal not in LABEL_FREE_SIGNALS

"""Attacks that tell the members of a training set from a classifier's answers."""

from skdiffence.attacks._adaptive import attacks_on_regeneration
from skdiffence.attacks._answers import Answers, query
from skdiffence.attacks._boundary import BoundaryAttack
from skdiffence.attacks._classifier import ClassifierAttack
from skdiffence.attacks._correctness import CorrectnessAttack
from skdiffence.attacks._cost import AnswerCostAttack
from skdiffence.attacks._fallback import FallbackAttack
from skdiffence.attacks._histogram import HistogramAttack
from skdiffence.attacks._label_only import LabelOnlyAttack
from skdiffence.attacks._lira import lira_leave_one_out, lira_scores
from skdiffence.attacks._lira_attack import LiRAAttack
from skdiffence.attacks._neural import NeuralAttack
from skdiffence.attacks._non_monotone import NonMonotoneAttack
from skdiffence.attacks._precompensated import PrecompensatedQueryAttack
from skdiffence.attacks._quantile import QuantileAttack
from skdiffence.attacks._registry import get_attack, get_attack_names
from skdiffence.attacks._repeated import RepeatedQueryAttack
from skdiffence.attacks._rmia import rmia_scores
from skdiffence.attacks._rmia_attack import RMIAAttack
from skdiffence.attacks._shadows import train_shadows
from skdiffence.attacks._single_query import SingleQueryAttack
from skdiffence.attacks._surrogate import SurrogateRegenerationAttack
from skdiffence.attacks._threshold import ThresholdAttack

__all__ = [
    "AnswerCostAttack",
    "Answers",
    "BoundaryAttack",
    "ClassifierAttack",
    "CorrectnessAttack",
    "FallbackAttack",
    "HistogramAttack",
    "LabelOnlyAttack",
    "LiRAAttack",
    "NeuralAttack",
    "NonMonotoneAttack",
    "PrecompensatedQueryAttack",
    "QuantileAttack",
    "RMIAAttack",
    "RepeatedQueryAttack",
    "SingleQueryAttack",
    "SurrogateRegenerationAttack",
    "ThresholdAttack",
    "attacks_on_regeneration",
    "get_attack",
    "get_attack_names",
    "lira_leave_one_out",
    "lira_scores",
    "query",
    "rmia_scores",
    "train_shadows",
]

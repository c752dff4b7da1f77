"""Membership inference attacks."""

from skdiffence.attacks._answers import Answers, query
from skdiffence.attacks._base import SingleQueryAttack
from skdiffence.attacks._registry import get_attack, get_attack_names
from skdiffence.attacks.adaptive import (
    AnswerCostAttack,
    FallbackAttack,
    PrecompensatedQueryAttack,
    RepeatedQueryAttack,
    SurrogateRegenerationAttack,
    attacks_on_regeneration,
)
from skdiffence.attacks.answer import (
    ClassifierAttack,
    CorrectnessAttack,
    HistogramAttack,
    NeuralAttack,
    NonMonotoneAttack,
    QuantileAttack,
    ReferenceAttack,
    ThresholdAttack,
)
from skdiffence.attacks.label_only import BoundaryAttack, LabelOnlyAttack, LabelOnlyReferenceAttack
from skdiffence.attacks.shadow import (
    LiRAAttack,
    RMIAAttack,
    lira_leave_one_out,
    lira_scores,
    rmia_scores,
    train_shadows,
)

__all__ = [
    "AnswerCostAttack",
    "Answers",
    "BoundaryAttack",
    "ClassifierAttack",
    "CorrectnessAttack",
    "FallbackAttack",
    "HistogramAttack",
    "LabelOnlyAttack",
    "LabelOnlyReferenceAttack",
    "LiRAAttack",
    "NeuralAttack",
    "NonMonotoneAttack",
    "PrecompensatedQueryAttack",
    "QuantileAttack",
    "RMIAAttack",
    "ReferenceAttack",
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

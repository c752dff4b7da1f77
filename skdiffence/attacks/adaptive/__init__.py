"""Attacks by an adversary who knows that a defense regenerates its inputs."""

from skdiffence.attacks.adaptive._cost import AnswerCostAttack
from skdiffence.attacks.adaptive._fallback import FallbackAttack
from skdiffence.attacks.adaptive._precompensated import PrecompensatedQueryAttack
from skdiffence.attacks.adaptive._repeated import RepeatedQueryAttack
from skdiffence.attacks.adaptive._suite import attacks_on_regeneration
from skdiffence.attacks.adaptive._surrogate import SurrogateRegenerationAttack

__all__ = [
    "AnswerCostAttack",
    "FallbackAttack",
    "PrecompensatedQueryAttack",
    "RepeatedQueryAttack",
    "SurrogateRegenerationAttack",
    "attacks_on_regeneration",
]

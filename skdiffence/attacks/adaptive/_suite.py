"""The suite of attacks on a defense that regenerates its inputs."""

from numbers import Integral

from skdiffence.attacks.adaptive._cost import AnswerCostAttack
from skdiffence.attacks.adaptive._precompensated import PrecompensatedQueryAttack
from skdiffence.attacks.adaptive._repeated import RepeatedQueryAttack
from skdiffence.attacks.adaptive._surrogate import SurrogateRegenerationAttack
from skdiffence.attacks.answer._non_monotone import NonMonotoneAttack
from skdiffence.utils._sklearn import HasMethods, Interval, validate_params


@validate_params(
    {
        "regenerator": [HasMethods(["regenerate"]), None],
        "target": [HasMethods(["predict_proba"]), None],
        "surrogate": [HasMethods(["predict", "predict_proba"]), None],
        "k": [Interval(Integral, 2, None, closed="left")],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def attacks_on_regeneration(regenerator=None, *, target=None, surrogate=None, k=8, random_state=None):
    """Return the attacks to try on a defense that regenerates its inputs.

    Parameters
    ----------
    regenerator : object with ``regenerate(X, candidate)`` or None, default=None
        The attacker's own, see :class:`PrecompensatedQueryAttack`. Without it the suite stretches the contrast instead.
    target : classifier or None, default=None
        The target. If it has ``select``, the number of regenerations of its answers is attacked too.
    surrogate : classifier or None, default=None
        A classifier of the attacker's own, see :class:`SurrogateRegenerationAttack`.
    k : int, default=8
        Number of queries for each row, and of the attacker's regenerations.
    random_state : int, RandomState instance or None, default=None
        Seeds every attack.

    Returns
    -------
    attacks : dict of str to MembershipAttack
        Unfitted. "non_monotone" and "answer_cost" query each row once; "repeated_exact", "repeated_gray",
        "repeated_quantum" and "repeated_ulp" k times. With a regenerator, "precompensated_1" queries once,
        "precompensated_k", named by the number, k times and "surrogate" 1 + k times. Without, "contrast" queries k
        times.

    See Also
    --------
    skdiffence.model_selection.AttackScorer : Takes ``list(attacks.items())``.

    Examples
    --------
    >>> from skdiffence.attacks import attacks_on_regeneration
    >>> sorted(attacks_on_regeneration(random_state=0))
    ['contrast', 'non_monotone', 'repeated_exact', 'repeated_gray', 'repeated_quantum', 'repeated_ulp']
    """
    attacks = {"non_monotone": NonMonotoneAttack(random_state=random_state)}
    for neighbor in ("exact", "ulp", "quantum", "gray"):
        attacks[f"repeated_{neighbor}"] = RepeatedQueryAttack(k, neighbor=neighbor, random_state=random_state)
    if regenerator is None:
        attacks["contrast"] = PrecompensatedQueryAttack(mode="contrast", n_queries=k, random_state=random_state)
    else:
        for n_queries in (1, k):
            attacks[f"precompensated_{n_queries}"] = PrecompensatedQueryAttack(
                regenerator, n_queries=n_queries, n_regenerations=k, random_state=random_state
            )
        attacks["surrogate"] = SurrogateRegenerationAttack(
            regenerator, surrogate, n_regenerations=k, random_state=random_state
        )
    if hasattr(target, "select"):
        attacks["answer_cost"] = AnswerCostAttack()
    return attacks

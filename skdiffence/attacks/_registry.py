"""Attacks by name."""

from functools import partial

from skdiffence.attacks._non_monotone import NonMonotoneAttack
from skdiffence.attacks._threshold import ThresholdAttack

_ATTACKS = {
    "confidence": partial(ThresholdAttack, "confidence"),
    "correctness": partial(ThresholdAttack, "correctness"),
    "entropy": partial(ThresholdAttack, "entropy"),
    "logit": partial(ThresholdAttack, "logit"),
    "loss": partial(ThresholdAttack, "loss"),
    "modified_entropy": partial(ThresholdAttack, "modified_entropy"),
    "non_monotone": NonMonotoneAttack,
}


def get_attack_names():
    """Return the names of all attacks.

    Returns
    -------
    names : list of str
        In alphabetical order.

    Examples
    --------
    >>> from skdiffence.attacks import get_attack_names
    >>> get_attack_names()
    ['confidence', 'correctness', 'entropy', 'logit', 'loss', 'modified_entropy', 'non_monotone']
    """
    return sorted(_ATTACKS)


def get_attack(name):
    """Return a new, unfitted attack by its name.

    Parameters
    ----------
    name : str
        One of :func:`get_attack_names`.

    Returns
    -------
    attack : MembershipAttack

    Raises
    ------
    ValueError
        If there is no such attack.

    Examples
    --------
    >>> from skdiffence.attacks import get_attack
    >>> get_attack("entropy")
    ThresholdAttack(signal='entropy')
    """
    if not isinstance(name, str) or name not in _ATTACKS:
        raise ValueError(f"name must be one of {get_attack_names()}. Got {name!r}.")
    return _ATTACKS[name]()

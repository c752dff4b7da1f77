"""Attacks as users list them: names, attacks, or pairs of both."""

import re

from skdiffence.attacks import ThresholdAttack, get_attack
from skdiffence.base import MembershipAttack

_NEED_SHADOWS = ("lira", "rmia")


def named_attacks(attacks):
    """Return the attacks of a list under distinct names.

    Parameters
    ----------
    attacks : iterable of str, MembershipAttack or (str, MembershipAttack), or dict of str to MembershipAttack
        Names are those of :func:`skdiffence.attacks.get_attack_names`. An attack without a name is named after its
        class.

    Returns
    -------
    attacks : dict of str to MembershipAttack
        In the order of the list.

    Raises
    ------
    ValueError
        If the list is empty, names an attack twice or holds something else.
    """
    entries = attacks.items() if isinstance(attacks, dict) else attacks
    pairs = [_named(entry) for entry in entries]
    names = [name for name, _ in pairs]
    if not names or len(set(names)) < len(names):
        raise ValueError(f"attacks must name at least one attack and none twice. Got {names}.")
    return dict(pairs)


def _named(entry):
    if isinstance(entry, str):
        if entry in _NEED_SHADOWS:
            raise ValueError(f"attacks: {entry!r} needs shadows=; pass an attack that is made with them.")
        return entry, get_attack(entry)
    if isinstance(entry, MembershipAttack):
        return _own_name(entry), entry
    if isinstance(entry, tuple) and len(entry) == 2 and isinstance(entry[0], str):
        name, attack = entry
        if isinstance(attack, MembershipAttack):
            return name, attack
    raise ValueError(f"attacks must hold names, attacks or pairs (name, attack). Got {entry!r}.")


def _own_name(attack):
    if isinstance(attack, ThresholdAttack):
        return attack.signal + "_per_class" * (attack.threshold == "per_class")
    words = re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", "_", type(attack).__name__.removesuffix("Attack"))
    return words.lower()

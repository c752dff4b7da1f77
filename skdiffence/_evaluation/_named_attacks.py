"""Attacks as users list them: names, attacks, or pairs of both."""

import re

import numpy as np

from skdiffence.attacks import ThresholdAttack, get_attack, get_attack_names
from skdiffence.base import MembershipAttack
from skdiffence.utils._frames import frame_columns, has_numbers, is_frame, is_numeric

_NEED_SHADOWS = ("lira", "rmia")


def named_attacks(attacks, parameter="attacks"):
    """Return the attacks of a list under distinct names.

    Parameters
    ----------
    attacks : iterable of str, MembershipAttack or (str, MembershipAttack), or dict of str to MembershipAttack
        Names are those of :func:`skdiffence.attacks.get_attack_names`. An attack without a name is named after its
        class.
    parameter : str, default="attacks"
        What error messages call the parameter.

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
    pairs = [_named(entry, parameter) for entry in entries]
    names = [name for name, _ in pairs]
    if not names or len(set(names)) < len(names):
        raise ValueError(f"{parameter} must name at least one attack and none twice. Got {names}.")
    return dict(pairs)


def row_types(X):
    """Return the ``row_type`` of the attacks that can be run on rows.

    Parameters
    ----------
    X : array-like, sparse matrix or data frame of shape (n_samples, ...)
        Rows.

    Returns
    -------
    row_types : set of str
    """
    if not has_numbers(X):
        return {"any"}
    if is_frame(X):
        return {"any", "numeric"}
    return {"any", "numeric", "arrays"} | ({"images"} if np.ndim(X) == 4 else set())


def check_row_types(attacks, X):
    """Raise an error if an attack that was asked for can't be run on rows.

    Parameters
    ----------
    attacks : dict of str to MembershipAttack
        The attacks.
    X : array-like, sparse matrix or data frame of shape (n_samples, ...)
        Rows.

    Raises
    ------
    ValueError
        If it needs numeric rows, an array or images, and the rows are not.
    """
    suited = row_types(X)
    needed = {
        "numeric": "dense rows of numbers",
        "arrays": "a dense array of numbers",
        "images": "images of shape (n_samples, channels, height, width)",
    }
    for name, attack in attacks.items():
        if attack.row_type not in suited:
            raise ValueError(
                f"attacks: {name!r} needs {needed.get(attack.row_type, attack.row_type)}. Got {_described(X)}. "
                'Leave it out, or pass attacks="standard" for all that can be run on these rows.'
            )


def _described(X):
    columns = [str(name) for name, dtype, _ in frame_columns(X) if not is_numeric(dtype)] if is_frame(X) else []
    if columns:
        return f"columns that are not numeric: {', '.join(columns[:5])}{', ...' if len(columns) > 5 else ''}"
    return f"rows of type {type(X).__name__}, shape {getattr(X, 'shape', None)} and dtype {getattr(X, 'dtype', None)}"


def _named(entry, parameter):
    if isinstance(entry, str):
        if entry in _NEED_SHADOWS:
            raise ValueError(f"{parameter}: {entry!r} needs shadows=; pass an attack that is made with them.")
        if entry not in (names := get_attack_names()):
            raise ValueError(f"{parameter} must hold attacks or names of attacks: {', '.join(names)}. Got {entry!r}.")
        return entry, get_attack(entry)
    if isinstance(entry, MembershipAttack):
        return _own_name(entry), entry
    if isinstance(entry, tuple) and len(entry) == 2 and isinstance(entry[0], str):
        name, attack = entry
        if isinstance(attack, MembershipAttack):
            return name, attack
    raise ValueError(f"{parameter} must hold names, attacks or pairs (name, attack). Got {entry!r}.")


def _own_name(attack):
    if isinstance(attack, ThresholdAttack):
        return attack.signal + "_per_class" * (attack.threshold == "per_class")
    words = re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", "_", type(attack).__name__.removesuffix("Attack"))
    return words.lower()

"""Attacks by name."""

from functools import partial

from skdiffence.attacks.answer._classifier import ClassifierAttack
from skdiffence.attacks.answer._correctness import CorrectnessAttack
from skdiffence.attacks.answer._histogram import HistogramAttack
from skdiffence.attacks.answer._neural import NeuralAttack
from skdiffence.attacks.answer._non_monotone import NonMonotoneAttack
from skdiffence.attacks.answer._quantile import QuantileAttack
from skdiffence.attacks.answer._reference import ReferenceAttack
from skdiffence.attacks.answer._threshold import ThresholdAttack
from skdiffence.attacks.label_only._label_only import LabelOnlyAttack
from skdiffence.attacks.label_only._reference import LabelOnlyReferenceAttack

# Those that need nothing but a target and known rows.
_ATTACKS = {
    "classifier": ClassifierAttack,
    "confidence": partial(ThresholdAttack, "confidence"),
    "correctness": CorrectnessAttack,
    "entropy": partial(ThresholdAttack, "entropy"),
    "histogram": HistogramAttack,
    "label_only_augmentation": partial(LabelOnlyAttack, "augmentation"),
    "label_only_noise": partial(LabelOnlyAttack, "noise"),
    "label_only_reference": LabelOnlyReferenceAttack,
    "label_only_reference_noise": partial(LabelOnlyReferenceAttack, n_queries=31),
    "logit": partial(ThresholdAttack, "logit"),
    "loss": partial(ThresholdAttack, "loss"),
    "modified_entropy": partial(ThresholdAttack, "modified_entropy"),
    "neural": NeuralAttack,
    "non_monotone": NonMonotoneAttack,
    "quantile": QuantileAttack,
    "reference": ReferenceAttack,
}


def get_attack_names():
    """Return the names of the attacks that need nothing but a target and known rows.

    Returns
    -------
    names : list of str
        In alphabetical order.

    Examples
    --------
    >>> from skdiffence.attacks import get_attack_names
    >>> "entropy" in get_attack_names()
    True
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

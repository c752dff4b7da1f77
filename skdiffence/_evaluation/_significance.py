"""Whether the strongest of several attacks is stronger than chance, by permuting memberships."""

from typing import NamedTuple

import numpy as np
from scipy.stats import rankdata
from sklearn.base import clone

from skdiffence.attacks import ThresholdAttack
from skdiffence.metrics import max_null_quantile
from skdiffence.utils._random import mix_seed

_CHUNK = 2_000_000  # memberships permuted at a time
_QUANTILE = 0.975  # in each half: one of the two is exceeded by chance in 5 % of the audits


class ChanceTest(NamedTuple):
    """How likely chance alone gives what several attacks achieved.

    Parameters
    ----------
    p_value : float
        Permutation p-value of all attacks together.
    least_likely : str
        The attack with the smallest p-value.
    null_quantile : float
        In each half, the strongest of as many random-guess attacks stays below this area in 97.5 % of the cases.
    """

    p_value: float
    least_likely: str
    null_quantile: float


def undirected_signal(attack, answers, is_member):
    """Return the scores of an attack that learns nothing but their direction, None for any other attack.

    Parameters
    ----------
    attack : MembershipAttack
        Cloned.
    answers : Answers
        The target's answers.
    is_member : ndarray of shape (n_samples,), dtype bool
        True for members.

    Returns
    -------
    signal : ndarray of shape (n_samples,) or None
        Up to its direction, it does not depend on memberships.
    """
    if isinstance(attack, ThresholdAttack) and attack.threshold == "global":
        return clone(attack).fit_answers(answers, is_member).score_answers(answers)
    return None


def compare_with_chance(said, signals, is_member, kept, keys, *, n_permutations, seed):
    """Compare several attacks with as many random-guess attacks.

    Areas of different attacks have different variances, so each is standardized by its deviation under permuted
    memberships, the same permutations for all. Two kinds of scores can be permuted: signals, which do not depend on
    memberships, over all rows and in both directions; and learned scores within each half, which were learned from
    the other. The smallest of the p-values of these parts times their number is a p-value, however the parts depend
    on each other.

    Parameters
    ----------
    said : dict of str to AttackScores
        Scores of all attacks, by name.
    signals : dict of str to ndarray of shape (n_samples,)
        Signals of the attacks that have one, see :func:`undirected_signal`.
    is_member : ndarray of shape (n_samples,), dtype bool
        True for members.
    kept : ndarray of shape (n_samples,), dtype bool
        Rows to look at.
    keys : ndarray of shape (n_samples,)
        Digests, which give the rows an order that does not depend on how they were passed.
    n_permutations : int
        Number of permutations.
    seed : int
        Seeds the permutations.

    Returns
    -------
    test : ChanceTest
    """
    order = np.argsort(keys, kind="stable")
    order = order[kept[order]]
    is_member, said = is_member[order], {name: each.take(order) for name, each in said.items()}
    half = next(iter(said.values())).half
    masks = [half == which for which in (0, 1)]
    masks = [mask for mask in masks if is_member[mask].any() and not is_member[mask].all()]
    tests = []
    if signals and is_member.any() and not is_member.all():
        ordered = {name: signal[order] for name, signal in signals.items()}
        tests.append(_test(is_member, ordered, True, n_permutations, mix_seed(seed, "signals")))
    learned = {name: each.scores for name, each in said.items() if name not in signals}
    if learned:
        for which, mask in enumerate(masks):
            scores = {name: values[mask] for name, values in learned.items()}
            tests.append(_test(is_member[mask], scores, False, n_permutations, mix_seed(seed, "half", which)))
    p_value, name = min(tests, default=(1.0, next(iter(said))))
    scores = np.column_stack([each.scores for each in said.values()])
    quantiles = [
        _null_quantile(is_member[mask], scores[mask], n_permutations, mix_seed(seed, "quantile", which))
        for which, mask in enumerate(masks)
    ]
    return ChanceTest(min(1.0, len(tests) * p_value), name, float(max(quantiles, default=np.nan)))


def _null_quantile(is_member, scores, n_permutations, seed):
    settings = {"quantile": _QUANTILE, "n_permutations": n_permutations, "random_state": seed % 2**32}
    return max_null_quantile(is_member, scores, **settings).quantile


def _test(is_member, scores, both_directions, n_permutations, seed):
    """Return the p-value of the most significant of several attacks, corrected for their number, and its name."""
    units = np.column_stack([_standardized(values) for values in scores.values()])

    def statistics(members):
        values = members.astype(np.float64) @ units
        return np.abs(values) if both_directions else values

    seen = statistics(is_member[None])[0]
    rng, size = np.random.default_rng(seed), max(1, _CHUNK // len(is_member))
    reached = 0
    for start in range(0, n_permutations, size):
        drawn = np.tile(is_member, (min(size, n_permutations - start), 1))
        highest = statistics(rng.permuted(drawn, axis=1)).max(axis=1)
        reached += np.count_nonzero(highest >= seen.max() - 1e-9)
    # The observed memberships are one of the permutations.
    return float((reached + 1) / (n_permutations + 1)), list(scores)[int(seen.argmax())]


def _standardized(values):
    ranks = rankdata(values)
    ranks -= ranks.mean()
    spread = np.sqrt((ranks**2).sum())
    return ranks / spread if spread > 0 else ranks

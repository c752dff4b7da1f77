"""Whether the strongest of several attacks is stronger than chance, by permuting memberships."""

import numpy as np
from scipy.stats import rankdata

from skdiffence.metrics import max_null_quantile
from skdiffence.utils._random import mix_seed

_CHUNK = 2_000_000  # memberships permuted at a time
_QUANTILE = 0.975  # of a half: one of two is beyond it by chance in 5 % of the audits


def compare_with_chance(runs, is_member, kept, keys, *, n_permutations, seed):
    """Compare several attacks with as many that know nothing.

    Areas of different attacks are not equally certain, so each counts in units of its own deviation under permuted
    memberships, the same permutations for all. Two kinds of scores can be permuted: signals, which do not depend on
    memberships, over all rows and in both directions; and learned scores within each half, which were learned from
    the other. Whatever these parts have to do with each other, the smallest of their p-values times their number is
    a p-value.

    Parameters
    ----------
    runs : list of AttackRun
        The attacks.
    is_member : ndarray of shape (n_samples,), dtype bool
        True for members.
    kept : ndarray of shape (n_samples,), dtype bool
        Rows to look at.
    keys : ndarray of shape (n_samples,)
        Digests, which put the rows in an order of their own.
    n_permutations : int
        Number of permutations.
    seed : int
        Seeds them.

    Returns
    -------
    comparison : dict
        ``p_value``, of all attacks and parts together, ``least_likely``, the attack that it is due to, and
        ``null_quantile``: in each half, the strongest of as many attacks that know nothing stays below it in 97.5 %
        of the cases.
    """
    order = np.argsort(keys, kind="stable")
    order = order[kept[order]]
    is_member, half = is_member[order], runs[0].half[order]
    signals = {run.name: run.signal[order] for run in runs if run.signal is not None}
    learned = {run.name: run.scores[order] for run in runs if run.signal is None}
    masks = [half == which for which in (0, 1)]
    masks = [mask for mask in masks if is_member[mask].any() and not is_member[mask].all()]
    tests = []
    if signals and is_member.any() and not is_member.all():
        tests.append(_test(is_member, signals, True, n_permutations, mix_seed(seed, "signals")))
    if learned:
        for which, mask in enumerate(masks):
            scores = {name: values[mask] for name, values in learned.items()}
            tests.append(_test(is_member[mask], scores, False, n_permutations, mix_seed(seed, "half", which)))
    p_value, name = min(tests, default=(1.0, runs[0].name))
    quantiles = [
        max_null_quantile(
            is_member[mask],
            np.column_stack([run.scores[order][mask] for run in runs]),
            quantile=_QUANTILE,
            n_permutations=n_permutations,
            random_state=mix_seed(seed, "quantile", which) % 2**32,
        ).quantile
        for which, mask in enumerate(masks)
    ]
    return {
        "p_value": min(1.0, len(tests) * p_value),
        "least_likely": name,
        "null_quantile": float(max(quantiles, default=np.nan)),
    }


def _test(is_member, scores, both_directions, n_permutations, seed):
    """Return the p-value of the most certain of several attacks among them all, and its name."""
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

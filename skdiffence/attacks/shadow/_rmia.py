"""The relative attack on arrays: a row's likelihood ratio against those of rows that are known non-members."""

from numbers import Real

import numpy as np

from skdiffence.utils._sklearn import Interval, StrOptions, validate_params
from skdiffence.utils._validation import check_is_member

# What single precision may add to a probability of 1.
_TOLERANCE = 1e-6

MODES = {"online", "offline"}


@validate_params(
    {
        "target_proba": ["array-like"],
        "shadow_proba": ["array-like"],
        "membership": ["array-like"],
        "target_population": ["array-like"],
        "shadow_population": ["array-like"],
        "mode": [StrOptions(MODES)],
        "offline_a": [Interval(Real, 0, 1, closed="both")],
        "gamma": [Interval(Real, 0, None, closed="neither")],
        "population_membership": ["array-like", None],
    },
    prefer_skip_nested_validation=True,
)
def rmia_scores(
    target_proba,
    shadow_proba,
    membership,
    target_population,
    shadow_population,
    *,
    mode="online",
    offline_a=0.3,
    gamma=1.0,
    population_membership=None,
):
    """Score rows by the robust membership inference attack, RMIA; higher means more likely a member.

    A row x is compared with rows z of a population that the target was not trained on: the score is the share of them
    with ``r(x) / r(z) > gamma``, where ``r`` is the target's probability of the true class divided by a reference
    probability from the shadow models.

    Parameters
    ----------
    target_proba : array-like of shape (n_samples,)
        The target's probability of the true class, see :func:`~skdiffence.metrics.confidence_signal`.
    shadow_proba : array-like of shape (n_samples, n_models)
        The same of the shadow models. NaN where there is none.
    membership : array-like of shape (n_samples, n_models), dtype bool
        True for models that were trained on the row ("IN"), False for others ("OUT").
    target_population : array-like of shape (n_population,)
        The target's probability of the true class for rows that it was not trained on.
    shadow_population : array-like of shape (n_population, n_models)
        The same of the shadow models. NaN where there is none.
    mode : {"online", "offline"}, default="online"
        "online": the reference is the mean over all models. "offline": from the mean over OUT models, ``p_out``, the
        reference is ``((1 + offline_a) * p_out + 1 - offline_a) / 2``. Rows and population are treated alike.
    offline_a : float, default=0.3
        How strongly the probability under IN models depends on that under OUT models, in [0, 1].
    gamma : float, default=1.0
        How much larger a row's ratio must be to count.
    population_membership : array-like of shape (n_population, n_models), dtype bool, default=None
        True for models that were trained on the row of the population. None means that none was.

    Returns
    -------
    scores : ndarray of shape (n_samples,), dtype float64
        In [0, 1], multiples of ``1 / n_population``: expect ties, and no useful true positive rate at false positive
        rates below that.

    Raises
    ------
    ValueError
        If shapes do not belong together, a value is no probability, or a row has no model to refer to: one that was
        not trained on it if offline, any if online.

    See Also
    --------
    RMIAAttack : The same as an estimator.
    lira_scores : Gaussians in place of the population.

    Notes
    -----
    All models that have a value count, however many they are. A row to which the target and all models give
    probability 0 has ratio 1.

    References
    ----------
    Zarifzadeh, Liu and Shokri, "Low-cost high-power membership inference attacks", ICML 2024, section 2 and appendix
    B.2.2.

    Examples
    --------
    >>> import numpy as np
    >>> from skdiffence.attacks import rmia_scores
    >>> shadow_proba, membership = np.array([[0.9, 0.5], [0.8, 0.6]]), np.array([[True, False], [True, False]])
    >>> shadow_population = np.array([[0.5, 0.7], [0.5, 0.5], [0.4, 0.4]])
    >>> rmia_scores([0.8, 0.3], shadow_proba, membership, [0.6, 0.6, 0.1], shadow_population)
    array([0.66666667, 0.33333333])
    """
    target, shadows, membership = _checked(target_proba, shadow_proba, membership, "")
    population = _checked(target_population, shadow_population, population_membership, "population")
    if population[1].shape[1] != shadows.shape[1]:
        raise ValueError(
            "shadow_proba and shadow_population must be about the same models. "
            f"Got {shadows.shape[1]} and {population[1].shape[1]}."
        )
    options = {"mode": mode, "offline_a": offline_a}
    ratios = likelihood_ratios(target, reference(shadows, membership, **options))
    in_population = likelihood_ratios(population[0], reference(*population[1:], **options, name="population"))
    return share_below(ratios, in_population, gamma)


def reference(shadows, membership, *, mode, offline_a, name="rows"):
    """Return what the target's probability is divided by.

    Parameters
    ----------
    shadows : ndarray of shape (n_samples, n_models)
        Probabilities of the true class, NaN where there is none.
    membership : ndarray of shape (n_samples, n_models), dtype bool
        True for models that were trained on the row.
    mode : {"online", "offline"}
        See :func:`rmia_scores`.
    offline_a : float
        See :func:`rmia_scores`.
    name : str, default="rows"
        What errors call the rows.

    Returns
    -------
    reference : ndarray of shape (n_samples,)

    Raises
    ------
    ValueError
        If there is no model to refer to.
    """
    there = ~np.isnan(shadows) & (~membership if mode == "offline" else True)
    count = there.sum(axis=1)
    if not count.all():
        raise ValueError(
            f"membership must leave each of the {name} a model "
            + ("that was not trained on it and has a value. " if mode == "offline" else "that has a value. ")
            + f"{(count == 0).sum()} of {len(count)} have none, the first at position {(count == 0).argmax()}."
        )
    mean = np.where(there, shadows, 0.0).sum(axis=1) / count
    return mean if mode == "online" else ((1 + offline_a) * mean + 1 - offline_a) / 2


def likelihood_ratios(target, reference):
    """Divide probabilities by their references, so that nothing against nothing is 1.

    Parameters
    ----------
    target, reference : ndarray of shape (n_samples,)
        Probabilities.

    Returns
    -------
    ratios : ndarray of shape (n_samples,)
        Infinite where only the reference is zero.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where((target == 0) & (reference == 0), 1.0, target / reference)


def share_below(ratios, population, gamma):
    """Return for each ratio the share of the population's that it exceeds ``gamma`` times.

    Parameters
    ----------
    ratios : ndarray of shape (n_samples,)
        Of the rows.
    population : ndarray of shape (n_population,)
        Of the population.
    gamma : float
        See :func:`rmia_scores`.

    Returns
    -------
    shares : ndarray of shape (n_samples,)
    """
    return np.searchsorted(np.sort(gamma * population), ratios, side="left") / len(population)


def _checked(target, shadows, membership, name):
    of_target, of_shadows = (f"target_{name}", f"shadow_{name}") if name else ("target_proba", "shadow_proba")
    target, shadows = np.asarray(target, dtype=np.float64), np.asarray(shadows, dtype=np.float64)
    if target.ndim != 1 or shadows.ndim != 2 or len(target) != len(shadows) or not shadows.size:
        raise ValueError(
            f"{of_target} and {of_shadows} must have shapes (n,) and (n, n_models), none of them zero. "
            f"Got {target.shape} and {shadows.shape}."
        )
    wrong = (~_are_probabilities(target)).sum() + (~_are_probabilities(shadows) & ~np.isnan(shadows)).sum()
    if wrong:
        raise ValueError(
            f"{of_target} and {of_shadows} must hold probabilities, from 0 to 1; only a shadow's may be NaN. "
            f"Got {wrong} values that are none."
        )
    if membership is None:
        return target, shadows, np.zeros(shadows.shape, dtype=bool)
    return target, shadows, check_is_member(membership, shadows.shape, name=f"{name}_membership".lstrip("_"))


def _are_probabilities(values):
    return (values >= 0) & (values <= 1 + _TOLERANCE)

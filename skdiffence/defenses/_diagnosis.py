"""Label retention and fallback rates, and warnings of a defense that does not work."""

import warnings

import numpy as np
from sklearn.utils import Bunch

from skdiffence.exceptions import DefenseWarning
from skdiffence.utils._rows import row_digests

_POOR_RETENTION = 0.5
_POOR_FALLBACK = 0.1
_MANY_UNCHANGED = 0.01


def by_class(flags, labels, n_classes):
    """Compute the rate of flags over all rows and over the rows of each label.

    Parameters
    ----------
    flags : ndarray of shape (n,) or (n, k)
        Booleans.
    labels : ndarray of shape (n,), dtype int
        The label of each row.
    n_classes : int
        Number of classes.

    Returns
    -------
    rates : Bunch
        ``overall`` (float), ``by_class`` (n_classes,) with NaN for absent classes, ``n_rows`` (int).
    """
    rates = np.full(n_classes, np.nan)
    for label in np.unique(labels):
        rates[label] = flags[labels == label].mean()
    return Bunch(overall=float(flags.mean()), by_class=rates, n_rows=len(flags))


def describe(regenerator):
    """Return the settings of a regenerator on which its quality depends, as text."""
    settings = {name: getattr(regenerator, name, None) for name in ("timestep", "max_epochs")}
    told = ", ".join(f"{name}={value}" for name, value in settings.items() if value is not None)
    return told or type(regenerator).__name__


def warn_if_poor(retention, fallback_rate, regenerator, *, n_candidates, relabels):
    """Warn if few candidates keep their label, or many rows fall back.

    Parameters
    ----------
    retention, fallback_rate : dict of str to Bunch
        By side.
    regenerator : estimator
        Fitted.
    n_candidates : int
        Candidates per row.
    relabels : bool
        Whether the rule uses candidates that change the label, so that no row falls back.
    """
    for side, rates in retention.items():
        lost = fallback_rate[side].overall
        if rates.overall < _POOR_RETENTION or (lost > _POOR_FALLBACK and not relabels):
            warnings.warn(
                f"Only {rates.overall:.0%} of the candidates of {rates.n_rows} {side.replace('_', '-')} keep their "
                f"label, and {lost:.0%} of these rows have no candidate that does (n_candidates={n_candidates}). The "
                f"regenerator ({describe(regenerator)}) destroys its inputs: lower timestep, train it on more rows or "
                "for more epochs, or raise n_candidates.",
                DefenseWarning,
                stacklevel=2,
            )


def check_candidate_numbers(regenerator, rule, X):
    """Raise an error if a rule asks for opposite noise and the regenerator has none.

    Parameters
    ----------
    regenerator : regenerator
        Fitted.
    rule : Rule
        The rule.
    X : ndarray of shape (n, ...)
        Rows, of which one is regenerated.

    Raises
    ------
    ValueError
        If the regenerator fails for a negative candidate number and not for another one.
    """
    if rule.candidate(1) >= 0:
        return
    regenerator.regenerate(X[:1], 0)
    try:
        regenerator.regenerate(X[:1], rule.candidate(1))
    except Exception as error:
        raise ValueError(
            f"regenerator must accept negative candidate numbers, the opposite noise that {rule!r} averages over. "
            f"Got {regenerator!r}, which raised {type(error).__name__}: {error} Use "
            "selection=MeanRule(antithetic=False)."
        ) from error


def warn_if_unchanged(candidates, X):
    """Warn if candidates equal their inputs, because their answers are then undefended.

    Parameters
    ----------
    candidates, X : ndarray or data frame of shape (n, ...)
        Candidates in the type of the inputs, and the inputs; compared as float32, the coarsest dtype of regenerators.
    """
    unchanged = row_digests(candidates, as_float32=True) == row_digests(X, as_float32=True)
    if np.mean(unchanged) > _MANY_UNCHANGED:
        warnings.warn(
            f"The regenerator returned {unchanged.sum()} of {len(unchanged)} inputs unchanged, so that their answers "
            "are undefended. Raise timestep; inputs of integers can be too coarse to show what was regenerated.",
            DefenseWarning,
            stacklevel=2,
        )


def warn_if_argmax_differs(labels, proba, estimator):
    """Warn if ``predict`` disagrees with the argmax of ``predict_proba``."""
    n = int(np.sum(proba.argmax(axis=1) != labels))
    if n:
        warnings.warn(
            f"predict of {type(estimator).__name__} differs from the argmax of its predict_proba on {n} of "
            f"{len(labels)} rows. The label is that of predict: in the answers of predict_proba it is put on top.",
            DefenseWarning,
            stacklevel=2,
        )

"""Audit a way of training by canaries: models that differ in canaries only, each in turn the target of the others."""

import warnings
from functools import partial
from numbers import Integral, Real
from os import PathLike
from pathlib import Path

import numpy as np

from skdiffence._evaluation._cross_fit import AttackScores
from skdiffence._evaluation._measure import measure_attack
from skdiffence._fitted import unrecorded_validation_split
from skdiffence.attacks import lira_leave_one_out, train_shadows
from skdiffence.attacks.shadow._shadows import check_trainable
from skdiffence.attacks.shadow._signal_matrix import content_key, saturation, signal_matrix
from skdiffence.datasets import make_canaries
from skdiffence.exceptions import MembershipWarning
from skdiffence.inspection.report._canary_report import CanaryAudit
from skdiffence.metrics import cluster_bootstrap_interval, label_columns, per_row_auc
from skdiffence.utils._cache import check_cache_seed
from skdiffence.utils._random import draw_seed, mix_seed
from skdiffence.utils._sklearn import HasMethods, Interval, StrOptions, num_samples, safe_indexing, validate_params
from skdiffence.utils._validation import as_class_labels, as_labels
from skdiffence.utils._views import all_views

_SIGNALS = ("logit", "hinge", "correctness")
_MOST, _FEWEST = 500, 10


@validate_params(
    {
        "estimator": [HasMethods(["fit", "predict", "predict_proba"])],
        "X": ["array-like", "sparse matrix"],
        "y": ["array-like"],
        "kind": [StrOptions({"blank", "clean", "duplicated", "mislabeled", "out_of_distribution"})],
        "n_canaries": [Interval(Integral, 4, None, closed="left"), StrOptions({"auto"})],
        "source": ["array-like", None],
        "X_test": ["array-like", "sparse matrix", None],
        "y_test": ["array-like", None],
        "n_shadows": [Interval(Integral, 4, None, closed="left")],
        "mode": [StrOptions({"online", "offline"})],
        "variance": [StrOptions({"auto", "fixed", "global", "per_sample"})],
        "queries": [StrOptions({"identity", "flips", "shifts", "flips+shifts"}), callable],
        "max_fpr": ["array-like", Real],
        "confidence_level": [Interval(Real, 0, 1, closed="neither")],
        "n_resamples": [Interval(Integral, 1, None, closed="left")],
        "cache_dir": [str, PathLike, None],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    },
    prefer_skip_nested_validation=True,
)
def canary_audit(
    estimator,
    X,
    y,
    *,
    kind="mislabeled",
    n_canaries="auto",
    source=None,
    X_test=None,
    y_test=None,
    n_shadows=64,
    mode="online",
    variance="auto",
    queries="identity",
    max_fpr=(0.001, 0.01),
    confidence_level=0.95,
    n_resamples=1000,
    cache_dir=None,
    n_jobs=None,
    random_state=None,
    verbose=0,
):
    """Measure how well membership is inferred for the rows that a way of training memorizes best.

    Models are trained on all rows, except that each canary is left out of half of the models. Then each model in turn
    is the target. For every canary, the other models show how models answer that were trained on it and how models
    answer that were not; the target's answer is compared with both (LiRA). All canaries and all targets together give
    one ROC curve.

    The audit is about the way of training, defense included, and not about one trained model. The other models are
    trained on the data of the target but for half of the canaries, which makes the strongest attacker. What leaks here
    bounds what leaks of the rows at most risk, not of the average row.

    Read more in the :ref:`User Guide <attacks>`.

    Parameters
    ----------
    estimator : classifier
        The classifier before training, with its defense if it has one.
    X : array-like, sparse matrix or data frame of shape (n_samples, ...)
        Training rows, in any form that the classifier takes. Some of them are replaced by canaries, in a copy.
    y : array-like of shape (n_samples,)
        Their labels.
    kind : {"mislabeled", "duplicated", "out_of_distribution", "blank", "clean"}, default="mislabeled"
        Kind of the canaries, see :func:`~skdiffence.datasets.make_canaries`. Which kind leaks most depends on the
        defense: run several and report the worst.
    n_canaries : int or "auto", default="auto"
        Number of canaries. "auto" is 500, or a tenth of the rows where that is less, but at least 10. Models learn
        nothing useful from canaries, so that many of them cost accuracy.
    source : array-like of shape (n_source, ...), default=None
        Rows of another distribution, for ``kind="out_of_distribution"``.
    X_test : array-like of shape (n_test, ...), default=None
        Test rows, to measure the accuracy of the models. Without them no accuracy is reported, because every row of X
        but the canaries trains every model.
    y_test : array-like of shape (n_test,), default=None
        Their labels.
    n_shadows : int, default=64
        Number of models, even, at least 4.
    mode : {"online", "offline"}, default="online"
        See :func:`~skdiffence.attacks.lira_scores`.
    variance : {"auto", "fixed", "global", "per_sample"}, default="auto"
        See :func:`~skdiffence.attacks.lira_scores`.
    queries : {"identity", "flips", "shifts", "flips+shifts"} or callable, default="identity"
        Queries about each canary: the canary itself, and, for images, its mirror image or its shifts by one pixel. A
        callable takes X and returns a list of arrays of further queries.
    max_fpr : float or array-like of float, default=(0.001, 0.01)
        False positive rates at which the true positive rate is reported.
    confidence_level : float, default=0.95
        Coverage of the intervals, which resample canaries and models.
    n_resamples : int, default=1000
        Number of resamples.
    cache_dir : str or Path, default=None
        Folder of the models that :func:`~skdiffence.attacks.train_shadows` trains, and of their answers about the
        canaries; needs a ``random_state``.
    n_jobs : int, default=None
        Number of models that are trained, and queried, in parallel.
    random_state : int, RandomState instance or None, default=None
        Seeds canaries, memberships, training and resampling.
    verbose : int, default=0
        Whether training shows a progress bar.

    Returns
    -------
    result : CanaryAudit
        Prints as a table. The attacks are LiRA on two signals, logit and hinge; a global threshold on either, as an
        attacker without shadows has it; and correctness of the label, which no defense that keeps labels can lower.

    Raises
    ------
    ValueError
        If there are too few rows, ``n_shadows`` is odd, one of ``X_test`` and ``y_test`` is missing, ``y_test`` has no
        label of ``y`` or is not one label for each row of ``X_test``, rates are not between 0 and 1, ``cache_dir`` is
        given without ``random_state``, the estimator is frozen, or the canaries can't be made.

    Warns
    -----
    MembershipWarning
        If the models hold rows out of their training without recording which, so that rows are counted as members
        that are not.

    See Also
    --------
    skdiffence.attacks.train_shadows : Trains the models.
    skdiffence.datasets.make_canaries : Makes the canaries.

    Notes
    -----
    This costs ``n_shadows`` trainings, and ``n_shadows * n_canaries`` answers for each query.

    The hinge signal is the difference of the logarithms of the probability of the true class and of the highest other
    one. Where a model returns probabilities of exactly 0, as forests do, signals are clipped just beyond the largest
    finite one.

    References
    ----------
    Aerni, Zhang and Tramèr, "Evaluations of machine learning privacy defenses are misleading", CCS 2024, section 4.

    Carlini et al., "Membership inference attacks from first principles", S&P 2022, section IV.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.naive_bayes import GaussianNB
    >>> from skdiffence.inspection import canary_audit
    >>> X, y = load_digits(return_X_y=True)
    >>> result = canary_audit(GaussianNB(), X[:300], y[:300], n_shadows=8, n_resamples=100, random_state=0)
    >>> result.n_canaries, result.n_models
    (30, 8)
    """
    X, y = np.asarray(X) if isinstance(X, list) else X, as_labels(y)
    rates = _check_rates(max_fpr)
    y_test = _check_test_labels(X_test, y_test, y)
    check_trainable(estimator)
    check_cache_seed(cache_dir, random_state)
    seed = draw_seed(random_state)
    n_canaries = _default_number(len(y)) if n_canaries == "auto" else n_canaries
    made = make_canaries(X, y, kind=kind, n_canaries=n_canaries, source=source, random_state=_part(seed, "canaries"))
    shadows = train_shadows(
        estimator,
        made.X,
        made.y,
        n_shadows=n_shadows,
        canaries=made.canaries,
        cache_dir=cache_dir,
        n_jobs=n_jobs,
        random_state=_part(seed, "shadows"),
        verbose=verbose,
    )
    _warn_of_hold_out(shadows["estimator"][0])
    membership, known = _memberships(shadows["indices"], made.canaries)
    rows = safe_indexing(made.X, made.canaries), made.y[made.canaries], membership, known
    signals = _signals(shadows["estimator"], *rows, queries=queries, n_jobs=n_jobs, cache_dir=cache_dir)
    scores = _scores(signals, membership, mode=mode, variance=variance)
    measure = partial(
        _measure,
        membership=membership,
        rates=rates,
        confidence_level=confidence_level,
        n_resamples=n_resamples,
        seed=seed,
    )
    return CanaryAudit(
        kind=kind,
        canaries=made.canaries,
        membership=membership,
        scores=scores,
        attacks={name: measure(values, name) for name, values in scores.items()},
        row_auc={name: per_row_auc(values.mean(axis=2), membership) for name, values in signals.items()},
        accuracy=_accuracies(shadows["estimator"], X_test, y_test),
        confidence_level=confidence_level,
        n_queries=signals["logit"].shape[2],
    )


def _part(seed, use):
    return mix_seed(seed, "canary audit", use) % 2**32


def _check_rates(max_fpr):
    rates = [float(rate) for rate in np.atleast_1d(max_fpr)]
    if not rates or not all(0 < rate < 1 for rate in rates):
        raise ValueError(f"max_fpr must hold rates between 0 and 1. Got {max_fpr!r}.")
    return rates


def _check_test_labels(X_test, y_test, y):
    """Return the labels of the test rows as an array, or None without test rows."""
    if (X_test is None) != (y_test is None):
        given = "X_test" if y_test is None else "y_test"
        raise ValueError(f"X_test and y_test must be given together. Got {given} only.")
    if X_test is None:
        return None
    labels = as_class_labels(y_test, "y_test")
    if labels.ndim != 1 or not len(labels):
        raise ValueError(
            f"y_test must hold one label for each row of X_test: shape ({num_samples(X_test)},). Got shape "
            f"{labels.shape}."
        )
    if num_samples(X_test) != len(labels):
        raise ValueError(f"X_test and y_test must have one length. Got {num_samples(X_test)} and {len(labels)} rows.")
    try:
        known = label_columns(labels, np.unique(y)) >= 0
    except ValueError:  # one of them is text
        known = np.zeros(len(labels), dtype=bool)
    if not known.any():
        raise ValueError(
            f"y_test must hold labels that y has, such as {y.flat[0]!r}. Got none of them, but labels such as "
            f"{labels[0]!r}."
        )
    return labels


def _default_number(n_samples):
    return max(_FEWEST, min(_MOST, n_samples // 10)) // 2 * 2


def _warn_of_hold_out(model):
    if (reason := unrecorded_validation_split(model)) is not None:
        warnings.warn(
            f"{reason} kept a validation split out of its training without recording it: canaries in it are counted as "
            "members, so that the leak looks smaller than it is. Turn that off.",
            MembershipWarning,
            stacklevel=3,
        )


def _signals(models, X, y, membership, known, *, queries, n_jobs, cache_dir):
    """Return the signals, each of shape (n_canaries, n_models, n_queries); NaN where membership is not known."""
    views = None if isinstance(queries, str) and queries == "identity" else partial(all_views, queries=queries)
    key = None if cache_dir is None else content_key(models, _SIGNALS, views, X, y, membership, known)
    path = None if key is None else Path(cache_dir) / f"signals-{key}.npy"
    matrix = signal_matrix(models, X, y, known, _SIGNALS, views=views, n_jobs=n_jobs, path=path)
    return {name: _clipped(matrix[:, place].swapaxes(0, 1)) for place, name in enumerate(_SIGNALS)}


def _memberships(indices, canaries):
    """Return which models each canary trained and where that is known, each of shape (n_canaries, n_models)."""
    trained, left_out = (
        np.column_stack([np.isin(canaries, rows) for rows in indices[side]]) for side in ("train", "test")
    )
    return trained, trained | left_out


def _clipped(signals):
    bound = saturation(signals)
    return np.clip(signals, -bound, bound)


def _scores(signals, membership, **options):
    """Return the scores of each attack, of shape (n_canaries, n_models)."""
    lira = {f"lira_{name}": lira_leave_one_out(signals[name], membership, **options) for name in ("logit", "hinge")}
    return lira | {f"threshold_{name}": values.mean(axis=2) for name, values in signals.items()}


def _measure(scores, name, *, membership, rates, confidence_level, n_resamples, seed):
    """Return the figures of one attack, over all canaries and models."""
    there = ~np.isnan(scores)
    rows, models = np.nonzero(there)
    interval = partial(
        cluster_bootstrap_interval,
        rows=rows,
        models=models,
        confidence_level=confidence_level,
        n_resamples=n_resamples,
        random_state=mix_seed(seed, "intervals", name) % 2**32,
    )
    return measure_attack(name, AttackScores(scores[there]), membership[there], fpr_levels=rates, interval=interval)


def _accuracies(models, X_test, y_test):
    if X_test is None:
        return None
    return np.array([np.mean(np.asarray(model.predict(X_test)) == y_test) for model in models])

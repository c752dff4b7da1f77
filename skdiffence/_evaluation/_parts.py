"""The fitted classifiers inside a fitted estimator, and how rows reach them."""

from sklearn.ensemble import AdaBoostClassifier, BaggingClassifier, StackingClassifier, VotingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import NotFittedError, check_is_fitted
from skorch import NeuralNet
from torch import nn

from skdiffence.base import is_inference_only

# Their sub-estimators all see X as it is.
_ENSEMBLES = (AdaBoostClassifier, BaggingClassifier, OneVsRestClassifier, StackingClassifier, VotingClassifier)


def fitted_parts(estimator, steps=()):
    """Walk through pipelines, searches, frozen wrappers and meta-estimators.

    Parameters
    ----------
    estimator : estimator
        A fitted estimator.
    steps : tuple of transformers, default=()
        What rows have been through before they reach it.

    Yields
    ------
    part : estimator
        The estimator itself first, then those inside it.
    steps : tuple of transformers
        What training rows went through before they reached the part. Steps that act at inference only are
        not among them.
    """
    yield estimator, steps
    for child, more in children(estimator):
        yield from fitted_parts(child, (*steps, *more))


def children(estimator):
    """Return the fitted estimators right inside another, with what rows go through on their way there.

    Parameters
    ----------
    estimator : estimator
        A fitted estimator.

    Returns
    -------
    children : list of (estimator, tuple of transformers)
    """
    if isinstance(estimator, Pipeline):
        passed = [step for _, step in estimator.steps[:-1] if step not in (None, "passthrough")]
        return [(estimator.steps[-1][1], tuple(step for step in passed if not is_inference_only(step)))]
    return [(child, ()) for child in _same_rows(estimator)]


def _same_rows(estimator):
    if isinstance(estimator, FrozenEstimator):
        return [estimator.estimator]
    if hasattr(estimator, "best_estimator_"):
        return [estimator.best_estimator_]
    if hasattr(estimator, "calibrated_classifiers_"):
        return [calibrated.estimator for calibrated in estimator.calibrated_classifiers_]
    if isinstance(estimator, _ENSEMBLES):
        return [child for child in estimator.estimators_ if hasattr(child, "fit")]
    inner = getattr(estimator, "estimator_", None)
    return [inner] if hasattr(inner, "fit") and _is_fitted(inner) else []


def _is_fitted(estimator):
    try:
        check_is_fitted(estimator)
    except (NotFittedError, TypeError):
        return False
    return True


def denoiser_saw_members(estimator):
    """Say whether a denoiser anywhere in a fitted estimator was trained on the rows that the estimator was given.

    Parameters
    ----------
    estimator : estimator
        A fitted estimator.

    Returns
    -------
    saw : bool
        False also where a pretrained denoiser does not tell what it saw.
    """
    parts = [part for part, _ in fitted_parts(estimator)]
    steps = [step for part in parts if isinstance(part, Pipeline) for _, step in part.steps]
    return any(getattr(part, "denoiser_saw_members_", None) is True for part in (*parts, *steps))


def through(steps, X):
    """Return X as it is after the given transformers.

    Parameters
    ----------
    steps : tuple of transformers
        As given by :func:`fitted_parts`.
    X : array-like of shape (n_samples, ...)
        Rows.

    Returns
    -------
    X : array-like of shape (n_samples, ...)
    """
    for step in steps:
        X = step.transform(X)
    return X


def is_frozen(estimator):
    """Say whether a classifier inside was trained before, and elsewhere.

    Parameters
    ----------
    estimator : estimator
        A fitted estimator.

    Returns
    -------
    frozen : bool
    """
    return any(
        isinstance(part, FrozenEstimator) or getattr(part, "cv", None) == "prefit"
        for part, _ in fitted_parts(estimator)
    )


def instantiated_nets(estimator):
    """Return the nets inside whose clones keep what was learned.

    Parameters
    ----------
    estimator : estimator
        A fitted estimator.

    Returns
    -------
    names : list of str
        Type names of the module instances that unfrozen skorch nets were given as parameters.
    """
    if isinstance(estimator, FrozenEstimator):
        return []
    if isinstance(estimator, NeuralNet):
        values = estimator.get_params(deep=False).values()
        return [type(value).__name__ for value in values if isinstance(value, nn.Module) and value.state_dict()]
    return [name for child, _ in children(estimator) for name in instantiated_nets(child)]

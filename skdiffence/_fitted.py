"""What a fitted estimator tells about its training: the classifiers inside it and the rows that trained them."""

from dataclasses import dataclass
from numbers import Integral
from typing import NamedTuple

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.exceptions import NotFittedError
from sklearn.feature_selection import RFE
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GroupKFold,
    KFold,
    LeaveOneGroupOut,
    LeaveOneOut,
    StratifiedGroupKFold,
    StratifiedKFold,
)
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier, OutputCodeClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.validation import check_is_fitted
from skorch import NeuralNet

from skdiffence.base import is_inference_only
from skdiffence.utils._params import nested_params
from skdiffence.utils._sklearn import num_samples, safe_indexing
from skdiffence.utils._training_state import early_stopping_setting, n_samples_seen

# Their classifiers are all fitted to all rows.
_ENSEMBLES = (AdaBoostClassifier, OneVsRestClassifier, OutputCodeClassifier, StackingClassifier, VotingClassifier)
# Each row is in exactly one of their test sets.
_PARTITIONS = (Integral, KFold, StratifiedKFold, GroupKFold, StratifiedGroupKFold, LeaveOneOut, LeaveOneGroupOut)


class FittedPart(NamedTuple):
    """An estimator inside a fitted estimator.

    Parameters
    ----------
    estimator : estimator
        The fitted part.
    steps : tuple of transformers, or None
        The transformers that training rows passed through before they reached the part, without those that act at
        inference only. None where the part was fitted to something that can't be computed again from the rows.
    all_rows : bool
        Whether the part was fitted to all rows that the outer estimator was fitted to.
    frozen : bool
        Whether the part is inside a FrozenEstimator.
    """

    estimator: object
    steps: tuple | None = ()
    all_rows: bool = True
    frozen: bool = False

    def transform(self, X):
        """Return rows as the part saw them in training."""
        for step in self.steps:
            X = step.transform(X)
        return X


def fitted_parts(estimator):
    """Walk through a fitted estimator.

    Goes through pipelines, searches, ensembles, calibrated and thresholded classifiers, FrozenEstimator and every
    meta-estimator that keeps what it fitted as ``best_estimator_``, ``defended_``, ``estimator_`` or ``estimators_``.

    Parameters
    ----------
    estimator : estimator
        A fitted estimator.

    Yields
    ------
    part : FittedPart
        The estimator itself first, then the estimators inside it.
    """
    yield FittedPart(estimator)
    for child in _children(estimator):
        for part in fitted_parts(child.estimator):
            steps = None if child.steps is None or part.steps is None else child.steps + part.steps
            all_rows, frozen = child.all_rows and part.all_rows, child.frozen or part.frozen
            yield FittedPart(part.estimator, steps, all_rows, frozen)


def _children(estimator):
    """Return the fitted parts directly inside an estimator."""
    if isinstance(estimator, Pipeline):
        return [FittedPart(estimator.steps[-1][1], tuple(_training_steps(estimator.steps[:-1])))]
    if isinstance(estimator, FrozenEstimator):
        return [FittedPart(estimator.estimator, all_rows=False, frozen=True)]
    if hasattr(estimator, "best_estimator_"):
        return [FittedPart(estimator.best_estimator_)]
    if hasattr(estimator, "calibrated_classifiers_"):
        all_rows = estimator.ensemble is False
        return [FittedPart(fold.estimator, all_rows=all_rows) for fold in estimator.calibrated_classifiers_]
    if _is_ensemble(estimator):
        return _children_of_ensemble(estimator)
    inner = getattr(estimator, "defended_", getattr(estimator, "estimator_", None))
    if not hasattr(inner, "fit") or not _is_fitted(inner):
        return []
    steps = (estimator,) if isinstance(estimator, RFE) else ()
    return [FittedPart(inner, steps, isinstance(estimator, (FixedThresholdClassifier, RFE)))]


def _is_ensemble(estimator):
    # FrozenEstimator passes on the attributes of the estimator inside.
    frozen = isinstance(estimator, FrozenEstimator)
    return not frozen and isinstance(getattr(estimator, "estimators_", None), (list, tuple))


def _children_of_ensemble(ensemble):
    all_rows = isinstance(ensemble, _ENSEMBLES) and getattr(ensemble, "cv", None) != "prefit"
    children = [FittedPart(child, all_rows=all_rows) for child in ensemble.estimators_ if hasattr(child, "fit")]
    if isinstance(ensemble, BaggingClassifier):
        features = ensemble.estimators_features_
        return [child._replace(steps=_column_step(kept)) for child, kept in zip(children, features, strict=True)]
    if isinstance(ensemble, StackingClassifier):
        # Its rows are out-of-fold predictions of classifiers that were not kept.
        return [*children, FittedPart(ensemble.final_estimator_, steps=None, all_rows=False)]
    return children


def _training_steps(steps):
    """Yield the transformers that training rows pass through, those of nested pipelines included."""
    for _, step in steps:
        if isinstance(step, Pipeline):
            yield from _training_steps(step.steps)
        elif step not in (None, "passthrough") and not is_inference_only(step):
            yield step


def _column_step(columns):
    return (FunctionTransformer(safe_indexing, kw_args={"indices": columns, "axis": 1}),)


def _is_fitted(estimator):
    try:
        check_is_fitted(estimator)
    except (NotFittedError, TypeError):
        return False
    return True


@dataclass(frozen=True)
class StoredRows:
    """Rows that the parts of an estimator recorded, as masks.

    Parameters
    ----------
    not_trained_on : ndarray of shape (n_samples,), dtype bool
        Rows that a part was given but held out of its training.
    calibrated_on : ndarray of shape (n_samples,), dtype bool
        Rows that a part was calibrated on, or that trained the student of a defense.
    n_lost : int
        Number of recorded rows that are not in X or can't be looked up.
    """

    not_trained_on: np.ndarray
    calibrated_on: np.ndarray
    n_lost: int

    @property
    def any(self):
        """Mask of the rows that are neither plain members nor plain non-members."""
        return self.not_trained_on | self.calibrated_on


def stored_rows(estimator, X):
    """Find the rows that an estimator, or a part of it, held out of training or was calibrated on.

    Parameters
    ----------
    estimator : estimator
        A fitted estimator.
    X : array-like of shape (n_samples, ...)
        Rows in the form in which the estimator is given them.

    Returns
    -------
    stored : StoredRows
    """
    masks = {name: np.zeros(num_samples(X), dtype=bool) for name in ("not_trained_on_", "calibrated_on_")}
    n_lost = 0
    for part in _recording_parts(estimator):
        for name, mask in masks.items():
            rows = getattr(part.estimator, name, ())
            if not len(rows) or part.steps is None:
                n_lost += len(rows)
                continue
            found, n_missing = rows.find(part.transform(X), recomputed=_may_be_rounded(part, rows))
            mask |= found
            n_lost += n_missing
        masks["calibrated_on_"] |= _trained_student(part, X)
    return StoredRows(*masks.values(), n_lost)


def _trained_student(part, X):
    # Most of these rows are public, so that X need not hold them.
    rows = getattr(part.estimator, "student_trained_on_", ())
    if not len(rows) or part.steps is None:
        return False
    return rows.find(part.transform(X), recomputed=_may_be_rounded(part, rows))[0]


def _may_be_rounded(part, rows):
    # Steps round differently from call to call, nets record their rows in float32, and files hold float32 as decimals.
    return bool(part.steps) or isinstance(part.estimator, NeuralNet) or rows.is_float32


def _recording_parts(estimator):
    # FrozenEstimator passes on the attributes of the estimator inside, which is a part itself.
    return (part for part in fitted_parts(estimator) if not isinstance(part.estimator, FrozenEstimator))


def holds_rows_out(estimator):
    """Return whether an estimator, or a part of it, has recorded rows that it held out of training."""
    return any(len(getattr(part.estimator, "not_trained_on_", ())) for part in _recording_parts(estimator))


def n_training_rows(estimator):
    """Return the number of rows that an estimator was trained on.

    Parameters
    ----------
    estimator : estimator
        A fitted estimator.

    Returns
    -------
    n_rows : int or None
        Rows that a part recorded as held out don't count. None if the fitted state does not tell.
    """
    children = _children(estimator)
    alone = len(children) == 1 and not _is_ensemble(estimator)
    alike = [child.estimator for child in children if child.all_rows or alone]
    holding = [child.estimator for child in children if holds_rows_out(child.estimator)]
    if holding:
        # Two parts may hold out different rows.
        return n_training_rows(holding[0]) if len(holding) == 1 and holding[0] in alike else None
    count = _count(estimator)
    if count is not None:
        return int(count) if count == int(count) else None
    counts = (n_training_rows(child) for child in alike)
    return next((count for count in counts if count is not None), None)


def _count(estimator):
    if isinstance(estimator, CalibratedClassifierCV):
        # Repeated and random splits hold a row out more than once or never.
        partitions = estimator.cv is None or isinstance(estimator.cv, _PARTITIONS)
        return _mean_count(estimator, len(estimator.calibrated_classifiers_)) if partitions else None
    if isinstance(estimator, OneVsOneClassifier):
        return _mean_count(estimator, len(estimator.classes_))
    return n_samples_seen(estimator)


def _mean_count(estimator, n_groups):
    """Return the number of rows where each row trained the classifiers of all groups but one."""
    counts = [n_training_rows(child.estimator) for child in _children(estimator)]
    return None if n_groups < 2 or None in counts else sum(counts) / (n_groups - 1)


def unrecorded_validation_split(estimator):
    """Return which part of an estimator held out a validation split without recording its rows.

    Parameters
    ----------
    estimator : estimator
        A fitted estimator.

    Returns
    -------
    reason : str or None
        The class of the part and the parameter that made it hold rows out; None if no part did.
    """
    for part in fitted_parts(estimator):
        if (setting := early_stopping_setting(part.estimator)) is not None:
            return f"{type(part.estimator).__name__}({setting})"
    return None


def is_frozen(estimator):
    """Return whether an estimator predicts, wholly or in part, with a classifier that its ``fit`` does not train.

    Parameters
    ----------
    estimator : estimator
        Fitted or not.

    Returns
    -------
    frozen : bool
    """
    inside = (*nested_params(estimator).values(), *(part.estimator for part in fitted_parts(estimator)))
    return any(
        isinstance(each, FrozenEstimator) and hasattr(each, "predict") or getattr(each, "cv", None) == "prefit"
        for each in inside
    )


def trained_nets(estimator):
    """Return the skorch nets that the ``fit`` of an estimator trained.

    Parameters
    ----------
    estimator : estimator
        A fitted estimator.

    Returns
    -------
    nets : list of FittedPart
    """
    return [part for part in fitted_parts(estimator) if isinstance(part.estimator, NeuralNet) and not part.frozen]


def denoiser_saw_members(estimator):
    """Return whether a denoiser inside a fitted estimator was trained on the rows that the estimator was fitted to.

    Parameters
    ----------
    estimator : estimator
        A fitted estimator.

    Returns
    -------
    saw : bool
        False also where a pretrained denoiser does not tell what it was trained on.
    """
    parts = [part.estimator for part in fitted_parts(estimator)]
    steps = [step for part in parts if isinstance(part, Pipeline) for step in _transformers(part)]
    return any(getattr(each, "denoiser_saw_members_", None) is True for each in (*parts, *steps))


def _transformers(pipeline):
    """Yield the transformers of a pipeline that its ``fit`` trains, those inside others included."""
    for _, step in pipeline.steps:
        inner = getattr(step, "transformer_", step)
        if isinstance(inner, Pipeline):
            yield from _transformers(inner)
        elif not isinstance(inner, FrozenEstimator):
            yield inner

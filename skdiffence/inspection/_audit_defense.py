"""The defense inside an audited classifier: facts, the same classifier without it, and the labels that it changed."""

import copy

import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline

from skdiffence._fitted import denoiser_saw_members, fitted_parts
from skdiffence.base import is_inference_only
from skdiffence.defenses import DefendedClassifier

_SETTINGS = ("selection", "search", "fallback", "n_candidates")
_REGENERATOR_SETTINGS = ("timestep", "n_steps", "noise")


def without_defense(estimator):
    """Return a fitted classifier without the outermost defense that acts when it answers.

    Goes through FrozenEstimator, pipelines, searches, tuned and distilled defenses, and wrappers that keep what they
    answer with as ``estimator_``.

    Parameters
    ----------
    estimator : classifier
        Fitted. It is not changed.

    Returns
    -------
    undefended : classifier or None
        A fitted classifier that shares what was fitted. None if no such defense was found.
    """
    if isinstance(estimator, FrozenEstimator):
        return without_defense(estimator.estimator)
    if isinstance(estimator, DefendedClassifier) and not isinstance(estimator.regenerator, str):
        # The same object with the same labels and checks, without its regenerator.
        return copy.copy(estimator).set_params(regenerator="passthrough", calibrate=None)
    if isinstance(estimator, Pipeline):
        return _pipeline_without_defense(estimator)
    if hasattr(estimator, "undefended_"):
        return estimator.undefended_
    if hasattr(estimator, "best_estimator_"):
        return without_defense(estimator.best_estimator_)
    if (teacher := getattr(estimator, "defended_", None)) is not None:
        return without_defense(teacher) or teacher
    inner = without_defense(estimator.estimator_) if hasattr(estimator, "estimator_") else None
    if inner is None:
        return None
    outer = copy.copy(estimator)
    outer.estimator_ = inner
    return outer


def _pipeline_without_defense(pipeline):
    """Return a pipeline without steps that act at inference only, and with its last step undefended."""
    name, last = pipeline.steps[-1]
    steps = [(key, step) for key, step in pipeline.steps[:-1] if not is_inference_only(step)]
    undefended = without_defense(last)
    if undefended is None and len(steps) == len(pipeline.steps) - 1:
        return None
    return copy.copy(pipeline).set_params(steps=[*steps, (name, undefended or last)])


def defense_facts(estimator):
    """Return the settings and rates of the first defense inside a fitted estimator.

    Parameters
    ----------
    estimator : classifier
        Fitted; pipelines, searches and frozen wrappers are looked through.

    Returns
    -------
    facts : dict
        Plain values, None for what is not known; empty if there is no defense that regenerates.
    """
    for part, *_ in fitted_parts(estimator):
        if hasattr(part, "regenerator_") and not isinstance(part.regenerator_, str):
            return _of_defended(part)
    # A regenerator in front of a classifier, as a step of a pipeline.
    return {"denoiser_saw_members": True} if denoiser_saw_members(estimator) else {}


def _of_defended(part):
    regenerator = part.regenerator_
    facts = {name: _plain(getattr(part, name, None)) for name in _SETTINGS}
    facts["ends_early"] = getattr(getattr(part, "selection_", None), "ends_early", None)
    facts |= {name: _plain(getattr(regenerator, name, None)) for name in _REGENERATOR_SETTINGS}
    facts["denoiser_saw_members"] = getattr(part, "denoiser_saw_members_", None)
    facts["key_is_secret"] = getattr(regenerator, "key_is_secret_", None)
    for name in ("retention", "fallback_rate"):
        sides = getattr(part, f"{name}_", None) or {}
        facts[name] = {side: {"overall": rates.overall, "n_rows": rates.n_rows} for side, rates in sides.items()}
    return facts


def _plain(value):
    return value if value is None or isinstance(value, (bool, int, float, str)) else repr(value)


def changed_labels(answers):
    """Count the labels that a defense changed.

    Parameters
    ----------
    answers : dict of str to Answers
        By target. Labels are compared if "undefended" is among them.

    Returns
    -------
    counts : dict of str to int
        ``labels_changed``, and ``top_is_not_the_label``: rows whose label does not have the largest probability in
        the audited answers.
    """
    audited = answers["audited"]
    counts = {"top_is_not_the_label": int(np.count_nonzero(audited.proba.argmax(axis=1) != audited.label))}
    if "undefended" in answers:
        before = answers["undefended"]
        changed = audited.classes[audited.label] != before.classes[before.label]
        counts = {"labels_changed": int(np.count_nonzero(changed))} | counts
    return counts

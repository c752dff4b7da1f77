"""What is inside a defended classifier: the undefended answers, and the candidates of each row."""

import numpy as np

from skdiffence.defenses._classifier import FittedClassifier
from skdiffence.utils._frames import as_numbers, is_frame, like
from skdiffence.utils._sklearn import num_samples, safe_indexing

_SHOWN = 5


def undefended_answers(estimator):
    """Return the undefended answers of a defended classifier, as a function of rows.

    Parameters
    ----------
    estimator : DefendedClassifier
        Fitted; the classifier is its ``estimator_``.

    Returns
    -------
    answer : callable (X) -> (labels, proba)
        Labels as columns, in the order of the defended one's classes, and probabilities.
    """
    return FittedClassifier(estimator.estimator_, estimator.column_classes_).predict_both


# In place of the number of the candidate that answers, where the answer is an average.
AVERAGED = -2


def regenerated(estimator, X, rows, n_candidates, y):
    """Regenerate some rows, and ask the undefended classifier about them and their candidates.

    Parameters
    ----------
    estimator : DefendedClassifier
        Fitted; its regenerator must make the same candidate of a row each time.
    X : array-like of shape (n_samples, ...)
        Rows.
    rows : array-like of int, or None
        Indices of the rows to regenerate; None is the first five.
    n_candidates : int
        Number of candidates. If a later one answers, it takes the last place. Of averaged candidates at most all.
    y : array-like of shape (n_samples,) or None
        True labels of X.

    Returns
    -------
    answered : dict
        Parameters of ``CandidateDisplay.from_predictions``.

    Raises
    ------
    ValueError
        If the classifier does not regenerate, or not in the same way each time, or rows are not those of X.
    """
    _check_regenerator(estimator)
    index = _checked_rows(rows, num_samples(X))
    if y is not None and num_samples(y) != num_samples(X):
        raise ValueError(f"y must hold one label for each of the {num_samples(X)} rows of X. Got {num_samples(y)}.")
    shown = safe_indexing(X, index)
    shown = shown if is_frame(shown) else np.asarray(shown)
    chosen, answer = estimator.select(shown).candidate, undefended_answers(estimator)
    averaged = (chosen == AVERAGED).all()
    number = np.tile(_averaged(estimator, n_candidates) if averaged else np.arange(n_candidates), (len(index), 1))
    if not averaged:
        number[:, -1] = np.maximum(number[:, -1], chosen)
    candidates = [_candidates(estimator.regenerator_, as_numbers(shown), column) for column in number.T]
    responses = [answer(rows) for rows in (shown, *(like(each, shown) for each in candidates))]
    (label, *candidate_label), (proba, *candidate_proba) = zip(*responses, strict=True)
    return {
        "X": as_numbers(shown),
        "candidates": np.stack(candidates, axis=1),
        "proba": proba,
        "candidate_proba": np.stack(candidate_proba, axis=1),
        "chosen": chosen,
        "label": label,
        "candidate_label": np.stack(candidate_label, axis=1),
        "number": number,
        "classes": estimator.classes_,
        "y": None if y is None else np.asarray(y)[index],
        "value_range": getattr(estimator.regenerator_, "value_range_", None),
    }


def _averaged(estimator, n_candidates):
    """Return the numbers of the first candidates that a rule averages over."""
    rule = estimator.selection_
    return np.array([rule.candidate(index) for index in range(min(n_candidates, rule.max_candidates))])


def _check_regenerator(estimator):
    regenerator = getattr(estimator, "regenerator_", None)
    if isinstance(regenerator, str):
        raise ValueError(f"estimator must regenerate its inputs. Got regenerator={regenerator!r}, which answers alone.")
    if regenerator is None:
        raise ValueError(f"estimator must be a fitted DefendedClassifier. Got {type(estimator).__name__}.")
    if getattr(regenerator, "noise", None) == "fresh":
        raise ValueError(
            "estimator must regenerate a row in the same way each time. Its regenerator has noise='fresh': candidates "
            "that are made now are not those that answer."
        )


def _checked_rows(rows, n):
    index = np.arange(min(_SHOWN, n)) if rows is None else np.asarray(rows)
    if index.ndim != 1 or not len(index) or index.dtype.kind not in "iu" or index.min() < 0 or index.max() >= n:
        raise ValueError(f"rows must hold at least one index of the {n} rows of X. Got {rows!r}.")
    return index


def _candidates(regenerator, X, numbers):
    """Return one candidate of each row; rows may differ in its number."""
    made = np.empty(X.shape, dtype=np.result_type(X.dtype, np.float32))
    for number in np.unique(numbers):
        made[numbers == number] = regenerator.regenerate(X[numbers == number], int(number))
    return made

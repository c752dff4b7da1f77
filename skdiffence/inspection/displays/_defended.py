"""What is inside a defended classifier: the undefended answers, and the candidates of each row."""

import numpy as np

from skdiffence.defenses._responses import Responses
from skdiffence.utils._frames import as_numbers, like
from skdiffence.utils._skorch import nets_inside


def undefended_responses(estimator):
    """Return the undefended answers of a defended classifier, as a function of rows.

    Parameters
    ----------
    estimator : DefendedClassifier
        Fitted; the classifier is its ``estimator_``.

    Returns
    -------
    respond : callable (X) -> (labels, proba)
        Labels as columns, in the order of the defended one's classes, and probabilities.
    """
    inner = estimator.estimator_
    responses = Responses(inner, len(estimator.classes_))
    if nets_inside(inner):
        return lambda X: responses(np.asarray(X, dtype=np.float32))
    return responses


def candidates_of(estimator):
    """Return the candidates of a defended classifier, as a function of rows.

    Parameters
    ----------
    estimator : DefendedClassifier
        Fitted; its regenerator must make the same candidate of a row each time.

    Returns
    -------
    regenerate : callable (X, numbers) -> candidates
        One candidate of each row, of the type of the rows, which may differ in its number.

    Raises
    ------
    ValueError
        If it does not regenerate, or not in the same way each time.
    """
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

    def regenerate(X, numbers):
        values = as_numbers(X)
        made = np.empty(values.shape, dtype=np.float32)
        for number in np.unique(numbers):
            made[numbers == number] = regenerator.regenerate(values[numbers == number], int(number))
        return like(made, X)

    return regenerate

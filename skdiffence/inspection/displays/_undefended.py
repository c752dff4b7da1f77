"""What the classifier inside a defended one answers."""

import numpy as np

from skdiffence.defenses._responses import Responses
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

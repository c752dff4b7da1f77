"""How exposed each row is, by itself."""

import numpy as np
from scipy.stats import rankdata

from skdiffence.utils._sklearn import validate_params
from skdiffence.utils._validation import check_is_member


@validate_params({"scores": ["array-like"], "membership": ["array-like"]}, prefer_skip_nested_validation=True)
def per_row_auc(scores, membership):
    """Return, for each row, how well its scores tell the models that it was a member of from the others.

    An average over rows says little about the row that is worst off. From many models, each trained on some of
    the rows, each row has an area under the ROC curve of its own.

    Parameters
    ----------
    scores : array-like of shape (n_rows, n_models)
        Signals or scores of each row under each model; higher means more likely a member. NaN where there is
        none.
    membership : array-like of shape (n_rows, n_models), dtype bool
        True where the model was trained on the row.

    Returns
    -------
    auc : ndarray of shape (n_rows,), dtype float64
        NaN for a row without a score of a model that it was a member of, or of one that it was not.

    Raises
    ------
    ValueError
        If shapes differ, a score is infinite, or memberships are not True and False.

    Notes
    -----
    Of a row that tells nothing, the area has a standard deviation of about ``1 / sqrt(3 n_models)``, 0.07 for 64
    models in equal halves, and the highest of many such rows lies several of them above 0.5.

    Examples
    --------
    >>> from skdiffence.metrics import per_row_auc
    >>> scores = [[0.9, 0.8, 0.1, 0.2], [0.5, 0.6, 0.5, 0.6], [0.1, 0.2, 0.3, 0.4]]
    >>> membership = [[1, 1, 0, 0], [1, 1, 0, 0], [1, 1, 1, 1]]
    >>> per_row_auc(scores, membership)
    array([1. , 0.5, nan])
    """
    scores, membership = _check_matrices(scores, membership)
    there = ~np.isnan(scores)
    # Above all others, what is not there changes no other rank.
    ranks = rankdata(np.where(there, scores, np.inf), axis=1)
    members = membership & there
    m, n = members.sum(axis=1), (there & ~membership).sum(axis=1)
    pairs = (ranks * members).sum(axis=1) - m * (m + 1) / 2
    return np.divide(pairs, m * n, out=np.full(len(scores), np.nan), where=m * n > 0)


def _check_matrices(scores, membership):
    scores = np.asarray(scores, dtype=np.float64)
    if scores.ndim != 2 or scores.shape != np.shape(membership):
        raise ValueError(
            "scores and membership must both have shape (n_rows, n_models). "
            f"Got {scores.shape} and {np.shape(membership)}."
        )
    if np.isinf(scores).any():
        raise ValueError(f"scores must be finite, or NaN where there is none. Got {np.isinf(scores).sum()} infinities.")
    return scores, check_is_member(membership, scores.shape, name="membership")

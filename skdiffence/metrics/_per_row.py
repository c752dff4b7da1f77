"""The area under the ROC curve of each row, over many models."""

import numpy as np
from scipy.stats import rankdata

from skdiffence.utils._sklearn import validate_params
from skdiffence.utils._validation import as_floats, as_labels, check_is_member


@validate_params({"scores": ["array-like"], "membership": ["array-like"]}, prefer_skip_nested_validation=True)
def per_row_auc(scores, membership):
    """Compute the area under the ROC curve of each row, over models trained with and without it.

    An average over rows says little about the most exposed row. With many models, each trained on some of the rows,
    each row has an area under the ROC curve of its own.

    Parameters
    ----------
    scores : array-like of shape (n_rows, n_models)
        Signal or score of each row under each model. Higher means more likely a member. NaN for a missing score.
    membership : array-like of shape (n_rows, n_models), dtype bool
        True where the model was trained on the row.

    Returns
    -------
    auc : ndarray of shape (n_rows,), dtype float64
        NaN for a row that has scores only of models trained with it, or only of models trained without it.

    Raises
    ------
    ValueError
        If shapes differ, a score is masked, infinite or no number, or memberships are not True and False.

    Notes
    -----
    For a row that leaks nothing, the area has a standard deviation of about ``1 / sqrt(3 n_models)``: 0.07 for 64
    models in equal halves. The highest of many such rows lies several standard deviations above 0.5.

    Examples
    --------
    >>> from skdiffence.metrics import per_row_auc
    >>> scores = [[0.9, 0.8, 0.1, 0.2], [0.5, 0.6, 0.5, 0.6], [0.1, 0.2, 0.3, 0.4]]
    >>> membership = [[1, 1, 0, 0], [1, 1, 0, 0], [1, 1, 1, 1]]
    >>> per_row_auc(scores, membership)
    array([1. , 0.5, nan])
    """
    scores, membership = _check_matrices(scores, membership)
    known = ~np.isnan(scores)
    # Above all others, missing scores do not change their ranks.
    ranks = rankdata(np.where(known, scores, np.inf), axis=1)
    members = membership & known
    m, n = members.sum(axis=1), (known & ~membership).sum(axis=1)
    pairs = (ranks * members).sum(axis=1) - m * (m + 1) / 2
    return np.divide(pairs, m * n, out=np.full(len(scores), np.nan), where=m * n > 0)


def _check_matrices(scores, membership):
    scores, shape = as_floats(scores, "scores"), np.shape(as_labels(membership, "membership"))
    if scores.ndim != 2 or scores.shape != shape:
        raise ValueError(
            f"scores and membership must both have shape (n_rows, n_models). Got {scores.shape} and {shape}."
        )
    if np.isinf(scores).any():
        raise ValueError(f"scores must be finite, or NaN if missing. Got {np.isinf(scores).sum()} infinities.")
    return scores, check_is_member(membership, scores.shape, name="membership")

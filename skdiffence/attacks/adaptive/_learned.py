"""A membership score learned from a few features of each row."""

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import PredefinedSplit, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skdiffence.attacks._known_rows import best_threshold

_MAX_FOLDS = 5


def learn_score(features, is_member):
    """Fit a logistic regression on standardized features, both sides weighted equally.

    Parameters
    ----------
    features : ndarray of shape (n_samples, n_features)
        Of known rows, finite.
    is_member : ndarray of shape (n_samples,), dtype bool
        Both sides present.

    Returns
    -------
    model : Pipeline
        For :func:`score_features`.
    threshold : float
        Of highest balanced accuracy, on scores by models that did not know the row; where a side has a single row,
        on scores by this one.
    """
    # In an order of the features' own, so that the order of the known rows changes nothing.
    order = np.lexsort([is_member, *features.T])
    features, is_member = features[order], is_member[order]
    model = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced"))
    n_folds = min(_MAX_FOLDS, is_member.sum(), (~is_member).sum())
    if n_folds < 2:
        model.fit(features, is_member)
        return model, best_threshold(is_member, score_features(model, features))
    folds = np.empty(len(features), dtype=int)
    for side in (is_member, ~is_member):
        folds[side] = np.arange(side.sum()) % n_folds
    scores = cross_val_predict(model, features, is_member, cv=PredefinedSplit(folds), method="decision_function")
    return model.fit(features, is_member), best_threshold(is_member, scores)


def score_features(model, features):
    """Return the logarithm of the odds of membership, of shape (n_samples,), as :func:`learn_score` learned them."""
    scaler, logistic = model[0], model[-1]
    # Summed row by row: a matrix product rounds differently with other rows beside this one.
    return (scaler.transform(features) * logistic.coef_).sum(axis=1) + logistic.intercept_[0]

"""What attacks learn from rows whose membership the attacker knows: a direction, a classifier, a threshold."""

import numpy as np
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score, roc_curve
from sklearn.model_selection import PredefinedSplit, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from skdiffence.metrics._checks import check_membership

_N_FOLDS = 5
_MOST_FEATURES = 256  # beyond these, models of the attacker's own are trained on principal components
_N_COMPONENTS = 64


def canonical_order(features, is_member):
    """Return an order of the known rows that does not depend on the order in which they were given.

    Parameters
    ----------
    features : ndarray of shape (n_samples, n_features)
        Features of the known rows.
    is_member : ndarray of shape (n_samples,), dtype bool
        Their membership. Rows that are equal in features and membership are interchangeable.

    Returns
    -------
    order : ndarray of shape (n_samples,), dtype int64
    """
    return np.lexsort([is_member, *features.T])


def content_folds(keys, is_member):
    """Return a splitter that deals each side into folds by content.

    Parameters
    ----------
    keys : ndarray of shape (n_samples,)
        Digests of the known rows; equal rows of a side stay together.
    is_member : ndarray of shape (n_samples,), dtype bool
        Their membership.

    Returns
    -------
    cv : PredefinedSplit or None
        Up to five folds. None if a side has one distinct row only.
    """
    folds, fewest = np.empty(len(keys), dtype=np.int64), _N_FOLDS
    for side in (is_member, ~is_member):
        distinct, folds[side] = np.unique(keys[side], return_inverse=True)
        fewest = min(fewest, len(distinct))
    return PredefinedSplit(folds % fewest) if fewest > 1 else None


def narrowing_steps(n_rows, n_features):
    """Return the transformers that bound the work of an attacker's models on wide rows, such as images.

    Parameters
    ----------
    n_rows, n_features : int
        The shape of the training rows, which must be free of missing values.

    Returns
    -------
    steps : list of transformer
        Unfitted: to 64 principal components of standardized features. None if the rows are not wide, or too few.
    """
    if n_features <= _MOST_FEATURES or n_rows <= _N_COMPONENTS:
        return []
    return [StandardScaler(), PCA(_N_COMPONENTS, svd_solver="randomized")]


def quadratic_regression():
    """Return a logistic regression on features, their squares and their products."""
    return make_pipeline(StandardScaler(), PolynomialFeatures(2, include_bias=False), LogisticRegression(max_iter=1000))


def learn_direction(is_member, statistic):
    """Return 1 if members have the higher statistic, and -1 if they have the lower one.

    Parameters
    ----------
    is_member : ndarray of shape (n_samples,), dtype bool
        Both sides present.
    statistic : ndarray of shape (n_samples,)
        One number for each row.

    Returns
    -------
    direction : {-1, 1}
        1 for an area under the ROC curve of at least 0.5.
    """
    return 1 if roc_auc_score(is_member, statistic) >= 0.5 else -1


def fit_member_classifier(estimator, features, is_member, cv):
    """Fit a classifier that tells members from non-members, and score the known rows out of sample.

    Parameters
    ----------
    estimator : classifier
        It is cloned.
    features : ndarray of shape (n_samples, n_features)
        Features of the known rows.
    is_member : ndarray of shape (n_samples,)
        Their membership.
    cv : cross-validation splitter or None
        None where too few rows are known to hold some out.

    Returns
    -------
    fitted : classifier
        Fitted to all known rows.
    scores : ndarray of shape (n_samples,), dtype float64
        Scores of the known rows by clones that were not fitted to them; without ``cv``, by ``fitted``.
    """
    fitted = clone(estimator).fit(features, is_member)
    if cv is None:
        return fitted, member_scores(fitted, features)
    response = cross_val_predict(estimator, features, is_member, cv=cv, method=_response_method(estimator))
    return fitted, _member_column(response)


def member_scores(classifier, features):
    """Return a classifier's decision function for members, or its probability of membership if it has none."""
    return _member_column(getattr(classifier, _response_method(classifier))(features))


def _response_method(classifier):
    # Preferred to probabilities, which confident classifiers round to ties.
    return "decision_function" if hasattr(classifier, "decision_function") else "predict_proba"


def _member_column(response):
    response = np.asarray(response, dtype=np.float64)
    return response[:, 1] if response.ndim == 2 else response


def best_threshold(is_member, scores):
    """Return the threshold of highest balanced accuracy on the known rows.

    Parameters
    ----------
    is_member : ndarray of shape (n_samples,), dtype bool
        Both sides present.
    scores : ndarray of shape (n_samples,)
        Higher means more likely a member.

    Returns
    -------
    threshold : float
        Rows that score at least this are called members. It is the midpoint of the two scores that it separates.
        Among equally good thresholds, the highest.
    """
    is_member, scores = check_membership(is_member, scores)
    fpr, tpr, levels = roc_curve(is_member, scores, drop_intermediate=False)
    best = (tpr - fpr).argmax()
    if best == 0:  # no row is called a member
        return float(np.nextafter(levels[1], np.inf))
    if best == len(levels) - 1:
        return float(levels[-1])
    middle = levels[best] / 2 + levels[best + 1] / 2
    # Adjacent floats have no number between them.
    return float(middle if middle > levels[best + 1] else levels[best])

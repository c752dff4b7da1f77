"""Temperature scaling of answers."""

import warnings

import numpy as np
from sklearn import config_context
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV

from skdiffence.defenses._classifier import put_label_on_top
from skdiffence.exceptions import DefenseWarning

# Added to probabilities before their logarithm is taken, as scikit-learn does in fitting the temperature.
_EPS = 1e-12


class GivenProba(ClassifierMixin, BaseEstimator):
    """A classifier whose inputs are the probabilities that it returns.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The columns.
    """

    def fit(self, X, y=None, sample_weight=None):
        """Record the number of columns.

        Parameters
        ----------
        X : ndarray of shape (n, n_classes)
            Probabilities.
        y, sample_weight : None
            Ignored.

        Returns
        -------
        self : GivenProba
        """
        self.classes_ = np.arange(X.shape[1])
        return self

    def predict_proba(self, X):
        """Return X.

        Parameters
        ----------
        X : ndarray of shape (n, n_classes)
            Probabilities.

        Returns
        -------
        proba : ndarray of shape (n, n_classes)
        """
        return X


def fit_temperature(proba, y_true):
    """Fit a temperature by scikit-learn's temperature scaling.

    Parameters
    ----------
    proba : ndarray of shape (n, n_classes)
        Answers for rows that the classifier was not trained on.
    y_true : ndarray of shape (n,), dtype int
        True labels as column indices, -1 for labels that are none of the classes. These rows are left out.

    Returns
    -------
    temperature : float
        1 if the likelihood has no maximum.

    Warns
    -----
    DefenseWarning
        If no row is mislabeled or there are no two classes.
    """
    known = y_true >= 0
    proba, y_true = np.array(proba[known], dtype=np.float64), y_true[known]
    if len(np.unique(y_true)) < 2 or (proba.argmax(axis=1) == y_true).all():
        warnings.warn(
            f"No temperature can be fitted to {len(y_true)} known non-members of {len(np.unique(y_true))} classes, "
            f"{np.sum(proba.argmax(axis=1) != y_true)} of them mislabeled, so it is 1. Raise calibration_size or pass "
            "more non-members.",
            DefenseWarning,
            stacklevel=4,
        )
        return 1.0
    # Rows that do not sum to 1 would be taken for logits.
    proba /= proba.sum(axis=1, keepdims=True)
    # The log odds of the first class are 1 here: scaling divides them by the temperature.
    n_rows, n_classes = proba.shape
    odds = np.where(np.arange(n_classes) == 0, np.e, 1.0)
    probe = odds[None] / odds.sum()
    # Rows of weight 0, so that no class is missing.
    proba, y_true = (
        np.concatenate((proba, np.repeat(probe, n_classes, axis=0))),
        np.append(y_true, np.arange(n_classes)),
    )
    every = np.arange(len(proba))
    scaling = CalibratedClassifierCV(GivenProba(), method="temperature", cv=[(every, every)], ensemble=True)
    with config_context(enable_metadata_routing=False):
        scaling.fit(proba, y_true, sample_weight=(every < n_rows).astype(float))
    scaled = scaling.predict_proba(probe)[0]
    return float(1 / np.log(scaled[0] / scaled[1]))


def scale(proba, temperature):
    """Return probabilities at another temperature; the largest of each row stays the largest.

    Parameters
    ----------
    proba : ndarray of shape (n, n_classes)
        Probabilities.
    temperature : float
        Divides the logits: above 1, probabilities become more equal.

    Returns
    -------
    proba : ndarray of shape (n, n_classes), of the same dtype
    """
    exact = np.asarray(proba, dtype=np.float64) + _EPS
    scaled = (exact / exact.max(axis=1, keepdims=True)) ** (1 / temperature)
    scaled = (scaled / scaled.sum(axis=1, keepdims=True)).astype(proba.dtype)
    return put_label_on_top(scaled, proba.argmax(axis=1))

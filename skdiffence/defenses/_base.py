"""What every classifier around another classifier checks, in the same words."""

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin
from sklearn.utils import get_tags
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d, validate_data

from skdiffence.utils import _skorch as nets
from skdiffence.utils._frames import check_numeric_frame, is_frame


class ClassifierWrapper(ClassifierMixin, MetaEstimatorMixin, BaseEstimator):
    """Base of classifiers that wrap another: checked inputs, tags, and nothing left of an earlier ``fit``.

    A subclass has a parameter ``estimator``, calls ``_check_fit_data`` first in ``fit``, and sets ``n_samples_fit_``
    last.
    """

    def predict_log_proba(self, X):
        """Answer the logarithm of ``predict_proba``.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, n_features) or (n_samples, channels, height, width)
            Inputs.

        Returns
        -------
        log_proba : ndarray of shape (n_samples, n_classes)
        """
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        inner = get_tags(self.estimator)
        if inner.classifier_tags is not None:
            tags.classifier_tags.multi_class = inner.classifier_tags.multi_class
            tags.classifier_tags.poor_score = inner.classifier_tags.poor_score
        if any(nets.is_binary_net(net) for net in nets.nets_inside(self.estimator).values()):
            tags.classifier_tags.multi_class = False
        return tags

    def __sklearn_is_fitted__(self):
        return hasattr(self, "n_samples_fit_")

    def _forget(self):
        """Drop what an earlier ``fit`` left, so that an interrupted one does not look fitted."""
        for name in [name for name in vars(self) if name.endswith("_") and not name.startswith("_")]:
            delattr(self, name)

    def _check_fit_data(self, X, y):
        self._forget()
        nets.check_uninstantiated(self.estimator)
        check_numeric_frame(X)
        if y is None:
            raise ValueError("requires y to be passed, but the target y is None.")
        y = column_or_1d(y, warn=True)
        check_classification_targets(y)
        given = X
        X, y = validate_data(self, X, y, dtype=self._dtype(), allow_nd=True)
        self.input_shape_ = X.shape[1:]
        if len(np.unique(y)) < 2:
            raise ValueError(f"y must have at least two classes. Got one class: {y[0]}.")
        return self._as_given(given, X), y

    def _check_data(self, X):
        check_numeric_frame(X)
        given = X
        X = validate_data(self, X, dtype=self._dtype(), allow_nd=True, reset=False)
        if X.shape[1:] != self.input_shape_:
            raise ValueError(
                f"X must have rows of shape {self.input_shape_}, as in fit. Got an array of shape {X.shape}."
            )
        return self._as_given(given, X)

    def _holds_net(self):
        return bool(nets.nets_inside(self.estimator))

    def _dtype(self):
        return np.float32 if self._holds_net() else "numeric"

    def _as_given(self, given, validated):
        return given if is_frame(given) and not self._holds_net() else validated


def check_is_member(is_member, n_samples):
    """Return a mask of the rows that train, from what ``fit`` was given.

    Parameters
    ----------
    is_member : array-like of shape (n_samples,) or None
        Booleans, or zeros and ones.
    n_samples : int
        How many there must be.

    Returns
    -------
    is_member : ndarray of shape (n_samples,), dtype bool, or None

    Raises
    ------
    ValueError
        If there are more or fewer, or other values, or no row is marked.
    """
    if is_member is None:
        return None
    is_member = np.asarray(is_member)
    if is_member.shape != (n_samples,):
        raise ValueError(
            f"is_member must have one entry for each of the {n_samples} rows. Got shape {is_member.shape}."
        )
    if is_member.dtype != bool and not (is_member.dtype.kind in "iuf" and np.isin(is_member, (0, 1)).all()):
        raise ValueError(f"is_member must be boolean. Got dtype {is_member.dtype}.")
    if not is_member.any():
        raise ValueError("is_member must mark the rows that train the estimator. Got no row marked.")
    return is_member.astype(bool)

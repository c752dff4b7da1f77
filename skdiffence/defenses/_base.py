"""The base of classifiers around another classifier: checked inputs, tags and routed parameters."""

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

from skdiffence.utils import _skorch as nets
from skdiffence.utils._frames import check_numeric, is_frame
from skdiffence.utils._sklearn import routing_enabled
from skdiffence.utils._validation import as_class_labels, check_is_member, validate_rows
from skdiffence.utils._versions import VersionedMixin


class ClassifierWrapper(VersionedMixin, ClassifierMixin, MetaEstimatorMixin, BaseEstimator):
    """Base of classifiers that wrap another.

    A subclass has a parameter ``estimator``, or another one that ``_wrapped`` names, calls ``_check_fit_data`` in
    ``fit`` and ``_check_data`` in every method that answers, and sets ``n_samples_fit_`` in ``fit``.
    """

    _wrapped = "estimator"

    def predict_log_proba(self, X):
        """Return the log of ``predict_proba``.

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

    def get_metadata_routing(self):
        """Return which metadata ``fit`` consumes and which it passes to the wrapped classifier.

        Returns
        -------
        router : MetadataRouter
        """
        wrapped = {self._wrapped: self._wrapped_estimator()}
        return (
            MetadataRouter(owner=self)
            .add_self_request(self)
            .add(**wrapped, method_mapping=MethodMapping().add(caller="fit", callee="fit"))
        )

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        wrapped = self._wrapped_estimator()
        # A frozen object need not be of scikit-learn.
        of_sklearn = hasattr(nets.final_estimator(wrapped), "__sklearn_tags__")
        inner = get_tags(wrapped).classifier_tags if of_sklearn else None
        if inner is not None:
            tags.classifier_tags.multi_class = inner.multi_class
            tags.classifier_tags.poor_score = inner.poor_score
        allow_nan = of_sklearn and get_tags(wrapped).input_tags.allow_nan
        tags.input_tags.allow_nan = allow_nan and not self._holds_net()
        if any(nets.is_binary_net(net) for net in nets.nets_inside(wrapped).values()):
            tags.classifier_tags.multi_class = False
        return tags

    def __sklearn_is_fitted__(self):
        return hasattr(self, "n_samples_fit_")

    def _routed(self, fit_params):
        """Return the parameters of ``fit`` that metadata routing passes to the wrapped classifier."""
        if not fit_params:
            return {}
        if not routing_enabled():
            raise ValueError(
                f"fit got {', '.join(sorted(fit_params))}, which only metadata routing can pass on to "
                f"{type(self._wrapped_estimator()).__name__}: call "
                "sklearn.set_config(enable_metadata_routing=True) and estimator.set_fit_request(...) first."
            )
        return process_routing(self, "fit", **fit_params)[self._wrapped]["fit"]

    def _check_fit_data(self, X, y):
        """Return validated X and y, and record the shape of X."""
        nets.check_uninstantiated(self._wrapped_estimator())
        if y is None:
            raise ValueError("requires y to be passed, but the target y is None.")
        as_class_labels(y)
        y = column_or_1d(y, warn=True)
        check_classification_targets(y)
        check_numeric(X)
        given = X
        X, y = validate_rows(self, X, y, **self._how_to_validate())
        self.input_shape_ = X.shape[1:]
        if len(np.unique(y)) < 2:
            raise ValueError(f"y must have at least two classes. Got one class: {y[0]}.")
        return self._as_given(given, X), y

    def _check_data(self, X):
        """Return validated X, of the shape that ``fit`` was given."""
        check_numeric(X)
        given = X
        X = validate_rows(self, X, **self._how_to_validate(), reset=False)
        if X.shape[1:] != self.input_shape_:
            raise ValueError(
                f"X must have rows of shape {self.input_shape_}, as in fit. Got an array of shape {X.shape}."
            )
        return self._as_given(given, X)

    def _wrapped_estimator(self):
        return getattr(self, self._wrapped)

    def _holds_net(self):
        return bool(nets.nets_inside(self._wrapped_estimator()))

    def _how_to_validate(self):
        # Most classifiers refuse missing values themselves, some can use them. A net would answer NaN.
        allow_nan = not self._holds_net() or isinstance(self._wrapped_estimator(), Pipeline)
        return {"dtype": "numeric", "allow_nd": True, "ensure_all_finite": "allow-nan" if allow_nan else True}

    def _as_given(self, given, validated):
        if is_frame(given) and not nets.is_net(self._wrapped_estimator()):
            return given
        # Nets get the type of their weights in the end, a block at a time. Until then rows stay as they were given.
        return validated


def check_training_rows(is_member, n_samples):
    """Return which rows train the wrapped classifier, from the ``is_member`` that ``fit`` was given.

    Parameters
    ----------
    is_member : array-like of shape (n_samples,) or None
        Booleans, or 0 and 1.
    n_samples : int
        Number of rows.

    Returns
    -------
    is_member : ndarray of shape (n_samples,), dtype bool, or None

    Raises
    ------
    ValueError
        If the shape is another one, a value is neither 0 nor 1, or no row is marked.
    """
    if is_member is None:
        return None
    is_member = check_is_member(is_member, n_samples)
    if not is_member.any():
        raise ValueError("is_member must mark the rows that train the estimator. Got no row marked.")
    return is_member

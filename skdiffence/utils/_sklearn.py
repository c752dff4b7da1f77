"""The private scikit-learn names that third-party estimators need, and fits that succeed or change nothing."""

import functools

from scipy.sparse import issparse
from sklearn.base import _fit_context
from sklearn.utils import _safe_indexing
from sklearn.utils._metadata_requests import _routing_enabled as routing_enabled
from sklearn.utils._param_validation import HasMethods as _HasMethods
from sklearn.utils._param_validation import (
    Hidden,
    Interval,
    InvalidParameterError,
    Options,
    StrOptions,
    validate_params,
)
from sklearn.utils._set_output import _get_output_config
from sklearn.utils.validation import _num_samples as num_samples

__all__ = [
    "HasMethods",
    "Hidden",
    "Interval",
    "InvalidParameterError",
    "Options",
    "StrOptions",
    "all_or_nothing",
    "fit_context",
    "num_samples",
    "output_container",
    "routing_enabled",
    "safe_indexing",
    "validate_params",
]


def safe_indexing(X, indices, *, axis=0):
    """Return rows or columns of X, as scikit-learn's own function does, of a sparse matrix in any format.

    Parameters
    ----------
    X : array-like, sparse matrix or data frame
        Sparse matrices in a format without indexing (COO, BSR, DIA) are converted to CSR.
    indices : array-like or slice
        Of the rows or columns.
    axis : {0, 1}, default=0
        0 for rows and 1 for columns.

    Returns
    -------
    taken : array-like, sparse matrix or data frame
    """
    if issparse(X) and X.format in ("bsr", "coo", "dia"):
        X = X.tocsr()
    return _safe_indexing(X, indices, axis=axis)


class HasMethods(_HasMethods):
    """Constraint of parameters that are objects with some methods, and not their classes.

    Parameters
    ----------
    methods : str or list of str
        The methods.
    """

    def is_satisfied_by(self, val):
        """Return whether a value is such an object."""
        return not isinstance(val, type) and super().is_satisfied_by(val)


def output_container(transformer):
    """Return what scikit-learn puts the output of a transformer in.

    Parameters
    ----------
    transformer : transformer
        Asked by its ``set_output``, or else by the global configuration.

    Returns
    -------
    container : {"default", "pandas", "polars"}
        "default" leaves the output as it is, as for a transformer that does not name its features.
    """
    return _get_output_config("transform", transformer)["dense"] if hasattr(transformer, "set_output") else "default"


# Estimators whose fit is running, by id: a fit inside it, such as that of the parent class, is a part of it.
_FITTING = set()


def all_or_nothing(*, forget):
    """Return a decorator of ``fit`` under which a call that raises leaves the estimator as it was before.

    Attributes are restored, not copied: ``fit`` must assign new objects and not change those of an earlier fit.

    Parameters
    ----------
    forget : bool
        Whether the attributes of an earlier fit, whose names end in an underscore, are removed first.

    Returns
    -------
    decorator : callable
    """

    def decorator(fit):
        @functools.wraps(fit)
        def whole_fit(estimator, *args, **kwargs):
            if id(estimator) in _FITTING:
                return fit(estimator, *args, **kwargs)
            before = vars(estimator)
            start = {name: value for name, value in before.items() if not (forget and name.endswith("_"))}
            try:
                _FITTING.add(id(estimator))
                # One assignment, which no interrupt can break in two; skorch nets have a __setattr__ of their own.
                object.__setattr__(estimator, "__dict__", start)
                return fit(estimator, *args, **kwargs)
            except BaseException:
                object.__setattr__(estimator, "__dict__", before)
                raise
            finally:
                _FITTING.discard(id(estimator))

        return whole_fit

    return decorator


def fit_context(*, prefer_skip_nested_validation):
    """Return a decorator of ``fit`` that validates parameters, and under which a fit succeeds or changes nothing.

    Attributes of an earlier fit are removed first. If ``fit`` raises, an interrupt included, the estimator is as it was
    before the call: fitted as before, or unfitted.

    Parameters
    ----------
    prefer_skip_nested_validation : bool
        Whether estimators inside are not validated again, as in scikit-learn's own decorator.

    Returns
    -------
    decorator : callable
    """
    validated = _fit_context(prefer_skip_nested_validation=prefer_skip_nested_validation)
    whole = all_or_nothing(forget=True)
    return lambda fit: whole(validated(fit))

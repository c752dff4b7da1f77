"""Rows as vectors of float32 numbers, for trees and neighbors."""

import math

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from skdiffence.utils._frames import as_numbers
from skdiffence.utils._sklearn import fit_context

# Of a column's range: rounding to float32 may not blur it by more.
_BLUR = 1e-3


class FlatRows(TransformerMixin, BaseEstimator):
    """Flatten rows to float32, without offsets beside which float32 would blur the differences within a column.

    Trees of scikit-learn round their rows to float32: the seconds of a day, counted from 1970, would become 675 values
    and not 86,400.

    Attributes
    ----------
    offset_ : ndarray of shape (n_features,), dtype float64
        What is subtracted: the mean of columns that float32 would blur, otherwise 0.
    """

    _parameter_constraints: dict = {}

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Learn the offsets.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, ...)
            Numeric rows. Missing values are NaN.
        y : None
            Ignored.

        Returns
        -------
        self : FlatRows
        """
        values = _flat(X)
        values = np.where(np.isfinite(values), values, np.nan)
        known = ~np.isnan(values).all(axis=0)
        self.offset_ = np.zeros(values.shape[1])
        low, high = np.nanmin(values[:, known], axis=0), np.nanmax(values[:, known], axis=0)
        blur = np.finfo(np.float32).eps * np.maximum(np.abs(low), np.abs(high))
        self.offset_[known] = np.where(blur > _BLUR * (high - low), low + (high - low) / 2, 0.0)
        return self

    def transform(self, X):
        """Return flattened rows.

        Parameters
        ----------
        X : array-like or data frame of shape (n_samples, ...)
            Numeric rows.

        Returns
        -------
        rows : ndarray of shape (n_samples, n_features), dtype float32
        """
        check_is_fitted(self)
        rows = _flat(X)
        # Values beyond float32 become infinities.
        with np.errstate(over="ignore"):
            return (rows - self.offset_).astype(np.float32)


def _flat(X):
    values = as_numbers(X)
    return values.reshape(len(values), math.prod(values.shape[1:])).astype(np.float64)

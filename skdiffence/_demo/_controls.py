"""Controls: plain noise in place of the denoiser, and simple changes of the output in place of the defense."""

import numpy as np
from scipy.special import expit
from scipy.stats import norm
from sklearn.base import BaseEstimator, ClassifierMixin
from torch import nn

from skdiffence.metrics import logit_signal
from skdiffence.utils._rows import row_digests
from skdiffence.utils._sklearn import fit_context


class NoDenoiser(nn.Module):
    """Predict no noise, so that a regeneration is the input with the noise left in."""

    def forward(self, x, timesteps):
        """Return zeros of the shape of x."""
        return x * 0


class _LabelKeeper(ClassifierMixin, BaseEstimator):
    """A fitted classifier with its labels and another confidence in them."""

    _parameter_constraints: dict = {}

    def __init__(self, estimator):
        self.estimator = estimator

    @property
    def classes_(self):
        """Class labels."""
        return self.estimator.classes_

    def predict(self, X):
        """Return the classifier's own label of each row."""
        return self.estimator.predict(X)

    def predict_proba(self, X):
        """Return the new confidence in the label, with the rest in equal shares on the other labels."""
        proba = np.asarray(self.estimator.predict_proba(X), dtype=np.float64)
        n, k = proba.shape
        labels = proba.argmax(axis=1)
        # The label stays on top: no confidence below an equal share.
        top = np.clip(self._confidence(X, proba, labels), 1 / k + 1e-6, 1 - 1e-6)
        answer = np.repeat((1 - top)[:, None] / (k - 1), k, axis=1)
        answer[np.arange(n), labels] = top
        return answer


class LabelOnly(_LabelKeeper):
    """Output the label with one confidence for all rows: the accuracy on known non-members.

    Parameters
    ----------
    estimator : classifier
        Fitted.
    """

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y):
        """Measure the accuracy on known non-members.

        Parameters
        ----------
        X : array-like of shape (n, ...)
            Rows that did not train the classifier.
        y : array-like of shape (n,)
            Their labels.

        Returns
        -------
        self : LabelOnly
        """
        self.accuracy_ = float(np.mean(self.estimator.predict(X) == y))
        return self

    def _confidence(self, X, proba, labels):
        return np.full(len(labels), self.accuracy_)


class OutputNoise(_LabelKeeper):
    """Add normal noise to phi of the label, as a function of the row under a key.

    Parameters
    ----------
    estimator : classifier
        Fitted.
    scale : float, default=4.0
        Standard deviation of the noise.
    key : bytes, default=b"output noise"
        Key of the noise.
    """

    def __init__(self, estimator, scale=4.0, key=b"output noise"):
        super().__init__(estimator)
        self.scale = scale
        self.key = key

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y):
        """Do nothing; there is nothing to learn.

        Parameters
        ----------
        X : array-like of shape (n, ...)
            Not read.
        y : array-like of shape (n,)
            Not read.

        Returns
        -------
        self : OutputNoise
        """
        return self

    def _confidence(self, X, proba, labels):
        words = row_digests(X, self.key).view("<u8").reshape(len(labels), 2)[:, 0]
        noise = norm.ppf((words.astype(np.float64) + 0.5) / 2.0**64).clip(-8, 8)
        return expit(logit_signal(labels, proba) + self.scale * noise)

"""Controls: plain noise in place of the denoiser, and simple changes of the output in place of the defense."""

import numpy as np
from sklearn.frozen import FrozenEstimator
from torch import nn

from skdiffence.defenses import OutputClassifier, OutputNoiseClassifier


class NoDenoiser(nn.Module):
    """Predict no noise, so that a regeneration is the input with the noise left in."""

    def forward(self, x, timesteps):
        """Return zeros of the shape of x."""
        return x * 0


def label_only(classifier, X, y):
    """Return a classifier that outputs the label with one confidence for all rows: its accuracy on known non-members.

    Parameters
    ----------
    classifier : classifier
        Fitted.
    X : array-like of shape (n, ...)
        Known non-members.
    y : array-like of shape (n,)
        Their labels.

    Returns
    -------
    classifier : OutputClassifier
    """
    # The label's probability is the largest, and no other one is 0.
    confidence = np.clip(np.mean(classifier.predict(X) == y), 1 / len(classifier.classes_) + 1e-6, 1 - 1e-6)
    return OutputClassifier(FrozenEstimator(classifier), "label", confidence=float(confidence)).fit(X, y)


def output_noise(classifier, X, y):
    """Return a classifier that adds noise to the confidence of its output.

    Parameters
    ----------
    classifier : classifier
        Fitted.
    X : array-like of shape (n, ...)
        Rows like those that it is asked about.
    y : array-like of shape (n,)
        Their labels.

    Returns
    -------
    classifier : OutputNoiseClassifier
    """
    return OutputNoiseClassifier(FrozenEstimator(classifier), key=b"output noise").fit(X, y)

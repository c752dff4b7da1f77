"""Bernoulli distributions of the correctness of labels, given the confidence of shadow models."""

import numpy as np

from skdiffence.attacks.shadow._gaussians import Side

# Confidences of shadows are no certainties: neither side is ever sure of a label.
_CLIP = 0.01


class BernoulliSide(Side):
    """The probability of a correct label for each row and query: of the models trained on the row, or of the others.

    ``center`` is that probability; signals are 1 for correct labels and 0 for wrong ones.
    """

    @classmethod
    def of(cls, side):
        """Return the distributions whose probabilities are the centers of Gaussians of confidences."""
        return cls(np.clip(side.center, _CLIP, 1 - _CLIP), side.spread, side.pooled)

    def log_density(self, signals):
        """Return the log-likelihood of signals of shape (n_samples, n_queries)."""
        return np.log(np.where(signals > 0, self.center, 1 - self.center))

    def log_cdf(self, signals):
        """Return the log-probability of a lower signal, ties counted as one half."""
        return np.log(np.where(signals > 0, 1 - self.center / 2, (1 - self.center) / 2))

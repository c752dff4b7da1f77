"""Noisy neighbors of rows, whose labels are queried."""

from numbers import Integral, Real

import numpy as np

from skdiffence.attacks._changed_rows import InputSpace, as_floats, check_row_shape
from skdiffence.utils._frames import like
from skdiffence.utils._random import mix_seed
from skdiffence.utils._sklearn import Interval

_SCALES = (0.25, 0.5, 1.0)
SCALE_OPTIONS = [None, Interval(Real, 0, None, closed="neither"), "array-like"]
QUERIES_OPTION = Interval(Integral, 1, None, closed="left")


class NoisyNeighbors:
    """Rows and their neighbors with noise of several scales; a draw is the same for all rows.

    Parameters
    ----------
    X : array-like of shape (n_samples, ...)
        Known rows, which give the range and the spread of the noise.
    n_queries : int
        Number of queries for each row, including the unchanged row.
    scale : None, float or array-like of float
        Scale of the noise in standard deviations of each feature, or several scales, used in turn. None is 0.25, 0.5
        and 1.
    seed : int
        Seeds the noise.
    """

    def __init__(self, X, n_queries, scale, seed):
        self.n_queries, self._seed = n_queries, seed
        self._scales, self._space = _check_scales(scale), InputSpace.of(as_floats(X))

    def of(self, X):
        """Yield X and then noisy copies of it."""
        values = as_floats(X)
        check_row_shape(values, self._space.spread.shape)
        yield X
        for number in range(1, self.n_queries):
            rng = np.random.default_rng(mix_seed("label-only noise", self._seed, number))
            scale = self._scales[(number - 1) % len(self._scales)]
            yield like(self._space.add_noise(values, scale, rng), X)

    def summarize(self, correct):
        """Return features of the queries' correctness.

        Draws of one scale are exchangeable, so their share tells as much as each of them, with fewer weights to learn.

        Parameters
        ----------
        correct : ndarray of shape (n_samples, n_queries)
            Whether each query was labeled correctly.

        Returns
        -------
        features : ndarray of shape (n_samples, 1 + n_scales), dtype float64
            Correctness of the unchanged row, and the share of correct labels for each scale that was used.
        """
        n_scales = min(len(self._scales), self.n_queries - 1)
        shares = [correct[:, 1 + number :: len(self._scales)].mean(axis=1) for number in range(n_scales)]
        return np.column_stack([correct[:, 0], *shares])


def _check_scales(scale):
    scales = np.atleast_1d(np.asarray(_SCALES if scale is None else scale))
    if scales.ndim != 1 or scales.dtype.kind not in "iuf" or not len(scales) or not (scales > 0).all():
        raise ValueError(f"scale must hold positive numbers, the sizes of the noise. Got {scale!r}.")
    if not np.isfinite(scales).all():
        raise ValueError(f"scale must be finite. Got {scale!r}.")
    return scales.astype(np.float64)

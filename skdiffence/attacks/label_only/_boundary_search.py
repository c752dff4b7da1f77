"""The search for the nearest point with another label, by HopSkipJump of the Adversarial Robustness Toolbox."""

import contextlib
import logging

import numpy as np

from skdiffence.utils._optional import import_optional

_N_STARTS = 5
_N_RANDOM_STARTS = 100
# HopSkipJump halves its steps until one succeeds: in single precision, after 150 halvings at the latest.
_CALLS_AN_ITERATION, _CALLS_BEFORE = 250, 20
# Of the widest feature. HopSkipJump divides by widths, constant features included.
_NARROWEST = 1e-3


def import_art():
    """Return HopSkipJump and the wrapper of targets that are queried through a function."""
    evasion = import_optional("art.attacks.evasion", extra="audit")
    classification = import_optional("art.estimators.classification", extra="audit")
    return evasion.HopSkipJump, classification.BlackBoxClassifierNeuralNetwork


def most_calls(max_iter):
    """Return the maximum number of calls in a search, if equal points always have equal labels."""
    return _CALLS_BEFORE + max_iter * _CALLS_AN_ITERATION


@contextlib.contextmanager
def numpy_seed(seed):
    """Seed NumPy's global generator inside the block and restore it afterwards.

    HopSkipJump takes no other generator. Nothing else in this library uses the global one.

    Parameters
    ----------
    seed : int
        In [0, 2**32).
    """
    before = np.random.get_state()
    np.random.set_state(np.random.RandomState(seed).get_state())
    try:
        yield
    finally:
        np.random.set_state(before)


class _EndlessSearch(Exception):
    """Raised after more calls than HopSkipJump can need if equal points always have equal labels."""


class Probe:
    """Queries labels of points around a row, and records the nearest point with another label.

    Points are relative to the row and to the range of the widest feature, so that single precision is enough for them.

    Parameters
    ----------
    keeps_label : callable
        Takes an array of rows and returns for each whether its label is that of the row.
    row : ndarray, dtype float64
        The row to search from.
    low, high : ndarray, dtype float64
        The range to search in.
    norm : {2, inf}
        Norm of the distance.
    max_calls : int
        Number of calls after which the search stops.

    Attributes
    ----------
    distance : float
        Distance of the nearest point with another label so far, infinity if there is none.
    n_evaluations : int
        Number of labels queried.
    """

    def __init__(self, keeps_label, row, low, high, norm, max_calls):
        self._keeps_label, self._row, self._norm, self._max_calls = keeps_label, row, norm, max_calls
        # The row itself may lie outside the range.
        self.low, self.high = np.minimum(low, row), np.maximum(high, row)
        self.unit = np.max(self.high - self.low) or 1.0
        self.distance, self.n_evaluations, self._n_calls = np.inf, 0, 0

    def relative(self, points):
        """Return rows as points relative to the row."""
        return ((points - self._row) / self.unit).astype(np.float32)

    def query(self, points):
        """Return which points have another label."""
        self._n_calls += 1
        if self._n_calls > self._max_calls:
            raise _EndlessSearch
        rows = np.clip(self._row + self.unit * points.astype(np.float64), self.low, self.high)
        axes = tuple(range(1, rows.ndim))
        differs = np.ones(len(rows), dtype=bool)
        # A step without direction gives NaN; HopSkipJump stops once such a point has another label.
        real = np.isfinite(rows).all(axis=axes)
        if real.any():
            differs[real] = ~self._keeps_label(rows[real])
            self.n_evaluations += np.count_nonzero(real)
        if (real & differs).any():
            steps = (rows[real & differs] - self._row).reshape(np.count_nonzero(real & differs), -1)
            self.distance = min(self.distance, float(np.linalg.norm(steps, ord=self._norm, axis=1).min()))
        return differs

    def one_hot(self, points):
        """Return one-hot labels for HopSkipJump: the row's label is class 0, all others are class 1."""
        differs = self.query(points)
        return np.column_stack([~differs, differs]).astype(np.float32)

    @property
    def farthest(self):
        """The distance of the farthest point in the range."""
        sides = np.maximum(self.high - self._row, self._row - self.low)
        return float(np.linalg.norm(sides.ravel(), ord=self._norm))


def search(probe, starts, *, seed, norm, max_iter, max_eval, init_eval):
    """Search for the nearest point with another label.

    Parameters
    ----------
    probe : Probe
        Queries the target and records the result.
    starts : ndarray of shape (n_starts, ...), dtype float64
        Rows with other labels to start from, the best first.
    seed : int
        In [0, 2**32).
    norm, max_iter, max_eval, init_eval : object
        See :class:`~skdiffence.attacks.BoundaryAttack`.
    """
    hop_skip_jump, black_box = import_art()
    origin = np.zeros((1, *probe.low.shape), dtype=np.float32)
    start = None if probe.query(origin).any() else _first_that_differs(probe, starts, seed)
    if start is None:
        return
    attack = hop_skip_jump(
        black_box(probe.one_hot, start.shape, 2, clip_values=_clip_values(probe)),
        batch_size=int(max_eval),
        norm=norm,
        max_iter=int(max_iter),  # NumPy's integers are refused
        max_eval=int(max_eval),
        init_eval=int(init_eval),
        verbose=False,
    )
    with _quiet(), numpy_seed(seed), contextlib.suppress(_EndlessSearch):
        attack.generate(origin, y=np.array([[1.0, 0.0]]), x_adv_init=start[np.newaxis])


def _first_that_differs(probe, starts, seed):
    starts = probe.relative(starts[:_N_STARTS])
    for start in starts:
        if probe.query(start[np.newaxis]).any():
            return start
    random = np.random.default_rng(seed).uniform(probe.low, probe.high, size=(_N_RANDOM_STARTS, *probe.low.shape))
    differs = probe.query(probe.relative(random))
    return probe.relative(random[differs.argmax()]) if differs.any() else None


def _clip_values(probe):
    low, high = probe.relative(probe.low), probe.relative(probe.high)
    return low, np.maximum(high, low + np.float32(_NARROWEST))


@contextlib.contextmanager
def _quiet():
    """Silence divisions by zero, which end a search, and log messages about single rows."""
    logger = logging.getLogger("art")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with np.errstate(all="ignore"):
            yield
    finally:
        logger.setLevel(level)

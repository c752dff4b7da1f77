"""The attack by a likelihood ratio of histograms, which needs no monotone relation of signal and membership."""

from math import cbrt, isqrt
from numbers import Integral, Real

import numpy as np

from skdiffence.attacks.answer._signal_attack import SignalAttack
from skdiffence.utils._sklearn import Interval, StrOptions


class HistogramAttack(SignalAttack):
    """Call a row a member if its signal has higher likelihood among known members than among known non-members.

    Both likelihoods are histograms over bins with equal numbers of known rows. A row's score is the log-likelihood
    ratio of its bin. Members are found whether a defense leaves them the highest signals, moves them to the middle, or
    to both ends.

    Parameters
    ----------
    signal : str, default="logit"
        The signal whose values are counted, one of those of :class:`ThresholdAttack`.
    n_bins : int or "auto", default="auto"
        Maximum number of bins. "auto" is the smaller of the square root and twice the cube root of the number of known
        rows. Rows with equal signals share a bin, so there may be fewer.
    smoothing : float, default=1.0
        Count added to each bin of each side.

    Attributes
    ----------
    target_ : classifier
        The target, after ``fit``.
    edges_ : ndarray of shape (n_edges,)
        Edges between bins. A signal equal to an edge is in the bin above it.
    log_ratio_ : ndarray of shape (n_edges + 1,)
        The score of each bin.
    threshold_ : float
        The smallest positive number. Rows with a positive log-likelihood ratio are called members.

    See Also
    --------
    ThresholdAttack : Thresholds the same signals.
    NonMonotoneAttack : Needs no monotone relation either, and uses several signals.

    Notes
    -----
    Cost: one query for each row. Scores have few distinct values, so the true positive rate at a low false
    positive rate depends on one or two bins.

    Examples
    --------
    >>> import numpy as np
    >>> from skdiffence.attacks import Answers, HistogramAttack
    >>> confidence = np.r_[np.linspace(0.5, 0.6, 50), np.linspace(0.2, 0.4, 25), np.linspace(0.7, 0.9, 25)]
    >>> proba = np.column_stack([confidence, 1 - confidence])
    >>> answers = Answers(proba, proba.argmax(axis=1), np.zeros(100, dtype=int), np.array([0, 1]))
    >>> attack = HistogramAttack(n_bins=4).fit_answers(answers, is_member=np.arange(100) < 50)
    >>> np.exp(attack.log_ratio_).round(3)
    array([ 0.038, 26.   , 26.   ,  0.038])
    """

    _parameter_constraints: dict = {
        **SignalAttack._parameter_constraints,
        "n_bins": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "smoothing": [Interval(Real, 0, None, closed="neither")],
    }

    def __init__(self, signal="logit", *, n_bins="auto", smoothing=1.0):
        self.signal = signal
        self.n_bins = n_bins
        self.smoothing = smoothing

    def _learn(self, answers, is_member):
        signal = answers.signal(self.signal)
        self.edges_ = _equal_frequency_edges(signal, _auto_bins(len(signal)) if self.n_bins == "auto" else self.n_bins)
        members, others = (self._log_shares(signal[side]) for side in (is_member, ~is_member))
        self.log_ratio_ = members - others
        self.threshold_ = float(np.nextafter(0.0, 1.0))

    def _log_shares(self, signal):
        n_bins = len(self.edges_) + 1
        counts = np.bincount(_bins(signal, self.edges_), minlength=n_bins)
        return np.log((counts + self.smoothing) / (len(signal) + n_bins * self.smoothing))

    def _score(self, answers):
        return self.log_ratio_[_bins(answers.signal(self.signal), self.edges_)]


def _auto_bins(n_rows):
    return min(isqrt(n_rows), int(2 * cbrt(n_rows)))


def _equal_frequency_edges(signal, n_bins):
    """Return the edges of at most ``n_bins`` bins, at midpoints of the signals that they separate."""
    signal = np.sort(signal)
    cuts = np.arange(1, n_bins) * len(signal) // n_bins
    # A cut between equal signals moves to the nearer end of them, or to the end that leaves rows on both sides.
    start, stop = (np.searchsorted(signal, signal[cuts], side=side) for side in ("left", "right"))
    nearer = (start > 0) & ((cuts - start <= stop - cuts) | (stop == len(signal)))
    cuts = np.unique(np.where(nearer, start, stop))
    cuts = cuts[(cuts > 0) & (cuts < len(signal))]
    middle = signal[cuts - 1] / 2 + signal[cuts] / 2
    # Adjacent floats have no number between them.
    return np.where(middle > signal[cuts - 1], middle, signal[cuts])


def _bins(signal, edges):
    return np.searchsorted(edges, signal, side="right")

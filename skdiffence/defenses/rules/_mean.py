"""The rule that averages the classifier's probabilities over the first few candidates."""

from numbers import Integral

import numpy as np
from sklearn.utils import Bunch

from skdiffence.defenses.rules._base import Rule
from skdiffence.utils._sklearn import Interval


class MeanRule(Rule):
    """Average the probabilities of the first n candidates, including those that change the label.

    Where the largest mean probability is not the label's, the two are exchanged. Every row costs n regenerations,
    whatever ``search``, so that response times do not depend on membership. ``fallback`` has no effect under this rule.

    Read more in the :ref:`User Guide <averaging>`.

    Parameters
    ----------
    n : int, default=4
        Number of candidates for each row. If ``n_candidates`` of the defended classifier is smaller, so many are
        averaged.
    antithetic : bool, default=True
        Whether candidates come in pairs of opposite noise. The mean then varies less with the noise [1]_, for the
        same number of calls. The regenerator must accept negative candidate numbers, as :class:`DiffusionRegenerator
        <skdiffence.diffusion.DiffusionRegenerator>` does unless its noise is "fresh". If n is odd, the last candidate
        has no partner.

    See Also
    --------
    SwapRule : One candidate, and the same exchange.

    Notes
    -----
    The expected answer is that of denoised smoothing, which is known from certified robustness [2]_ [3]_. Averaging is
    not part of Diffence.

    References
    ----------
    .. [1] Hammersley and Morton, "A new Monte Carlo technique: antithetic variates", Mathematical Proceedings of the
       Cambridge Philosophical Society, 1956.
    .. [2] Cohen, Rosenfeld and Kolter, "Certified adversarial robustness via randomized smoothing", ICML 2019.
    .. [3] Carlini et al., "(Certified!!) Adversarial robustness for free!", ICLR 2023.

    Examples
    --------
    >>> from skdiffence.defenses import MeanRule
    >>> [MeanRule(n=4).candidate(index) for index in range(4)]
    [0, -1, 2, -3]
    """

    relabels = True
    ends_early = False

    _parameter_constraints: dict = {
        "n": [Interval(Integral, 1, None, closed="left")],
        "antithetic": ["boolean"],
    }

    def __init__(self, n=4, *, antithetic=True):
        self.n = n
        self.antithetic = antithetic

    @property
    def max_candidates(self):
        """The number of candidates that are averaged."""
        return self.n

    def candidate(self, index):
        """Return the number of a candidate that the regenerator is asked for.

        Parameters
        ----------
        index : int or ndarray of int
            Which candidate of a row, from 0 on.

        Returns
        -------
        candidate : int or ndarray of int
            The index if it is even. If it is odd, ~(index - 1), the candidate before it with its noise negated.
        """
        # For an odd index, ~(index - 1) is -index.
        return index * (1 - 2 * (index % 2)) if self.antithetic else index

    def start(self, labels, n_classes, dtype):
        """Return the state of a new call: the sum of the probabilities of each row, and how many were added.

        Parameters
        ----------
        labels : ndarray of shape (n,), dtype int
            The label of each row, as a column index.
        n_classes : int
            Number of classes.
        dtype : dtype
            Of the probabilities.

        Returns
        -------
        state : Bunch
        """
        n_rows = len(labels)
        return Bunch(
            labels=labels,
            total=np.zeros((n_rows, n_classes)),
            n_seen=np.zeros(n_rows, dtype=int),
            kept=np.zeros(n_rows, dtype=bool),
            dtype=dtype,
        )

    def add(self, state, rows, candidate, predicted, proba):
        """Add the probabilities on one candidate.

        Parameters
        ----------
        state : Bunch
            The state of the call.
        rows : ndarray of shape (m,), dtype int
            Indices of the rows.
        candidate : int
            Not used.
        predicted : ndarray of shape (m,), dtype int
            The label that the classifier predicts on the candidate, as a column index.
        proba : ndarray of shape (m, n_classes)
            The classifier's probabilities on the candidate.
        """
        state.total[rows] += proba
        state.n_seen[rows] += 1
        state.kept[rows] |= predicted == state.labels[rows]

    def unfinished(self, state):
        """Return which rows have been given fewer than n candidates.

        Parameters
        ----------
        state : Bunch
            The state of the call.

        Returns
        -------
        unfinished : ndarray of shape (n,), dtype bool
        """
        return state.n_seen < self.n

    def finish(self, state):
        """Return the mean probabilities of each row.

        Parameters
        ----------
        state : Bunch
            The state of the call.

        Returns
        -------
        answers : Bunch
            ``proba``, ``candidate`` and ``kept``, see :meth:`Rule.finish`.
        """
        proba = (state.total / state.n_seen[:, None]).astype(state.dtype)
        return Bunch(proba=proba, candidate=np.full(len(proba), -2), kept=state.kept)

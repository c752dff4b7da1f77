"""The base of rules, which make one answer of the candidates of each row."""

from abc import ABCMeta, abstractmethod

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import Bunch

from skdiffence.metrics import logit_signal
from skdiffence.utils._sklearn import fit_context
from skdiffence.utils._validation import as_floats


class Rule(BaseEstimator, metaclass=ABCMeta):
    """Base class of rules, which choose or combine the candidates of each row.

    A rule is given the classifier's probabilities in blocks: on candidate 0 of all rows, then on candidate 1 of the
    rows that need another one, and so on. What it has to remember is kept in a state that belongs to one call; the rule
    itself is changed by ``fit`` only. :class:`ChoosingRule` is the base of rules that choose.

    A rule never gets the undefended probabilities: one that used them would leak more than no defense to repeated
    queries.
    """

    #: Whether ``fit`` needs calibration rows that are members, and non-members.
    needs_members = False
    needs_non_members = False
    #: The number of candidates that the rule can use; None for as many as there are.
    max_candidates = None
    #: Whether candidates that change the label are used as well, and the label's probability and the largest one are
    #: exchanged where they differ. The fallback then has no effect.
    relabels = False
    #: Whether a row can need fewer candidates than ``max_candidates``.
    ends_early = True

    _parameter_constraints: dict = {}

    @property
    def needs_calibration(self):
        """Whether ``fit`` needs calibration rows."""
        return self.needs_members or self.needs_non_members

    def candidate(self, index):
        """Return the number of the candidate that the regenerator is asked for.

        Parameters
        ----------
        index : int or ndarray of int
            Which candidate of a row, from 0 on, as the other methods count them.

        Returns
        -------
        candidate : int or ndarray of int
            The index itself. A rule whose candidates come in pairs of opposite noise returns negative numbers too; see
            :meth:`skdiffence.diffusion.DiffusionRegenerator.regenerate`.
        """
        return index

    def phi(self, proba, labels):
        """Return phi of candidates.

        Parameters
        ----------
        proba : ndarray of shape (n, n_classes)
            The classifier's probabilities on candidates.
        labels : ndarray of shape (n,), dtype int
            Labels of the rows, as column indices.

        Returns
        -------
        phi : ndarray of shape (n,)
            Of the label, or with ``relabels`` of the largest probability, which the label will have.
        """
        return logit_signal(proba.argmax(axis=1) if self.relabels else labels, proba)

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, members, non_members):
        """Fit the rule to the candidates of calibration rows.

        Parameters
        ----------
        members : ndarray of shape (n_members, n_candidates + 1) or None
            phi of the candidates of known members, NaN where a candidate changes the label. The last column is phi of
            the fallback answer in rows without any candidate that keeps the label, and NaN in all others. Rules with
            ``relabels`` get phi of all candidates, and a last column of NaN.
        non_members : ndarray of shape (n_non_members, n_candidates + 1) or None
            The same for known non-members.

        Returns
        -------
        self : Rule
            The fitted rule.
        """
        return self

    @abstractmethod
    def start(self, labels, n_classes, dtype):
        """Return the state of a new call.

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
        state : object
            Passed to the other methods, which change it in place.
        """

    @abstractmethod
    def add(self, state, rows, candidate, predicted, proba):
        """Take note of the answers on one candidate.

        Parameters
        ----------
        state : object
            The state of the call.
        rows : ndarray of shape (m,), dtype int
            Indices of the rows, all of them unfinished.
        candidate : int
            Number of the candidate.
        predicted : ndarray of shape (m,), dtype int
            The label that the classifier predicts on the candidate, as a column index.
        proba : ndarray of shape (m, n_classes)
            The classifier's probabilities on the candidate.
        """

    @abstractmethod
    def unfinished(self, state):
        """Return which rows need another candidate.

        Parameters
        ----------
        state : object
            The state of the call.

        Returns
        -------
        unfinished : ndarray of shape (n,), dtype bool
        """

    @abstractmethod
    def finish(self, state):
        """Return the answer of each row.

        Parameters
        ----------
        state : object
            The state of the call.

        Returns
        -------
        answers : Bunch
            ``proba`` of shape (n, n_classes), in which the label's probability need not be the largest yet;
            ``candidate`` of shape (n,), the number of the candidate, or -2 where candidates are combined; ``kept`` of
            shape (n,), whether the label was kept.
        """


class ChoosingRule(Rule):
    """Base class of rules that answer with the candidate of lowest cost.

    Candidates that keep the label are compared, and with ``relabels`` all of them. A subclass writes ``cost``.

    Attributes
    ----------
    interval_ : tuple of two floats
        Values of phi that finish a row, unbounded where every value does.
    """

    interval_ = (-np.inf, np.inf)

    @abstractmethod
    def cost(self, phi):
        """Return the cost of each candidate.

        Parameters
        ----------
        phi : ndarray of any shape
            phi = ln p - ln(1 - p) of candidates, with p the probability of the label.

        Returns
        -------
        cost : ndarray of the same shape
            At least 0. A candidate of cost 0 finishes its row; of equal costs the first candidate is chosen.
        """

    def choose(self, phi):
        """Choose among all candidates of each row.

        Parameters
        ----------
        phi : array-like of shape (n, n_candidates)
            phi of candidates, NaN where one changes the label and does not count. Candidates beyond
            ``max_candidates`` are not used.

        Returns
        -------
        chosen : ndarray of shape (n,), dtype int
            Column of the chosen candidate; 0 where all are NaN.

        Raises
        ------
        NotFittedError
            If the rule needs calibration rows and is not fitted.
        ValueError
            If phi is not such an array.
        """
        phi = check_phi(phi, "phi", "(n, n_candidates)")[:, : self.max_candidates]
        return cheapest(phi, self.cost(phi))

    def start(self, labels, n_classes, dtype):
        """Return the state of a new call: the best candidate of each row so far, and its cost.

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
        n = len(labels)
        return Bunch(
            labels=labels,
            cost=np.full(n, np.inf),
            proba=np.empty((n, n_classes), dtype=dtype),
            candidate=np.full(n, -1),
            kept=np.zeros(n, dtype=bool),
        )

    def add(self, state, rows, candidate, predicted, proba):
        """Keep the candidate in the rows where it costs less than those before.

        Parameters
        ----------
        state : Bunch
            The state of the call.
        rows : ndarray of shape (m,), dtype int
            Indices of the rows.
        candidate : int
            Number of the candidate.
        predicted : ndarray of shape (m,), dtype int
            The label that the classifier predicts on the candidate, as a column index.
        proba : ndarray of shape (m, n_classes)
            The classifier's probabilities on the candidate.
        """
        labels = state.labels[rows]
        kept = predicted == labels
        counts = kept | self.relabels
        cost = np.where(counts, self.cost(self.phi(proba, labels)), np.inf)
        # While no candidate counts, the latest one stands in for the fallback.
        better = (cost < state.cost[rows]) | ~(state.kept[rows] | counts)
        taken = rows[better]
        state.cost[taken], state.proba[taken] = cost[better], proba[better]
        state.candidate[taken], state.kept[taken] = candidate, kept[better]

    def unfinished(self, state):
        """Return which rows have no candidate of cost 0 yet.

        Parameters
        ----------
        state : Bunch
            The state of the call.

        Returns
        -------
        unfinished : ndarray of shape (n,), dtype bool
        """
        return state.cost > 0

    def finish(self, state):
        """Return the best candidate of each row.

        Parameters
        ----------
        state : Bunch
            The state of the call.

        Returns
        -------
        answers : Bunch
            ``proba``, ``candidate`` and ``kept``, see :meth:`Rule.finish`.
        """
        return Bunch(proba=state.proba, candidate=state.candidate, kept=state.kept)


def check_phi(phi, name, shape, *, fewest=(0, 1)):
    """Return phi of the candidates of some rows as an array of numbers.

    Parameters
    ----------
    phi : array-like
        One row for each row, one column for each candidate.
    name : str
        What error messages call the parameter.
    shape : str
        What they say of its shape.
    fewest : tuple of two ints, default=(0, 1)
        Number of rows and of columns, at least.

    Returns
    -------
    phi : ndarray of shape (n, n_columns), dtype float64

    Raises
    ------
    ValueError
        If phi has another number of dimensions, holds what is no number, or has too few rows or columns.
    """
    expected = f"{name} must be phi of candidates, an array of shape {shape} with one candidate at least"
    expected += " and one row at least." if fewest[0] else "."
    if phi is None:
        raise ValueError(f"{expected} Got None.")
    phi = as_floats(phi, name)
    if phi.ndim != 2 or any(np.less(phi.shape, fewest)):
        raise ValueError(f"{expected} Got an array of shape {phi.shape}.")
    return phi


def cheapest(phi, cost):
    """Return the column of lowest cost in each row, NaNs in ``phi`` left out; 0 where all are NaN."""
    return np.argmin(np.where(np.isnan(phi), np.inf, cost), axis=1)

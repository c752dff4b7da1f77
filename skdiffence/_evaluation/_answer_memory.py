"""A target's answers, remembered so that it is queried about the same row once for all attackers."""

import hashlib
from collections import Counter

import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.utils.metaestimators import available_if

from skdiffence.attacks._targets import as_answer, predict_labels
from skdiffence.defenses import DefendedClassifier
from skdiffence.utils._sklearn import num_samples, safe_indexing
from skdiffence.utils._skorch import final_estimator

_DIGEST_SIZE = 16
_MOST_BYTES = 2**28  # of all answers, and again of the names of one attacker's queries
_NAME_BYTES = 200  # of a name and its entry in a dict


class AnswerMemory:
    """The answers of a target, shared by attackers who query it about the same rows.

    Each attacker gets the answers that the target would give to this attacker alone. A query that an attacker
    repeats is a new query, since a target with fresh noise answers it anew; the second answer to one attacker is the
    second answer to all. Rows are kept as digests only. Answers that no longer fit into memory are asked for again.

    Parameters
    ----------
    target : classifier
        Fitted. It is queried, never changed.
    with_select : bool, default=False
        Whether to query ``select`` instead of ``predict_proba``, where it returns the same probabilities and more.

    Attributes
    ----------
    attacker_queries : Counter of str to int
        Rows that attackers asked about, by method.
    target_queries : Counter of str to int
        Rows that the target was asked about, by method.
    """

    def __init__(self, target, *, with_select=False):
        self.target = target
        self.attacker_queries, self.target_queries = Counter(), Counter()
        self._with_select = with_select
        self._answers, self._n_bytes = {}, 0

    def view(self, attack=None):
        """Return the target as a new attacker sees it.

        Parameters
        ----------
        attack : MembershipAttack, default=None
            The attack of the attacker. Only one that ``shares_answers`` gets answers from the memory.

        Returns
        -------
        target : TargetView
        """
        view = TargetView(self.target)
        # Names that end in an underscore, because they are no parameters.
        view.memory_, view.repeats_ = self, ({} if attack is None or attack.shares_answers else None)
        return view

    def answer(self, method, X, repeats):
        """Answer a query of an attacker.

        Parameters
        ----------
        method : str
            The method of the target.
        X : array-like of shape (n_samples, ...)
            Rows.
        repeats : dict or None
            How often the attacker called the method for each row; updated. None always queries the target.

        Returns
        -------
        answer : ndarray of shape (n_samples, ...) or Bunch of such arrays
        """
        self.attacker_queries[method] += num_samples(X)
        names = None if repeats is None else _names(X, repeats.setdefault(method, {}))
        if names is None:
            return self._query(method, X)
        if method == "predict_proba" and self._with_select:
            return self._recall("select", X, names)["proba"]
        return self._recall(method, X, names)

    def _query(self, method, X):
        self.target_queries[method] += num_samples(X)
        answer = predict_labels(self.target, X) if method == "predict" else getattr(self.target, method)(X)
        return answer if isinstance(answer, dict) else as_answer(answer, method, num_samples(X))

    def _recall(self, method, X, names):
        known, found = self._answers.setdefault(method, {}), {}
        new = [row for row, name in enumerate(names) if name not in known]
        all_new = 0 < len(new) == len(names)
        if new:
            given = _copied(self._query(method, X if all_new else safe_indexing(X, new)))
            found = {names[row]: (given, place) for place, row in enumerate(new)}
        answer = _copied(given) if all_new else _joined([known.get(name) or found[name] for name in names])
        n_bytes = _n_bytes(given) + _NAME_BYTES * len(found) if new else 0
        if self._n_bytes + n_bytes <= _MOST_BYTES:
            known.update(found)
            self._n_bytes += n_bytes
        return answer


def _copied(answer):
    """Return an answer that its receiver can't change any more, as an array or a Bunch of arrays."""
    if isinstance(answer, dict):
        return type(answer)(**{name: np.array(part) for name, part in answer.items()})
    return np.array(answer)


def _n_bytes(answer):
    return sum(part.nbytes for part in answer.values()) if isinstance(answer, dict) else answer.nbytes


def _joined(places):
    """Return a new answer made of single rows of others, each given as (answer, row)."""
    first = places[0][0]
    if isinstance(first, dict):
        return type(first)(**{name: _joined([(answer[name], row) for answer, row in places]) for name in first})
    return np.concatenate([answer[row : row + 1] for answer, row in places])


def _names(X, repeats):
    """Return a name for each query: the row to the last bit, and how often it was queried before.

    None where rows have no bytes of their own, or the attacker made more queries than can be remembered.
    """
    if not isinstance(X, np.ndarray) or X.dtype.hasobject or X.ndim < 2 or not len(X):
        return None
    if _NAME_BYTES * len(repeats) > _MOST_BYTES:
        return None
    kind, names = hashlib.blake2b(f"{X.dtype.str} {X.shape[1:]}".encode(), digest_size=_DIGEST_SIZE), []
    for row in np.ascontiguousarray(X):
        digest = kind.copy()
        digest.update(row)
        name = digest.digest()
        before = repeats.get(name, 0)
        repeats[name] = before + 1
        names.append(name + str(before).encode() if before else name)
    return names


def _inner_has(name):
    def check(self):
        return hasattr(self.estimator, name)

    return check


class TargetView(FrozenEstimator):
    """A fitted classifier as one attacker sees it, made by :meth:`AnswerMemory.view`.

    Parameters
    ----------
    estimator : classifier
        Fitted.
    """

    def predict(self, X):
        """Return the labels of X."""
        return self.memory_.answer("predict", X, self.repeats_)

    @available_if(_inner_has("predict_proba"))
    def predict_proba(self, X):
        """Return the class probabilities of X."""
        return self.memory_.answer("predict_proba", X, self.repeats_)

    @available_if(_inner_has("select"))
    def select(self, X):
        """Return the class probabilities of X with the chosen candidates."""
        return self.memory_.answer("select", X, self.repeats_)


def n_queries(counts):
    """Return the number of queries, where the label and the probabilities of a row count as one.

    Parameters
    ----------
    counts : dict of str to int
        Rows asked about, by method.

    Returns
    -------
    n_queries : int
    """
    return max(counts.get("predict", 0), sum(n for method, n in counts.items() if method != "predict"))


def remember_answers(target, attacks):
    """Return a memory that queries a target for all that attacks need at once.

    Parameters
    ----------
    target : classifier
        Fitted.
    attacks : iterable of MembershipAttack
        Those that will query it.

    Returns
    -------
    memory : AnswerMemory
    """
    counts_work = any(attack.uses == "cost" and attack.shares_answers for attack in attacks)
    # A pipeline or a search around a defended classifier has no select.
    has_select = hasattr(target, "select") and isinstance(final_estimator(target), DefendedClassifier)
    return AnswerMemory(target, with_select=counts_work and has_select)

"""A target that several attackers ask, without being asked the same twice."""

import hashlib
from collections import Counter

import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.utils.metaestimators import available_if

from skdiffence.attacks._answers import _answering
from skdiffence.defenses import DefendedClassifier
from skdiffence.utils._sklearn import num_samples, safe_indexing

_DIGEST_SIZE = 16
_MOST_BYTES = 2**28  # of the answers that are kept, and again of the names of one attacker's questions
_NAME_BYTES = 200  # of a name and its entry in a dict


class AnswerMemory:
    """What a target answered, so that what one attacker was told can be told to the next.

    Attackers are alternatives: each is told what it would have been told alone. Who repeats a question is answered
    anew each time, as targets with fresh noise do, and the second answer to one attacker is the second to all. Of the
    rows only digests are kept, and what no longer fits into memory is asked again.

    Parameters
    ----------
    target : classifier
        Fitted. It is asked, never changed.
    with_select : bool, default=False
        Whether to ask ``select`` instead of ``predict_proba``, where it answers the same probabilities and more.

    Attributes
    ----------
    questions : Counter of str to int
        Rows that attackers asked about, by method.
    asked : Counter of str to int
        Rows that the target was asked about.
    """

    def __init__(self, target, *, with_select=False):
        self.target = target
        self.questions, self.asked = Counter(), Counter()
        self._with_select = with_select
        self._places = {}
        self._answers, self._n_bytes = [], 0

    def attacker(self, attack=None):
        """Return the target as a new attacker sees it.

        Parameters
        ----------
        attack : MembershipAttack, default=None
            The attacker's; only if it ``shares_answers`` is it told what was answered to others.

        Returns
        -------
        target : AskedTarget
        """
        asked = AskedTarget(self.target)
        # Names with an underscore at their end, because they are no parameters.
        asked.memory_, asked.repeats_ = self, ({} if attack is None or attack.shares_answers else None)
        return asked

    def answer(self, method, X, repeats):
        """Answer one attacker's question.

        Parameters
        ----------
        method : str
            What is asked for.
        X : array-like of shape (n_samples, ...)
            Rows.
        repeats : dict or None
            How often this attacker asked for this about each row, which is added to. None asks the target.

        Returns
        -------
        answer : ndarray of shape (n_samples, ...) or Bunch of such arrays
        """
        self.questions[method] += num_samples(X)
        names = None if repeats is None else _names(X, repeats.setdefault(method, {}))
        if names is None:
            return self._ask(method, X)
        if method == "predict_proba" and self._with_select:
            return self._recall("select", X, names)["proba"]
        return self._recall(method, X, names)

    def _ask(self, method, X):
        self.asked[method] += num_samples(X)
        return getattr(self.target, method)(X)

    def _recall(self, method, X, names):
        places = self._places.setdefault(method, {})
        new = [row for row, name in enumerate(names) if name not in places]
        if not new:
            return self._joined([places[name] for name in names])
        given = self._ask(method, X if len(new) == len(names) else safe_indexing(X, new))
        self._answers.append(_copied(given))
        found = {names[row]: (len(self._answers) - 1, place) for place, row in enumerate(new)}
        answer = given if len(new) == len(names) else self._joined([places.get(n) or found[n] for n in names])
        n_bytes = _size(self._answers[-1]) + _NAME_BYTES * len(found)
        if self._n_bytes + n_bytes <= _MOST_BYTES:
            places.update(found)
            self._n_bytes += n_bytes
        else:
            self._answers.pop()
        return answer

    def _joined(self, places):
        """Return the answers that stand in these places, row by row."""
        first = self._answers[places[0][0]]
        if isinstance(first, dict):
            parts = {name: [self._answers[part][name][row : row + 1] for part, row in places] for name in first}
            return type(first)(**{name: np.concatenate(rows) for name, rows in parts.items()})
        return np.concatenate([self._answers[part][row : row + 1] for part, row in places])


def _copied(given):
    """Return an answer that its receiver can't change any more, as an array or a Bunch of arrays."""
    if isinstance(given, dict):
        return type(given)(**{name: np.array(part) for name, part in given.items()})
    return np.array(given)


def _size(kept):
    return sum(part.nbytes for part in kept.values()) if isinstance(kept, dict) else kept.nbytes


def _names(X, repeats):
    """Return a name for each question: what the row is to the last bit, and how often it was asked about before.

    None where rows have no bytes of their own, or an attacker has asked more than can be remembered.
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


class AskedTarget(FrozenEstimator):
    """A fitted classifier as one attacker sees it, made by :meth:`AnswerMemory.attacker`.

    Parameters
    ----------
    estimator : classifier
        Fitted.
    """

    def predict(self, X):
        """Answer the labels of X."""
        return self.memory_.answer("predict", X, self.repeats_)

    @available_if(_inner_has("predict_proba"))
    def predict_proba(self, X):
        """Answer the probabilities of X."""
        return self.memory_.answer("predict_proba", X, self.repeats_)

    @available_if(_inner_has("select"))
    def select(self, X):
        """Answer the probabilities of X and where they come from."""
        return self.memory_.answer("select", X, self.repeats_)


def n_queries(counts):
    """Return the rows asked about, where label and probabilities of one row come in one answer.

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
    """Return a memory of a target, that asks it for all that attacks need at once.

    Parameters
    ----------
    target : classifier
        Fitted.
    attacks : iterable of MembershipAttack
        Those that will ask.

    Returns
    -------
    memory : AnswerMemory
    """
    counts_work = any(attack.uses == "cost" and attack.shares_answers for attack in attacks)
    # A pipeline or a search around a defended classifier does not pass select on.
    has_select = hasattr(target, "select") and isinstance(_answering(target), DefendedClassifier)
    return AnswerMemory(target, with_select=counts_work and has_select)

"""The attack on a timing side channel: how much work an answer takes."""

import time
from numbers import Integral

import numpy as np

from skdiffence.attacks.adaptive._base import StatisticAttack
from skdiffence.utils._sklearn import Interval, StrOptions, num_samples, safe_indexing


class AnswerCostAttack(StatisticAttack):
    """Call a row a member by the number of regenerations, or the time, that its answer takes.

    A defense that searches for an acceptable regeneration finds one sooner for some rows than for others.

    Parameters
    ----------
    cost : {"n_regenerations", "seconds"}, default="n_regenerations"
        "n_regenerations" reads the number that the target's ``select`` reports: the owner's exact bound on what time
        can tell. "seconds" times ``predict_proba``, row by row, as any user can.
    n_repeats : int, default=5
        Number of times that each row is timed; the median is used. Not used by "n_regenerations".

    Attributes
    ----------
    target_ : classifier
        The target, after ``fit``.
    direction_ : {-1, 1}
        -1 if the answers for members cost less among the known rows, 1 if they cost more.
    threshold_ : float
        Rows that score at least this are called members.

    See Also
    --------
    skdiffence.defenses.DefendedClassifier : ``search="constant"`` and ``selection="swap"`` cost the same for all rows.

    Notes
    -----
    Cost: one query for each row; with "seconds" ``n_repeats`` queries, and one more to warm up. Rows are then queried
    one at a time, in rounds of different order, so that slow moments of the machine affect all of them. Times are not
    reproducible. Labels are not used.

    References
    ----------
    Kocher, "Timing attacks on implementations of Diffie-Hellman, RSA, DSS, and other systems", CRYPTO 1996.

    Examples
    --------
    >>> from sklearn.base import BaseEstimator
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> from skdiffence.attacks import AnswerCostAttack
    >>> from skdiffence.defenses import DefendedClassifier
    >>> class Dimmed(BaseEstimator):
    ...     def fit(self, X, y=None):
    ...         return self
    ...     def regenerate(self, X, candidate):
    ...         return X / (2 + candidate)
    >>> X, y = load_digits(return_X_y=True)
    >>> is_member = y[:400] >= 0
    >>> is_member[::2] = False
    >>> defended = DefendedClassifier(RandomForestClassifier(10, random_state=0), Dimmed(), selection="swap")
    >>> defended = defended.fit(X[:400][is_member], y[:400][is_member])
    >>> attack = AnswerCostAttack().fit(defended, X[:200], y[:200], is_member[:200])
    >>> attack.score_samples(X[200:204], y[200:204])
    array([1., 1., 1., 1.])
    """

    uses = "cost"
    needs_true_labels = False

    _parameter_constraints: dict = {
        "cost": [StrOptions({"n_regenerations", "seconds"})],
        "n_repeats": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(self, cost="n_regenerations", *, n_repeats=5):
        self.cost = cost
        self.n_repeats = n_repeats

    @property
    def shares_answers(self):
        """Whether earlier answers may be used: unless answers are timed."""
        return self.cost == "n_regenerations"

    def _prepare(self, target, X, y):
        method = "select" if self.cost == "n_regenerations" else "predict_proba"
        if not hasattr(target, method):
            raise TypeError(f"target must have {method} for cost={self.cost!r}. Got {type(target).__name__}.")

    def _observe(self, target, X, y):
        if y is not None and len(y) != num_samples(X):
            raise ValueError(f"y must hold one label for each of the {num_samples(X)} rows of X. Got {len(y)}.")
        return self._regenerations(target, X) if self.cost == "n_regenerations" else self._seconds(target, X)

    def _regenerations(self, target, X):
        counts = np.asarray(target.select(X)["n_regenerations"], dtype=np.float64)
        if counts.shape != (num_samples(X),):
            raise ValueError(
                f"target must count n_regenerations for each of the {num_samples(X)} rows. Got shape {counts.shape}."
            )
        return counts

    def _seconds(self, target, X):
        rows = [safe_indexing(X, [row]) for row in range(num_samples(X))]
        target.predict_proba(rows[0])
        rounds = np.empty((self.n_repeats, len(rows)))
        for number, seconds in enumerate(rounds):
            # In the given order, rows of one side often stand together and would share the machine's slow moments.
            for row in np.random.default_rng(number).permutation(len(rows)):
                seconds[row] = _seconds_for(target, rows[row])
        return np.median(rounds, axis=0)


def _seconds_for(target, row):
    start = time.perf_counter()
    target.predict_proba(row)
    return time.perf_counter() - start

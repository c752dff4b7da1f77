"""An attack that asks about a row again and again."""

from numbers import Integral, Real

import numpy as np

from skdiffence.attacks._answers import query
from skdiffence.attacks._changed_rows import check_array, learn_range
from skdiffence.attacks.adaptive._base import ANSWER_SIGNALS, StatisticAttack
from skdiffence.attacks.adaptive._neighbors import NEIGHBORS, Neighbors
from skdiffence.utils._random import draw_seed
from skdiffence.utils._sklearn import Interval, StrOptions

_STATISTICS = {"max": np.max, "mean": np.mean, "spread": np.std}


class RepeatedQueryAttack(StatisticAttack):
    """Ask about each row, and about near-duplicates of it, and put the answers together.

    A defense that draws noise for every answer hides a member behind the noise; the mean of k answers has less of
    it. Noise that is a function of the row is drawn anew for a row that differs by one gray level, and noise that is
    the same for all rows can't be averaged in this way.

    Parameters
    ----------
    k : int, default=8
        Queries for each row; the first is the row itself.
    neighbor : {"exact", "ulp", "quantum", "gray"}, default="exact"
        What the other queries ask about:

        - "exact": the row again;
        - "ulp": every value moved to the next number of single precision (of half precision or whole numbers, if X
          is of these), which no rounding of the defense's own would notice;
        - "quantum": one value, another one in each query, moved by 1/255 of the value range, the smallest step that
          survives rounding to 8 bits; to the next whole number at least, if X is of integers;
        - "gray": a share of the values moved by one gray level, the smallest difference that occurs among the known
          rows, 1/255 of the value range at least.
    statistic : {"mean", "max", "spread"}, default="mean"
        What is made of the k signals of a row; "spread" is their standard deviation.
    signal : {"logit", "answered_logit", "entropy"}, default="logit"
        What is read in each answer: phi at the true label, phi at the answered label, or the negated entropy.
    value_range : "auto" or pair, default="auto"
        Lowest and highest value, as numbers or one number for each feature or channel. "auto" is learned from the
        known rows: the natural range of images, four standard deviations on either side of each feature's mean for
        rows.
    share : float, default=0.2
        Share of the values that "gray" changes, in (0, 1].
    random_state : int, RandomState instance or None, default=None
        Seeds which values are changed and in which direction.

    Attributes
    ----------
    target_ : classifier
        The target, after ``fit``.
    direction_ : {-1, 1}
        Whether members have the lower or the higher statistic among the known rows.
    threshold_ : float
        Scores of at least this are called members.
    neighbors_ : object
        Makes the near-duplicates.
    row_shape_ : tuple of int
        Shape of a row.
    value_range_ : float64 ndarray of shape (2,) or (2, n_features)
        Lowest and highest value.

    See Also
    --------
    PrecompensatedQueryAttack : Changes the row so that the regeneration undoes the change.
    ThresholdAttack : One query.

    Notes
    -----
    Cost: k queries of the target for each row, known ones included. A query is one row of ``predict_proba``, and of
    ``predict`` unless that is its argmax by construction.

    The changes are a function of the seed and the number of the query, the same for all rows, so that a row's score
    depends on no other row. Values at an end of the range are moved inwards.

    References
    ----------
    Carlini et al., "Membership inference attacks from first principles", S&P 2022, on several queries
    for each row.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> from skdiffence.attacks import RepeatedQueryAttack
    >>> X, y = load_digits(return_X_y=True)
    >>> is_member = y[:400] >= 0
    >>> is_member[::2] = False
    >>> forest = RandomForestClassifier(20, random_state=0).fit(X[:400][is_member], y[:400][is_member])
    >>> attack = RepeatedQueryAttack(3, neighbor="gray", random_state=0)
    >>> called = attack.fit(forest, X[:200], y[:200], is_member[:200]).predict(X[200:400], y[200:400])
    >>> bool((called == is_member[200:]).mean() > 0.7)
    True
    """

    _parameter_constraints: dict = {
        "k": [Interval(Integral, 1, None, closed="left")],
        "neighbor": [StrOptions(set(NEIGHBORS))],
        "statistic": [StrOptions(set(_STATISTICS))],
        "signal": [StrOptions(ANSWER_SIGNALS)],
        "value_range": [StrOptions({"auto"}), tuple, list, np.ndarray],
        "share": [Interval(Real, 0, 1, closed="right")],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        k=8,
        *,
        neighbor="exact",
        statistic="mean",
        signal="logit",
        value_range="auto",
        share=0.2,
        random_state=None,
    ):
        self.k = k
        self.neighbor = neighbor
        self.statistic = statistic
        self.signal = signal
        self.value_range = value_range
        self.share = share
        self.random_state = random_state

    def _prepare(self, target, X, y):
        if self.statistic == "spread" and self.k < 2:
            raise ValueError(f"k must be at least 2 for statistic='spread'. Got {self.k}.")
        X = self._check_known_rows(X)
        self.value_range_ = learn_range(X, self.value_range)
        seed = draw_seed(self.random_state)
        self.neighbors_ = Neighbors(self.neighbor, X, self.value_range_, share=self.share, seed=seed)

    def _observe(self, target, X, y):
        X = check_array(X, self.row_shape_)
        answers = (query(target, self.neighbors_.make(X, number), y) for number in range(self.k))
        return _STATISTICS[self.statistic]([each.signal(self.signal) for each in answers], axis=0)

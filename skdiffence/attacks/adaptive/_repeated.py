"""The attack by repeated queries."""

from numbers import Integral, Real

import numpy as np

from skdiffence.attacks._answers import LABEL_FREE_SIGNALS, query
from skdiffence.attacks._changed_rows import check_array, learn_range
from skdiffence.attacks.adaptive._base import ANSWER_SIGNALS, StatisticAttack
from skdiffence.attacks.adaptive._neighbors import NEIGHBORS, Neighbors
from skdiffence.utils._random import draw_seed
from skdiffence.utils._sklearn import Interval, StrOptions

_STATISTICS = {"max": np.max, "mean": np.mean, "spread": np.std}


class RepeatedQueryAttack(StatisticAttack):
    """Query each row, and near-duplicates of it, and combine the answers.

    If a defense draws noise for every answer, the mean of k answers has less noise. Noise that is a function of the row
    is drawn anew for a row that differs by one gray level. Noise that is the same for all rows can't be averaged out in
    this way.

    Parameters
    ----------
    k : int, default=8
        Number of queries for each row; the first is the row itself.
    neighbor : {"exact", "ulp", "quantum", "gray"}, default="exact"
        The other queries:

        - "exact": the same row;
        - "ulp": every value moved to the adjacent number in single precision (in half precision or to the next integer,
          if X has that type), which any rounding by the defense undoes;
        - "quantum": one value, another one in each query, moved by 1/255 of the value range, the smallest step that
          survives rounding to 8 bits; at least to the next integer, if X holds integers;
        - "gray": a share of the values moved by one gray level, the smallest difference between values of the known
          rows, at least 1/255 of the value range.
    statistic : {"mean", "max", "spread"}, default="mean"
        The statistic of the k signals of a row; "spread" is their standard deviation.
    signal : {"logit", "answered_logit", "entropy"}, default="logit"
        The signal of each answer: phi at the true label, phi at the predicted label, or the negated entropy.
    value_range : "auto" or pair, default="auto"
        Lowest and highest value, as numbers or one number for each feature or channel. "auto" is learned from the
        known rows: the natural range of images, four standard deviations on either side of each feature's mean for
        rows.
    share : float, default=0.2
        Share of the values that "gray" changes, in (0, 1].
    random_state : int, RandomState instance or None, default=None
        Seeds the choice of values and directions.

    Attributes
    ----------
    target_ : classifier
        The target, after ``fit``.
    direction_ : {-1, 1}
        -1 if members have the lower statistic among the known rows, 1 if they have the higher one.
    threshold_ : float
        Rows that score at least this are called members.
    neighbors_ : object
        Returns the near-duplicates.
    row_shape_ : tuple of int
        Shape of a row.
    value_range_ : float64 ndarray of shape (2,) or (2, n_features)
        Lowest and highest value.

    See Also
    --------
    PrecompensatedQueryAttack : Changes the row so that the regeneration undoes the change.
    ThresholdAttack : Uses one query.

    Notes
    -----
    Cost: k queries of the target for each row, known ones included. A query is one row of ``predict_proba``, and of
    ``predict`` unless that is its argmax by construction.

    Changes depend on the seed and the number of the query only, so a row's score does not depend on other rows. Values
    at an end of the range are moved inwards.

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

    row_type = "arrays"

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

    @property
    def needs_true_labels(self):
        """Whether true labels are read: for phi at the true label."""
        return self.signal not in LABEL_FREE_SIGNALS

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

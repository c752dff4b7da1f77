"""The attack on the distance from a row to the nearest other label."""

from numbers import Integral, Real

import numpy as np
from sklearn.utils.validation import check_is_fitted
from tqdm.auto import tqdm

from skdiffence.attacks._base import MultipleQueryAttack
from skdiffence.attacks._changed_rows import InputSpace, as_floats, as_points_of, check_row_shape
from skdiffence.attacks._known_rows import best_threshold
from skdiffence.attacks._labels import check_labels, query_labels
from skdiffence.attacks._targets import predict_labels
from skdiffence.attacks.label_only._boundary_search import Probe, import_art, most_calls, search
from skdiffence.metrics import label_columns
from skdiffence.utils._random import draw_seed, mix_seed
from skdiffence.utils._sklearn import Interval, Options


class BoundaryAttack(MultipleQueryAttack):
    """Call a row a member if it lies far from the target's decision boundary.

    The target is queried for labels only, so a defense that keeps labels has no effect on this attack. Training moves
    the decision boundary away from the members.

    Parameters
    ----------
    norm : {2, inf}, default=2
        Norm of the distance: ``2``, or ``float("inf")`` for the largest change of a feature.
    max_iter : int, default=10
        Number of iterations of the search. More find nearer points.
    max_eval : int, default=10000
        Maximum number of labels queried in an iteration to estimate a direction.
    init_eval : int, default=50
        The same number in the first iteration. It grows with the square root of the iteration.
    random_state : int, RandomState instance or None, default=None
        Seeds the search, which is the same for all rows, so a row's score does not depend on other rows.
    verbose : int, default=0
        If positive, show a progress bar over rows.

    Attributes
    ----------
    target_ : classifier
        The target, after ``fit``.
    threshold_ : float
        Rows whose distance is at least this are called members.
    n_evaluations_ : int
        Number of labels that ``fit`` queried.

    Raises
    ------
    ImportError
        In ``fit``, if the Adversarial Robustness Toolbox is not installed.

    See Also
    --------
    LabelOnlyAttack : Queries tens of labels for each row instead of a thousand.

    Notes
    -----
    This is HopSkipJump of the Adversarial Robustness Toolbox, for one row after the other. A search starts at the
    nearest known row with another label, so the fitted attack holds the known rows. The distance is that of the nearest
    queried point with another label. It is never below the true distance, and approaches it with more queries. With the
    default parameters it was 0.6 % above for linear targets of 10 features and 5 % above for those of 64. The search
    works less well on the step functions of forests: some distances were several times those of longer searches.

    Cost: about 1,200 labels for each row in 130 calls of ``predict`` with the default parameters, for each correctly
    labeled known row as well. ``predict_proba`` is not used, except to count the columns of a bare skorch net.

    The search stays in the range of the known rows, of all pixels together for images. It queries floating point
    numbers, also where X holds integers. Distances are in the units of X. If these differ between features, attack the
    target behind its scaler, with scaled rows.

    The search draws from NumPy's global generator, which is seeded for it and restored after each row. Do not run it in
    several threads of one process.

    References
    ----------
    Choquette-Choo et al., "Label-only membership inference attacks", ICML 2021, section 3.1.

    Li and Zhang, "Membership leakage in label-only exposures", CCS 2021.

    Chen, Jordan and Wainwright, "HopSkipJumpAttack: a query-efficient decision-based attack", S&P 2020.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skdiffence.attacks import BoundaryAttack
    >>> X, y = np.array([[-2.0], [-1.0], [1.0], [2.0]]), np.array([0, 0, 1, 1])
    >>> target = LogisticRegression().fit(X, y)
    >>> attack = BoundaryAttack(random_state=0).fit(target, X, y, is_member=[True, False, False, True])
    >>> attack.score_samples([[-1.5], [0.5], [0.5]], [0, 1, 0]).round(2)
    array([1.5, 0.5, 0. ])
    """

    family = "label_only"
    uses = "labels"
    row_type = "numeric"

    _parameter_constraints: dict = {
        "norm": [Options(Real, {2, float("inf")})],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "max_eval": [Interval(Integral, 1, None, closed="left")],
        "init_eval": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(self, *, norm=2, max_iter=10, max_eval=10000, init_eval=50, random_state=None, verbose=0):
        self.norm = norm
        self.max_iter = max_iter
        self.max_eval = max_eval
        self.init_eval = init_eval
        self.random_state = random_state
        self.verbose = verbose

    def _prepare(self, target, X, y):
        import_art()
        if self.init_eval > self.max_eval:
            raise ValueError(f"init_eval must be at most max_eval, {self.max_eval}. Got {self.init_eval}.")
        self._known = _finite_numbers(X)
        check_labels(target, X, y)
        self._known_labels = predict_labels(target, X)
        self._seed = mix_seed("boundary", draw_seed(self.random_state)) % 2**32
        self._space = InputSpace.of(self._known)

    def _learn(self, observed, is_member):
        distances, n_evaluations = observed
        self.n_evaluations_ = len(self._known) + int(n_evaluations.sum())
        self.threshold_ = best_threshold(is_member, distances)

    def _score(self, observed):
        distances, _ = observed
        return distances

    def distances(self, X, y, *, return_evaluations=False):
        """Return the distance of each row to the nearest point with another label.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...) or data frame
            Rows.
        y : array-like of shape (n_samples,)
            True labels.
        return_evaluations : bool, default=False
            Whether to return the number of labels queried as well.

        Returns
        -------
        distances : ndarray of shape (n_samples,), dtype float64
            0 for rows that are labeled wrongly. Where no other label was found, the distance of the farthest point in
            the range of the known rows.
        n_evaluations : ndarray of shape (n_samples,), dtype int64
            Number of labels queried for each row. Only with ``return_evaluations=True``.
        """
        check_is_fitted(self, "target_")
        distances, n_evaluations = self._observe(self.target_, X, y)
        return (distances, n_evaluations) if return_evaluations else distances

    def _observe(self, target, X, y):
        """Return the distance of each row, and the number of labels queried for it."""
        values, give_back = _finite_numbers(X), as_points_of(X)
        check_row_shape(values, self._known.shape[1:])
        y = check_labels(target, X, y)
        distances, n_evaluations = np.zeros(len(y)), np.ones(len(y), dtype=np.int64)
        rows = np.flatnonzero(query_labels(target, X, y).correct)
        for row in tqdm(rows, desc="boundary", unit="row", disable=not self.verbose):
            label = y[row : row + 1]

            def keeps_label(points, label=label):
                return query_labels(target, give_back(points), np.repeat(label, len(points))).correct

            probe = self._search(keeps_label, values[row], label)
            distances[row] = min(probe.distance, probe.farthest)
            n_evaluations[row] += probe.n_evaluations
        return distances, n_evaluations

    def _search(self, keeps_label, row, label):
        """Search for the nearest other label around a correctly labeled row."""
        low, high = (np.broadcast_to(side, row.shape) for side in (self._space.low, self._space.high))
        probe = Probe(keeps_label, row, low, high, self.norm, most_calls(self.max_iter))
        search(
            probe,
            self._starts(row, label),
            seed=self._seed,
            norm=self.norm,
            max_iter=self.max_iter,
            max_eval=self.max_eval,
            init_eval=self.init_eval,
        )
        return probe

    def _starts(self, row, label):
        """Return the known rows with another predicted label, the nearest first."""
        classes = np.unique(self._known_labels)
        others = self._known[label_columns(self._known_labels, classes) != label_columns(label, classes)]
        steps = (others - row).reshape(len(others), row.size)
        return others[np.argsort(np.linalg.norm(steps, ord=self.norm, axis=1), kind="stable")]


def _finite_numbers(X):
    values = as_floats(X)
    if np.isnan(values).any():
        raise ValueError("X must have no missing values, which have no distance. Got NaN.")
    return values

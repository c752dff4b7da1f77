"""Shadow training as cross-validation: a splitter whose train sides are complementary halves."""

from sklearn.base import BaseEstimator
from sklearn.model_selection import BaseCrossValidator

from skdiffence.utils._halves import check_n_models, complementary_halves, find_copies
from skdiffence.utils._random import draw_seed
from skdiffence.utils._sklearn import num_samples


class ShadowSplit(BaseCrossValidator, BaseEstimator):
    """Split rows for shadow models, so that every row trains exactly half of them.

    Splits ``2 * j`` and ``2 * j + 1`` train on complementary halves. With ``return_estimator`` and ``return_indices``
    :func:`sklearn.model_selection.cross_validate` therefore trains shadow models for membership attacks, in parallel
    or on a cluster, and returns the rows that trained each. Equal rows are on one side.

    Parameters
    ----------
    n_splits : int, default=64
        Number of shadow models, even. More splits never change those drawn before.
    canaries : array-like of int, default=None
        The only rows whose membership varies, by number: all others are on the train side of every split, and the test
        side has canaries only. A longer list leaves the splits of the canaries before it as they are. None varies all
        rows.
    random_state : int, RandomState instance or None, default=None
        Seeds the halves. An integer gives the same splits at every call of ``split``; None and a RandomState others at
        each call.

    See Also
    --------
    skdiffence.attacks.train_shadows : Trains on the same halves, with seeds for nets and a cache.

    Notes
    -----
    ``cross_validate`` trains as it is told to: a skorch net with its default ``train_split`` then holds a fifth of
    the train side out of training, and estimators without ``random_state`` differ from run to run.
    :func:`~skdiffence.attacks.train_shadows` takes care of both.

    References
    ----------
    Carlini et al., "Membership inference attacks from first principles", S&P 2022, section VI-A.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.model_selection import cross_validate
    >>> from sklearn.naive_bayes import GaussianNB
    >>> from skdiffence.model_selection import ShadowSplit
    >>> X, y = load_digits(return_X_y=True)
    >>> cv = ShadowSplit(8, random_state=0)
    >>> shadows = cross_validate(GaussianNB(), X, y, cv=cv, return_estimator=True, return_indices=True)
    >>> times_trained_on = np.bincount(np.concatenate(shadows["indices"]["train"]))
    >>> bool((times_trained_on == 4).all())
    True
    """

    def __init__(self, n_splits=64, *, canaries=None, random_state=None):
        self.n_splits = n_splits
        self.canaries = canaries
        self.random_state = random_state

    def split(self, X, y=None, groups=None):
        """Yield the row numbers of the two sides of each split.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            The rows.
        y : array-like of shape (n_samples,), default=None
            Not read.
        groups : array-like of shape (n_samples,), default=None
            Not read.

        Yields
        ------
        train : ndarray of int
            Rows that train the shadow model.
        test : ndarray of int
            All others.

        Raises
        ------
        ValueError
            If there are fewer than two rows, ``n_splits`` is odd or the canaries are not distinct row numbers.
        """
        yield from super().split(X, y, groups)

    def get_n_splits(self, X=None, y=None, groups=None):
        """Return the number of splits.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...), default=None
            Not read.
        y : array-like of shape (n_samples,), default=None
            Not read.
        groups : array-like of shape (n_samples,), default=None
            Not read.

        Returns
        -------
        n_splits : int

        Raises
        ------
        ValueError
            If it is odd.
        """
        check_n_models(self.n_splits, "n_splits")
        return self.n_splits

    def _iter_test_masks(self, X=None, y=None, groups=None):
        seed = draw_seed(self.random_state)
        copies = find_copies(X) if self.canaries is None else None
        halves = complementary_halves(num_samples(X), self.get_n_splits(), seed, self.canaries, copies)
        yield from ~halves.T

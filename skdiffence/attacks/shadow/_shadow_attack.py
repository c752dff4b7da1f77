"""The base of attacks that compare a target's answer with those of shadow models to the same row."""

import warnings
import weakref
from abc import abstractmethod
from numbers import Integral
from os import PathLike
from pathlib import Path

import numpy as np
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from skdiffence.attacks._answers import query
from skdiffence.attacks._base import SingleQueryAttack
from skdiffence.attacks.shadow._shadow_signals import POOL_SIGNALS, ShadowSignals, check_pool, check_shadows
from skdiffence.attacks.shadow._shadows import train_shadows
from skdiffence.attacks.shadow._signal_matrix import content_key, signals_of
from skdiffence.exceptions import MembershipWarning
from skdiffence.metrics._signals import SIGNALS
from skdiffence.utils._sklearn import HasMethods, Interval, StrOptions, fit_context, num_samples
from skdiffence.utils._validation import check_is_member

# What shadows answered, by all that it depends on: attacks on the same shadows share it while one of them is alive.
_IN_USE = weakref.WeakValueDictionary()


class ShadowAttack(SingleQueryAttack):
    """Base class of attacks with shadow models.

    A subclass has a ``_signal``, one of POOL_SIGNALS, writes ``_learn`` and ``_score``, and has all the parameters that
    are constrained here.
    """

    family = "shadow"
    needs_shadows = True
    shares_answers = True

    _parameter_constraints: dict = {
        "shadows": [dict, None],
        "pool": [tuple, list, None],
        "estimator": [HasMethods(["fit", "predict", "predict_proba"]), None],
        "n_shadows": [Interval(Integral, 2, None, closed="left")],
        "mode": [StrOptions({"auto", "online", "offline"})],
        "cache_dir": [str, PathLike, None],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
    }

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, target, X, y, is_member):
        """Ask the shadows about the pool, and learn the threshold from rows whose membership the attacker knows.

        Parameters
        ----------
        target : classifier
            A fitted classifier with ``predict`` and ``predict_proba``. It is asked, never changed.
        X : array-like of shape (n_samples, ...)
            Rows known to the attacker.
        y : array-like of shape (n_samples,)
            Their true labels.
        is_member : array-like of shape (n_samples,), dtype bool
            True for rows that the target was trained on; both sides must be present.

        Returns
        -------
        self : MembershipAttack

        Raises
        ------
        ValueError
            If lengths differ, a side is empty, there are neither shadows nor what to train them from, the target is
            one of the shadows, or every shadow was trained on a row.
        TypeError
            If the target has no ``predict_proba``.

        Warns
        -----
        MembershipWarning
            If rows are not in the pool.
        """
        check_is_member(is_member, num_samples(X), both_sides=True)
        if self.shadows is not None and any(target is shadow for shadow in self.shadows.get("estimator", ())):
            raise ValueError(
                "target must not be one of the shadows: its answers would be compared with themselves. Leave it out "
                "of shadows, or use lira_leave_one_out."
            )
        self._learn(*self._ask(target, X, y), is_member, target)
        self.target_ = target
        return self

    @fit_context(prefer_skip_nested_validation=True)
    def fit_answers(self, answers, is_member):
        """Ask the shadows about the pool, and learn the threshold from answers to known rows.

        Parameters
        ----------
        answers : Answers
            What the target answered, with the rows.
        is_member : array-like of shape (n_samples,), dtype bool
            True for rows that the target was trained on.

        Returns
        -------
        self : MembershipAttack

        Raises
        ------
        ValueError
            If one answer a row is not enough, the answers lack their rows, or ``fit`` would raise it.
        """
        self._check_asks_once()
        self._learn(answers, self._signals(answers), is_member, None)
        return self

    def score_samples(self, X, y):
        """Score rows; higher means more likely a member.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Rows of unknown membership.
        y : array-like of shape (n_samples,)
            Their true labels.

        Returns
        -------
        scores : ndarray of shape (n_samples,), dtype float64

        Raises
        ------
        ValueError
            If every shadow was trained on a row.

        Warns
        -----
        MembershipWarning
            If rows are not in the pool; they are scored offline.
        """
        check_is_fitted(self, "target_")
        return self._score(*self._ask(self.target_, X, y))

    def score_answers(self, answers):
        """Score answers; higher means more likely a member.

        Parameters
        ----------
        answers : Answers
            What the target answered, with the rows.

        Returns
        -------
        scores : ndarray of shape (n_samples,), dtype float64
        """
        check_is_fitted(self, "threshold_")
        self._check_asks_once()
        return self._score(answers, self._signals(answers))

    @abstractmethod
    def _learn(self, answers, signals, is_member, target):
        """Learn from answers to known rows and the signals of all queries; the target where it may be asked more."""

    @abstractmethod
    def _score(self, answers, signals):
        """Score answers and the signals of all queries."""

    def _views(self):
        """Return a function from X to the list of arrays to ask about, or None for X alone."""
        return None

    def _ask(self, target, X, y):
        """Return the target's answers to the rows, and the signals of all queries."""
        answers, views = query(target, X, y), self._views()
        further = [] if views is None else views(X)[1:]
        of_further = signals_of(target, further, np.asarray(y), [self._signal])[0]
        return answers, np.hstack([self._signals(answers), of_further])

    def _signals(self, answers):
        return SIGNALS[self._signal](answers.y, answers.proba)[:, np.newaxis]

    def _check_asks_once(self):
        if not self.asks_once:
            raise ValueError(
                f"{type(self).__name__} needs more than one answer a row with these parameters, so answers can't be "
                "shared with it. Use fit and score_samples, which ask the target."
            )

    def _shadow_signals(self):
        """Return the shadows' signals: trained if there are none, asked unless an attack or an earlier run did."""
        if self.shadows is None and (self.estimator is None or self.pool is None):
            raise ValueError(
                f"{type(self).__name__} needs shadows= with the pool= that they were trained on, or estimator= and "
                f"pool= to train them from. Got shadows=None, estimator={self.estimator!r} and "
                f"pool={'None' if self.pool is None else 'given'}."
            )
        if self.pool is None:
            raise ValueError("pool must be the tuple (X, y) that the shadows were trained on. Got None.")
        shadows, views = self._train() if self.shadows is None else self.shadows, self._views()
        key = self._content_key(shadows, views)
        found = None if key is None else _IN_USE.get(key)
        if found is None:
            path = None if key is None or self.cache_dir is None else Path(self.cache_dir) / f"signals-{key}.npy"
            found = ShadowSignals(shadows, self.pool, views=views, n_jobs=self.n_jobs, path=path)
        if key is not None:
            # Kept by this attack and its clones, for the next of them.
            _IN_USE[key] = self.__dict__.setdefault("_memo", {})["signals"] = found
        return found

    def _content_key(self, shadows, views):
        """Return a digest of all that the signals depend on, so that nothing changed in place is taken for the same."""
        X, y = check_pool(self.pool)
        estimators, train, test = check_shadows(shadows, len(y))
        return content_key(estimators, POOL_SIGNALS, views, X, y, train, test)

    def _train(self):
        if len(self.pool) != 2:
            raise ValueError(f"pool must be a tuple (X, y). Got one of length {len(self.pool)}.")
        return train_shadows(
            self.estimator,
            *self.pool,
            n_shadows=self.n_shadows,
            cache_dir=self.cache_dir,
            n_jobs=self.n_jobs,
            random_state=self.random_state,
        )

    def __sklearn_clone__(self):
        # Models and rows are never changed, so clones share them, and what the shadows answered.
        params = self.get_params(deep=False)
        shared = {name: params.pop(name) for name in ("shadows", "pool")}
        copy = type(self)(**shared, **{name: clone(value, safe=False) for name, value in params.items()})
        copy._memo = self.__dict__.setdefault("_memo", {})
        return copy

    def __getstate__(self):
        state = super().__getstate__()
        return {name: value for name, value in state.items() if name != "_memo"}


def learned_mode(mode, is_member, comparable):
    """Return the mode in which an attack scores.

    Parameters
    ----------
    mode : {"auto", "online", "offline"}
        The mode asked for.
    is_member : ndarray of shape (n_samples,), dtype bool
        Membership of the known rows.
    comparable : ndarray of shape (n_samples,), dtype bool
        Known rows that some shadows were trained on and others were not.

    Returns
    -------
    mode : {"online", "offline"}

    Raises
    ------
    ValueError
        If "online" is asked for and the known rows do not allow it.
    """
    if mode == "offline":
        return mode
    if len(np.unique(is_member[comparable])) == 2:
        return "online"
    if mode == "online":
        raise ValueError(
            "mode='online' needs known members and non-members that some of the shadows were trained on and others "
            f"not. Got {is_member[comparable].sum()} members and {(~is_member[comparable]).sum()} non-members."
        )
    return "offline"


def warn_of_outsiders(inside):
    """Warn of rows outside the pool.

    Parameters
    ----------
    inside : ndarray of shape (n_samples,), dtype bool
        Whether each row is in the pool.
    """
    if not inside.all():
        warnings.warn(
            f"{(~inside).sum()} of {len(inside)} rows are not in the pool with this label. They are scored offline, as "
            "rows that no shadow was trained on. If shadows were, then in another form: give rows as they are in the "
            "pool.",
            MembershipWarning,
            stacklevel=3,
        )


def check_left_out(left_out):
    """Refuse rows that every shadow was trained on.

    Parameters
    ----------
    left_out : ndarray of shape (n_samples,), dtype bool
        Whether some shadow was not trained on the row.

    Raises
    ------
    ValueError
        If there is a row without one.
    """
    if not left_out.all():
        raise ValueError(
            f"{(~left_out).sum()} of {len(left_out)} rows have no shadow that was not trained on them, so there is "
            f"nothing to compare with; the first is at position {left_out.argmin()}. Where only canaries vary, score "
            "canaries only."
        )

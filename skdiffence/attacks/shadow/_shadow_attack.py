"""The base of attacks that compare a target's answers with those of shadow models for the same rows."""

import warnings
import weakref
from dataclasses import dataclass
from numbers import Integral
from os import PathLike
from pathlib import Path

import numpy as np
from sklearn.base import clone

from skdiffence._fitted import fitted_parts
from skdiffence.attacks._answers import Answers, query
from skdiffence.attacks._base import SingleQueryAttack
from skdiffence.attacks._labels import check_labels, query_labels
from skdiffence.attacks.shadow._shadow_signals import POOL_SIGNALS, ShadowSignals, check_pool, check_shadows
from skdiffence.attacks.shadow._shadows import train_shadows
from skdiffence.attacks.shadow._signal_matrix import content_key, signals_of
from skdiffence.exceptions import MembershipWarning
from skdiffence.utils._sklearn import HasMethods, Interval, StrOptions

# Signals of shadows, by a digest of all that they depend on: attacks share them as long as one of the attacks exists.
_IN_USE = weakref.WeakValueDictionary()


@dataclass(frozen=True)
class TargetAnswers(Answers):
    """Answers together with the target that gave them.

    Parameters
    ----------
    target : classifier
        The target.
    signals : ndarray of shape (n_samples, n_queries)
        Its signals of all queries about each row.
    """

    target: object = None
    signals: np.ndarray = None


class ShadowAttack(SingleQueryAttack):
    """Base class of attacks with shadow models.

    A subclass has a ``_signal``, one of POOL_SIGNALS, and writes ``_learn`` and ``_score``. With ``uses="labels"`` the
    target is queried for labels, and its signal is their correctness.
    """

    family = "shadow"
    needs_shadows = own_model = True
    shares_answers = True

    _parameter_constraints: dict = {
        "shadows": [dict, None],
        "pool": [tuple, list, None],
        "estimator": [HasMethods(["fit", "predict", "predict_proba"]), None],
        "n_shadows": [Interval(Integral, 2, None, closed="left")],
        "mode": [StrOptions({"auto", "online", "offline"})],
        "uses": [StrOptions({"proba", "labels"})],
        "cache_dir": [str, PathLike, None],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        shadows=None,
        *,
        pool=None,
        estimator=None,
        n_shadows=64,
        mode="auto",
        uses="proba",
        cache_dir=None,
        n_jobs=None,
        random_state=None,
    ):
        self.shadows = shadows
        self.pool = pool
        self.estimator = estimator
        self.n_shadows = n_shadows
        self.mode = mode
        self.uses = uses
        self.cache_dir = cache_dir
        self.n_jobs = n_jobs
        self.random_state = random_state

    def check_target(self, target):
        """Raise an error for a target that is one of the shadows, or has one of them inside.

        Parameters
        ----------
        target : classifier
            A fitted classifier.

        Raises
        ------
        ValueError
            If its answers would be compared with themselves.
        """
        shadows = [] if self.shadows is None else self.shadows.get("estimator", ())
        inside = [part.estimator for part in fitted_parts(target)]
        if any(part is shadow for part in inside for shadow in shadows):
            raise ValueError(
                "target must not be one of the shadows: its answers would be compared with themselves. Leave it out "
                "of shadows, or use lira_leave_one_out."
            )

    def _query(self, target, X, y):
        self.check_target(target)
        views = self._views()
        further = [] if views is None else views(X)[1:]
        if self.uses == "labels":
            y = check_labels(target, X, y)
            answers, *others = (query_labels(target, view, y) for view in (X, *further))
            signals = np.column_stack([given.correct for given in (answers, *others)]).astype(float)
        else:
            answers = query(target, X, y)
            of_further = signals_of(further, np.asarray(y), [self._signal], target)[0]
            signals = np.hstack([answers.signal(self._signal)[:, np.newaxis], of_further])
        return TargetAnswers(**vars(answers), target=target, signals=signals)

    def _views(self):
        """Return a function from X to the list of arrays to query for it, or None for X alone."""
        return None

    def _signals(self, answers):
        """Return the target's signals of all queries, of shape (n_samples, n_queries)."""
        if isinstance(answers, TargetAnswers):
            return answers.signals
        if not self.asks_once:
            raise ValueError(
                f"{type(self).__name__} needs more than one answer for each row with these parameters, so it "
                "can't use shared answers. Use fit and score_samples, which query the target."
            )
        return answers.signal("correctness" if self.uses == "labels" else self._signal)[:, np.newaxis]

    def _gather(self, answers, *, warn=True):
        """Return the shadows' signals of the rows that were answered, and the memberships of those that have one."""
        signals, membership, inside = self.shadow_signals_.gather(answers, self._signal)
        if warn and not inside.all():
            warnings.warn(
                f"{(~inside).sum()} of {len(inside)} rows are not in the pool with this label. They are scored "
                "offline, as rows that no shadow was trained on. If shadows were, pass rows in the form that they have "
                "in the pool.",
                MembershipWarning,
                stacklevel=3,
            )
        there = ~np.isnan(signals).all(axis=2)
        left_out = (~membership & there).any(axis=1)
        if not left_out.all():
            raise ValueError(
                f"{(~left_out).sum()} of {len(left_out)} rows have no shadow that was not trained on them, so there is "
                f"nothing to compare with; the first is at position {left_out.argmin()}. Shadows trained on a "
                "copy of a row count as trained on it. Where only canaries vary, score canaries only."
            )
        return signals, membership & there

    def _learned_mode(self, is_member, comparable):
        """Return "online" if known rows of both sides trained some shadows but not all, otherwise "offline"."""
        if self.mode == "offline":
            return "offline"
        if len(np.unique(is_member[comparable])) == 2:
            return "online"
        if self.mode == "online":
            raise ValueError(
                "mode='online' needs known members and non-members that some of the shadows were trained on and others "
                f"not. Got {is_member[comparable].sum()} members and {(~is_member[comparable]).sum()} non-members."
            )
        return "offline"

    def _shadow_signals(self):
        """Return the shadows' signals, shared with other attacks or an earlier run; train shadows if none are given."""
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
        """Return a digest of the content of all that the signals depend on, or None."""
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

"""Who was in the training set of the estimator that a scorer is called with, and who was not."""

import warnings
from dataclasses import dataclass

import numpy as np

from skdiffence._evaluation._rows import find_rows, on_both_sides, row_keys
from skdiffence._fitted import is_frozen, n_training_rows, stored_rows, unrecorded_validation_split
from skdiffence.exceptions import MembershipWarning
from skdiffence.utils._sklearn import num_samples, safe_indexing
from skdiffence.utils._skorch import instantiated_modules
from skdiffence.utils._validation import check_is_member

_CAUSES = (
    "Usual causes: the scorer runs inside a nested search or learning_curve, whose estimators see part of the pool; "
    "train scores are asked for; rows are subsampled; a validation split inside the estimator (train_split, "
    "early stopping) keeps rows out of training. Give as pool just the rows that the cross-validation itself "
    "splits, or say who is a member: pool=(X, y, is_member) or a routed is_member."
)


@dataclass(frozen=True)
class Membership:
    """The rows that a call is about.

    Parameters
    ----------
    X : array-like of shape (n_samples, ...)
        Rows to ask the estimator about.
    y : ndarray of shape (n_samples,)
        Their labels.
    is_member : ndarray of shape (n_samples,), dtype bool
        Who was trained on.
    attacked : ndarray of shape (n_samples,), dtype bool
        Rows that the attacks are scored on.
    measured : ndarray of shape (n_samples,), dtype bool
        Non-members that the classifier's own scores are measured on.
    n_typical : int
        Number of non-members in the smallest of equal folds.
    """

    X: object
    y: np.ndarray
    is_member: np.ndarray
    attacked: np.ndarray
    measured: np.ndarray
    n_typical: int


def find_membership(estimator, pool, X, y, *, sample_index=None, is_member=None):
    """Find out who among the rows of a pool an estimator was trained on.

    Parameters
    ----------
    estimator : classifier
        Fitted.
    pool : Pool or None
        All rows of the audit.
    X : array-like of shape (n_samples, ...)
        The rows of this call.
    y : array-like of shape (n_samples,)
        Their labels.
    sample_index : array-like of shape (n_samples,), default=None
        Their places in the pool; found by content if None.
    is_member : array-like of shape (n_samples,), default=None
        Their membership, where it is known.

    Returns
    -------
    membership : Membership

    Raises
    ------
    ValueError
        If membership cannot be known, or what is inferred contradicts the estimator's fitted state.
    """
    y = _checked_labels(X, y)
    if is_member is not None:
        return _as_told(estimator, X, y, is_member)
    if pool is None:
        raise ValueError(
            "AttackScorer must know who was trained on: give it pool=(X, y), the rows that are cross-validated, "
            "or pool=(X, y, is_member), or route is_member. Got pool=None and no is_member. Metadata is routed after "
            "sklearn.set_config(enable_metadata_routing=True), scorer.set_score_request(is_member=True) and "
            "cross_validate(..., params={'is_member': is_member})."
        )
    told = pool.check()
    held = _places(pool, X, y, sample_index)
    sets = stored_rows(estimator, pool.X)
    if told is None:
        return _inferred(estimator, pool, held, sets)
    return _looked_up(estimator, pool, held, sets, told)


def _checked_labels(X, y):
    labels, n_samples = np.asarray(y), num_samples(X)
    if labels.shape != (n_samples,) or n_samples == 0:
        raise ValueError(
            f"X and y must hold rows, at least one, and one label for each. Got {n_samples} rows and labels of shape "
            f"{labels.shape}."
        )
    return labels


def _places(pool, X, y, sample_index):
    """Return where in the pool the rows of X are, each row of the pool used once."""
    if sample_index is not None:
        return _checked_index(sample_index, y, pool.y)
    (available, by_content), (wanted, _) = pool.keys, row_keys(X, pool.digest_key)
    if not by_content:
        raise ValueError(
            "X must be numeric so that its rows can be found in the pool by content. Where it is not, route "
            "sample_index, the places of the rows in the pool."
        )
    # Rows of the same content may have different labels, so they are found by both.
    wanted = list(zip(wanted.tolist(), y.tolist(), strict=True))
    available = list(zip(available.tolist(), pool.y.tolist(), strict=True))
    places = find_rows(wanted, available)
    lost = places < 0
    if lost.any():
        first = lost.argmax()
        relabeled = wanted[first][0] in {content for content, _ in available}
        raise ValueError(
            "X must hold rows of the pool only, with their labels, each at most as often as the pool does. "
            f"{lost.sum()} of {len(lost)} rows are not there, the first at position {first}"
            f"{', which is there with another label' * relabeled}. Give the scorer the very rows and labels that are "
            "cross-validated, before any transformation."
        )
    return places


def _checked_index(sample_index, y, y_pool):
    index, n_pool = np.asarray(sample_index), len(y_pool)
    valid = index.shape == y.shape and index.dtype.kind in "iu" and len(np.unique(index)) == len(y)
    if not valid or not 0 <= index.min() <= index.max() < n_pool:
        raise ValueError(
            f"sample_index must hold the place in the pool, from 0 to {n_pool - 1}, of each of the {len(y)} rows "
            f"of X, none twice. Got shape {index.shape}, dtype {index.dtype}"
            + (f", from {index.min()} to {index.max()}." if index.size and index.dtype.kind in "iuf" else ".")
        )
    differ = y_pool[index] != y
    if differ.any():
        raise ValueError(
            f"y must hold the labels that the pool has at sample_index. {differ.sum()} of {len(y)} differ, the first "
            f"at position {differ.argmax()}."
        )
    return index.astype(int)


def _inferred(estimator, pool, held, sets):
    """Take the held-out rows as non-members and the rest of the pool as members."""
    _check_inferable(estimator)
    if sets.n_lost:
        raise ValueError(
            f"pool must hold every row that the estimator was given. {sets.n_lost} rows that it held out or calibrated "
            "on are not there, so it was fitted on other rows, or a step in front of it transforms rows differently "
            "from call to call. Give pool=(X, y, is_member) instead."
        )
    outside = np.ones(len(pool), dtype=bool)
    outside[held] = False
    _check_count(estimator, len(held), (outside & ~sets.not_trained_on).sum())
    both = _both_sides(pool.keys[0], outside)
    members = outside & ~sets.any & ~both
    chosen = np.r_[np.flatnonzero(members), held]
    is_member = np.arange(len(chosen)) < members.sum()
    return _membership(pool, chosen, is_member, ~(sets.any | both)[chosen], ~is_member, len(held))


def _check_inferable(estimator):
    if is_frozen(estimator):
        raise ValueError(
            "pool must be (X, y, is_member) for a frozen estimator: it was not trained on the rows that "
            "cross-validation takes for training, so nothing can be inferred from them. Got pool=(X, y)."
        )
    if (reason := unrecorded_validation_split(estimator)) is not None:
        raise ValueError(
            f"pool=(X, y) takes all rows but the held-out ones as members, but {reason} kept a validation split of "
            "them out of its training and does not tell which. Turn that off, or mark the rows that were really "
            "trained on: pool=(X, y, is_member) or a routed is_member."
        )
    if modules := instantiated_modules(estimator):
        names = ", ".join(type(module).__name__ for module in modules.values())
        warnings.warn(
            f"A net inside holds a module instance ({names}), not a class: clones of it keep what was "
            "learned before, from held-out rows too. Pass the class, with its arguments as module__argument=value.",
            MembershipWarning,
            stacklevel=2,
        )


def _check_count(estimator, n_held, n_expected):
    """Compare the inferred members with the rows that the estimator says it was trained on."""
    n_trained = n_training_rows(estimator)
    if n_trained is not None:
        if n_trained != n_expected:
            raise ValueError(
                f"The estimator was trained on {n_trained} rows, but {n_expected} rows of the pool are neither held "
                f"out in this call nor by the estimator, so who is a member cannot be inferred. {_CAUSES}"
            )
        return
    if n_held > n_expected:
        raise ValueError(
            f"X has {n_held} rows, more than the {n_expected} members that are left of the pool: are these train "
            f"scores (return_train_score=True)? {_CAUSES}"
        )
    warnings.warn(
        f"{type(estimator).__name__} does not tell how many rows it was trained on, so it could not be verified that "
        f"all {n_expected} rows of the pool outside this call are members. If they are not, attacks look weaker than "
        "they are. Say who is a member to be sure: pool=(X, y, is_member) or a routed is_member.",
        MembershipWarning,
        stacklevel=2,
    )


def _both_sides(keys, is_member):
    """Return which rows have an equal one on the other side, with a warning."""
    both = on_both_sides(keys, is_member)
    if both.any():
        warnings.warn(
            f"{both.sum()} rows are in the training set and outside it with the same content; they are left out of "
            "the attacks.",
            MembershipWarning,
            stacklevel=2,
        )
    return both


def _looked_up(estimator, pool, held, sets, told):
    """Look the membership of the call's rows up; take a side that they lack from the rest of the pool."""
    _check_told(estimator, (told & ~sets.not_trained_on).sum())
    if sets.n_lost:
        warnings.warn(
            f"{sets.n_lost} rows that the estimator held out or calibrated on are not in the pool. If a step in front "
            "of it transforms rows differently from call to call, calibration rows are counted as others.",
            MembershipWarning,
            stacklevel=2,
        )
    both = _both_sides(pool.keys[0], told)
    usable = ~sets.any & ~both
    if not told[held].all() and told[held].any():
        chosen = held
    else:
        rest = np.setdiff1d(np.arange(len(pool)), held)
        chosen = np.r_[held, rest[(told[rest] != told[held[0]]) & usable[rest]]]
    measured = ~told[chosen] & ~sets.not_trained_on[chosen]
    n_non_members = np.count_nonzero(~told)
    return _membership(pool, chosen, told[chosen], usable[chosen], measured, n_non_members * len(held) // len(pool))


def _membership(pool, chosen, is_member, attacked, measured, n_held):
    # Folds differ by a row; the smallest one's size names the false positive rate in the keys of all of them.
    n_non_members = len(pool) if pool.is_member is None else np.count_nonzero(~pool.is_member)
    n_folds = max(1, round(n_non_members / max(1, n_held)))
    n_typical = min(n_held, n_non_members // n_folds)
    return Membership(safe_indexing(pool.X, chosen), pool.y[chosen], is_member, attacked, measured, n_typical)


def _check_told(estimator, n_told):
    n_trained = n_training_rows(estimator)
    if n_trained is None:
        return
    frozen = is_frozen(estimator)
    if n_trained < n_told or (n_trained != n_told and not frozen):
        raise ValueError(
            f"is_member marks {n_told} rows as trained on, but the estimator was trained on {n_trained}. "
            "Cross-validation trains a new estimator in each fold, and its test rows are then members of none: "
            "is_member is for an estimator that was trained before. Wrap it in FrozenEstimator, which is also how to "
            "list only some of its members, or use pool=(X, y)."
        )


def _as_told(estimator, X, y, is_member):
    """Take the routed membership of the call's own rows."""
    is_member = check_is_member(is_member, num_samples(X), both_sides=True)
    sets = stored_rows(estimator, X)
    _check_told(estimator, (is_member & ~sets.not_trained_on).sum())
    both = _both_sides(row_keys(X, b"")[0], is_member)
    measured = ~is_member & ~sets.not_trained_on
    return Membership(X, y, is_member, ~(sets.any | both), measured, measured.sum())

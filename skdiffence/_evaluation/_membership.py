"""Find which rows trained the estimator that a scorer is called with."""

import warnings
from dataclasses import dataclass

import numpy as np

from skdiffence._evaluation._rows import AttackedRows, find_rows, on_both_sides
from skdiffence._fitted import is_frozen, n_training_rows, stored_rows, unrecorded_validation_split
from skdiffence.exceptions import MembershipWarning
from skdiffence.utils._rows import row_digests, take_rows
from skdiffence.utils._sklearn import num_samples
from skdiffence.utils._skorch import instantiated_modules
from skdiffence.utils._validation import as_class_labels, check_is_member

_CAUSES = (
    "Usual causes: the scorer runs inside a nested search or learning_curve, whose estimators see part of the pool; "
    "train scores are asked for; rows are subsampled; a validation split inside the estimator (train_split, "
    "early stopping) keeps rows out of training. Give as pool just the rows that the cross-validation itself "
    "splits, or say who is a member: pool=(X, y, is_member) or a routed is_member."
)


@dataclass(frozen=True)
class Membership:
    """The rows of a call of a scorer, and which of them are members.

    Parameters
    ----------
    rows : AttackedRows
        The rows, without digests.
    attacked : ndarray of shape (n_samples,), dtype bool
        Rows that attacks are evaluated on.
    measured : ndarray of shape (n_samples,), dtype bool
        Non-members that the utility of the classifier is measured on.
    n_possible : int or None
        Number of rows of the pool that can be non-members in a call. None without a pool.
    """

    rows: AttackedRows
    attacked: np.ndarray
    measured: np.ndarray
    n_possible: int | None


def find_membership(estimator, pool, X, y, *, sample_index=None, is_member=None):
    """Find the members of the training set of an estimator among the rows of a pool.

    Parameters
    ----------
    estimator : classifier
        Fitted.
    pool : Pool or None
        All rows.
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
        If membership is not known, or contradicts the fitted state of the estimator.
    """
    y = _check_labels(X, y)
    if is_member is not None:
        return _routed(estimator, X, y, is_member)
    if pool is None:
        raise ValueError(
            "AttackScorer must know which rows are members: give it pool=(X, y), the rows that are cross-validated, "
            "or pool=(X, y, is_member), or route is_member. Got pool=None and no is_member. Metadata is routed after "
            "sklearn.set_config(enable_metadata_routing=True), scorer.set_score_request(is_member=True) and "
            "cross_validate(..., params={'is_member': is_member})."
        )
    of_pool = pool.check()
    held = _places(pool, X, y, sample_index)
    stored = stored_rows(estimator, pool.X)
    if of_pool is None:
        return _inferred(estimator, pool, held, stored)
    return _looked_up(estimator, pool, held, stored, of_pool)


def _check_labels(X, y):
    if y is None:
        raise ValueError(
            "y must hold the true label of each row: a scorer measures accuracy beside privacy, and finds rows in the "
            "pool by their labels too. Got None. skdiffence.inspection.audit runs attacks that need no labels without."
        )
    labels, n_samples = as_class_labels(y), num_samples(X)
    if labels.shape != (n_samples,) or n_samples == 0:
        raise ValueError(
            f"X and y must hold rows, at least one, and one label for each. Got {n_samples} rows and labels of shape "
            f"{labels.shape}."
        )
    return labels


def _routed(estimator, X, y, is_member):
    """Take the routed membership of the rows of the call."""
    is_member = check_is_member(is_member, num_samples(X), both_sides=True)
    stored = stored_rows(estimator, X)
    _check_marked(estimator, (is_member & ~stored.not_trained_on).sum())
    both = _both_sides(row_digests(X), is_member)
    measured = ~is_member & ~stored.not_trained_on
    return Membership(AttackedRows(X, y, is_member), ~(stored.any | both), measured, None)


def _places(pool, X, y, sample_index):
    """Return where in the pool the rows of X are, each row of the pool used once."""
    if sample_index is not None:
        return _checked_index(sample_index, y, pool.y)
    available, wanted = pool.keys.tolist(), row_digests(X, pool.digest_key).tolist()
    # Rows of the same content may have different labels, so they are found by both.
    places = find_rows(list(zip(wanted, y.tolist(), strict=True)), zip(available, pool.y.tolist(), strict=True))
    lost = places < 0
    if lost.any():
        first = lost.argmax()
        relabeled = wanted[first] in available
        raise ValueError(
            "X must hold rows of the pool only, with their labels, each at most as often as the pool does. "
            f"{lost.sum()} of {len(lost)} rows are not there, the first at position {first}"
            f"{', which is there with another label' * relabeled}. Give the scorer the rows and labels that are "
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


def _inferred(estimator, pool, held, stored):
    """Take the held-out rows as non-members and the rest of the pool as members."""
    _check_inferable(estimator)
    if stored.n_lost:
        raise ValueError(
            f"pool must hold every row that the estimator was given. {stored.n_lost} rows that it held out or was "
            "calibrated on are not there, so it was fitted on other rows, or a step in front of it transforms rows "
            "differently from call to call. Give pool=(X, y, is_member) instead."
        )
    outside = np.ones(len(pool), dtype=bool)
    outside[held] = False
    _check_count(estimator, len(held), (outside & ~stored.not_trained_on).sum())
    both = _both_sides(pool.keys, outside)
    members = outside & ~stored.any & ~both
    chosen = np.r_[np.flatnonzero(members), held]
    is_member = np.arange(len(chosen)) < members.sum()
    return _membership(pool, chosen, is_member, ~(stored.any | both)[chosen], ~is_member, len(pool))


def _check_inferable(estimator):
    if is_frozen(estimator):
        raise ValueError(
            "pool must be (X, y, is_member) for a frozen estimator: it was not trained on the rows that "
            "cross-validation takes for training, so nothing can be inferred from them. Got pool=(X, y)."
        )
    if (reason := unrecorded_validation_split(estimator)) is not None:
        raise ValueError(
            f"pool=(X, y) takes all rows but the held-out ones as members, but {reason} kept a validation split of "
            "them out of its training without recording it. Turn that off, or mark the rows that were trained on: "
            "pool=(X, y, is_member) or a routed is_member."
        )
    if modules := instantiated_modules(estimator):
        names = ", ".join(type(module).__name__ for module in modules.values())
        warnings.warn(
            f"A net inside has a module instance ({names}) as its module, not a class. Clones of it keep what was "
            "learned before, also from held-out rows. Pass the class, with its arguments as module__argument=value.",
            MembershipWarning,
            stacklevel=2,
        )


def _check_count(estimator, n_held, n_expected):
    """Compare the number of inferred members with that of the rows that the estimator was trained on."""
    n_trained = n_training_rows(estimator)
    if n_trained is not None:
        if n_trained != n_expected:
            raise ValueError(
                f"The estimator was trained on {n_trained} rows, but {n_expected} rows of the pool are neither held "
                f"out in this call nor by the estimator, so members cannot be inferred. {_CAUSES}"
            )
        return
    if n_held > n_expected:
        raise ValueError(
            f"X has {n_held} rows, more than the {n_expected} members that are left of the pool: are these train "
            f"scores (return_train_score=True)? {_CAUSES}"
        )
    warnings.warn(
        f"{type(estimator).__name__} does not record how many rows it was trained on, so it could not be verified that "
        f"all {n_expected} rows of the pool outside this call are members. If they are not, attacks look weaker than "
        "they are. To be sure, pass the membership: pool=(X, y, is_member) or a routed is_member.",
        MembershipWarning,
        stacklevel=2,
    )


def _both_sides(keys, is_member):
    """Return which rows have an equal one on the other side; warn if there are any."""
    both = on_both_sides(keys, is_member)
    if both.any():
        warnings.warn(
            f"{both.sum()} rows are in the training set and outside it with the same content. They are left out of "
            "the attacks.",
            MembershipWarning,
            stacklevel=2,
        )
    return both


def _looked_up(estimator, pool, held, stored, is_member):
    """Look up the membership of the rows of the call; take a missing side from the rest of the pool."""
    _check_marked(estimator, (is_member & ~stored.not_trained_on).sum())
    if stored.n_lost:
        warnings.warn(
            f"{stored.n_lost} rows that the estimator held out or was calibrated on are not in the pool. If a step in "
            "front of it transforms rows differently from call to call, calibration rows are attacked like any other.",
            MembershipWarning,
            stacklevel=2,
        )
    both = _both_sides(pool.keys, is_member)
    usable = ~stored.any & ~both
    if not is_member[held].all() and is_member[held].any():
        chosen = held
    else:
        rest = usable & (is_member != is_member[held[0]])
        rest[held] = False
        chosen = np.r_[held, np.flatnonzero(rest)]
    measured = ~is_member[chosen] & ~stored.not_trained_on[chosen]
    return _membership(pool, chosen, is_member[chosen], usable[chosen], measured, np.count_nonzero(~is_member))


def _membership(pool, chosen, is_member, attacked, measured, n_possible):
    rows = AttackedRows(take_rows(pool.X, chosen), pool.y[chosen], is_member)
    return Membership(rows, attacked, measured, n_possible)


def _check_marked(estimator, n_marked):
    n_trained = n_training_rows(estimator)
    if n_trained is None:
        return
    frozen = is_frozen(estimator)
    if n_trained < n_marked or (n_trained != n_marked and not frozen):
        raise ValueError(
            f"is_member marks {n_marked} rows as trained on, but the estimator was trained on {n_trained}. "
            "Cross-validation trains a new estimator in each fold, whose test rows are never members, while is_member "
            "is for an estimator that was trained before. Wrap it in FrozenEstimator, with which is_member may also "
            "mark only some of the members, or use pool=(X, y)."
        )

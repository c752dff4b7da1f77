"""The rows of an audit: checked, stacked, and without those that are on no side or on both."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from skdiffence._fitted import stored_rows
from skdiffence.utils._optional import import_optional
from skdiffence.utils._rows import row_digests
from skdiffence.utils._sklearn import num_samples, safe_indexing

_FEWEST = 4  # different rows of a side: two halves of two
_BLOCK = 1024  # sparse rows written out at a time


@dataclass(frozen=True)
class AuditRows:
    """The rows that an audit asks about.

    Parameters
    ----------
    X : array-like of shape (n_samples, ...)
        Members first.
    y : ndarray of shape (n_samples,)
        Their labels.
    is_member : ndarray of shape (n_samples,), dtype bool
        True for members.
    keys : ndarray of shape (n_samples,)
        Keyed digests, by which rows are split.
    counts : dict of str to int or None
        Rows given, left out and kept; None where rows can't be compared by content.
    """

    X: object
    y: np.ndarray
    is_member: np.ndarray
    keys: np.ndarray
    counts: dict

    def take(self, rows):
        """Return some of the rows, with the counts of all.

        Parameters
        ----------
        rows : ndarray of int or bool
            Which.

        Returns
        -------
        rows : AuditRows
        """
        rows = np.arange(len(self.y))[rows]
        return AuditRows(safe_indexing(self.X, rows), self.y[rows], self.is_member[rows], self.keys[rows], self.counts)


def audit_rows(estimators, members, non_members, seed):
    """Check the rows of both sides and leave out those whose side is not certain.

    Parameters
    ----------
    estimators : list of estimator
        Those audited; rows that one of them held out or calibrated on are left out.
    members, non_members : tuple of (X, y)
        Rows that were trained on, and rows that were not.
    seed : int
        Keys the digests.

    Returns
    -------
    rows : AuditRows

    Raises
    ------
    TypeError, ValueError
        If a side is not a pair of rows and labels, the sides do not fit together, or too few rows are left.
    """
    sides = [_checked_side(name, side) for name, side in (("members", members), ("non_members", non_members))]
    _check_alike(*sides)
    X, y = _stacked([X for X, _ in sides]), np.concatenate([y for _, y in sides])
    is_member = np.arange(len(y)) < len(sides[0][1])
    digests, numeric = _digests(X, seed.to_bytes(8, "little"))
    stored = _stored(estimators, X, numeric)
    both = _on_both_sides(digests, is_member) if numeric else np.zeros(len(y), dtype=bool)
    kept = ~(stored | both)
    counts = _counts(is_member, stored, both & ~stored, kept)
    _check_enough(counts, [len(np.unique(digests[kept & side])) for side in (is_member, ~is_member)])
    if not numeric:
        counts["duplicates_left_out"] = None
    comparable = numeric and not sparse.issparse(X)
    counts["near_duplicates"] = _near_duplicates(X, is_member, kept) if comparable else None
    return AuditRows(X, y, is_member, digests, counts).take(kept)


def _checked_side(name, side):
    if not isinstance(side, (tuple, list)) or len(side) != 2:
        got = f"{type(side).__name__}" + (f" of length {len(side)}" if hasattr(side, "__len__") else "")
        raise TypeError(f"{name} must be a tuple (X, y) of rows and their labels. Got {got}.")
    X, y = side
    if isinstance(X, list):
        X = np.asarray(X)
    y = np.asarray(y)
    if not hasattr(X, "shape") or not len(X.shape):
        raise TypeError(f"{name} must hold rows as an array or a frame. Got {type(X).__name__}.")
    n = num_samples(X)
    if y.shape != (n,):
        raise ValueError(f"{name} must hold one label for each of its {n} rows. Got labels of shape {y.shape}.")
    if n == 0:
        raise ValueError(f"{name} must hold at least {_FEWEST} rows. Got none.")
    if y.dtype.kind == "f" and not np.isfinite(y).all():
        raise ValueError(f"{name} must hold finite labels. Got {np.count_nonzero(~np.isfinite(y))} that are not.")
    return X, y


def _check_alike(members, others):
    shapes = [X.shape[1:] for X, _ in (members, others)]
    if shapes[0] != shapes[1]:
        raise ValueError(f"members and non_members must have rows of one shape. Got {shapes[0]} and {shapes[1]}.")
    columns = [list(getattr(X, "columns", ())) for X, _ in (members, others)]
    if columns[0] != columns[1]:
        raise ValueError(
            f"members and non_members must have the same columns. Got {columns[0][:5]} and {columns[1][:5]}."
        )
    texts = [y.dtype.kind in "OSU" for _, y in (members, others)]
    if texts[0] != texts[1]:
        kinds = members[1].dtype, others[1].dtype
        raise ValueError(f"members and non_members must have labels of one kind. Got {kinds[0]} and {kinds[1]}.")


def _stacked(parts):
    if any(sparse.issparse(part) for part in parts):
        return sparse.vstack(parts, format="csr")
    if any(hasattr(part, "iloc") for part in parts):
        pandas = import_optional("pandas", extra="audit")
        return pandas.concat(parts, ignore_index=True)
    return np.concatenate([np.asarray(part) for part in parts])


def _digests(X, key):
    """Return a digest for each row and whether it is one of the row's content."""
    try:
        if sparse.issparse(X):
            blocks = range(0, X.shape[0], _BLOCK)
            return np.concatenate([row_digests(X[i : i + _BLOCK].toarray(), key) for i in blocks]), True
        return row_digests(X, key), True
    except ValueError:  # rows of text: their order of appearance stands for their content
        return row_digests(np.arange(num_samples(X))[:, None], key), False


def _stored(estimators, X, numeric):
    """Return the rows that an estimator, or one inside it, says it held out or calibrated on."""
    stored = np.zeros(num_samples(X), dtype=bool)
    if numeric and not sparse.issparse(X):
        for estimator in estimators:
            stored |= stored_rows(estimator, X).any
    return stored


def _on_both_sides(digests, is_member):
    return np.isin(digests, digests[is_member]) & np.isin(digests, digests[~is_member])


def _near_duplicates(X, is_member, kept):
    """Count kept rows that equal one of the other side once their values are rounded to 256 steps."""
    rows = np.asarray(X, dtype=np.float64)[kept]
    # Images have one range; columns of a table each have their own.
    axis = 0 if rows.ndim == 2 else None
    finite = np.isfinite(rows)
    low, high = np.where(finite, rows, np.inf).min(axis=axis), np.where(finite, rows, -np.inf).max(axis=axis)
    with np.errstate(invalid="ignore", over="ignore"):
        steps = np.rint((rows - low) / np.where(high > low, high - low, 1) * 255)
    return int(np.count_nonzero(_on_both_sides(row_digests(steps), is_member[kept])))


def _counts(is_member, stored, both, kept):
    return {
        "n_members": int(np.count_nonzero(kept & is_member)),
        "n_non_members": int(np.count_nonzero(kept & ~is_member)),
        "members_given": int(is_member.sum()),
        "non_members_given": int((~is_member).sum()),
        "held_out_or_calibrated_left_out": int(stored.sum()),
        "duplicates_left_out": int(both.sum()),
    }


def _check_enough(counts, distinct):
    if min(distinct) < _FEWEST:
        raise ValueError(
            f"members and non_members must each hold at least {_FEWEST} different rows that are on one side only. "
            f"Got {counts['members_given']} and {counts['non_members_given']} rows, of which {distinct[0]} and "
            f"{distinct[1]} different ones are left: {counts['held_out_or_calibrated_left_out']} were held out or "
            f"calibrated on, and {counts['duplicates_left_out']} have a duplicate on the other side."
        )

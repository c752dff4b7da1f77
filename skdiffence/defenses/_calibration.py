"""Which rows train the estimator, and which the defense is calibrated on."""

import warnings

import numpy as np
from sklearn.utils import Bunch

from skdiffence.exceptions import DefenseWarning
from skdiffence.utils._rows import row_digests


def _lowest(digests, n):
    """Mask of the n rows of lowest digest, duplicates of the last one included."""
    if n == 0:
        return np.zeros(len(digests), dtype=bool)
    return digests <= np.sort(digests)[min(n, len(digests)) - 1]


def _held_out(digests, y, share):
    """Mask of a stratified share of the rows, drawn by digest so that duplicates stay together."""
    classes, index, counts = np.unique(y, return_inverse=True, return_counts=True)
    wanted = np.maximum(np.rint(share * counts).astype(int), 1)
    if np.any(wanted >= counts):
        warnings.warn(
            f"calibration_size={share} can't hold out a row of every class and train on another: the smallest class "
            f"has {counts.min()} rows. The calibration rows are not stratified.",
            DefenseWarning,
            stacklevel=2,
        )
        index, wanted = np.zeros(len(y), dtype=int), np.array([max(round(share * len(y)), 1)])
    mask = np.zeros(len(y), dtype=bool)
    for label, n in enumerate(wanted):
        rows = np.flatnonzero(index == label)
        mask[rows] = _lowest(digests[rows], n)
    # A row whose duplicate trains, under another label, trains too.
    return mask & ~np.isin(digests, digests[~mask])


def split_rows(X, y, is_member, share, *, with_members, key):
    """Split the rows of ``fit`` by what they are for.

    Parameters
    ----------
    X : array-like of shape (n, ...)
        All rows.
    y : array-like of shape (n,)
        Their labels.
    is_member : ndarray of shape (n,), dtype bool, or None
        Which rows train; None draws the others.
    share : float
        Share of the rows to hold out where ``is_member`` is None.
    with_members : bool
        Whether rows that train are calibrated on too.
    key : bytes
        Key of the digests that rows are drawn by.

    Returns
    -------
    rows : Bunch of index arrays
        ``train``; ``held_out``, all other rows; ``members`` and ``non_members``, the calibration rows among them, equal
        in number where there are both; ``denoise``, the rows of ``train`` that are not calibrated on.

    Raises
    ------
    ValueError
        If nothing is left to train on.
    """
    digests = row_digests(X, key)
    if is_member is not None:
        held_out = ~is_member
    elif share > 0:
        held_out = _held_out(digests, y, share)
    else:
        held_out = np.zeros(len(y), dtype=bool)
    if held_out.all():
        raise ValueError(f"calibration_size={share} leaves none of the {len(y)} rows to train on.")
    train = np.flatnonzero(~held_out)
    non_members = np.flatnonzero(held_out)
    members = np.empty(0, dtype=int)
    if with_members:
        n = max(min(len(non_members) or round(0.1 * len(train)), len(train) // 2), 1)
        members = train[_lowest(digests[train], n)]
        if len(non_members):
            n = min(len(members), len(non_members))
            members, non_members = (_first(digests, rows, n) for rows in (members, non_members))
    calibrated = np.isin(digests[train], digests[members])
    return Bunch(
        train=train,
        held_out=np.flatnonzero(held_out),
        members=members,
        non_members=non_members,
        denoise=train[~calibrated] if not calibrated.all() else train,
    )


def _first(digests, rows, n):
    """Return the n rows of lowest digest, in the order of their digests."""
    return rows[np.argsort(digests[rows], kind="stable")[:n]]

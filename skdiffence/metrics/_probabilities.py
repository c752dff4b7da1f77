"""What makes numbers class probabilities: signs and sums, with room for rounding."""

import numpy as np

TOLERANCE = 1e-3
# More than half of the probability can't be lost by rounding and still be told from a mistake.
_MOST_LOST = 0.5
_DIGITS = range(2, 7)


def off_rows(proba):
    """Return which rows do not sum to 1.

    Parameters
    ----------
    proba : ndarray of shape (n_samples, n_classes)
        Numbers.

    Returns
    -------
    off : ndarray of int
        Indices of rows whose sum is off by more than 0.001, rounded ones among them.
    """
    # A NaN is off as well.
    return np.flatnonzero(~(np.abs(proba.sum(axis=1, dtype=np.float64) - 1) <= TOLERANCE))


def describe_fault(proba):
    """Return why numbers are no class probabilities.

    Rows that were rounded or cut to some digits, as services do, may sum to more or less than 1: by one unit in the
    last place for each class, and by half of the probability at most.

    Parameters
    ----------
    proba : ndarray of shape (n_samples, n_classes)
        Numbers.

    Returns
    -------
    fault : str or None
        What was found and what may have caused it; None if nothing is wrong.
    """
    if not proba.size:
        return None
    if n_bad := np.count_nonzero(~np.isfinite(proba).all(axis=1)):
        return (
            f"Got NaN or infinity in {n_bad} of {len(proba)} rows: training diverged (a smaller learning rate helps), "
            "or the inputs are not finite."
        )
    off, sums = off_rows(proba), proba.sum(axis=1, dtype=np.float64)
    found = (
        f"Got values from {proba.min():.3g} to {proba.max():.3g} and row sums from {sums.min():.3g} to "
        f"{sums.max():.3g}."
    )
    if proba.min() < 0 or proba.max() > 1 + TOLERANCE:
        if proba.min() >= 0 and describe_fault(proba / 100) is None:
            return f"{found} Are these percentages? Divide them by 100."
        return f"{found} Are these logits? Apply a softmax first."
    if (np.abs(sums[off] - 1) > _room_for_rounding(proba[off])).any():
        return (
            f"{found} Are these probabilities of classes that do not exclude each other (a sigmoid for each class), or "
            "is a class left out?"
        )
    return None


def _room_for_rounding(rows):
    """Return by how much the sum of each row may be off because its values were rounded."""
    room = np.full(len(rows), TOLERANCE)
    for digits in reversed(_DIGITS):
        scaled = rows.astype(np.float64) * 10**digits
        # Single precision has seven digits.
        rounded = (np.abs(scaled - np.rint(scaled)) <= 10**digits * 1e-6).all(axis=1)
        room[rounded] = min(rows.shape[1] / 10**digits, _MOST_LOST)
    return room + 1e-6

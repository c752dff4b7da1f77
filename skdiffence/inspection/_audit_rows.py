"""The rows of an audit: checked, stacked, and without those whose side is not certain."""

import numpy as np
from scipy import sparse

from skdiffence._evaluation._rows import FEWEST_ROWS, AttackedRows, count_distinct, on_both_sides, seed_key
from skdiffence._fitted import stored_rows
from skdiffence.utils._frames import as_numbers, check_detached, check_unmasked, has_numbers, is_frame, is_polars
from skdiffence.utils._images import check_channels_first
from skdiffence.utils._optional import import_optional
from skdiffence.utils._rows import row_digests
from skdiffence.utils._sklearn import num_samples
from skdiffence.utils._validation import as_class_labels


def audit_rows(estimators, members, non_members, seed):
    """Check and stack the rows of both sides, and leave out those whose side is not certain.

    Parameters
    ----------
    estimators : list of estimator
        The audited classifiers. Rows that one of them held out or was calibrated on are left out.
    members, non_members : tuple of (X, y) or array-like
        Rows that were trained on, and rows that were not. Labels that one side lacks are used on neither.
    seed : int
        Seeds the digests.

    Returns
    -------
    rows : AttackedRows
        Members first.
    counts : dict of str to int or None
        Rows given, left out and kept. The number of near-duplicates is None where rows are not numeric.

    Raises
    ------
    TypeError, ValueError
        If a side is neither rows nor a pair of rows and labels, the sides do not fit together, or too few rows are
        left.
    """
    sides = [_checked_side(name, side) for name, side in (("members", members), ("non_members", non_members))]
    _check_alike(*sides)
    X, labels = _stacked([X for X, _ in sides]), [y for _, y in sides]
    y = None if any(each is None for each in labels) else np.concatenate(labels)
    n_rows = [num_samples(X) for X, _ in sides]
    is_member = np.arange(sum(n_rows)) < n_rows[0]
    keys = row_digests(X, seed_key(seed))
    stored = np.zeros(len(is_member), dtype=bool)
    for estimator in estimators:
        stored |= stored_rows(estimator, X).any
    both = on_both_sides(keys, is_member) & ~stored
    place = np.concatenate([np.arange(n) for n in n_rows])
    rows = AttackedRows(X, y, is_member, keys, place).take(~(stored | both))
    counts = {
        "n_members": np.count_nonzero(rows.is_member),
        "n_non_members": np.count_nonzero(~rows.is_member),
        "members_given": np.count_nonzero(is_member),
        "non_members_given": np.count_nonzero(~is_member),
        "held_out_or_calibrated_left_out": np.count_nonzero(stored),
        "duplicates_left_out": np.count_nonzero(both),
    }
    _check_enough(counts, count_distinct(rows.keys, rows.is_member))
    return rows, counts | {"near_duplicates": _count_near_duplicates(rows) if has_numbers(rows.X) else None}


def _checked_side(name, side):
    if not isinstance(side, (tuple, list)):
        side = side, None
    if len(side) != 2:
        raise TypeError(
            f"{name} must be a tuple (X, y) of rows and their labels, (X, None), or rows as an array or a frame. Got "
            f"a {type(side).__name__} of length {len(side)}."
        )
    X, y = side
    if isinstance(X, list):
        X = np.asarray(X)
    check_unmasked(X, f"X of {name}")
    check_detached(X)
    if y is not None:
        y = as_class_labels(y, f"y of {name}")
    check_channels_first(X, name=f"X of {name}")
    if not hasattr(X, "shape") or not len(X.shape):
        raise TypeError(
            f"{name} must be a tuple (X, y) with rows as an array or a frame, or such rows alone. Got "
            f"{type(X).__name__}{'' if y is None else ' as X'}."
        )
    n = num_samples(X)
    if y is not None and y.shape != (n,):
        raise ValueError(f"{name} must hold one label for each of its {n} rows. Got labels of shape {y.shape}.")
    if n == 0:
        raise ValueError(f"{name} must hold at least {FEWEST_ROWS} rows. Got none.")
    return X, y


def _check_alike(members, others):
    shapes = [X.shape[1:] for X, _ in (members, others)]
    if shapes[0] != shapes[1]:
        raise ValueError(f"members and non_members must have rows of one shape. Got {shapes[0]} and {shapes[1]}.")
    kinds = [type(X).__name__ if is_frame(X) or sparse.issparse(X) else "array" for X, _ in (members, others)]
    if is_frame(members[0]) != is_frame(others[0]) or is_polars(members[0]) != is_polars(others[0]):
        raise TypeError(f"members and non_members must hold rows in one form. Got {kinds[0]} and {kinds[1]}.")
    columns = [list(getattr(X, "columns", ())) for X, _ in (members, others)]
    if columns[0] != columns[1]:
        raise ValueError(
            f"members and non_members must have the same columns. Got {columns[0][:5]} and {columns[1][:5]}."
        )
    kinds = [y.dtype for _, y in (members, others) if y is not None]
    if len(kinds) == 2 and (kinds[0].kind in "OSU") != (kinds[1].kind in "OSU"):
        raise ValueError(f"members and non_members must have labels of one kind. Got {kinds[0]} and {kinds[1]}.")


def _stacked(parts):
    if any(sparse.issparse(part) for part in parts):
        return sparse.vstack(parts, format="csr")
    if is_polars(parts[0]):
        polars = import_optional("polars", extra="tests")
        return polars.concat(parts, how="vertical_relaxed")
    if is_frame(parts[0]):
        pandas = import_optional("pandas", extra="audit")
        return pandas.concat(_with_united_categories(parts), ignore_index=True)
    return np.concatenate([np.asarray(part) for part in parts])


def _with_united_categories(frames):
    """Return data frames whose columns of categories have the same ones, without which pandas would make text of them.

    The categories of the members come first, so that classifiers that were trained on their codes read the same codes.
    """
    frames = [frame.copy(deep=False) for frame in frames]
    for place in range(frames[0].shape[1]):
        columns = [frame.iloc[:, place] for frame in frames]
        if not any(hasattr(column, "cat") for column in columns):
            continue
        columns = [column if hasattr(column, "cat") else column.astype("category") for column in columns]
        categories = list(dict.fromkeys(value for column in columns for value in column.cat.categories))
        ordered = all(column.cat.ordered for column in columns)
        for frame, column in zip(frames, columns, strict=True):
            frame.isetitem(place, column.cat.set_categories(categories, ordered=ordered))
    return frames


def _count_near_duplicates(rows):
    """Count the rows that equal one of the other side once their values are rounded to 256 steps."""
    X = as_numbers(rows.X).astype(np.float64)
    # Images have one range; columns of a table each have their own.
    axis = 0 if X.ndim == 2 else None
    finite = np.isfinite(X)
    low, high = np.where(finite, X, np.inf).min(axis=axis), np.where(finite, X, -np.inf).max(axis=axis)
    with np.errstate(invalid="ignore", over="ignore"):
        steps = np.rint((X - low) / np.where(high > low, high - low, 1) * 255)
    return np.count_nonzero(on_both_sides(row_digests(steps), rows.is_member))


def _check_enough(counts, distinct):
    if min(distinct) < FEWEST_ROWS:
        raise ValueError(
            f"members and non_members must each hold at least {FEWEST_ROWS} different rows that are on one side only. "
            f"Got {counts['members_given']} and {counts['non_members_given']} rows, of which {distinct[0]} and "
            f"{distinct[1]} different ones are left: {counts['held_out_or_calibrated_left_out']} were held out or "
            f"calibrated on, and {counts['duplicates_left_out']} have a duplicate on the other side."
        )

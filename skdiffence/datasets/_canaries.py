"""Canaries: rows that a model memorizes, for the audit of its worst case."""

from numbers import Integral

import numpy as np
from sklearn.utils import Bunch

from skdiffence.utils._frames import as_numbers, check_unmasked, has_numbers, is_frame, with_rows
from skdiffence.utils._images import check_channels_first
from skdiffence.utils._random import draw_seed, mix_seed
from skdiffence.utils._sklearn import Interval, StrOptions, num_samples, safe_indexing, validate_params
from skdiffence.utils._validation import as_labels


@validate_params(
    {
        "X": ["array-like", "sparse matrix"],
        "y": ["array-like"],
        "kind": [StrOptions({"blank", "clean", "duplicated", "mislabeled", "out_of_distribution"})],
        "n_canaries": [Interval(Integral, 2, None, closed="left")],
        "source": ["array-like", None],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def make_canaries(X, y, *, kind="mislabeled", n_canaries=500, source=None, random_state=None):
    """Replace some rows of a data set by canaries.

    A model that memorizes single rows memorizes canaries best, so an audit of canaries estimates the leak of the most
    exposed row. The kind of canary that a model memorizes best depends on its defense.

    Parameters
    ----------
    X : array-like, sparse matrix or data frame of shape (n_samples, ...)
        Rows. For "blank" and "out_of_distribution" they must be dense, numeric and of shape (n_samples, n_features) or
        (n_samples, channels, height, width). They are copied.
    y : array-like of shape (n_samples,)
        Their labels, of at least two classes. They are copied.
    kind : {"mislabeled", "duplicated", "out_of_distribution", "blank", "clean"}, default="mislabeled"
        - "mislabeled": each canary gets a wrong label, drawn uniformly from the others.
        - "duplicated": canaries are pairs of an unchanged row and, in place of another row, its copy with a wrong
          label. Only the copies are audited, half of ``n_canaries``.
        - "out_of_distribution": the inputs are replaced and the labels kept.
        - "blank": each channel of an image, or each feature of a row, gets one random value within its range in X, and
          the label is drawn at random.
        - "clean": nothing is changed, for comparison with ordinary rows.
    n_canaries : int, default=500
        Number of canaries, even for "duplicated". More canaries do not change those drawn before.
    source : array-like or data frame of shape (n_source, ...), default=None
        At least ``n_canaries`` rows of another distribution for "out_of_distribution", of the shape of those of X and
        with values that its dtype can hold; columns of frames are found by name. Each is used at most once. None
        permutes the features of each canary at random, or the pixels of an image, with the same permutation in all its
        channels.
    random_state : int, RandomState instance or None, default=None
        Seeds the choice of rows, labels and inputs.

    Returns
    -------
    canaries : Bunch
        With the attributes

        - ``X``, ``y``: copies of the data with the canaries
        - ``canaries``: the numbers of the rows to audit, in the order in which they were drawn
        - ``kind``: as given

    Raises
    ------
    ValueError
        If there are fewer rows than canaries, X is not numeric, not finite or of another shape where it must be, y has
        only one class or another length, or ``source`` does not fit.

    See Also
    --------
    skdiffence.inspection.canary_audit : Makes canaries, trains models on them and attacks these.

    References
    ----------
    Aerni, Zhang and Tramèr, "Evaluations of machine learning privacy defenses are misleading", CCS 2024, section 4.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skdiffence.datasets import make_canaries
    >>> X, y = load_digits(return_X_y=True)
    >>> made = make_canaries(X, y, n_canaries=100, random_state=0)
    >>> bool((made.y[made.canaries] != y[made.canaries]).all()), int((made.y != y).sum())
    (True, 100)
    """
    X, y = _check_rows(X, y, n_canaries)
    seed = draw_seed(random_state)
    # Drawn for all rows first, so that more canaries do not change those drawn before.
    rows = _rng(seed, "rows").permutation(len(y))[:n_canaries]
    if source is not None and kind != "out_of_distribution":
        raise ValueError(f"source is for kind='out_of_distribution'. Got kind={kind!r}.")
    audited = rows
    if kind == "mislabeled":
        y[rows] = _wrong_labels(y[rows], y, seed)
    elif kind == "duplicated":
        X, y, audited = _duplicated(X, y, rows, seed)
    elif kind != "clean":
        values = _check_numbers(X, kind)
        source = _check_source(source, X, values, n_canaries)
        audited = _blank(values, y, rows, seed) if kind == "blank" else _out_of_distribution(values, rows, source, seed)
        X = with_rows(X, rows, values[rows])
    return Bunch(X=X, y=y, canaries=audited, kind=kind)


def _check_rows(X, y, n_canaries):
    check_unmasked(X)
    check_channels_first(X)
    if isinstance(X, np.ndarray) or not hasattr(X, "shape"):
        try:
            X = np.array(X)
        except ValueError as error:
            raise ValueError(f"X must hold rows of one shape. Got {type(X).__name__}: {error}") from None
    else:  # frames of pandas and sparse matrices; frames of polars and tensors
        X = X.copy() if hasattr(X, "copy") else X.clone()
    y = np.array(as_labels(y))
    if y.shape != (num_samples(X),):
        raise ValueError(f"y must hold one label for each of the {num_samples(X)} rows of X. Got shape {y.shape}.")
    if len(np.unique(y)) < 2:
        raise ValueError(f"y must have at least two classes. Got {len(np.unique(y))}.")
    if n_canaries > len(y):
        raise ValueError(f"n_canaries must be at most the {len(y)} rows of X. Got {n_canaries}.")
    return X, y


def _check_numbers(X, kind):
    """Return the numbers of X, as a copy, for the kinds of canaries whose inputs are changed."""
    if not has_numbers(X):
        raise ValueError(
            f"X must hold dense rows of numbers for kind={kind!r}, which makes new ones. Got {type(X).__name__}. The "
            "kinds 'mislabeled', 'duplicated' and 'clean' take any rows."
        )
    values = np.array(as_numbers(X))
    if values.ndim not in (2, 4) or not np.isfinite(values).all():
        raise ValueError(
            "X must hold finite numbers in the shape (n_samples, n_features) or (n_samples, channels, height, width) "
            f"for kind={kind!r}. Got shape {values.shape} of dtype {values.dtype}."
        )
    return values


def _rng(seed, *parts):
    return np.random.default_rng(mix_seed(seed, "canaries", *parts))


def _wrong_labels(labels, y, seed):
    """Return another label for each label, drawn uniformly."""
    classes = np.unique(y)
    steps = _rng(seed, "labels").integers(1, len(classes), size=len(y))[: len(labels)]
    return classes[(np.searchsorted(classes, labels) + steps) % len(classes)]


def _duplicated(X, y, rows, seed):
    if len(rows) % 2:
        raise ValueError(f"n_canaries must be even for kind='duplicated', which makes pairs. Got {len(rows)}.")
    # Neighbors in the list are pairs, so that more canaries do not change the pairs before them.
    originals, copies = rows[::2], rows[1::2]
    taken = np.arange(len(y))
    taken[copies] = originals
    y[copies] = _wrong_labels(y[originals], y, seed)
    return safe_indexing(X, taken), y, copies


def _out_of_distribution(X, rows, source, seed):
    if source is None:
        for row in rows:
            X[row] = _permuted(X[row], _rng(seed, "features", int(row)))
        return rows
    X[rows] = source[_rng(seed, "source").permutation(len(source))[: len(rows)]]
    return rows


def _check_source(source, X, values, n_canaries):
    """Return the numbers of the source in the dtype of those of X."""
    if source is None:
        return None
    names = [list(map(str, frame.columns)) if is_frame(frame) else None for frame in (source, X)]
    if None not in names and names[0] != names[1]:
        if sorted(names[0]) != sorted(names[1]):
            raise ValueError(f"source must have the columns of X, {names[1]}. Got {names[0]}.")
        source = source[list(X.columns)]
    if not has_numbers(source) or np.shape(source)[1:] != values.shape[1:] or num_samples(source) < n_canaries:
        raise ValueError(
            f"source must hold at least {n_canaries} numeric rows of shape {values.shape[1:]}, like X. "
            f"Got {type(source).__name__} of shape {_shape(source)}."
        )
    given = as_numbers(source)
    with np.errstate(over="ignore", invalid="ignore"):
        taken = given.astype(values.dtype)
    fits = np.isfinite(taken) if values.dtype.kind == "f" else taken == given
    if not np.isfinite(given).all() or not fits.all():
        raise ValueError(
            f"source must be finite and fit into the dtype of X, {values.dtype}. Got values from {given.min()} to "
            f"{given.max()} of dtype {given.dtype}."
        )
    return taken


def _shape(rows):
    try:
        return np.shape(rows)
    except ValueError:  # rows of different lengths
        return f"({num_samples(rows)}, ...)"


def _permuted(row, rng):
    places = row.reshape(len(row), -1) if row.ndim > 1 else row[None]
    return places[:, rng.permutation(places.shape[1])].reshape(row.shape)


def _blank(X, y, rows, seed):
    places = (0,) if X.ndim == 2 else (0, 2, 3)
    low, high = X.min(axis=places), X.max(axis=places)
    share = _rng(seed, "values").random((len(y), len(low)))[: len(rows)]
    values = low + share * (high.astype(np.float64) - low)
    values = values if X.dtype.kind == "f" else np.rint(values)
    classes = np.unique(y)
    labels = classes[_rng(seed, "labels").integers(len(classes), size=len(y))[: len(rows)]]
    X[rows], y[rows] = values.reshape(*values.shape, *(1,) * (X.ndim - 2)), labels
    return rows

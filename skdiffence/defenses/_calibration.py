"""Split rows into training and calibration sets, and measure the candidates of the latter."""

import warnings

import numpy as np
from sklearn.utils import Bunch

from skdiffence.defenses._diagnosis import by_class, warn_if_unchanged
from skdiffence.defenses.rules._first import FirstRule
from skdiffence.exceptions import DefenseWarning
from skdiffence.metrics import logit_signal
from skdiffence.utils._rows import row_digests
from skdiffence.utils._sklearn import num_samples, safe_indexing

_MEASURED_CANDIDATES = 4


def measure_candidates(candidates, X, rule, *, calibrate):
    """Measure the candidates of rows, before the rule is fitted.

    Parameters
    ----------
    candidates : Candidates
        Of the classifier and the regenerator.
    X : ndarray or data frame of shape (n, ...)
        Rows.
    rule : Rule
        Unfitted; only its number of candidates, and how it reads them, is used.
    calibrate : bool
        Whether all candidates are needed, to fit the rule to, or a few are enough.

    Returns
    -------
    measured : Bunch
        ``phi`` (n, n_candidates + 1), what :meth:`Rule.fit` gets, with ``calibrate`` only; ``retention`` and
        ``fallback_rate``, see :func:`~skdiffence.defenses._diagnosis.by_class`.
    """
    labels = candidates.classifier.predict(X)
    n = candidates.number_for(rule)
    n = n if calibrate else min(n, _MEASURED_CANDIDATES)
    phi = np.full((num_samples(X), n + 1), np.nan) if calibrate else None
    kept = np.empty((num_samples(X), n), dtype=bool)
    for candidate in range(n):
        predicted, proba = candidates.classify(X, rule.candidate(candidate))
        kept[:, candidate] = predicted == labels
        if calibrate:
            counts = kept[:, candidate] | rule.relabels
            phi[counts, candidate] = rule.phi(proba, labels)[counts]
    lost = np.flatnonzero(~kept.any(axis=1))
    if len(lost) and not rule.relabels:
        # For these few rows all candidates are tried, and rules are fitted to the fallback answer, too.
        first = FirstRule()
        first.max_candidates, first.candidate = rule.max_candidates, rule.candidate
        answers = candidates.answer(safe_indexing(X, lost), labels[lost], first)
        lost, proba = lost[~answers.kept], answers.proba[~answers.kept]
        if calibrate:
            phi[lost, -1] = logit_signal(labels[lost], proba)
    warn_if_unchanged(candidates.make(X, rule.candidate(0)), X)
    n_classes = len(candidates.classifier.classes)
    return Bunch(
        phi=phi,
        retention=by_class(kept, labels, n_classes),
        fallback_rate=by_class(np.isin(np.arange(len(labels)), lost), labels, n_classes),
    )


def _lowest(digests, n):
    """Return a mask of the n rows of lowest digest, duplicates of the last one included."""
    if n == 0:
        return np.zeros(len(digests), dtype=bool)
    return digests <= np.sort(digests)[min(n, len(digests)) - 1]


def _held_out(digests, y, share):
    """Return a mask of a stratified share of the rows, drawn by digest so that duplicates stay together."""
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


def split_for_rule(rule, X, y, is_member, *, selection, calibrate, calibration_size, frozen, key):
    """Split rows into training and calibration sets, as a rule and temperature scaling need them.

    Parameters
    ----------
    rule : Rule
        Unfitted.
    X : array-like of shape (n, ...)
        All rows.
    y : array-like of shape (n,)
        Their labels.
    is_member : ndarray of shape (n,), dtype bool, or None
        The rows that train. None draws the rows that are held out.
    selection : str or Rule
        What error messages call the rule.
    calibrate : "temperature" or None
        Whether a temperature is fitted, which needs non-members.
    calibration_size : float or "auto"
        Share of the rows to hold out if ``is_member`` is None; "auto" is 0.1 if non-members are needed, else 0.
    frozen : bool
        Whether the classifier is frozen.
    key : bytes
        Key of the digests by which rows are drawn.

    Returns
    -------
    rows : Bunch of index arrays
        See :func:`split_rows`; and ``temperature``, the rows to fit a temperature to.

    Raises
    ------
    ValueError
        If calibration rows are needed and there are none.
    """
    needs_non_members = rule.needs_non_members or calibrate is not None
    asks_rule = rule.needs_non_members or (rule.needs_calibration and calibrate is None)
    asking = f"selection={selection!r}" if asks_rule else f"calibrate={calibrate!r}"
    if frozen and is_member is None:
        if rule.needs_calibration or needs_non_members:
            raise ValueError(
                f"{asking} on a frozen estimator needs is_member, because only its owner knows which rows trained it. "
                "Pass is_member to fit, or use selection='first' or 'swap' and calibrate=None."
            )
        share, with_members = 0.0, False
    else:
        share = (0.1 if needs_non_members else 0.0) if calibration_size == "auto" else calibration_size
        with_members = rule.needs_calibration or share > 0 or is_member is not None
        if needs_non_members and is_member is not None and is_member.all():
            raise ValueError(f"{asking} needs non-members, but is_member marks every row.")
        if needs_non_members and is_member is None and share == 0:
            raise ValueError(f"{asking} needs known non-members. Got calibration_size=0.")
    rows = split_rows(X, y, is_member, share, with_members=with_members, key=key)
    rows.temperature = _temperature_rows(rows, rule) if calibrate is not None else np.empty(0, dtype=int)
    return rows


def _temperature_rows(rows, rule):
    """Return the non-members to fit a temperature to.

    Those that the rule is not fitted to, if they are as many. A part of the few that there are would cost the rule, or
    the temperature, more than a rule of one or two parameters can adapt to its own rows.
    """
    if not rule.needs_non_members:
        return rows.held_out
    others = np.setdiff1d(rows.held_out, rows.non_members)
    return others if len(others) >= len(rows.non_members) else rows.held_out


def check_members_left(rows, selection, calibration_size):
    """Raise an error if nets have held out of their training all members that a rule was to be fitted to.

    Parameters
    ----------
    rows : Bunch of index arrays
        As training leaves them.
    selection : str or Rule
        What the message calls the rule.
    calibration_size : float or "auto"
        The parameter.

    Raises
    ------
    ValueError
        If no calibration row among the members is left.
    """
    if not len(rows.members):
        raise ValueError(
            f"selection={selection!r} needs calibration rows that are members, but the classifier inside held all of "
            f"them out of its training itself. Raise calibration_size={calibration_size!r}, or hold fewer rows out: "
            "nets of skorch do so by train_split."
        )


def split_rows(X, y, is_member, share, *, with_members, key):
    """Split rows into training and calibration sets.

    Parameters
    ----------
    X : array-like of shape (n, ...)
        All rows.
    y : array-like of shape (n,)
        Their labels.
    is_member : ndarray of shape (n,), dtype bool, or None
        The rows that train. None draws the rows that are held out.
    share : float
        Share of the rows to hold out if ``is_member`` is None.
    with_members : bool
        Whether there are calibration rows among those that train.
    key : bytes
        Key of the digests by which rows are drawn.

    Returns
    -------
    rows : Bunch of index arrays
        ``train``; ``held_out``, all other rows; ``members`` and ``non_members``, the calibration rows among them, as
        many of each if there are both; ``denoise``, the rows of ``train`` that are no calibration rows.

    Raises
    ------
    ValueError
        If no row is left to train on.
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

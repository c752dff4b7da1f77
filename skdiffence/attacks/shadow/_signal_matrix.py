"""Signals of models for rows: queried once, for all attacks that compare a target with the models."""

import hashlib

import numpy as np
from sklearn.frozen import FrozenEstimator

from skdiffence.attacks._answers import query, query_proba
from skdiffence.metrics._signals import SIGNALS
from skdiffence.utils._cache import make_cache_folder
from skdiffence.utils._files import whole_file
from skdiffence.utils._fingerprint import fingerprint, library_versions
from skdiffence.utils._parallel import run

# Beyond this a signal shows the floor of its logarithms: one of its probabilities is zero.
_SATURATED = 100.0
_CHECKSUM_SIZE = 32
_BLOCK = 1 << 20


def signals_of(views, y, names, model):
    """Query a model for signals of rows.

    Parameters
    ----------
    views : list of array-like of shape (n_samples, ...)
        The queries for each row.
    y : ndarray of shape (n_samples,)
        True labels. A class that the model does not know has probability zero.
    names : sequence of str
        Names of signals.
    model : classifier
        Fitted.

    Returns
    -------
    signals : ndarray of shape (n_signals, n_samples, n_queries), dtype float64
    """
    # Only correctness needs the predicted label, and so a second call.
    ask = query if "correctness" in names else query_proba
    signals = np.empty((len(names), len(y), len(views)))
    for number, view in enumerate(views):
        answers = ask(model, view, y)
        signals[:, :, number] = [answers.signal(name) for name in names]
    return signals


def signal_matrix(models, X, y, known, names, *, views=None, n_jobs=None, path=None):
    """Query all models for signals of all rows, or read the signals from a file.

    Parameters
    ----------
    models : list of classifier
        Fitted.
    X : array-like of shape (n_samples, ...)
        Rows.
    y : ndarray of shape (n_samples,)
        True labels.
    known : ndarray of shape (n_samples, n_models), dtype bool
        Whether it is known if the model was trained on the row.
    names : sequence of str
        Names of signals.
    views : callable, default=None
        Takes X and returns the list of arrays to query for it. None queries X itself.
    n_jobs : int, default=None
        Number of models queried at the same time, by joblib.
    path : Path, default=None
        File to read from or, where it is missing or damaged, to write. Its name must depend on all that the signals
        depend on, see :func:`content_key`.

    Returns
    -------
    matrix : ndarray of shape (n_models, n_signals, n_samples, n_queries), dtype float64
        NaN where ``known`` is False. From a file, read-only and mapped into memory.
    """
    shape = len(models), len(names), len(y)
    if path is not None and (kept := _read(path, shape)) is not None:
        return kept
    rows = [X] if views is None else views(X)
    parts = run(signals_of, [(model,) for model in models], shared=(rows, y, names), n_jobs=n_jobs)
    masked = (np.where(column[:, np.newaxis], part, np.nan) for column, part in zip(known.T, parts, strict=True))
    if path is not None:
        _write(path, (*shape, len(rows)), masked)
        return _read(path, shape)
    matrix = np.empty((*shape, len(rows)))
    for model, part in enumerate(masked):
        matrix[model] = part
    return matrix


def _write(path, shape, parts):
    """Write the parts one after the other, so that only one of them is in memory at a time, and a checksum."""
    make_cache_folder(path.parent)
    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(np.float64)), "fortran_order": False, "shape": shape}
    with whole_file(path, private=True) as unfinished:
        with open(unfinished, "wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            for part in parts:
                file.write(np.ascontiguousarray(part).data)
        size = unfinished.stat().st_size
        with open(unfinished, "ab") as file:
            file.write(_checksum(unfinished, size, path.name))


def _read(path, shape):
    """Return the matrix stored in a file, or None if there is none of this shape, or it is damaged or another one."""
    try:
        size = path.stat().st_size - _CHECKSUM_SIZE
        with open(path, "rb") as file:
            file.seek(max(size, 0))
            checksum = file.read()
        if checksum != _checksum(path, size, path.name):
            return None
        kept = np.load(path, mmap_mode="r", allow_pickle=False)
    except (EOFError, OSError, ValueError):  # missing, empty, cut off, or no array
        return None
    fits = kept.ndim == 4 and kept.shape[:3] == shape and kept.dtype == np.float64
    # As a plain array, which still maps the file, but is pickled as what it is.
    return kept.view(np.ndarray) if fits else None


def _checksum(path, size, name):
    """Return a checksum of the first bytes of a file and of its name, which is the key of its content."""
    digest = hashlib.blake2b(name.encode(), digest_size=_CHECKSUM_SIZE)
    with open(path, "rb") as file:
        while size > 0 and (block := file.read(min(size, _BLOCK))):
            digest.update(block)
            size -= len(block)
    return digest.digest()


def content_key(models, names, views, *context):
    """Return a digest of all that a signal matrix depends on.

    Parameters
    ----------
    models : list of classifier
        Fitted; digested with what they have learned.
    names : sequence of str
        Names of signals; digested with their code.
    views : callable or None
        The queries for each row.
    *context : object
        Rows, labels and memberships.

    Returns
    -------
    key : str or None
        None if an object can't be digested, such as a classifier with an open file, or objects nested too deeply.
    """
    signals = [SIGNALS[name] for name in names]
    try:
        frozen = [FrozenEstimator(model) for model in models]
        return fingerprint(frozen, list(names), signals, views, context, library_versions()).hex()
    except (TypeError, RecursionError):
        return None


def saturation(signals):
    """Return the bound to clip logarithmic signals at.

    Parameters
    ----------
    signals : ndarray
        With NaN where there is none.

    Returns
    -------
    bound : float
        Half of the smallest probability that is not zero, if there are zeros; else infinite.
    """
    sizes = np.abs(signals[~np.isnan(signals)])
    saturated = sizes > _SATURATED
    return float(sizes[~saturated].max(initial=0.0) + np.log(2) if saturated.any() else np.inf)

"""What a run writes down: its figures, how long answers took, and on which machine."""

import json
import platform
import time
from importlib.metadata import version

import numpy as np
import sklearn
import torch

from skdiffence.utils._files import whole_file

_TIMED_ROWS = 256


def machine():
    """Return the versions and the hardware that figures were measured with."""
    return {
        "skdiffence": version("skdiffence"),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "scikit-learn": sklearn.__version__,
        "processor": platform.machine(),
        "threads": torch.get_num_threads(),
    }


def milliseconds_per_row(classifier, X):
    """Measure how long a classifier takes to predict probabilities.

    Parameters
    ----------
    classifier : classifier
        Fitted; without a cache.
    X : ndarray of shape (n, ...)
        At most 256 rows are predicted, after a warm-up.

    Returns
    -------
    milliseconds : float
        Wall-clock time per row.
    """
    X = X[:_TIMED_ROWS]
    classifier.predict_proba(X[:16])
    start = time.perf_counter()
    classifier.predict_proba(X)
    return 1000 * (time.perf_counter() - start) / len(X)


def save_text(path, text):
    """Write a text file, whole or not at all."""
    with whole_file(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


def save_json(path, facts):
    """Write figures as JSON, arrays as lists and what JSON does not know as text, whole or not at all."""
    save_text(path, json.dumps(facts, indent=1, default=_plain))


def _plain(value):
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else str(value)

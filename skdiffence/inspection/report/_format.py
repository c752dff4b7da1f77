"""Numbers as text."""

import numpy as np


def number(value, digits=3):
    """Return a number with a fixed number of decimals, a dash if it is NaN."""
    return "-" if np.isnan(value) else f"{value:.{digits}f}"


def percent(value):
    """Return a rate as a percentage, with one decimal below 10 %."""
    return f"{100 * value:.{1 if 0 < abs(value) < 0.0995 else 0}f} %"


def interval(record, key):
    """Return a value and its interval, a dash if the value is NaN.

    Parameters
    ----------
    record : dict
        Holds the value, and its ends under ``<key>_low`` and ``<key>_high``.
    key : str
        Key of the value.

    Returns
    -------
    text : str
    """
    value, low, high = (record[key + end] for end in ("", "_low", "_high"))
    return "-" if np.isnan(value) else f"{value:.3f} [{low:.3f}, {high:.3f}]"


def rate(point):
    """Return the true positive rate of an operating point with its interval, marked if it is unreliable."""
    text = f"{percent(point['tpr'])} [{percent(point['tpr_low'])}, {percent(point['tpr_high'])}]"
    return text if point["is_reliable"] else f"({text}: noise)"


def queries(record):
    """Return the number of queries that an attack needs for a row."""
    return f"{record['queries_per_row']:.3g}"


def counted(n, noun):
    """Return a number with its noun, in the plural unless it is 1."""
    return f"{n} {noun}" + "s" * (n != 1)

"""Numbers as text."""

import numpy as np


def number(value, digits=3):
    """Return a number with a fixed number of decimals, a dash if it is NaN."""
    return "-" if np.isnan(value) else f"{value:.{digits}f}"


def percent(value):
    """Return a rate as a percentage, with one decimal below 10 %."""
    return f"{100 * value:.{1 if 0 < abs(value) < 0.0995 else 0}f} %"


def interval(estimate):
    """Return an estimate with its interval, a dash if it is NaN."""
    if np.isnan(estimate.value):
        return "-"
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"


def rate(point):
    """Return the true positive rate of an operating point with its interval, marked if it is unreliable."""
    tpr = point.tpr
    text = f"{percent(tpr.value)} [{percent(tpr.low)}, {percent(tpr.high)}]"
    return text if point.is_reliable else f"({text}: noise)"


def queries(attack):
    """Return the number of queries that an attack needs for a row."""
    return f"{attack.queries_per_row:.3g}"


def counted(n, noun):
    """Return a number with its noun, in the plural unless it is 1."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"

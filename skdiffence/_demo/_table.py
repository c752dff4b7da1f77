"""Tables of a comparison: means over splits, each with its interval."""

import numpy as np
from scipy.stats import t as student
from tabulate import tabulate


def mean_and_margin(values, confidence_level=0.95):
    """Return the mean over splits and the half-width of its confidence interval.

    Parameters
    ----------
    values : array-like of shape (n_splits,)
        One value for each split; NaNs are left out.
    confidence_level : float, default=0.95
        Coverage of Student's interval.

    Returns
    -------
    mean : float
        NaN without values.
    margin : float
        NaN with fewer than two values.
    """
    values = np.asarray(values, dtype=float)
    values = values[~np.isnan(values)]
    n = len(values)
    mean = float(values.mean()) if n else np.nan
    if n < 2:
        return mean, np.nan
    return mean, float(student.ppf((1 + confidence_level) / 2, n - 1) * values.std(ddof=1) / np.sqrt(n))


def summarize(records, keys):
    """Average records over splits.

    Parameters
    ----------
    records : list of dict
        With a ``name`` each; one for each name and split.
    keys : iterable of str
        What to average.

    Returns
    -------
    rows : dict of str to dict of str to (mean, margin)
        By name, in order of first appearance.
    """
    names = list(dict.fromkeys(record["name"] for record in records))
    return {
        name: {key: mean_and_margin([r.get(key, np.nan) for r in records if r["name"] == name]) for key in keys}
        for name in names
    }


def format_cell(mean, margin, digits, sign=""):
    """Return a mean and its margin as text: "-" without a mean, the mean alone without a margin."""
    if np.isnan(mean):
        return "-"
    return f"{mean:{sign}.{digits}f}" if np.isnan(margin) else f"{mean:{sign}.{digits}f}±{margin:.{digits}f}"


def format_means(records, columns, first):
    """Return means over splits as a text table, as :func:`format_table` does."""
    return format_table(summarize(records, [key for key, _, _ in columns]), columns, first)


def format_table(rows, columns, first):
    """Return means and their margins as a text table.

    Parameters
    ----------
    rows : dict of str to dict of str to (mean, margin)
        As :func:`summarize` returns them.
    columns : list of tuple (key, heading, digits)
        What to show.
    first : str
        Heading of the names.

    Returns
    -------
    table : str
    """
    cells = [[name, *(format_cell(*row[key], digits) for key, _, digits in columns)] for name, row in rows.items()]
    return align([[first, *(heading for _, heading, _ in columns)], *cells])


def align(cells):
    """Return rows of text as a table: the first one is the heading, the first column is aligned to the left.

    Parameters
    ----------
    cells : list of list of str
        Rows of equal length.

    Returns
    -------
    table : str
    """
    alignment = ["left", *["right"] * (len(cells[0]) - 1)]
    lines = tabulate(cells, tablefmt="plain", disable_numparse=True, colalign=alignment).splitlines()
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])

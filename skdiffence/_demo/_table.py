"""The table of a comparison: means over splits, each with its interval."""

import numpy as np
from scipy.stats import t as student


def mean_and_margin(values, confidence=0.95):
    """Return the mean over splits and the half-width of its confidence interval.

    Parameters
    ----------
    values : array-like of shape (n_splits,)
        One value a split; NaNs are left out.
    confidence : float, default=0.95
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
    mean = values.mean() if n else np.nan
    if n < 2:
        return float(mean), np.nan
    return float(mean), float(student.ppf((1 + confidence) / 2, n - 1) * values.std(ddof=1) / np.sqrt(n))


def summarize(records, keys):
    """Average records over splits.

    Parameters
    ----------
    records : list of dict
        With a ``name`` each; several of one name, one a split.
    keys : list of str
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


def format_cell(mean, margin, digits):
    """Write a mean and its margin, or what there is of them."""
    if np.isnan(mean):
        return "-"
    return f"{mean:.{digits}f}" if np.isnan(margin) else f"{mean:.{digits}f}±{margin:.{digits}f}"


def format_table(rows, columns, first="answers by"):
    """Write rows as an aligned text table.

    Parameters
    ----------
    rows : dict of str to dict of str to (mean, margin)
        As :func:`summarize` returns them.
    columns : list of tuple (key, heading, digits)
        What to show.
    first : str, default="answers by"
        Heading of the names.

    Returns
    -------
    table : str
    """
    cells = [[first, *(heading for _, heading, _ in columns)]]
    for name, row in rows.items():
        cells.append([name, *(format_cell(*row[key], digits) for key, _, digits in columns)])
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = []
    for line in cells:
        padded = [cell.rjust(width) for cell, width in zip(line, widths, strict=True)]
        lines.append("  ".join([line[0].ljust(widths[0]), *padded[1:]]))
    lines.insert(1, "-" * len(lines[0]))
    return "\n".join(lines)

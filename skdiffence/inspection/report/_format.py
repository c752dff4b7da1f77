"""Numbers as text."""

import numpy as np

_WORDS = {
    "classifier": "learned from answers",
    "correctness": "correctness of the label",
    "histogram": "histogram of confidence",
    "label_only_augmentation": "labels of shifted copies",
    "label_only_noise": "labels of noisy copies",
    "label_only_reference": "label and own model",
    "label_only_reference_noise": "labels of noisy copies and own model",
    "lira": "LiRA",
    "logit": "log-odds",
    "neural": "network on answers",
    "non_monotone": "forest on answers",
    "quantile": "confidence for the row",
    "reference": "answers and own model",
    "rmia": "RMIA",
}


def words(attack):
    """Return the name of an attack in words; names of users as they are, but for underscores."""
    return _WORDS.get(attack, attack.replace("_", " "))


def number(value, digits=3):
    """Return a number with a fixed number of decimals, a dash if it is NaN."""
    text = f"{value:.{digits}f}"
    return "-" if np.isnan(value) else text.lstrip("-") if float(text) == 0 else text


def percent(value):
    """Return a rate as a percentage: with decimals below 10 % and above 99 %, so that only 0 and 1 read as such."""
    if 0 < value < 0.00995:
        return f"{np.format_float_positional(100 * value, 2, unique=False, fractional=False, trim='-')} %"
    if 0.99 < value < 1:
        return f"{min(100 * value, 99.9):.1f} %"
    return f"{100 * value:.{1 if 0 < value < 0.0995 else 0}f} %"


def of_100(value):
    """Return a rate as a number of 100; one just below 1 is not 100."""
    return "more than 99 of 100" if 0.995 <= value < 1 else f"{100 * value:.0f} of 100"


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

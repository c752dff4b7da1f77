"""The table: means, intervals and their layout."""

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from skdiffence._demo._results import removed_share
from skdiffence._demo._table import format_means, mean_and_margin


def test_margin_is_students():
    """Against scipy's one-sample t interval."""
    values = np.random.default_rng(0).normal(size=7)
    mean, margin = mean_and_margin(values)
    interval = ttest_1samp(values, 0).confidence_interval(0.95)
    assert mean - margin == pytest.approx(interval.low)
    assert mean + margin == pytest.approx(interval.high)


def test_one_value_has_no_margin():
    """A single split says nothing of the spread, and no split says nothing at all."""
    assert mean_and_margin([0.5])[0] == 0.5
    assert np.isnan(mean_and_margin([0.5])[1])
    assert np.isnan(mean_and_margin([])).all()


def test_table_by_hand():
    """Rows in order of appearance, a dash for what was not measured."""
    records = [{"name": "a", "x": 1.0}, {"name": "b", "x": 2.0, "y": 1.0}, {"name": "a", "x": 3.0}]
    lines = format_means(records, [("x", "X", 1), ("y", "Y", 1)], "name").splitlines()
    assert lines[0].split() == ["name", "X", "Y"]
    assert lines[2].split() == ["a", "2.0±12.7", "-"]
    assert lines[3].split() == ["b", "2.0", "1.0"]


def test_removed_share_by_hand():
    """0.9 and 0.6 are 0.4 and 0.1 away from a guess, and 0.2 and 0.1 from the floor, on either side of it."""
    records = [
        {"name": name, "auc": auc + step, "floor": 0.7}
        for name, auc in (("undefended", 0.9), ("defended", 0.6))
        for step in (-0.05, 0.05)
    ]
    assert removed_share(records, "defended", "auc") == pytest.approx(3 / 4)
    assert removed_share(records, "defended", "auc", floor="floor") == pytest.approx(1 / 2)
    assert removed_share(records, "undefended", "auc") == pytest.approx(0)

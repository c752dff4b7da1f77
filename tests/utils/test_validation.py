"""Memberships are zeros and ones of the right shape; fit parameters follow the rows."""

import numpy as np
import pandas as pd
import pytest

from skdiffence.utils._validation import check_is_member, index_fit_params


@pytest.mark.parametrize("given", [[True, False], [1, 0], np.array([1.0, 0.0]), pd.Series([True, False])])
def test_memberships_become_booleans(given):
    """Booleans, integers and floats of 0 and 1, in lists, arrays and series."""
    checked = check_is_member(given, 2, both_sides=True)
    assert checked.dtype == bool
    assert checked.tolist() == [True, False]


def test_memberships_of_several_models():
    """Any shape will do, if it is the one expected."""
    given = np.eye(3, dtype=int)
    np.testing.assert_array_equal(check_is_member(given, (3, 3)), given.astype(bool))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([True], r"is_member must have one value for each row: shape \(2,\). Got shape \(1,\)"),
        ([[True], [False]], r"Got shape \(2, 1\)"),
        ([0, 2], "True for members and False for non-members, or 1 and 0"),
        ([0.5, 1], "or 1 and 0. Got values such as .*0.5"),
        (["yes", "no"], "dtype <U3"),
        ([True, None], "dtype object"),
        ([1, 1], "at least one member and one non-member. Got 2 members and 0 non-members"),
        ([False, False], "Got 0 members and 2 non-members"),
    ],
)
def test_bad_memberships(given, message):
    """Another shape, other values and a missing side are named."""
    with pytest.raises(ValueError, match=message):
        check_is_member(given, 2, both_sides=True)


@pytest.mark.parametrize("dtype", [object, str, float, bool])
def test_no_memberships(dtype):
    """An empty array has no dtype to speak of, and misses both sides."""
    empty = np.array([], dtype=dtype)
    assert check_is_member(empty, 0).dtype == bool
    with pytest.raises(ValueError, match="is_member must hold at least one member and one non-member. Got 0 members"):
        check_is_member(empty, 0, both_sides=True)


def test_the_parameter_is_named():
    """Messages call the parameter what the caller calls it, and one side is enough where it is."""
    with pytest.raises(ValueError, match="^y_true must hold True"):
        check_is_member([3, 4], 2, name="y_true")
    assert check_is_member([1, 1], 2).all()


def test_fit_params_follow_the_rows():
    """What has an entry for each row is indexed, arrays, lists and frames alike; all else is passed on."""
    weight, frame, text, table = np.arange(4.0), pd.DataFrame({"a": range(4)}), "abcd", {"a": 1, "b": 2, "c": 3, "d": 4}
    given = {"weight": weight, "groups": list("wxyz"), "frame": frame, "text": text, "table": table, "short": [1, 2]}
    cut = index_fit_params(given, np.array([3, 1]), 4)
    assert cut["weight"].tolist() == [3, 1]
    assert cut["groups"] == ["z", "x"]
    assert cut["frame"]["a"].tolist() == [3, 1]
    assert all(cut[name] is given[name] for name in ("text", "table", "short"))

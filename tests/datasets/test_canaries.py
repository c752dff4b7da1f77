"""Rows made to be remembered."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from skdiffence.datasets import make_canaries
from skdiffence.utils._rows import row_digests

KINDS = ["blank", "clean", "duplicated", "mislabeled", "out_of_distribution"]
RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(60, 5)) * [1, 10, 100, 0.1, 1]
IMAGES = RNG.integers(0, 256, size=(60, 3, 4, 5), dtype=np.uint8)
LABELS = RNG.choice(["cat", "dog", "owl"], size=60)


def changed(made, X, y):
    """Return the numbers of rows whose input, and whose label, is another."""
    inputs = (made.X != X).reshape(len(X), -1).any(axis=1)
    return set(np.flatnonzero(inputs)), set(np.flatnonzero(made.y != y))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("X", [ROWS, IMAGES], ids=["rows", "images"])
def test_only_canaries_are_changed(kind, X):
    """All else is a copy; the types stay; what was given is left alone."""
    before = X.copy(), LABELS.copy()
    made = make_canaries(X, LABELS, kind=kind, n_canaries=20, random_state=0)
    inputs, labels = changed(made, X, LABELS)
    assert inputs | labels <= set(made.canaries)
    assert len(set(made.canaries)) == len(made.canaries) == (10 if kind == "duplicated" else 20)
    assert (made.X.dtype, made.X.shape, made.y.dtype, made.kind) == (X.dtype, X.shape, LABELS.dtype, kind)
    assert not np.shares_memory(made.X, X)
    np.testing.assert_array_equal(X, before[0])
    np.testing.assert_array_equal(LABELS, before[1])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_few", [2, 6, 30])
def test_more_canaries_leave_the_earlier_ones_as_they_are(kind, n_few):
    """Which rows they are, their inputs and their labels do not depend on the number."""
    few, many = (make_canaries(IMAGES, LABELS, kind=kind, n_canaries=n, random_state=3) for n in (n_few, 40))
    kept = few.canaries
    np.testing.assert_array_equal(kept, many.canaries[: len(kept)])
    np.testing.assert_array_equal(few.X[kept], many.X[kept])
    np.testing.assert_array_equal(few.y[kept], many.y[kept])


@pytest.mark.parametrize("kind", KINDS)
def test_seed_decides(kind):
    """Equal seeds, equal canaries."""
    first, same, other = (make_canaries(ROWS, LABELS, kind=kind, n_canaries=20, random_state=s) for s in (0, 0, 1))
    np.testing.assert_array_equal(first.X, same.X)
    np.testing.assert_array_equal(first.y, same.y)
    assert set(first.canaries) != set(other.canaries)


def test_wrong_labels_are_uniform():
    """Of four classes each of the three wrong ones is given to a third: within five standard errors, 0.043."""
    y = np.repeat(np.arange(4), 750)
    made = make_canaries(np.zeros((3000, 1)), y, n_canaries=3000, random_state=0)
    steps = (made.y - y) % 4
    assert (steps != 0).all()
    np.testing.assert_allclose(np.bincount(steps, minlength=4)[1:] / 3000, 1 / 3, atol=0.043)


def test_duplicates_are_copies_with_wrong_labels():
    """Every audited row has its original, with its own label, somewhere else, differs in the label alone."""
    made = make_canaries(ROWS, LABELS, kind="duplicated", n_canaries=20, random_state=0)
    originals = set()
    for canary in made.canaries:
        twins = [row for row in range(60) if np.array_equal(made.X[row], made.X[canary])]
        (original,) = set(twins) - {canary}
        assert made.y[original] == LABELS[original] != made.y[canary]
        originals.add(original)
    assert len(originals) == 10
    assert not originals & set(made.canaries)


def test_rows_out_of_distribution_are_permuted():
    """Each canary has the values that it had, in another order than others; its label stays."""
    made = make_canaries(ROWS, LABELS, kind="out_of_distribution", n_canaries=20, random_state=0)
    rows = made.canaries
    np.testing.assert_array_equal(np.sort(made.X[rows]), np.sort(ROWS[rows]))
    orders = {tuple(np.argsort(np.argsort(ROWS[row]))[np.argsort(made.X[row])]) for row in rows}
    assert len(orders) > 1
    np.testing.assert_array_equal(made.y, LABELS)


def test_images_out_of_distribution_keep_their_pixels():
    """Channels move together, so that every color stays a color of the image."""
    made = make_canaries(IMAGES, LABELS, kind="out_of_distribution", n_canaries=20, random_state=0)
    for row in made.canaries:
        colors, before = (sorted(map(tuple, X[row].reshape(3, -1).T.tolist())) for X in (made.X, IMAGES))
        assert colors == before


FORMS = {
    "frame": lambda X: pd.DataFrame({"town": np.where(X[:, 0] > 0, "a", "b"), "size": X[:, 1]}, index=range(9, 69)),
    "gaps": lambda X: np.where(X > 1, np.nan, X),
    "sparse": sparse.csr_array,
    "texts": lambda X: [f"text {value}" for value in X[:, 0]],
    "polars": lambda X: pytest.importorskip("polars").DataFrame({"town": X[:, 0].astype(str), "size": X[:, 1]}),
}


@pytest.mark.parametrize("kind", ["mislabeled", "duplicated", "clean"])
@pytest.mark.parametrize("form", FORMS)
def test_rows_that_are_not_changed_may_be_of_any_kind(kind, form):
    """Text, categories, gaps and sparse rows: what the classifier takes."""
    X = FORMS[form](ROWS)
    made = make_canaries(X, LABELS, kind=kind, n_canaries=20, random_state=0)
    expected = make_canaries(ROWS, LABELS, kind=kind, n_canaries=20, random_state=0)
    np.testing.assert_array_equal(made.canaries, expected.canaries)
    np.testing.assert_array_equal(made.y, expected.y)
    np.testing.assert_array_equal(row_digests(made.X), row_digests(FORMS[form](expected.X)))


@pytest.mark.parametrize("kind", ["blank", "out_of_distribution"])
def test_new_rows_of_a_frame_have_its_columns(kind):
    """In their dtypes, so that the classifier finds them by name."""
    frame = pd.DataFrame(ROWS, columns=list("abcde")).round().astype({"a": "Int64", "b": np.float32})
    made = make_canaries(frame, LABELS, kind=kind, n_canaries=20, random_state=0)
    assert made.X.dtypes.equals(frame.dtypes)
    untouched = np.setdiff1d(np.arange(60), made.canaries)
    pd.testing.assert_frame_equal(made.X.iloc[untouched], frame.iloc[untouched])
    assert not made.X.iloc[made.canaries].equals(frame.iloc[made.canaries])


NANOSECONDS = 1704067200123456789 + np.arange(60) * 10**6


@pytest.mark.parametrize("kind", ["blank", "out_of_distribution"])
@pytest.mark.parametrize(
    "form",
    [
        lambda X: X,
        pd.DataFrame,
        lambda X: pd.DataFrame({"at": X[:, 0], "size": ROWS[:, 1]}, index=np.arange(60) % 7),
        lambda X: pd.DataFrame({"at": X[:, 0], "size": pd.arrays.SparseArray(ROWS[:, 1])}),
        lambda X: pytest.importorskip("polars").DataFrame({"at": X[:, 0], "size": ROWS[:, 1]}),
        torch.as_tensor,
    ],
    ids=["array", "frame", "mixed frame", "sparse column", "polars", "tensor"],
)
def test_other_rows_stay_to_the_last_digit(kind, form):
    """Integers that floats can't hold, in any container, which stays what it was."""
    X = form(np.column_stack([NANOSECONDS, NANOSECONDS[::-1]]))
    before = np.asarray(row_digests(X))
    made = make_canaries(X, LABELS, kind=kind, n_canaries=20, random_state=0)
    assert type(made.X) is type(X)
    untouched = np.setdiff1d(np.arange(60), made.canaries)
    np.testing.assert_array_equal(row_digests(made.X)[untouched], before[untouched])
    np.testing.assert_array_equal(row_digests(X), before)
    if isinstance(X, pd.DataFrame):
        pd.testing.assert_frame_equal(made.X.iloc[untouched], X.iloc[untouched])


def test_source_has_the_columns_of_the_rows():
    """By name, in whatever order."""
    frame = pd.DataFrame({"a": np.arange(60.0), "b": -np.arange(60.0)})
    source = pd.DataFrame({"b": np.full(30, -7), "a": np.full(30, 7)})
    given = {"kind": "out_of_distribution", "n_canaries": 20, "random_state": 0}
    made = make_canaries(frame, LABELS, source=source, **given)
    assert made.X.iloc[made.canaries].to_numpy().tolist() == [[7, -7]] * 20
    with pytest.raises(ValueError, match=r"source must have the columns of X, \['a', 'b'\]. Got \['b', 'c'\]"):
        make_canaries(frame, LABELS, source=source.rename(columns={"a": "c"}), **given)


@pytest.mark.parametrize(
    ("dtype", "source"),
    [
        (np.uint8, np.full((20, 5), 300, dtype=np.uint16)),
        (np.int8, np.full((20, 5), 300)),
        (np.float16, np.full((20, 5), 1e6)),
        (np.int64, np.full((20, 5), 2**63, dtype=np.uint64)),
        (np.int64, np.full((20, 5), 0.5)),
        (bool, np.full((20, 5), 2)),
    ],
)
def test_source_that_overflows(dtype, source):
    """Other values would be stored than were given."""
    X = np.arange(300).reshape(60, 5).astype(dtype)
    with pytest.raises(ValueError, match=f"fit into the dtype of X, {np.dtype(dtype)}"):
        make_canaries(X, LABELS, kind="out_of_distribution", source=source, n_canaries=20)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, bool])
def test_source_of_another_dtype_that_fits(dtype):
    """Every value arrives."""
    X = np.arange(300).reshape(60, 5).astype(dtype)
    source = np.ones((20, 5))
    made = make_canaries(X, LABELS, kind="out_of_distribution", source=source, n_canaries=20)
    assert made.X.dtype == dtype and (made.X[made.canaries] == 1).all()


def test_source_rows_are_used_once():
    """Rows of another kind take the place of rows, whose labels stay."""
    source = 1000 + np.arange(25 * 5.0).reshape(25, 5)
    made = make_canaries(ROWS, LABELS, kind="out_of_distribution", n_canaries=20, source=source, random_state=0)
    found = made.X[made.canaries, 0].tolist()
    assert len(set(found)) == 20
    assert set(found) <= set(source[:, 0].tolist())
    np.testing.assert_array_equal(made.y, LABELS)


def test_blank_images_have_one_value_a_channel():
    """Within the channel's range, and every label may come."""
    made = make_canaries(IMAGES, LABELS, kind="blank", n_canaries=60, random_state=0)
    flat = made.X.reshape(60, 3, -1)
    assert (flat == flat[:, :, :1]).all()
    assert len(np.unique(flat[:, 0, 0])) > 20
    assert set(made.y) == set(LABELS)


def test_blank_rows_are_in_the_range_of_each_feature():
    """A feature of another scale gets values of its scale."""
    made = make_canaries(ROWS, LABELS, kind="blank", n_canaries=60, random_state=0)
    np.testing.assert_array_equal(made.X, np.clip(made.X, ROWS.min(axis=0), ROWS.max(axis=0)))
    np.testing.assert_allclose(np.ptp(made.X, axis=0), np.ptp(ROWS, axis=0), rtol=0.2)


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(KINDS), st.integers(2, 8), st.integers(2, 4), st.integers(0, 5))
def test_small_data(kind, n_rows, n_classes, seed):
    """Down to two rows, whatever the labels are."""
    y = np.arange(n_rows) % n_classes
    made = make_canaries(np.ones((n_rows, 1)), y, kind=kind, n_canaries=2, random_state=seed)
    assert set(made.y) <= set(y)
    assert np.isfinite(made.X).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_canaries": 61}, "n_canaries must be at most the 60 rows of X. Got 61"),
        ({"n_canaries": 1}, "The 'n_canaries' parameter of make_canaries must be"),
        ({"kind": "adversarial"}, "The 'kind' parameter of make_canaries must be"),
        ({"kind": "duplicated", "n_canaries": 3}, "n_canaries must be even for kind='duplicated'"),
        ({"y": LABELS[:-1]}, "y must hold one label for each of the 60 rows of X. Got shape \\(59,\\)"),
        ({"y": np.zeros(60)}, "y must have at least two classes. Got 1"),
        ({"X": ROWS[:, 0], "kind": "blank"}, "X must hold finite numbers in the shape .* Got shape \\(60,\\)"),
        ({"X": np.where(ROWS > 2, np.nan, ROWS), "kind": "blank"}, "X must hold finite numbers"),
        ({"X": ROWS.astype(str), "kind": "out_of_distribution"}, "X must hold dense rows of numbers for kind='out"),
        ({"X": sparse.csr_array(ROWS), "kind": "blank"}, "numbers for kind='blank'.* Got csr_array"),
        ({"X": np.ma.masked_less(ROWS, 0)}, "X must not have masked values"),
        ({"y": [1, "a"] * 30}, "y must hold labels of one type. Got labels of the types int, str"),
        ({"source": ROWS}, "source is for kind='out_of_distribution'. Got kind='mislabeled'"),
        ({"kind": "out_of_distribution", "source": ROWS[:5]}, "source must hold at least 20 numeric rows"),
        ({"kind": "out_of_distribution", "source": ROWS[:, :4]}, "rows of shape \\(5,\\), like X"),
        ({"kind": "out_of_distribution", "source": ROWS * np.inf}, "source must be finite"),
        ({"kind": "out_of_distribution", "source": [[1, 2], [3]] * 10}, r"Got list of shape \(20, ...\)"),
        ({"X": [[1, 2], [3]] * 30}, "X must hold rows of one shape. Got list"),
        ({"kind": "out_of_distribution", "source": ROWS, "X": (ROWS > 0) * 1}, "fit into the dtype of X, int64"),
    ],
)
def test_bad_input(changes, message):
    """The message names the parameter and what came."""
    arguments = {"X": ROWS, "y": LABELS, "n_canaries": 20, "random_state": 0} | changes
    with pytest.raises(ValueError, match=message):
        make_canaries(arguments.pop("X"), arguments.pop("y"), **arguments)


@pytest.mark.usefixtures("untouched_generators")
def test_no_global_generator_is_touched():
    """None asks the operating system."""
    make_canaries(ROWS, LABELS, n_canaries=4)

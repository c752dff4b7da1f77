"""Rows recognized by content."""

import hashlib
import pickle
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import sparse

from skdiffence.utils import _rows
from skdiffence.utils._rows import RowSet, data_digest, row_digests, take_rows
from skdiffence.utils._sklearn import safe_indexing


@settings(deadline=None, max_examples=100)
@given(arrays.arrays(np.float64, (4, 3), elements=st.floats()))
def test_rows_are_equal_where_all_their_numbers_are(X):
    """Exactly: -0.0 is 0.0, all NaNs are one, and nothing else is equal."""
    digests = row_digests(X)
    for i in range(4):
        for j in range(4):
            assert (digests[i] == digests[j]) == np.array_equal(X[i], X[j], equal_nan=True)
    np.testing.assert_array_equal(row_digests(np.where(X == 0, -0.0, X)), digests)


@pytest.mark.parametrize(
    "column",
    [
        1.7e9 + np.arange(3600),  # epoch seconds: 32 values in float32
        1.7e9 + np.arange(3600) / 100,
        2**24 + np.arange(3600),  # identifiers
        2**53 + np.arange(3600),
        2**62 + np.arange(3600),
        np.uint64(2**64 - 1) - np.arange(3600, dtype=np.uint64),
        np.arange(3600) + np.iinfo(np.int64).min,
        np.arange(-1800, 1800),
        1234567.89 + np.arange(3600) / 100,  # money
        np.nextafter(1.0, 2.0) ** np.arange(3600),
        10.0 ** np.linspace(-300, 300, 3600),
        np.longdouble(1) + np.arange(3600) * np.finfo(np.longdouble).eps,
    ],
    ids=lambda column: f"{column.dtype}-{column[1]}",
)
def test_different_numbers_are_different_rows(column):
    """Rounding to float32, or of large integers to float64, would make some of them equal."""
    rows = np.column_stack([column, np.zeros(len(column), dtype=column.dtype)])
    assert len(np.unique(row_digests(rows))) == len(column)
    assert len(np.unique(row_digests(pd.DataFrame({"id": column, "part": 0.5})))) == len(column)


@settings(deadline=None, max_examples=100)
@given(st.lists(st.integers(-(2**63), 2**64 - 1), min_size=1, max_size=6))
def test_integers_are_equal_whatever_holds_them(values):
    """Python's own integers tell which are equal; int64, uint64 and float64 hold a part of them."""
    expected = row_digests(np.array(values, dtype=object)[:, None])
    assert [i for i, x in enumerate(values) if x == values[0]] == np.flatnonzero(expected == expected[0]).tolist()
    for dtype, fits in (
        (np.int64, lambda x: -(2**63) <= x < 2**63),
        (np.uint64, lambda x: x >= 0),
        (np.float64, lambda x: int(float(x)) == x),
    ):
        kept = [place for place, value in enumerate(values) if fits(value)]
        np.testing.assert_array_equal(
            row_digests(np.array([values[i] for i in kept], dtype=dtype)[:, None]), expected[kept]
        )


def test_nans_are_one():
    """NaNs of another sign or payload compare equal."""
    strange = np.array([0xFFC00001, 0x7FC00123], dtype=np.uint32).view(np.float32)
    first, second = row_digests(strange[:, None])
    assert first == second == row_digests([[np.nan]])[0]


def test_caller_keeps_the_array():
    """The input is not written to."""
    X = np.array([[-0.0, np.nan]], dtype=np.float32)
    X.flags.writeable = False
    row_digests(X)
    assert np.signbit(X[0, 0])


@pytest.mark.parametrize(
    "convert",
    [
        np.asfortranarray,
        lambda X: X.astype(np.float64),
        lambda X: X.astype(int),
        lambda X: X.reshape(5, 1, 2, 3),
        lambda X: X.tolist(),
        pd.DataFrame,
        lambda X: pd.DataFrame(X.astype(int)).astype({0: "Int64", 1: float}),
        lambda X: np.repeat(X, 2, axis=0)[::2],
    ],
)
def test_digests_depend_on_values_alone(convert):
    """Not on layout, type, shape or container."""
    X = np.arange(30, dtype=np.float32).reshape(5, 6)
    np.testing.assert_array_equal(row_digests(convert(X)), row_digests(X))


def test_digest_is_keyed_blake2b():
    """The published hash, of the canonical bytes."""
    X = np.array([[1.5, -0.0]])
    expected = hashlib.blake2b(np.array([1.5, 0.0], dtype=np.float32).tobytes(), digest_size=16, key=b"k").digest()
    assert row_digests(X, b"k").tolist() == [expected]
    assert row_digests(X, b"another")[0] != expected


def test_rows_that_need_float64_are_hashed_as_float64():
    """Each row in the narrowest form that holds it, so that its digest does not depend on the dtype."""
    X = np.array([[0.1, 2.0], [0.5, 2.0]])
    expected = [hashlib.blake2b(row, digest_size=16).digest() for row in (X[0], X[1].astype(np.float32))]
    assert row_digests(X).tolist() == expected


@pytest.mark.parametrize("X", [[[1.0, 1e300]], [[1.0, 1e-300]], [[1.0, 0.1]]])
def test_rows_can_be_rounded_to_float32(X):
    """What a net would see: for rows that differ in what it never gets, noise must not differ either."""
    rounded = np.array(X, dtype=np.float32) if X[0][1] < 1e38 else np.array([[1, np.inf]], dtype=np.float32)
    assert row_digests(X)[0] != row_digests(rounded)[0]
    np.testing.assert_array_equal(row_digests(X, as_float32=True), row_digests(rounded))


MIXED = {
    "town": ["Ulm", "Ulm", None, "Köln", "Ulm"],
    "age": [30, 30, 31, 30, 30],
    "weight": [70.5, 70.5, np.nan, 70.5, 70.5],
    "code": ["10", "10", "10", "10", "010"],
}


@pytest.mark.parametrize(
    "form",
    [
        pd.DataFrame,
        lambda data: pd.DataFrame(data).astype({"town": "category", "code": "category", "age": "Int64"}),
        lambda data: pd.DataFrame(data).astype(object),
        lambda data: pd.DataFrame(data).astype(object).to_numpy(),
        lambda data: [list(row) for row in zip(*data.values(), strict=True)],
        lambda data: pytest.importorskip("polars").DataFrame(data, strict=False),
    ],
    ids=["frame", "categories", "objects", "array", "list", "polars"],
)
def test_rows_of_text_and_numbers_are_compared(form):
    """By value, whatever the container: a row of text is found in a pool, and on the other side of an audit."""
    digests = row_digests(form(MIXED))
    assert digests[0] == digests[1]
    assert len(np.unique(digests)) == 4
    np.testing.assert_array_equal(digests, row_digests(pd.DataFrame(MIXED)))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (["a", "b"], ["ab", ""]),
        (["a", ""], ["", "a"]),
        (["1", 1], [1, "1"]),
        (["nan", 1], [np.nan, 1]),
        (["", 1], [None, 1]),
        ([np.datetime64("2020-01-01"), 1], [np.datetime64("2020-01-02"), 1]),
        ([(1, 2), 1], [(1, 3), 1]),
        (["a\ud800", 1], ["a\ud801", 1]),
        ([1 + 2j, 1], [1 + 3j, 1]),
        ([Decimal("0.1"), 1], [Decimal("0.10"), 1]),
    ],
    ids=["joined", "shifted", "digits", "nan", "empty", "dates", "tuples", "surrogates", "complex", "decimals"],
)
def test_text_does_not_run_together(one, other):
    """Cells keep their places and their kinds; digits as text are no number."""
    X = np.empty((2, 2), dtype=object)
    X[0], X[1] = one, other
    first, second = row_digests(X)
    assert first != second


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA, float("nan")])
@pytest.mark.parametrize("dtype", [object, "Int64", "Float64", "string", "category", "datetime64[ns]"])
def test_missing_values_are_one(missing, dtype):
    """Whatever stands for them."""
    column = pd.Series([missing, None], dtype=object).astype(dtype)
    assert len(np.unique(row_digests(pd.DataFrame({"x": column, "y": [1, 1]})))) == 1


@pytest.mark.parametrize("dtype", ["Int64", "UInt64"])
def test_large_integers_beside_missing_ones_stay_apart(dtype):
    """As floats, which hold missing values, they would be equal."""
    column = pd.array([2**62, 2**62 + 1, None], dtype=dtype)
    assert len(np.unique(row_digests(pd.DataFrame({"id": column})))) == 3
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"id": polars.Series([2**62, 2**62 + 1, None], dtype=getattr(polars, dtype))})
    np.testing.assert_array_equal(row_digests(frame), row_digests(pd.DataFrame({"id": column})))


def test_rows_of_one_text_each_and_of_any_length():
    """What vectorizers of text take: texts in a list, and lists of words."""
    texts = ["one row", "another", "one row"]
    for rows in (texts, np.array(texts), pd.Series(texts)):
        np.testing.assert_array_equal(row_digests(rows), row_digests(np.array(texts, dtype=object)))
    first, second, third = row_digests([["one", "row"], ["another"], ["one", "row"]])
    assert first == third != second


@pytest.mark.parametrize("kind", [sparse.csr_array, sparse.coo_matrix, sparse.csc_matrix, sparse.lil_array])
def test_sparse_rows_are_those_of_the_dense_matrix(kind, monkeypatch):
    """Also where it is converted in several parts, the last one smaller."""
    X = np.random.default_rng(0).poisson(0.3, (23, 5)) * 0.1
    monkeypatch.setattr(_rows, "_DENSE_VALUES", 40)
    np.testing.assert_array_equal(row_digests(kind(X)), row_digests(X))
    assert row_digests(kind((0, 5))).shape == (0,)


def centred(n, size=40):
    """Return images that differ in one place each, in the middle, where a shortened repr shows nothing."""
    images = np.zeros((n, size, size))
    images[np.arange(n), size // 2, np.arange(n)] = 1
    return images


def cells(values):
    """Return a data frame with one value in each cell."""
    column = np.empty(len(values), dtype=object)
    for place, value in enumerate(values):
        column[place] = value
    return pd.DataFrame({"cell": pd.Series(column, dtype=object)})


@dataclass
class Sample:
    """An image with a name."""

    name: str
    image: np.ndarray


@pytest.mark.parametrize(
    "make",
    [
        lambda images: cells(images),
        lambda images: cells(images.astype(np.uint8)),
        lambda images: cells(images.tolist()),
        lambda images: cells([torch.tensor(image) for image in images]),
        lambda images: cells([torch.tensor(image).to(torch.bfloat16).requires_grad_() for image in images]),
        lambda images: cells([sparse.csr_array(image) for image in images]),
        lambda images: cells([pd.Series(image.ravel()) for image in images]),
        lambda images: cells(images.astype(complex) * 1j),
        lambda images: cells(images.astype(str)),
        lambda images: cells(images.astype(object)),
        lambda images: cells([{"image": image, "size": 40} for image in images]),
        lambda images: cells([("one", image) for image in images]),
        lambda images: cells([Sample("one", image) for image in images]),
        lambda images: [*images, np.zeros((3, 3))],
        lambda images: [*images, np.zeros((40, 3))],
        lambda images: [*map(torch.tensor, images), torch.zeros(3)],
        lambda images: pytest.importorskip("polars").DataFrame({"cell": images.reshape(6, -1)}),
        lambda images: [*[image.ravel().tolist() for image in images], [1.0]],
    ],
)
def test_values_inside_cells_count(make):
    """All of them: a repr leaves out the middle of large arrays. How arrays are printed does not matter."""
    rows = make(centred(6))
    digests = row_digests(rows)
    assert len(np.unique(digests)) == len(rows)
    with np.printoptions(precision=1, threshold=3):
        np.testing.assert_array_equal(row_digests(make(centred(6))), digests)
    assert len(np.unique(row_digests(make(np.zeros((6, 40, 40))))[:6])) == 1
    if isinstance(rows, pd.DataFrame):
        assert len({data_digest(rows), data_digest(rows[::-1]), data_digest(make(np.zeros((6, 40, 40))))}) == 3
        assert data_digest(rows) == data_digest(make(centred(6)))


@settings(deadline=None, max_examples=60)
@given(st.lists(st.one_of(st.integers(-(2**70), 2**70), st.floats(), st.booleans(), st.none()), max_size=4), st.data())
def test_numbers_inside_cells_are_equal_by_value(values, data):
    """As Python compares them, whatever holds them, in a list or in an array; missing values are one."""
    other = data.draw(st.permutations(values))
    forms = [values, tuple(values), np.array(values, dtype=object)]
    floats = [np.nan if each is None else float(each) for each in values]

    def known(numbers):
        return ["missing" if each is None or each != each else each for each in numbers]

    if known(floats) == known(values):
        forms.append(np.array(floats))
    assert len(np.unique(row_digests(cells(forms)))) == 1
    same = row_digests(cells([values]))[0] == row_digests(cells([other]))[0]
    assert same == (known(values) == known(other))


@pytest.mark.parametrize(
    "equal",
    [
        [[1, 2], (1, 2), [1.0, 2.0], np.array([1, 2], np.uint8), np.array([1.0, 2.0], ">f8"), torch.tensor([1, 2])],
        [[[1, 0], [0, 2]], np.diag([1, 2]), sparse.coo_array(np.diag([1.0, 2.0])), np.asfortranarray(np.diag([1, 2]))],
        [[0.1, 0.2], np.array([0.1, 0.2]), torch.tensor([0.1, 0.2], dtype=torch.float64)],
        [[0.0, None], np.array([-0.0, np.nan]), [0, np.nan]],
        [["a", "b"], np.array(["a", "b"]), pd.Series(["a", "b"])],
        [{"a": [1, 2], "b": 0}, {"b": 0.0, "a": np.array([1, 2])}],
        [[1 + 2j, 0.5], np.array([1 + 2j, 0.5], np.complex64), torch.tensor([1 + 2j, 0.5])],
        [5, 5.0, np.array(5), torch.tensor(5)],
        [{"a", "b", "c"}, {"c", "b", "a"}, frozenset("bca")],
    ],
    # The order of a set, and so its text, differs between processes.
    ids=["integers", "matrix", "floats", "missing", "text", "dict", "complex", "number", "set"],
)
def test_containers_inside_cells_do_not_matter(equal):
    """Nor do dtypes and layouts: rows of a pool in pandas are found in lists of polars."""
    assert len(np.unique(row_digests(cells(equal)))) == 1


def test_what_differs_inside_cells_is_apart():
    """In value, kind, shape, order, nesting or places."""
    different = [
        *([1, 2], [2, 1], [1, 2, 0], [[1, 2]], [[1], [2]], [1, 2.5], [1, 2 + 1e-12], ["1", "2"], [1, "2"], [[1], 2]),
        *([2**53, 0.5], [2**53 + 1, 0.5], [2**63, -1], [2**63 + 1, -1], np.zeros((2, 3)), np.zeros((3, 2)), [True, 0]),
        *(
            {},
            {"a": 1},
            {"b": 1},
            {"a": [1]},
            {1, 2},
            [1 + 2j],
            [2 + 1j],
            1 + 2j,
            [b"a"],
            ["a"],
            [],
            [[]],
            1,
            "1",
            None,
        ),
    ]
    assert len(np.unique(row_digests(cells(different)))) == len(different)


def test_rounding_reaches_into_cells():
    """Rows that differ beyond float32 in a cell are equal where numbers are rounded to float32."""
    rows = cells([np.array([0.1, 1.0]), np.array([np.float32(0.1), 1.0]), [0.1 + 1e-12, 1.0], [0.2, 1.0]])
    assert len(np.unique(row_digests(rows))) == 4
    assert np.unique(row_digests(rows, as_float32=True), return_counts=True)[1].tolist() in ([3, 1], [1, 3])


def test_rows_of_different_shapes_are_those_of_each_alone():
    """A fold of a pool of images of two sizes may have those of one size only."""
    images = [*centred(3), np.ones((4, 5))]
    together = row_digests(images)
    np.testing.assert_array_equal(together[:3], row_digests(images[:3]))
    np.testing.assert_array_equal(together[:3], row_digests(np.array(images[:3])))
    np.testing.assert_array_equal(together[3:], row_digests(images[3:]))
    np.testing.assert_array_equal(row_digests(tuple(images), b"k", as_float32=True)[:3], row_digests(images[:3], b"k"))


def test_masked_values_inside_cells_are_refused():
    """As in X itself."""
    with pytest.raises(ValueError, match="masked values.*1 of 2"):
        row_digests(cells([np.ma.array([1, 2], mask=[0, 1])]))


@pytest.mark.parametrize("digest", [row_digests, data_digest])
@pytest.mark.parametrize("cell", [object(), [1, object()], {"a": object()}])
def test_objects_known_by_their_address_are_refused(digest, cell):
    """An address is another one in the next process, and says nothing of the content."""
    with pytest.raises(TypeError, match="X must hold values that can be compared.*type object.*Convert it"):
        digest(cells([cell, 1]))


def test_masked_values_are_refused():
    """The number under a mask is no value of the row."""
    X = np.ma.masked_equal(np.arange(6).reshape(2, 3), 4)
    with pytest.raises(ValueError, match="X must not have masked values.*1 of 6"):
        row_digests(X)
    np.testing.assert_array_equal(row_digests(np.ma.array([[1, 2]])), row_digests([[1, 2]]))


def test_recomputed_rows_are_found_by_what_float32_holds_of_them():
    """Only where they are looked for as such: otherwise rows of one float32 form would be taken for each other."""
    X = np.array([[0.1, 1.0], [0.2, 1.0], [0.3, 1.0]])
    rows, again = RowSet.of(X[:2]), np.nextafter(X, 1.0)
    assert rows.find(again)[0].tolist() == [False] * 3
    assert rows.find(again)[1] == 2
    mask, n_lost = rows.find(again, recomputed=True)
    assert mask.tolist() == [True, True, False]
    assert n_lost == 0
    left = rows.without(RowSet.of(again[:1], key=rows.key))
    assert left.find(again, recomputed=True)[0].tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("X", "expected"),
    [
        (np.zeros((2, 3), np.float32), True),
        (np.zeros((2, 3), np.float16), True),
        (sparse.csr_array(np.eye(2, dtype=np.float32)), True),
        (pd.DataFrame({"a": np.zeros(2, np.float32), "b": np.zeros(2, np.int8)}), True),
        (np.zeros((2, 3)), False),
        (np.zeros((2, 3), int), False),
        (np.zeros((2, 3), np.uint8), False),
        ([[0.0, 1.0]], False),
        (pd.DataFrame({"a": np.zeros(2, np.float32), "id": [1, 2]}), False),
        (pd.DataFrame({"a": np.zeros(2, np.float32), "b": pd.Series([0.1, "x"], dtype=object)}), False),
        (pd.DataFrame({"a": np.zeros(2, np.float32), "b": pd.Categorical([0.1, 0.2])}), False),
    ],
)
def test_row_set_knows_whether_its_rows_were_float32(X, expected):
    """No other rows may be looked for by what float32 holds of them: of some it would not hold all."""
    rows = RowSet.of(X)
    assert rows.is_float32 is expected
    assert rows.without(RowSet.of(X[:1], key=rows.key)).is_float32 is expected
    assert pickle.loads(pickle.dumps(rows)).is_float32 is expected


def test_row_set_of_an_earlier_version():
    """A set that was pickled before it was recorded whether rows were float32."""
    rows = RowSet.of(np.zeros((2, 3), np.float32))
    del vars(rows)["is_float32"]
    assert pickle.loads(pickle.dumps(rows)).is_float32 is False


@settings(deadline=None, max_examples=40)
@given(arrays.arrays(np.int8, (12, 2), elements=st.integers(-2, 2)), st.integers(0, 12))
def test_row_set_is_a_set(X, n):
    """Membership and size against Python's own sets."""
    rows = RowSet.of(X[:n])
    inside = {tuple(row) for row in X[:n].tolist()}
    assert len(rows) == len(inside)
    assert rows.contains(X).tolist() == [tuple(row) in inside for row in X.tolist()]


def test_row_set_is_keyed_by_itself():
    """Two sets of the same rows share no digest, unless they are given one key."""
    X = np.arange(6.0).reshape(3, 2)
    assert not set(RowSet.of(X).digests) & set(RowSet.of(X).digests)
    assert set(RowSet.of(X, key=b"k").digests) == set(RowSet.of(X, key=b"k").digests)


def test_empty_row_set():
    """It contains nothing, and asks nothing of the rows."""
    assert len(RowSet.empty()) == 0
    assert not RowSet.empty().contains(np.ones((3, 2))).any()
    assert RowSet.of(np.ones((3, 2))).contains(np.ones((0, 2))).shape == (0,)
    assert repr(RowSet.of(np.ones((3, 2)))) == "<RowSet of 1 distinct rows>"


def test_data_digest_of_dates():
    """They have a unit as well."""
    days = np.arange(6).astype("M8[D]")
    digests = [data_digest(each) for each in (days, days[::-1], days.astype("M8[s]"), days - days[0], np.arange(6))]
    assert len(set(digests)) == 5
    assert data_digest(days.copy()) == digests[0]


def test_data_digest_tells_arrays_apart():
    """Order, shape, type and number of arrays all count; layout does not."""
    X = np.arange(6.0).reshape(3, 2)
    digests = [
        data_digest(X),
        data_digest(X[::-1]),
        data_digest(X.reshape(2, 3)),
        data_digest(X, X),
        data_digest(X, None),
        data_digest(X, [0, 1, 0]),
        data_digest(X, ["0", "1", "0"]),
        data_digest(X, ["01", "", "0"]),
    ]
    assert len(set(digests)) == len(digests)
    assert data_digest(X) == data_digest(np.asfortranarray(X)) == data_digest(X.tolist())


@pytest.mark.parametrize("kind", ["csr", "csc", "coo", "lil", "dok", "bsr", "dia"])
def test_data_digest_of_sparse_matrices_is_of_their_content(kind):
    """Of all values and their places. Formats, explicit zeros and entries given in parts do not count."""
    rng = np.random.default_rng(0)
    X = rng.poisson(0.3, (50, 60)) * 0.5
    matrix = sparse.csr_array(X)
    expected = data_digest(matrix)
    assert data_digest(sparse.csr_matrix(X).asformat(kind)) == data_digest(matrix.asformat(kind)) == expected
    parts = sparse.coo_array((np.repeat(matrix.data / 2, 2), [np.repeat(each, 2) for each in X.nonzero()]), X.shape)
    zeros = sparse.csr_array(
        (np.append(0.0, matrix.data), np.append(59, matrix.indices), np.append(0, matrix.indptr[1:] + 1))
    )
    assert data_digest(parts) == data_digest(zeros) == expected
    changed = [5 * np.eye(3)[::-1], np.eye(3), np.eye(3, 4), np.eye(3, dtype=int), np.zeros((3, 3)), np.zeros((4, 3))]
    others = [X + (np.arange(60) == 30), X[::-1], X * 2, *changed]
    assert len({expected, *(data_digest(sparse.csr_array(each).asformat(kind)) for each in others)}) == len(others) + 1


@pytest.mark.parametrize("kind", ["csr", "csc", "coo", "lil", "dok", "bsr", "dia"])
@pytest.mark.parametrize("container", [sparse.csr_array, sparse.csr_matrix])
def test_rows_of_sparse_matrices_in_any_format_are_taken(kind, container):
    """Also of those that cannot be indexed; all rows in order are the matrix itself."""
    X = np.arange(24.0).reshape(6, 4) % 5
    matrix = container(X).asformat(kind)
    for rows in (np.array([4, 0, 0]), np.arange(6) % 2 == 0):
        np.testing.assert_array_equal(safe_indexing(matrix, rows).toarray(), X[rows])
    np.testing.assert_array_equal(safe_indexing(matrix, slice(2, 4)).toarray(), X[2:4])
    np.testing.assert_array_equal(safe_indexing(matrix, [2, 1], axis=1).toarray(), X[:, [2, 1]])
    np.testing.assert_array_equal(take_rows(matrix, np.array([5, 1])).toarray(), X[[5, 1]])
    assert take_rows(matrix, np.arange(6)) is matrix


@pytest.mark.parametrize("unit", ["D", "h", "s", "ms", "us", "ns"])
def test_dates_are_equal_in_every_unit_and_container(unit):
    """Instants are, of NumPy, pandas, polars and Python; the ones beside them are not."""
    days = np.array(["1969-12-31", "2020-02-29", "NaT", "2020-03-01"], dtype=f"M8[{unit}]")
    polars = pytest.importorskip("polars")
    python = [date(1969, 12, 31), datetime(2020, 2, 29), None, np.datetime64("2020-03", "M")]
    forms = [days[:, None], pd.DataFrame({"day": days}), days[:, None].astype(object), cells(python)]
    forms += [polars.DataFrame({"day": polars.Series(days.astype(f"M8[{kind}]"))}) for kind in ("D", "ms", "us", "ns")]
    expected = row_digests(np.array([[date(1969, 12, 31)], [date(2020, 2, 29)], [None], [date(2020, 3, 1)]]))
    assert len(np.unique(expected)) == 4
    for form in forms[:2] + forms[3:] if unit == "ns" else forms:  # objects of nanoseconds are integers
        np.testing.assert_array_equal(row_digests(form), expected)


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata", "America/New_York"])
def test_instants_are_equal_in_every_zone(zone):
    """To the nanosecond, and apart from times without a zone."""
    ns = np.array([0, 1, -1, 1582934400123456789], dtype="M8[ns]")
    plain = pd.DataFrame({"time": ns})
    utc = pd.DataFrame({"time": pd.Series(ns).dt.tz_localize("UTC")})
    there = pd.DataFrame({"time": utc["time"].dt.tz_convert(zone)})
    polars = pytest.importorskip("polars")
    column = polars.Series("time", ns)
    frame = polars.DataFrame({"time": column.dt.replace_time_zone("UTC").dt.convert_time_zone(zone)})
    digests = row_digests(utc)
    for form in (there, frame):
        np.testing.assert_array_equal(row_digests(form), digests)
    np.testing.assert_array_equal(row_digests(polars.DataFrame({"time": column})), row_digests(plain))
    assert len(np.unique([digests, row_digests(plain)])) == 8
    near = datetime(1970, 1, 1, 5, 30, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    assert row_digests(cells([near]))[0] == row_digests(cells([datetime(1970, 1, 1, tzinfo=UTC)]))[0] == digests[0]


def test_dates_beyond_nanoseconds_and_durations_are_exact():
    """NumPy cannot compare the former in one unit without overflow; Python's integers can."""
    far = np.array(["9999-12-31", "-4000-01-01", "200000-01-01", "1970-01-01"], dtype="M8[D]")
    digests = row_digests(far[:, None])
    for unit in ("s", "ms"):
        np.testing.assert_array_equal(row_digests(far.astype(f"M8[{unit}]")[:, None]), digests)
    assert row_digests(cells([date(9999, 12, 31)]))[0] == digests[0]
    small = np.array([[1], [0]], dtype="M8[as]")
    assert row_digests(small)[1] == digests[3] != row_digests(small)[0]
    polars = pytest.importorskip("polars")
    hours = np.array([[0], [36]], dtype="m8[h]")
    equal = [hours.astype("m8[s]"), hours.astype("m8[ns]"), cells([timedelta(0), timedelta(hours=36)])]
    equal += [pd.DataFrame(hours.astype("m8[us]")), polars.DataFrame({"span": hours[:, 0].astype("m8[ns]")})]
    for form in equal:
        np.testing.assert_array_equal(row_digests(form), row_digests(hours))
    others = cells(
        [np.timedelta64(36, "M"), np.timedelta64(36, "D"), 36, "36 hours", np.datetime64(36, "h"), timedelta.max]
    )
    assert not np.isin(row_digests(others), row_digests(hours)).any()
    assert len(np.unique(row_digests(others))) == 6
    assert row_digests(cells([np.timedelta64(3, "Y")]))[0] == row_digests(others)[0]

"""Signals by hand, against independent formulas, in orientation, and on bad input."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax, logsumexp, softmax
from scipy.stats import entropy
from sklearn.metrics import log_loss, roc_auc_score

from skdiffence import metrics
from skdiffence.metrics import (
    confidence_signal,
    correctness_signal,
    entropy_signal,
    hinge_signal,
    label_columns,
    logit_signal,
    loss_signal,
    modified_entropy_signal,
)
from skdiffence.metrics._signals import SIGNALS

LABEL_SIGNALS = {name: signal for name, signal in SIGNALS.items() if name != "entropy"}

TABLE = np.array([[0.5, 0.25, 0.25], [0.25, 0.5, 0.25], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
LABELS = np.array([0, 0, 0, 2])
LN2, LN3 = np.log([2, 3])
FLOOR = np.log(1e-45)  # what a probability of zero counts as
BY_HAND = {
    "confidence": [1 / 2, 1 / 4, 1, 0],
    "correctness": [1, 0, 1, 0],
    "entropy": [-1.5 * LN2, -1.5 * LN2, 0, 0],
    "hinge": [LN2, -LN2, -FLOOR, FLOOR],
    "logit": [0, -LN3, -FLOOR, FLOOR],
    "loss": [-LN2, -2 * LN2, 0, FLOOR],
    # -(1 - p_y) ln p_y - sum of p_k ln(1 - p_k) over the others, negated
    "modified_entropy": [
        -0.5 * LN2 + 0.5 * np.log(0.75),
        -0.75 * 2 * LN2 - 0.5 * LN2 + 0.25 * np.log(0.75),
        0,
        2 * FLOOR,
    ],
}


def _random_answers(n_classes=5, n=300, seed=0, scale=3.0):
    rng = np.random.default_rng(seed)
    z = rng.normal(scale=scale, size=(n, n_classes))
    return z, softmax(z, axis=1), rng.integers(n_classes, size=n)


@pytest.mark.parametrize("name", SIGNALS)
def test_by_hand(name):
    """Four rows of three classes, worked out on paper."""
    np.testing.assert_allclose(SIGNALS[name](LABELS, TABLE), BY_HAND[name], rtol=1e-12, atol=1e-12)


def test_against_logits():
    """Loss and logit equal what the raw logits give by scipy; entropy equals scipy's."""
    z, proba, y = _random_answers()
    rows = np.arange(len(y))
    np.testing.assert_allclose(loss_signal(y, proba), log_softmax(z, axis=1)[rows, y], atol=1e-10)
    others = z.copy()
    others[rows, y] = -np.inf
    np.testing.assert_allclose(logit_signal(y, proba), z[rows, y] - logsumexp(others, axis=1), atol=1e-8)
    np.testing.assert_allclose(entropy_signal(y, proba), -entropy(proba, axis=1), atol=1e-12)
    np.testing.assert_array_equal(confidence_signal(y, proba), proba[rows, y])
    np.testing.assert_array_equal(correctness_signal(y, proba), z.argmax(axis=1) == y)


def test_mean_loss_is_log_loss():
    """The mean loss is scikit-learn's log loss."""
    _, proba, y = _random_answers()
    assert -loss_signal(y, proba).mean() == pytest.approx(log_loss(y, proba, labels=range(5)), rel=1e-12)


def test_modified_entropy_row_by_row():
    """The modified entropy equals its definition, written as a loop."""
    _, proba, y = _random_answers(n=40)
    expected = [
        (1 - p[k]) * np.log(p[k]) + sum(p[j] * np.log(1 - p[j]) for j in range(len(p)) if j != k)
        for p, k in zip(proba, y, strict=True)
    ]
    np.testing.assert_allclose(modified_entropy_signal(y, proba), expected, rtol=1e-10)


def test_hinge_is_the_margin_of_the_logits():
    """For a softmax, the true class's logit less the highest other one."""
    logits = np.random.default_rng(0).normal(size=(50, 4)) * 3
    columns = np.arange(50) % 4
    proba = softmax(logits, axis=1)
    others = np.where(np.arange(4) == columns[:, None], -np.inf, logits).max(axis=1)
    np.testing.assert_allclose(hinge_signal(columns, proba), logits[np.arange(50), columns] - others)


@pytest.mark.parametrize("name", SIGNALS)
def test_higher_is_more_member_like(name):
    """Members answered with more confidence in their label score higher, by every signal."""
    rng = np.random.default_rng(0)
    is_member = np.repeat([True, False], 400)
    y = rng.integers(4, size=800)
    z = rng.normal(size=(800, 4))
    z[np.arange(800), y] += np.where(is_member, 5, 1)
    assert roc_auc_score(is_member, SIGNALS[name](y, softmax(z, axis=1))) > 0.7


@pytest.mark.parametrize("name", LABEL_SIGNALS)
def test_monotone_in_the_label(name):
    """More probability for the true class never lowers a signal, and raises all but correctness."""
    p = np.linspace(0, 1, 501)
    signal = LABEL_SIGNALS[name](np.zeros(501, dtype=int), np.column_stack([p, 0.7 * (1 - p), 0.3 * (1 - p)]))
    steps = np.diff(signal)
    assert (steps >= 0).all()
    assert (steps > 0).all() or name == "correctness"


def test_entropy_ignores_the_label():
    """The entropy is the same with and without labels, and highest for certain answers."""
    _, proba, y = _random_answers()
    np.testing.assert_array_equal(entropy_signal(None, proba), entropy_signal(y, proba))
    signal = entropy_signal(None, [[1 / 3, 1 / 3, 1 / 3], [0.5, 0.5, 0], [1, 0, 0]])
    np.testing.assert_allclose(signal, [-LN3, -LN2, 0], atol=1e-12)


@pytest.mark.parametrize("name", ["hinge", "logit", "loss", "modified_entropy"])
def test_zero_at_the_label_is_the_largest_loss(name):
    """A probability of zero at the true class is finite, below the smallest one that float32 can hold."""
    tiny = float(np.nextafter(np.float32(0), np.float32(1)))
    signal = LABEL_SIGNALS[name]([0, 0, 0, 0], [[0.0, 1.0], [tiny, 1.0], [1e-30, 1.0], [0.5, 0.5]])
    assert np.isfinite(signal).all()
    assert (np.diff(signal) > 0).all()
    assert signal[0] < -100


@pytest.mark.parametrize("z", [0.0, 1e-3, 1.0, 17.0, 40.0, 80.0])
def test_logit_is_taken_from_the_others(z):
    """The binary softmax of [z, 0] gives z back, also where 1 - p_y would round to zero."""
    proba = softmax([[z, 0.0]], axis=1)
    assert logit_signal([0], proba)[0] == pytest.approx(z, abs=1e-9)
    assert logit_signal(proba.argmax(axis=1), proba)[0] == pytest.approx(abs(z), abs=1e-9)
    assert logit_signal([1], proba)[0] == pytest.approx(-z, abs=1e-9)


def test_logit_tells_saturated_float32_rows_apart():
    """Answers that all round to p_y = 1 in single precision keep their order."""
    proba = softmax(np.array([[z, 0, 0] for z in (20, 30, 40)], dtype=np.float32), axis=1)
    assert (proba[:, 0] == 1).all()
    assert (np.diff(logit_signal(np.zeros(3, dtype=int), proba)) > 5).all()


@pytest.mark.parametrize("name", LABEL_SIGNALS)
def test_unknown_class_has_probability_zero(name):
    """Label -1 is a class that the target gives nothing."""
    signal = LABEL_SIGNALS[name]([-1, -1], TABLE[:2])
    if name == "modified_entropy":
        expected = FLOOR + 0.5 * np.log(0.5) + 0.5 * np.log(0.75)
    else:
        expected = {"confidence": 0, "correctness": 0, "hinge": FLOOR + LN2, "logit": FLOOR, "loss": FLOOR}[name]
    np.testing.assert_allclose(signal, expected, rtol=1e-12)


@pytest.mark.parametrize("name", SIGNALS)
def test_rows_are_independent_and_inputs_unchanged(name):
    """Permuting rows permutes signals, bit by bit; the given arrays are only read."""
    _, proba, y = _random_answers()
    kept = proba.copy(), y.copy()
    signal = SIGNALS[name](y, proba)
    order = np.random.default_rng(1).permutation(len(y))
    np.testing.assert_array_equal(SIGNALS[name](y[order], proba[order]), signal[order])
    np.testing.assert_array_equal(proba, kept[0])
    np.testing.assert_array_equal(y, kept[1])


@pytest.mark.parametrize("name", SIGNALS)
def test_columns_may_be_renumbered(name):
    """Permuting the classes, labels alike, changes nothing."""
    _, proba, y = _random_answers()
    order = np.random.default_rng(1).permutation(5)
    np.testing.assert_allclose(
        SIGNALS[name](np.argsort(order)[y], proba[:, order]), SIGNALS[name](y, proba), rtol=1e-9, atol=1e-12
    )


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(sorted(SIGNALS)),
    n=st.integers(0, 6),
    n_classes=st.integers(2, 7),
    dtype=st.sampled_from([np.float32, np.float64]),
    scale=st.sampled_from([0.0, 1.0, 30.0, 1000.0]),
    seed=st.integers(0, 1000),
)
def test_finite_and_shaped(name, n, n_classes, dtype, scale, seed):
    """Any softmax, saturated or not, gives one finite float64 a row."""
    rng = np.random.default_rng(seed)
    proba = softmax(scale * rng.normal(size=(n, n_classes)), axis=1).astype(dtype)
    signal = SIGNALS[name](rng.integers(-1, n_classes, size=n), proba)
    assert signal.shape == (n,)
    assert signal.dtype == np.float64
    assert np.isfinite(signal).all()


@pytest.mark.parametrize(
    ("y", "classes", "expected"),
    [
        ([0, 1, 2], [0, 1, 2], [0, 1, 2]),
        ([30, 10, 20, 15, 99, -5], [10, 20, 30], [2, 0, 1, -1, -1, -1]),
        ([30, 10, 20], [20, 30, 10], [1, 2, 0]),
        (["b", "a", "zebra", ""], ["a", "b"], [1, 0, -1, -1]),
        (["long name", "b"], ["b", "long name"], [1, 0]),
        (["b", "a", "c"], np.array(["c", "a", "b"], dtype=object), [2, 1, 0]),
        ([True, False], [False, True], [1, 0]),
        ([1.0, 2.5], [1, 2], [0, -1]),
        ([], [0, 1], []),
        ([7, 8], [7], [0, -1]),
        ([b"b", b"c"], [b"a", b"b"], [1, -1]),
        (np.array([b"b", b"c"], dtype=object), [b"a", b"b"], [1, -1]),
    ],
)
def test_label_columns(y, classes, expected):
    """Labels of any type and classes in any order; -1 for a label without a column."""
    columns = label_columns(y, classes)
    assert columns.dtype == np.int64
    np.testing.assert_array_equal(columns, expected)


@pytest.mark.parametrize(
    ("y", "classes"),
    [
        ([0, 1], ["0", "1"]),
        (["0", "1"], [0, 1]),
        (["a"], [0.5, 1.5]),
        ([b"a"], ["a", "b"]),
        (["a"], [b"a", b"b"]),
        (np.array([b"a"], dtype=object), np.array(["a", "b"], dtype=object)),
        ([b"1"], [0, 1]),
    ],
    ids=str,
)
def test_label_columns_of_other_types(y, classes):
    """Text is never equal to a number or to bytes: mixing them is an error, not a silent match or -1."""
    with pytest.raises(ValueError, match="y and classes must both be text or both be numbers"):
        label_columns(y, classes)


@pytest.mark.parametrize("name", SIGNALS)
@pytest.mark.parametrize(
    ("proba", "message"),
    [
        ([[2.0, -1.0], [0.5, 0.5]], "logits.*softmax"),
        ([[3.0, 1.0], [0.5, 0.5]], "each row must sum to 1"),
        ([[0.5, 0.3], [0.5, 0.5]], "row sums from 0.8 to 1"),
        ([[0.5], [0.5]], r"np.column_stack\(\[1 - p, p\]\)"),
        ([0.5, 0.5], r"Got shape \(2,\)"),
        ([[np.nan, 1.0], [0.5, 0.5]], "Class probabilities must not be negative"),
        ([[np.inf, 0.0], [0.5, 0.5]], "Class probabilities must not be negative"),
    ],
)
def test_bad_proba(name, proba, message):
    """Logits, a single column and values that are not finite are named."""
    with pytest.raises(ValueError, match=message):
        SIGNALS[name]([0, 1], proba)


@pytest.mark.parametrize("name", LABEL_SIGNALS)
@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([0], r"one label for each of 4 rows. Got shape \(1,\)"),
        ([[0], [1], [1], [0]], r"Got shape \(4, 1\)"),
        ([0, 1, 2, 3], "from 0 to 2, or be -1.*Got values from 0 to 3"),
        ([0, 1, -2, 0], "Got values from -2 to 1"),
        ([0.0, 1.0, 1.0, 0.0], "integer column numbers.*float64.*labels=classifier.classes_"),
        (["a", "b", "a", "b"], "integer column numbers.*labels=classifier.classes_"),
    ],
)
def test_bad_labels(name, y, message):
    """Labels in place of columns, a wrong range and a wrong length are named."""
    with pytest.raises(ValueError, match=message):
        LABEL_SIGNALS[name](y, TABLE)


@pytest.mark.parametrize("name", SIGNALS)
def test_labels_name_the_columns(name):
    """With labels=, y_true holds labels of any type, in any order of the columns; an unknown one counts as -1."""
    names = np.array(["cat", "ant", "bee"])
    expected = SIGNALS[name]([0, 1, 2, -1], TABLE)
    np.testing.assert_array_equal(SIGNALS[name](["cat", "ant", "bee", "eel"], TABLE, labels=names), expected)


@pytest.mark.parametrize("name", LABEL_SIGNALS)
def test_bad_names_of_columns(name):
    """There is one label for each column, and true labels are of the same kind."""
    with pytest.raises(ValueError, match="one label for each of 3 columns"):
        LABEL_SIGNALS[name]([1, 1, 1, 1], TABLE, labels=[1, 2])
    with pytest.raises(ValueError, match="y_true and labels must both be text or both be numbers"):
        LABEL_SIGNALS[name]([1, 1, 1, 1], TABLE, labels=["1", "2", "3"])
    with pytest.raises(ValueError, match="labels must hold each label once. Got .*'b'.* more than once"):
        LABEL_SIGNALS[name](["a", "a", "b", "b"], TABLE, labels=["b", "a", "b"])


@pytest.mark.parametrize("classes", [["a", "b", "a"], [1, 2, 1.0], np.array(["a", "b", "a"], dtype=object)], ids=str)
def test_label_columns_needs_classes_that_differ(classes):
    """A label of two columns has no column of its own."""
    with pytest.raises(ValueError, match="classes must hold each label once. Got .*[1a].* more than once"):
        label_columns(classes[:1], classes)


def test_label_columns_needs_classes():
    """No classes at all is an error of its own."""
    with pytest.raises(ValueError, match="classes must hold at least one label"):
        label_columns([0], [])


def test_all_names_are_sorted_and_there():
    """What the package announces is sorted and importable."""
    assert metrics.__all__ == sorted(metrics.__all__)
    assert all(callable(getattr(metrics, name)) for name in metrics.__all__)

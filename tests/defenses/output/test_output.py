"""Coarser answers: each rule against its definition."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.naive_bayes import GaussianNB

from skdiffence.defenses import OutputClassifier
from skdiffence.defenses.output._coarse import calibrated_temperature, heat, keep_top, round_to_sum, with_confidence
from tests.defenses.cases import digits, half

PROBA = np.random.default_rng(0).dirichlet(np.full(4, 0.5), size=30)
ROWS = st.lists(st.integers(0, 50), min_size=2, max_size=8).filter(any)


@settings(max_examples=60, deadline=None)
@given(ROWS, st.integers(0, 4))
def test_rounded_rows_sum_to_one_in_their_order(counts, decimals):
    """Whole multiples of the unit, each less than a unit away, none overtaking another."""
    proba = np.array([counts], dtype=float) / sum(counts)
    rounded = round_to_sum(proba, decimals)
    units = rounded * 10**decimals
    np.testing.assert_allclose(units, np.rint(units), atol=1e-9)
    assert np.rint(units).sum() == 10**decimals
    assert np.abs(units - proba * 10**decimals).max() < 1 + 1e-6
    order = np.argsort(proba[0], kind="stable")
    below = np.diff(proba[0][order]) > 1e-8
    assert (np.diff(rounded[0][order])[below] >= 0).all()


def test_rounding_is_the_nearest_row_of_the_grid():
    """By trying all of them: no row of whole tenths that sums to 1 is nearer."""
    proba = np.random.default_rng(1).dirichlet(np.ones(3), size=20)
    grid = np.array([part for part in itertools.product(range(11), repeat=3) if sum(part) == 10]) / 10
    nearest = np.abs(proba[:, None] - grid).sum(axis=2).min(axis=1)
    np.testing.assert_allclose(np.abs(round_to_sum(proba, 1) - proba).sum(axis=1), nearest, atol=1e-12)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_temperature_is_a_power(temperature):
    """The softmax of divided logs is the normalized power of the probabilities."""
    power = PROBA ** (1 / temperature)
    np.testing.assert_allclose(heat(PROBA, temperature), power / power.sum(axis=1, keepdims=True))


def test_saturated_answers_stay_finite():
    """Zeros stay zeros."""
    np.testing.assert_array_equal(heat(np.array([[1.0, 0.0, 0.0]]), 2.0), [[1, 0, 0]])


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("temperature", [5e-324, 1e-310, 1e-3, 1e3, 1.7e308])
def test_extreme_temperatures(temperature):
    """The largest probability alone, or equal ones at the other end; the label of no row changes."""
    rows = np.concatenate((PROBA, [[0.5, 0.5, 0, 0], [1, 0, 0, 0], [1 - 1e-16, 5e-324, 0, 0]]))
    heated = heat(rows, temperature)
    np.testing.assert_allclose(heated.sum(axis=1), 1)
    assert (np.take_along_axis(heated, rows.argmax(axis=1)[:, None], axis=1) == heated.max(axis=1, keepdims=True)).all()
    if temperature < 1e-300:
        np.testing.assert_array_equal(heated[-3:], [[0.5, 0.5, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0]])
    X, y = digits()
    fitted = OutputClassifier(GaussianNB(), "temperature", temperature=temperature).fit(X, y)
    labels = GaussianNB().fit(X, y).predict(X)
    np.testing.assert_array_equal(fitted.classes_[fitted.predict_proba(X).argmax(axis=1)], labels)


@pytest.mark.parametrize("true", [0.5, 2.0])
def test_temperature_is_recovered(true):
    """Labels drawn from probabilities, which are then sharpened: the temperature that undoes it is found."""
    rng = np.random.default_rng(0)
    proba = rng.dirichlet(np.ones(3), size=4000)
    columns = (rng.random((4000, 1)) > proba.cumsum(axis=1)).sum(axis=1).clip(max=2)
    assert calibrated_temperature(heat(proba, 1 / true), columns) == pytest.approx(true, rel=0.1)


@pytest.mark.parametrize(
    ("k", "expected"), [(1, [0.1, 0.1, 0.7, 0.1]), (2, [0.2, 0.05, 0.7, 0.05]), (9, [0.2, 0.1, 0.7, 0])]
)
def test_top_k_by_hand(k, expected):
    """What is not among the largest shares the rest."""
    np.testing.assert_allclose(keep_top(np.array([[0.2, 0.1, 0.7, 0.0]]), k), [expected], atol=1e-12)


def test_label_alone_by_hand():
    """One confidence for all."""
    np.testing.assert_allclose(with_confidence(np.array([1, 0]), 0.8, 3), [[0.1, 0.8, 0.1], [0.8, 0.1, 0.1]])


def test_confidence_is_the_accuracy_of_rows_held_out():
    """By hand, with a hit and an error added."""
    X, y = digits()
    fitted = OutputClassifier(GaussianNB(), "label").fit(X, y, is_member=half(y))
    hits = np.sum(GaussianNB().fit(X[half(y)], y[half(y)]).predict(X[~half(y)]) == y[~half(y)])
    assert fitted.confidence_ == pytest.approx((hits + 1) / (np.sum(~half(y)) + 2))
    assert len(np.unique(fitted.predict_proba(X).max(axis=1))) == 1


def test_temperature_is_calibrated_on_rows_held_out():
    """Of an overconfident classifier: above 1, and better than 1 on the rows used."""
    X, y = digits()
    fitted = OutputClassifier(GaussianNB(), "temperature").fit(X, y, is_member=half(y))
    assert fitted.temperature_ > 1
    rows = np.flatnonzero(~half(y))
    plain = OutputClassifier(GaussianNB(), "temperature", temperature=1.0).fit(X, y, is_member=half(y))
    losses = [-np.log(each.predict_proba(X)[rows, y[rows]] + 1e-300).mean() for each in (fitted, plain)]
    assert losses[0] < losses[1]


@pytest.mark.parametrize("params", [{"output": "round"}, {"output": "top_k"}, {"output": "label", "confidence": 0.9}])
def test_nothing_is_held_out_where_nothing_is_measured(params):
    """All rows train."""
    X, y = digits()
    fitted = OutputClassifier(GaussianNB(), **params).fit(X, y)
    assert fitted.n_samples_fit_ == len(y)
    assert not len(fitted.not_trained_on_)
    assert not len(fitted.calibrated_on_)


@pytest.mark.parametrize(("output", "name"), [("temperature", "temperature"), ("label", "confidence")])
def test_what_was_not_measured_needs_another_fit(output, name):
    """Another output can be set on a fitted classifier, with a value that is given or was measured."""
    X, y = digits()
    fitted = OutputClassifier(GaussianNB(), "round").fit(X, y).set_params(output=output)
    with pytest.raises(NotFittedError, match=f"output='{output}' with {name}=None needs a {name}.*fit again"):
        fitted.predict_proba(X)
    given = fitted.set_params(**{name: 0.9}).predict_proba(X)
    np.testing.assert_array_equal(given, fitted.fit(X, y).predict_proba(X))
    measured = OutputClassifier(GaussianNB(), output).fit(X, y)
    expected = measured.predict_proba(X)
    measured.set_params(output="round").predict_proba(X)
    np.testing.assert_array_equal(measured.set_params(output=output).predict_proba(X), expected)


@pytest.mark.parametrize("output", ["round", "temperature", "top_k", "label"])
@pytest.mark.parametrize("decimals", [0, 1])
def test_argmax_is_the_label_even_where_the_estimator_s_is_not(output, decimals):
    """A classifier with a threshold of its own says one thing and its probabilities another."""
    X, y = digits("binary")
    inner = FixedThresholdClassifier(LogisticRegression(), threshold=0.9, pos_label="odd")
    fitted = OutputClassifier(inner, output, decimals=decimals, confidence=0.3, temperature=5.0).fit(X, y)
    assert (inner.fit(X, y).predict(X) != fitted.classes_[inner.predict_proba(X).argmax(axis=1)]).any()
    np.testing.assert_array_equal(fitted.classes_[fitted.predict_proba(X).argmax(axis=1)], inner.predict(X))


def test_answers_do_not_depend_on_other_rows():
    """One at a time or together."""
    X, y = digits()
    fitted = OutputClassifier(GaussianNB(), "round").fit(X, y)
    alone = np.concatenate([fitted.predict_proba(X[row : row + 1]) for row in range(10)])
    np.testing.assert_array_equal(alone, fitted.predict_proba(X)[:10])

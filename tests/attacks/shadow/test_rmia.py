"""RMIA on arrays: against a comparison of every row with every row of the population."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from skdiffence.attacks import rmia_scores


def rows(n=40, n_population=60, n_models=10, *, seed=0, missing=0.0):
    """Return the five arrays of a call; probabilities rise where a model was trained on the row."""
    rng = np.random.default_rng(seed)
    membership = rng.permuted(np.tile(np.arange(n_models) % 2 == 0, (n, 1)), axis=1)
    shadows = rng.beta(2 + 3 * membership, 2)
    population = rng.beta(2, 2, size=(n_population, n_models))
    for array in (shadows, population):
        array[rng.random(array.shape) < missing] = np.nan
    return rng.beta(3, 2, size=n), shadows, membership, rng.beta(2, 2, size=n_population), population


def slow_ratio(target, shadows, membership, mode, a):
    """Return one row's likelihood ratio."""
    used = [p for p, m in zip(shadows, membership, strict=True) if not math.isnan(p) and not (m and mode == "offline")]
    mean = sum(used) / len(used)
    return target / (mean if mode == "online" else 0.5 * ((1 + a) * mean + (1 - a)))


def slow_rmia(target, shadows, membership, in_population, population, mode, a, gamma, population_membership=None):
    """Compare each row with each row of the population."""
    if population_membership is None:
        population_membership = np.zeros(population.shape, dtype=bool)
    r_z = [slow_ratio(*row, mode, a) for row in zip(in_population, population, population_membership, strict=True)]
    r_x = [slow_ratio(*row, mode, a) for row in zip(target, shadows, membership, strict=True)]
    return np.array([sum(x / z > gamma for z in r_z) / len(r_z) for x in r_x])


@pytest.mark.parametrize("drawn_from_pool", [False, True])
@pytest.mark.parametrize("gamma", [0.7, 1.0, 2.0])
@pytest.mark.parametrize(("mode", "a"), [("online", 0.3), ("offline", 0.0), ("offline", 0.3), ("offline", 1.0)])
def test_equals_all_pairs(mode, a, gamma, drawn_from_pool):
    """Sorting gives what comparing all pairs gives, with some values missing."""
    arrays = rows(missing=0.1)
    masks = np.random.default_rng(1).permuted(np.tile(np.arange(10) < 4, (60, 1)), axis=1) if drawn_from_pool else None
    scores = rmia_scores(*arrays, mode=mode, offline_a=a, gamma=gamma, population_membership=masks)
    np.testing.assert_allclose(scores, slow_rmia(*arrays, mode, a, gamma, masks), atol=1e-12)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [0.75, 0.0, 0.75]),
        ({"gamma": 2.0}, [0.25, 0.0, 0.25]),
        ({"mode": "offline"}, [1.0, 0.0, 1.0]),
        ({"mode": "offline", "offline_a": 1.0}, [1.0, 0.0, 0.25]),
    ],
)
def test_frozen_values(options, expected):
    """Small enough to be done by hand: online, ratios 1.5, 0.25, 1.2714 against 1, 1.25, 2, 0.5."""
    shadows = np.array([[0.8, 0.4], [0.8, 0.8], [0.5, 0.9]])
    membership = np.array([[True, False], [True, False], [True, False]])
    population = np.array([[0.4, 0.6], [0.2, 0.6], [0.2, 0.2], [0.9, 0.9]])
    scores = rmia_scores([0.9, 0.2, 0.89], shadows, membership, [0.5, 0.5, 0.4, 0.45], population, **options)
    np.testing.assert_allclose(scores, expected)


def test_all_models_without_the_row_count():
    """The mean is over all OUT models there are, not over those of largest value, however many each row has."""
    shadows, membership = np.array([[0.1, 0.2, 0.9, 0.3]]), np.array([[False, False, True, False]])
    # p_out = 0.2; with a = 1 the reference is p_out itself: 0.25 / 0.2 = 1.25 lies between 1.2 and 1.3.
    scores = rmia_scores([0.25], shadows, membership, [0.6, 0.65], np.full((2, 4), 0.5), mode="offline", offline_a=1.0)
    assert scores == [0.5]


def test_models_trained_on_the_population_are_left_out_offline():
    """Offline, a row of the population is referred to models that were not trained on it, as the others are."""
    population, masks = np.array([[0.9, 0.3]]), np.array([[True, False]])
    arguments = ([0.5], [[0.5, 0.4]], [[True, False]], [0.4], population)
    offline = {"mode": "offline", "offline_a": 1.0}
    # r(x) = 1.25; r(z) = 0.4 / 0.3 without the model, 0.4 / 0.6 with it.
    assert rmia_scores(*arguments, **offline, population_membership=masks) == [0.0]
    assert rmia_scores(*arguments, **offline) == [1.0]


def test_null_is_uniform():
    """A row exchangeable with the population scores anything in [0, 1] alike, and tells nothing."""
    rng = np.random.default_rng(0)
    probabilities = rng.beta(2, 2, size=(4000, 9))
    membership = rng.random((2000, 8)) < 0.5
    arrays = (probabilities[:2000, 0], probabilities[:2000, 1:], membership)
    scores = rmia_scores(*arrays, probabilities[2000:, 0], probabilities[2000:, 1:])
    np.testing.assert_allclose(np.quantile(scores, [0.1, 0.5, 0.9]), [0.1, 0.5, 0.9], atol=0.04)
    assert roc_auc_score(np.arange(2000) % 2, scores) == pytest.approx(0.5, abs=3 * 0.0129)


def test_hard_rows_do_not_hide_members():
    """A member that other models answer badly stands out, which no threshold on the probability shows."""
    rng = np.random.default_rng(0)
    n, n_models = 1000, 16
    level = rng.uniform(0.1, 0.7, size=n)
    is_member = np.arange(n) % 2 == 0
    membership = rng.permuted(np.tile(np.arange(n_models) % 2 == 0, (n, 1)), axis=1)
    noise = lambda *shape: rng.normal(scale=0.05, size=shape)  # noqa: E731
    target = np.clip(level + 0.2 * is_member + noise(n), 0, 1)
    shadows = np.clip(level[:, np.newaxis] + 0.2 * membership + noise(n, n_models), 0, 1)
    z = rng.uniform(0.1, 0.7, size=500)
    population = np.clip(z, 0, 1), np.clip(z[:, np.newaxis] + noise(500, n_models), 0, 1)
    assert roc_auc_score(is_member, target) < 0.85
    for mode in ("online", "offline"):
        assert roc_auc_score(is_member, rmia_scores(target, shadows, membership, *population, mode=mode)) > 0.9


def test_zeros():
    """Nothing against nothing is a ratio of 1; something against nothing beats everything finite."""
    shadows, out = np.zeros((3, 2)), np.zeros((3, 2), dtype=bool)
    population = np.array([[0.5, 0.5], [0.0, 0.0]])
    scores = rmia_scores([0.0, 0.2, 1.0], shadows, out, [0.4, 0.6], population)
    # Ratios 1, infinite, infinite against 0.8 and infinite.
    np.testing.assert_array_equal(scores, [0.5, 0.5, 0.5])
    assert (rmia_scores([0.0], [[0.5, 0.5]], out[:1], [0.0, 0.4], population) == 0).all()


def test_scores_rise_and_do_not_depend_on_other_rows():
    """Monotone in the target's probability; the same alone, in another order, and of other numbers of rows."""
    target, shadows, membership, *population = rows()
    scores = rmia_scores(target, shadows, membership, *population)
    order = np.random.default_rng(1).permutation(40)
    np.testing.assert_array_equal(
        rmia_scores(target[order], shadows[order], membership[order], *population), scores[order]
    )
    np.testing.assert_array_equal(rmia_scores(target[:3], shadows[:3], membership[:3], *population), scores[:3])
    shuffled = [array[::-1] for array in population]
    np.testing.assert_array_equal(rmia_scores(target, shadows, membership, *shuffled), scores)
    rising = rmia_scores(
        np.linspace(0, 1, 30), np.tile(shadows[:1], (30, 1)), np.tile(membership[:1], (30, 1)), *population
    )
    assert (np.diff(rising) >= 0).all()


ARRAYS = rows()


def replaced(position, value):
    """Return the arrays with one of them replaced."""
    return [*ARRAYS[:position], value, *ARRAYS[position + 1 :]]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (replaced(0, ARRAYS[0][:-1]), r"target_proba and shadow_proba must have shapes .* Got \(39,\) and \(40, 10\)"),
        (replaced(0, ARRAYS[0] + 1), "target_proba and shadow_proba must hold probabilities"),
        (replaced(0, ARRAYS[0] * np.nan), "target_proba and shadow_proba must hold probabilities"),
        (replaced(1, -ARRAYS[1]), "target_proba and shadow_proba must hold probabilities"),
        (replaced(1, ARRAYS[1] * np.inf), "target_proba and shadow_proba must hold probabilities"),
        (replaced(2, ARRAYS[2].T), r"membership must have .* shape \(40, 10\)"),
        (replaced(3, ARRAYS[3][:, np.newaxis]), "target_population and shadow_population must have shapes"),
        (replaced(4, ARRAYS[4][:, :-1]), "same models. Got 10 and 9"),
        ([*ARRAYS[:3], [], np.empty((0, 10))], "none of them zero"),
    ],
)
def test_bad_input(args, message):
    """What is wrong with which array is said."""
    with pytest.raises(ValueError, match=message):
        rmia_scores(*args)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "both"}, "'mode' parameter"),
        ({"offline_a": 1.5}, "'offline_a' parameter"),
        ({"gamma": 0}, "'gamma' parameter"),
        ({"population_membership": ARRAYS[2]}, r"population_membership must have .* shape \(60, 10\)"),
        (
            {"population_membership": np.ones((60, 10), dtype=bool), "mode": "offline"},
            "each of the population a model that was not trained on it and has a value. 60 of 60",
        ),
    ],
)
def test_bad_options(options, message):
    """Options that do not exist, and masks that leave nothing, are named."""
    with pytest.raises(ValueError, match=message):
        rmia_scores(*ARRAYS, **options)


def test_rows_without_a_model_to_refer_to():
    """A row that every model was trained on can't be scored offline; one without any value can't be at all."""
    everywhere = ARRAYS[2] | (np.arange(40) == 7)[:, np.newaxis]
    with pytest.raises(ValueError, match="each of the rows a model that was not .* 1 of 40 have none, .* position 7"):
        rmia_scores(*replaced(2, everywhere), mode="offline")
    assert np.isfinite(rmia_scores(*replaced(2, everywhere))).all()
    with pytest.raises(ValueError, match="each of the rows a model that has a value. 1 of 40"):
        rmia_scores(*replaced(1, np.where(np.arange(40)[:, np.newaxis] == 7, np.nan, ARRAYS[1])))


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_any_arrays(data):
    """Whatever the sizes, gaps and sides: scores in [0, 1] that all pairs confirm, or a ValueError."""
    n, m, n_models = (data.draw(st.integers(1, 5)) for _ in range(3))
    number = st.one_of(st.floats(0.05, 1), st.just(float("nan")))
    draw = lambda *shape, of: np.array(  # noqa: E731
        data.draw(st.lists(of, min_size=math.prod(shape), max_size=math.prod(shape)))
    ).reshape(shape)
    target, population = draw(n, of=st.floats(0.05, 1)), draw(m, of=st.floats(0.05, 1))
    shadows, of_population = draw(n, n_models, of=number), draw(m, n_models, of=number)
    membership, mode = draw(n, n_models, of=st.booleans()), data.draw(st.sampled_from(["online", "offline"]))
    usable = ~np.isnan(shadows) & (~membership | (mode == "online"))
    args = (target, shadows, membership, population, of_population)
    if usable.any(axis=1).all() and (~np.isnan(of_population)).any(axis=1).all():
        scores = rmia_scores(*args, mode=mode, gamma=1.0000001)
        np.testing.assert_allclose(scores, slow_rmia(*args, mode, 0.3, 1.0000001), atol=1e-12)
    else:
        with pytest.raises(ValueError, match="must leave each of the"):
            rmia_scores(*args, mode=mode)

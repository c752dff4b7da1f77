"""Complementary halves: who trains which of many models."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skdiffence.utils._halves import Copies, complementary_halves, find_copies


@given(st.integers(2, 30), st.integers(1, 5), st.integers(0, 2**40), st.data())
def test_every_varying_row_trains_exactly_half_of_the_models(n_rows, n_pairs, seed, data):
    """Whatever the numbers are: pairs are complementary, halves differ by at most one row, all other rows are in."""
    rows = st.lists(st.integers(0, n_rows - 1), min_size=2, unique=True)
    canaries = data.draw(st.none() | rows)
    membership = complementary_halves(n_rows, 2 * n_pairs, seed, canaries)
    varying = np.arange(n_rows) if canaries is None else np.array(canaries)
    assert membership.shape == (n_rows, 2 * n_pairs)
    np.testing.assert_array_equal(membership[varying].sum(axis=1), n_pairs)
    np.testing.assert_array_equal(membership[varying, ::2], ~membership[varying, 1::2])
    assert set(membership[varying].sum(axis=0)) <= {len(varying) // 2, len(varying) - len(varying) // 2}
    assert np.delete(membership, varying, axis=0).all()


@given(st.lists(st.integers(0, 6), min_size=2, max_size=40), st.integers(0, 2**40))
def test_equal_rows_train_the_same_models(kinds, seed):
    """A row of which the pool has many copies is out of half of the models as well, and no half is empty."""
    rows = np.array(kinds, dtype=float)[:, None]
    copies = find_copies(rows)
    membership = complementary_halves(len(rows), 4, seed, None, copies)
    np.testing.assert_array_equal(membership[:, ::2], ~membership[:, 1::2])
    assert (membership.sum(axis=0) > 0).all()
    if copies is None:
        assert len(np.unique(rows)) in (1, len(rows))
        np.testing.assert_array_equal(membership, complementary_halves(len(rows), 4, seed))
    else:
        for kind in np.unique(rows):
            assert len(np.unique(membership[rows[:, 0] == kind], axis=0)) == 1
        largest = np.unique(rows, return_counts=True)[1].max()
        assert np.abs(membership.sum(axis=0) - len(rows) / 2).max() <= max(largest, 1)


def test_copies_of_single_rows_change_nothing():
    """Rows that are all different are halved as if nobody had looked for copies."""
    single = Copies(np.arange(11), np.ones(11, dtype=int), np.arange(11))
    for seed in range(20):
        np.testing.assert_array_equal(
            complementary_halves(11, 4, seed, None, single), complementary_halves(11, 4, seed)
        )


def test_more_canaries_leave_the_earlier_ones_as_they_are():
    """The number of canaries is no part of the design."""
    order = np.random.default_rng(0).permutation(100)
    many = complementary_halves(100, 8, 3, order)
    for n_canaries in (2, 7, 50, 99):
        few = complementary_halves(100, 8, 3, order[:n_canaries])
        np.testing.assert_array_equal(few[order[:n_canaries]], many[order[:n_canaries]])


@pytest.mark.parametrize("canaries", [None, [3, 1, 8]])
def test_more_models_leave_the_earlier_ones_as_they_are(canaries):
    """A run with few models is the beginning of one with many."""
    few, many = (complementary_halves(11, n_models, 5, canaries) for n_models in (4, 20))
    np.testing.assert_array_equal(few, many[:, :4])


@pytest.mark.parametrize("canaries", [None, np.arange(12)])
def test_each_row_is_in_a_given_model_half_of_the_time(canaries):
    """Over 2,000 seeds the share of each row is 0.5 within five standard errors, 0.056."""
    share = np.mean([complementary_halves(12, 2, seed, canaries)[:, 0] for seed in range(2000)], axis=0)
    np.testing.assert_allclose(share, 0.5, atol=0.056)


def test_rows_have_no_fixed_partner():
    """Without canaries two rows are as often together as any others: -1 / (n - 1) is their correlation."""
    membership = complementary_halves(10, 4000, 0)
    correlation = np.corrcoef(membership[:, ::2].astype(float))
    np.testing.assert_allclose(correlation[np.triu_indices(10, 1)], -1 / 9, atol=5 / np.sqrt(2000))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1, 2, 0), "At least two rows are needed to halve them. Got 1"),
        ((9, 3, 0), "n_models must be an even integer of at least 2, .* Got 3"),
        ((9, 0, 0), "n_models must be an even integer of at least 2"),
        ((9, 2, 0, [1]), "canaries must be a list of at least two row numbers. Got shape \\(1,\\)"),
        ((9, 2, 0, [True, False]), "of dtype bool"),
        ((9, 2, 0, [1, 9]), "distinct row numbers from 0 to 8. Got 2 numbers, 2 of them distinct, from 1 to 9"),
        ((9, 2, 0, [-1, 2]), "from -1 to 2"),
        ((9, 2, 0, [1, 1, 2]), "Got 3 numbers, 2 of them distinct"),
    ],
)
def test_impossible_designs(arguments, message):
    """The message names what came."""
    with pytest.raises(ValueError, match=message):
        complementary_halves(*arguments)

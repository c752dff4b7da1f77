"""The cache of regenerations."""

import numpy as np
import pytest

from skdiffence._demo._cache import RegenerationCache
from tests.defenses.regenerators import NoiseRegenerator


def test_cache_answers_as_the_regenerator_and_makes_each_once():
    """In any order, and however often rows come again."""
    X = np.random.default_rng(0).normal(size=(10, 4)).astype(np.float32)
    regenerator = NoiseRegenerator().fit(X)
    cache = RegenerationCache(regenerator).fit(X)
    for rows in (np.arange(6), np.arange(10)[::-1], np.arange(10)):
        for candidate in (0, 1):
            np.testing.assert_array_equal(
                cache.regenerate(X[rows], candidate), regenerator.regenerate(X[rows], candidate)
            )
    assert cache.n_made_ == 20


class Refuses(NoiseRegenerator):
    """A regenerator that must not be called."""

    def regenerate(self, X, candidate=0):
        raise AssertionError("asked")


def test_cache_in_a_folder_answers_as_the_regenerator_in_this_run_and_the_next(tmp_path):
    """In any order, and however often rows come again; the next run regenerates nothing."""
    X = np.random.default_rng(0).normal(size=(10, 2, 3)).astype(np.float32)
    X[7] = X[2]
    regenerator = NoiseRegenerator().fit(X)
    cache = RegenerationCache(regenerator, tmp_path, batch_size=4).fit(X)
    for rows in (np.arange(6), np.arange(10)[::-1], np.arange(10)):
        for candidate in (0, 1):
            np.testing.assert_array_equal(
                cache.regenerate(X[rows], candidate), regenerator.regenerate(X[rows], candidate)
            )
    assert cache.n_made_ == 18
    again = RegenerationCache(Refuses(), tmp_path).fit(X)
    np.testing.assert_array_equal(again.regenerate(X, 1), regenerator.regenerate(X, 1))


@pytest.mark.parametrize("name", ["entries", "rows"])
def test_cache_in_a_folder_survives_an_interrupted_run(tmp_path, name):
    """Half of a regeneration, or one without its key, is as if it had not been written."""
    X = np.random.default_rng(0).normal(size=(10, 4)).astype(np.float32)
    regenerator = NoiseRegenerator().fit(X)
    RegenerationCache(regenerator, tmp_path).fit(X).regenerate(X[:6], 0)
    file = tmp_path / f"{name}.bin"
    file.write_bytes(file.read_bytes()[:-3])
    cache = RegenerationCache(regenerator, tmp_path).fit(X)
    for _ in range(2):
        np.testing.assert_array_equal(cache.regenerate(X, 0), regenerator.regenerate(X, 0))
    assert cache.n_made_ == 5

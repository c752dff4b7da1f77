"""Seeds that come from random_state alone."""

import time

import numpy as np
import pytest
import torch
from joblib import Parallel, delayed, parallel_config
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skdiffence.utils._random import draw_seed, mix_seed, seed_nested, torch_seed


@pytest.mark.usefixtures("untouched_generators")
def test_seeds_touch_no_global_generator():
    """None asks the operating system."""
    assert draw_seed(None) != draw_seed(None)
    mix_seed(1, "a")
    with torch_seed(3):
        torch.rand(5)


def test_draw_seed():
    """Integers are themselves; a RandomState gives its next number."""
    assert draw_seed(7) == draw_seed(np.int64(7)) == 7
    state = np.random.RandomState(0)
    first, second = draw_seed(state), draw_seed(state)
    assert first != second
    assert first == draw_seed(np.random.RandomState(0))
    assert 0 <= first < 2**63
    assert 0 <= draw_seed(None) < 2**63


@pytest.mark.parametrize("bad", [-1, 1.5, "seed", np.random.default_rng(0)])
def test_draw_seed_refuses(bad):
    """The message says what is accepted."""
    with pytest.raises(ValueError, match="random_state must be None, an integer of at least 0 or a numpy RandomState"):
        draw_seed(bad)


def test_mix_seed_tells_uses_apart():
    """Other parts, types, borders or orders give other seeds; the same parts the same one."""
    parts = [(1,), (2,), ("1",), (b"1",), (b"int:1",), (1, 2), (2, 1), ("12",), ("1", "2"), ("1str:2",), ()]
    seeds = [mix_seed(*each) for each in parts]
    assert len(set(seeds)) == len(parts)
    assert seeds == [mix_seed(*each) for each in parts]
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_torch_seed_repeats_and_restores():
    """The same draws inside, undisturbed ones outside, also after an error."""
    torch_state = torch.get_rng_state()
    with torch_seed(5):
        first = torch.rand(3)
    with pytest.raises(RuntimeError, match="inside"), torch_seed(5):
        assert torch.equal(first, torch.rand(3))
        raise RuntimeError("inside")
    assert torch.equal(torch_state, torch.get_rng_state())


@pytest.mark.usefixtures("untouched_generators")
def test_threads_take_turns():
    """Each draws from its own seed alone, and the global generator is as it was when the last has ended."""

    def drawn(seed):
        with torch_seed(seed):
            parts = []
            for _ in range(3):
                time.sleep(0.001)  # lets the others run
                parts.append(torch.rand(2))
            return torch.cat(parts)

    alone = [drawn(seed) for seed in range(8)]
    together = Parallel(n_jobs=8, backend="threading")(delayed(drawn)(seed) for seed in range(8))
    assert all(torch.equal(one, other) for one, other in zip(alone, together, strict=True))


def test_threads_inside_a_turn_are_no_deadlock():
    """What was sent to threads by a thread whose turn it is, and wants a turn as well, is done by that thread."""

    def inner(seed):
        with torch_seed(seed):
            return torch.rand(2)

    def outer(seed):
        with torch_seed(seed):
            return torch.stack(Parallel(n_jobs=2)(delayed(inner)(each) for each in (seed, seed + 1)))

    with parallel_config("threading"):
        together = Parallel(n_jobs=2)(delayed(outer)(seed) for seed in range(3))
    assert all(torch.equal(each, outer(seed)) for seed, each in enumerate(together))


def test_seed_nested():
    """Only what has no seed gets one, each its own, by the parts."""

    def pipeline():
        return make_pipeline(StandardScaler(), RandomForestClassifier())

    seeded = seed_nested(pipeline(), 0, b"rows")
    name = "randomforestclassifier__random_state"
    assert seeded.get_params()[name] == seed_nested(pipeline(), 0, b"rows").get_params()[name]
    assert seeded.get_params()[name] != seed_nested(pipeline(), 0, b"others").get_params()[name]
    assert seed_nested(RandomForestClassifier(random_state=3), 0).random_state == 3
    assert seed_nested("passthrough", 0) == "passthrough"

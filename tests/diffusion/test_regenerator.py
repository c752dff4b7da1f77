"""DiffusionRegenerator: what it accepts, what it answers, what it keeps."""

import copy
import pickle
import subprocess
import sys

import joblib
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_wine
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skdiffence.diffusion import DiffusionRegenerator
from skdiffence.diffusion import _training as training
from skdiffence.diffusion._fitting import count_epochs
from skdiffence.exceptions import DefenseWarning, RangeWarning
from tests.diffusion.conftest import TINY_UNET
from tests.diffusion.networks import Dropping, Linear, Normed, Recording, ZeroNoise

IMAGES = np.random.default_rng(0).uniform(size=(40, 3, 6, 5)).astype(np.float32)


def _blind(**params):
    return DiffusionRegenerator(ZeroNoise(), random_state=0, **params)


# What it answers


@pytest.mark.parametrize("load", [load_wine, load_breast_cancer])
def test_label_retention_of_rows(load):
    """At the default timestep at least 0.8 of the labels of real rows are kept, by other noise too."""
    X, y = load(return_X_y=True)
    classifier = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    regenerator = DiffusionRegenerator(random_state=0, max_epochs=60).fit(X)
    kept = [classifier.predict(regenerator.regenerate(X, c)) == classifier.predict(X) for c in range(4)]
    assert np.mean(kept) >= 0.8


def test_blind_denoiser_closed_form():
    """With a denoiser that sees no noise, rows come back with mean x and variance (1 - abar) / abar."""
    X = np.random.default_rng(0).normal(size=(4000, 8))
    regenerator = _blind(noise="row").fit(X)
    change = (regenerator.transform(X) - X) / X.std(axis=0)
    abar = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))[160]
    assert abs(change.mean()) < 0.02
    assert change.var() == pytest.approx((1 - abar) / abar, rel=0.03)


def test_least_timestep_changes_little():
    """At timestep 0 the answer is close to the input."""
    regenerator = _blind(timestep=0).fit(IMAGES)
    assert np.abs(regenerator.transform(IMAGES) - IMAGES).max() < 0.03


@pytest.mark.parametrize("n_steps", [1, 3])
def test_number_of_network_calls(n_steps):
    """Each row costs exactly n_steps network calls, told at the timesteps of the schedule."""
    regenerator = DiffusionRegenerator(Recording(), timestep=90, n_steps=n_steps, random_state=0).fit(IMAGES)
    calls = regenerator.denoiser_.calls
    calls.clear()
    regenerator.transform(IMAGES)
    assert [timesteps for _, timesteps in calls] == [[90 * (n_steps - k) // n_steps] for k in range(n_steps)]


def test_padding_is_noised_and_seen():
    """The network sees the padded image, noised all over."""
    seen = []
    regenerator = DiffusionRegenerator({"block_out_channels": (8, 8, 8)}, max_epochs=1, random_state=0)
    regenerator.fit(IMAGES)
    regenerator.denoiser_.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    regenerator.transform(IMAGES)
    assert seen[0].shape == (40, 3, 8, 8)
    assert not torch.equal(seen[0][:, :, 0], seen[0][:, :, 1])


@pytest.mark.parametrize(
    "shape", [(1, 1, 1), (4, 1, 1), (2, 7, 9), (1, 8, 8), (1, 28, 28), (3, 30, 30), (3, 32, 32), (2, 64, 64)]
)
def test_default_unet_sizes(shape):
    """The default UNet takes images from 1x1 to 64x64 of one to four channels, single ones too."""
    X = np.random.default_rng(0).uniform(size=(2, *shape)).astype(np.float32)
    regenerator = DiffusionRegenerator(max_epochs=1, random_state=0).fit(X)
    assert regenerator.transform(X[:1]).shape == (1, *shape)
    assert regenerator.n_parameters_ < 5e6


@pytest.mark.parametrize("scale, dtype", [(255, np.uint8), (1, np.float32), (1, np.float64), (255, np.float64)])
def test_value_ranges(scale, dtype):
    """Answers lie in the range of the input, float32, and are the same for one image in any range."""
    X = (np.round(IMAGES * 255) / 255 * scale).round(0 if scale == 255 else 9).astype(dtype)
    answer = _blind(key="k", noise="row").fit(X).transform(X)
    expected = _blind(key="k", noise="row").fit(np.round(IMAGES * 255).astype(np.uint8))
    expected = expected.transform(np.round(IMAGES * 255).astype(np.uint8)) / 255
    assert answer.dtype == np.float32 and answer.min() >= 0 and answer.max() <= scale
    np.testing.assert_allclose(answer / scale, expected, atol=1e-5)


@pytest.mark.parametrize("noise", ["shared", "row"])
@pytest.mark.parametrize("kind", ["images", "large_images", "rows", "wide_rows"])
def test_exact(noise, kind):
    """With exact=True answers are equal to the last bit in any batch, order and position, and alone."""
    rng = np.random.default_rng(0)
    if kind.endswith("images"):
        X = IMAGES if kind == "images" else rng.uniform(size=(40, 3, 16, 16)).astype(np.float32)
    else:
        X = rng.normal(size=(90, 5 if kind == "rows" else 100))
    denoiser = TINY_UNET if X.ndim == 4 else None
    regenerator = DiffusionRegenerator(denoiser, exact=True, noise=noise, max_epochs=1, n_steps=2, random_state=0)
    answer = regenerator.fit(X).transform(X)
    for size in (1, 2, 31, 32, 33, len(X)):
        order = rng.permutation(len(X))[:size]
        np.testing.assert_array_equal(regenerator.transform(X[order]), answer[order])
    for row in range(20):
        np.testing.assert_array_equal(regenerator.transform(X[row : row + 1]), answer[row : row + 1])


@settings(deadline=None, max_examples=15)
@given(st.lists(st.integers(0, 39), min_size=1, max_size=60), st.integers(0, 2**32 - 1))
def test_any_batch(picked, candidate):
    """Without exact, any selection of rows gets the same answers to 1e-5, repeated rows included."""
    regenerator = DiffusionRegenerator(TINY_UNET, max_epochs=1, random_state=0).fit(IMAGES)
    answer = regenerator.regenerate(IMAGES, candidate)
    np.testing.assert_allclose(regenerator.regenerate(IMAGES[picked], candidate), answer[picked], atol=1e-5)


def test_fresh_noise_differs_each_call():
    """Fresh noise answers differently at each call."""
    regenerator = _blind(noise="fresh").fit(IMAGES)
    assert np.abs(regenerator.transform(IMAGES) - regenerator.transform(IMAGES)).max() > 0.1


def test_shared_noise_cancels_between_rows():
    """Shared noise is one for all rows, which is what a leaked key gives away."""
    X = np.random.default_rng(0).normal(size=(50, 4))
    regenerator = _blind().fit(X)
    change = (regenerator.transform(X) - X) / X.std(axis=0)
    np.testing.assert_allclose(change, np.repeat(change[:1], 50, axis=0), atol=1e-5)


def test_bounded_memory():
    """50,000 images are answered in batches of bounded size, into one array."""
    X = np.zeros((50_000, 1, 4, 4), dtype=np.uint8)
    regenerator = DiffusionRegenerator(Recording(), random_state=0).fit(X[:2])
    regenerator.denoiser_.calls.clear()
    assert regenerator.transform(X).shape == X.shape
    assert max(shape[0] for shape, _ in regenerator.denoiser_.calls) <= 1024


# Seeds and keys


def test_same_seed_same_answers(rows):
    """The same random_state and rows give the same denoiser, key and answers."""
    first, second = (DiffusionRegenerator(max_epochs=1, random_state=3).fit(rows) for _ in range(2))
    assert first.key_ == second.key_ and not first.key_is_secret_
    np.testing.assert_array_equal(first.transform(rows), second.transform(rows))


def test_other_rows_other_seed_and_key(rows):
    """Clones fitted on different rows, as shadows are, share neither key nor initial weights."""
    whole, part = (DiffusionRegenerator(max_epochs=1, random_state=3).fit(X) for X in (rows, rows[1:]))
    assert whole.key_ != part.key_
    assert not torch.equal(whole.denoiser_.enter.weight, part.denoiser_.enter.weight)


def test_secret_key():
    """Without key and random_state the key is the operating system's, and another each time."""
    first, second = (DiffusionRegenerator(ZeroNoise()).fit(IMAGES) for _ in range(2))
    assert first.key_is_secret_ and first.key_ != second.key_ and len(first.key_) == 32


@pytest.mark.parametrize("key", [b"k", "k", 5, np.int64(5)])
def test_given_key(key):
    """A given key gives the same noise to any fit, and is not secret."""
    regenerators = [DiffusionRegenerator(ZeroNoise(), key=key).fit(X) for X in (IMAGES, IMAGES[:9])]
    assert regenerators[0].key_ == regenerators[1].key_ and not regenerators[0].key_is_secret_


def test_rotate_key():
    """A rotated key is secret and gives other answers."""
    regenerator = _blind().fit(IMAGES)
    before = regenerator.transform(IMAGES)
    assert regenerator.rotate_key().key_is_secret_
    assert np.abs(regenerator.transform(IMAGES) - before).max() > 0.1


# Training


def test_history(trained):
    """The history holds one dict per epoch, and the loss falls."""
    assert [entry["epoch"] for entry in trained.history_] == list(range(1, 13))
    assert set(trained.history_[0]) == {"epoch", "loss", "seconds"}
    assert trained.history_[-1]["loss"] < 0.7 * trained.history_[0]["loss"]


def test_only_needed_levels_are_trained(monkeypatch, rows):
    """Training draws the timesteps 0 to timestep, the highest most often, and none above."""
    seen = []
    monkeypatch.setattr(training, "call_network", lambda network, x, t, n: (seen.append(t), network(x, t))[1])
    DiffusionRegenerator(Linear, timestep=20, max_epochs=100, random_state=0).fit(rows)
    seen = torch.cat(seen)
    assert int(seen.min()) == 0 and int(seen.max()) == 20
    assert int(seen.bincount().argmax()) > 10


def test_ema_is_what_denoises(rows):
    """The kept weights are the moving average, not the last ones."""
    slow, fast = (
        DiffusionRegenerator(Linear, ema_decay=decay, max_epochs=3, random_state=0).fit(rows).denoiser_.weight
        for decay in (0.9999, 0.0)
    )
    assert not torch.equal(slow, fast)


@pytest.mark.parametrize("denoiser", [Linear, Dropping, {"width": 8, "n_blocks": 1}, None])
def test_denoisers_of_rows(denoiser, rows):
    """Classes, dicts and the default are trained for rows, in float64, and are eval and frozen afterwards."""
    regenerator = DiffusionRegenerator(denoiser, max_epochs=1, random_state=0).fit(rows)
    assert regenerator.denoiser_saw_members_ is True
    assert not regenerator.denoiser_.training
    assert all(w.dtype == torch.float64 and not w.requires_grad for w in regenerator.denoiser_.parameters())
    assert (regenerator.transform(rows)[:, 3] == 7).all()


def test_batch_statistics_stay():
    """Batch statistics are those of training, at inference."""
    regenerator = DiffusionRegenerator(Normed, max_epochs=2, random_state=0).fit(IMAGES)
    together = regenerator.transform(IMAGES)
    np.testing.assert_allclose(regenerator.transform(IMAGES[:1]), together[:1], atol=1e-5)


def test_module_is_copied_and_never_trained():
    """A module is pretrained: the user's own object stays as it is, and no rows are learned from."""
    module = Linear((3, 6, 5)).train()
    regenerator = DiffusionRegenerator(module, random_state=0).fit(IMAGES)
    assert regenerator.denoiser_ is not module and module.training and module.weight.requires_grad
    assert regenerator.history_ == [] and regenerator.denoiser_saw_members_ is None
    assert regenerator.max_timestep_ == 999


def test_interrupted_training_changes_nothing(monkeypatch, rows):
    """An interrupt leaves a regenerator fitted as before, or unfitted."""
    regenerator = DiffusionRegenerator(Linear, max_epochs=1, random_state=0).fit(rows)
    before = regenerator.transform(rows)

    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(training.Trainer, "_epoch", interrupt)
    with pytest.raises(KeyboardInterrupt):
        regenerator.fit(rows[::-1])
    np.testing.assert_array_equal(regenerator.transform(rows), before)
    regenerator = clone(regenerator)
    with pytest.raises(KeyboardInterrupt):
        regenerator.fit(rows)
    with pytest.raises(NotFittedError):
        regenerator.transform(rows)


def test_verbose(capsys, rows):
    """Verbose shows the number of parameters and a progress bar; silent shows nothing."""
    DiffusionRegenerator({"width": 4}, max_epochs=1, random_state=0).fit(rows)
    assert capsys.readouterr() == ("", "")
    regenerator = DiffusionRegenerator({"width": 4}, max_epochs=1, random_state=0, verbose=1).fit(rows)
    shown = capsys.readouterr()
    assert f"{regenerator.n_parameters_:,} parameters" in shown.out + shown.err and "denoiser" in shown.err


def test_one_epoch_default_counts(rows):
    """max_epochs="auto" makes at least 1,000 updates for rows and at least 10 passes."""
    regenerator = DiffusionRegenerator()
    assert count_epochs(regenerator, rows) == 500
    assert count_epochs(regenerator, np.zeros((50_000, 3, 1, 1))) == 10


# What it keeps


def test_repr_names_members(tiny_rows):
    """The repr of a regenerator that was trained says on what; an unfitted or pretrained one's does not."""
    assert "trained on the rows given to fit" in repr(tiny_rows)
    assert "trained on" not in repr(DiffusionRegenerator())
    assert "trained on" not in repr(_blind().fit(IMAGES))


def test_clone_of_trained_warns(tiny_rows):
    """Cloning a trained regenerator warns that the training will be repeated; an unfitted one does not."""
    with pytest.warns(DefenseWarning, match="denoiser=folder"):
        clone(tiny_rows)
    clone(DiffusionRegenerator())


def test_timestep_may_be_lowered(tiny_rows, rows):
    """The timestep is read at each call: a lower one works without a new fit, a higher one is an error."""
    lowered = copy.deepcopy(tiny_rows).set_params(timestep=10)
    assert np.abs(lowered.transform(rows) - tiny_rows.transform(rows)).max() > 0
    with pytest.raises(ValueError, match="timestep=161 is above the trained range"):
        lowered.set_params(timestep=161).transform(rows)


@pytest.mark.parametrize("name", ["tiny_rows", "tiny_images"])
def test_copies_answer_alike(name, request, rows, digits):
    """Pickled, joblib-dumped and deep-copied regenerators answer the same bits."""
    regenerator, X = request.getfixturevalue(name), rows if name == "tiny_rows" else digits[1]
    for twin in (pickle.loads(pickle.dumps(regenerator)), copy.deepcopy(regenerator)):
        np.testing.assert_array_equal(twin.transform(X), regenerator.transform(X))


def test_new_process_answers_alike(tiny_images, digits, tmp_path):
    """A new process that loads the regenerator answers the same bits."""
    joblib.dump((tiny_images, digits[1][:8]), tmp_path / "saved.joblib")
    script = (
        "import joblib, numpy, torch; torch.set_num_threads(1); "
        f"r, X = joblib.load({str(tmp_path / 'saved.joblib')!r}); "
        f"numpy.save({str(tmp_path / 'answer.npy')!r}, r.transform(X))"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
    np.testing.assert_array_equal(np.load(tmp_path / "answer.npy"), tiny_images.transform(digits[1][:8]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_no_training_row_inside(dtype, tiny_rows, tiny_images, rows, digits):
    """No training row's bytes are in a saved regenerator."""
    for regenerator, X in [(tiny_rows, rows), (tiny_images, digits[0][:64])]:
        saved = pickle.dumps(regenerator)
        assert not any(row.tobytes() in saved for row in X.astype(dtype))


# Bad input


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("fitted", [False, True])
def test_not_finite(value, fitted):
    """NaN and infinity are errors, in fit and after it."""
    X = IMAGES.copy()
    X[3, 1, 2, 2] = value
    regenerator = _blind().fit(IMAGES)
    with pytest.raises(ValueError, match="NaN|infinity"):
        (regenerator.transform if fitted else regenerator.fit)(X)


@pytest.mark.parametrize("shape", [(2, 2, 6, 5), (2, 3, 5, 5), (2, 3, 6, 6), (2, 90), (3, 6, 5), (90,)])
def test_wrong_shape(shape):
    """Other channels, height, width or dimensions than in fit are errors that say what was expected."""
    with pytest.raises(ValueError, match=r"\(n_samples, 3, 6, 5\).*Got shape"):
        _blind().fit(IMAGES).transform(np.zeros(shape))


@pytest.mark.parametrize("shape", [(0, 3, 6, 5), (0, 4), (4, 3, 0, 5), (4, 3, 5), (2, 1, 2, 2, 2)])
def test_empty_or_odd_dimensions(shape):
    """Empty arrays and arrays that are neither images nor rows are errors."""
    with pytest.raises(ValueError, match="0 sample|X must be images|0 feature"):
        _blind().fit(np.zeros(shape))


@pytest.mark.parametrize("factor", [255, -1])
def test_outside_range(factor):
    """Image values outside the fitted range warn with their number, and are clipped."""
    regenerator = _blind().fit(IMAGES)
    with pytest.warns(RangeWarning, match=r"of 3600 values of X lie outside the value range 0. to 1."):
        answer = regenerator.transform(IMAGES * factor)
    np.testing.assert_allclose(answer, regenerator.transform(np.clip(IMAGES * factor, 0, 1)), atol=1e-6)


def test_rows_too_large_for_float32(rows):
    """Numbers beyond float32 are an error, not an infinite answer."""
    with pytest.raises(ValueError, match="finite in float32"):
        _blind().fit(rows).transform(rows * 1e300)


@pytest.mark.parametrize("candidate", [-(2**32) - 1, 0.5, "0", [0, 1], None, 2**32, np.zeros((40, 1), dtype=int)])
def test_bad_candidate(candidate):
    """A candidate that is no number of a candidate is an error that names it."""
    with pytest.raises(ValueError, match="candidate must be"):
        _blind().fit(IMAGES).regenerate(IMAGES, candidate)


@pytest.mark.parametrize(
    "params, match",
    [
        ({"timestep": 1000}, "timestep must be below the 1000 noise levels"),
        ({"timestep": -1}, "'timestep' parameter"),
        ({"timestep": 50, "n_train_timesteps": 50}, "timestep must be below the 50 noise levels"),
        ({"train_timesteps": 100}, "timestep=160 is above the trained range"),
        ({"train_timesteps": 1001}, "train_timesteps must be at most"),
        ({"timestep": 2, "n_steps": 3}, "n_steps must be at most timestep=2"),
        ({"noise": "white"}, "'noise' parameter"),
        ({"beta_schedule": "flat"}, "'beta_schedule' parameter"),
        ({"device": "abacus"}, "device must be 'auto' or"),
        ({"value_range": (1, 0)}, "value_range must be"),
        ({"denoiser": {"depth": 3}}, "denoiser=.*fits no UNet2DModel"),
        ({"denoiser": {"in_channels": 5}}, "denoiser takes 5 channels"),
        ({"denoiser": lambda shape: None}, "denoiser must return a torch module"),
        ({"denoiser": torch.nn.Linear(2, 2)}, "denoiser can't be called"),
        ({"denoiser": 7}, "'denoiser' parameter"),
    ],
)
def test_bad_parameters(params, match):
    """A parameter that can't be used is an error of fit that names it."""
    with pytest.raises(ValueError, match=match):
        DiffusionRegenerator(**{"max_epochs": 1, **params}).fit(IMAGES)


def test_rows_without_variation():
    """Rows of constant features alone can't be noised."""
    with pytest.raises(ValueError, match="All features are constant"):
        DiffusionRegenerator().fit(np.ones((5, 3)))


def test_unfitted():
    """An unfitted regenerator says so."""
    for method in ("transform", "regenerate", "save_pretrained"):
        with pytest.raises(NotFittedError):
            getattr(DiffusionRegenerator(), method)(IMAGES)
    with pytest.raises(NotFittedError):
        DiffusionRegenerator().rotate_key()

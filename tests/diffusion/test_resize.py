"""Images of other sizes and channels than those of the denoiser: resized, regenerated, resized back."""

import numpy as np
import pytest
import torch
from diffusers import UNet2DModel
from sklearn.datasets import load_sample_image

from skdiffence.diffusion import DiffusionRegenerator
from skdiffence.diffusion._space import ImageSpace
from tests.diffusion.networks import Recording, Sized, ZeroNoise

RANGE = np.array([0.0, 1.0])


def photographs(side, n=4):
    """Return crops of a photograph, (n, 3, side, side) in [0, 1]."""
    image = load_sample_image("flower.jpg").transpose(2, 0, 1) / np.float32(255)
    return np.stack([image[:, 40 * i : 40 * i + side, 100 + 60 * i : 100 + 60 * i + side] for i in range(n)])


def fit(denoiser, X, **params):
    return DiffusionRegenerator(denoiser, key="k", value_range=(0, 1), **params).fit(X)


@pytest.mark.parametrize("side", [28, 64, 96, 224])
@pytest.mark.parametrize("trained", [32, 256])
@pytest.mark.parametrize("n_channels", [1, 3])
def test_sizes(side, trained, n_channels):
    """The denoiser sees images of its own size, and the answer has the shape of X and its content."""
    X = photographs(side, n=2)[:, :n_channels]
    network = Sized(trained)
    regenerator = fit(network, X, timestep=0)
    assert regenerator.space_.shape == (3, trained, trained) and regenerator.space_.is_resized
    answer = regenerator.transform(X)
    assert answer.shape == X.shape and answer.dtype == np.float32
    # Only detail that 32x32 pixels cannot hold is lost.
    blurred = ImageSpace(X.shape[1:], RANGE, size=(trained, trained))
    expected = blurred.decode(blurred.encode(X, torch.device("cpu")), X)
    assert np.abs(answer - expected).mean() < 0.02
    assert trained == 32 or np.abs(answer - X).mean() < 0.02


def test_one_pixel_moves_nothing():
    """Resized there and back, a picture stays where it was: corners are not aligned to corners."""
    X = np.zeros((1, 1, 28, 28), dtype=np.float32)
    X[..., 9:19, 4:14] = 1
    space = ImageSpace((1, 28, 28), RANGE, size=(32, 32))
    back = space.decode(space.encode(X, torch.device("cpu")), X)[0, 0]
    rows, columns = np.indices(back.shape)
    assert (back * rows).sum() / back.sum() == pytest.approx(13.5, abs=0.05)
    assert (back * columns).sum() / back.sum() == pytest.approx(8.5, abs=0.05)


@pytest.mark.parametrize("resize", ["auto", None, 8, (8, 8)])
def test_equal_sizes_change_nothing(resize):
    """For images of the denoiser's own size every setting gives the same bits."""
    X = photographs(8)
    assert fit(Sized(8), X, resize=resize).noise_gain_ == 1.0
    expected = fit(ZeroNoise(), X).transform(X)
    np.testing.assert_array_equal(fit(Sized(8), X, resize=resize).transform(X), expected)


def test_none_leaves_the_size():
    """With None a denoiser sees images as they are, padded as far as it must be."""
    network = UNet2DModel(
        sample_size=32, block_out_channels=(8, 8), norm_num_groups=8, layers_per_block=1,
        down_block_types=("DownBlock2D",) * 2, up_block_types=("UpBlock2D",) * 2,
    )  # fmt: skip
    assert fit(network, photographs(13), resize=None).space_.shape == (3, 14, 14)
    assert fit(network, photographs(13)).space_.shape == (3, 32, 32)


@pytest.mark.parametrize("size", [None, 0, [20, 12], (12, 20)])
def test_sizes_as_configs_write_them(size):
    """A config's sample_size is a number, a pair, or nothing: then nothing is resized."""
    network = Sized(size)
    assert fit(network, photographs(16)).space_.size == (tuple(size) if size else (16, 16))


@pytest.mark.parametrize(
    ("shape", "trained"), [((1, 28, 28), 32), ((3, 28, 28), 64), ((1, 16, 16), 64), ((3, 24, 24), 12)]
)
def test_effective_noise_is_what_comes_out(shape, trained):
    """Noise that is not removed comes out with the measured standard deviation, which is that of the named timestep."""
    X, candidates = np.full((100, *shape), 0.5, dtype=np.float32), np.arange(100)
    regenerator = fit(Sized(trained), X, timestep=60)
    found = 2 * (regenerator.regenerate(X, candidates) - X).std()
    assert found == pytest.approx(regenerator.effective_noise_, rel=0.02)
    alike = fit(ZeroNoise(), X, timestep=regenerator.effective_timestep_)
    assert 2 * (alike.regenerate(X, candidates) - X).std() == pytest.approx(found, rel=0.1)  # timesteps are whole


def test_effective_noise_follows_the_timestep():
    """Nothing resized is the noise of the timestep itself; otherwise it is smaller, and follows a changed timestep."""
    X = photographs(16)
    same, smaller = fit(Sized(16), X), fit(Sized(64), X)
    abar = np.cumprod(1 - same.scheduler_.betas.double().numpy())
    assert same.effective_noise_ == pytest.approx(np.sqrt((1 - abar[160]) / abar[160]))
    assert same.effective_timestep_ == 160
    assert smaller.effective_noise_ < 0.4 * same.effective_noise_ and smaller.effective_timestep_ < 60
    before = smaller.effective_noise_
    smaller.set_params(timestep=300)
    assert smaller.effective_noise_ > before and 90 > smaller.effective_timestep_ > 60


def test_rows_have_the_noise_of_their_timestep(rows):
    """Rows are not resized."""
    regenerator = DiffusionRegenerator({"width": 8}, max_epochs=1, random_state=0, resize=3).fit(rows)
    assert regenerator.noise_gain_ == 1.0 and regenerator.effective_timestep_ == 160


def test_effective_noise_is_printed(capsys):
    """verbose tells what images are resized to, and the noise that is left of the timestep's."""
    fit(Sized(64), photographs(16), verbose=1)
    printed = " ".join(capsys.readouterr().out.split())
    assert "images of shape (3, 16, 16) are denoised as (3, 64, 64)" in printed
    assert "the noise of timestep 160, 0.560" in printed and "without resizing" in printed


@pytest.mark.parametrize("exact", [False, True])
def test_answers_do_not_depend_on_the_batch(exact):
    """Resizing keeps rows apart: an answer is the same alone and among others."""
    X = photographs(20, n=5)
    network = UNet2DModel(
        sample_size=16, block_out_channels=(8,), norm_num_groups=8, layers_per_block=1,
        down_block_types=("DownBlock2D",), up_block_types=("UpBlock2D",),
    )  # fmt: skip
    regenerator = fit(network, X, exact=exact)
    together = regenerator.transform(X)
    for row in range(5):
        alone = regenerator.transform(X[row : row + 1])[0]
        assert np.abs(alone - together[row]).max() <= (0 if exact else 1e-5)


def test_trained_at_another_size(tmp_path):
    """A denoiser can be trained at a smaller size; its folder knows that size, and that of images that were padded."""
    X = photographs(30, n=6)
    params = {"max_epochs": 1, "random_state": 0, "value_range": (0, 1)}
    small = DiffusionRegenerator({"block_out_channels": (8, 8)}, resize=(9, 12), **params).fit(X)
    assert small.space_.shape == (3, 10, 12) and small.history_
    padded = DiffusionRegenerator({"block_out_channels": (8, 8, 8)}, **params).fit(X)
    assert padded.space_.shape == (3, 32, 32) and not padded.space_.is_resized
    for name, regenerator in {"small": small, "padded": padded}.items():
        regenerator.save_pretrained(tmp_path / name)
        again = DiffusionRegenerator(tmp_path / name, value_range=(0, 1)).fit(X)
        again.key_ = regenerator.key_
        np.testing.assert_array_equal(again.transform(X), regenerator.transform(X))


@pytest.mark.parametrize("resize", [0, -3, (8,), (8, 0), (8, 8, 8), (8.5, 8), "half", 2.5])
def test_bad_sizes(resize):
    """Sizes that are none are refused, before anything is trained."""
    with pytest.raises(ValueError, match="resize"):
        DiffusionRegenerator(ZeroNoise(), resize=resize).fit(photographs(8))


@pytest.mark.parametrize(("n_channels", "takes"), [(2, 3), (4, 3), (3, 1), (3, 4)])
def test_channels_that_do_not_fit(n_channels, takes):
    """Gray images have a color denoiser, and no others have one of other channels."""
    X = np.random.default_rng(0).random((3, n_channels, 8, 8), dtype=np.float32)
    with pytest.raises(ValueError, match=f"takes {takes} channels and gives {takes}, but the images have {n_channels}"):
        fit(Sized(8, takes), X)


def test_gray_images_through_a_color_denoiser():
    """The gray channel is repeated with noise of its own in each; the mean comes back."""
    X = photographs(8)[:, :1]
    network = Recording()
    network.config = Sized(8).config
    regenerator = fit(network, X, timestep=200)
    assert regenerator.transform(X).shape == X.shape
    assert regenerator.denoiser_.calls[-1][0][1:] == (3, 8, 8)
    assert regenerator.noise_gain_ == pytest.approx(1 / np.sqrt(3), rel=0.01)

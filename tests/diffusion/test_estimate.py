"""The default network of each size, the estimated time of its training, and what is said where it is long."""

import warnings

import numpy as np
import pytest

from skdiffence.diffusion import DiffusionRegenerator, _fitting
from skdiffence.diffusion._denoisers import make_unet, unet_config
from skdiffence.diffusion._estimate import duration, long_training_message
from skdiffence.exceptions import TrainingTimeWarning


@pytest.fixture
def every_training_is_long(monkeypatch):
    """Warn of trainings that take no time."""
    monkeypatch.setattr(_fitting, "LONG_TRAINING", 0.0)


@pytest.mark.parametrize("side", [8, 28, 32, 64, 96, 224])
def test_default_network_can_be_trained(side):
    """The work of an image grows no faster than its pixels: 64x64 had 4.1 M weights, and hours of training."""
    widths = unet_config((3, side, side))["block_out_channels"]
    work = side**2 * widths[0] ** 2
    assert work <= 1.01 * 32**2 * 16**2 * max(1, side**2 / 64**2)
    if side <= 48:
        assert widths == {8: (16, 32), 28: (16, 32, 64), 32: (16, 32, 64)}[side]


def test_long_training_is_told(every_training_is_long, capsys):
    """The warning names the time, the smaller network, the smaller image and the pretrained way, at verbose=0 too."""
    X = np.random.default_rng(0).random((40, 3, 40, 40), dtype=np.float32)
    regenerator = DiffusionRegenerator({"block_out_channels": (16, 16)}, max_epochs=2, batch_size=8, random_state=0)
    with pytest.warns(
        TrainingTimeWarning, match=r"(?s)about .* weights.*\(8, 8\).*resize=32.*denoiser=folder"
    ) as found:
        regenerator.fit(X)
    assert len(found) == 1 and not capsys.readouterr().out
    with pytest.warns(TrainingTimeWarning):
        regenerator.set_params(verbose=1).fit(X)
    assert "of training" in capsys.readouterr().out


@pytest.mark.parametrize("n_rows", [8, 16, 200])
def test_short_training_is_not_told(n_rows):
    """Trainings of few updates, or of less than an hour, bring no warning."""
    X = np.random.default_rng(0).normal(size=(n_rows, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("error", TrainingTimeWarning)
        DiffusionRegenerator({"width": 4}, max_epochs=1, batch_size=8, random_state=0).fit(X)


def test_rows_have_no_smaller_image(every_training_is_long):
    """What is said of rows names what rows have."""
    X = np.random.default_rng(0).normal(size=(80, 3))
    with pytest.warns(TrainingTimeWarning, match="fewer epochs or rows; a pretrained denoiser") as found:
        DiffusionRegenerator({"width": 4}, max_epochs=1, batch_size=8, random_state=0).fit(X)
    assert "resize" not in str(found[0].message) and "block_out" not in str(found[0].message)


def test_smallest_network_is_not_made_smaller():
    """Nobody is told to halve what has eight channels, or to shrink small images."""
    message = long_training_message(make_unet((1, 8, 8), {"block_out_channels": (8, 8)}), (1, 8, 8), 7300, 5)
    assert "block_out_channels" not in message and "resize" not in message and "about 2.0 hours" in message


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "1 seconds"), (90, "90 seconds"), (600, "10 minutes"), (9000, "2.5 hours"), (1e6, "12 days")],
)
def test_duration(seconds, words):
    """Times in the unit that a person would use."""
    assert duration(seconds) == words

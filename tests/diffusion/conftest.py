"""Digits and regenerators that several test files share, fitted once."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from skdiffence.diffusion import DiffusionRegenerator

TINY_UNET = {"block_out_channels": (8, 16)}


@pytest.fixture(scope="session")
def digits():
    """600 images for the denoiser, 160 others with their labels."""
    X, y = load_digits(return_X_y=True)
    X = X.reshape(-1, 1, 8, 8).astype(np.float32)
    return X[:600], X[600:760], y[600:760]


@pytest.fixture(scope="session")
def trained(digits):
    """A regenerator of digits, trained for seconds."""
    return DiffusionRegenerator(max_epochs=12, batch_size=32, lr=4e-3, random_state=0).fit(digits[0])


@pytest.fixture(scope="session")
def rows():
    """100 rows of five features, one of them constant."""
    X = np.random.default_rng(0).normal(size=(100, 5)) * [1, 10, 0.01, 0, 1] + [0, 100, 0, 7, 1e3]
    return X


@pytest.fixture(scope="session")
def tiny_rows(rows):
    """A regenerator of rows, barely trained."""
    return DiffusionRegenerator({"width": 8}, max_epochs=2, random_state=0).fit(rows)


@pytest.fixture(scope="session")
def tiny_images(digits):
    """A regenerator of images, barely trained."""
    return DiffusionRegenerator(TINY_UNET, max_epochs=1, random_state=0).fit(digits[0][:64])

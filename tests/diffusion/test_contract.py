"""The contract suite passes on the real regenerator and on no broken one."""

import numpy as np
import pytest

from tests.diffusion.contract import CHECKS


class Constant:
    """Returns the mean of its rows' range."""

    timestep = 160

    def regenerate(self, X, candidate=0):
        """Return one number for everything."""
        return np.full(X.shape, 8.0, dtype=np.float32)

    def transform(self, X):
        """Regenerate with candidate 0."""
        return self.regenerate(X, 0)


class Identity(Constant):
    """Returns its input."""

    def regenerate(self, X, candidate=0):
        """Return X."""
        return X


class Zero(Constant):
    """Returns zeros."""

    def regenerate(self, X, candidate=0):
        """Return zeros."""
        return np.zeros_like(X)


class PlainNoise(Constant):
    """Adds the noise of its timestep and never denoises: the answer of a denoiser that learned nothing."""

    def regenerate(self, X, candidate=0):
        """Return X with noise of its row and candidate, clipped to the range."""
        noise = np.random.default_rng(7).normal(scale=4.45, size=(3, *X.shape[1:]))
        return np.clip(X + noise[np.broadcast_to(candidate, len(X)) % 3], 0, 16).astype(np.float32)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_real(check, trained, digits):
    """The real regenerator does what a regenerator must do."""
    check(trained, *digits[1:])


@pytest.mark.parametrize("broken", [Constant, Identity, Zero, PlainNoise])
def test_broken(broken, digits):
    """A regenerator that is broken in a known way fails at least one check."""
    failed = []
    for check in CHECKS:
        try:
            check(broken(), *digits[1:])
        except AssertionError:
            failed.append(check.__name__)
    assert failed
    assert (failed == ["check_removes_noise"]) == (broken is PlainNoise)

"""Noising and denoising against closed forms and against the numbers of diffusers."""

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler

from skdiffence.diffusion._schedule import Schedule, ddim_timesteps, make_scheduler

SCHEDULES = ["linear", "scaled_linear", "squaredcos_cap_v2"]
X = torch.randn(6, 2, 5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
NOISE = torch.randn(X.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def _schedule(name="linear", **config):
    return Schedule(DDPMScheduler(1000, beta_schedule=name, **{"clip_sample": False} | config))


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("timestep", [0, 1, 160, 998])
def test_add_noise_equals_diffusers(name, timestep):
    """x_t is that of diffusers, at the same index."""
    scheduler = make_scheduler(1000, name)
    noisy = Schedule(scheduler).add_noise(X, NOISE, timestep)
    expected = scheduler.add_noise(X, NOISE, torch.full((len(X),), timestep))
    torch.testing.assert_close(noisy, expected, atol=1e-5, rtol=1e-5)


def test_add_noise_variance():
    """Noised, data of variance 1 keep variance 1 at every timestep (the shipped code's do not)."""
    schedule = _schedule()
    for timestep in (40, 160, 300):
        signal, spread = (schedule.add_noise(a, b, timestep) for a, b in [(X**0, 0 * X), (0 * X, X**0)])
        torch.testing.assert_close(signal**2 + spread**2, X**0)


@pytest.mark.parametrize("prediction_type", ["epsilon", "sample", "v_prediction"])
@pytest.mark.parametrize("timestep, n_steps", [(0, 1), (1, 1), (160, 1), (160, 4), (160, 7), (999, 50), (5, 5)])
def test_exact_recovery(prediction_type, timestep, n_steps):
    """A denoiser that knows the true noise recovers the input, in exactly n_steps calls."""
    schedule = _schedule(prediction_type=prediction_type)
    calls = []

    def knowing(noisy, t):
        calls.append(t)
        return schedule.target(X, NOISE, t)

    noisy = schedule.add_noise(X, NOISE, timestep)
    torch.testing.assert_close(schedule.denoise(knowing, noisy, timestep, n_steps), X, atol=1e-8, rtol=1e-8)
    assert len(calls) == n_steps and calls[0] == timestep
    assert all(later < earlier for earlier, later in zip(calls, calls[1:], strict=False))


def test_blind_denoiser():
    """A denoiser that sees no noise answers with mean x and variance (1 - abar) / abar."""
    schedule = _schedule()
    noise = torch.randn(200_000, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    noisy = schedule.add_noise(torch.full_like(noise, 0.3), noise, 160)
    clean = schedule.denoise(lambda x, t: 0 * x, noisy, 160, 1)
    abar = float(schedule.alphas_cumprod[160])
    assert float(clean.mean()) == pytest.approx(0.3, abs=0.01)
    assert float(clean.var()) == pytest.approx((1 - abar) / abar, rel=0.02)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("prediction_type", ["epsilon", "sample", "v_prediction"])
def test_steps_equal_diffusers(name, prediction_type):
    """Four steps from 160 give the numbers of diffusers' DDIM, whose last step also ends on x0-hat."""
    reference = DDIMScheduler(
        1000, beta_schedule=name, prediction_type=prediction_type, clip_sample=False, set_alpha_to_one=True
    )
    reference.set_timesteps(25)  # a stride of 40
    expected = X.clone()
    for t in (160, 120, 80, 40):
        # Its first target after 40 would be 0; the estimate of x itself is the end here.
        step = reference.step(_arbitrary(expected, t), t, expected)
        expected = step.prev_sample if t > 40 else step.pred_original_sample
    schedule = _schedule(name, prediction_type=prediction_type)
    torch.testing.assert_close(schedule.denoise(_arbitrary, X, 160, 4), expected, atol=1e-4, rtol=1e-4)


def _arbitrary(x, t):
    return torch.tanh(x) * (0.5 + t / 1000) + 0.1


def test_timesteps():
    """Steps are even, start at the timestep and end above 0, where x0-hat is still to be asked for."""
    assert ddim_timesteps(160, 1) == [160]
    assert ddim_timesteps(160, 4) == [160, 120, 80, 40]
    assert ddim_timesteps(0, 1) == [0]
    for timestep in range(1, 40):
        for n_steps in range(1, timestep + 1):
            steps = ddim_timesteps(timestep, n_steps)
            assert steps == sorted(set(steps), reverse=True) and len(steps) == n_steps and min(steps) > 0


def test_timesteps_too_many():
    """More steps than timesteps is an error that names n_steps."""
    with pytest.raises(ValueError, match="n_steps must be at most timestep=3.*n_steps=4"):
        ddim_timesteps(3, 4)


def test_no_signal_left():
    """A schedule that ends in pure noise can't be denoised from its end."""
    schedule = _schedule(rescale_betas_zero_snr=True)
    with pytest.raises(ValueError, match="timestep=999 leaves no signal"):
        schedule.check_timestep(999, 999)


def test_unknown_prediction_type():
    """A network that predicts something else is refused by name."""
    scheduler = make_scheduler(10, "linear")
    scheduler.register_to_config(prediction_type="flow")
    with pytest.raises(ValueError, match="prediction_type='flow'"):
        Schedule(scheduler)


def test_alphas_in_float64():
    """abar is the running product, in float64."""
    schedule = _schedule()
    expected = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))
    np.testing.assert_allclose(schedule.alphas_cumprod.numpy(), expected, rtol=2e-5)
    assert schedule.alphas_cumprod.dtype == torch.float64

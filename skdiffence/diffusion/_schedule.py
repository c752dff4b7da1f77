"""The noise schedule, DDPM noising, and deterministic DDIM denoising in a fixed number of network calls.

A timestep is always the 0-based index into the schedule: for noising, as the input of the network, and for denoising.
Timestep 0 is the lowest noise level of the schedule.
"""

import torch

PREDICTION_TYPES = ("epsilon", "sample", "v_prediction")


def make_scheduler(n_train_timesteps, beta_schedule):
    """Return a new diffusers scheduler.

    Schedulers have state, so estimators do not share them.

    Parameters
    ----------
    n_train_timesteps : int
        Number of noise levels.
    beta_schedule : {"linear", "scaled_linear", "squaredcos_cap_v2"}
        How the noise grows with the timestep.

    Returns
    -------
    scheduler : DDPMScheduler
    """
    from diffusers import DDPMScheduler  # takes seconds to import

    return DDPMScheduler(n_train_timesteps, beta_schedule=beta_schedule, clip_sample=False)


class Schedule:
    """Noising and denoising with the coefficients of a diffusers scheduler.

    Parameters
    ----------
    scheduler : diffusers scheduler
        Has the betas and the prediction type of its network.

    Attributes
    ----------
    alphas_cumprod : float64 tensor of shape (n_train_timesteps,)
        abar_t, the product of 1 - beta up to t.
    prediction_type : {"epsilon", "sample", "v_prediction"}
        What the network predicts.
    clip_range : float or None
        Between steps, x0-hat is clipped to plus and minus this. None if the scheduler does not clip.

    Raises
    ------
    ValueError
        If the prediction type is another one.
    """

    def __init__(self, scheduler):
        self.prediction_type = scheduler.config.prediction_type
        if self.prediction_type not in PREDICTION_TYPES:
            raise ValueError(
                f"denoiser has a scheduler with prediction_type={self.prediction_type!r}, "
                f"but only {', '.join(PREDICTION_TYPES)} can be denoised with."
            )
        self.alphas_cumprod = torch.cumprod(1.0 - scheduler.betas.double().cpu(), dim=0)
        self.clip_range = scheduler.config.clip_sample_range if scheduler.config.clip_sample else None
        self._on_device = {}

    def __len__(self):
        return len(self.alphas_cumprod)

    def check_timestep(self, timestep, highest):
        """Raise a ValueError unless a timestep exists, was trained and leaves some signal."""
        if timestep >= len(self):
            raise ValueError(
                f"timestep must be below the {len(self)} noise levels of the schedule (0 to {len(self) - 1}). "
                f"Got timestep={timestep}."
            )
        if timestep > highest:
            raise ValueError(
                f"timestep={timestep} is above the trained range: the denoiser learned the noise levels 0 to "
                f"{highest} only. Lower timestep, or fit with train_timesteps={timestep + 1} or more."
            )
        if self.alphas_cumprod[timestep] <= 0:
            raise ValueError(f"timestep={timestep} leaves no signal under this schedule. Choose a lower timestep.")

    def noise_to_signal(self, timestep):
        """Return sqrt((1 - abar) / abar) at a timestep."""
        abar = self.alphas_cumprod[timestep]
        return float(((1.0 - abar) / abar).sqrt())

    def timestep_of(self, noise_to_signal):
        """Return the timestep whose ratio of noise to signal is nearest to a number."""
        ratios = ((1.0 - self.alphas_cumprod) / self.alphas_cumprod).sqrt()
        return int((ratios - noise_to_signal).abs().argmin())

    def effective_timestep(self, timestep, gain):
        """Return the timestep whose noise is that of another one times a gain."""
        return timestep if gain == 1 else self.timestep_of(gain * self.noise_to_signal(timestep))

    def add_noise(self, x, noise, timesteps):
        """Return x_t = sqrt(abar_t) x + sqrt(1 - abar_t) e, Eq. (4) of Ho et al. (2020).

        Parameters
        ----------
        x, noise : tensors of shape (n, ...)
            Clean inputs and standard normal noise.
        timesteps : int or int64 tensor of shape (n,)
            One timestep for all rows, or one for each.

        Returns
        -------
        noisy : tensor of shape (n, ...), dtype of x
        """
        signal, spread = self._coefficients(timesteps, x)
        return signal * x + spread * noise

    def target(self, x, noise, timesteps):
        """Return the training target of the network for the input ``add_noise(x, noise, timesteps)``."""
        if self.prediction_type == "epsilon":
            return noise
        if self.prediction_type == "sample":
            return x
        signal, spread = self._coefficients(timesteps, x)
        return signal * noise - spread * x

    def split(self, noisy, predicted, timestep):
        """Split a noisy input into the clean input and the noise that the network predicts.

        Parameters
        ----------
        noisy, predicted : tensors of shape (n, ...)
            Noisy inputs and the prediction of the network.
        timestep : int
            Timestep of the noise.

        Returns
        -------
        clean, noise : tensors of shape (n, ...)
            x0-hat and e-hat, with ``add_noise(clean, noise, timestep) == noisy``.
        """
        signal, spread = self._coefficients(timestep, noisy)
        if self.prediction_type == "epsilon":
            return (noisy - spread * predicted) / signal, predicted
        if self.prediction_type == "sample":
            return predicted, (noisy - signal * predicted) / spread
        return signal * noisy - spread * predicted, signal * predicted + spread * noisy

    def denoise(self, network, noisy, timestep, n_steps):
        """Return x0-hat after exactly ``n_steps`` network calls (DDIM with eta = 0).

        The calls are made at ``timestep`` and at evenly spaced timesteps below it. After each call but the last, x0-hat
        is noised to the next timestep. The last call gives x0-hat, so no noise is left. If the scheduler clips samples,
        so is x0-hat, as in diffusers.

        Parameters
        ----------
        network : callable(noisy, timestep) -> tensor
            The denoiser.
        noisy : tensor of shape (n, ...)
            Inputs noised to ``timestep``.
        timestep : int
            Where to start.
        n_steps : int
            Number of network calls, at most max(timestep, 1).

        Returns
        -------
        clean : tensor of shape (n, ...)

        References
        ----------
        Song, Meng and Ermon, "Denoising diffusion implicit models", ICLR 2021, Eq. (12).
        """
        steps = ddim_timesteps(timestep, n_steps)
        for step, following in zip(steps, [*steps[1:], None], strict=True):
            clean, noise = self.split(noisy, network(noisy, step), step)
            if self.clip_range is not None:
                clean = clean.clamp(-self.clip_range, self.clip_range)
            if following is not None:
                noisy = self.add_noise(clean, noise, following)
        return clean

    def _coefficients(self, timesteps, like):
        # Copied to each device once. Copies at every call would slow a GPU down.
        if like.device not in self._on_device:
            self._on_device[like.device] = self.alphas_cumprod.to(like.device)
        abar = self._on_device[like.device][timesteps].reshape(-1, *[1] * (like.ndim - 1))
        return abar.sqrt().to(like.dtype), (1.0 - abar).sqrt().to(like.dtype)


def check_steps(schedule, timestep, n_steps, highest):
    """Raise a ValueError unless a denoiser trained up to ``highest`` can go down from a timestep in so many steps."""
    schedule.check_timestep(timestep, highest)
    ddim_timesteps(timestep, n_steps)


def ddim_timesteps(timestep, n_steps):
    """Return ``n_steps`` evenly spaced, falling timesteps that start at ``timestep``.

    Parameters
    ----------
    timestep : int
        The first timestep.
    n_steps : int
        Number of timesteps.

    Returns
    -------
    timesteps : list of int

    Raises
    ------
    ValueError
        If there are too few different timesteps.
    """
    if n_steps > max(timestep, 1):
        raise ValueError(
            f"n_steps must be at most timestep={timestep}, because each step goes to a lower timestep. "
            f"Got n_steps={n_steps}."
        )
    return [round(timestep * (n_steps - k) / n_steps) for k in range(n_steps)]

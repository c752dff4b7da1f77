"""Regeneration of inputs by diffusion: noise them, denoise them, and keep the secret of which noise it was."""

from skdiffence.diffusion._regenerator import DiffusionRegenerator

__all__ = ["DiffusionRegenerator"]

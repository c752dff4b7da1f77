"""Regeneration of inputs by diffusion: noising with secret noise, then denoising."""

from skdiffence.diffusion._regenerator import DiffusionRegenerator

__all__ = ["DiffusionRegenerator"]

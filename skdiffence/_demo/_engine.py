"""Private parts of the library that benchmarks measure or build on, gathered here so that one file follows a change."""

import numpy as np
from sklearn.metrics import log_loss

from skdiffence._evaluation._answer_memory import AnswerMemory, remember_answers
from skdiffence._evaluation._cross_fit import cross_fit, split_halves
from skdiffence._evaluation._measure import lowest_reliable_level, measure_utility
from skdiffence._evaluation._rows import AttackedRows
from skdiffence.attacks import query
from skdiffence.defenses._classifier import put_label_on_top
from skdiffence.defenses._temperature import fit_temperature, scale
from skdiffence.defenses.output._memguard import train_attack
from skdiffence.defenses.training._distillation import distill
from skdiffence.diffusion._batches import rows_per_batch
from skdiffence.diffusion._denoisers import call_network, make_unet
from skdiffence.diffusion._fitting import uses_bfloat16
from skdiffence.diffusion._noise import Noise
from skdiffence.diffusion._schedule import Schedule, make_scheduler
from skdiffence.diffusion._training import Trainer
from skdiffence.utils._files import whole_file
from skdiffence.utils._fingerprint import fingerprint, library_versions
from skdiffence.utils._random import mix_seed, torch_seed
from skdiffence.utils._rows import data_digest, row_digests
from skdiffence.utils._torch import computes_bfloat16, resolve_device
from skdiffence.utils._views import augmentations
from skdiffence.utils._views import shift as shift_images

__all__ = [
    "AnswerMemory",
    "Noise",
    "Schedule",
    "Trainer",
    "attack_scores",
    "augmentations",
    "call_network",
    "computes_bfloat16",
    "data_digest",
    "distill",
    "fingerprint",
    "library_versions",
    "lowest_reliable_level",
    "make_scheduler",
    "make_unet",
    "measure_utility",
    "mix_seed",
    "put_label_on_top",
    "recalibrated_log_loss",
    "remember_answers",
    "resolve_device",
    "row_digests",
    "rows_per_batch",
    "shift_images",
    "split_halves",
    "torch_seed",
    "train_attack",
    "uses_bfloat16",
    "whole_file",
]


def attack_scores(attack, target, X, y, is_member, *, seed=0, answers=None, keys=None):
    """Score every row by an attack that learned from rows of the other half.

    Parameters
    ----------
    attack : MembershipAttack
        Cloned for each half.
    target : classifier or AnswerMemory
        The target.
    X, y, is_member : ndarray of shape (n_samples, ...)
        Rows, their labels and their membership.
    seed : int, default=0
        Seeds the attack.
    answers : Answers or None, default=None
        The target's answers; None queries it.
    keys : ndarray of shape (n_samples,) or None, default=None
        Digests that decide the halves; None takes those of the rows.

    Returns
    -------
    scores : ndarray of shape (n_samples,)
    """
    answers = query(target, X, y) if answers is None else answers
    keys = row_digests(X) if keys is None else keys
    return cross_fit(attack, target, answers, AttackedRows(X, y, is_member, keys), known=0.5, seed=seed).scores


def recalibrated_log_loss(proba_known, y_known, proba, y):
    """Compute the log-loss of answers after one temperature, which is fitted to answers to other rows.

    Parameters
    ----------
    proba_known, proba : ndarray of shape (n, n_classes)
        Answers to the rows that the temperature is fitted to, and to those that are scored.
    y_known, y : ndarray of shape (n,), dtype int
        Columns of the true labels.

    Returns
    -------
    nll, temperature : float
    """
    temperature = fit_temperature(proba_known, y_known)
    scaled = scale(np.asarray(proba, dtype=np.float64), temperature)
    scaled /= scaled.sum(axis=1, keepdims=True)
    return float(log_loss(y, scaled, labels=np.arange(scaled.shape[1]))), temperature

"""bfloat16 is for devices that compute in it."""

import warnings

import numpy as np
import pytest
import torch

from skdiffence.diffusion import DiffusionRegenerator, _fitting
from skdiffence.exceptions import TrainingTimeWarning
from skdiffence.utils._torch import computes_bfloat16

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)


@pytest.mark.parametrize(
    ("found", "computes"),
    [
        ({"architecture": "x86_64", "avx512_bf16": True, "amx_bf16": False}, True),
        ({"architecture": "x86_64", "avx512_bf16": False, "amx_bf16": True}, True),
        ({"architecture": "x86_64", "avx2": True}, False),
        ({"architecture": "aarch64"}, True),
        ({}, True),
    ],
    ids=["avx512", "amx", "avx2", "arm", "unknown"],
)
def test_instructions_of_a_processor(monkeypatch, found, computes):
    """An x86 processor without the instructions emulates them; of others torch does not tell."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found)
    assert computes_bfloat16(CPU) is computes


@pytest.mark.parametrize("computes", [True, False])
def test_auto_on_a_gpu(monkeypatch, computes):
    """A GPU that only emulates bfloat16 gets float32, unless it is asked for bfloat16."""
    monkeypatch.setattr(
        torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation or computes
    )
    assert _fitting.uses_bfloat16("auto", GPU) is computes
    assert not _fitting.uses_bfloat16("auto", CPU)
    assert _fitting.uses_bfloat16("bfloat16", GPU)


@pytest.mark.parametrize(
    ("precision", "computes", "n"), [("bfloat16", False, 1), ("bfloat16", True, 0), ("auto", False, 0)]
)
def test_emulation_is_warned_about(monkeypatch, precision, computes, n):
    """Before a training that takes many times as long as it must, at the line that called fit."""
    monkeypatch.setattr(_fitting, "computes_bfloat16", lambda device: computes)
    X = np.random.default_rng(0).random((4, 1, 8, 8), dtype=np.float32)
    regenerator = DiffusionRegenerator({"block_out_channels": (4, 4)}, max_epochs=1, precision=precision, device="cpu")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        regenerator.fit(X)
    slow = [each for each in caught if issubclass(each.category, TrainingTimeWarning)]
    assert len(slow) == n
    assert all("'bfloat16' is emulated on this cpu" in str(each.message) for each in slow)
    assert all(each.filename == __file__ for each in slow)

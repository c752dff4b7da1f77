"""How many rows a network gets at a time, and what happens where memory runs out."""

import numpy as np
import pytest
import torch
from torch import nn

from skdiffence.diffusion import DiffusionRegenerator
from skdiffence.diffusion import _batches as batches
from skdiffence.diffusion._batches import in_batches, row_bytes, rows_per_batch, rows_to_fill
from skdiffence.diffusion._denoisers import make_unet
from tests.diffusion.networks import Cramped

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
IMAGES = np.random.default_rng(0).uniform(size=(50, 3, 16, 16)).astype(np.float32)


class Memory:
    """Work that runs out of memory above a number of rows, and remembers what it did."""

    def __init__(self, n_rows):
        self.n_rows = n_rows
        self.tried, self.done = [], []

    def __call__(self, rows):
        size = rows.stop - rows.start
        self.tried.append(size)
        if size > self.n_rows:
            raise torch.OutOfMemoryError("too many rows")
        self.done += range(rows.start, rows.stop)


@pytest.mark.parametrize(
    "n_rows, size, fits", [(1, 1, 1), (7, 3, 9), (50, 32, 5), (50, 64, 1), (50, 50, 49), (3, 1024, 2)]
)
def test_every_row_once_in_order(n_rows, size, fits):
    """Every row is worked on once and in order, whatever fits."""
    work = Memory(fits)
    in_batches(work, n_rows, size)
    assert work.done == list(range(n_rows))


def test_halves_and_stays_small():
    """The size is halved until it fits, and not tried larger again."""
    work = Memory(10)
    in_batches(work, 50, 32)
    assert work.tried == [32, 16, 8, 8, 8, 8, 8, 8, 2]


@pytest.mark.parametrize("fits, may_halve, tried", [(0, True, [4, 2, 1]), (3, False, [4])])
def test_too_little_memory_is_an_error(fits, may_halve, tried):
    """Where one row does not fit, or the size may not change, the error is the device's own."""
    work = Memory(fits)
    with pytest.raises(torch.OutOfMemoryError, match="too many rows"):
        in_batches(work, 9, 4, may_halve=may_halve)
    assert work.tried == tried


def test_other_errors_pass():
    """An error that is not about memory is raised at once."""

    def fail(rows):
        raise RuntimeError("something else")

    with pytest.raises(RuntimeError, match="something else"):
        in_batches(fail, 9, 4)


@pytest.mark.parametrize("noise", ["shared", "row"])
def test_answers_do_not_change_where_memory_runs_out(noise):
    """A network that runs out of memory above 5 rows gives the answers that it gives with memory for all."""
    roomy, cramped = (DiffusionRegenerator(Cramped(n), noise=noise, random_state=0).fit(IMAGES) for n in (99, 5))
    answer = cramped.regenerate(IMAGES, np.arange(50) % 3)
    np.testing.assert_allclose(answer, roomy.regenerate(IMAGES, np.arange(50) % 3), atol=1e-5)
    # The first call is the trial of fit.
    assert cramped.denoiser_.sizes[1:] == [50, 25, 12, 6] + [3] * 16 + [2]


def test_exact_answers_are_not_made_at_another_batch_shape():
    """With exact=True too little memory is an error, because other batch shapes could change the last bits."""
    regenerator = DiffusionRegenerator(Cramped(5), exact=True, random_state=0).fit(IMAGES)
    with pytest.raises(torch.OutOfMemoryError):
        regenerator.transform(IMAGES)


@pytest.mark.parametrize("shape, n_rows", [((1, 8, 8), 512), ((3, 32, 32), 32), ((3, 256, 256), 1), ((30,), 1024)])
def test_size_on_a_cpu(shape, n_rows):
    """On a CPU the number of rows follows from the size of the image alone."""
    assert rows_per_batch(nn.Identity(), shape, CPU) == n_rows
    assert 1 <= rows_to_fill(shape, CPU) <= n_rows


class Doubling(nn.Module):
    """Two layers that write 4 and 8 channels."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(1, 4, 1), nn.Conv2d(4, 8, 1))

    def forward(self, x, timesteps):
        """Return the second layer's output."""
        return self.layers(x)


def test_memory_of_a_row_by_hand():
    """Two layers write 12 channels of 4x4 pixels in float32."""
    network = Doubling()
    assert row_bytes(network, (1, 4, 4), CPU) == 12 * 16 * 4 + 1
    assert not any(module._forward_hooks for module in network.modules())


@pytest.mark.parametrize("free, n_rows", [(0, 1), (2 * 769 * 10, 10), (2**60, 1 << 14)])
def test_size_follows_free_memory(monkeypatch, free, n_rows):
    """On CUDA half of the free memory is shared out, up to a number that keeps the device busy."""
    monkeypatch.setattr(batches, "_free_bytes", lambda device: free)
    assert rows_per_batch(Doubling(), (1, 4, 4), CUDA) == n_rows


@pytest.mark.skipif(not torch.cuda.is_available(), reason="asks a GPU")
def test_free_memory_of_a_gpu():
    """A GPU's free memory is more than nothing and no more than it has."""
    assert 0 < batches._free_bytes(CUDA) <= torch.cuda.mem_get_info(CUDA)[1]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="asks a GPU")
def test_module_on_a_gpu():
    """A pretrained module may be on a GPU; it stays there, and answers as its copy on the CPU does."""
    module = make_unet(IMAGES.shape[1:], {"block_out_channels": (4, 4), "add_attention": False}).to(CUDA)
    answers = [
        DiffusionRegenerator(module, device=device, precision="float32", random_state=0).fit(IMAGES).transform(IMAGES)
        for device in ("cpu", "cuda")
    ]
    np.testing.assert_allclose(*answers, atol=1e-4)
    assert next(module.parameters()).device.type == "cuda"

"""The training loop's own parts."""

import pytest
import torch
from torch import nn

from skdiffence.diffusion._schedule import Schedule, make_scheduler
from skdiffence.diffusion._training import MovingAverage, Trainer
from tests.diffusion.networks import Linear


def _walk(decay, n_updates):
    """Average a weight that walks, and return the averaged network, the weights walked over and the network."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    average, walked = MovingAverage(network, decay), []
    for step in range(n_updates):
        with torch.no_grad():
            for weight in network.parameters():
                weight.add_(torch.randn(weight.shape))
            network[1].running_mean += step
        walked.append(network[0].weight.detach().clone())
        average.update(network)
    return average.finish(network), walked, network


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.995])
def test_moving_average_by_hand(decay):
    """The average equals its recursion written out: the first weights, then a decay that grows to its own."""
    averaged, walked, _ = _walk(decay, 40)
    expected = walked[0]
    for n, weight in enumerate(walked[1:], start=1):
        keep = min(decay, (1 + n) / (10 + n))
        expected = keep * expected + (1 - keep) * weight
    torch.testing.assert_close(averaged[0].weight, expected)


def test_moving_average_has_the_last_buffers():
    """Batch statistics are those of the trained network at the end, and no weight wants a gradient."""
    averaged, _, network = _walk(0.9, 5)
    assert torch.equal(averaged[1].running_mean, network[1].running_mean) and averaged[1].running_mean.sum() == 20
    assert not any(weight.requires_grad for weight in averaged.parameters())


class Noting(Linear):
    """Notes the timesteps that it is trained on."""

    noted = ()

    def forward(self, x, timesteps):
        """Return x times the weights."""
        self.noted = (*self.noted, *timesteps.tolist())
        return super().forward(x, timesteps)


def _trained(n_levels=10, ema_decay=0.995):
    """Train on 200 rows for five epochs; return the averaged network and the one that was trained."""
    schedule = Schedule(make_scheduler(100, "linear"))
    settings = {"max_epochs": 5, "batch_size": 50, "lr": 0.01, "autocast": False, "seed": 0, "verbose": 0}
    network = Noting((3,))
    rows = torch.randn(200, 3, generator=torch.Generator().manual_seed(0))
    averaged, _ = Trainer(schedule, n_levels=n_levels, ema_decay=ema_decay, **settings).train(network, rows)
    return averaged, network


def test_timesteps_are_drawn_in_proportion_to_their_number():
    """Timestep t of n has the probability (2 t + 1) / n^2; each share is within five standard errors of it."""
    _, network = _trained(n_levels=10)
    share = torch.bincount(torch.tensor(network.noted), minlength=10) / len(network.noted)
    expected = (2 * torch.arange(10) + 1) / 100
    assert len(network.noted) == 1000
    assert ((share - expected).abs() < 5 * (expected * (1 - expected) / 1000).sqrt()).all()


def test_training_returns_the_moving_average():
    """Not the last weights, unless each update replaces the average."""
    for ema_decay, is_last in ((0.995, False), (0.0, True)):
        averaged, network = _trained(ema_decay=ema_decay)
        assert averaged is not network
        assert torch.equal(averaged.weight, network.weight) == is_last

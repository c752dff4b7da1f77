"""The training loop's own parts."""

import pytest
import torch
from torch import nn

from skdiffence.diffusion._training import MovingAverage


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

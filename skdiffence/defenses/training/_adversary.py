"""The attack in adversarial regularization: a network on logits and labels that predicts membership."""

import torch
from torch import nn
from torch.nn import functional


class MembershipNetwork(nn.Module):
    """A network with one branch for the logits and one for the true label that returns log-odds of membership.

    Parameters
    ----------
    n_classes : int
        Number of logits.
    width : int, default=64
        Size of the network, whose widest layer has 16 times as many units.
    """

    def __init__(self, n_classes, width=64):
        super().__init__()
        self.answer = _layers(n_classes, 16 * width, 8 * width, width)
        self.label = _layers(n_classes, 2 * width, width)
        self.both = nn.Sequential(_layers(2 * width, 8 * width, 4 * width, 2 * width, width), nn.Linear(width, 1))

    def forward(self, logits, y):
        """Return the log-odds.

        Parameters
        ----------
        logits : tensor of shape (n_samples, n_classes)
            The output of the classifier.
        y : int64 tensor of shape (n_samples,)
            True class codes.

        Returns
        -------
        log_odds : tensor of shape (n_samples,)
        """
        label = functional.one_hot(y, logits.shape[1]).to(logits.dtype)
        return self.both(torch.cat([self.answer(logits), self.label(label)], dim=1)).squeeze(1)


def _layers(*sizes):
    pairs = zip(sizes[:-1], sizes[1:], strict=True)
    return nn.Sequential(*(layer for pair in pairs for layer in (nn.Linear(*pair), nn.ReLU())))


class Adversary:
    """A membership network and its optimizer.

    Parameters
    ----------
    n_classes : int
        Number of logits.
    width : int
        Size of the network.
    lr : float
        Learning rate of Adam.
    device : torch.device
        The device of the network.
    """

    def __init__(self, n_classes, width, lr, device):
        self.network = MembershipNetwork(n_classes, width).to(device)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=lr)

    def learn(self, members, reference):
        """Take a step of training on as many rows of each side.

        Parameters
        ----------
        members, reference : tuple of (logits, y)
            The classifier's output for rows of each side, without gradients.

        Returns
        -------
        loss : float
            Mean cross-entropy before the step.
        """
        self.network.requires_grad_(True)
        log_odds = torch.cat([self.network(*members), self.network(*reference)])
        is_member = torch.zeros_like(log_odds)
        is_member[: len(members[1])] = 1
        loss = functional.binary_cross_entropy_with_logits(log_odds, is_member)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def gain(self, logits, y):
        """Return the mean membership probability of members, less one half.

        Parameters
        ----------
        logits : tensor of shape (n_samples, n_classes)
            The classifier's output. Gradients flow to it and not to the network.
        y : int64 tensor of shape (n_samples,)
            True class codes.

        Returns
        -------
        gain : tensor of shape ()
        """
        self.network.requires_grad_(False)
        return torch.sigmoid(self.network(logits, y)).mean() - 0.5

"""The opponent of adversarial regularization: a network that learns membership from logits and labels."""

import torch
from torch import nn
from torch.nn import functional


class MembershipNetwork(nn.Module):
    """Read logits and the true label, each in a branch of its own, and give the log-odds of membership.

    Parameters
    ----------
    n_classes : int
        Number of logits.
    width : int, default=64
        Size of the network: its widest layer has 16 times as many units.
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
            What the classifier gives.
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
    """A membership network and how it is trained.

    Parameters
    ----------
    n_classes : int
        Number of logits.
    width : int
        Size of the network.
    lr : float
        Learning rate of Adam.
    device : torch.device
        Where it computes.
    """

    def __init__(self, n_classes, width, lr, device):
        self.network = MembershipNetwork(n_classes, width).to(device)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=lr)

    def learn(self, members, reference):
        """Take a step towards telling the two sides apart.

        Parameters
        ----------
        members, reference : tuple of (logits, y)
            Answers to as many rows of each side, without gradients.

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
        """Return what it gains from answers to members: their mean membership probability less one half.

        Parameters
        ----------
        logits : tensor of shape (n_samples, n_classes)
            Answers; gradients flow to these and not to the network.
        y : int64 tensor of shape (n_samples,)
            True class codes.

        Returns
        -------
        gain : tensor of shape ()
        """
        self.network.requires_grad_(False)
        return torch.sigmoid(self.network(logits, y)).mean() - 0.5

"""Small networks at module level, where pickle and other processes can find them."""

import torch
from skorch import NeuralNetBinaryClassifier, NeuralNetClassifier
from torch import nn


class MLP(nn.Module):
    """One hidden layer on rows or flattened images; gives probabilities, as ``NLLLoss`` in skorch wants them."""

    def __init__(self, n_features=64, n_classes=10, width=32):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(), nn.Linear(n_features, width), nn.ReLU(), nn.Linear(width, n_classes), nn.Softmax(dim=-1)
        )

    def forward(self, X):
        """Return probabilities of shape (n_samples, n_classes)."""
        return self.layers(X)


class LogitMLP(MLP):
    """The same without its softmax: right under ``CrossEntropyLoss``, wrong under ``NLLLoss``."""

    def __init__(self, n_features=64, n_classes=10, width=32):
        super().__init__(n_features, n_classes, width)
        self.layers = self.layers[:-1]


class BinaryMLP(nn.Module):
    """One logit a row, for skorch's binary classifier and its float labels."""

    def __init__(self, n_features=2, width=16):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(n_features, width), nn.ReLU(), nn.Linear(width, 1))

    def forward(self, X):
        """Return logits of shape (n_samples,)."""
        return self.layers(X).squeeze(-1)


class CNN(nn.Module):
    """One convolution on images of any height and width."""

    def __init__(self, n_channels=1, n_classes=10, width=8):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(n_channels, width, 3, padding=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.Linear(4 * width, n_classes),
            nn.Softmax(dim=-1),
        )

    def forward(self, X):
        """Return probabilities of shape (n_samples, n_classes)."""
        return self.layers(X)


def make_net(module=MLP, **params):
    """Return an unfitted multi-class skorch net; ``params`` override its settings."""
    settings = {"max_epochs": 5, "lr": 0.01, "batch_size": 32, "optimizer": torch.optim.Adam}
    settings |= {"train_split": None, "verbose": 0} | params
    return NeuralNetClassifier(module, **settings)


def make_logit_net(**params):
    """Return an unfitted multi-class net whose module gives logits and whose criterion knows it."""
    return make_net(LogitMLP, criterion=nn.CrossEntropyLoss, **params)


def make_binary_net(**params):
    """Return an unfitted binary skorch net; ``params`` override its settings."""
    settings = {"max_epochs": 5, "lr": 0.01, "batch_size": 32, "optimizer": torch.optim.Adam}
    settings |= {"train_split": None, "verbose": 0} | params
    return NeuralNetBinaryClassifier(BinaryMLP, **settings)

"""Make a defended classifier of digits to try the server with.

python examples/serve/make_model.py FOLDER --key-file noise.key
"""

import argparse

import torch
from sklearn.utils import shuffle
from skorch import NeuralNetClassifier
from torch import nn

from skdiffence import DefendedClassifier, DiffusionRegenerator
from skdiffence.datasets import load_digit_images


class Net(nn.Module):
    """One hidden layer, wide enough to memorize some hundred digits."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 10))

    def forward(self, X):
        """Return logits."""
        return self.layers(X)


def split():
    """Return public images, images and labels that train the net, and as many images that train nothing."""
    digits = load_digit_images()
    X, y = shuffle(digits.data, digits.target, random_state=0)
    return X[:1000], X[1000:1300], y[1000:1300], X[1300:1600]


def make_model(n_epochs=60, denoiser_epochs=30, **params):
    """Return a fitted classifier whose denoiser was trained on public rows."""
    public, X, y, _ = split()
    trained = DiffusionRegenerator(timestep=200, max_epochs=denoiser_epochs, value_range=(0, 1)).fit(public)
    regenerator = DiffusionRegenerator(trained.denoiser_, timestep=200, value_range=(0, 1), **params)
    net = NeuralNetClassifier(
        Net,
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        lr=0.01,
        max_epochs=n_epochs,
        train_split=None,
        verbose=0,
    )
    return DefendedClassifier(net, regenerator).fit(X, y)


def main():
    """Train and save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("--key-file", help="file of the keys; noise.key in the folder if not given")
    parser.add_argument("--exact", action="store_true", help="bit-equal answers in batches of any size")
    options = parser.parse_args()
    make_model(exact=options.exact).save_pretrained(options.folder, key_file=options.key_file)


if __name__ == "__main__":
    main()

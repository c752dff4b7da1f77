"""The defenses that act in training, with the small settings of tests."""

import numpy as np
import torch
from skorch.callbacks import Checkpoint, EarlyStopping

from skdiffence.defenses import AdvRegClassifier, HAMPClassifier, RelaxLossClassifier
from tests.defenses.cases import digits
from tests.nets import LogitMLP

TRAINED = {
    "hamp": HAMPClassifier,
    "relaxloss": RelaxLossClassifier,
    "advreg": lambda *args, **params: AdvRegClassifier(
        *args, **{"adversary_width": 2, "adversary_steps": 1, "adversary_lr": 0.01} | params
    ),
}


def make(name, module=LogitMLP, **params):
    """Return an unfitted defense; ``params`` override its settings."""
    settings = {"max_epochs": 4, "lr": 0.02, "batch_size": 32, "optimizer": torch.optim.Adam}
    settings |= {"verbose": 0, "random_state": 0} | params
    return TRAINED[name](module, **settings)


def keepers(folder):
    """Return callbacks that keep weights: of every epoch, of the best one, and of the best one before stopping."""
    return [
        Checkpoint(monitor=None, dirname=folder / "every", f_optimizer=None),
        Checkpoint(monitor="train_loss_best", dirname=folder / "best", load_best=True),
        EarlyStopping(monitor="train_loss", patience=9, load_best=True),
    ]


def codes(n_rows=None):
    """Return digits in the types of a bare net."""
    X, y = digits()
    return X[:n_rows].astype(np.float32), y[:n_rows].astype(np.int64)

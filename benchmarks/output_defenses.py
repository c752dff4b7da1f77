"""What SELENA, MemGuard, DP-SGD and coarser answers do against the attack each is made for, and what they cost.

    python benchmarks/output_defenses.py --repeats 6

Digits, half of the rows members, a tenth of the labels wrong, a network wide enough to learn them by heart. Each
repeat has other rows and weights. Printed are means over repeats and paired differences from the undefended network
with 95 % intervals of the t distribution: areas under the ROC curve of attacks, each row scored by one that knew the
other half, and utility on non-members. "labels" is the attack on right and wrong labels, below which no defence that
keeps labels can come. "stand-in" is what MemGuard's own attack loses by it.
"""

import argparse
import warnings

import numpy as np
import torch
from scipy.stats import t
from sklearn.metrics import log_loss, roc_auc_score
from skorch import NeuralNetClassifier
from torch import nn

from skdiffence.attacks import NonMonotoneAttack, ThresholdAttack, query
from skdiffence.datasets import load_digit_images
from skdiffence.defenses import (
    DefendedClassifier,
    DPSGDClassifier,
    MemGuardClassifier,
    OutputClassifier,
    SELENAClassifier,
)
from skdiffence.model_selection._cross_fit import cross_fit
from skdiffence.utils._rows import row_digests

ATTACKS = {
    "labels": ThresholdAttack("correctness"),
    "confidence": ThresholdAttack("confidence"),
    "entropy": ThresholdAttack("entropy"),
    "non-monotone": NonMonotoneAttack(),
}
COLUMNS = (*ATTACKS, "stand-in", "accuracy", "log loss")


class Net(nn.Module):
    """A wide hidden layer on flattened images."""

    def __init__(self, width=256):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))

    def forward(self, X):
        """Return logits."""
        return self.layers(X)


def net():
    """Return the network that learns by heart."""
    return NeuralNetClassifier(
        Net,
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        lr=0.003,
        max_epochs=40,
        batch_size=32,
        train_split=None,
        verbose=0,
    )


def private_net(epsilon):
    """Return a network of the same form under differential privacy."""
    return DPSGDClassifier(Net, target_epsilon=epsilon, lr=2.0, max_epochs=60, batch_size=64, verbose=0)


def defences(seed):
    """Return the defences by name; the first is none."""
    return {
        "undefended": DefendedClassifier(net(), "passthrough", random_state=seed),
        "label": OutputClassifier(net(), "label", random_state=seed),
        "round, 1 digit": OutputClassifier(net(), "round", random_state=seed),
        "temperature 5": OutputClassifier(net(), "temperature", temperature=5.0, random_state=seed),
        "MemGuard": MemGuardClassifier(net(), random_state=seed),
        "Split-AI": SELENAClassifier(net(), n_estimators=10, n_excluded=4, distill=False, random_state=seed),
        "SELENA": SELENAClassifier(net(), n_estimators=10, n_excluded=4, random_state=seed),
        "DP-SGD, eps 8": DefendedClassifier(private_net(8.0), "passthrough", random_state=seed),
        "DP-SGD, eps 100": DefendedClassifier(private_net(100.0), "passthrough", random_state=seed),
    }


def rows(n, wrong, seed):
    """Return images, labels of which a share is wrong, and a mask of members."""
    data, rng = load_digit_images(), np.random.default_rng(seed)
    chosen = rng.permutation(len(data.target))[:n]
    is_wrong = rng.random(n) < wrong
    y = (data.target[chosen] + is_wrong * rng.integers(1, 10, size=n)) % 10
    return data.data[chosen].astype(np.float32), y, np.arange(n) % 2 == 0


def stand_in_auc(defended, reference, X, is_member):
    """Return the area of MemGuard's own stand-in on the answers; nan where none was trained."""
    if not isinstance(defended, MemGuardClassifier):
        return np.nan
    answers = torch.from_numpy(np.asarray(defended.predict_proba(X), dtype=float))
    before = torch.from_numpy(np.asarray(reference.predict_proba(X), dtype=float))
    areas = [roc_auc_score(is_member, defended.attack_(each).numpy()) for each in (answers, before)]
    return areas[0] - areas[1]


def measure(defended, X, y, is_member, known):
    """Fit a defence and return its figures on the rows that nobody calibrates on."""
    if isinstance(defended, (MemGuardClassifier, OutputClassifier)):
        given = is_member | known
        defended.fit(X[given], y[given], is_member=is_member[given])
        left = ~defended.calibrated_on_.contains(X) & ~known
    else:
        defended.fit(X[is_member], y[is_member])
        left = ~known
    X, y, is_member = X[left], y[left], is_member[left]
    answers = query(defended, X, y)
    figures = {}
    for attack, each in ATTACKS.items():
        scores = cross_fit(each, defended, answers, X, y, is_member, row_digests(X), known=0.5, seed=0).scores
        figures[attack] = roc_auc_score(is_member, scores)
    figures["stand-in"] = np.nan
    if isinstance(defended, MemGuardClassifier):
        figures["stand-in"] = stand_in_auc(defended, defended.undefended_, X, is_member)
    others = ~is_member
    figures["accuracy"] = np.mean(defended.predict(X[others]) == y[others])
    proba = np.clip(defended.predict_proba(X[others]), 1e-12, 1)
    figures["log loss"] = log_loss(y[others], proba / proba.sum(axis=1, keepdims=True), labels=np.arange(10))
    return figures


def report(records, name):
    """Print means, and differences from the undefended network with their intervals."""
    cells = []
    for column in COLUMNS:
        values = np.array([record[column] for record in records[name]])
        base = np.array([record[column] for record in records["undefended"]])
        difference = values - base if column != "stand-in" else values
        if np.isnan(difference).all():
            cells.append(f"{'-':>22}")
            continue
        half = t.ppf(0.975, len(difference) - 1) * difference.std(ddof=1) / np.sqrt(len(difference))
        cells.append(f"{values.mean():6.3f} ({difference.mean():+.3f}±{half:.3f})".rjust(22))
    print(f"{name:17}" + "".join(cells), flush=True)


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=6)
    parser.add_argument("--rows", type=int, default=500)
    parser.add_argument("--wrong", type=float, default=0.1, help="share of labels that are wrong")
    options = parser.parse_args()
    records = {name: [] for name in defences(0)}
    for seed in range(options.repeats):
        X, y, is_member = rows(options.rows, options.wrong, seed)
        # Non-members to calibrate on, which no defence is scored on.
        known = ~is_member & (np.arange(len(y)) < options.rows // 5)
        for name, defended in defences(seed).items():
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Optimal order is the", UserWarning)
                records[name].append(measure(defended, X, y, is_member, known))
        if seed > 0:
            print(f"\nafter {seed + 1} repeats")
            print(" " * 17 + "".join(f"{column:>22}" for column in COLUMNS))
            for each in records:
                report(records, each)


if __name__ == "__main__":
    main()

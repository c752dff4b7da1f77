"""CPU seconds of whole audits with the standard attacks, by the kind and the number of rows, and of each attack.

    python benchmarks/audit_costs.py digits 2000
    python benchmarks/audit_costs.py columns 2000 --suite quick

Rows: "digits", noisy digits of 64 pixels; "columns", two classes in 30 columns; "photographs", noise of 3x64x64 pixels;
"defended", digits behind a regenerator. The target is a forest of 50 trees, or a net behind the regenerator.
"""

import argparse
import time

import numpy as np
from sklearn.datasets import load_digits, make_classification
from sklearn.ensemble import RandomForestClassifier
from skorch import NeuralNetClassifier
from torch import nn

from skdiffence import DefendedClassifier, DiffusionRegenerator
from skdiffence.inspection import audit

KINDS = ("columns", "defended", "digits", "photographs")


class FlatForest(RandomForestClassifier):
    """A forest on the pixels of images."""

    def fit(self, X, y):
        """Train on flattened images."""
        return super().fit(X.reshape(len(X), -1), y)

    def predict_proba(self, X):
        """Return probabilities."""
        return super().predict_proba(X.reshape(len(X), -1))

    def predict(self, X):
        """Return labels."""
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


class SmallNet(nn.Sequential):
    """A net for images of 8x8 pixels."""

    def __init__(self):
        super().__init__(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(1024, 10))


def rows(kind, n):
    """Return as many members and non-members, and their labels."""
    rng = np.random.default_rng(0)
    if kind == "columns":
        return make_classification(2 * n, 30, n_informative=10, flip_y=0.1, random_state=0)
    if kind == "photographs":
        return rng.random((2 * n, 3, 64, 64), dtype=np.float32), rng.integers(0, 10, 2 * n)
    X, y = load_digits(return_X_y=True)
    drawn = rng.integers(0, len(y), 2 * n)
    X, y = X[drawn] / 16 + rng.normal(0, 0.05, (2 * n, 64)), y[drawn]
    return (X.reshape(-1, 1, 8, 8).astype(np.float32) if kind == "defended" else X), y


def target(kind):
    """Return an unfitted classifier."""
    if kind == "photographs":
        return FlatForest(50, random_state=0)
    if kind != "defended":
        return RandomForestClassifier(50, random_state=0)
    net = NeuralNetClassifier(
        SmallNet, criterion=nn.CrossEntropyLoss, max_epochs=40, lr=0.1, train_split=None, verbose=0
    )
    return DefendedClassifier(net, DiffusionRegenerator(max_epochs=20, random_state=0), random_state=0)


def main(arguments=None):
    """Audit and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("n_rows", type=int, help="members, and as many non-members")
    parser.add_argument("--suite", default="standard", choices=("quick", "standard"))
    options = parser.parse_args(arguments)
    X, y = rows(options.kind, options.n_rows)
    sides = (X[: options.n_rows], y[: options.n_rows]), (X[options.n_rows :], y[options.n_rows :])
    fitted = target(options.kind).fit(*sides[0])
    start = time.process_time()
    report = audit(fitted, *sides, attacks=options.suite, random_state=0)
    seconds = time.process_time() - start
    print(f"{options.kind}, {options.n_rows} + {options.n_rows} rows, {options.suite}: {seconds:.1f} CPU s")
    spent = {attack.attack: attack.seconds for attack in report.targets["audited"].attacks}
    total = sum(spent.values())
    for name, each in sorted(spent.items(), key=lambda item: -item[1])[:6]:
        print(f"  {name:28s}{each / total:6.0%} of the time of attacks")


if __name__ == "__main__":
    main()

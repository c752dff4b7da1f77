"""The canary protocol on digits, end to end: logistic regression and a small net, bare and defended.

    python benchmarks/canaries.py --jobs 2

Of 1,797 rows 1,200 are training rows, of which a tenth are canaries; the others measure accuracy. With ``--cache`` the
models are kept, so that another run asks them only.
"""

import argparse
import time
import warnings

import torch
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from skorch import NeuralNetClassifier
from torch import nn

from skdiffence import DefendedClassifier, DiffusionRegenerator
from skdiffence.inspection import canary_audit
from skdiffence.inspection._demo import DigitNet

N_TRAIN = 1200


def main():
    """Run the audits and print them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=int, default=64, help="number of shadow models of each audit")
    parser.add_argument("--kinds", nargs="+", default=["clean", "mislabelled"], help="kinds of canaries")
    parser.add_argument("--cache", default=None, help="folder to keep the models in")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--defended", action="store_true", help="also the net behind a regenerator trained on digits")
    options = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    torch.set_num_threads(1)
    # A module class of this script could not be sent to other processes.
    net = NeuralNetClassifier(
        DigitNet,
        criterion=nn.CrossEntropyLoss,
        max_epochs=30,
        lr=0.01,
        batch_size=128,
        optimizer=torch.optim.Adam,
        train_split=None,
        verbose=0,
    )
    targets = {"logistic regression": LogisticRegression(C=10.0, max_iter=200), "net of one hidden layer": net}
    if options.defended:
        targets["the net, defended"] = DefendedClassifier(net, DiffusionRegenerator(max_epochs=20), selection="swap")
    started = time.perf_counter()
    for name, target in targets.items():
        for kind in options.kinds:
            report(name, target, kind, options)
    print(f"all in {time.perf_counter() - started:.0f} s")


def report(name, target, kind, options):
    """Audit one classifier with one kind of canaries and print what leaks."""
    X, y = load_digits(return_X_y=True)
    X = (X / 16).astype("float32")
    started = time.perf_counter()
    result = canary_audit(
        target,
        X[:N_TRAIN],
        y[:N_TRAIN],
        kind=kind,
        X_test=X[N_TRAIN:],
        y_test=y[N_TRAIN:],
        n_shadows=options.models,
        cache_dir=options.cache,
        n_jobs=options.jobs,
        random_state=options.seed,
    )
    print(f"{name}, in {time.perf_counter() - started:.0f} s\n{result!r}\n", flush=True)


if __name__ == "__main__":
    main()

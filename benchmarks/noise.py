"""Which noise holds better against repeated queries: "shared", "row" or "fresh", on digits.

    python benchmarks/noise.py --splits 10

The attacker asks about each row eight times and averages phi: the row itself, rows that differ by one gray level of 16
in a fifth of the pixels, or rows shifted by one pixel. AUC of the average, as a mean over splits with half of its 95 %
interval; one network call a query ("swap").
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import roc_auc_score

from skdiffence._demo._digits import DemoSettings, make_net, train_denoiser
from skdiffence._demo._split import Split
from skdiffence._demo._table import format_means
from skdiffence.datasets import load_digit_images, membership_partition
from skdiffence.diffusion import DiffusionRegenerator
from skdiffence.metrics import logit_signal

N_QUERIES = 8
QUERIES = ("the same", "near-duplicates", "shifts")


def variants(X, kind, rng):
    """Yield eight versions of all rows."""
    steps = [(0, 0), (0, 1), (1, 0), (0, -1), (-1, 0), (1, 1), (-1, -1), (1, -1)]
    for query in range(N_QUERIES):
        if kind == "near-duplicates" and query:
            change = rng.choice([-1, 1], X.shape) * (rng.random(X.shape) < 0.2) / 16
            yield np.clip(X + change, 0, 1).astype(np.float32)
        elif kind == "shifts":
            padded = np.pad(X, ((0, 0), (0, 0), (1, 1), (1, 1)))
            down, right = steps[query]
            yield np.ascontiguousarray(padded[:, :, 1 + down : 9 + down, 1 + right : 9 + right])
        else:
            yield X


def mean_phi(classifier, X, kind, seed):
    """Average phi of the answered label over the versions of each row."""
    rng = np.random.default_rng(seed)
    phis = []
    for rows in variants(X, kind, rng):
        proba = classifier.predict_proba(rows)
        phis.append(logit_signal(proba.argmax(axis=1), proba))
    return np.mean(phis, axis=0)


def main():
    """Run the comparison and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--splits", type=int, default=10)
    parser.add_argument("--seed", type=int, default=200)
    options = parser.parse_args()
    settings, digits = DemoSettings(), load_digit_images()
    parts = membership_partition(len(digits.data), {"public": settings.n_public}, random_state=options.seed)
    records = []
    with tempfile.TemporaryDirectory() as folder:
        train_denoiser(settings, digits.data[parts.public], Path(folder), options.seed, 1)
        for number in range(options.splits):
            split = Split(
                digits.data[parts.rest],
                digits.target[parts.rest],
                lambda: make_net(settings),
                {"members": settings.n_members, "known": settings.n_known},
                settings.n_candidates,
                options.seed + number,
            )
            X = np.concatenate((split.X_fit[split.is_member], split.X_rest[:500]))
            is_member = np.arange(len(X)) < split.is_member.sum()
            rows = {"undefended": split.net}
            for noise in ("shared", "row", "fresh"):
                regenerator = DiffusionRegenerator(
                    Path(folder) / "denoiser", timestep=settings.timestep, value_range=(0, 1), noise=noise
                ).fit(X)
                rows[noise] = split.defend(FrozenEstimator(regenerator), "swap")
            for name, classifier in rows.items():
                record = {"name": name}
                record["one query"] = roc_auc_score(is_member, mean_phi_once(classifier, X))
                for kind in QUERIES:
                    record[kind] = roc_auc_score(is_member, mean_phi(classifier, X, kind, number))
                records.append(record)
    keys = ["one query", *QUERIES]
    print(format_means(records, [(key, key, 3) for key in keys], "phi's AUC"))


def mean_phi_once(classifier, X):
    """phi of one answer to each row."""
    proba = classifier.predict_proba(X)
    return logit_signal(proba.argmax(axis=1), proba)


if __name__ == "__main__":
    main()

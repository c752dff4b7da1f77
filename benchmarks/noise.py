"""Which noise resists repeated queries best: "shared", "row" or "fresh", on digits.

    python benchmarks/noise.py --splits 10

The attacker queries each row eight times and averages phi: the row itself, rows that differ by one gray level of 16
in a fifth of the pixels, or rows shifted by one pixel. AUC of the average, as a mean over splits with half of its 95 %
interval; one network call a query ("swap").
"""

import tempfile
from pathlib import Path

import numpy as np
from _common import make_parser
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import roc_auc_score

from skdiffence._demo._digits import DemoSettings, draw_digits, split_digits, train_denoiser
from skdiffence._demo._table import format_means
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


def mean_phi(classifier, versions):
    """Average phi of the predicted label over versions of each row."""
    answers = [classifier.predict_proba(rows) for rows in versions]
    return np.mean([logit_signal(proba.argmax(axis=1), proba) for proba in answers], axis=0)


def compare(split, denoiser, settings, number):
    """Return a record for the undefended net and for each noise on one split."""
    X = np.concatenate((split.X_fit[split.is_member], split.X_rest[:500]))
    is_member = np.arange(len(X)) < split.is_member.sum()
    classifiers = {"undefended": split.net}
    for noise in ("shared", "row", "fresh"):
        regenerator = DiffusionRegenerator(denoiser, timestep=settings.timestep, value_range=(0, 1), noise=noise)
        classifiers[noise] = split.defend(FrozenEstimator(regenerator.fit(X)), "swap")
    records = []
    for name, classifier in classifiers.items():
        record = {"name": name, "one query": roc_auc_score(is_member, mean_phi(classifier, [X]))}
        for kind in QUERIES:
            phi = mean_phi(classifier, variants(X, kind, np.random.default_rng(number)))
            record[kind] = roc_auc_score(is_member, phi)
        records.append(record)
    return records


def main():
    """Run the comparison and print it."""
    options = make_parser(__doc__, splits=10, seed=200, output=False).parse_args()
    settings, records = DemoSettings(), []
    digits = draw_digits(settings, options.seed)
    with tempfile.TemporaryDirectory() as folder:
        train_denoiser(settings, digits.X_public, Path(folder), options.seed, 1)
        for number in range(options.splits):
            split = split_digits(settings, digits, options.seed + number)
            records += compare(split, Path(folder) / "denoiser", settings, number)
    columns = [(key, key, 3) for key in ("one query", *QUERIES)]
    print(format_means(records, columns, "phi's AUC"))


if __name__ == "__main__":
    main()

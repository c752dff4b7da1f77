"""The cost of an audit: answers shared by all attacks, and shadows queried once, against the plain way.

    python benchmarks/audit.py --output benchmarks/results
    python benchmarks/audit.py --data images.npz

The plain way: each attack asks the target by itself, each attack asks the shadows by itself, and LiRA goes row by row.
Both run in turns in one process on the same models and rows. Images come as ``X`` and labels as ``y`` of an ``.npz``.
"""

import os
import shutil
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
from _common import make_parser, save
from scipy.stats import norm
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import roc_auc_score

from skdiffence import DefendedClassifier, DiffusionRegenerator
from skdiffence._demo._engine import AnswerMemory, attack_scores, remember_answers, row_digests, split_halves
from skdiffence._demo._record import machine
from skdiffence.attacks import (
    AnswerCostAttack,
    LabelOnlyAttack,
    LiRAAttack,
    NonMonotoneAttack,
    RepeatedQueryAttack,
    RMIAAttack,
    ThresholdAttack,
    query,
    rmia_scores,
    train_shadows,
)
from skdiffence.datasets import load_digit_images
from skdiffence.metrics import confidence_signal, logit_signal

SIGNALS = ("confidence", "correctness", "entropy", "logit", "modified_entropy")
ATTACKS = {
    **{name: ThresholdAttack(name) for name in SIGNALS},
    "non_monotone": NonMonotoneAttack(random_state=0),
    "cost": AnswerCostAttack(),
    "exact x8": RepeatedQueryAttack(8),
    "gray x8": RepeatedQueryAttack(8, neighbor="gray", value_range=(0, 1), random_state=0),
    "18 views": LabelOnlyAttack(),
}


class Forest(ClassifierMixin, BaseEstimator):
    """A forest on the pixels of images, which counts the rows that it is asked about."""

    def __init__(self, n_estimators=50, random_state=None):
        self.n_estimators = n_estimators
        self.random_state = random_state

    def fit(self, X, y):
        """Train on flattened images."""
        self.forest_ = RandomForestClassifier(self.n_estimators, random_state=self.random_state)
        self.forest_.fit(X.reshape(len(X), -1), y)
        self.classes_ = self.forest_.classes_
        return self

    def predict_proba(self, X):
        """Return probabilities."""
        COUNTS.counts["shadow rows"] += len(X)
        return self.forest_.predict_proba(X.reshape(len(X), -1))

    def predict(self, X):
        """Return labels."""
        return self.forest_.predict(X.reshape(len(X), -1))


class Regenerator(DiffusionRegenerator):
    """Counts the network calls that it makes."""

    def regenerate(self, X, candidate=0):
        """Count and regenerate."""
        COUNTS.counts["network calls"] += len(X) * self.n_steps
        return super().regenerate(X, candidate)


class Tally:
    """Counts that are no part of what counts them, so that counting changes no classifier."""

    def __init__(self):
        self.counts = Counter()

    def __reduce_ex__(self, protocol):
        raise TypeError("a tally stays in its process")


COUNTS = Tally()


def images(path):
    """Return images with values from 0 to 1, and labels, of a file or of scikit-learn's digits, shuffled."""
    if path is None:
        data = load_digit_images()
        X, y = data.data, data.target
    else:
        with np.load(path) as file:
            X, y = file["X"], file["y"]
    X = X / np.float32(255) if X.dtype == np.uint8 else np.asarray(X, dtype=np.float32)
    order = np.random.default_rng(0).permutation(len(y))
    return X[order], y[order]


def halves(X, y, is_member):
    """Yield the known and the scored rows of two attackers."""
    half, _ = split_halves(row_digests(X), is_member)
    for which in (0, 1):
        yield np.flatnonzero(half == which), np.flatnonzero(half != which)


def attack_sharing(target, X, y, is_member):
    """Run all attacks as audits and scorers do."""
    memory = remember_answers(target, ATTACKS.values())
    answers = query(memory.view(), X, y)
    rows = memory, X, y, is_member
    return {name: attack_scores(each, *rows, answers=answers) for name, each in ATTACKS.items()}, memory.target_queries


def attack_alone(target, X, y, is_member):
    """Run all attacks, each of which asks by itself."""
    memory, scores = AnswerMemory(target), {name: np.empty(len(y)) for name in ATTACKS}
    counted = memory.view()
    counted.repeats_ = None  # counts and shares nothing
    for name, attack in ATTACKS.items():
        for known, others in halves(X, y, is_member):
            fitted = clone(attack).fit(counted, X[known], y[known], is_member[known])
            scores[name][others] = fitted.score_samples(X[others], y[others])
    return scores, memory.target_queries


def shadows_shared(shadows, target, X, y, is_member, cache_dir=None):
    """Run LiRA and RMIA as audits and scorers do."""
    attacks = {
        name: attack(shadows, pool=(X, y), cache_dir=cache_dir, **options)
        for name, attack, options in (("lira", LiRAAttack, {"variance": "fixed"}), ("rmia", RMIAAttack, {}))
    }
    answers, rows = query(target, X, y), (target, X, y, is_member)
    return {name: attack_scores(each, *rows, answers=answers) for name, each in attacks.items()}


def shadows_alone(shadows, target, X, y, is_member):
    """Run LiRA row by row and RMIA, each asking all shadows for each half."""
    trained = np.column_stack([np.isin(np.arange(len(y)), rows) for rows in shadows["indices"]["train"]])
    scores = {"lira": np.empty(len(y)), "rmia": np.empty(len(y))}
    for known, others in halves(X, y, is_member):
        own, signals = ask_all(target, shadows, X, y, logit_signal)
        bound = largest(signals)
        own, signals = np.clip(own, -bound, bound), np.clip(signals, -bound, bound)
        spreads = [spread(signals, mask) for mask in (trained, ~trained)]
        for row in others:
            inside, outside = signals[row][trained[row]].mean(), signals[row][~trained[row]].mean()
            ratio = norm.logpdf(own[row], inside, spreads[0]) - norm.logpdf(own[row], outside, spreads[1])
            scores["lira"][row] = ratio
        own, signals = ask_all(target, shadows, X, y, confidence_signal)
        outside = known[~is_member[known]]
        scores["rmia"][others] = rmia_scores(
            own[others],
            signals[others],
            trained[others],
            own[outside],
            signals[outside],
            population_membership=trained[outside],
        )
    return scores


def spread(signals, mask):
    """Return the standard deviation of all rows' deviations from their means."""
    return np.concatenate([row[chosen] - row[chosen].mean() for row, chosen in zip(signals, mask, strict=True)]).std()


def largest(signals):
    """Return half of the smallest probability that is not zero, as a logit."""
    sizes = np.abs(signals)
    return sizes[sizes < 100].max() + np.log(2)


def ask_all(target, shadows, X, y, signal):
    """Return the signals of the target and of all shadows."""
    answers = [query(model, X, y) for model in (target, *shadows["estimator"])]
    signals = np.column_stack([signal(each.y, each.proba) for each in answers])
    return signals[:, 0], signals[:, 1:]


def measure(function, *args):
    """Return what a call gave, and its cost."""
    COUNTS.counts.clear()
    wall, cpu = time.perf_counter(), time.process_time()
    found = function(*args)
    cost = {"wall s": time.perf_counter() - wall, "CPU s": time.process_time() - cpu}
    return found, cost | dict(COUNTS.counts)


def target_costs(options, X, y):
    """Return records of all attacks on one defended classifier."""
    n = options.rows
    public, rows = slice(2 * n, 2 * n + options.public), slice(0, 2 * n)
    with tempfile.TemporaryDirectory() as folder:
        DiffusionRegenerator(max_epochs=options.epochs, random_state=0).fit(X[public]).save_pretrained(folder)
        defended = DefendedClassifier(
            FrozenEstimator(Forest(random_state=0).fit(X[:n], y[:n])),
            Regenerator(folder, timestep=options.timestep, random_state=0),
            selection=options.selection,
        )
        defended.fit(X[:n], y[:n])
    is_member, records = np.arange(2 * n) < n, []
    for _ in range(options.repeats):
        for name, run in (("plain", attack_alone), ("ours", attack_sharing)):
            (scores, asked), cost = measure(run, defended, X[rows], y[rows], is_member)
            # What comes with select is an answer of predict_proba.
            asked = {"probabilities": asked["predict_proba"] + asked["select"], "labels": asked["predict"]}
            cost.pop("shadow rows", None)
            records.append({"way": name} | cost | asked | areas(is_member, scores))
    return records


def shadow_costs(options, X, y):
    """Return records of LiRA and RMIA on one classifier."""
    n = min(options.pool, len(y))
    X, y, is_member = X[:n], y[:n], np.arange(n) % 2 == 0
    target = Forest(random_state=0).fit(X[is_member], y[is_member])
    shadows = train_shadows(Forest(), X, y, n_shadows=options.shadows, random_state=0)
    folder, records = Path(tempfile.mkdtemp()), []
    ways = {
        "plain": (shadows_alone,),
        "ours": (shadows_shared,),
        "ours, writes a file": (shadows_shared, folder),
        "ours, reads the file": (shadows_shared, folder),
    }
    for _ in range(options.repeats):
        for name, (run, *rest) in ways.items():
            scores, cost = measure(run, shadows, target, X, y, is_member, *rest)
            records.append({"way": name} | cost | areas(is_member, scores))
        for file in folder.iterdir():
            file.unlink()
    shutil.rmtree(folder)
    return records


def areas(is_member, scores):
    """Return the areas under the ROC curves."""
    return {f"AUC {name}": float(roc_auc_score(is_member, each)) for name, each in scores.items()}


def table(records, columns):
    """Return medians, and the range of times in brackets."""
    ways = list(dict.fromkeys(record["way"] for record in records))
    lines = [f"{'':22}" + "".join(f"{column:>22}" for column in columns)]
    for way in ways:
        cells = []
        for column in columns:
            values = [record.get(column, 0) for record in records if record["way"] == way]
            spread = f" ({min(values):.2f}-{max(values):.2f})" if column.endswith(" s") else ""
            median = np.median(values)
            cells.append(f"{median:.2f}{spread}" if spread else f"{median:,.0f}")
        lines.append(f"{way:22}" + "".join(f"{cell:>22}" for cell in cells))
    return "\n".join(lines)


def main():
    """Measure, print and save."""
    parser = make_parser(__doc__)
    parser.add_argument("--data", type=Path, help="images and labels, X and y of an .npz file; default: digits")
    parser.add_argument("--rows", type=int, default=200, help="members, and as many non-members")
    parser.add_argument("--public", type=int, default=700, help="rows that the denoiser learns from")
    parser.add_argument("--epochs", type=int, default=20, help="of the denoiser")
    parser.add_argument("--timestep", type=int, default=160)
    parser.add_argument("--selection", default="first", choices=("first", "swap"))
    parser.add_argument("--pool", type=int, default=1797, help="rows that shadows are trained on halves of")
    parser.add_argument("--shadows", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    X, y = images(options.data)
    found = {"one target": target_costs(options, X, y), "shadows": shadow_costs(options, X, y)}
    on = {"cores": os.cpu_count(), **machine()}
    print(f"{2 * options.rows} rows, {len(ATTACKS)} attacks on {options.selection!r}; {on}")
    print(table(found["one target"], ("wall s", "CPU s", "probabilities", "labels", "network calls")))
    print(f"\n{min(options.pool, len(y))} rows, {options.shadows} shadows, LiRA and RMIA")
    print(table(found["shadows"], ("wall s", "CPU s", "shadow rows")))
    print(f"\nlargest difference of an area: {largest_difference(found):.4f}")
    save(options, "audit.json", **found)


def largest_difference(found):
    """Return by how much the ways differ in what they find."""
    keys = [(part, key) for part, records in found.items() for key in records[0] if key.startswith("AUC")]
    return max(np.ptp([record[key] for record in found[part]]) for part, key in keys)


if __name__ == "__main__":
    main()

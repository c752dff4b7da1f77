"""SELENA, MemGuard, DP-SGD and coarser answers against the attack each is made for, and what they cost.

    python benchmarks/output_defenses.py --repeats 6

Digits: 300 members, a tenth with a wrong label, and a network wide enough to memorize them. 150 of them, and 150
of 300 further non-members, are what defenses calibrate on; the other 150 members and 600 non-members are scored, the
same for every defense. Each repeat has other rows and weights; the repeats share 1,797 images, so that intervals are
somewhat too narrow. Defenses of answers stand before the undefended network itself, so that labels are equal.

Printed are means over repeats and paired differences from the undefended network with 95 % intervals of Student's
distribution. Areas under the ROC curve are of attackers who know half of the scored rows and score the other half:

- "labels": right or wrong, below which no defense that keeps labels can come;
- "confidence", "entropy": thresholds;
- "neural": a network that reads the answer and the true label;
- "sorted": a network that reads the probabilities by size and no label, the attack that MemGuard is made against. It
  learns from defended answers, or, "unaware", from undefended ones.

Settings were chosen on the seeds 0 to 3; the run starts at 100.
"""

import warnings

import numpy as np
import torch
from _common import digit_net, make_parser, save, wrong_labels
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import log_loss, roc_auc_score

from skdiffence._demo._digits import DigitNet
from skdiffence._demo._engine import attack_scores, row_digests, split_halves, torch_seed, train_attack
from skdiffence._demo._table import mean_and_margin
from skdiffence.attacks import NeuralAttack, ThresholdAttack, query
from skdiffence.datasets import load_digit_images, membership_partition
from skdiffence.defenses import (
    DefendedClassifier,
    DPSGDClassifier,
    MemGuardClassifier,
    OutputClassifier,
    SELENAClassifier,
)

SIZES = {"members": 300, "known": 300, "others": 600}
UNDEFENDED = "undefended"
WIDTH = 256
ATTACKS = {
    "labels": ThresholdAttack("correctness"),
    "confidence": ThresholdAttack("confidence"),
    "entropy": ThresholdAttack("entropy"),
    "neural": NeuralAttack(),
}
COLUMNS = (*ATTACKS, "sorted", "sorted, unaware", "accuracy", "log loss")


def net(epochs):
    """Return the network that memorizes its rows."""
    return digit_net(module__width=WIDTH, lr=0.003, max_epochs=epochs, batch_size=32)


def private_net(epsilon):
    """Return a network of the same form under differential privacy."""
    settings = {"lr": 2.0, "max_epochs": 60, "batch_size": 64, "verbose": 0}
    return DPSGDClassifier(DigitNet, module__width=WIDTH, target_epsilon=epsilon, **settings)


def trained_defenses(seed, epochs):
    """Return by name what is trained on the members."""
    split_ai = {"n_estimators": 10, "n_excluded": 4, "random_state": seed}
    return {
        UNDEFENDED: DefendedClassifier(net(epochs), "passthrough", random_state=seed),
        "Split-AI": SELENAClassifier(net(epochs), distill=False, **split_ai),
        "SELENA": SELENAClassifier(net(epochs), **split_ai),
        "DP-SGD, eps 8": DefendedClassifier(private_net(8.0), "passthrough", random_state=seed),
        "DP-SGD, eps 100": DefendedClassifier(private_net(100.0), "passthrough", random_state=seed),
    }


def answering_defenses(trained, seed):
    """Return by name what changes the answers of a trained network."""
    frozen = FrozenEstimator(trained)
    return {
        "MemGuard": MemGuardClassifier(frozen, random_state=seed),
        "label": OutputClassifier(frozen, "label", random_state=seed),
        "round, 1 digit": OutputClassifier(frozen, "round", random_state=seed),
        "temperature 5": OutputClassifier(frozen, "temperature", temperature=5.0, random_state=seed),
    }


def draw(wrong, seed):
    """Return images, labels of which a share is wrong, and the parts of a split."""
    data, rng = load_digit_images(), np.random.default_rng(seed)
    y, _ = wrong_labels(data.target, wrong, rng)
    return data.data.astype(np.float32), y, membership_partition(len(y), SIZES, random_state=seed)


def fit_all(X, y, parts, seed, epochs):
    """Return every defense, fitted."""
    trained = trained_defenses(seed, epochs)
    fitted = {name: each.fit(X[parts.members], y[parts.members]) for name, each in trained.items()}
    rows = np.r_[parts.members, parts.known]
    is_member = np.arange(len(rows)) < len(parts.members)
    for name, each in answering_defenses(fitted[UNDEFENDED].estimator_, seed).items():
        fitted[name] = each.fit(X[rows], y[rows], is_member=is_member)
    return fitted


def sorted_auc(learned_from, answers, is_member, keys, seed):
    """Return the area of a network on sorted probabilities that learns from some answers and scores others."""
    half, _ = split_halves(keys, is_member)
    scores = np.empty(len(half))
    for which in (0, 1):
        sides = [learned_from[(half == which) & (is_member == side)].astype(float) for side in (True, False)]
        n = min(map(len, sides))
        with torch_seed(1000 + seed):
            attack = train_attack(sides[0][:n], sides[1][:n], (64, 32), 400)
        scores[half != which] = attack(torch.from_numpy(answers[half != which].astype(float))).numpy()
    return roc_auc_score(is_member, scores)


def measure(defended, undefended, X, y, is_member, seed):
    """Return the figures of a fitted defense on scored rows."""
    keys = row_digests(X)
    answers, before = query(defended, X, y), query(undefended, X, y)
    figures = {}
    for name, attack in ATTACKS.items():
        scores = attack_scores(attack, defended, X, y, is_member, seed=seed, answers=answers)
        figures[name] = roc_auc_score(is_member, scores)
    figures["sorted"] = sorted_auc(answers.proba, answers.proba, is_member, keys, seed)
    figures["sorted, unaware"] = sorted_auc(before.proba, answers.proba, is_member, keys, seed)
    others = ~is_member
    figures["accuracy"] = np.mean(defended.predict(X[others]) == y[others])
    proba = np.clip(answers.proba[others].astype(float), 1e-12, 1)
    figures["log loss"] = log_loss(y[others], proba / proba.sum(axis=1, keepdims=True), labels=np.arange(10))
    return figures


def run_repeat(wrong, epochs, seed):
    """Return the figures of every defense on one split."""
    X, y, parts = draw(wrong, seed)
    fitted = fit_all(X, y, parts, seed, epochs)
    members = parts.members[~fitted["MemGuard"].calibrated_on_.contains(X[parts.members])]
    rows = np.r_[members, parts.others]
    scored = X[rows], y[rows], np.arange(len(rows)) < len(members)
    return {name: measure(each, fitted[UNDEFENDED], *scored, seed) for name, each in fitted.items()}


def report(records):
    """Print means, and differences from the undefended network with their intervals."""
    print(" " * 17 + "".join(f"{column:>22}" for column in COLUMNS))
    for name in records[0]:
        cells = []
        for column in COLUMNS:
            values = [record[name][column] for record in records]
            difference = [record[name][column] - record[UNDEFENDED][column] for record in records]
            change = "" if name == UNDEFENDED else " ({:+.3f}±{:.3f})".format(*mean_and_margin(difference))
            cells.append(f"{np.mean(values):6.3f}{change}".rjust(22))
        print(f"{name:17}" + "".join(cells), flush=True)


def main():
    """Measure and print."""
    parser = make_parser(__doc__, seed=100)
    parser.add_argument("--repeats", type=int, default=6)
    parser.add_argument("--wrong", type=float, default=0.1, help="share of labels that are wrong")
    parser.add_argument("--epochs", type=int, default=100, help="of every network but DP-SGD's")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", "Optimal order is the", UserWarning)
    records = []
    for seed in range(options.seed, options.seed + options.repeats):
        records.append(run_repeat(options.wrong, options.epochs, seed))
        print(f"after {len(records)} of {options.repeats} repeats", flush=True)
    report(records)
    save(options, "output_defenses.json", records=records)


if __name__ == "__main__":
    main()

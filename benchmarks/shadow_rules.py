"""LiRA and RMIA against rules, averages and students, with shadow models behind the same defense.

    python benchmarks/shadow_rules.py --pools 5

Digits. Sixteen nets are trained on halves of a pool of 240 rows; each is the target in turn, with the others as its
shadows. Every net has a defense of its own around it, with the same denoiser and a key of its own, as an attacker
has who can get everything but the key. 300 further rows are RMIA's population. Students learn from the 700 public
rows that trained the denoiser. "Labels" is LiRA with the target's labels and the confidence of undefended shadows.

Printed are means over pools of the mean over targets, with half of their 95 % interval, and paired differences.
"""

import numpy as np
import torch
from _common import kept_denoiser, make_parser, save
from frontier_report import paired
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import roc_auc_score

from skdiffence._demo._cache import RegenerationCache
from skdiffence._demo._digits import DemoSettings, draw_digits, make_net, pretrained, trained_net
from skdiffence._demo._table import format_means, format_table
from skdiffence.attacks import lira_leave_one_out, rmia_scores
from skdiffence.datasets import membership_partition
from skdiffence.defenses import DefendedClassifier, DistilledDefense, LowestRule, MeanRule
from skdiffence.metrics import confidence_signal, logit_signal

N_POOL, N_POPULATION, N_MODELS = 240, 300, 16
RULES = {
    "first": "first",
    "one candidate": "swap",
    "lowest of 4": LowestRule(max_candidates=4),
    "mean of 4": MeanRule(4),
    "mean of 16": MeanRule(16),
}
COLUMNS = [("lira", "LiRA", 3), ("rmia", "RMIA", 3)]


def answers_of(net, key, digits, denoiser, settings, X):
    """Yield the name of each defense of a net, and its answers to rows."""
    regenerator = RegenerationCache(pretrained(denoiser, settings.timestep, X[:2], key)).fit(X[:2])
    frozen, fitted = FrozenEstimator(net), {}
    yield "undefended", net.predict_proba(X)
    for name, rule in RULES.items():
        fitted[name] = DefendedClassifier(frozen, FrozenEstimator(regenerator), selection=rule).fit(X[:2], [0, 1])
        yield name, fitted[name].predict_proba(X)
    undefended = DefendedClassifier(frozen, "passthrough").fit(X[:2], [0, 1])
    for name, teacher in (("undefended", undefended), ("mean of 4", fitted["mean of 4"])):
        student = DistilledDefense(FrozenEstimator(teacher), make_net(settings), random_state=key)
        yield f"student of {name}", student.fit(digits.X_public).predict_proba(X)


def attack_pool(digits, denoiser, settings, seed):
    """Return a record of each defense on one pool."""
    parts = membership_partition(len(digits.y), {"pool": N_POOL, "population": N_POPULATION}, random_state=seed)
    rows = np.concatenate((parts.pool, parts.population))
    X, y = digits.X[rows], digits.y[rows]
    halves = np.broadcast_to(np.arange(N_MODELS) % 2 == 0, (N_POOL, N_MODELS))
    membership = np.random.default_rng(seed).permuted(halves, axis=1)
    signals, correct = {}, np.empty((N_POOL, N_MODELS))
    for model in range(N_MODELS):
        members = np.flatnonzero(membership[:, model])
        net = trained_net(make_net(settings), X[members], y[members], seed * N_MODELS + model)
        correct[:, model] = net.predict(X[:N_POOL]) == y[:N_POOL]
        for name, proba in answers_of(net, seed * N_MODELS + model, digits, denoiser, settings, X):
            proba = np.array(proba, dtype=np.float64)
            signals.setdefault(name, []).append(proba / proba.sum(axis=1, keepdims=True))
    confidences = np.column_stack([confidence_signal(y, proba) for proba in signals["undefended"]])
    floor = attack_labels(correct, confidences, membership)
    records = [{"name": "labels", "split": seed, "lira": floor}]
    for name, given in signals.items():
        records.append({"name": name, "split": seed, **attack(given, y, membership)})
    return records


def attack(given, y, membership):
    """Return the areas of LiRA and of RMIA, each model in turn the target of the others."""
    logits = np.column_stack([logit_signal(y, proba)[:N_POOL] for proba in given])
    confidences = np.column_stack([confidence_signal(y, proba) for proba in given])
    lira, rmia = lira_leave_one_out(logits, membership), []
    for target in range(N_MODELS):
        others = np.arange(N_MODELS) != target
        rmia.append(
            rmia_scores(
                confidences[:N_POOL, target],
                confidences[:N_POOL, others],
                membership[:, others],
                confidences[N_POOL:, target],
                confidences[N_POOL:, others],
            )
        )
    return {"lira": mean_area(membership, lira.T), "rmia": mean_area(membership, rmia)}


def attack_labels(correct, confidences, membership):
    """Return the area of the likelihood ratio of the target's correctness, by the shadows' mean confidence."""
    scores = []
    for target in range(N_MODELS):
        sides = []
        for side in (membership, ~membership):
            others = side & (np.arange(N_MODELS) != target)
            p = np.clip((confidences[:N_POOL] * others).sum(axis=1) / others.sum(axis=1), 0.01, 0.99)
            sides.append(np.log(np.where(correct[:, target], p, 1 - p)))
        scores.append(sides[0] - sides[1])
    return mean_area(membership, scores)


def mean_area(membership, scores):
    """Return the mean area over targets."""
    return float(np.mean([roc_auc_score(each, score) for each, score in zip(membership.T, scores, strict=True)]))


def main():
    """Measure and print."""
    parser = make_parser(__doc__, seed=950)
    parser.add_argument("--pools", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    settings = DemoSettings()
    digits = draw_digits(settings, options.seed)
    folder = options.output / f"shadow-rules-{options.seed}"
    folder.mkdir(parents=True, exist_ok=True)
    denoiser = kept_denoiser(settings, digits, folder, options.seed, verbose=0)
    records = []
    for seed in range(options.seed, options.seed + options.pools):
        records += attack_pool(digits, denoiser, settings, seed)
        print(f"pool {seed} done", flush=True)
    print(format_means(records, COLUMNS, "behind"))
    print("\n" + format_table(paired(records, "first", columns=COLUMNS), COLUMNS, 'less "first"'))
    save(options, "shadow_rules.json", records=records)


if __name__ == "__main__":
    main()

"""LiRA and RMIA against rules, averages and students, with shadow models behind the same defense.

    python benchmarks/shadow_rules.py --pools 5
    python benchmarks/shadow_rules.py --data cifar10.tar.xz --pools 1 --precision bfloat16

Sixteen nets are trained on halves of a pool; each is the target in turn, with the others as its shadows. Every net has
a defense of its own around it, with the same denoiser and a key of its own, as an attacker has who can get everything
but the key. Further rows are RMIA's population. "Labels" is LiRA with the target's labels and the confidence of
undefended shadows.

Digits: pools of 240 rows; students learn from the 700 public rows that trained the denoiser. Photographs: pools of
4,000, half of which are scored, and the denoiser, nets and timestep of ``frontier.py --data``; views are flips and
shifts by a pixel.

Printed are means over pools of the mean over targets, with half of their 95 % interval, and paired differences.
"""

import numpy as np
import torch
from _common import kept_denoiser, make_parser, save
from frontier_data import as_floats, photograph_net, train_denoiser
from frontier_report import paired
from paper.answers import ViewsOfCandidates
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import roc_auc_score

from skdiffence._demo._cache import RegenerationCache
from skdiffence._demo._digits import DemoSettings, draw_digits, make_net, pretrained, trained_net
from skdiffence._demo._table import format_means, format_table
from skdiffence.attacks import lira_leave_one_out, rmia_scores
from skdiffence.datasets import load_images, membership_partition
from skdiffence.defenses import AugmentedClassifier, DefendedClassifier, DistilledDefense, LowestRule, MeanRule
from skdiffence.metrics import confidence_signal, logit_signal

N_MODELS = 16
COLUMNS = [("lira", "LiRA", 3), ("rmia", "RMIA", 3)]


class Digits:
    """Pools of digits."""

    n_pool, n_scored, n_population, views = 240, 240, 300, "shifts"
    rules = {
        "first": "first",
        "one candidate": "swap",
        "lowest of 4": LowestRule(max_candidates=4),
        "mean of 4": MeanRule(4),
        "mean of 16": MeanRule(16),
    }
    taught_by = "undefended", "mean of 4"

    def __init__(self, options, folder):
        self.settings = DemoSettings()
        digits = draw_digits(self.settings, options.seed)
        self.X, self.y, self.X_public = digits.X, digits.y, digits.X_public
        self.denoiser = kept_denoiser(self.settings, digits, folder, options.seed, verbose=0)

    def net(self, X, y, seed):
        """Return a net that was trained on members."""
        return trained_net(make_net(self.settings), X, y, seed)

    def regenerator(self, X, key):
        """Return the regenerator of one net."""
        return pretrained(self.denoiser, self.settings.timestep, X[:2], key)


class Photographs:
    """Pools of photographs."""

    n_pool, n_scored, n_population, views, taught_by = 4_000, 2_000, 500, "flips+shifts", ()
    rules = {"one candidate": "swap", "mean of 4": MeanRule(4)}

    def __init__(self, options, folder):
        images, self.options = load_images(options.data), options
        order = np.random.default_rng(0).permutation(len(images.target))
        X, self.y = images.data[order], np.unique(images.target, return_inverse=True)[1][order].astype(np.int64)
        self.X, self.y = as_floats(X[: options.private]), self.y[: options.private]
        self.denoiser = folder / f"denoiser-{options.denoiser_epochs}"
        if not self.denoiser.exists():
            train_denoiser(X[options.private :], options.denoiser_epochs).save_pretrained(self.denoiser)

    def net(self, X, y, seed):
        """Return a net that was trained on members."""
        return trained_net(photograph_net(len(y), augmented=self.options.augmented), X, y, seed)

    def regenerator(self, X, key):
        """Return the regenerator of one net."""
        return pretrained(self.denoiser, self.options.timestep, X[:2], key, precision=self.options.precision)


def answers_of(data, net, key, X):
    """Yield the name of each defense of a net, and its answers to rows."""
    regenerator = RegenerationCache(data.regenerator(X, key)).fit(X[:2])
    frozen, fitted = FrozenEstimator(net), {}
    yield "undefended", net.predict_proba(X)
    augmented = AugmentedClassifier(frozen, data.views).fit(X[:2], [0, 1])
    yield "test-time augmentation", augmented.predict_proba(X)
    for name, rule in data.rules.items():
        fitted[name] = DefendedClassifier(frozen, FrozenEstimator(regenerator), selection=rule).fit(X[:2], [0, 1])
        yield name, fitted[name].predict_proba(X)
    yield "views of mean of 4", ViewsOfCandidates(net, data.views, regenerator).predict_proba(X)
    fitted["undefended"] = DefendedClassifier(frozen, "passthrough").fit(X[:2], [0, 1])
    for name in data.taught_by:
        student = DistilledDefense(FrozenEstimator(fitted[name]), make_net(data.settings), random_state=key)
        yield f"student of {name}", student.fit(data.X_public).predict_proba(X)


def attack_pool(data, seed):
    """Return a record of each defense on one pool."""
    sizes = {"pool": data.n_pool, "population": data.n_population}
    parts = membership_partition(len(data.y), sizes, random_state=seed)
    X_pool, y_pool = data.X[parts.pool], data.y[parts.pool]
    asked = np.concatenate((parts.pool[: data.n_scored], parts.population))
    X, y = data.X[asked], data.y[asked]
    halves = np.broadcast_to(np.arange(N_MODELS) % 2 == 0, (data.n_pool, N_MODELS))
    trained_on = np.random.default_rng(seed).permuted(halves, axis=1)
    membership = trained_on[: data.n_scored]
    signals, correct = {}, np.empty(membership.shape)
    for model in range(N_MODELS):
        members = np.flatnonzero(trained_on[:, model])
        net = data.net(X_pool[members], y_pool[members], seed * N_MODELS + model)
        correct[:, model] = (net.predict(X) == y)[: data.n_scored]
        for name, proba in answers_of(data, net, seed * N_MODELS + model, X):
            proba = np.array(proba, dtype=np.float64)
            signals.setdefault(name, []).append(proba / proba.sum(axis=1, keepdims=True))
        print(f"  model {model}: {correct[:, model][~membership[:, model]].mean():.3f} of others right", flush=True)
    confidences = np.column_stack([confidence_signal(y, proba) for proba in signals["undefended"]])
    floor = attack_labels(correct, confidences[: data.n_scored], membership)
    records = [{"name": "labels", "split": seed, "lira": floor}]
    for name, given in signals.items():
        records.append({"name": name, "split": seed, **attack(given, y, membership)})
    return records


def attack(given, y, membership):
    """Return the areas of LiRA and of RMIA, each model in turn the target of the others."""
    n_scored = len(membership)
    logits = np.column_stack([logit_signal(y, proba)[:n_scored] for proba in given])
    confidences = np.column_stack([confidence_signal(y, proba) for proba in given])
    lira, rmia = lira_leave_one_out(logits, membership), []
    for target in range(N_MODELS):
        others = np.arange(N_MODELS) != target
        rmia.append(
            rmia_scores(
                confidences[:n_scored, target],
                confidences[:n_scored, others],
                membership[:, others],
                confidences[n_scored:, target],
                confidences[n_scored:, others],
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
            p = np.clip((confidences * others).sum(axis=1) / others.sum(axis=1), 0.01, 0.99)
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
    parser.add_argument("--data", help="photographs, as load_images takes them; digits without")
    parser.add_argument("--private", type=int, default=36_000, help="photographs that the denoiser does not see")
    parser.add_argument("--denoiser-epochs", type=int, default=3)
    parser.add_argument("--timestep", type=int, default=160, help="of photographs")
    parser.add_argument("--augmented", action="store_true", help="nets of photographs are trained on flips and shifts")
    parser.add_argument("--precision", default="auto", help="of regenerations of photographs")
    options = parser.parse_args()
    torch.set_num_threads(1)
    folder = options.output / f"shadow-rules-{options.seed}"
    folder.mkdir(parents=True, exist_ok=True)
    data = (Photographs if options.data else Digits)(options, folder)
    records = []
    for seed in range(options.seed, options.seed + options.pools):
        records += attack_pool(data, seed)
        print(f"pool {seed} done", flush=True)
    base = "first" if "first" in data.rules else "mean of 4"
    print(format_means(records, COLUMNS, "behind"))
    print("\n" + format_table(paired(records, base, columns=COLUMNS), COLUMNS, f'less "{base}"'))
    save(options, "shadow_rules.json", records=records)


if __name__ == "__main__":
    main()

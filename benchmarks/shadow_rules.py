"""LiRA and RMIA against rules, averages and students, with shadow models behind the same defense.

    python benchmarks/shadow_rules.py --pools 5
    python benchmarks/shadow_rules.py --pools 5 --timesteps 240 280 320
    python benchmarks/shadow_rules.py --data cifar10.tar.xz --pools 1 --precision bfloat16

Sixteen nets are trained on halves of a pool; each is the target in turn, with the others as its shadows. Every net has
a defense of its own around it, with the same denoiser and a key of its own, as an attacker has who can get everything
but the key. Further rows are RMIA's population. "Labels" is LiRA with the target's labels and the confidence of
undefended shadows.

Digits: pools of 240 rows; students learn from the 700 public rows that trained the denoiser. Photographs: pools of
4,000, half of which are scored, and the denoiser, nets and timestep of ``frontier.py --data``; views are flips and
shifts by a pixel.

All rules are run at the first of the timesteps, and the mean of four at the others, where its confidence is worth less.
Printed are means over pools of the mean over targets, with half of their 95 % interval, and paired differences. Worth
is the failure-detection AUC on the rows that did not train the target.
"""

from functools import partial

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
from skdiffence.metrics import confidence_signal, failure_detection_auc, logit_signal

N_MODELS = 16
COLUMNS = [("lira", "LiRA", 3), ("rmia", "RMIA", 3), ("worth", "fail. AUC", 3)]


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
        self.timesteps = options.timesteps or [DemoSettings.timestep]
        self.settings = DemoSettings(timestep=max(self.timesteps))
        digits = draw_digits(self.settings, options.seed)
        self.X, self.y, self.X_public = digits.X, digits.y, digits.X_public
        place = folder / f"up-to-{self.settings.timestep}"
        self.denoiser = kept_denoiser(self.settings, digits, place, options.seed, verbose=0)

    def net(self, X, y, seed):
        """Return a net that was trained on members."""
        return trained_net(make_net(self.settings), X, y, seed)

    def regenerator(self, X, key, timestep):
        """Return the regenerator of one net."""
        return pretrained(self.denoiser, timestep, X[:2], key)


class Photographs:
    """Pools of photographs."""

    n_pool, n_scored, n_population, views, taught_by = 4_000, 2_000, 500, "flips+shifts", ()
    rules = {"one candidate": "swap", "mean of 4": MeanRule(4)}

    def __init__(self, options, folder):
        images, self.options = load_images(options.data), options
        self.timesteps = options.timesteps or [160]
        order = np.random.default_rng(0).permutation(len(images.target))
        X, self.y = images.data[order], np.unique(images.target, return_inverse=True)[1][order].astype(np.int64)
        self.X, self.y = as_floats(X[: options.private]), self.y[: options.private]
        self.denoiser = folder / f"denoiser-{options.denoiser_epochs}"
        if not self.denoiser.exists():
            train_denoiser(X[options.private :], options.denoiser_epochs).save_pretrained(self.denoiser)

    def net(self, X, y, seed):
        """Return a net that was trained on members."""
        return trained_net(photograph_net(len(y), augmented=self.options.augmented), X, y, seed)

    def regenerator(self, X, key, timestep):
        """Return the regenerator of one net."""
        return pretrained(self.denoiser, timestep, X[:2], key, precision=self.options.precision)


def answers_of(data, net, key, X):
    """Yield the name of each defense of a net, and what makes its answers to rows."""
    timestep, *others = data.timesteps
    regenerator = RegenerationCache(data.regenerator(X, key, timestep)).fit(X[:2])
    frozen = FrozenEstimator(net)

    def answer(classifier):
        return lambda: classifier.fit(X[:2], [0, 1]).predict_proba(X)

    def defended(rule, regenerator=regenerator):
        return DefendedClassifier(frozen, FrozenEstimator(regenerator), selection=rule)

    def student(teacher):
        taught = FrozenEstimator(teacher.fit(X[:2], [0, 1]))
        return DistilledDefense(taught, make_net(data.settings), random_state=key).fit(data.X_public).predict_proba(X)

    yield "undefended", lambda: net.predict_proba(X)
    yield "test-time augmentation", answer(AugmentedClassifier(frozen, data.views))
    for name, rule in data.rules.items():
        yield name, answer(defended(rule))
    yield "views of mean of 4", lambda: ViewsOfCandidates(net, data.views, regenerator).predict_proba(X)
    teachers = {"undefended": DefendedClassifier(frozen, "passthrough")}
    for name in data.taught_by:
        teacher = teachers.get(name) or defended(data.rules[name])
        yield f"student of {name}", partial(student, teacher)
    for timestep in others:
        yield f"mean of 4, {timestep}", answer(defended(MeanRule(4), data.regenerator(X, key, timestep)))


def attack_pool(data, seed, wanted=None):
    """Return a record of each defense on one pool, of some of them where they are named."""
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
        for name, make in answers_of(data, net, seed * N_MODELS + model, X):
            if wanted and name not in (*wanted, "undefended"):
                continue
            proba = np.array(make(), dtype=np.float64)
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
    return {
        "lira": mean_area(membership, lira.T),
        "rmia": mean_area(membership, rmia),
        "worth": worth(given, y, membership),
    }


def worth(given, y, membership):
    """Return the mean failure-detection AUC over models, on rows that did not train them."""
    outside = ~np.pad(membership, [(0, len(y) - len(membership)), (0, 0)])
    areas = [failure_detection_auc(y[rows], proba[rows]) for rows, proba in zip(outside.T, given, strict=True)]
    return float(np.mean(areas))


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
    parser.add_argument("--timesteps", type=int, nargs="+", help="of all rules, and further ones of the mean")
    parser.add_argument("--answers", nargs="+", help="of these defenses alone, beside the undefended nets")
    parser.add_argument("--augmented", action="store_true", help="nets of photographs are trained on flips and shifts")
    parser.add_argument("--precision", default="auto", help="of regenerations of photographs")
    options = parser.parse_args()
    torch.set_num_threads(1)
    folder = options.output / f"shadow-rules-{options.seed}"
    folder.mkdir(parents=True, exist_ok=True)
    data = (Photographs if options.data else Digits)(options, folder)
    records = []
    for seed in range(options.seed, options.seed + options.pools):
        records += attack_pool(data, seed, options.answers)
        print(f"pool {seed} done", flush=True)
    print(format_means(records, COLUMNS, "behind"))
    for base in ("undefended", "first", "mean of 4"):
        if any(record["name"] == base for record in records):
            print("\n" + format_table(paired(records, base, columns=COLUMNS), COLUMNS, f'less "{base}"'))
    save(options, "shadow_rules.json", records=records)


if __name__ == "__main__":
    main()

"""Students of a defended network and of the network itself, by the number of public rows that they learn from.

    python benchmarks/distilled.py --splits 8

Digits: 120 members, 100 known non-members and 500 non-members that are scored, 700 public rows. Each split has rows and
a network of its own; all share the public rows and a denoiser that was trained on the 700. Teachers are the network,
"swap" and the mean of 16 candidates at timestep 240. Students have the network's form and training. Each learns from
the first 100, 300 or 700 public rows, "100 + 4" from 100 and four regenerations of each.

Printed are means over splits with half of their 95 % intervals. The splits share 1,097 private rows, so that intervals
are somewhat too narrow. Attackers know half of the scored rows and score the other half. NLL is that of the answers
after one temperature for each classifier, fitted to the known non-members. Milliseconds are those of the last split.
"""

import warnings
from functools import partial

import numpy as np
import torch
from _common import interleaved, kept_denoiser, make_parser, save
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import log_loss

from skdiffence._demo._cache import RegenerationCache
from skdiffence._demo._digits import DemoSettings, draw_digits, make_net, pretrained, split_digits
from skdiffence._demo._results import paired_difference
from skdiffence._demo._table import format_means
from skdiffence.attacks import LabelOnlyReferenceAttack
from skdiffence.defenses import DefendedClassifier, DistilledDefense, MeanRule
from skdiffence.exceptions import DefenseWarning
from skdiffence.model_selection import AttackScorer

N_SCORED = 500
N_PUBLIC = (100, 300, 700)
N_REGENERATIONS = 4
RULES = {"swap": "swap", "mean of 16": MeanRule(16)}
UNDEFENDED = "undefended"
FLOORS = {"correctness_roc_auc": "labels", "reference_roc_auc": "labels and own model"}
COLUMNS = [
    ("entropy_roc_auc", "entropy AUC", 3),
    ("entropy_correct_roc_auc", "entropy, correct", 3),
    ("non_monotone_roc_auc", "non-monotone", 3),
    ("nll", "NLL", 3),
    ("failure_detection_auc", "failure detection", 3),
]


def classifiers(split, regenerator, X_public, settings):
    """Yield the name of each classifier, and the fitted classifier."""
    frozen = FrozenEstimator(split.net)
    teachers = {UNDEFENDED: DefendedClassifier(frozen, "passthrough")}
    for name, rule in RULES.items():
        teachers[name] = DefendedClassifier(frozen, FrozenEstimator(regenerator), selection=rule)
    more = [X_public, *(regenerator.regenerate(X_public, number) for number in range(1000, 1000 + N_REGENERATIONS))]
    for name, teacher in teachers.items():
        teacher.fit(split.X_fit, split.y_fit, is_member=split.is_member)
        yield name, teacher
        for n in N_PUBLIC:
            yield f"{name}, student of {n}", student(teacher, X_public[:n], settings, split.seed)
        few = np.concatenate([rows[: N_PUBLIC[0]] for rows in more])
        yield f"{name}, student of {N_PUBLIC[0]} + {N_REGENERATIONS}", student(teacher, few, settings, split.seed)


def student(teacher, X_public, settings, seed):
    """Return a student of the answers of a fitted classifier."""
    return DistilledDefense(FrozenEstimator(teacher), make_net(settings), random_state=seed).fit(X_public)


def make_scorer(split, reference_data):
    """Return a scorer of the split's rows, whose attacker has a model of the public rows."""
    reference = LabelOnlyReferenceAttack(reference_data=reference_data, random_state=split.seed)
    attacks = ["entropy", "non_monotone", "correctness", ("reference", reference)]
    X, y = np.concatenate((split.X_fit, split.X_rest)), np.concatenate((split.y_fit, split.y_rest))
    is_member = np.concatenate((split.is_member, np.zeros(len(split.y_rest), dtype=bool)))
    return AttackScorer(attacks, pool=(X, y, is_member), random_state=split.seed)


def measure(name, classifier, split, scorer):
    """Return the figures of a classifier on the scored rows of a split."""
    members = split.X_fit[split.is_member], split.y_fit[split.is_member]
    X, y = np.concatenate((members[0], split.X_rest)), np.concatenate((members[1], split.y_rest))
    recalibrated = DefendedClassifier(FrozenEstimator(classifier), "passthrough", calibrate="temperature")
    proba = recalibrated.fit(split.X_fit, split.y_fit, is_member=split.is_member).predict_proba(split.X_rest)
    proba = proba.astype(float) / proba.sum(axis=1, keepdims=True, dtype=float)
    nll = log_loss(split.y_rest, proba, labels=np.arange(10))
    assert (classifier.predict(X) == split.net.predict(X)).all()
    return {"name": name, "seed": split.seed, "nll": nll, **scorer(classifier, X, y)}


def run_split(digits, denoiser, reference_data, settings, seed):
    """Return the figures of every classifier on one split, and the classifiers."""
    split = split_digits(settings, digits, seed)
    split.X_rest, split.y_rest = split.X_rest[:N_SCORED], split.y_rest[:N_SCORED]
    regenerator = RegenerationCache(pretrained(denoiser, settings.timestep, split.X_fit, seed)).fit(split.X_fit)
    scorer, fitted = make_scorer(split, reference_data), {}
    records = []
    for name, classifier in classifiers(split, regenerator, digits.X_public, settings):
        fitted[name] = classifier
        records.append(measure(name, classifier, split, scorer))
    return records, fitted, split


def milliseconds(fitted, split, denoiser, settings):
    """Return the median milliseconds a row of ``predict_proba``, without a cache."""
    regenerator = FrozenEstimator(pretrained(denoiser, settings.timestep, split.X_fit, split.seed))
    works = {"network": split.net.predict_proba}
    for name, rule in RULES.items():
        made = DefendedClassifier(FrozenEstimator(split.net), regenerator, selection=rule)
        works[name] = made.fit(split.X_fit, split.y_fit, is_member=split.is_member).predict_proba
    name = f"mean of 16, student of {N_PUBLIC[-1]}"
    works[name] = fitted[name].predict_proba
    works = {name: (partial(work, split.X_rest), len(split.X_rest)) for name, work in works.items()}
    return {name: float(np.median(times[:, 0])) for name, times in interleaved(works, 7, torch.device("cpu")).items()}


def report(records, times):
    """Print the figures, and the differences of the students of all public rows from their teachers."""
    print(format_means(records, COLUMNS, "probabilities of"))
    floors = {key: np.mean([record[key] for record in records if record["name"] == UNDEFENDED]) for key in FLOORS}
    print("\n" + ", ".join(f"{label}: {floors[key]:.3f}" for key, label in FLOORS.items()))
    for teacher in (UNDEFENDED, *RULES):
        name = f"{teacher}, student of {N_PUBLIC[-1]}"
        changes = ["{:+.3f}±{:.3f}".format(*paired_difference(records, name, teacher, key)) for key, _, _ in COLUMNS]
        print(f"{name}, less its teacher: " + ", ".join(changes))
    print("milliseconds a row: " + ", ".join(f"{name} {value:.4f}" for name, value in times.items()))


def main():
    """Measure and print."""
    options = make_parser(__doc__, seed=700, splits=8).parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", DefenseWarning)
    settings = DemoSettings(n_known=100)
    digits = draw_digits(settings, options.seed)
    folder = options.output / f"distilled-{options.seed}"
    folder.mkdir(parents=True, exist_ok=True)
    denoiser = kept_denoiser(settings, digits, folder, options.seed, verbose=0)
    reference_data = digits.X_public, digits.y_public
    records = []
    for seed in range(options.seed, options.seed + options.splits):
        found, fitted, split = run_split(digits, denoiser, reference_data, settings, seed)
        records += found
        print(f"split {seed} done", flush=True)
    times = milliseconds(fitted, split, denoiser, settings)
    report(records, times)
    save(options, "distilled.json", records=records, milliseconds=times)


if __name__ == "__main__":
    main()

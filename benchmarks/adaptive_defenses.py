"""HAMP against label-only attackers, and SELENA against near-duplicates: canaries, with and without the defenses.

    python benchmarks/adaptive_defenses.py

Each line is of 10 models trained on 300 of scikit-learn's digits, among them canaries that train half of the models
each: 60 rows with a wrong label, or 30 copies with a wrong label of rows that train all models. A "near" copy differs
by one of 16 gray levels in three pixels, so that SELENA, which keeps equal rows from the same clones, takes it for
another row. Every model in turn is the target, with the others as shadows behind the same defense. The attacker asks
about the canary itself, or about a row next to it by as much.

- "threshold": the confidence in the canary's label;
- "LiRA": the same, compared with the other models' answers to the canary;
- "label": whether the label is the canary's;
- "label x18": the labels of its 18 shifts and mirror images, their share compared with the other models';
- "label-only": LabelOnlyAttack, a regression on the same 18 labels that learned from half of the canaries; for those
  with a wrong label, asked about themselves.

Areas under the ROC curve over all canaries and models, with 95 % intervals that resample both.
"""

import time
import warnings

import numpy as np
import torch
from _common import make_parser, save, with_ends
from sklearn.metrics import roc_auc_score
from skorch import NeuralNetClassifier
from torch import nn

from skdiffence._demo._digits import DigitNet
from skdiffence._demo._engine import augmentations, distill
from skdiffence.attacks import LabelOnlyAttack, lira_leave_one_out, query, train_shadows
from skdiffence.datasets import load_digit_images, make_canaries
from skdiffence.defenses import HAMPClassifier, SELENAClassifier
from skdiffence.metrics import cluster_bootstrap_interval, logit_signal

N_TRAIN, N_CANARIES, N_MODELS = 300, 60, 10
SETTINGS = {"optimizer": torch.optim.Adam, "lr": 0.005, "max_epochs": 40, "batch_size": 32, "verbose": 0}
TARGETS = {
    "mislabeled": ("undefended", "HAMP", "Split-AI"),
    "duplicated": ("undefended", "Split-AI"),
    "near-duplicated": ("undefended", "Split-AI"),
}
ATTACKS = ("threshold", "LiRA", "label", "label x18", "label-only")


def net():
    """Return the network that memorizes its rows."""
    return NeuralNetClassifier(DigitNet, criterion=nn.CrossEntropyLoss, train_split=None, **SETTINGS)


def near(X, seed):
    """Return rows that differ by one of 16 gray levels in three pixels."""
    rng, changed = np.random.default_rng(seed), X.copy()
    for row in changed.reshape(len(X), -1):
        pixels = rng.choice(len(row), 3, replace=False)
        row[pixels] += np.where(row[pixels] > 0.5, -1, 1) / 16
    return changed


def canaries(kind, seed):
    """Return training rows with canaries of a kind in place, and rows to measure accuracy on."""
    data = load_digit_images()
    order = np.random.default_rng(seed).permutation(len(data.target))
    rows, test = order[:N_TRAIN], order[N_TRAIN:]
    X, y = data.data.astype(np.float32), data.target
    made = make_canaries(
        X[rows],
        y[rows],
        kind="mislabeled" if kind == "mislabeled" else "duplicated",
        n_canaries=N_CANARIES,
        random_state=seed,
    )
    if kind == "near-duplicated":
        made.X[made.canaries] = near(made.X[made.canaries], seed)
    return made, (X[test], y[test])


def students(shadows, X, seed):
    """Return what SELENA deploys: a student of each Split-AI, trained on its answers to its training rows."""
    trained = []
    for index, (split_ai, rows) in enumerate(zip(shadows["estimator"], shadows["indices"]["train"], strict=True)):
        soft = split_ai.predict_proba(X[rows])
        trained.append(distill(net(), X[rows], soft, split_ai.classes_, 1000 * seed + index, seeded=True))
    return trained


def targets(made, which, seed):
    """Yield the name and the models of each target, and which canaries each was trained on."""
    makers = {
        "undefended": net(),
        "HAMP": HAMPClassifier(DigitNet, **SETTINGS),
        "Split-AI": SELENAClassifier(net(), n_estimators=10, n_excluded=4, distill=False),
    }
    for name in which:
        shadows = train_shadows(
            makers[name], made.X, made.y, n_shadows=N_MODELS, canaries=made.canaries, random_state=seed
        )
        membership = np.column_stack([np.isin(made.canaries, rows) for rows in shadows["indices"]["train"]])
        yield name, shadows["estimator"], membership
        if name == "HAMP":
            bare = [each.set_params(modify_output=False) for each in shadows["estimator"]]
            yield "HAMP, training part", bare, membership
        if name == "Split-AI":
            yield "SELENA", students(shadows, made.X, seed), membership


def label_only(models, X, y, membership):
    """Return scores of LabelOnlyAttack, each half of the canaries by one that knew the other half."""
    scores, half = np.empty(membership.shape), np.arange(len(y)) % 2 == 0
    for index, model in enumerate(models):
        for known in (half, ~half):
            attack = LabelOnlyAttack("augmentation", random_state=0)
            attack.fit(model, X[known], y[known], membership[known, index])
            scores[~known, index] = attack.score_samples(X[~known], y[~known])
    return scores


def attack_scores(models, X, y, membership, with_label_only):
    """Return the scores of every attack, of shape (n_canaries, n_models)."""
    answers = [query(model, X, y) for model in models]
    phi = np.column_stack([logit_signal(each.y, each.proba) for each in answers])
    views = [np.mean([query(model, view(X), y).correct for view in augmentations()], axis=0) for model in models]
    scores = {
        "threshold": phi,
        "LiRA": lira_leave_one_out(phi, membership),
        "label": np.column_stack([each.correct for each in answers]).astype(float),
        "label x18": lira_leave_one_out(np.column_stack(views), membership),
    }
    return scores | ({"label-only": label_only(models, X, y, membership)} if with_label_only else {})


def measure(models, X, y, membership, with_label_only, seed):
    """Return the area of every attack with the ends of its interval."""
    rows, columns = np.indices(membership.shape)
    numbers = {}
    for name, scores in attack_scores(models, X, y, membership, with_label_only).items():
        flat = membership.ravel(), scores.ravel()
        low, high = cluster_bootstrap_interval(
            *flat, roc_auc_score, rows=rows.ravel(), models=columns.ravel(), n_resamples=400, random_state=seed
        )
        numbers[name] = [float(roc_auc_score(*flat)), low, high]
    return numbers


def run_kind(kind, which, seed):
    """Return a record for each target and form of query, and print it."""
    made, (X_test, y_test) = canaries(kind, seed)
    X, y, records = made.X[made.canaries], made.y[made.canaries], []
    for name, models, membership in targets(made, which, seed):
        accuracy = float(np.mean([np.mean(model.predict(X_test) == y_test) for model in models]))
        for asked, rows in (("itself", X), ("a neighbor", near(X, seed + 1))):
            numbers = measure(models, rows, y, membership, kind == "mislabeled" and rows is X, seed)
            cells = (with_ends(*numbers[each]) if each in numbers else "-" for each in ATTACKS)
            cells = "".join(cell.rjust(22) for cell in cells)
            print(f"{kind:16}{name:20}{asked:12}{cells}{accuracy:10.3f}", flush=True)
            records.append({"canaries": kind, "target": name, "asked": asked, "accuracy": accuracy} | numbers)
    return records


def main():
    """Measure and print."""
    parser = make_parser(__doc__, seed=0)
    parser.add_argument("--kinds", nargs="+", choices=list(TARGETS), default=list(TARGETS), help="kinds of canaries")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", "Optimal order is the", UserWarning)
    started, records = time.process_time(), []
    print(f"{'canaries':16}{'target':20}{'asked':12}" + "".join(f"{attack:>22}" for attack in ATTACKS) + "  accuracy")
    for kind in options.kinds:
        records += run_kind(kind, TARGETS[kind], options.seed)
    seconds = time.process_time() - started
    print(f"all in {seconds:.0f} s of processor time")
    save(options, "adaptive_defenses.json", seconds=seconds, records=records)


if __name__ == "__main__":
    main()

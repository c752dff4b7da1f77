"""The canary protocol on digits, end to end: logistic regression and a small net, bare, and the net behind the defense.

    python benchmarks/canaries.py --jobs 2
    python benchmarks/canaries.py --jobs 2 --defended --cache benchmarks/results/models

Of 1,797 rows 1,200 are training rows, a tenth of them canaries; 400 public rows train the denoisers, the defender's
and the attacker's own; 197 measure accuracy. With ``--cache`` the models are kept, so that another run only asks them.
"""

import time
import warnings

import numpy as np
import torch
from _common import digit_net, make_parser, save, with_ends
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from skdiffence import DefendedClassifier, DiffusionRegenerator
from skdiffence.defenses import MeanRule
from skdiffence.exceptions import DefenseWarning
from skdiffence.inspection import canary_audit

N_TRAIN, N_PUBLIC = 1200, 400
N_QUERIES = 8


def images():
    """Return training, public and test images with their labels, shuffled as one."""
    digits = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.target))
    X = (digits.images[order, np.newaxis] / 16).astype("float32")
    parts = np.split(np.arange(len(X)), [N_TRAIN, N_TRAIN + N_PUBLIC])
    return [(X[rows], digits.target[order][rows]) for rows in parts]


def neighbors(X):
    """Return near-duplicates: one of 16 gray levels up or down in a fifth of the pixels."""
    rng = np.random.default_rng(1)
    steps = rng.choice([-1, 1], (N_QUERIES, *X.shape[1:])) * (rng.random((N_QUERIES, *X.shape[1:])) < 0.2) / 16
    return [np.clip(X + step, 0, 1).astype("float32") for step in steps]


def precompensated(regenerator, strength=2.0, n_averaged=1, n_iterations=1):
    """Return a function that adds to rows what regenerations by the attacker lose, and then what these still lose."""

    def query(X, number):
        changed, candidates = X, number * n_averaged + np.arange(n_averaged)
        for _ in range(n_iterations):
            mean = np.mean([regenerator.regenerate(changed, candidate) for candidate in candidates], axis=0)
            changed = np.clip(changed + strength * (X - mean), 0, 1).astype("float32")
        return changed

    return lambda X: [query(X, number) for number in range(N_QUERIES)]


def make_net():
    """Return the small net. A module class of this script could not be sent to other processes."""
    return digit_net(max_epochs=30, lr=0.01, batch_size=128)


def train_denoiser(X, folder, seed, timestep):
    """Train a denoiser on public rows."""
    settings = {"timestep": timestep, "max_epochs": 45, "lr": 4e-3, "batch_size": 32, "value_range": (0, 1)}
    trained = DiffusionRegenerator(random_state=seed, **settings).fit(X)
    trained.save_pretrained(folder)
    return trained


def bare_runs(options):
    """Yield what is audited without a defense."""
    forms = {"logistic regression": LogisticRegression(C=10.0, max_iter=200), "net": make_net()}
    for name, target in forms.items():
        for kind in options.kinds:
            yield name, target, kind, "the row itself", "identity"


def defended_runs(options, public):
    """Yield the net behind the defense, for each rule and denoiser, under each kind of queries."""
    folder = options.output / f"denoiser-{options.timestep}"
    train_denoiser(public, folder, 0, options.timestep)
    attackers = train_denoiser(public, options.output / f"attackers-denoiser-{options.timestep}", 1, options.timestep)
    attacks = {
        "the row itself": "identity",
        f"and {N_QUERIES} near-duplicates": neighbors,
        f"and {N_QUERIES} pre-compensated": precompensated(attackers),
        f"and {N_QUERIES} iterated": precompensated(attackers, strength=1.0, n_averaged=8, n_iterations=4),
    }
    shared = {"timestep": options.timestep, "value_range": (0, 1)}
    of_members = DiffusionRegenerator(max_epochs=15, lr=4e-3, batch_size=64, **shared)
    targets = {
        "swap, denoiser of public rows": ("swap", DiffusionRegenerator(str(folder), **shared)),
        "first, denoiser of public rows": ("first", DiffusionRegenerator(str(folder), **shared)),
        "mean, denoiser of public rows": (MeanRule(4), DiffusionRegenerator(str(folder), **shared)),
        "swap, denoiser of the members": ("swap", of_members),
    }
    for asked, queries in attacks.items():
        yield "net", make_net(), "mislabeled", asked, queries
    for name, (rule, regenerator) in targets.items():
        for asked, queries in attacks.items():
            target = DefendedClassifier(make_net(), regenerator, selection=rule, n_candidates=10)
            yield name, target, "mislabeled", asked, queries


def cell(numbers, key):
    """Return a number with its interval as text."""
    return with_ends(*(numbers[f"{key}{end}"] for end in ("", "_low", "_high")), to=" to ")


def main():
    """Run the audits and print one line for each."""
    parser = make_parser(__doc__, seed=0)
    parser.add_argument("--models", type=int, default=64, help="number of shadow models of each audit")
    parser.add_argument("--kinds", nargs="+", default=["clean", "mislabeled"], help="kinds of canaries")
    parser.add_argument("--cache", default=None, help="folder to keep the models in")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--defended", action="store_true", help="the net behind the defense, under adaptive queries")
    parser.add_argument("--timestep", type=int, default=240)
    parser.add_argument("--only", default="", help="audit only targets whose name contains this")
    options = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    warnings.simplefilter("ignore", DefenseWarning)
    torch.set_num_threads(1)
    (X, y), (X_public, _), (X_test, y_test) = images()
    runs = defended_runs(options, X_public) if options.defended else bare_runs(options)
    started, records = time.perf_counter(), []
    heads = ("LiRA AUC", "TPR at 1 % FPR", "threshold AUC", "labels AUC")
    line = f"{'target':31}  {'canaries':11}  {'asked':24}  " + "  ".join(f"{head:22}" for head in heads)
    print(f"{line}  test acc.")
    for name, target, kind, asked, queries in runs:
        if options.only not in name:
            continue
        flat = isinstance(target, LogisticRegression)
        rows, test = (part.reshape(len(part), -1) if flat else part for part in (X, X_test))
        audit = canary_audit(
            target,
            rows,
            y,
            kind=kind,
            X_test=test,
            y_test=y_test,
            n_shadows=options.models,
            queries=queries,
            cache_dir=options.cache,
            n_jobs=options.jobs,
            random_state=options.seed,
        )
        figures = audit.to_dict()
        lira, threshold = figures["lira_logit"], figures["threshold_logit"]
        cells = [cell(lira, "roc_auc"), cell(lira, "tpr_at_fpr_0.01"), cell(threshold, "roc_auc")]
        cells.append(cell(figures["threshold_correctness"], "roc_auc"))
        accuracy = f"{audit.accuracy.mean():.3f}±{audit.accuracy_sem:.3f}"
        line = f"{name:31}  {kind:11}  {asked:24}  " + "  ".join(f"{text:22}" for text in cells)
        print(f"{line}  {accuracy}", flush=True)
        record = {"target": name, "canaries": kind, "asked": asked, "attacks": figures}
        records.append(record | {"accuracy": audit.accuracy.mean(), "accuracy_sem": audit.accuracy_sem})
    seconds = time.perf_counter() - started
    print(f"all in {seconds:.0f} s; intervals of 95 % over canaries and models")
    save(options, f"canaries{'-defended' * options.defended}.json", seconds=seconds, records=records)


if __name__ == "__main__":
    main()

"""How far three training-time defenses weaken the attacks they are made against, and what they cost, on digits.

    python benchmarks/training_defenses.py --splits 6 --mislabeled 0.1
    python benchmarks/training_defenses.py --splits 6 --mislabeled 0.1 --recipes

An overfitted network is trained on a few digits, some with a wrong label if asked for, undefended and with each
defense, on the same rows from the same seed. Attack scores are areas under the ROC curve of members against
non-members, none of which any model saw; the differences are paired, with Student's 95 % interval over splits. Splits
share rows, so that the intervals are somewhat too narrow. ``AdvRegClassifier`` gets reference rows of its own, and
trains on the same members as the others. ``--recipes`` compares what torch and skorch have instead; early stopping
watches the same reference rows.
"""

import time

import numpy as np
import torch
from _common import make_parser, wrong_labels
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score
from skorch import NeuralNetClassifier
from skorch.callbacks import EarlyStopping
from skorch.dataset import Dataset
from skorch.helper import predefined_split
from torch import nn
from torch.utils.data import default_collate

from skdiffence._demo._engine import torch_seed
from skdiffence._demo._table import mean_and_margin
from skdiffence.datasets import membership_partition
from skdiffence.defenses import AdvRegClassifier, HAMPClassifier, RelaxLossClassifier
from skdiffence.metrics import confidence_signal, correctness_signal, entropy_signal

SIZES = {"members": 300, "non_members": 600, "reference": 300}
UNDEFENDED = "undefended"
SETTINGS = {"max_epochs": 60, "batch_size": 32, "lr": 0.005, "optimizer": torch.optim.Adam, "verbose": 0}
KEYS = ("confidence", "entropy", "correctness", "accuracy", "train_accuracy", "nll")


class Network(nn.Module):
    """One wide hidden layer, which memorizes any few hundred rows."""

    def __init__(self, width=256, dropout=0.0):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(64, width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, 10))

    def forward(self, X):
        """Return logits."""
        return self.layers(X)


def plain(**params):
    """Return a network on the cross-entropy."""
    return NeuralNetClassifier(Network, criterion=nn.CrossEntropyLoss, train_split=None, **SETTINGS | params)


def mixup(batch, alpha=0.4):
    """Mix each row of a batch with another one, and their labels in the same proportion."""
    X, y = default_collate(batch)
    share = torch.distributions.Beta(alpha, alpha).sample()
    other, labels = torch.randperm(len(y)), nn.functional.one_hot(y, 10).float()
    return share * X + (1 - share) * X[other], share * labels + (1 - share) * labels[other]


def recipes():
    """Return what makes each plain network with a recipe of torch's or skorch's, by its name."""
    return {
        UNDEFENDED: plain,
        "label smoothing 0.1": lambda: plain(criterion__label_smoothing=0.1),
        "weight decay 0.3": lambda: plain(optimizer=torch.optim.AdamW, optimizer__weight_decay=0.3),
        "dropout 0.5": lambda: plain(module__dropout=0.5),
        "early stopping": lambda: plain(callbacks=[EarlyStopping(patience=3, load_best=True)]),
        "mixup 0.4": lambda: plain(iterator_train__collate_fn=mixup),
    }


def makers(seed, with_control):
    """Return what makes each classifier, by its name."""
    own = SETTINGS | {"random_state": seed}
    control = {"AdvReg, weight 0": lambda: AdvRegClassifier(Network, adversary_weight=0, **own)}
    return {
        UNDEFENDED: plain,
        "HAMP": lambda: HAMPClassifier(Network, **own),
        "RelaxLoss": lambda: RelaxLossClassifier(Network, **own),
        "AdvReg": lambda: AdvRegClassifier(Network, **own),
        "AdvReg, weight 10": lambda: AdvRegClassifier(Network, adversary_weight=10, **own),
    } | (control if with_control else {})


def draw(seed, mislabeled):
    """Return X, the labels given, the true labels and the parts of a split."""
    X, truth = load_digits(return_X_y=True)
    parts = membership_partition(len(truth), SIZES, random_state=seed)
    given, _ = wrong_labels(truth, mislabeled, np.random.default_rng(seed))
    return (X / 16).astype("float32"), given, truth, parts


def train(name, make, X, y, parts, seed):
    """Return a classifier that was trained on the members."""
    if "AdvReg" in name:
        rows = np.r_[parts.members, parts.reference]
        return make().fit(X[rows], y[rows], is_member=np.arange(len(rows)) < len(parts.members))
    net = make()
    if name == "early stopping":
        net.set_params(train_split=predefined_split(Dataset(X[parts.reference], y[parts.reference])))
    with torch_seed(seed):
        return net.fit(X[parts.members], y[parts.members])


def measure(net, X, given, truth, parts):
    """Return attack scores and accuracies of a classifier."""
    rows = np.r_[parts.members, parts.non_members]
    is_member = np.arange(len(rows)) < len(parts.members)
    proba = net.predict_proba(X[rows]).astype(float)
    signals = {
        "confidence": confidence_signal(given[rows], proba),
        "entropy": entropy_signal(None, proba),
        "correctness": correctness_signal(given[rows], proba),
    }
    scores = {name: roc_auc_score(is_member, signal) for name, signal in signals.items()}
    answers = net.predict_proba(X[parts.rest])
    at_truth = answers[np.arange(len(answers)), truth[parts.rest]]
    return scores | {
        "accuracy": (answers.argmax(axis=1) == truth[parts.rest]).mean(),
        "train_accuracy": (proba[is_member].argmax(axis=1) == given[parts.members]).mean(),
        "nll": -np.log(np.maximum(at_truth, 1e-12)).mean(),
    }


def main():
    """Run the comparison and print it."""
    parser = make_parser(__doc__, splits=6, seed=100, output=False)
    parser.add_argument("--mislabeled", type=float, default=0.0, help="share of rows that have a wrong label")
    parser.add_argument("--recipes", action="store_true", help="what torch and skorch have, in place of the defenses")
    parser.add_argument("--control", action="store_true", help="train AdvReg at weight zero, too")
    options = parser.parse_args()
    torch.set_num_threads(1)
    records = {}
    for seed in range(options.seed, options.seed + options.splits):
        data = draw(seed, options.mislabeled)
        X, given, _, parts = data
        for name, make in (recipes() if options.recipes else makers(seed, options.control)).items():
            started = time.process_time()
            net = train(name, make, X, given, parts, seed)
            seconds = {"seconds": time.process_time() - started}
            records.setdefault(name, []).append(measure(net, *data) | seconds)
            if name == "HAMP":
                net.set_params(modify_output=False)
                records.setdefault("HAMP, training part", []).append(measure(net, *data) | seconds)
    report(records, options)


def report(records, options):
    """Print means, and the paired differences from the undefended network."""
    print(f"{options.splits} splits, {options.mislabeled:.0%} of the rows mislabeled\n")
    print(f"{'':22}" + "".join(f"{key:>16}" for key in (*KEYS, "seconds")))
    for name, runs in records.items():
        means = (mean_and_margin([run[key] for run in runs]) for key in (*KEYS, "seconds"))
        print(f"{name:22}" + "".join(f"{f'{mean:.3f} ± {margin:.3f}':>16}" for mean, margin in means))
    print("\nless the undefended network's, split by split")
    for name, runs in records.items():
        if name == UNDEFENDED:
            continue
        pairs = list(zip(runs, records[UNDEFENDED], strict=True))
        means = (mean_and_margin([run[key] - base[key] for run, base in pairs]) for key in KEYS)
        print(f"{name:22}" + "".join(f"{f'{mean:+.3f} ± {margin:.3f}':>16}" for mean, margin in means))


if __name__ == "__main__":
    main()

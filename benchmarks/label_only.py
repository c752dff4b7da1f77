"""How strong the attacks on labels alone are: digits, and targets that memorized wrong labels.

Each target is trained on half of the rows, some of which have wrong labels, members and others alike. Printed are
areas under the ROC curve, each row scored by an attack that knew rows of the other half, with 95 % intervals.
"""

import time

import numpy as np
from _common import make_parser, wrong_labels
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skdiffence._demo._engine import attack_scores
from skdiffence.attacks import BoundaryAttack, LabelOnlyAttack, LabelOnlyReferenceAttack, ThresholdAttack
from skdiffence.datasets import load_digit_images
from skdiffence.metrics import auc_interval

ATTACKS = {
    "correctness": ThresholdAttack("correctness"),
    "augmentation": LabelOnlyAttack(),
    "augmentation, mean": LabelOnlyAttack(estimator="mean"),
    "noise": LabelOnlyAttack("noise"),
    "noise, mean": LabelOnlyAttack("noise", estimator="mean"),
    "reference": LabelOnlyReferenceAttack(),
    "reference, noise": LabelOnlyReferenceAttack(n_queries=31),
    "boundary": BoundaryAttack(),
    "confidence": ThresholdAttack("confidence"),
}
TARGETS = {
    "forest": lambda: RandomForestClassifier(20, random_state=0),
    "network": lambda: MLPClassifier((64,), alpha=0, max_iter=400, random_state=0),
    "3 neighbors": lambda: KNeighborsClassifier(3),
}


def flatten(X):
    """Return images as rows."""
    return np.reshape(X, (len(X), -1))


def digits(n, wrong, seed):
    """Return images, labels of which some are wrong, who has a wrong one, and who is a member."""
    data, rng = load_digit_images(), np.random.default_rng(seed)
    rows = rng.permutation(len(data.target))[:n]
    y, is_wrong = wrong_labels(data.target[rows], wrong, rng)
    return data.data[rows], y, is_wrong, np.arange(n) % 2 == 0


def main():
    """Measure and print."""
    parser = make_parser(__doc__, output=False)
    parser.add_argument("--rows", type=int, default=1200)
    parser.add_argument("--wrong", type=float, default=0.1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--targets", nargs="+", choices=TARGETS, default=list(TARGETS))
    parser.add_argument(
        "--attacks", nargs="+", choices=ATTACKS, default=[name for name in ATTACKS if name != "boundary"]
    )
    options = parser.parse_args()
    for name in options.targets:
        for attack in options.attacks:
            started, parts = time.perf_counter(), []
            for seed in range(options.repeats):
                X, y, is_wrong, is_member = digits(options.rows, options.wrong, seed)
                target = make_pipeline(FunctionTransformer(flatten), TARGETS[name]()).fit(X[is_member], y[is_member])
                parts.append((is_member, attack_scores(ATTACKS[attack], target, X, y, is_member), is_wrong))
            print(f"{name:14}{attack:20}{summary(parts)}  {time.perf_counter() - started:7.1f} s", flush=True)


def summary(parts):
    """Return the mean area with its interval, of all rows and of those with wrong labels."""
    texts = []
    for select in (lambda is_wrong: slice(None), lambda is_wrong: is_wrong):
        rows = [(member[select(wrong)], scores[select(wrong)]) for member, scores, wrong in parts]
        area = np.mean([roc_auc_score(*part) for part in rows])
        # The errors of different splits average out, as far as these do not overlap.
        half = np.linalg.norm([np.ptp(auc_interval(*part)) / 2 for part in rows]) / len(rows)
        texts.append(f"{area:.3f} ± {half:.3f}")
    return "all {}, wrong labels {}".format(*texts)


if __name__ == "__main__":
    main()

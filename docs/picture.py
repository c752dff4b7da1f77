"""Draw the picture of the front page: phi of members and non-members, undefended and defended, on the demo's digits."""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import roc_auc_score

from skdiffence._demo._digits import DemoSettings, draw_digits, split_digits, train_denoiser
from skdiffence._demo._split import DEFAULT
from skdiffence.inspection import SignalDisplay
from skdiffence.metrics import logit_signal
from skdiffence.utils._random import mix_seed

HERE = Path(__file__).parent


def measure(settings, seed):
    """Return membership and phi of the rows of each split, undefended and defended, as the demo splits and trains."""
    digits = draw_digits(settings, mix_seed(seed, "public") % 2**31)
    with tempfile.TemporaryDirectory() as folder:
        regenerator = train_denoiser(settings, digits.X_public, Path(folder), seed, verbose=1)
    splits = []
    for number in range(settings.n_splits):
        split = split_digits(settings, digits, mix_seed(seed, "split", number) % 2**31)
        members = split.X_fit[split.is_member]
        X = np.concatenate((members, split.X_rest))
        labels = split.net.predict(X)
        defended = split.defend(FrozenEstimator(regenerator), DEFAULT)
        answers = (split.net.predict_proba(X), defended.predict_proba(X))
        splits.append((np.arange(len(X)) < len(members), *(logit_signal(labels, proba) for proba in answers)))
    return splits


def draw(splits, timestep, path):
    """Draw the rows of all splits together; the areas are means over splits."""
    is_member, *signals = (np.concatenate(parts) for parts in zip(*splits, strict=True))
    names = ("the classifier's own answers", f"answers behind Diffence, timestep {timestep}")
    figure, axes = plt.subplots(1, 2, figsize=(8.4, 3.1), layout="constrained")
    SignalDisplay(is_member=is_member, signal=signals, name=list(names), xlabel="phi of the answered label").plot(axes)
    for panel, name, place in zip(axes, names, (1, 2), strict=True):
        areas = [roc_auc_score(split[0], split[place]) for split in splits]
        title = f"{name}\nAUC {np.mean(areas):.2f}"
        print(title.replace("\n", ": "), f"({min(areas):.3f} to {max(areas):.3f})")
        panel.set_title(title, loc="left", fontsize="medium")
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--splits", type=int, default=DemoSettings.n_splits)
    parser.add_argument("--output", default=HERE / "members.png", help="default: %(default)s")
    options = parser.parse_args()
    settings = DemoSettings(n_splits=options.splits)
    draw(measure(settings, seed=0), settings.timestep, options.output)

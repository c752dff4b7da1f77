"""What benchmarks share: options, timing, tables and files of results."""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from skorch import NeuralNetClassifier
from torch import nn

from skdiffence._demo._digits import DigitNet, train_denoiser
from skdiffence._demo._record import machine, save_json
from skdiffence._demo._table import align

RESULTS = Path(__file__).parent / "results"


def make_parser(description, *, seed=None, splits=None, output=True):
    """Return a parser of the options that benchmarks have in common.

    Parameters
    ----------
    description : str
        The script's docstring, whose first line is shown.
    seed, splits : int or None, default=None
        Default of ``--seed`` and ``--splits``; None leaves the option out.
    output : bool, default=True
        Whether there is an ``--output``.

    Returns
    -------
    parser : ArgumentParser
    """
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    if splits is not None:
        parser.add_argument("--splits", type=int, default=splits, help="number of random splits")
    if seed is not None:
        parser.add_argument("--seed", type=int, default=seed, help="seed of the first split")
    if output:
        parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the results")
    return parser


def kept_denoiser(settings, digits, folder, seed, verbose=1):
    """Return the folder of a denoiser of the public digits, trained now unless an earlier run has left it there."""
    if not (folder / "denoiser").exists():
        train_denoiser(settings, digits.X_public, folder, seed, verbose)
    return folder / "denoiser"


def digit_net(**params):
    """Return a network of digits with one hidden layer, trained by Adam on the cross-entropy of all rows."""
    made = {"criterion": nn.CrossEntropyLoss, "optimizer": torch.optim.Adam, "train_split": None, "verbose": 0}
    return NeuralNetClassifier(DigitNet, **made, **params)


def seconds(work, device):
    """Do some work; return its wall-clock and CPU seconds, the device's own work included."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - wall, time.process_time() - cpu


def interleaved(works, repeats, device):
    """Time several kinds of work in turns, so that what else the machine does affects all of them alike.

    Parameters
    ----------
    works : dict of str to (callable, n_rows)
        Each is done once to warm up.
    repeats : int
        How often each is timed.
    device : torch.device
        Waited for.

    Returns
    -------
    times : dict of str to ndarray of shape (repeats, 2)
        Wall-clock and CPU milliseconds per row.
    """
    times = {name: [] for name in works}
    for turn in range(repeats + 1):
        for name, (work, n_rows) in works.items():
            measured = np.array(seconds(work, device)) * 1e3 / n_rows
            if turn:
                times[name].append(measured)
    return {name: np.array(values) for name, values in times.items()}


def middle(values, digits=3):
    """Return a median and the range of the values as text."""
    low, median, high = np.quantile(values, [0, 0.5, 1])
    return f"{median:.{digits}f} ({low:.{digits}f}-{high:.{digits}f})"


def with_ends(value, low, high, to="-"):
    """Return a number and the ends of its interval as text."""
    return f"{value:.3f} ({low:.3f}{to}{high:.3f})"


def print_table(rows):
    """Print rows of cells, the first one as heading."""
    print(align(rows))


def wrong_labels(y, share, rng):
    """Return labels of which about a share is wrong, at random among ten, and which are."""
    is_wrong = rng.random(len(y)) < share
    return (y + is_wrong * rng.integers(1, 10, size=len(y))) % 10, is_wrong


def save(options, name, **facts):
    """Save figures in the output folder as JSON, with the options and the machine."""
    options.output.mkdir(parents=True, exist_ok=True)
    save_json(options.output / name, {"options": vars(options), "machine": machine(), **facts})
    print(f"\n{options.output / name}")

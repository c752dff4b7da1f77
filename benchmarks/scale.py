"""Time and memory by the number of rows, and what a plain loop takes for the same.

    python benchmarks/scale.py
    python benchmarks/scale.py --only lira rmia
    python benchmarks/scale.py --share 0.01

Each kind of work is done for a sixteenth, a quarter and all of its rows. "Growth" is how much longer a size takes than
the one before, divided by what n log n would take longer: 1 or less is no worse than n log n. Memory is the peak beyond
what the process held before, with the result and without the input (Linux only). The plain loop goes row by row over a
few rows, and its time is scaled up to all of them. Networks are tiny, and have random weights: the times of real ones
are to be added, and are in proportion to the rows.
"""

import ctypes
import gc
import re
import time
from pathlib import Path

import numpy as np
from _common import make_parser, print_table, save
from scipy.stats import norm
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

from skdiffence import DefendedClassifier, DiffusionRegenerator
from skdiffence.attacks import lira_scores, rmia_scores
from skdiffence.model_selection import AttackScorer

N_MODELS = 64
LOOPED = 64  # rows of plain loops
IMAGE = (3, 32, 32)
N_FEATURES = 16


def draws(n, *shape, seed=0):
    """Return random numbers in [0, 1) in single precision."""
    return np.random.default_rng(seed).random((n, *shape), dtype=np.float32)


def tiny_regenerator(X):
    """Return a regenerator with a tiny network of random weights."""
    small = {"block_out_channels": (4, 4), "add_attention": False} if X.ndim > 2 else {"width": 32}
    value_range = (0, 1) if X.ndim > 2 else "auto"
    return DiffusionRegenerator(small, timestep=100, max_epochs=1, value_range=value_range, random_state=0).fit(X[:64])


def transform(n):
    """Regenerate color images."""
    X = draws(n, *IMAGE)
    regenerator = tiny_regenerator(X)

    def loop(some):
        return [regenerator.transform(some[i : i + 1]) for i in range(len(some))]

    return lambda: regenerator.transform(X), lambda: loop(X[:LOOPED])


def predict_proba(n):
    """Answer rows, by the mean of four candidates."""
    X = draws(n, N_FEATURES)
    y = (X[:, 0] > 0.5).astype(int)
    defended = DefendedClassifier(LogisticRegression(), FrozenEstimator(tiny_regenerator(X)), random_state=0)
    defended.fit(X[:200], y[:200])

    def loop(some):
        return [defended.predict_proba(some[i : i + 1]) for i in range(len(some))]

    return lambda: defended.predict_proba(X), lambda: loop(X[:LOOPED])


def shadow_signals(n):
    """Return signals of a target and of shadow models, and which rows trained these."""
    rng = np.random.default_rng(0)
    membership = rng.random((n, N_MODELS)) < 0.5
    return rng.normal(size=n), rng.normal(size=(n, N_MODELS)) + membership, membership


def lira(n):
    """Score by LiRA with variances of each row."""
    target, shadows, membership = shadow_signals(n)

    def loop():
        for own, signals, trained in zip(target[:LOOPED], shadows, membership, strict=False):
            [norm(side.mean(), side.std()).logpdf(own) for side in (signals[trained], signals[~trained])]

    return lambda: lira_scores(target, shadows, membership, variance="per_sample"), loop


def rmia(n):
    """Score by RMIA, with half of the rows as population."""
    target, shadows, membership = shadow_signals(n)
    target, shadows = 1 / (1 + np.exp(-target)), 1 / (1 + np.exp(-shadows))
    others = slice(n // 2, None)

    def loop():
        population = target[others] / shadows[others].mean(axis=1)
        for own, signals in zip(target[:LOOPED], shadows, strict=False):
            np.mean(own / signals.mean() > population)

    rest = target[others], shadows[others]
    work = lambda: rmia_scores(target, shadows, membership, *rest, population_membership=membership[others])  # noqa: E731
    return work, loop


def pool(n):
    """Score a fitted classifier by a scorer that has all rows as its pool."""
    X = draws(n, N_FEATURES)
    y = (X[:, 0] > 0.5).astype(int)
    known = slice(min(2000, n // 2))
    is_member = np.arange(n) < known.stop
    classifier = FrozenEstimator(LogisticRegression().fit(X[known], y[known]))

    def loop():
        return {row.tobytes() for row in X[:LOOPED]}

    def work():
        scorer = AttackScorer(["entropy"], pool=(X, y, is_member), random_state=0)
        return scorer(classifier, X[known], y[known])

    return work, loop


# Name: the work, its rows, and what it is.
WORKS = {
    "lira": (lira, 50_000, f"rows, {N_MODELS} models"),
    "rmia": (rmia, 50_000, f"rows, {N_MODELS} models"),
    "proba": (predict_proba, 100_000, f"rows of {N_FEATURES} features, four candidates"),
    "transform": (transform, 50_000, "color images of 32x32"),
    "pool": (pool, 1_000_000, f"rows of {N_FEATURES} features, 2,000 of them members"),
}


def memory_mb(name):
    """Return what this process holds (VmRSS) or has held at most since :func:`forget_peak` (VmHWM), in MB."""
    return int(re.search(rf"{name}:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1e3


def forget_peak():
    """Let the peak of this process begin anew."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # what was freed is not to be found again
    Path("/proc/self/clear_refs").write_text("5")


def timed(work):
    """Do some work; return wall-clock seconds, CPU seconds and MB at most beyond what was held before."""
    forget_peak()
    before, wall, cpu = memory_mb("VmRSS"), time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu, memory_mb("VmHWM") - before


def measure(name, share):
    """Return the figures of each size of one kind of work."""
    make, most, _ = WORKS[name]
    make(256)[0]()  # what is imported, made or compiled once
    found = []
    for n in (most // 16, most // 4, most):
        n = max(256, int(n * share))
        work, loop = make(n)
        wall, cpu, mb = timed(work)
        looped = timed(loop)[1] * n / LOOPED
        growth = np.nan
        if found:
            last = found[-1]
            growth = cpu / last["cpu"] / (n * np.log(n) / (last["n"] * np.log(last["n"])))
        found.append({"n": n, "wall": wall, "cpu": cpu, "growth": growth, "mb": mb, "loop": looped})
        print(name, found[-1], flush=True)
    return found


def main():
    """Measure and print the table."""
    parser = make_parser(__doc__)
    parser.add_argument("--only", nargs="+", choices=WORKS, default=list(WORKS))
    parser.add_argument("--share", type=float, default=1.0, help="of the rows")
    options = parser.parse_args()
    found = {name: measure(name, options.share) for name in options.only}
    lines = [["work", "rows", "wall s", "CPU s", "growth", "MB", "plain loop, CPU s"]]
    for name, sizes in found.items():
        for each in sizes:
            growth = f"{each['growth']:.2f}" if np.isfinite(each["growth"]) else "-"
            lines.append([name, f"{each['n']:,}", f"{each['wall']:.2f}", f"{each['cpu']:.2f}", growth])
            lines[-1] += [f"{each['mb']:.0f}", f"{each['loop']:.2f}"]
    print_table(lines)
    print("\n".join(f"{name}: {WORKS[name][2]}" for name in found))
    save(options, "scale.json", found=found)


if __name__ == "__main__":
    main()

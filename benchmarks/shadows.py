"""Time and memory of LiRA and RMIA on arrays, at the size of a real audit.

    python benchmarks/shadows.py --rows 50000 --models 64

Memory is the peak beyond the inputs, as a multiple of the matrix of shadow signals.
"""

import time
import tracemalloc

import numpy as np
from _common import make_parser
from scipy.special import expit

from skdiffence.attacks import lira_leave_one_out, lira_scores, rmia_scores


def measure(function, *args, **options):
    """Return seconds and peak bytes of a call."""
    start = time.perf_counter()
    function(*args, **options)
    seconds = time.perf_counter() - start
    # Traced apart, because tracing takes time.
    tracemalloc.start()
    function(*args, **options)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return seconds, peak


def main():
    """Run the calls and print what each took."""
    parser = make_parser(__doc__, output=False)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--models", type=int, default=64)
    parser.add_argument("--leave-one-out", action="store_true")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    shape = (options.rows, options.models)
    membership = rng.permuted(np.broadcast_to(np.arange(options.models) % 2 == 0, shape), axis=1)
    signals = rng.normal(2.0 * membership + rng.normal(scale=3.0, size=(options.rows, 1)))
    target = rng.normal(scale=3.0, size=options.rows)
    calls = {
        f"lira {mode}, {variance}, {center}": (lira_scores, target, signals, membership, choice)
        for mode in ("online", "offline")
        for variance in ("fixed", "per_sample")
        for center in ("mean", "median")
        for choice in [{"mode": mode, "variance": variance, "center": center}]
    }
    if options.leave_one_out:
        calls["lira, each model in turn"] = (lira_leave_one_out, signals, membership, {})
    proba, half = expit(signals), options.rows // 2
    arrays = (expit(target[half:]), proba[half:], membership[half:], expit(target[:half]), proba[:half])
    calls["rmia online, half against half"] = (rmia_scores, *arrays, {})
    print(f"{options.rows} rows, {options.models} models, {signals.nbytes / 2**20:.1f} MB of signals")
    for name, (function, *args, choice) in calls.items():
        seconds, peak = measure(function, *args, **choice)
        print(f"{name:40} {seconds:7.2f} s   {peak / signals.nbytes:5.2f} x")


if __name__ == "__main__":
    main()

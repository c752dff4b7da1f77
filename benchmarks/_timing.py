"""What the timing benchmarks share: interleaved repeats, medians with their spread, the machine, tables and JSON."""

import json
import time
from pathlib import Path

import numpy as np
import torch

from skdiffence._demo._record import machine
from skdiffence.utils._files import whole_file


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
    """Time several kinds of work in turns, so that what else the machine does hits all of them alike.

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
    """Write a median and between what values it lies."""
    low, median, high = np.quantile(values, [0, 0.5, 1])
    return f"{median:.{digits}f} ({low:.{digits}f}-{high:.{digits}f})"


def print_table(rows):
    """Print rows of cells, the first one as heading, each column as wide as it must be."""
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    for number, row in enumerate(rows):
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        print("  ".join(cells))
        if not number:
            print("-" * (sum(widths) + 2 * len(widths) - 2))


def save(output, name, options, facts):
    """Write the figures, the options and the machine as JSON."""
    Path(output).mkdir(parents=True, exist_ok=True)
    facts = {"options": {key: str(value) for key, value in vars(options).items()}, "machine": machine()} | facts
    with whole_file(Path(output) / name) as path:
        path.write_text(json.dumps(facts, indent=1, default=lambda value: np.asarray(value).tolist()), encoding="utf-8")
    print(f"\n{Path(output) / name}")

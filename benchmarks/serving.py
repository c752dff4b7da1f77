"""Load the example server with concurrent clients: errors, equal answers, throughput, and what latency tells.

    python benchmarks/serving.py --clients 8 --seconds 60

The denoiser is that of ``examples/serve/make_model.py``, and a client sends one random row at a time: one of 300 digits
that trained the net, or one of 300 others. The 300 have wrong labels, which the net has learned by heart beside 1,000
digits with right ones. Regenerations often lose these labels, so that a search that ends early takes longer for them.
It is the control: the server refuses it, and is started without that check, here only. Models of an earlier run in the
output folder are used again.
"""

import http.client
import importlib
import json
import os
import re
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from _common import make_parser, print_table, save, with_ends
from sklearn.base import clone
from sklearn.metrics import roc_auc_score
from sklearn.utils import shuffle

from skdiffence import DefendedClassifier
from skdiffence.datasets import load_digit_images
from skdiffence.metrics import auc_interval, cluster_bootstrap_interval

SERVE = Path(__file__).parents[1] / "examples" / "serve"
sys.path.append(str(SERVE))
make_model = importlib.import_module("make_model")
N_EPOCHS = 150  # until wrong labels are learned as well


# The servable classifier, and one whose number of candidates depends on the row.
RULES = {"constant cost": {"selection": "mean"}, "control": {"selection": "first", "search": "lazy"}}
UNCHECKED = "import serve; serve.check_servable = lambda defended: None; serve.main()"


def save_models(folders, exact):
    """Save classifiers that differ in their rule only, around a net that has learned wrong labels by heart."""
    public, X, y, _ = make_model.split()
    y_public = shuffle(load_digit_images().target, random_state=0)[: len(public)]
    X_train, y_train = np.concatenate((X, public)), np.concatenate(((y + 1) % 10, y_public))
    made = make_model.make_model(n_epochs=N_EPOCHS, exact=exact)
    for name, folder in folders.items():
        defended = clone(made).set_params(**RULES[name]).fit(X_train, y_train)
        memorized = defended.estimator_.score(X, (y + 1) % 10)
        print(f"{name}: {memorized:.0%} of the 300 have the label that they were trained on", flush=True)
        defended.save_pretrained(folder, key_file=folder.with_suffix(".key"))


def started(folder, *, checked):
    """Return the process of a server and its port."""
    command = [sys.executable, *([str(SERVE / "serve.py")] if checked else ["-c", UNCHECKED]), str(folder)]
    command += ["--classes", "make_model:Net", "--port", "0", "--key-file", str(folder.with_suffix(".key"))]
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(SERVE), os.environ.get("PYTHONPATH", "")])}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=env)
    for line in process.stderr:
        if (found := re.search(r"http://127\.0\.0\.1:(\d+)", line)) is not None:
            threading.Thread(target=process.stderr.read, daemon=True).start()
            return process, int(found[1])
    raise RuntimeError("The server did not start.")


def ask(port, bodies, until, seed):
    """Send one random row after another; return the row, the seconds and the answer of each request."""
    connection, rng, asked = http.client.HTTPConnection("127.0.0.1", port), np.random.default_rng(seed), []
    headers = {"content-type": "application/json"}
    while time.monotonic() < until:
        row = int(rng.integers(len(bodies)))
        start = time.perf_counter()
        connection.request("POST", "/predict_proba", bodies[row], headers)
        answer = connection.getresponse()
        content, seconds = answer.read(), time.perf_counter() - start
        asked.append((row, seconds, json.loads(content)["proba"][0] if answer.status == 200 else None))
    return asked


def latency_auc(is_member, rows, seconds):
    """Return the AUC of latency as a membership signal with its interval, from one request and from all of a row."""
    one = roc_auc_score(is_member[rows], seconds)
    interval = cluster_bootstrap_interval(is_member[rows], seconds, roc_auc_score, rows=rows, random_state=0)
    known = np.unique(rows)
    medians = np.array([np.median(seconds[rows == row]) for row in known])
    many = roc_auc_score(is_member[known], medians)
    return {"one request": (one, *interval), "median of a row": (many, *auc_interval(is_member[known], medians))}


def cpu_time(defended, X, repeats):
    """Return rows and CPU seconds of calls for single rows in this process, which other work here hardly changes."""
    rows, seconds = np.random.default_rng(0).permutation(np.tile(np.arange(len(X)), repeats)), []
    for row in rows:
        start = time.process_time()
        defended.predict_proba(X[row : row + 1])
        seconds.append(time.process_time() - start)
    return rows, np.array(seconds)


def load(folder, X, clients, seconds, *, checked):
    """Let clients ask a server; return the row, the seconds and the answer of each request."""
    process, port = started(folder, checked=checked)
    try:
        bodies = [json.dumps({"rows": row[None].tolist()}) for row in X]
        until = time.monotonic() + seconds
        with ThreadPoolExecutor(clients) as threads:
            asked = list(threads.map(lambda seed: ask(port, bodies, until, seed), range(clients)))
    finally:
        process.terminate()
        process.wait()
    rows, took, answers = zip(*(each for one in asked for each in one), strict=True)
    return np.array(rows), np.array(took), answers


def describe(rows, took, answers, expected, options):
    """Print and return what clients saw of the server."""
    n_errors = sum(answer is None for answer in answers)
    pairs = zip(answers, expected[rows], strict=True)
    largest = max(np.abs(a - e).max() for a, e in pairs if a is not None)
    milliseconds = np.quantile(took, [0.5, 0.95, 0.99]) * 1e3
    rate = len(rows) / options.seconds
    print(f"{len(rows)} requests of {options.clients} clients in {options.seconds} s: {rate:.0f}/s")
    print(f"{n_errors} errors, largest difference from answers in this process {largest:.2g}, exact={options.exact}")
    print("latency, ms: median {:.1f}, 95 % {:.1f}, 99 % {:.1f}".format(*milliseconds), flush=True)
    return {"requests": len(rows), "errors": n_errors, "largest": largest, "ms": milliseconds.tolist()}


def measure(options):
    """Measure both classifiers and print what latency tells."""
    folders = {name: options.output / f"served {name}" for name in RULES}
    if not all(folder.exists() for folder in folders.values()):
        save_models(folders, options.exact)
    _, members, _, others = make_model.split()
    X, is_member = np.concatenate((members, others)), np.arange(len(members) + len(others)) < len(members)
    facts, figures = {}, {}
    for name, folder in folders.items():
        key_file = folder.with_suffix(".key")
        defended = DefendedClassifier.from_pretrained(folder, classes=[make_model.Net], key_file=key_file)
        needed = defended.select(X).n_regenerations
        print(
            f"{name}: {needed[is_member].mean():.1f} candidates for members, {needed[~is_member].mean():.1f} for others"
        )
        for clients in (options.clients, 1):
            found = load(folder, X, clients, options.seconds, checked=name != "control")
            figures[f"{name}, {clients} client{'s' * (clients > 1)}"] = latency_auc(is_member, *found[:2])
            if clients > 1:
                facts[name] = describe(*found, defended.predict_proba(X), options)
        figures[f"{name}, CPU time"] = latency_auc(is_member, *cpu_time(defended, X, options.repeats))
    names = ["one request", "median of a row"]
    lines = [[key, *(with_ends(*auc[n]) for n in names)] for key, auc in figures.items()]
    print_table([["AUC of latency", *names], *lines])
    save(options, "serving.json", facts=facts, auc=figures)


def main():
    """Measure."""
    parser = make_parser(__doc__)
    parser.add_argument("--clients", type=int, default=8, help="at the same time; a second run has one")
    parser.add_argument("--seconds", type=float, default=60, help="of each run")
    parser.add_argument("--repeats", type=int, default=3, help="calls for each row whose CPU time is taken")
    parser.add_argument("--exact", action="store_true", help="run networks at one batch shape, for bit-equal answers")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    measure(options)


if __name__ == "__main__":
    main()

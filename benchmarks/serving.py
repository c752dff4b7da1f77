"""Load the example server with concurrent clients: errors, equal answers, throughput, and what latency tells.

    python benchmarks/serving.py --clients 8 --seconds 60

The model is that of ``examples/serve/make_model.py``: 300 digits trained the net, 300 others did not. A client sends
one random row at a time. A model that an earlier run has left in the output folder is used again.
"""

import http.client
import importlib
import json
import re
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from _common import make_parser, print_table, save, with_ends
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import roc_auc_score

from skdiffence import DefendedClassifier
from skdiffence.metrics import auc_interval, cluster_bootstrap_interval

SERVE = Path(__file__).parents[1] / "examples" / "serve"
sys.path.append(str(SERVE))
make_model = importlib.import_module("make_model")


def started(folder, key_file):
    """Return the process of a server and its port."""
    command = [sys.executable, str(SERVE / "serve.py"), str(folder), "--classes", "make_model:Net", "--port", "0"]
    command += ["--key-file", str(key_file)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
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


def load(options, folder):
    """Load the server with clients and print what they saw."""
    key_file = folder.with_suffix(".key")
    if not folder.exists():
        make_model.make_model(exact=options.exact).save_pretrained(folder, key_file=key_file)
    _, members, _, others = make_model.split()
    X, is_member = np.concatenate((members, others)), np.arange(len(members) + len(others)) < len(members)
    defended = DefendedClassifier.from_pretrained(folder, classes=[make_model.Net], key_file=key_file)
    process, port = started(folder, key_file)
    try:
        bodies = [json.dumps({"rows": row[None].tolist()}) for row in X]
        until = time.monotonic() + options.seconds
        with ThreadPoolExecutor(options.clients) as clients:
            asked = list(clients.map(lambda seed: ask(port, bodies, until, seed), range(options.clients)))
    finally:
        process.terminate()
        process.wait()
    rows, seconds, answers = zip(*(each for one in asked for each in one), strict=True)
    rows, seconds = np.array(rows), np.array(seconds)
    n_errors = sum(answer is None for answer in answers)
    expected = defended.predict_proba(X)[rows]
    largest = max(np.abs(a - e).max() for a, e in zip(answers, expected, strict=True) if a is not None)
    milliseconds = np.quantile(seconds, [0.5, 0.95, 0.99]) * 1e3
    print(
        f"{len(rows)} requests of {options.clients} clients in {options.seconds} s: {len(rows) / options.seconds:.0f}/s"
    )
    print(f"{n_errors} errors, largest difference from answers in this process {largest:.2g}, exact={options.exact}")
    print("latency, ms: median {:.1f}, 95 % {:.1f}, 99 % {:.1f}".format(*milliseconds))
    params = {"selection": "first", "search": "lazy"}
    lazy = DefendedClassifier(FrozenEstimator(defended.estimator_), defended.regenerator_, **params)
    lazy.fit(X, defended.predict(X))
    figures = {
        "served, through HTTP": latency_auc(is_member, rows, seconds),
        "served, CPU time": latency_auc(is_member, *cpu_time(defended, X, options.repeats)),
        "lazy search (refused), CPU time": latency_auc(is_member, *cpu_time(lazy, X, options.repeats)),
    }
    names = ["one request", "median of a row"]
    print_table(
        [["AUC of latency", *names]] + [[key, *(with_ends(*auc[n]) for n in names)] for key, auc in figures.items()]
    )
    facts = {"requests": len(rows), "errors": n_errors, "largest": largest, "ms": milliseconds.tolist()}
    save(options, "serving.json", **facts, auc=figures)


def main():
    """Measure."""
    parser = make_parser(__doc__)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--repeats", type=int, default=3, help="calls for each row whose CPU time is taken")
    parser.add_argument("--exact", action="store_true", help="run networks at one batch shape, for bit-equal answers")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    load(options, options.output / "served")


if __name__ == "__main__":
    main()

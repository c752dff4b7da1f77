"""Averages over candidates: what they leak, what their confidence is worth, and how much they vary with the noise.

    python benchmarks/averaging.py --splits 10

Digits, 120 members; each split has a net and a key of its own, and one denoiser was trained on public rows. Every
answer, also the undefended one and the controls', is recalibrated by one temperature that is fitted to 100 known
non-members. All members and 500 other non-members are scored. Means over splits with half of a 95 % interval.

"Pairs" are candidates 2j and 2j + 1 of opposite noise, as in MeanRule; all other candidates are independent. Splits
that are found in the output folder are not measured again.
"""

import json
from dataclasses import replace

import numpy as np
import selection_attacks as attacks
from _common import kept_denoiser, make_parser
from matplotlib import pyplot as plt
from scipy.optimize import minimize_scalar
from scipy.special import softmax
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.utils import Bunch

from skdiffence._demo._controls import NoDenoiser, label_only, output_noise
from skdiffence._demo._digits import DemoSettings, draw_digits, make_controls, pretrained, split_digits
from skdiffence._demo._engine import measure_utility, put_label_on_top, whole_file
from skdiffence._demo._record import machine, save_json, save_text
from skdiffence._demo._results import paired_difference
from skdiffence._demo._table import format_means, format_table, mean_and_margin
from skdiffence.attacks import Answers
from skdiffence.defenses import MeanRule

TIMESTEPS = (120, 160, 200, 240, 280)
N_SCORED = 500
# The trained denoiser's answers: the name, the number of candidates, and whether they come in pairs of opposite noise.
ANSWERS = (
    ("one candidate", 1, False),
    ("2 independent", 2, False),
    ("1 pair", 2, True),
    ("2 pairs", 4, True),
    ("8 pairs", 16, True),
    ("16 independent", 16, False),
)
# The other denoisers', and their timesteps.
PAIRS = tuple(answer for answer in ANSWERS if answer[0] in ("one candidate", "2 pairs", "8 pairs"))
DENOISERS = {"trained denoiser": TIMESTEPS, "plain noise": TIMESTEPS, "untrained denoiser": (160, 240)}
# The kinds of averages are compared at these timesteps.
COMPARED = (160, 240)
# The standard deviation over so many keys, of the answers to so many rows.
N_KEYS, N_ROWS, CALLS = 20, 200, (1, 2, 4, 8, 16)
COLUMNS = [
    ("phi_right", "phi, right", 3),
    ("non_monotone", "non-mono.", 3),
    ("nll", "NLL", 3),
    ("failure_detection_auc", "fail. AUC", 3),
    ("raw_nll", "raw NLL", 3),
]


def numbers(n, antithetic):
    """Return the candidate numbers that a mean is taken over."""
    return MeanRule(n, antithetic=antithetic).candidate(np.arange(n)).tolist()


class Table:
    """The net's probabilities on candidates of rows, each made once."""

    def __init__(self, net, regenerator, X):
        self.net, self.regenerator, self.X = net, regenerator, X
        self.proba = {}

    def __call__(self, n, antithetic):
        """Return the probabilities on n candidates, of shape (n, n_rows, n_classes)."""
        for number in numbers(n, antithetic):
            if number not in self.proba:
                self.proba[number] = self.net.predict_proba(self.regenerator.regenerate(self.X, number))
        return np.stack([self.proba[number] for number in numbers(n, antithetic)]).astype(np.float64)


def log_mean(proba, labels):
    """Return the renormalized geometric mean."""
    return softmax(np.log(np.maximum(proba, np.finfo(np.float32).tiny)).mean(axis=0), axis=1)


def votes(proba, labels):
    """Return the share of candidates that get each label, one more vote spread evenly so that none is 0."""
    n, _, n_classes = proba.shape
    share = np.eye(n_classes)[proba.argmax(axis=2)].sum(axis=0)
    return (share + 1 / n_classes) / (n + 1)


def median(proba, labels):
    """Return the renormalized median of each class."""
    middle = np.median(proba, axis=0)
    return middle / middle.sum(axis=1, keepdims=True)


def mean_of_kept(proba, labels):
    """Return the mean of the candidates that keep the label, or of all where none does."""
    kept = proba.argmax(axis=2) == labels
    kept |= ~kept.any(axis=0)
    return (proba * kept[:, :, None]).sum(axis=0) / kept.sum(axis=0)[:, None]


AVERAGES = {
    "mean": lambda proba, labels: proba.mean(axis=0),
    "mean of logs": log_mean,
    "votes": votes,
    "median": median,
    "mean of kept": mean_of_kept,
}


def answers_of(split, regenerators, X, labels):
    """Yield the name of each answer, its group, and the answer to each row."""
    for (denoiser, timestep), regenerator in regenerators.items():
        table = Table(split.net, regenerator, X)
        for name, n, antithetic in ANSWERS if denoiser == "trained denoiser" else PAIRS:
            yield f"{timestep}, {name}", denoiser, table(n, antithetic).mean(axis=0)
        if denoiser == "trained denoiser" and timestep in COMPARED:
            for n in (4, 16):
                for name, average in AVERAGES.items():
                    yield f"{timestep}, {n // 2} pairs, {name}", "averages", average(table(n, True), labels)


def controls_of(split, X):
    """Yield the same of answers without a regeneration."""
    yield "undefended", "controls", split.net.predict_proba(X)
    for name, control in (("label only", label_only), ("output noise", output_noise)):
        yield name, "controls", control(split.net, split.X_known, split.y_known).predict_proba(X)


def make_regenerators(settings, digits, denoiser, seed):
    """Return the regenerators of a split by denoiser and timestep, with one key."""
    untrained = make_controls(replace(settings, noise_timesteps=()), digits.X_public, seed)["untrained denoiser"]
    whose = {
        "trained denoiser": lambda timestep: pretrained(denoiser, timestep, digits.X_public, seed),
        "plain noise": lambda timestep: pretrained(NoDenoiser(), timestep, digits.X_public, seed),
        "untrained denoiser": lambda timestep: pretrained(untrained.denoiser_, timestep, digits.X_public, seed),
    }
    return {(name, timestep): whose[name](timestep) for name, steps in DENOISERS.items() for timestep in steps}


def recalibrated(proba, y, known):
    """Return probabilities at the temperature of the highest likelihood on known rows."""
    logits = np.log(np.maximum(proba, np.finfo(np.float32).tiny))
    every = np.arange(proba.shape[1])

    def loss(log_temperature):
        return log_loss(y[known], softmax(logits[known] / np.exp(log_temperature), axis=1), labels=every)

    return softmax(logits / np.exp(minimize_scalar(loss, bounds=(-3, 3), method="bounded").x), axis=1)


def compare(split, regenerators):
    """Return a record of each answer on one split."""
    X = np.concatenate((split.X_known, split.X_fit[split.is_member], split.X_rest[:N_SCORED]))
    y = np.concatenate((split.y_known, split.y_fit[split.is_member], split.y_rest[:N_SCORED]))
    labels, known = split.net.predict(X), np.arange(len(X)) < len(split.X_known)
    is_member = np.arange((~known).sum()) < split.is_member.sum()
    scored = Bunch(X=X[~known], y=y[~known], labels=labels[~known], is_member=is_member)
    records = []
    for source in (controls_of(split, X), answers_of(split, regenerators, X, labels)):
        for name, group, proba in source:
            proba = np.array(proba, dtype=np.float64)
            raw = put_label_on_top(proba / proba.sum(axis=1, keepdims=True), labels)
            measured = measure(scored, recalibrated(raw, y, known)[~known], split.seed)
            raw_nll = log_loss(scored.y[~is_member], raw[~known][~is_member], labels=np.arange(raw.shape[1]))
            records.append({"name": name, "group": group, "seed": split.seed, **measured, "raw_nll": raw_nll})
    return records


def measure(scored, proba, seed):
    """Return what answers leak, and what they are worth to non-members."""
    signals = attacks.single_query(scored, proba, seed)
    answers = Answers(proba, scored.labels, scored.y, np.arange(proba.shape[1]))
    worth = measure_utility(answers.take(~scored.is_member))
    return {
        "phi_right": roc_auc_score(*attacks.joined(signals["phi_right"])),
        "non_monotone": roc_auc_score(*attacks.joined(signals["non_monotone"])),
        "nll": -worth["neg_log_loss"],
        "failure_detection_auc": worth["failure_detection_auc"],
    }


def deviations(split, denoiser):
    """Return the standard deviation over keys of the answered label's probability, as root mean square over rows.

    Returns
    -------
    found : dict of str to list of float
        For each number of calls in ``CALLS``; antithetic pairs have none for one call.
    """
    X = split.X_rest[:N_ROWS]
    labels, found = split.net.predict(X), {}
    for timestep in COMPARED:
        tables = [Table(split.net, pretrained(denoiser, timestep, X, key), X) for key in range(N_KEYS)]
        for antithetic in (False, True):
            values = []
            for n in CALLS:
                means = [put_label_on_top(table(n, antithetic).mean(axis=0), labels) for table in tables]
                at_label = np.stack([proba[np.arange(len(X)), labels] for proba in means])
                values.append(float(np.sqrt(at_label.var(axis=0, ddof=1).mean())))
            found[f"{timestep}, {'pairs' if antithetic else 'independent'}"] = values
    return found


def report(records, deviation):
    """Return all tables as text."""
    controls = [record for record in records if record["group"] == "controls"]
    parts = [format_means(controls, COLUMNS, "no regeneration")]
    for denoiser in DENOISERS:
        rows = [record for record in records if record["group"] == denoiser]
        parts.append(format_means(rows, COLUMNS, denoiser))
    parts += [format_table(gains(records), COLUMNS, "paired differences"), compared_averages(records)]
    keys = [(str(n), str(n), 3) for n in CALLS]
    table = {
        name: {key: (value, np.nan) for (key, _, _), value in zip(keys, values, strict=True)}
        for name, values in deviation.items()
    }
    for name in table:
        if name.endswith("pairs"):
            table[name]["1"] = (np.nan, np.nan)
    parts.append(format_table(table, keys, f"standard deviation over {N_KEYS} keys, calls:"))
    return "\n\n".join(parts)


def gains(records):
    """Return paired differences between averages and single candidates, and between averages and no defense."""
    table = {}
    for denoiser, timesteps in DENOISERS.items():
        rows = [record for record in records if record["group"] == denoiser]
        for timestep in timesteps:
            for name in ("2 pairs", "8 pairs"):
                ours, one = f"{timestep}, {name}", f"{timestep}, one candidate"
                label = f"{denoiser}, {timestep}: {name} - one candidate"
                table[label] = {key: paired_difference(rows, ours, one, key) for key, _, _ in COLUMNS}
    rows = [record for record in records if record["group"] in ("trained denoiser", "controls")]
    for timestep in TIMESTEPS:
        for name in ("2 pairs", "8 pairs"):
            label = f"trained denoiser, {timestep}: {name} - undefended"
            both = f"{timestep}, {name}", "undefended"
            table[label] = {key: paired_difference(rows, *both, key) for key, _, _ in COLUMNS}
    return table


def compared_averages(records):
    """Return each kind of average as the paired difference from the mean of the probabilities, as text."""
    rows = [record for record in records if record["group"] == "averages"]
    table = {}
    for name in dict.fromkeys(record["name"] for record in rows):
        which, _, average = name.rpartition(", ")
        if average == "mean":
            means = [[record[key] for record in rows if record["name"] == name] for key, _, _ in COLUMNS]
            pairs = map(mean_and_margin, means)
        else:
            pairs = (paired_difference(rows, name, f"{which}, mean", key) for key, _, _ in COLUMNS)
        table[name if average == "mean" else f"{name} - mean"] = {
            key: pair for (key, _, _), pair in zip(COLUMNS, pairs, strict=True)
        }
    return format_table(table, COLUMNS, "which average")


def draw(records, deviation, path):
    """Draw the standard deviation against the calls, and leak against worth."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
    for (name, values), style in zip(deviation.items(), ("C0o--", "C0o-", "C1s--", "C1s-"), strict=True):
        start = int(name.endswith("pairs"))
        left.plot(CALLS[start:], values[start:], style, label=f"timestep {name}")
    left.set(xscale="log", yscale="log", xlabel="Calls", ylabel="Standard deviation over keys")
    left.set_xticks(CALLS, CALLS)
    left.set_yticks(ticks := (0.03, 0.05, 0.1, 0.15), ticks)
    left.minorticks_off()
    left.legend()
    curves = (
        ("trained denoiser", "one candidate", "C0o--"),
        ("trained denoiser", "2 pairs", "C0o-"),
        ("plain noise", "one candidate", "C1s--"),
        ("plain noise", "2 pairs", "C1s-"),
    )
    for denoiser, name, style in curves:
        points = [means(records, denoiser, f"{timestep}, {name}") for timestep in TIMESTEPS]
        right.plot(*zip(*points, strict=True), style, label=f"{denoiser}, {name}")
    for name, marker in (("undefended", "*"), ("label only", "P")):
        right.plot(*means(records, "controls", name), f"k{marker}", linestyle="none", label=name)
    right.set(xlabel="AUC of the learned attack (non-monotone)", ylabel="Failure-detection AUC")
    right.legend(fontsize="small")
    with whole_file(path) as whole, open(whole, "wb") as file:
        figure.savefig(file, format="png", dpi=130)


def means(records, group, name):
    """Return mean leak and mean worth of an answer."""
    rows = [record for record in records if (record["group"], record["name"]) == (group, name)]
    return [np.mean([record[key] for record in rows]) for key in ("non_monotone", "failure_detection_auc")]


def kept(path, measure):
    """Return what a file holds, or else measure it and write the file."""
    if not path.exists():
        save_json(path, measure())
    return json.loads(path.read_text(encoding="utf-8"))


def main():
    """Run the comparison and print it."""
    parser = make_parser(__doc__, splits=10, seed=800)
    parser.add_argument("--first", type=int, default=0, help="number of the first split, for runs side by side")
    options = parser.parse_args()
    folder = options.output / f"averaging-{options.seed}"
    folder.mkdir(parents=True, exist_ok=True)
    settings = replace(DemoSettings(), n_known=100, timestep=max(TIMESTEPS))
    digits = draw_digits(settings, options.seed)
    denoiser = kept_denoiser(settings, digits, folder, options.seed, verbose=0)

    def compared(seed):
        split = split_digits(settings, digits, seed)
        return compare(split, make_regenerators(settings, digits, denoiser, seed))

    first = options.seed + options.first
    deviation = kept(folder / "deviations.json", lambda: deviations(split_digits(settings, digits, first), denoiser))
    records = []
    for seed in range(first, first + options.splits):
        records += kept(folder / f"split-{seed}.json", lambda seed=seed: compared(seed))
        print(f"split {seed}", flush=True)
    tables = report(records, deviation)
    print(tables)
    save_text(folder / "tables.txt", tables + "\n")
    save_json(folder / "records.json", {"options": vars(options), "machine": machine(), "records": records})
    draw(records, deviation, folder / "averaging.png")


if __name__ == "__main__":
    main()

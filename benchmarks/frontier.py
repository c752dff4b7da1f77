"""Leak beyond labels against the worth of confidence: rules, averages, students and controls on the same rows.

    python benchmarks/frontier.py --splits 20
    python benchmarks/frontier.py --data cifar10.tar.xz --splits 5 --scored 5000 --n-repeated 100

Digits without ``--data``. Photographs: 36,000 rows are private, of which each net learns 10,000 by heart; the denoisers
are trained on the others. Two denoisers of different training times share the splits, three nets and keys each.

All answers are to the same rows. The attacker has a model of his own, trained on public rows, and learns from half of
the rows to attack the other half. "Beyond" is the area of the attack that sees the answers and his model, less that of
the attack that sees the labels and his model. "Strongest" is the same difference of the largest areas of all attacks on
one answer and of all attacks on labels. Likelihood and calibration are those of non-members, as they come and after
one temperature, which is fitted to known non-members for every answer, the undefended one included.

What was measured is kept in the output folder, where a run that was interrupted finds it, and with ``--data`` all
regenerations of a split until it is done: 3 GB.
"""

import shutil
from functools import partial

import numpy as np
import selection_attacks as attacks
from _common import make_parser
from frontier_data import settings
from frontier_report import beyond, draw, report
from frontier_shifts import ShiftedQueries
from paper.answers import ViewsOfCandidates
from selection import Kept
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import roc_auc_score

from skdiffence._demo._cache import RegenerationCache
from skdiffence._demo._controls import label_only, output_noise
from skdiffence._demo._digits import DemoSettings
from skdiffence._demo._engine import (
    attack_scores,
    row_digests,
)
from skdiffence._demo._record import machine, save_json, save_text
from skdiffence.attacks import Answers, CorrectnessAttack, LabelOnlyReferenceAttack, ReferenceAttack
from skdiffence.defenses import AugmentedClassifier, DefendedClassifier, DistilledDefense, MeanRule
from skdiffence.metrics import auc_interval

AVERAGES = {"one candidate": "swap", "mean of 2": MeanRule(2), "mean of 4": MeanRule(4), "mean of 16": MeanRule(16)}
RULES = {"first": "first", "matched": "matched", "lowest of 4": "lowest"}


class Recorded(ClassifierMixin, BaseEstimator):
    """A fitted classifier that is asked about each row once."""

    def __init__(self, classifier):
        self.classifier = classifier

    def fit(self, X, y=None):
        """Ask about all rows."""
        self.classes_ = self.classifier.classes_
        self.proba_ = dict(zip(map(bytes, row_digests(X)), self.classifier.predict_proba(X), strict=True))
        return self

    def predict_proba(self, X):
        """Return what was answered."""
        return np.stack([self.proba_[key] for key in map(bytes, row_digests(X))])

    def predict(self, X):
        """Return the labels."""
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


class Run:
    """Everything that is measured on one split."""

    def __init__(self, setting, options):
        self.setting, self.options, self.split = setting, options, setting.split
        self.kept = Kept(options.folder / f"split-{setting.name}")
        self.regenerators = {}
        self.split.draw_scored_rows(self.defend("trained", options.timesteps[0], "matched"))
        scored = self.split.scored
        members, others = (np.flatnonzero(side)[: options.scored] for side in (scored.is_member, ~scored.is_member))
        rows = np.concatenate((members, others))
        for name in scored:
            scored[name] = scored[name][rows]
        self.own = FrozenEstimator(Recorded(setting.own).fit(scored.X))
        self.keys = row_digests(scored.X, self.split.seed.to_bytes(8, "little"))
        self.shifted = ShiftedQueries(self.split, setting.own, options.n_shifted) if options.n_shifted else None
        given = Answers(scored.proba, scored.labels, scored.y, self.split.net.classes_, X=scored.X)
        self.floor = {
            "labels": self.scores(CorrectnessAttack(), given),
            "labels_and_own_model": self.scores(LabelOnlyReferenceAttack(self.own, random_state=0), given),
        }

    def scores(self, attack, answers):
        """Return the scores of an attack that learns from one half of the rows and scores the other."""
        scored = self.split.scored
        args = None, scored.X, scored.y, scored.is_member
        return attack_scores(attack, *args, seed=self.split.seed, answers=answers, keys=self.keys)

    def regenerator(self, denoiser, timestep, who="defense"):
        """Return a cache of regenerations; the attacker has the same denoiser and another key."""
        name = f"{who}-{self.setting.name}-{denoiser}-{timestep}"
        if name not in self.regenerators:
            made = self.setting.regenerator(denoiser, timestep, 2 * self.split.seed + (who == "attacker"))
            folder = self.options.folder / name if self.options.data else None
            self.regenerators[name] = RegenerationCache(made, folder).fit(self.split.X_fit)
        return FrozenEstimator(self.regenerators[name])

    def forget(self):
        """Remove the regenerations."""
        for name in self.regenerators if self.options.data else ():
            shutil.rmtree(self.options.folder / name)

    def defend(self, denoiser, timestep, rule):
        """Return the net behind a rule; averages need no more candidates than they average, also to be diagnosed."""
        n_candidates = getattr(rule, "n", 1 if rule == "swap" else None)
        return self.split.defend(self.regenerator(denoiser, timestep), rule, n_candidates)

    def answers(self):
        """Yield group, name and timestep of each answer, and a function that makes its classifier."""
        options, split = self.options, self.split
        yield "controls", "undefended", None, lambda: split.net
        yield "controls", "label only", None, partial(label_only, split.net, split.X_known, split.y_known)
        yield "controls", "output noise", None, partial(output_noise, split.net, split.X_known, split.y_known)
        yield "controls", "test-time augmentation", None, self.augmented
        for timestep in options.timesteps:
            for name in self.averages(timestep):
                yield "trained", name, timestep, partial(self.defend, "trained", timestep, AVERAGES[name])
            yield "trained", "views of mean of 4", timestep, partial(self.augmented, timestep)
        for timestep in options.rules_at:
            for name, rule in RULES.items():
                yield "trained", name, timestep, partial(self.defend, "trained", timestep, rule)
        for denoiser, timesteps in (("untrained", options.untrained_at), ("none", options.noise_at)):
            for timestep in timesteps:
                for name in self.averages(timestep):
                    yield denoiser, name, timestep, partial(self.defend, denoiser, timestep, AVERAGES[name])
        yield "student", "student of undefended", None, partial(self.student, None)
        for timestep in options.students_at:
            yield "student", "student of mean of 4", timestep, partial(self.student, timestep)

    def averages(self, timestep):
        """Return the names of averages at a timestep: of photographs all where the paper's rules are, or one."""
        return self.options.averages if timestep in self.options.rules_at or not self.options.data else ["mean of 4"]

    def augmented(self, timestep=None):
        """Return the mean over views of the rows, or of their candidates at a timestep."""
        split, kind = self.split, "flips+shifts" if self.options.data else "shifts"
        if timestep is not None:
            return ViewsOfCandidates(split.net, kind, self.regenerator("trained", timestep).estimator)
        augmented = AugmentedClassifier(FrozenEstimator(split.net), kind)
        return augmented.fit(split.X_fit, split.y_fit, is_member=split.is_member)

    def student(self, timestep):
        """Return a student of the net, or of the mean of four at a timestep, that learned from public rows."""
        split, rows = self.split, self.setting.X_public
        teacher = DefendedClassifier(FrozenEstimator(split.net), "passthrough", random_state=split.seed)
        teacher.fit(split.X_fit, split.y_fit, is_member=split.is_member)
        if timestep is not None:
            teacher = self.defend("trained", timestep, MeanRule(4))
        student = DistilledDefense(FrozenEstimator(teacher), self.setting.make_student(), random_state=split.seed)
        return student.fit(rows)

    def measure_all(self):
        """Measure every answer that an earlier run has not."""
        for group, name, timestep, make in self.answers():
            full = f"{name}, {group}"
            if name in (self.options.answers or [name]) and not self.kept.has(full, timestep):
                classifier = make()
                record, signals = self.measure(classifier, "trained" if group == "student" else group, timestep)
                if self.shifted is not None and self.asks_shifted(name, timestep):
                    record |= self.shifted.attack(classifier)
                which = {"name": full, "short": name, "group": group, "timestep": timestep}
                self.kept.add({**record, **which, "split": self.setting.name, "seed": self.split.seed}, signals)
                print(f"  {self.setting.name}: {full}, {timestep}: beyond {record['beyond']:+.3f}", flush=True)
        return self.kept.records

    def asks_shifted(self, name, timestep):
        """Return whether shifted copies are asked about: of each kind of answer, at the first timestep."""
        asked = ("undefended", "test-time augmentation", "mean of 4")
        return name in asked and timestep in (None, self.options.timesteps[0])

    def measure(self, classifier, denoiser, timestep):
        """Return everything about a classifier's answers, and the scores of the attacks."""
        split, scored = self.split, self.split.scored
        where = self.options.timesteps[-1] if timestep is None else timestep
        attacker = self.regenerator("trained" if denoiser == "controls" else denoiser, where, "attacker")
        record, signals = attacks.measure(split, classifier, attacker, self.options)
        proba = classifier.predict_proba(scored.X)
        given = Answers(proba, scored.labels, scored.y, split.net.classes_, X=scored.X)
        signals["reference"] = attacks.by_side(
            self.scores(ReferenceAttack(self.own, random_state=0), given), scored.is_member
        )
        signals |= {name: attacks.by_side(scores, scored.is_member) for name, scores in self.floor.items()}
        for name in ("reference", *self.floor):
            record[name] = float(roc_auc_score(*attacks.joined(signals[name])))
            record[f"{name}_low"], record[f"{name}_high"] = map(float, auc_interval(*attacks.joined(signals[name])))
        record |= beyond(record, signals)
        others = ~scored.is_member
        return record | split.recalibrate(classifier, proba[others], scored.y[others]), signals


def parse():
    """Read the options."""
    parser = make_parser(__doc__, seed=900)
    parser.add_argument("--splits", type=int, help="20 of digits, 5 with --data")
    parser.add_argument("--only", type=int, nargs="+", help="numbers of the splits to run now, for runs side by side")
    parser.add_argument("--data", help="photographs, as load_images takes them; digits without")
    parser.add_argument("--private", type=int, default=36_000)
    parser.add_argument("--members", type=int, default=10_000, help="of photographs")
    parser.add_argument("--calibration", type=int, default=1_000, help="known non-members of photographs")
    parser.add_argument("--public", type=int, default=12_000, help="photographs for students and the attacker's model")
    parser.add_argument("--scored", type=int, help="rows a side at most: 500 of digits, 5,000 with --data")
    parser.add_argument("--denoiser-epochs", type=int, nargs="+", help="3 and 10 with --data; one number for digits")
    parser.add_argument("--n-candidates", type=int, default=30)
    parser.add_argument("--n-repeated", type=int, default=60, help="rows a side that are asked about eight times")
    parser.add_argument("--n-shifted", type=int, help="rows a side whose shifts are asked about: 1,000 with --data")
    parser.add_argument("--augmented", action="store_true", help="nets of photographs are trained on flips and shifts")
    parser.add_argument("--answers", nargs="+", help="names of the answers to measure; all of them if not given")
    parser.add_argument("--precision", default="auto", help="of regenerations: bfloat16 is faster on some processors")
    parser.add_argument("--timesteps", type=int, nargs="+", help="of the trained denoiser")
    parser.add_argument("--rules-at", type=int, nargs="*", help="timesteps of the paper's and other rules")
    parser.add_argument("--noise-at", type=int, nargs="*", help="timesteps of plain noise")
    parser.add_argument("--untrained-at", type=int, nargs="*", help="timesteps of the untrained denoiser")
    parser.add_argument("--students-at", type=int, nargs="*", help="timesteps of the students' teacher")
    options = parser.parse_args()
    on_digits = options.data is None
    defaults = {
        "splits": (20, 5),
        "scored": (500, 5_000),
        "n_shifted": (0, 1_000),
        "denoiser_epochs": ([DemoSettings().denoiser_epochs], [3, 10]),
        "timesteps": ([240, 80, 120, 160, 200, 280], [160, 40, 80]),
        "rules_at": ([240], [160]),
        "noise_at": ([120, 200, 280], [20, 40]),
        "untrained_at": ([160, 240], [160]),
        "students_at": ([240], [160]),
    }
    for name, (digits, photographs) in defaults.items():
        if getattr(options, name) is None:
            setattr(options, name, digits if on_digits else photographs)
    options.only = range(options.splits) if options.only is None else options.only
    options.averages = list(AVERAGES) if on_digits else ["one candidate", "mean of 4"]
    kind = "augmented" if options.augmented else "photographs"
    if on_digits:
        kind = "-".join(["digits", *(str(n) for n in options.denoiser_epochs if n != DemoSettings().denoiser_epochs)])
    options.folder = options.output / f"frontier-{kind}-{options.seed}"
    options.folder.mkdir(parents=True, exist_ok=True)
    return options


def main():
    """Run the comparison and print it."""
    options, records = parse(), []
    for setting in settings(options):
        run = Run(setting, options)
        records += run.measure_all()
        run.forget()
    tables = report(records)
    print(tables)
    save_json(options.folder / "records.json", {"options": vars(options), "machine": machine(), "records": records})
    save_text(options.folder / "tables.txt", tables + "\n")
    draw(records, options.folder / "frontier.png")


if __name__ == "__main__":
    main()

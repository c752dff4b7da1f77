"""The stages of the comparison: denoisers, timestep, targets, answers behind every defense, and attacks."""

import warnings
from dataclasses import asdict

import numpy as np
from sklearn.frozen import FrozenEstimator

from paper.measure import (
    answers_of,
    asked_again,
    calibration_leak,
    fitted_attack,
    label_floor,
    measure,
    single_query_attacks,
)
from paper.regenerators import RegenerationStore, ShippedRegenerator
from paper.rows import attacked, calibration, joined, members
from paper.targets import UNDEFENDED, AnswerCache, fit_target, make_net, make_target
from skdiffence._demo._controls import NoDenoiser, label_only, output_noise
from skdiffence._demo._engine import data_digest, mix_seed
from skdiffence._demo._record import milliseconds_per_row
from skdiffence.attacks import LiRAAttack, train_shadows
from skdiffence.defenses import DefendedClassifier
from skdiffence.diffusion import DiffusionRegenerator
from skdiffence.exceptions import DefenseWarning

# The paper's three scenarios, and this library's of one call and of four.
RULES = ("first", "members", "matched", "swap", "lowest")
PAPER_TIMESTEP = 160


class Experiment:
    """One run: every stage is made once and kept.

    Parameters
    ----------
    preset : Preset
        Sizes.
    rows : Bunch
        The parts.
    store : Store
        Where results are kept.
    seed : int
        Seeds everything.
    """

    def __init__(self, preset, rows, store, seed):
        self.preset, self.rows, self.store, self.seed = preset, rows, store, seed
        self.facts = {"rows": rows.facts, "seed": seed}
        self.known, self.scored = attacked(rows, "known"), attacked(rows, "scored")
        self.calibration = calibration(rows)
        self._stores, self._targets = {}, {}

    # Regeneration

    def denoiser(self, which):
        """Return the folder of a denoiser, "public" or "members" by what it was trained on."""
        made = self.preset.denoiser
        if which == "members":
            made = made | {"max_epochs": self.preset.member_denoiser_epochs}
        part = self.rows.public if which == "public" else members(self.rows)
        facts = {"X": self.rows.facts["public"] if which == "public" else self.facts, "made": made}
        facts |= {"seed": self.seed, "timestep": self._highest()}
        folder = self.store.place(f"denoiser {which}", facts)

        def train():
            regenerator = DiffusionRegenerator(
                **{"denoiser": None, **made},
                timestep=self._highest(),
                value_range=(0, 1),
                random_state=self.seed,
                verbose=1,
            )
            regenerator.fit(part.X).save_pretrained(folder)
            return regenerator.history_

        self.store.take(f"training the denoiser, {which}", facts, train)
        return folder

    def _highest(self):
        return max(PAPER_TIMESTEP, *self.preset.timesteps)

    def regenerator(self, kind, timestep, key="defense"):
        """Return a fitted regenerator: "public", "members", "plain noise", "untrained" or "shipped"."""
        if kind == "shipped":
            return ShippedRegenerator(self.regenerator("public", timestep, key))
        settings = {"timestep": timestep, "value_range": (0, 1), "key": mix_seed(self.seed, key)}
        if kind == "untrained":
            made = {name: value for name, value in self.preset.denoiser.items() if name in {"denoiser"}}
            # One update at a rate of nothing leaves the weights as they were drawn.
            untrained = DiffusionRegenerator(**made, max_epochs=1, lr=1e-12, random_state=self.seed, **settings)
            return untrained.fit(self.rows.public.X[:64])
        denoiser = NoDenoiser() if kind == "plain noise" else str(self.denoiser(kind))
        return DiffusionRegenerator(denoiser, **settings).fit(self.rows.public.X[:64])

    def regenerations(self, kind, timestep, key="defense", n_candidates=None):
        """Return a regenerator that keeps what it makes of the rows of this run."""
        n_candidates = n_candidates or self.preset.n_candidates
        facts = self.facts | {"kind": kind, "timestep": timestep, "key": key, "n": n_candidates}
        if kind in ("public", "members"):
            facts["denoiser"] = self.denoiser(kind).name
        elif kind == "shipped":
            facts["denoiser"] = self.denoiser("public").name
        elif kind == "untrained":
            facts["denoiser"] = self.preset.denoiser.get("denoiser")
        folder = self.store.place(f"regenerations {kind} {timestep} {key}", facts)
        if folder not in self._stores:
            stored = RegenerationStore(self.regenerator(kind, timestep, key), folder, n_candidates)
            self._stores[folder] = stored.fit(joined(self.known, self.scored, self.calibration).X)
        return self._stores[folder]

    def keep_regenerations(self):
        """Write what was regenerated since the last time."""
        for stored in self._stores.values():
            stored.note()

    # Targets

    def target(self, name):
        """Return a fitted target that answers about each input once."""
        if name not in self._targets:
            self._targets = {name: AnswerCache(self.fitted(name)).fit(self.calibration.X)}  # one memory at a time
        return self._targets[name]

    def fitted(self, name):
        """Return a fitted target as it is."""
        facts = self.facts | {"unfitted": make_target(name, self.preset, self.rows, self.seed)}
        seed = mix_seed(self.seed, "target") % 2**31
        return self.store.take(
            f"training the target {name}",
            facts,
            lambda: fit_target(name, self.preset, self.rows, seed, lambda: self.fitted(UNDEFENDED)),
        )

    def defend(self, target, stored, selection, n_candidates=None, part=None):
        """Return a target behind a defense that was calibrated on calibration rows."""
        part = part or self.calibration
        defended = DefendedClassifier(
            FrozenEstimator(target),
            FrozenEstimator(stored),
            n_candidates=n_candidates or self.preset.n_candidates,
            selection=selection,
            random_state=self.seed,
        )
        with warnings.catch_warnings():
            # How many labels are kept is a column of the table.
            warnings.simplefilter("ignore", DefenseWarning)
            return defended.fit(part.X, part.y, is_member=part.is_member)

    # Choices, on calibration rows alone

    def curve(self):
        """Return the leak and the cost of every timestep on the calibration rows, under the rule "first"."""

        def measure_all():
            target, points = self.target(UNDEFENDED), []
            points.append({"kind": "undefended", "timestep": None, **calibration_leak(target, self.calibration)})
            for kind in ("public", "plain noise"):
                for timestep in self.preset.timesteps if kind == "public" else self.preset.noise_timesteps:
                    n = self.preset.curve_candidates
                    stored = self.regenerations(kind, timestep, n_candidates=n)
                    defended = self.defend(target, stored, "first", n)
                    point = calibration_leak(defended, self.calibration)
                    retention = {side: rates.overall for side, rates in defended.retention_.items()}
                    points.append({"kind": kind, "timestep": timestep, "retention": retention, **point})
            return points

        return self.store.take("the curve over timesteps", self._facts("curve"), measure_all)

    def timestep(self):
        """Return the lowest timestep whose leak on calibration rows is within its sampling error of the least."""
        points = [point for point in self.curve() if point["kind"] == "public"]
        least = min(point["leak"] for point in points)
        n = np.bincount(self.calibration.is_member).min()
        # The standard deviation of the AUC of a random score on n rows a side.
        error = np.sqrt((2 * n + 1) / (12 * n * n))
        return min(point["timestep"] for point in points if point["leak"] <= least + error)

    def _facts(self, what, **more):
        return self.facts | {"preset": asdict(self.preset), "what": what, **more}

    # Measurements

    def record(self, name, target, how):
        """Return the figures of one row of the table.

        Parameters
        ----------
        name : str
            Of the defense.
        target : str
            Name of the target.
        how : dict
            ``kind`` and ``timestep`` of the regenerations and ``rule``, or ``output`` for what only changes answers.

        Returns
        -------
        record : dict
        """

        def make():
            bare = self.target(target)
            classifier = self._classifier(bare, how)
            record = measure(classifier, bare, self.known, self.scored, single_query_attacks(self.seed))
            if how.get("rule"):
                record |= {"calibration": calibration_leak(classifier, self.calibration)}
                record["interval"] = [float(end) for end in classifier.interval_]
                self.keep_regenerations()
            return {"name": name, "target": target, **how, **record}

        return self.store.take(f"{target}, {name}", self._facts("record", name=name, target=target, how=how), make)

    def _classifier(self, bare, how):
        if not how:
            return bare
        if "output" in how:
            control = {"label only": label_only, "output noise": output_noise}[how["output"]]
            return control(bare, self.rows.other_calibration.X, self.rows.other_calibration.y)
        return self.defend(bare, self.regenerations(how["kind"], how["timestep"]), how["rule"])

    def floor(self, target):
        """Return the figures of label-only attacks on a target."""
        make = lambda: label_floor(  # noqa: E731
            self.target(target), self.known, self.scored, self.preset.floor_rows, self.seed
        )
        return self.store.take(f"{target}, labels alone", self._facts("floor", target=target, rows="at random"), make)

    def asked(self, target, how):
        """Return the figures of attacks of eight queries."""

        def make():
            classifier = self._classifier(self.target(target), how)
            attacker = self.regenerations("public", how.get("timestep", PAPER_TIMESTEP), "attacker")
            return asked_again(classifier, attacker, self.known, self.scored, self.preset.asked_rows, self.seed)

        label = how.get("rule", UNDEFENDED)
        return self.store.take(
            f"{target}, {label}, asked again", self._facts("asked", target=target, how=how, rows="at random"), make
        )

    def milliseconds(self, how):
        """Return wall-clock milliseconds for an answer of the undefended target, without any memory of answers."""

        def make():
            classifier = self.target(UNDEFENDED).classifier
            if how:
                regenerator = self.regenerator(how["kind"], how["timestep"])
                classifier = self.defend(classifier, regenerator, how["rule"])
            return milliseconds_per_row(classifier, self.scored.X)

        label = how.get("rule", UNDEFENDED)
        return self.store.take(f"timing {label}", self._facts("timing", how=how), make)

    # Shadow models

    def shadows(self, target):
        """Return the pool, and shadows trained on halves of it as the target was.

        The reference rows of adversarial regularization are held out of each half, for there are no others.
        """
        pool = joined(self.known, self.scored, self.rows.member_calibration)
        own = target in (UNDEFENDED, "MemGuard")
        estimator = make_net(self.preset, self.rows) if own else make_target(target, self.preset, self.rows, None)
        shadows = train_shadows(
            estimator,
            pool.X,
            pool.y,
            n_shadows=self.preset.n_shadows,
            cache_dir=self.store.folder / "shadows",
            random_state=mix_seed(self.seed, "shadows") % 2**31,
            verbose=1,
        )
        return pool, shadows

    def lira(self, target, how):
        """Return the figures of LiRA behind a defense, with shadows behind the same defense under another key."""

        def make():
            pool, shadows = self.shadows(target)
            behind = [
                self._defended_shadow(target, net, train, pool, how)
                for net, train in zip(shadows["estimator"], shadows["indices"]["train"], strict=True)
            ]
            attack = LiRAAttack(shadows | {"estimator": behind}, pool=(pool.X, pool.y), mode="offline")
            numbers = fitted_attack(attack, self._classifier(self.target(target), how), self.known, self.scored)
            self.keep_regenerations()
            return numbers

        label = how.get("rule", UNDEFENDED)
        return self.store.take(f"{target}, {label}, LiRA", self._facts("lira", target=target, how=how), make)

    def _defended_shadow(self, target, net, train, pool, how):
        # The members' calibration rows: about half of them trained this shadow, and none of them is scored.
        n = len(self.rows.member_calibration.y)
        numbers = np.arange(len(pool.y) - n, len(pool.y))
        part = type(pool)(X=pool.X[numbers], y=pool.y[numbers], is_member=np.isin(numbers, train))
        if target == "MemGuard":
            seed = mix_seed(self.seed, "guard", data_digest(pool.y[train])) % 2**31
            guarded = make_target(target, self.preset, self.rows, seed).set_params(estimator=FrozenEstimator(net))
            net = guarded.fit(part.X, part.y, is_member=part.is_member)
        shadow = AnswerCache(net).fit(self.calibration.X)
        if not how:
            return shadow
        return self.defend(shadow, self.regenerations(how["kind"], how["timestep"], "attacker"), how["rule"], part=part)

    # For the figures

    def answers(self, how):
        """Return the undefended target's answers to the scored rows behind a defense."""
        make = lambda: answers_of(self._classifier(self.target(UNDEFENDED), how), self.scored)[0].proba  # noqa: E731
        return self.store.take(f"answers {how.get('rule', UNDEFENDED)}", self._facts("answers", how=how), make)

"""The stages of the comparison: denoisers, timestep, targets, answers behind every defense, and attacks."""

from dataclasses import asdict

import numpy as np
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator

from paper.answers import defend, make_answers, name_of
from paper.measure import (
    answers_of,
    asked_again,
    calibration_leak,
    canary_figures,
    fitted_attack,
    label_floor,
    measure,
    single_query_attacks,
)
from paper.regenerators import RegenerationStore, ShippedRegenerator
from paper.rows import PUBLIC_SEED, attacked, calibration, joined, members
from paper.targets import UNDEFENDED, AnswerCache, fit_target, make_net, make_target
from skdiffence._demo._controls import NoDenoiser
from skdiffence._demo._engine import data_digest, mix_seed
from skdiffence._demo._record import milliseconds_per_row
from skdiffence.attacks import LiRAAttack, train_shadows
from skdiffence.datasets import make_canaries
from skdiffence.defenses import DefendedClassifier
from skdiffence.diffusion import DiffusionRegenerator

PAPER_TIMESTEP = 160
# Further rows of the shadows that have wrong labels; a tenth of them where that is less.
N_CANARIES = 500


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
        self._stores, self._targets, self._own = {}, {}, None

    # Regeneration

    def denoiser(self, which):
        """Return the folder of a denoiser: "public" and, after less training, "short", or "members"."""
        epochs = {"short": self.preset.short_denoiser_epochs, "members": self.preset.member_denoiser_epochs}
        made = self.preset.denoiser | ({"max_epochs": epochs[which]} if which in epochs else {})
        part = members(self.rows) if which == "members" else self.rows.public
        seed = self.seed if which == "members" else PUBLIC_SEED
        facts = {"X": self.facts if which == "members" else self.rows.facts["public"], "made": made}
        facts |= {"seed": seed, "timestep": self._highest()}
        folder = self.store.place(f"denoiser {which}", facts)

        def train():
            regenerator = DiffusionRegenerator(
                **{"denoiser": None, **made},
                timestep=self._highest(),
                value_range=(0, 1),
                random_state=seed,
                verbose=1,
            )
            regenerator.fit(part.X).save_pretrained(folder)
            return regenerator.history_

        self.store.take(f"training the denoiser, {which}", facts, train)
        return folder

    def _highest(self):
        return max(PAPER_TIMESTEP, *self.preset.timesteps)

    def regenerator(self, kind, timestep, key="defense"):
        """Return a fitted regenerator: "public", "short", "members", "plain noise", "untrained" or "shipped"."""
        if kind == "shipped":
            return ShippedRegenerator(self.regenerator("public", timestep, key))
        settings = {"timestep": timestep, "value_range": (0, 1), "key": mix_seed(self.seed, key)}
        settings["precision"] = self.preset.denoiser.get("precision", "auto")
        if kind == "untrained":
            made = {name: value for name, value in self.preset.denoiser.items() if name == "denoiser"}
            # One update at a rate of nothing leaves the weights as they were drawn.
            untrained = DiffusionRegenerator(**made, max_epochs=1, lr=1e-12, random_state=self.seed, **settings)
            return untrained.fit(self.rows.public.X[:64])
        denoiser = NoDenoiser() if kind == "plain noise" else str(self.denoiser(kind))
        return DiffusionRegenerator(denoiser, **settings).fit(self.rows.public.X[:64])

    def regenerations(self, kind, timestep, key="defense", n_candidates=None):
        """Return a regenerator that keeps what it makes of the rows of this run."""
        n_candidates = n_candidates or self.preset.n_candidates
        facts = self.facts | {"kind": kind, "timestep": timestep, "key": key, "n": n_candidates}
        if kind in ("public", "short", "members"):
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

    def own(self):
        """Return the attacker's own model, trained as the undefended target was, on the public rows."""
        unfitted = make_target(UNDEFENDED, self.preset, self.rows, mix_seed(PUBLIC_SEED, "own") % 2**31)
        facts = {"rows": self.rows.facts["public"], "unfitted": unfitted}

        def train():
            return clone(unfitted).fit(self.rows.public.X, self.rows.public.y)

        if self._own is None:
            fitted = self.store.take("training the attacker's own model", facts, train)
            self._own = FrozenEstimator(AnswerCache(fitted).fit(self.calibration.X))
        return self._own

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
                    defended = defend(self, target, stored, "first", n)
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
            As :func:`~paper.answers.make_answers` takes it.

        Returns
        -------
        record : dict
        """

        def make():
            bare = self.target(target)
            classifier = make_answers(self, bare, how)
            attacks = single_query_attacks(self.seed, self.own())
            record = measure(classifier, bare, self.known, self.scored, self.rows.other_calibration, attacks)
            if isinstance(classifier, DefendedClassifier):
                record |= {"calibration": calibration_leak(classifier, self.calibration)}
            if hasattr(classifier, "interval_"):
                record["interval"] = [float(end) for end in classifier.interval_]
            if hasattr(classifier, "best_params_"):
                record["chosen"] = {name: str(value) for name, value in classifier.best_params_.items()}
            self.keep_regenerations()
            return {"name": name, "target": target, **how, **record}

        return self.store.take(f"{target}, {name}", self._facts("record", name=name, target=target, how=how), make)

    def floor(self, target):
        """Return the figures of label-only attacks on a target."""
        make = lambda: label_floor(  # noqa: E731
            self.target(target), self.known, self.scored, self.preset.floor_rows, self.seed
        )
        return self.store.take(f"{target}, labels alone", self._facts("floor", target=target, rows="at random"), make)

    def asked(self, target, how, n_rows=None):
        """Return the figures of attacks of eight queries on n rows of each side, by default the preset's."""
        facts = self._facts("asked", target=target, how=how, rows="at random")
        if n_rows is not None:
            facts["n_rows"] = n_rows

        def make():
            classifier = make_answers(self, self.target(target), how)
            attacker = self.regenerations("public", how.get("timestep", PAPER_TIMESTEP), "attacker")
            n = n_rows or self.preset.asked_rows
            return asked_again(classifier, attacker, self.known, self.scored, n, self.seed)

        return self.store.take(f"{target}, {name_of(how)}, asked again", facts, make)

    def milliseconds(self, how):
        """Return wall-clock milliseconds for an answer of the undefended target, without any memory of answers."""

        def make():
            bare = self.target(UNDEFENDED).classifier
            regenerator = self.regenerator(how["kind"], how["timestep"]) if "timestep" in how else None
            return milliseconds_per_row(make_answers(self, bare, how, regenerator=regenerator), self.scored.X)

        label = name_of(how)
        return self.store.take(f"timing {label}", self._facts("timing", how=how), make)

    # Shadow models

    def shadows(self, target):
        """Return the pool, and shadows trained on halves of it as the target was.

        The reference rows of adversarial regularization are held out of each half, for there are no others. Some of the
        further rows, which are scored by nobody, have wrong labels: ``canaries`` of the pool are their numbers.
        """
        pool = joined(self.known, self.scored, self.rows.member_calibration)
        pool.canaries = np.arange(0)
        if "member_further" in self.rows:
            further, n = self.rows.member_further, len(pool.y)
            seed = mix_seed(self.seed, "canaries") % 2**31
            number = min(N_CANARIES, len(further.y) // 10)
            made = make_canaries(further.X, further.y, n_canaries=number, random_state=seed)
            pool = joined(pool, made)
            pool.canaries = n + made.canaries
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
            pool, behind, shadows = self._shadows_behind(target, how)
            # Known and scored rows come first, and shadows are asked about no others.
            n = len(self.known.y) + len(self.scored.y)
            indices = {side: [rows[rows < n] for rows in lists] for side, lists in shadows["indices"].items()}
            defended = make_answers(self, self.target(target), how)
            behind = {"estimator": behind, "indices": indices}
            pool = pool.X[:n], pool.y[:n]
            attacks = {mode: LiRAAttack(behind, pool=pool, mode=mode) for mode in ("offline", "online")}
            return {mode: fitted_attack(attack, defended, self.known, self.scored) for mode, attack in attacks.items()}

        return self._of_shadows("LiRA", target, how, make)

    def canaries(self, target, how):
        """Return what is found of rows with wrong labels by attackers of each shadow who have all others.

        All are behind the defense under one key, which these attackers know then.
        """

        def make():
            pool, behind, shadows = self._shadows_behind(target, how)
            X, y = pool.X[pool.canaries], pool.y[pool.canaries]
            membership = np.column_stack([np.isin(pool.canaries, train) for train in shadows["indices"]["train"]])
            return canary_figures([shadow.predict_proba(X) for shadow in behind], y, membership, self.seed)

        return self._of_shadows("canaries", target, how, make)

    def _of_shadows(self, what, target, how, make):
        facts = self._facts(what, target=target, how=how, n_canaries=N_CANARIES)
        found = self.store.take(f"{target}, {name_of(how)}, {what}", facts, make)
        self.keep_regenerations()
        return found

    def _shadows_behind(self, target, how):
        """Return the pool, the shadows behind a defense, and the shadows."""
        pool, shadows = self.shadows(target)
        pairs = zip(shadows["estimator"], shadows["indices"]["train"], strict=True)
        return pool, [self._defended_shadow(target, net, train, pool, how) for net, train in pairs], shadows

    def _defended_shadow(self, target, net, train, pool, how):
        # The members' calibration rows: about half of them trained this shadow, and none of them is scored.
        numbers = len(self.known.y) + len(self.scored.y) + np.arange(len(self.rows.member_calibration.y))
        part = type(pool)(X=pool.X[numbers], y=pool.y[numbers], is_member=np.isin(numbers, train))
        if target == "MemGuard":
            seed = mix_seed(self.seed, "guard", data_digest(pool.y[train])) % 2**31
            guarded = make_target(target, self.preset, self.rows, seed).set_params(estimator=FrozenEstimator(net))
            net = guarded.fit(part.X, part.y, is_member=part.is_member)
        shadow = AnswerCache(net).fit(self.calibration.X)
        return make_answers(self, shadow, how, part=part, who="attacker")

    # For the figures

    def answers(self, how):
        """Return the undefended target's answers to the scored rows behind a defense."""
        make = lambda: answers_of(make_answers(self, self.target(UNDEFENDED), how), self.scored)[0].proba  # noqa: E731
        return self.store.take(f"answers {name_of(how)}", self._facts("answers", how=how), make)

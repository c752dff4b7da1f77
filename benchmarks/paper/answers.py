"""The answers that are compared: rules, averages, views of the image, students, and controls."""

import warnings
from itertools import cycle

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.frozen import FrozenEstimator

from paper.regenerators import ByTimestep
from paper.targets import UNDEFENDED, make_net
from skdiffence._demo._controls import label_only, output_noise
from skdiffence._demo._engine import augmentations, mix_seed, put_label_on_top
from skdiffence.defenses import (
    AugmentedClassifier,
    DefendedClassifier,
    DistilledDefense,
    MeanRule,
    TunedDefendedClassifier,
)
from skdiffence.exceptions import DefenseWarning

# The paper's three scenarios, and this library's of one call and of four.
RULES = ("first", "members", "matched", "swap", "lowest", "mean")
N_AVERAGED = 4
VIEWS = "flips+shifts"


class ViewsOfCandidates(ClassifierMixin, BaseEstimator):
    """The mean of a net's answers to flips and shifts of four candidates, which take turns."""

    def __init__(self, net, kind, regenerator):
        self.net, self.kind, self.regenerator = net, kind, regenerator
        self.classes_ = net.classes_

    def predict(self, X):
        """Return the net's labels."""
        return self.net.predict(X)

    def predict_proba(self, X):
        """Return the mean, with the label on top."""
        rule = MeanRule(N_AVERAGED)
        candidates = [self.regenerator.regenerate(X, rule.candidate(index)) for index in range(N_AVERAGED)]
        views = zip(cycle(candidates), augmentations(self.kind), strict=False)
        mean = np.mean([self.net.predict_proba(view(each)) for each, view in views], axis=0)
        return put_label_on_top(mean, np.searchsorted(self.classes_, self.predict(X)))


def name_of(how):
    """Return the name of answers in files and tables."""
    return how.get("answers", UNDEFENDED)


def make_answers(experiment, bare, how, part=None, who="defense", regenerator=None):
    """Return a classifier that gives certain answers.

    Parameters
    ----------
    experiment : Experiment
        Has the regenerations and the rows.
    bare : classifier
        The target, fitted.
    how : dict
        ``answers``: a rule, "views", "views of mean", "tuned", "student", "label only" or "output noise"; nothing for
        the target's own. With it ``kind`` and ``timestep`` of regenerations, where there are any.
    part : Bunch or None, default=None
        Calibration rows; None for those of the run.
    who : {"defense", "attacker"}, default="defense"
        Whose key regenerations have.
    regenerator : regenerator or None, default=None
        Of a rule or "views of mean"; None for what the experiment keeps.

    Returns
    -------
    classifier : classifier
        Fitted.
    """
    answers, part = name_of(how), part or experiment.calibration
    if answers == UNDEFENDED:
        return bare
    if answers in ("label only", "output noise"):
        control = {"label only": label_only, "output noise": output_noise}[answers]
        return control(bare, experiment.rows.other_calibration.X, experiment.rows.other_calibration.y)
    if answers == "views":
        return AugmentedClassifier(FrozenEstimator(bare), VIEWS).fit(part.X, part.y, is_member=part.is_member)
    if answers == "student":
        return _student(experiment, bare, how, part, who)
    if answers == "tuned":
        return _tuned(experiment, bare, how, part, who)
    regenerator = regenerator or experiment.regenerations(how["kind"], how["timestep"], who)
    if answers == "views of mean":
        return ViewsOfCandidates(bare, VIEWS, regenerator)
    return defend(experiment, bare, regenerator, answers, part=part)


def defend(experiment, bare, stored, rule, n_candidates=None, part=None):
    """Return a target behind a rule that was calibrated on calibration rows."""
    selection = MeanRule(N_AVERAGED) if rule == "mean" else rule
    defended = DefendedClassifier(
        FrozenEstimator(bare),
        FrozenEstimator(stored),
        n_candidates=N_AVERAGED if rule == "mean" else n_candidates or experiment.preset.n_candidates,
        selection=selection,
        random_state=experiment.seed,
    )
    return _fitted(defended, part or experiment.calibration)


def _fitted(defended, part):
    with warnings.catch_warnings():
        # How many labels are kept is a column of the table.
        warnings.simplefilter("ignore", DefenseWarning)
        return defended.fit(part.X, part.y, is_member=part.is_member)


def _tuned(experiment, bare, how, part, who):
    n = experiment.preset.curve_candidates
    stores = {step: experiment.regenerations(how["kind"], step, who, n) for step in experiment.preset.timesteps}
    defended = DefendedClassifier(
        FrozenEstimator(bare),
        FrozenEstimator(ByTimestep(stores, experiment.preset.timesteps[0])),
        n_candidates=n,
        random_state=experiment.seed,
    )
    tuned = TunedDefendedClassifier(defended, timesteps=experiment.preset.timesteps, max_calls=min(N_AVERAGED, n))
    return _fitted(tuned, part)


def _student(experiment, bare, how, part, who):
    """Return a student that learned on public rows what another defense answers there."""
    if "timestep" in how:
        stored = experiment.regenerations(how["kind"], how["timestep"], who)
        teacher = defend(experiment, bare, stored, "mean", part=part)
    else:
        passthrough = DefendedClassifier(FrozenEstimator(bare), "passthrough", random_state=experiment.seed)
        teacher = _fitted(passthrough, part)
    student = make_net(experiment.preset, experiment.rows)
    seed = mix_seed(experiment.seed, "student") % 2**31
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DefenseWarning)
        return DistilledDefense(FrozenEstimator(teacher), student, random_state=seed).fit(experiment.rows.public.X)

"""A fit that raises, at whatever moment, leaves an estimator exactly as it was: for every estimator of the library."""

import importlib
import inspect
import pkgutil
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.datasets import load_digits
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.naive_bayes import GaussianNB
from sklearn.preprocessing import StandardScaler

import skdiffence
from skdiffence import attacks, defenses
from skdiffence._demo._cache import RegenerationCache
from skdiffence.base import InferenceOnly, MembershipAttack
from skdiffence.defenses._temperature import GivenProba
from skdiffence.defenses._tuned import RuleToBeChosen
from skdiffence.diffusion import DiffusionRegenerator
from skdiffence.inspection._audit_controls import MemorizingClassifier
from skdiffence.utils._flat_rows import FlatRows
from skdiffence.utils._modules import ModuleClassifier
from tests.attacks.cases import Blur, Searching
from tests.defenses.cases import Closer
from tests.defenses.regenerators import NoiseRegenerator
from tests.nets import make_logit_net

ROOT = str(Path(skdiffence.__file__).parent)
N_MOMENTS = 8
N_ROWS = 60


def in_threes():
    """Return digits 0, 1 and 2: twice as many rows as one data set needs."""
    X, y = load_digits(n_class=3, return_X_y=True)
    return X[: 2 * N_ROWS].astype(np.float32) / 16, y[: 2 * N_ROWS].astype(np.int64)


X, Y = in_threes()
IS_MEMBER = np.arange(N_ROWS) % 2 == 0
HALVES = [slice(0, N_ROWS), slice(N_ROWS, None)]
NET = {name: value for name, value in make_logit_net(max_epochs=2).get_params(deep=False).items()
       if name in ("module", "max_epochs", "lr", "batch_size", "optimizer", "verbose", "criterion")}  # fmt: skip
NOISE = NoiseRegenerator(0.1)
DEFENDED = defenses.DefendedClassifier(GaussianNB(), NOISE, n_candidates=3, calibration_size=0.3, random_state=0)
SHADOWS = {"estimator": GaussianNB(), "n_shadows": 4, "pool": (X, Y), "random_state": 0}
ESTIMATORS = [
    attacks.AnswerCostAttack(),
    attacks.BoundaryAttack(max_iter=1, max_eval=10, init_eval=5, random_state=0),
    attacks.ClassifierAttack(GaussianNB(), random_state=0),
    attacks.CorrectnessAttack(),
    attacks.FallbackAttack(random_state=0),
    attacks.HistogramAttack(n_bins=4),
    attacks.LabelOnlyAttack("noise", random_state=0),
    attacks.LabelOnlyReferenceAttack(n_queries=3, random_state=0),
    attacks.LiRAAttack(**SHADOWS),
    attacks.NeuralAttack(max_epochs=1, random_state=0),
    attacks.NonMonotoneAttack(n_estimators=3, random_state=0),
    attacks.PrecompensatedQueryAttack(Blur(), n_queries=2, n_regenerations=2, random_state=0),
    attacks.QuantileAttack(HistGradientBoostingRegressor(max_iter=2), random_state=0),
    attacks.RMIAAttack(**SHADOWS),
    attacks.ReferenceAttack(random_state=0),
    attacks.RepeatedQueryAttack(2, random_state=0),
    attacks.SurrogateRegenerationAttack(Blur(), n_regenerations=2, random_state=0),
    attacks.ThresholdAttack("confidence"),
    defenses.AdvRegClassifier(**NET, adversary_width=2, random_state=0),
    defenses.BudgetedRule(max_stop=3, n_grid=3),
    defenses.DPSGDClassifier(**NET, random_state=0),
    DEFENDED.set_params(selection="matched"),
    defenses.DistilledDefense(clone(DEFENDED), GaussianNB(), random_state=0),
    defenses.FirstRule(),
    defenses.AugmentedClassifier(GaussianNB(), Closer(), random_state=0),
    defenses.HAMPClassifier(**NET, random_state=0),
    defenses.IntervalRule(),
    defenses.LowestRule(),
    defenses.MatchedRule(n_grid=4),
    defenses.MeanRule(),
    defenses.MemGuardClassifier(GaussianNB(), attack_epochs=5, max_steps=5, random_state=0),
    defenses.MembersRule(),
    defenses.NearestRule(n_grid=4),
    defenses.OutputClassifier(GaussianNB(), "label", random_state=0),
    defenses.OutputNoiseClassifier(GaussianNB(), random_state=0),
    defenses.RelaxLossClassifier(**NET, random_state=0),
    defenses.SELENAClassifier(GaussianNB(), n_estimators=3, n_excluded=1, random_state=0),
    defenses.SwapRule(),
    defenses.TunedDefendedClassifier(clone(DEFENDED), timesteps=None, selections=("swap", "nearest"), n_folds=2),
    defenses.WithinRule(n_grid=3),
    DiffusionRegenerator({"width": 4}, timestep=20, max_epochs=1, random_state=0),
    GivenProba(),
    InferenceOnly(StandardScaler()),
    RegenerationCache(NOISE, "regenerations"),
    FlatRows(),
    MemorizingClassifier(),
    RegenerationCache(NOISE),
    RuleToBeChosen(),
]


def library_estimators():
    """Return the estimator classes of the library that can be fitted, found by importing all of its modules."""
    modules = [importlib.import_module(found.name) for found in pkgutil.walk_packages([ROOT], "skdiffence.")
               if not found.name.endswith("__main__")]  # fmt: skip
    return {
        item
        for module in modules
        for item in vars(module).values()
        if inspect.isclass(item)
        and issubclass(item, BaseEstimator)
        and not issubclass(item, (FrozenEstimator, ModuleClassifier))  # made fitted
        and item.__module__.startswith("skdiffence")
        and hasattr(item, "fit")
        and not inspect.isabstract(item)
    }


def test_no_estimator_is_forgotten():
    """Every estimator of the library has its place in the list above."""
    listed = {type(estimator) for estimator in ESTIMATORS}
    assert {item.__name__ for item in library_estimators()} == {item.__name__ for item in listed}


def fit_arguments(estimator, part):
    """Return what ``fit`` gets: the first or the second half of the rows, or confidences of candidates of them."""
    if isinstance(estimator, MembershipAttack):
        fitted = Searching(5, random_state=0).fit(X[part][IS_MEMBER], Y[part][IS_MEMBER])
        # Each question of this attack costs many of its target's answers.
        n = 6 if isinstance(estimator, attacks.BoundaryAttack) else N_ROWS
        return fitted, X[part][:n], Y[part][:n], IS_MEMBER[:n]
    if isinstance(estimator, defenses.Rule):
        rng = np.random.default_rng(part.start)
        return [np.hstack((rng.normal(mean, 1, (20, 4)), np.full((20, 1), np.nan))) for mean in (3.0, 2.0)]
    return X[part], Y[part]


def answers(estimator):
    """Return what a fitted estimator answers to rows."""
    if isinstance(estimator, MembershipAttack):
        return estimator.score_samples(X[::20], Y[::20])
    if hasattr(estimator, "choose"):
        return estimator.choose(np.random.default_rng(0).normal(2, 1, (20, 4)))
    if isinstance(estimator, defenses.Rule):
        return estimator.candidate(np.arange(4))
    return (estimator.predict_proba if hasattr(estimator, "predict_proba") else estimator.transform)(X)


class Moment:
    """Raises an error at the n-th call of a function of the library, and counts the calls."""

    def __init__(self, at=np.inf, error=None):
        self.at, self.error, self.n_calls = at, error, 0

    def __call__(self, frame, event, argument):
        if event == "call" and frame.f_code.co_filename.startswith(ROOT):
            self.n_calls += 1
            if self.n_calls >= self.at:
                sys.setprofile(None)
                raise self.error

    def during(self, fit, *args):
        """Call ``fit``."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            sys.setprofile(self)
            try:
                fit(*args)
            finally:
                sys.setprofile(None)


def moments(estimator, method, *args, n=N_MOMENTS):
    """Yield errors spread over a call, both kinds by turns; the call is made on a copy to count."""
    # What the first call caches, such as the versions of libraries, the second does not ask for again.
    for counted in (Moment(), Moment()):
        counted.during(getattr(estimator, method), *args)
    for number, at in enumerate(np.unique(np.linspace(1, 0.98 * counted.n_calls, n).astype(int))):
        yield Moment(at, (RuntimeError, KeyboardInterrupt)[number % 2])


def state(estimator):
    """Return the attributes of an estimator: the very objects."""
    return {name: id(value) for name, value in vars(estimator).items()}


@pytest.fixture
def fresh(request, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return clone(request.param)


every_estimator = pytest.mark.parametrize("fresh", ESTIMATORS, ids=lambda each: type(each).__name__, indirect=True)


@every_estimator
def test_failed_refit_changes_nothing(fresh):
    """Errors and interrupts in a second fit, on other data: the very objects of the first, and its answers."""
    first, second = (fit_arguments(fresh, part) for part in HALVES)
    fitted = clone(fresh)
    Moment().during(fitted.fit, *first)
    answered, before = answers(fitted), state(fitted)  # in this order: caches count what they are asked
    for moment in moments(clone(fresh), "fit", *second):
        with pytest.raises((moment.error, ValueError)):  # ValueErrors explain what went wrong in a module of the user
            moment.during(fitted.fit, *second)
        assert state(fitted) == before
    np.testing.assert_array_equal(answers(fitted), answered)


@every_estimator
def test_failed_first_fit_leaves_nothing(fresh):
    """Errors and interrupts in a first fit: not an attribute more than before."""
    first = fit_arguments(fresh, HALVES[0])
    unfitted = clone(fresh)
    before = state(unfitted)
    for moment in moments(clone(fresh), "fit", *first, n=N_MOMENTS // 2):
        with pytest.raises((moment.error, ValueError)):
            moment.during(unfitted.fit, *first)
        assert state(unfitted) == before


@pytest.mark.parametrize("make", [defenses.HAMPClassifier, defenses.RelaxLossClassifier])
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_failed_continuation_changes_nothing(make, method):
    """Training that goes on, by partial_fit or a warm start, goes on from copies until it is done."""
    net = make(**NET, random_state=0, warm_start=True).fit(X[HALVES[0]], Y[HALVES[0]])
    before, answered = state(net), net.predict_proba(X)
    for moment in moments(clone(net).fit(X[HALVES[0]], Y[HALVES[0]]), method, X[HALVES[1]], Y[HALVES[1]]):
        with pytest.raises(moment.error):
            moment.during(getattr(net, method), X[HALVES[1]], Y[HALVES[1]])
        assert state(net) == before
        np.testing.assert_array_equal(net.predict_proba(X), answered)
    assert len(getattr(net, method)(X, Y).history) == 4


@pytest.mark.parametrize("fresh", [each for each in ESTIMATORS if isinstance(each, defenses.DefendedClassifier)],
                         ids=["defended"], indirect=True)  # fmt: skip
def test_unfitted_says_so(fresh):
    """What failed to be fitted answers that it is not fitted."""
    with pytest.raises(KeyboardInterrupt):
        Moment(40, KeyboardInterrupt).during(fresh.fit, X, Y)
    with pytest.raises(NotFittedError):
        fresh.predict_proba(X)


def test_second_fit_keeps_nothing_of_the_first():
    """Not even attributes that only the first had."""
    scaler = InferenceOnly(StandardScaler()).fit(X)
    scaler.other_ = 1
    assert not hasattr(scaler.fit(X), "other_")

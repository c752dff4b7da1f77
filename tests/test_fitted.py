"""What estimators tell about their training through whatever stands around them, against brute force."""

import warnings
from functools import cache

import numpy as np
import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import BaggingClassifier, StackingClassifier, VotingClassifier
from sklearn.feature_selection import RFE
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    RandomizedSearchCV,
    TunedThresholdClassifierCV,
)
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier, OutputCodeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.semi_supervised import SelfTrainingClassifier
from sklearn.tree import DecisionTreeClassifier
from skorch.callbacks import Callback
from skorch.dataset import Dataset, ValidSplit

from skdiffence import DiffusionRegenerator
from skdiffence._fitted import denoiser_saw_members, fitted_parts, is_frozen, n_training_rows, stored_rows, trained_nets
from skdiffence.attacks import train_shadows
from skdiffence.attacks.shadow._shadow_signals import ShadowSignals
from skdiffence.defenses import (
    DefendedClassifier,
    DistilledDefense,
    MemGuardClassifier,
    OutputClassifier,
    RelaxLossClassifier,
    SELENAClassifier,
    TunedDefendedClassifier,
)
from skdiffence.exceptions import MembershipWarning
from tests.defenses.regenerators import NoiseRegenerator
from tests.nets import LogitMLP, make_net

N_ROWS = 150
X = np.random.default_rng(0).normal(size=(N_ROWS, 4))
Y = {n_classes: np.argsort(np.argsort(X.sum(axis=1))) * n_classes // N_ROWS for n_classes in (2, 3)}
# All entries of X differ, so that a row is known by the absolute value of any of them.
ROW_OF = {abs(value): row for row, values in enumerate(X.tolist()) for value in values}


def rows_of(X):
    """Return which rows these are, after any choice of columns and changes of sign."""
    return {ROW_OF[abs(value)] for value in np.asarray(X)[:, 0].tolist()}


class Tree(DecisionTreeClassifier):
    """Remembers the rows that it was trained on, and the largest value of each column."""

    def fit(self, X, y, sample_weight=None):
        super().fit(X, y, sample_weight)
        trained = X if sample_weight is None else X[sample_weight > 0]
        self.trained_, self.highest_ = rows_of(trained), np.max(trained, axis=0)
        return self


class Recording:
    """Mixin of defenses: remembers the rows that it was given and was calibrated on."""

    def fit(self, X, y, *, is_member=None):
        super().fit(X, y, is_member=is_member)
        self.given_, self.calibrated_ = rows_of(X), rows_of(X[self.calibrated_on_.contains(X)])
        return self


class Defended(Recording, DefendedClassifier):
    """A defended classifier that remembers."""


class MemGuard(Recording, MemGuardClassifier):
    """MemGuard that remembers."""


class TrainedRegenerator(NoiseRegenerator):
    """Says that it was trained on the rows that it was fitted to."""

    def fit(self, X, y=None):
        super().fit(X, y)
        self.denoiser_saw_members_ = True
        return self


def objects_inside(owner, kind):
    """Return all objects of a class that an object refers to, whatever the attributes are called."""
    found, queue, seen = [], [owner], set()
    while queue:
        each = queue.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        if isinstance(each, kind):
            found.append(each)
        if isinstance(each, dict):
            queue.extend(each.values())
        elif isinstance(each, (list, tuple)):
            queue.extend(each)
        elif isinstance(each, BaseEstimator) or hasattr(each, "calibrators"):
            queue.extend(vars(each).values())
    return found


def trees_inside(estimator):
    """Return the trained trees."""
    return [tree for tree in objects_inside(estimator, Tree) if hasattr(tree, "trained_")]


def defenses_inside(estimator):
    """Return the fitted defenses that remember."""
    return [each for each in objects_inside(estimator, Recording) if hasattr(each, "given_")]


TREE = Tree(max_depth=3, random_state=0)
DEFENDED = Defended(
    TREE, TrainedRegenerator(), n_candidates=2, selection="matched", calibration_size=0.2, random_state=0
)
NEGATE = FunctionTransformer(np.negative)
LINE = LogisticRegression()


def vote(*estimators):
    """Return a soft vote."""
    return VotingClassifier([(f"voter{index}", each) for index, each in enumerate(estimators)], voting="soft")


def stack(*estimators, **params):
    """Return a stack under a logistic regression."""
    return StackingClassifier([(f"base{index}", each) for index, each in enumerate(estimators)], LINE, **params)


def search(estimator, parameter="estimator__max_depth"):
    """Return a grid search over one parameter."""
    return GridSearchCV(estimator, {parameter: [2, 3]}, cv=2)


# All rows reach the defended classifier inside, and nothing else keeps rows from training.
ONE = {
    "defended": DEFENDED,
    "pipeline": make_pipeline(NEGATE, DEFENDED),
    "pipeline with a pipeline as step": make_pipeline(make_pipeline(NEGATE, NoiseRegenerator()), DEFENDED),
    "pipeline with a regenerator as step": make_pipeline(NoiseRegenerator(), NEGATE, DEFENDED),
    "grid search": search(DEFENDED),
    "randomized search": RandomizedSearchCV(DEFENDED, {"estimator__max_depth": [2, 3]}, n_iter=1, cv=2, random_state=0),
    "calibrated on predictions of all rows": CalibratedClassifierCV(DEFENDED, cv=2, ensemble=False),
    "vote": vote(DEFENDED),
    "vote with trees": vote(TREE, DEFENDED, TREE),
    "stack with a tree": stack(TREE, DEFENDED, cv=2),
    "selected features": RFE(
        DEFENDED, n_features_to_select=3, importance_getter=lambda each: np.arange(each.n_features_in_)
    ),
    "self-training": SelfTrainingClassifier(DEFENDED),
    "coarse output": OutputClassifier(DEFENDED),
    "MemGuard of defended": MemGuard(DEFENDED, calibration_size=0.4, max_steps=2, random_state=0),
    "defended of defended": Defended(
        DEFENDED, NoiseRegenerator(), n_candidates=2, random_state=0, calibration_size=0.1
    ),
    "distilled": DistilledDefense(DEFENDED, LINE),
    "tuned": TunedDefendedClassifier(DEFENDED, selections=["first", "swap"], timesteps=None, n_folds=2),
    "search of pipeline of vote": search(
        make_pipeline(NEGATE, vote(TREE, DEFENDED)), "votingclassifier__voter1__estimator__max_depth"
    ),
    "stack of pipelines of searches": stack(make_pipeline(NEGATE, search(DEFENDED)), cv=2),
    "vote of calibrated of pipelines": vote(
        CalibratedClassifierCV(make_pipeline(NEGATE, DEFENDED), cv=2, ensemble=False), TREE
    ),
    "passthrough of pipeline of vote": DefendedClassifier(make_pipeline(NEGATE, vote(TREE, DEFENDED)), "passthrough"),
    "coarse output of pipeline of search": OutputClassifier(make_pipeline(NEGATE, search(DEFENDED))),
}
# Thresholds are for two classes.
BINARY = {
    "fixed threshold": FixedThresholdClassifier(DEFENDED),
    "tuned threshold": TunedThresholdClassifierCV(DEFENDED, cv=2),
    "one-vs-rest of two classes": OneVsRestClassifier(DEFENDED),
    "fixed threshold of pipeline of vote": FixedThresholdClassifier(make_pipeline(NEGATE, vote(DEFENDED))),
}
# Several defended classifiers, which may hold out different rows or are given different rows.
MANY = {
    "votes with different held-out rows": vote(DEFENDED, clone(DEFENDED).set_params(random_state=1)),
    "calibrated": CalibratedClassifierCV(DEFENDED, cv=3),
    "one-vs-rest": OneVsRestClassifier(DEFENDED),
    "one-vs-one": OneVsOneClassifier(DEFENDED),
    "output code": OutputCodeClassifier(DEFENDED, code_size=2, random_state=0),
    "bagging": BaggingClassifier(DEFENDED, n_estimators=2, random_state=0),
    "bagging of one": BaggingClassifier(DEFENDED, n_estimators=1, random_state=0),
    "bagging of columns": BaggingClassifier(DEFENDED, n_estimators=3, max_features=2, random_state=0),
    "SELENA": SELENAClassifier(DEFENDED, n_estimators=4, n_excluded=1, distill=False, random_state=0),
    "calibrated of pipelines": CalibratedClassifierCV(make_pipeline(NEGATE, DEFENDED), cv=2),
    "vote of calibrated": vote(CalibratedClassifierCV(DEFENDED, cv=2), TREE),
    "pipeline of bagging of pipelines": make_pipeline(
        NEGATE, BaggingClassifier(make_pipeline(NEGATE, DEFENDED), n_estimators=2, max_features=3, random_state=0)
    ),
    "one-vs-rest of calibrated": OneVsRestClassifier(CalibratedClassifierCV(DEFENDED, cv=2)),
}
ALL = ONE | BINARY | MANY


@cache
def fitted(name):
    """Return a composition fitted to all rows."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return clone(ALL[name]).fit(X, labels(name))


def labels(name):
    """Return the labels that a composition is for."""
    return Y[2 if name in BINARY else 3]


def plain_and_frozen(name):
    """Yield a fitted composition as it is and as it may be handed on."""
    yield fitted(name)
    yield FrozenEstimator(fitted(name))
    yield make_pipeline(NoiseRegenerator().fit(X), FrozenEstimator(fitted(name)))


@pytest.mark.parametrize("name", ALL)
def test_every_classifier_inside_is_found_with_the_rows_that_trained_it(name):
    """In the form in which the rows reached it; all_rows is never claimed wrongly, frozen is passed on."""
    for estimator in plain_and_frozen(name):
        parts = [part for part in fitted_parts(estimator) if isinstance(part.estimator, Tree)]
        assert {id(part.estimator) for part in parts} == {id(tree) for tree in trees_inside(estimator)}
        assert {part.frozen for part in parts} == {is_frozen(estimator)}
        for part in parts:
            reached = part.transform(X)
            assert rows_of(reached) == set(range(N_ROWS))
            assert not part.all_rows or part.estimator.trained_ == set(range(N_ROWS))
            np.testing.assert_array_equal(reached[sorted(part.estimator.trained_)].max(axis=0), part.estimator.highest_)


AROUND_TREE = {
    "pipeline": make_pipeline(NEGATE, TREE),
    "search": search(TREE, "max_depth"),
    "vote": vote(TREE),
    "stack": stack(TREE, cv=2),
    "one-vs-rest": OneVsRestClassifier(TREE),
    "calibrated on predictions of all rows": CalibratedClassifierCV(TREE, cv=2, ensemble=False),
    "calibrated": CalibratedClassifierCV(TREE, cv=2),
    "one-vs-one": OneVsOneClassifier(TREE),
    "bagging": BaggingClassifier(TREE, n_estimators=2, random_state=0),
    "vote of calibrated": vote(CalibratedClassifierCV(TREE, cv=2)),
}
SOME_ROWS = {"calibrated", "one-vs-one", "bagging", "vote of calibrated"}


@pytest.mark.parametrize("name", AROUND_TREE)
def test_whether_all_rows_reached_a_classifier_inside(name):
    """So that numbers of its rows are numbers of rows of the whole."""
    parts = [part for part in fitted_parts(AROUND_TREE[name].fit(X, Y[3])) if isinstance(part.estimator, Tree)]
    assert {part.all_rows for part in parts} == {name not in SOME_ROWS}
    assert all((part.estimator.trained_ == set(range(N_ROWS))) == part.all_rows for part in parts)


@pytest.mark.parametrize("name", ALL)
def test_stored_rows_are_those_that_a_part_held_out_or_was_calibrated_on(name):
    """As rows are counted by what trains, calibrates and was given."""
    defenses = defenses_inside(fitted(name))
    if name in MANY:
        held_out = set().union(*(each.given_ - trees_inside(each)[0].trained_ for each in defenses))
    else:
        held_out = set(range(N_ROWS)) - set.intersection(*(tree.trained_ for tree in trees_inside(fitted(name))))
    calibrated = set().union(*(each.calibrated_ for each in defenses))
    assert held_out
    assert calibrated
    for estimator in plain_and_frozen(name):
        stored = stored_rows(estimator, X)
        assert set(np.flatnonzero(stored.not_trained_on)) == held_out
        assert set(np.flatnonzero(stored.calibrated_on)) == calibrated
        assert set(np.flatnonzero(stored.any)) == held_out | calibrated
        assert stored.n_lost == 0


@pytest.mark.parametrize("name", ALL)
def test_number_of_training_rows(name):
    """Rows that trained all parts, or None where parts hold out rows of their own."""
    trained = set.intersection(*(tree.trained_ for tree in trees_inside(fitted(name))))
    for estimator in plain_and_frozen(name):
        assert n_training_rows(estimator) == (None if name in MANY else len(trained))
    if name not in MANY:
        assert getattr(fitted(name), "n_samples_fit_", len(trained)) == len(trained)


@pytest.mark.parametrize("name", ALL)
def test_frozen_and_what_the_denoiser_saw(name):
    """Both are told before fit as well as after, and through what stands around."""
    plain, *frozen = plain_and_frozen(name)
    assert not is_frozen(ALL[name])
    assert not is_frozen(plain)
    assert all(is_frozen(each) for each in frozen)
    assert all(denoiser_saw_members(each) for each in (plain, *frozen))


@pytest.mark.parametrize("name", ["vote", "calibrated", "search of pipeline of vote", "vote of calibrated"])
def test_attacks_with_shadows_are_told_the_right_memberships(name):
    """Rows that a shadow held out or was calibrated on neither trained it nor were left out."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shadows = train_shadows(ALL[name], X, labels(name), n_shadows=2, random_state=0)
        given = [np.setdiff1d(np.arange(N_ROWS), test) for test in shadows["indices"]["test"]]
        signals = ShadowSignals(shadows, (X, labels(name)))
    for number, shadow in enumerate(shadows["estimator"]):
        defenses = defenses_inside(shadow)
        held_out = set().union(*(each.given_ - trees_inside(each)[0].trained_ for each in defenses))
        stored = held_out.union(*(each.calibrated_ for each in defenses))
        assert held_out
        assert set(shadows["indices"]["train"][number].tolist()) == set(given[number].tolist()) - stored
        unknown = np.isnan(signals.signals("logit")[:, number, 0])
        assert set(np.flatnonzero(unknown)) == stored


FROZEN = FrozenEstimator(clone(DEFENDED).fit(X, Y[2]))
# What is fitted around a classifier that was trained before.
AROUND_FROZEN = {
    "calibrated": CalibratedClassifierCV(FROZEN, cv=2),
    "pipeline": make_pipeline(FunctionTransformer(), FROZEN),
    "vote": vote(FROZEN),
    "search": GridSearchCV(make_pipeline(FunctionTransformer(), TREE), {"tree": [FROZEN]}, cv=2),
    "stack of fitted classifiers": stack(FROZEN.estimator, cv="prefit"),
    "threshold of a fitted classifier": TunedThresholdClassifierCV(FROZEN.estimator, cv="prefit", refit=False),
}


@pytest.mark.parametrize("name", AROUND_FROZEN)
def test_classifiers_that_were_trained_before(name):
    """They tell of their own training, not of the rows that what stands around was fitted to."""
    estimator = AROUND_FROZEN[name].fit(X[:100], Y[2][:100])
    assert is_frozen(estimator)
    assert n_training_rows(estimator) in (FROZEN.estimator.n_samples_fit_, None)
    np.testing.assert_array_equal(stored_rows(estimator, X).any, stored_rows(FROZEN, X).any)
    assert not any(part.all_rows for part in fitted_parts(estimator) if isinstance(part.estimator, Tree))


def test_rows_that_can_not_be_looked_up_are_counted():
    """A pool may lack them, and the last classifier of a stack learns from predictions."""
    recorded = FROZEN.estimator.not_trained_on_, FROZEN.estimator.calibrated_on_
    missing = sum(len(rows) - np.count_nonzero(rows.contains(X[:100])) for rows in recorded)
    assert stored_rows(FROZEN, X[:100]).n_lost == missing > 0
    last = DefendedClassifier(LINE, NoiseRegenerator(), n_candidates=2, selection="matched", calibration_size=0.2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stacked = StackingClassifier([("line", LINE)], last, cv=2).fit(X, Y[3])
    found = stored_rows(stacked, X)
    assert not found.any.any()
    assert found.n_lost == len(stacked.final_estimator_.not_trained_on_) + len(stacked.final_estimator_.calibrated_on_)
    assert n_training_rows(stacked) is None


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_denoiser_that_saw_the_members_is_found(tmp_path):
    """In a defended classifier, in a pipeline, in a frozen wrapper; not where it was pretrained."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 3)), np.arange(40) % 2
    trained = DiffusionRegenerator(max_epochs=1, random_state=0)
    trained.fit(X).save_pretrained(tmp_path / "denoiser")
    new = DiffusionRegenerator(max_epochs=1, random_state=0)
    loaded = DiffusionRegenerator(tmp_path / "denoiser")
    for regenerator, expected in ((new, True), (loaded, False)):
        pipeline = make_pipeline(regenerator, LogisticRegression()).fit(X, y)
        defended = DefendedClassifier(LogisticRegression(), regenerator, random_state=0).fit(X, y)
        for estimator in (pipeline, defended, FrozenEstimator(defended)):
            assert denoiser_saw_members(estimator) is expected
    assert not denoiser_saw_members(LogisticRegression().fit(X, y))


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_frozen_regenerator_saw_rows_that_only_its_owner_knows():
    """Nothing is claimed of what it was trained on."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 3)), np.arange(40) % 2
    regenerator = DiffusionRegenerator(max_epochs=1, random_state=0).fit(X)
    defended = DefendedClassifier(LogisticRegression(), FrozenEstimator(regenerator), random_state=0).fit(X, y)
    assert defended.denoiser_saw_members_ is None


SPLIT = ValidSplit(3)
NET = make_net(module__n_features=4, module__n_classes=3, max_epochs=1, train_split=SPLIT)
RELAXED = RelaxLossClassifier(LogitMLP, module__n_features=4, module__n_classes=3, max_epochs=1, train_split=SPLIT)
# All rows reach the net, or a copy of it.
AROUND_NET = {
    "net": NET,
    "training defense": RELAXED,
    "pipeline": make_pipeline(NEGATE, NET),
    "search of pipeline": search(make_pipeline(NEGATE, NET), "neuralnetclassifier__max_epochs"),
    "vote": vote(NET, NET),
    "passthrough of search": DefendedClassifier(search(NET, "max_epochs"), "passthrough"),
    "passthrough of passthrough": DefendedClassifier(DefendedClassifier(NET, "passthrough"), "passthrough"),
}


@pytest.mark.parametrize("name", AROUND_NET)
def test_rows_that_the_validation_split_of_a_net_holds_out_are_known(name):
    """To shadow attacks and to what stands around, without a warning; the split itself is put back."""
    X32 = X.astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error", MembershipWarning)
        shadows = train_shadows(AROUND_NET[name], X32, Y[3], n_shadows=2, random_state=0)
        outer = DefendedClassifier(AROUND_NET[name], "passthrough").fit(X32, Y[3])
    for shadow, train, test in zip(shadows["estimator"], *shadows["indices"].values(), strict=True):
        given = np.setdiff1d(np.arange(N_ROWS), test)
        np.testing.assert_array_equal(train, given[SPLIT(Dataset(X32[given], Y[3][given]))[0].indices])
        assert all(
            part.estimator.train_split is SPLIT or vars(part.estimator.train_split) == vars(SPLIT)
            for part in trained_nets(shadow)
        )
    held_out = SPLIT(Dataset(X32, Y[3]))[1].indices
    np.testing.assert_array_equal(np.flatnonzero(stored_rows(outer, X32).not_trained_on), np.sort(held_out))
    assert n_training_rows(outer) == N_ROWS - len(held_out)


class Interrupting(Callback):
    """Stops training after its first epoch, as Ctrl-C does."""

    def on_epoch_end(self, net, **kwargs):
        raise KeyboardInterrupt


@pytest.mark.parametrize(
    "around",
    [lambda net: net, vote, lambda net: search(net, "lr"), lambda net: CalibratedClassifierCV(net, cv=2)],
    ids=["net", "vote", "search", "calibrated"],
)
def test_interrupted_training_of_a_net_is_not_swallowed(around):
    """skorch returns normally, so that a half-trained net would look fitted wherever it is."""
    net = make_net(module__n_features=4, module__n_classes=3, max_epochs=3, callbacks=[Interrupting])
    with pytest.raises(KeyboardInterrupt):
        DefendedClassifier(around(net), "passthrough").fit(X, Y[3])

"""Which rows train, which calibrate, which the denoiser sees, and what is remembered of that."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import EarlyStopping, EpochScoring
from skorch.dataset import Dataset, ValidSplit

from skdiffence.base import InferenceOnlyMixin
from skdiffence.defenses import MemGuardClassifier
from skdiffence.defenses._calibration import split_rows
from skdiffence.diffusion import DiffusionRegenerator
from skdiffence.exceptions import DefenseWarning, MembershipWarning
from skdiffence.utils._random import mix_seed
from skdiffence.utils._rows import row_digests
from tests.defenses.cases import RULES, defend, digits, half, quiet
from tests.defenses.regenerators import NoiseRegenerator
from tests.nets import make_net


class Witness(InferenceOnlyMixin, BaseEstimator):
    """Remembers what it was fitted on."""

    def __init__(self, scale=0.15):
        self.scale = scale

    def fit(self, X, y=None):
        self.seen_ = np.array(X)
        return self

    def regenerate(self, X, candidate=0):
        return NoiseRegenerator(self.scale).regenerate(X, candidate)

    def transform(self, X):
        return self.regenerate(X)


class Recorder(LogisticRegression):
    """Remembers what it was trained on."""

    def fit(self, X, y, sample_weight=None):
        self.seen_ = np.array(X)
        return super().fit(X, y, sample_weight)


def rows_in(some, others):
    return np.isin(row_digests(some), row_digests(others))


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(20, 120),
    st.integers(2, 4),
    st.floats(0.05, 0.5),
    st.booleans(),
    st.sampled_from([None, "random"]),
    st.integers(0, 30),
)
def test_split_properties(seed, n, n_classes, share, with_members, known, n_copies):
    """Sides are disjoint by content, calibration sides equal in number, duplicates together, and nothing is lost."""
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(n, 3)), rng.integers(0, n_classes, n)
    copies = rng.integers(0, n, n_copies)
    X, y = np.vstack((X, X[copies])), np.concatenate((y, y[copies]))
    is_member = None
    if known:
        is_member = rng.random(len(y)) < 0.6
        is_member[:2] = True, False
        is_member[n:] = is_member[copies]
    rows = quiet(split_rows, X, y, is_member, share, with_members=with_members, key=b"key")
    assert sorted([*rows.train, *rows.held_out]) == list(range(len(y)))
    assert not rows_in(X[rows.held_out], X[rows.train]).any()
    assert set(rows.members) <= set(rows.train)
    assert set(rows.non_members) <= set(rows.held_out)
    assert not rows_in(X[rows.denoise], X[rows.members]).any() or len(rows.denoise) == len(rows.train)
    assert not rows_in(X[rows.denoise], X[rows.non_members]).any()
    if with_members:
        assert len(rows.members) == len(rows.non_members) or not len(rows.non_members)
        assert len(rows.members) <= len(rows.train)
    if is_member is not None:
        np.testing.assert_array_equal(np.flatnonzero(is_member), rows.train)


def test_split_is_stratified():
    """Every class gives its share, and a small one at least one row."""
    X = np.random.default_rng(0).normal(size=(210, 2))
    y = np.repeat([0, 1, 2], [150, 55, 5])
    rows = split_rows(X, y, None, 0.1, with_members=True, key=b"key")
    np.testing.assert_array_equal(np.bincount(y[rows.held_out]), [15, 6, 1])


def test_split_does_not_depend_on_the_order():
    """Rows are drawn by content: permuted, the same rows are held out; under another key others are."""
    X, y = np.random.default_rng(0).normal(size=(100, 2)), np.arange(100) % 2
    order = np.random.default_rng(1).permutation(100)
    first = split_rows(X, y, None, 0.2, with_members=True, key=b"key")
    second = split_rows(X[order], y[order], None, 0.2, with_members=True, key=b"key")
    other = split_rows(X, y, None, 0.2, with_members=True, key=b"another")
    for side in ("held_out", "members"):
        assert set(first[side]) == set(order[second[side]])
        assert set(first[side]) != set(other[side])


def test_tiny_class_is_warned_about():
    """A class of one row can't be on both sides, so that the split is not stratified."""
    X, y = np.random.default_rng(0).normal(size=(41, 2)), np.repeat([0, 1, 2], [20, 20, 1])
    with pytest.warns(DefenseWarning, match="smallest class has 1 rows"):
        rows = split_rows(X, y, None, 0.1, with_members=True, key=b"key")
    assert len(rows.held_out) == 4


def test_row_whose_twin_trains_trains():
    """The same input under two labels is never on both sides, whichever share of each class is held out."""
    X = np.repeat(np.random.default_rng(0).normal(size=(50, 2)), 2, axis=0)
    y = np.tile([0, 1], 50)
    # Rows of one class only, so that the two classes hold out rows up to different digests.
    X, y = np.vstack((X, np.random.default_rng(1).normal(size=(50, 2)))), np.append(y, np.zeros(50, dtype=int))
    rows = split_rows(X, y, None, 0.3, with_members=True, key=b"key")
    assert not rows_in(X[rows.held_out], X[rows.train]).any()


def test_all_duplicates_leave_nothing_to_train_on():
    """One row a hundred times can't be split into members and non-members, and fit says so."""
    X, y = np.ones((100, 2)), np.arange(100) % 2
    with pytest.raises(ValueError, match="leaves none of the 100 rows to train on"):
        defend(LogisticRegression(), selection="matched").fit(X, y)


@pytest.mark.parametrize(
    ("selection", "size", "n_out"),
    [("first", "auto", 0), ("swap", "auto", 0), ("members", "auto", 0), ("matched", "auto", 17), ("first", 0.25, 41)],
)
def test_calibration_size(selection, size, n_out):
    """ "auto" holds rows out only for the rule that needs known non-members."""
    X, y = digits()
    defended = quiet(defend(Recorder(), Witness(), selection=selection, calibration_size=size).fit, X, y)
    assert defended.n_samples_fit_ == len(defended.estimator_.seen_)
    assert len(X) - defended.n_samples_fit_ == pytest.approx(n_out, abs=3)
    np.testing.assert_array_equal(defended.not_trained_on_.contains(X), ~rows_in(X, defended.estimator_.seen_))


@pytest.mark.parametrize("selection", RULES)
def test_one_split_for_all_rules(selection):
    """With one calibration_size and seed all rules, and the undefended baseline, hold out the same rows."""
    X, y = digits()
    settings = {"calibration_size": 0.2, "selection": selection}
    defended = quiet(defend(Recorder(), Witness(), **settings).fit, X, y)
    baseline = defend(Recorder(), "passthrough", calibration_size=0.2).fit(X, y)
    np.testing.assert_array_equal(defended.estimator_.seen_, baseline.estimator_.seen_)


@pytest.mark.parametrize("with_is_member", [True, False])
@pytest.mark.parametrize("selection", RULES)
def test_who_sees_which_rows(selection, with_is_member):
    """The denoiser sees training rows that are not calibrated on; calibration rows are on record."""
    X, y = digits()
    is_member = half(y) if with_is_member else None
    defended = quiet(defend(Recorder(), Witness(), selection=selection).fit, X, y, is_member=is_member)
    trained, denoised = defended.estimator_.seen_, defended.regenerator_.seen_
    if with_is_member:
        np.testing.assert_array_equal(trained, X[is_member])
    assert rows_in(denoised, trained).all()
    calibrated = defended.calibrated_on_.contains(X)
    assert not defended.calibrated_on_.contains(denoised).any()
    np.testing.assert_array_equal(defended.not_trained_on_.contains(X), ~rows_in(X, trained))
    if not defended.selection_.needs_calibration:
        assert not calibrated.any()
        return
    members = calibrated & rows_in(X, trained)
    assert members.any()
    if selection != "members" or with_is_member:
        assert members.sum() == (calibrated & ~rows_in(X, trained)).sum()


@pytest.mark.parametrize(
    ("selection", "is_member", "sides"),
    [
        ("first", False, {"members"}),
        ("first", True, {"members", "non_members"}),
        ("matched", False, {"members", "non_members"}),
        ("members", False, {"members"}),
    ],
)
def test_retention_is_measured_by_side_and_class(selection, is_member, sides):
    """Rates are shares of candidates and rows, with one entry a class."""
    X, y = digits("strings")
    defended = defend(Recorder(), NoiseRegenerator(0.6), selection=selection)
    defended = quiet(defended.fit, X, y, is_member=half(y) if is_member else None)
    assert set(defended.retention_) == set(defended.fallback_rate_) == sides
    for rates in (*defended.retention_.values(), *defended.fallback_rate_.values()):
        assert 0 <= rates.overall <= 1
        assert rates.by_class.shape == (10,)
        assert rates.n_rows > 0


def test_retention_and_fallback_by_hand():
    """Counted again from the regenerator's own candidates, on the rows of the calibration."""
    X, y = digits()
    defended = quiet(defend(Recorder(), NoiseRegenerator(2.0)).fit, X, y, is_member=np.ones(len(y), dtype=bool))
    labels = defended.predict(X)
    kept = np.stack([defended.predict(defended.regenerator_.regenerate(X, number)) == labels for number in range(4)])
    lost = ~kept.any(axis=0)
    members = defended.retention_["members"]
    rows = _calibrated_members(X, y)
    assert members.n_rows == len(rows)
    assert members.overall == pytest.approx(kept[:, rows].mean())
    assert defended.fallback_rate_["members"].overall == pytest.approx(lost[rows].mean())
    for label in np.unique(labels[rows]):
        of_class = rows[labels[rows] == label]
        assert members.by_class[label] == pytest.approx(kept[:, of_class].mean())


def _calibrated_members(X, y):
    """The rows that are measured where all rows train."""
    key = mix_seed(0, "calibration").to_bytes(8, "little")
    return split_rows(X, y, np.ones(len(y), dtype=bool), 0.0, with_members=True, key=key).members


@pytest.mark.parametrize("selection", ["first", "swap"])
def test_poor_denoiser_is_warned_about(selection):
    """A regenerator that destroys its inputs is named with what to change."""
    X, y = digits()
    with pytest.warns(DefenseWarning, match=r"Only .* keep their label.*n_candidates=4.*lower timestep.*epochs"):
        defend(LogisticRegression(), NoiseRegenerator(30.0), selection=selection).fit(X, y)


def test_good_denoiser_is_not_warned_about(recwarn):
    """Silence where nothing is wrong."""
    X, y = digits()
    defend(LogisticRegression(), NoiseRegenerator(0.1)).fit(X, y)
    assert not [warning for warning in recwarn if issubclass(warning.category, DefenseWarning)]


# Frozen classifiers


@pytest.mark.parametrize("selection", RULES)
def test_frozen_classifier_is_never_trained(selection):
    """The very classifier answers, and only rows that are known not to have trained it are on record."""
    X, y = digits()
    frozen = FrozenEstimator(Recorder().fit(X[half(y)], y[half(y)]))
    coefficients = frozen.estimator.coef_.copy()
    defended = quiet(defend(frozen, selection=selection).fit, X, y, is_member=half(y))
    assert defended.estimator_ is frozen
    np.testing.assert_array_equal(frozen.estimator.coef_, coefficients)
    np.testing.assert_array_equal(defended.not_trained_on_.contains(X), ~half(y))
    assert defended.n_samples_fit_ is None


def trained_inside(kind):
    X, y = digits()
    frozen = FrozenEstimator(make_net().fit(X.astype(np.float32), y))
    return {
        "frozen": frozen,
        "pipeline": make_pipeline(StandardScaler(), frozen),
        "calibrated": CalibratedClassifierCV(frozen),
    }[kind]


@pytest.mark.parametrize("kind", ["frozen", "pipeline", "calibrated"])
@pytest.mark.parametrize("selection", ["matched", "members"])
def test_frozen_classifier_needs_is_member(selection, kind):
    """Nobody but its owner knows who trained it, wherever it is frozen."""
    with pytest.raises(ValueError, match=f"selection='{selection}' on a frozen estimator needs is_member"):
        defend(trained_inside(kind), selection=selection).fit(*digits())


@pytest.mark.parametrize("kind", ["frozen", "pipeline", "calibrated"])
def test_frozen_classifier_without_known_rows(kind):
    """No row is held out or claimed as anybody's, whatever calibration_size says."""
    X, y = digits()
    defended = quiet(defend(trained_inside(kind), calibration_size=0.2).fit, X, y)
    assert not len(defended.not_trained_on_)
    assert not len(defended.calibrated_on_)
    assert set(defended.retention_) == {"rows"}
    assert defended.n_samples_fit_ is None
    np.testing.assert_array_equal(defended.predict_proba(X).argmax(axis=1), defended.predict(X))


def test_a_shared_regenerator_keeps_its_key():
    """Rotation gives this classifier a copy with a new key; answers of others, and of the regenerator, stay."""
    X, y = digits()
    shared = DiffusionRegenerator({"width": 16}, timestep=100, max_epochs=1, random_state=0).fit(X)
    first, second = (quiet(defend(LogisticRegression(), FrozenEstimator(shared)).fit, X, y) for _ in range(2))
    regenerated, before, key = shared.transform(X), first.predict_proba(X), shared.key_
    np.testing.assert_array_equal(second.predict_proba(X), before)
    assert first.rotate_key() is first
    assert shared.key_ is key and not shared.key_is_secret_
    np.testing.assert_array_equal(shared.transform(X), regenerated)
    np.testing.assert_array_equal(second.predict_proba(X), before)
    assert isinstance(first.regenerator_, FrozenEstimator) and first.regenerator_.key_is_secret_
    assert not np.array_equal(first.predict_proba(X), before)
    assert first.lipschitz_ == second.lipschitz_ == shared.signal_to_noise_


def test_frozen_regenerator_is_not_fitted_again():
    """FrozenEstimator around a regenerator is taken as it is."""
    X, y = digits()
    witness = Witness().fit(X[:7])
    defended = quiet(defend(LogisticRegression(), FrozenEstimator(witness)).fit, X, y)
    assert len(defended.regenerator_.estimator.seen_) == 7


# Rows that a net's own validation split holds out


def held_out_by(split, X, y):
    _, valid = split(Dataset(X, y), y)
    return np.isin(np.arange(len(X)), valid.indices)


@pytest.mark.parametrize("in_pipeline", [True, False])
def test_default_split_is_replaced(in_pipeline):
    """A net whose user said nothing about validation trains on all rows it is given."""
    X, y = digits()
    net = make_net(train_split=ValidSplit(5, stratified=True))
    defended = quiet(defend(make_pipeline(StandardScaler(), net) if in_pipeline else net).fit, X, y)
    assert defended.n_samples_fit_ == len(X)
    assert not len(defended.not_trained_on_)
    fitted = defended.estimator_[-1] if in_pipeline else defended.estimator_
    assert fitted.train_split is None
    assert "valid_loss" not in fitted.history[-1]


@pytest.mark.parametrize("in_pipeline", [True, False])
@pytest.mark.parametrize(
    "params",
    [
        {"train_split": ValidSplit(4)},
        {"train_split": ValidSplit(5, stratified=True), "callbacks": [EarlyStopping(patience=2)]},
        {"train_split": ValidSplit(5, stratified=True), "callbacks": [EarlyStopping]},
        {
            "train_split": ValidSplit(5, stratified=True),
            "callbacks": [
                EpochScoring("accuracy", name="held_out", lower_is_better=False),
                EarlyStopping(monitor="held_out", lower_is_better=False),
            ],
        },
    ],
    ids=["explicit", "early_stopping", "early_stopping_class", "own_score"],
)
def test_explicit_split_is_recorded(params, in_pipeline):
    """A split that somebody asked for, or early stopping needs, stays, and its rows are known not to have trained."""
    X, y = digits()
    net = make_net(**params)
    defended = quiet(defend(make_pipeline(StandardScaler(), net) if in_pipeline else net).fit, X, y)
    expected = held_out_by(params["train_split"], X, y)
    np.testing.assert_array_equal(defended.not_trained_on_.contains(X), expected)
    assert defended.n_samples_fit_ == np.sum(~expected)
    fitted = defended.estimator_[-1] if in_pipeline else defended.estimator_
    assert type(fitted.train_split) is ValidSplit
    assert "valid_loss" in fitted.history[-1]


def test_early_stopping_on_the_training_loss_needs_no_split():
    """Nothing looks at a validation split, so none is made."""
    X, y = digits()
    split = ValidSplit(5, stratified=True)
    net = make_net(train_split=split, callbacks=[EarlyStopping(monitor="train_loss", patience=50)])
    assert quiet(defend(net).fit, X, y).n_samples_fit_ == len(X)


def test_split_and_calibration_add_up():
    """Rows that the rule holds out and rows that the net holds out are both on record, once."""
    X, y = digits()
    defended = quiet(defend(make_net(train_split=ValidSplit(4)), selection="matched").fit, X, y)
    assert len(defended.not_trained_on_) == len(X) - defended.n_samples_fit_


def test_split_inside_copies_is_warned_about():
    """Where copies of the net are trained, which rows they hold out can't be told."""
    X, y = digits()
    with pytest.warns(MembershipWarning, match="estimator__train_split holds rows out of copies"):
        quiet(defend(CalibratedClassifierCV(make_net(train_split=ValidSplit(4)), cv=2)).fit, X, y)


def test_split_that_hides_its_rows_is_refused():
    """A split that makes new data sets leaves no trace of who trained."""
    X, y = digits()
    with pytest.raises(ValueError, match="train_split must leave the training rows traceable"):
        defend(make_net(train_split=_copies)).fit(X, y)


def _copies(dataset, y=None):
    return [dataset[i] for i in range(100)], dataset


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("outer", ["matched", "memguard"])
def test_rows_that_a_classifier_inside_held_out_are_no_members(outer, frozen):
    """An inner rule holds out rows of its own; an outer one learned from them as if they had trained the classifier."""
    X, y = digits()
    inner = defend(RandomForestClassifier(5), selection="matched", calibration_size=0.3, random_state=1)
    is_member = np.arange(len(y)) < 140
    if frozen:
        inner = FrozenEstimator(quiet(inner.fit, X[:140], y[:140]))
    wrapped = {
        "matched": defend(inner, selection="matched"),
        "memguard": MemGuardClassifier(inner, attack_epochs=5, max_steps=2, random_state=0),
    }[outer]
    quiet(wrapped.fit, X, y, is_member=is_member)
    innermost = getattr(wrapped, "undefended_", wrapped).estimator_
    held_out = innermost.not_trained_on_.contains(X)
    assert held_out.sum() > 30
    calibrated = wrapped.calibrated_on_.contains(X)
    assert (calibrated & is_member).any()
    assert not (calibrated & held_out).any()

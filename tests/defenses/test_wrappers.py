"""What SELENA and the defenses of answers have in common: they stand wherever a classifier stands."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_validate
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from skdiffence import defenses
from skdiffence.attacks import ThresholdAttack
from skdiffence.defenses import (
    AugmentedClassifier,
    DefendedClassifier,
    MemGuardClassifier,
    OutputClassifier,
    OutputNoiseClassifier,
    SELENAClassifier,
)
from skdiffence.defenses.output._base import OutputDefense
from skdiffence.model_selection import AttackScorer
from tests.defenses.cases import Closer, digits, half
from tests.nets import CNN, MLP, make_binary_net, make_net

pytestmark = pytest.mark.filterwarnings("ignore:calibration_size=.* can't hold out")


def memguard(estimator, **params):
    return MemGuardClassifier(estimator, **{"max_steps": 20, "attack_epochs": 20, "random_state": 0} | params)


def selena(estimator, **params):
    return SELENAClassifier(estimator, **{"n_estimators": 4, "n_excluded": 2, "random_state": 0} | params)


def split_ai(estimator):
    return selena(estimator, distill=False)


def label_only(estimator):
    return OutputClassifier(estimator, "label", random_state=0)


def rounded(estimator):
    return OutputClassifier(estimator, random_state=0)


def noisy(estimator):
    return OutputNoiseClassifier(estimator, random_state=0)


def augmented(estimator):
    return AugmentedClassifier(estimator, Closer(), random_state=0)


OUTPUT = [memguard, label_only, noisy, rounded, augmented]
WRAPPERS = [*OUTPUT, selena, split_ai]


def test_no_output_defense_is_forgotten():
    """A new defense joins the list above or the suite fails."""
    offered = {item for item in vars(defenses).values() if isinstance(item, type) and issubclass(item, OutputDefense)}
    assert {type(make(GaussianNB())) for make in OUTPUT} == offered


# The checks have as few as six rows.
CHECKED = [make(LogisticRegression()) for make in WRAPPERS]
CHECKED = [each.set_params(n_excluded=1) if isinstance(each, SELENAClassifier) else each for each in CHECKED]


@parametrize_with_checks(CHECKED)
def test_scikit_learn_compatibility(estimator, check):
    """What scikit-learn asks of its own estimators holds for ours."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "calibration_size=.* can't hold out")
        check(estimator)


@pytest.mark.usefixtures("untouched_generators")
@pytest.mark.parametrize("make", WRAPPERS)
@pytest.mark.parametrize(
    ("kind", "estimator"),
    [
        ("strings", make_net(max_epochs=2)),
        ("binary", make_binary_net(module__n_features=64, max_epochs=2)),
        ("images", make_net(CNN, max_epochs=2)),
        ("frame", GaussianNB()),
        ("strings", make_pipeline(StandardScaler(), make_net(max_epochs=2))),
    ],
    ids=["net", "binary_net", "image_net", "frame", "net_in_pipeline"],
)
def test_labels_and_inputs_of_any_type(make, kind, estimator):
    """Probabilities that are some, and labels that are their largest, whatever goes in."""
    X, y = digits(kind)
    fitted = make(estimator).fit(X, y)
    proba = fitted.predict_proba(X)
    assert proba.shape == (len(y), len(np.unique(y)))
    assert proba.min() >= 0
    np.testing.assert_allclose(proba.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(fitted.classes_[proba.argmax(axis=1)], fitted.predict(X))
    assert isinstance(X, np.ndarray) or list(fitted.feature_names_in_) == list(X.columns)


@pytest.mark.usefixtures("untouched_generators")
@pytest.mark.parametrize("make", WRAPPERS)
def test_composition(make):
    """In a pipeline, cross-validated with an attack, inside a defended classifier, cloned and pickled."""
    X, y = digits("strings")
    # In the nets' own dtype, so that the scaler's rows are found again to the last bit.
    X = X.astype(np.float32)
    wrapper = make(make_net(max_epochs=3))
    params = {name: repr(value) for name, value in wrapper.get_params(deep=False).items()}
    pipeline = make_pipeline(StandardScaler(), wrapper)
    scorer = AttackScorer([ThresholdAttack("confidence")], pool=(X, y), random_state=0)
    results = cross_validate(pipeline, X, y, cv=2, scoring=scorer, return_estimator=True, error_score="raise")
    assert np.isfinite(results["test_confidence_roc_auc"]).all()
    around = DefendedClassifier(pipeline, "passthrough", random_state=0).fit(X, y)
    np.testing.assert_array_equal(around.classes_[around.predict_proba(X).argmax(axis=1)], around.predict(X))
    assert {name: repr(value) for name, value in wrapper.get_params(deep=False).items()} == params
    fitted = wrapper.fit(X, y)
    again = clone(fitted).fit(X, y)
    np.testing.assert_array_equal(again.predict_proba(X), fitted.predict_proba(X))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(fitted)).predict_proba(X), fitted.predict_proba(X))


@pytest.mark.parametrize("make", WRAPPERS)
def test_scorer_believes_the_row_sets(make):
    """An attack scorer finds the counts of training rows consistent, and says nothing."""
    X, y = digits()
    scorer = AttackScorer([ThresholdAttack("confidence")], pool=(X, y), random_state=0)
    fitted = make(GaussianNB()).fit(X[:100], y[:100])
    assert fitted.n_samples_fit_ + fitted.not_trained_on_.contains(X[:100]).sum() == 100
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert 0 <= scorer(fitted, X[100:], y[100:])["confidence_roc_auc"] <= 1


@pytest.mark.parametrize("make", WRAPPERS)
def test_nothing_is_carried_from_fit_to_fit(make):
    """On random labels a clone of a fitted classifier knows nothing of the rows left out."""
    X, y = digits()
    y = np.random.default_rng(0).permutation(y)
    fitted = make(make_net(max_epochs=20)).fit(X, y)
    assert clone(fitted).fit(X[:80], y[:80]).score(X[80:], y[80:]) < 0.3


@pytest.mark.parametrize("make", WRAPPERS)
def test_instances_of_modules_are_refused(make):
    """They would carry what they learned."""
    X, y = digits()
    with pytest.raises(ValueError, match="must be a module class"):
        make(make_net(MLP())).fit(X, y)


class Interrupted(GaussianNB):
    """Is interrupted as often as it is told."""

    left = 0

    def fit(self, X, y, sample_weight=None):
        if Interrupted.left:
            raise KeyboardInterrupt
        return super().fit(X, y, sample_weight)


@pytest.mark.parametrize("make", WRAPPERS)
def test_interrupted_fit_changes_nothing(make, monkeypatch):
    """What an earlier fit had learned answers as before."""
    X, y = digits()
    fitted = make(Interrupted()).fit(X, y)
    before = fitted.predict_proba(X)
    monkeypatch.setattr(Interrupted, "left", 1)
    with pytest.raises(KeyboardInterrupt):
        fitted.fit(X[::-1], y)
    np.testing.assert_array_equal(fitted.predict_proba(X), before)


@pytest.mark.parametrize("make", WRAPPERS)
def test_refused_inputs(make):
    """Each names what was wrong."""
    X, y = digits()
    wrapper = make(GaussianNB())
    with pytest.raises(NotFittedError):
        wrapper.predict_proba(X)
    with pytest.raises(ValueError, match="NaN"):
        wrapper.fit(np.where(X.max() == X, np.nan, X), y)
    with pytest.raises(ValueError, match="two classes"):
        wrapper.fit(X, np.zeros(len(y), dtype=int))
    with pytest.raises(ValueError, match="numeric columns only"):
        wrapper.fit(pd.DataFrame({"name": list("ab") * 80}), y)
    fitted = make(make_net(CNN, max_epochs=1)).fit(*digits("images"))
    with pytest.raises(ValueError, match=r"rows of shape \(1, 8, 8\)"):
        fitted.predict(np.zeros((3, 1, 8, 9), dtype=np.float32))


# Output-time wrappers only


@pytest.mark.parametrize("make", OUTPUT)
def test_labels_are_the_estimator_s_own(make):
    """On every row, whether a member or not."""
    X, y = digits("strings")
    fitted = make(make_net(max_epochs=5)).fit(X, y)
    expected = fitted.classes_[fitted.estimator_.predict(X.astype(np.float32))]
    np.testing.assert_array_equal(fitted.predict(X), expected)


@pytest.mark.parametrize("make", OUTPUT)
def test_is_member_decides_what_trains(make):
    """Rows marked False train nothing, and are what the defense learns from as non-members."""
    X, y = digits()
    fitted = make(GaussianNB()).fit(X, y, is_member=half(y))
    np.testing.assert_array_equal(fitted.not_trained_on_.contains(X), ~half(y))
    assert fitted.n_samples_fit_ == half(y).sum()
    same = GaussianNB().fit(X[half(y)], y[half(y)])
    np.testing.assert_array_equal(fitted.estimator_.predict_proba(X), same.predict_proba(X))


@pytest.mark.parametrize("make", [memguard, label_only])
def test_calibration_rows_are_recorded(make):
    """As many members as non-members where both are needed, of the latter only those that did not train."""
    X, y = digits()
    fitted = make(GaussianNB()).fit(X, y, is_member=half(y))
    used = fitted.calibrated_on_.contains(X)
    # Half of the members at most may be given up to be known.
    expected = {True: 0, False: 80} if make is label_only else {True: 40, False: 40}
    assert {side: used[half(y) == side].sum() for side in (True, False)} == expected


def test_members_and_non_members_are_balanced():
    """The attack's stand-in learns from equal numbers, though members abound."""
    X, y = digits()
    is_member = np.arange(len(y)) >= 30
    used = memguard(GaussianNB()).fit(X, y, is_member=is_member).calibrated_on_.contains(X)
    assert used[is_member].sum() == used[~is_member].sum() == 30


@pytest.mark.parametrize("make", OUTPUT)
def test_frozen_estimators_are_not_trained(make):
    """Their owner says who was a member; what needs non-members asks for it."""
    X, y = digits()
    net = make_net(max_epochs=3).fit(X[::2].astype(np.float32), y[::2])
    fitted = make(FrozenEstimator(net)).fit(X, y, is_member=half(y))
    np.testing.assert_array_equal(fitted.predict(X), net.predict(X.astype(np.float32)))
    assert fitted.n_samples_fit_ is None
    if make in (memguard, label_only):
        with pytest.raises(ValueError, match="frozen estimator needs is_member"):
            make(FrozenEstimator(net)).fit(X, y)


@pytest.mark.parametrize(
    ("is_member", "message"),
    [
        (np.ones(160, dtype=bool), "marks every row"),
        (np.zeros(160, dtype=bool), "Got no row marked"),
        (np.ones(3, dtype=bool), "one value for each row"),
        (np.full(160, 2), "must hold True for members"),
    ],
)
def test_refused_membership(is_member, message):
    """Each names what was wrong."""
    with pytest.raises(ValueError, match=message):
        memguard(GaussianNB()).fit(*digits(), is_member=is_member)


CHANGED = [
    *(
        (rounded, each)
        for each in ({"output": "zzz"}, {"decimals": -1}, {"decimals": "x"}, {"output": "top_k", "k": 0})
    ),
    *((rounded, {"output": "temperature", "temperature": each}) for each in (-3.0, 0, float("nan"))),
    *((label_only, {"confidence": each}) for each in (2.0, -1, float("nan"))),
    *((noisy, each) for each in ({"scale": -1}, {"scale": float("nan")}, {"scale": "x"}, {"key": b" "}, {"key": 5})),
    *((memguard, {"distortion_budget": each}) for each in (-1.0, float("nan"))),
    *((memguard, each) for each in ({"step": -0.1}, {"step": "x"}, {"max_steps": 0}, {"hidden_layer_sizes": (0,)})),
    *((AugmentedClassifier, each) for each in ({"shift": 1.5}, {"views": None}, {"views": "upside down"})),
]


@pytest.mark.parametrize(("make", "params"), CHANGED)
def test_parameters_that_are_set_after_fit_are_checked(make, params):
    """Answers follow them, and none is given under one that fit would refuse; the error names it."""
    X, y = digits("images")
    fitted = make(make_net(CNN, max_epochs=1)).fit(X, y)
    before = fitted.predict_proba(X[:5])
    given = {name: getattr(fitted, name) for name in params}
    fitted.set_params(**params)
    answers = ["predict", "predict_proba", "predict_log_proba", *(["release"] if make is memguard else [])]
    for answer in answers:
        with pytest.raises((ValueError, TypeError), match=[*params][-1]):
            getattr(fitted, answer)(X[:5])
    np.testing.assert_array_equal(fitted.set_params(**given).predict_proba(X[:5]), before)

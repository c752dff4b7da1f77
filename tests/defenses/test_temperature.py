"""Temperature scaling of answers: against scikit-learn's own, and what must stay as it is."""

import io
import warnings

import joblib
import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import log_loss
from sklearn.naive_bayes import GaussianNB

from skdiffence.attacks import ThresholdAttack
from skdiffence.defenses import DefendedClassifier, TunedDefendedClassifier
from skdiffence.defenses._temperature import fit_temperature, scale
from skdiffence.exceptions import DefenseWarning
from skdiffence.inspection import audit
from skdiffence.metrics import logit_signal
from skdiffence.model_selection import AttackScorer
from tests.defenses.cases import defend, digits, half, quiet
from tests.nets import make_net

pytestmark = [
    pytest.mark.filterwarnings("ignore:Only .* of the candidates"),
    pytest.mark.filterwarnings("ignore:calibration_size=.* can't hold out"),
]


def scaled(estimator=None, regenerator=None, **params):
    """Return an unfitted defended classifier whose answers are scaled."""
    settings = {"selection": "swap", "calibrate": "temperature"} | params
    return defend(GaussianNB(var_smoothing=0.1) if estimator is None else estimator, regenerator, **settings)


def unscaled(fitted):
    """Return the answers before scaling of a fitted one."""
    return fitted._select


def pairs(n_rows=400, n_classes=10, temperature=2.5):
    """Return probabilities that are too sure, and labels drawn at a temperature."""
    rng = np.random.default_rng(0)
    logits = 3 * rng.normal(size=(n_rows, n_classes))
    y = np.array([rng.choice(n_classes, p=softmax(row / temperature)) for row in logits])
    return softmax(logits, axis=1), y


@pytest.mark.parametrize("n_classes", [2, 3, 10])
@pytest.mark.parametrize("absent", [False, True], ids=["all classes", "a class absent"])
def test_temperature_maximizes_the_likelihood(n_classes, absent):
    """By brute force, also where no calibration row has the last class."""
    proba, y = pairs(n_classes=n_classes)
    if absent and n_classes > 2:
        proba, y = proba[y < n_classes - 1], y[y < n_classes - 1]
    nll = lambda t: -log_softmax(np.log(proba) / t, axis=1)[np.arange(len(y)), y].mean()  # noqa: E731
    expected = minimize_scalar(nll, bounds=(0.1, 20), method="bounded").x
    assert fit_temperature(proba, y) == pytest.approx(expected, rel=1e-4)
    # Labels without a column are left out.
    assert fit_temperature(np.append(proba, proba[:5], axis=0), np.append(y, [-1] * 5)) == pytest.approx(expected, 1e-4)
    np.testing.assert_allclose(scale(proba, expected), softmax(np.log(proba) / expected, axis=1), atol=1e-6)


@pytest.mark.parametrize("temperature", [1e-4, 0.5, 3.0, 1e4])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scaled_labels_stay_on_top(temperature, dtype):
    """Even where probabilities become as good as equal, or as 0 and 1."""
    proba = np.vstack((pairs()[0], np.eye(10)[::-1], [[0.5, 0.5, *[0] * 8], [*[0.1] * 9, 0.1 + 1e-7]])).astype(dtype)
    changed = scale(proba, temperature)
    assert changed.dtype == dtype
    np.testing.assert_array_equal(changed.argmax(axis=1), proba.argmax(axis=1))
    np.testing.assert_allclose(changed.sum(axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("labels", [[0, 1, 2, 3], [1, 1, 1, 1]], ids=["all right", "one class"])
def test_rows_that_fix_no_temperature(labels):
    """The likelihood grows without end: warned of, and left at 1."""
    proba = np.full((4, 4), 0.1) + 0.6 * np.eye(4)
    with pytest.warns(DefenseWarning, match="No temperature can be fitted to 4 known non-members"):
        assert fit_temperature(proba, np.array(labels)) == 1


@pytest.mark.parametrize("regenerator", [None, "passthrough"])
@pytest.mark.parametrize("kind", ["strings", "binary"])
def test_answers_are_those_of_scikit_learn(kind, regenerator):
    """Of CalibratedClassifierCV around the classifier without scaling, on the same rows."""
    X, y = digits(kind)
    is_member = half(y)
    fitted = scaled(None, regenerator).fit(X, y, is_member=is_member)
    plain = scaled(None, regenerator, calibrate=None).fit(X, y, is_member=is_member)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        by_hand = CalibratedClassifierCV(FrozenEstimator(plain), method="temperature").fit(X[~is_member], y[~is_member])
    np.testing.assert_allclose(fitted.predict_proba(X), by_hand.predict_proba(X), atol=1e-5)
    np.testing.assert_array_equal(fitted.select(X).proba, fitted.predict_proba(X))
    assert fitted.temperature_ != 1
    assert not hasattr(plain, "temperature_")


@pytest.mark.parametrize("selection", ["first", "matched", "swap"])
def test_labels_and_orders_stay(selection):
    """The label of every row, and the order of the classes in every answer."""
    X, y = digits()
    fitted = scaled(make_net(max_epochs=20), selection=selection).fit(X, y, is_member=half(y))
    before, after = unscaled(fitted)(X.astype(np.float32)), fitted.select(X)
    np.testing.assert_array_equal(fitted.classes_[after.proba.argmax(axis=1)], fitted.predict(X))
    ranks = before.proba.argsort(axis=1, kind="stable")
    assert (np.diff(np.take_along_axis(after.proba, ranks, axis=1), axis=1) >= 0).all()
    for name in ("candidate", "kept", "n_regenerations"):
        np.testing.assert_array_equal(after[name], before[name])


@pytest.mark.parametrize("regenerator", [None, "passthrough"])
def test_likelihood_of_held_out_non_members(regenerator):
    """Over splits, not worse than before by more than the sampling error; here, much better."""
    X, y = load_digits(return_X_y=True)
    X, changes = X / 16, []
    for seed in range(4):
        rows = np.random.default_rng(seed).permutation(len(y))
        inside, outside = rows[:300], rows[300:800]
        fitted = scaled(None, regenerator, random_state=seed).fit(X[inside], y[inside], is_member=half(y[inside]))
        pair = [unscaled(fitted)(X[outside]).proba, fitted.predict_proba(X[outside])]
        before, after = (log_loss(y[outside], proba, labels=range(10)) for proba in pair)
        changes.append(after - before)
    assert np.mean(changes) < 2 * np.std(changes, ddof=1) / np.sqrt(len(changes))
    assert np.mean(changes) < 0


@pytest.mark.parametrize("regenerator", [None, "passthrough"])
def test_rows_of_the_temperature_are_recorded(regenerator):
    """A tenth of the rows unless memberships are given; scorers attack none of them."""
    X, y = digits()
    fitted = scaled(None, regenerator).fit(X[:120], y[:120])
    used = fitted.calibrated_on_.contains(X)
    np.testing.assert_array_equal(used, fitted.not_trained_on_.contains(X))
    assert used.sum() == fitted.not_trained_on_.contains(X).sum() > 0
    scorer = AttackScorer([ThresholdAttack("confidence")], pool=(X, y), random_state=0)
    assert scorer(fitted, X[120:], y[120:])["n_non_members"] == 40
    fitted = scaled(None, regenerator).fit(X, y, is_member=half(y))
    np.testing.assert_array_equal(fitted.calibrated_on_.contains(X), ~half(y))


@pytest.mark.parametrize(("n_members", "n_others"), [(40, 120), (100, 60)], ids=["enough rows", "few rows"])
def test_rows_of_the_temperature_and_of_the_rule(n_members, n_others):
    """Are different ones where there are enough."""
    X, y = digits()
    is_member = np.arange(len(y)) < n_members
    fitted = scaled(selection="matched").fit(X, y, is_member=is_member)
    by_rule = scaled(selection="matched", calibrate=None).fit(X, y, is_member=is_member).calibrated_on_.contains(X)
    others = ~is_member & ~by_rule if n_others > 60 else ~is_member
    expected = fit_temperature(unscaled(fitted)(X[others]).proba, y[others])
    assert fitted.temperature_ == pytest.approx(expected)
    np.testing.assert_array_equal(fitted.calibrated_on_.contains(X), by_rule | ~is_member)


def test_answers_do_not_depend_on_company_or_place():
    """Order, batches, clones and copies on disk."""
    X, y = digits("strings")
    fitted = scaled(make_net()).fit(X, y, is_member=half(y))
    answers = fitted.predict_proba(X)
    np.testing.assert_allclose(fitted.predict_proba(X[::-1])[::-1], answers, atol=1e-6)
    np.testing.assert_allclose(
        np.vstack([fitted.predict_proba(X[i : i + 7]) for i in range(0, 160, 7)]), answers, atol=1e-6
    )
    np.testing.assert_array_equal(clone(fitted).fit(X, y, is_member=half(y)).predict_proba(X), answers)
    file = io.BytesIO()
    joblib.dump(fitted, file)
    file.seek(0)
    np.testing.assert_array_equal(joblib.load(file).predict_proba(X), answers)


def test_tuned():
    """The chosen rule's answers are scaled, by the temperature of all known non-members."""
    X, y = digits()
    tuned = TunedDefendedClassifier(scaled(), timesteps=None, selections=["swap", "lowest"], n_folds=2)
    fitted = quiet(tuned.fit, X, y, is_member=half(y))
    best = fitted.best_estimator_
    known = best.calibrated_on_.contains(X) & ~half(y)
    assert best.temperature_ == pytest.approx(fit_temperature(unscaled(best)(X[known]).proba, y[known]))
    np.testing.assert_array_equal(fitted.predict_proba(X), scale(unscaled(best)(X).proba, best.temperature_))
    assert tuned.defended.calibrate == "temperature"


def test_audit_shows_undefended_answers_as_they_come():
    """The temperature is that of the defended ones."""
    X, y = digits()
    members, known, others = slice(0, 60), slice(0, 100), slice(100, None)
    fitted = scaled().fit(X[known], y[known], is_member=np.arange(100) < 60)
    sides = [(X[side], y[side]) for side in (members, others)]
    report = audit(fitted, *sides, attacks=["confidence"], n_permutations=100, random_state=0)
    bare = fitted.estimator_.predict_proba(np.concatenate([X for X, _ in sides]))
    expected = logit_signal(bare.argmax(axis=1), bare)
    np.testing.assert_allclose(np.sort(report.phi["undefended"]), np.sort(expected))


@pytest.mark.parametrize(
    ("selection", "message"),
    [("first", "calibrate='temperature' on a frozen"), ("matched", "selection='matched' on a")],
)
def test_frozen_estimators_need_memberships(selection, message):
    """And are scaled with them."""
    X, y = digits()
    frozen = FrozenEstimator(GaussianNB(var_smoothing=0.1).fit(X[half(y)], y[half(y)]))
    with pytest.raises(ValueError, match=message):
        scaled(frozen, selection=selection).fit(X, y)
    assert scaled(frozen, selection=selection).fit(X, y, is_member=half(y)).temperature_ != 1


@pytest.mark.parametrize(
    ("params", "is_member", "message"),
    [
        ({"calibration_size": 0}, None, "calibrate='temperature' needs known non-members. Got calibration_size=0"),
        ({}, np.ones(160, dtype=bool), "calibrate='temperature' needs non-members, but is_member marks every row"),
        ({"selection": "members"}, np.ones(160, dtype=bool), "calibrate='temperature' needs non-members"),
        ({"calibrate": "isotonic"}, None, "'calibrate' parameter"),
    ],
)
def test_refused_settings(params, is_member, message):
    """Each names what was wrong."""
    with pytest.raises(ValueError, match=message):
        scaled(**params).fit(*digits(), is_member=is_member)


def test_a_temperature_that_was_not_fitted_needs_another_fit():
    """Parameters of a fitted classifier can be changed, but what fit has not measured is not there."""
    X, y = digits()
    fitted = scaled(calibrate=None, calibration_size=0.25).fit(X, y).set_params(calibrate="temperature")
    for method in ("predict_proba", "predict_log_proba", "select"):
        with pytest.raises(NotFittedError, match=r"calibrate='temperature' needs .* None in fit. Call fit again"):
            getattr(fitted, method)(X)
    assert len(fitted.predict(X)) == len(X)
    np.testing.assert_allclose(fitted.fit(X, y).predict_proba(X).sum(axis=1), 1)


def test_undefended_baseline_holds_out_the_same_rows():
    """So that both are calibrated on the same."""
    X, y = digits()
    two = [
        DefendedClassifier(GaussianNB(), each, calibrate="temperature", random_state=0)
        for each in (None, "passthrough")
    ]
    two[0].set_params(regenerator=scaled().regenerator, n_candidates=2)
    held_out = [each.fit(X, y).not_trained_on_.contains(X) for each in two]
    np.testing.assert_array_equal(*held_out)

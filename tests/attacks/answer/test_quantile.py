"""The attack that expects something else of each row."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.linear_model import LinearRegression
from sklearn.metrics import roc_auc_score
from sklearn.tree import DecisionTreeRegressor

from skdiffence.attacks import Answers, QuantileAttack, ThresholdAttack
from skdiffence.attacks.answer._quantile import _NormalScores
from skdiffence.metrics import logit_signal


def _rows(n, *, gain=1.0, hard=3.0, noise=lambda X: 1.0, seed=0):
    """Rows whose logit is ``hard`` times their first feature, plus noise, plus ``gain`` for members."""
    rng = np.random.default_rng(seed)
    is_member = rng.permutation(np.arange(n) % 2 == 0)
    X = rng.normal(size=(n, 3))
    phi = hard * X[:, 0] + noise(X) * rng.normal(size=n) + gain * is_member
    return _answered(phi, X), is_member


def _answered(phi, X):
    p = 1 / (1 + np.exp(-phi))
    proba = np.column_stack([p, 1 - p])
    return Answers(proba, proba.argmax(axis=1), np.zeros(len(phi), dtype=int), np.array([0, 1]), X)


TREES = ExtraTreesRegressor(10, min_samples_leaf=5)


class Forgetful(RegressorMixin, BaseEstimator):
    """Refuses to judge a row that it was trained on; expects nothing of others."""

    log = []

    def fit(self, X, y):
        """Remember the rows."""
        self.seen_ = {row.tobytes() for row in X}
        self.log.append(X)
        return self

    def predict(self, X):
        """Return 0."""
        assert not any(row.tobytes() in self.seen_ for row in X), "judged a row that it was trained on"
        return np.zeros(len(X))


def test_reaches_the_ideal_attack():
    """With a regressor that is right, the area is that of the ideal attack, which a threshold on the signal misses.

    Given the row, signals of members and others are normal and ``gain`` apart; over all rows, the hardness of each
    drowns it.
    """
    known, is_known_member = _rows(3000, gain=1.5)
    fresh, is_member = _rows(3000, gain=1.5, seed=1)
    areas = [
        roc_auc_score(is_member, attack.fit_answers(known, is_known_member).score_answers(fresh))
        for attack in (ThresholdAttack("logit"), QuantileAttack(LinearRegression(), random_state=0))
    ]
    expected = norm.cdf(1.5 / np.sqrt([2 * (1 + 9), 2]))
    assert areas == pytest.approx(expected, abs=0.03)


def test_default_beats_the_threshold_where_rows_differ():
    """The default regressor learns from some hundred non-members which rows are hard."""
    known, is_known_member = _rows(600, gain=1.5)
    fresh, is_member = _rows(600, gain=1.5, seed=1)
    threshold, quantile = (
        roc_auc_score(is_member, attack.fit_answers(known, is_known_member).score_answers(fresh))
        for attack in (ThresholdAttack("logit"), QuantileAttack(random_state=0))
    )
    assert quantile > threshold + 0.08


def test_scores_are_in_standard_deviations():
    """Where some rows stray more, scores of non-members stray alike among both kinds of rows."""
    noise = lambda X: np.where(X[:, 1] > 0, 3.0, 0.5)  # noqa: E731
    known, is_known_member = _rows(2000, noise=noise, hard=0.0)
    fresh, is_member = _rows(2000, noise=noise, hard=0.0, seed=1)
    attack = QuantileAttack(random_state=0).fit_answers(known, is_known_member)
    scores, straying = attack.score_answers(fresh), fresh.X[:, 1] > 0
    deviations = [scores[~is_member & rows].std() for rows in (straying, ~straying)]
    assert deviations[0] == pytest.approx(deviations[1], rel=0.35)
    signal = logit_signal(fresh.y, fresh.proba)
    assert signal[~is_member & straying].std() > 4 * signal[~is_member & ~straying].std()


@pytest.mark.parametrize("sign", [-1, 1])
def test_direction_is_learned(sign):
    """Members below what is expected of them are found as well."""
    known, is_known_member = _rows(600, gain=2.0 * sign)
    fresh, is_member = _rows(600, gain=2.0 * sign, seed=1)
    attack = QuantileAttack(LinearRegression()).fit_answers(known, is_known_member)
    assert attack.direction_ == sign
    assert roc_auc_score(is_member, attack.score_answers(fresh)) > 0.8


@pytest.mark.parametrize("sign", [-1, 1])
def test_score_rises_with_the_row_s_own_signal(sign):
    """Of one row answered in many ways, beyond all known signals too, the score is strictly monotone."""
    known, is_member = _rows(200, gain=2.0 * sign)
    attack = QuantileAttack(TREES, random_state=0).fit_answers(known, is_member)
    phi = np.linspace(-30, 30, 400)
    scores = attack.score_answers(_answered(phi, np.repeat(known.X[:1], 400, axis=0)))
    assert np.all(sign * np.diff(scores) > 0)


def test_no_row_is_judged_by_a_model_that_knew_it():
    """Members train nothing, and the threshold is learned on non-members that were held out."""
    known, is_member = _rows(60)
    Forgetful.log.clear()
    attack = QuantileAttack(Forgetful()).fit_answers(known, is_member)
    trained_on = np.concatenate(Forgetful.log)[:, :3]
    members = known.X[is_member].astype(np.float32)
    assert not (trained_on[:, None] == members).all(axis=2).any()
    assert len(Forgetful.log) == 2 * (5 + 1)
    # Expecting nothing of anybody, scores are the signal's normal scores up to one factor.
    order = np.argsort(logit_signal(known.y, known.proba)[is_member])
    assert np.all(np.diff(attack.score_answers(known.take(is_member))[order]) > 0)


def test_null_calls_both_sides_alike():
    """A target that nobody trained on any of the rows: as many members as others are called, though models overfit."""
    known, is_known_member = _rows(1000, gain=0.0)
    fresh, is_member = _rows(1000, gain=0.0, seed=1)
    attack = QuantileAttack(DecisionTreeRegressor(), random_state=0).fit_answers(known, is_known_member)
    called = attack.score_answers(fresh) >= attack.threshold_
    assert abs(called[is_member].mean() - called[~is_member].mean()) < 0.1


def test_constant_regressor_leaves_the_threshold_attack():
    """Where every row is expected to do the same, rows are ordered by their signal."""
    known, is_member = _rows(200)
    scores = QuantileAttack(DummyRegressor()).fit_answers(known, is_member).score_answers(known)
    assert roc_auc_score(is_member, scores) == roc_auc_score(is_member, logit_signal(known.y, known.proba))


def test_non_members_answered_alike():
    """Residuals of exactly 0 have no logarithm; scores are finite all the same, and tell members."""
    rng = np.random.default_rng(0)
    is_member = np.arange(40) < 20
    known = _answered(np.where(is_member, 2.0, 1.0), rng.normal(size=(40, 3)))
    scores = QuantileAttack(random_state=0).fit_answers(known, is_member).score_answers(known)
    assert np.isfinite(scores).all()
    assert roc_auc_score(is_member, scores) == 1


def test_label_is_part_of_the_row():
    """Classes that are answered unlike each other are expected to be, though X tells nothing."""
    rng = np.random.default_rng(0)
    is_member, y = rng.random(800) < 0.5, rng.integers(2, size=800)
    phi = 4 * y + rng.normal(size=800) + 1.5 * is_member
    p = 1 / (1 + np.exp(-phi))
    proba = np.where(y[:, None] == [0, 1], p[:, None], 1 - p[:, None])
    answers = Answers(proba, proba.argmax(axis=1), y, np.array([0, 1]), rng.normal(size=(800, 1)))
    scores = QuantileAttack(random_state=0).fit_answers(answers.take(slice(400)), is_member[:400])
    assert roc_auc_score(is_member[400:], scores.score_answers(answers.take(slice(400, None)))) > 0.78


@pytest.mark.parametrize("form", ["images", "uint8", "frame", "list", "missing"])
def test_rows_of_any_form(form):
    """Images are flattened, frames are read as numbers, and missing values are left to the regressor."""
    known, is_member = _rows(100)
    X = np.round(known.X * 10 + 100)
    make = {
        "images": lambda: X.reshape(100, 1, 3, 1),
        "uint8": lambda: X.astype(np.uint8),
        "frame": lambda: pd.DataFrame(X, columns=list("abc")),
        "list": lambda: X.tolist(),
    }
    expected = QuantileAttack(TREES, random_state=0).fit_answers(replace(known, X=X), is_member)
    if form == "missing":
        holes = np.where(X > 120, np.nan, X)
        answers = replace(known, X=holes)
        assert np.isnan(holes).any()
        scores = QuantileAttack(TREES, random_state=0).fit_answers(answers, is_member).score_answers(answers)
        assert np.isfinite(scores).all()
        return
    answers = replace(known, X=make[form]())
    scores = QuantileAttack(TREES, random_state=0).fit_answers(answers, is_member).score_answers(answers)
    np.testing.assert_array_equal(scores, expected.score_answers(replace(known, X=X)))


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (None, "answers must hold their rows, X"),
        (np.full((40, 1), np.inf), "X contains infinity"),
        (np.full((40, 1), "a"), "X must be numeric"),
    ],
)
def test_bad_rows(X, message):
    """Rows that are not there, not numbers or not finite are refused, when fitting and when scoring."""
    known, is_member = _rows(40)
    with pytest.raises(ValueError, match=message):
        QuantileAttack().fit_answers(replace(known, X=X), is_member)
    attack = QuantileAttack(DummyRegressor()).fit_answers(known, is_member)
    with pytest.raises(ValueError, match=message):
        attack.score_answers(replace(known, X=X))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"signal": "margin"}, "'signal' parameter of QuantileAttack"),
        ({"estimator": "trees"}, "'estimator' parameter of QuantileAttack"),
        ({"random_state": -1.5}, "'random_state' parameter of QuantileAttack"),
    ],
)
def test_bad_parameters(params, message):
    """Parameters are checked when fitting."""
    with pytest.raises(ValueError, match=message):
        QuantileAttack(**params).fit_answers(*_rows(20))


@given(st.lists(st.floats(-104, 104, width=32), min_size=1, max_size=30))
def test_normal_scores_rise(sample):
    """Normal scores order signals as they are, equal ones alike, and lie around 0."""
    sample = np.array(sample, dtype=float)
    scores = _NormalScores(sample).transform(np.sort(sample))
    assert np.isfinite(scores).all()
    np.testing.assert_array_equal(np.diff(scores) > 0, np.diff(np.sort(sample)) > 0)
    beyond = _NormalScores(sample).transform(np.array([-105.0, 105.0]))
    assert beyond[0] < scores[0] <= scores[-1] < beyond[1]


def test_normal_scores_by_hand():
    """Ranks in the middle of their steps, straight lines between and beyond."""
    scores = _NormalScores(np.array([0.0, 2.0, 2.0, 6.0]))
    expected = norm.ppf([1 / 8, 1 / 2, 7 / 8])
    np.testing.assert_allclose(scores.transform(np.array([0.0, 2.0, 6.0])), expected, atol=1e-12)
    np.testing.assert_allclose(scores.transform(np.array([4.0])), expected[1:].mean(), atol=1e-12)
    deviation = np.std([0, 2, 2, 6])
    np.testing.assert_allclose(scores.transform(np.array([6 + deviation])), expected[2] + 1, atol=1e-12)
    np.testing.assert_array_equal(_NormalScores(np.full(5, 3.0)).transform(np.array([2.0, 3.0, 5.0])), [-1, 0, 2])

"""What must hold for each attack that learns from the whole answer, however it learns."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.ensemble import ExtraTreesRegressor, RandomForestClassifier
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from skdiffence.attacks import (
    ClassifierAttack,
    CorrectnessAttack,
    HistogramAttack,
    NeuralAttack,
    NonMonotoneAttack,
    QuantileAttack,
    query,
)
from skdiffence.metrics import auc_interval
from tests.attacks.targets import Dictated, normal, planted

ATTACKS = {
    "classifier": ClassifierAttack(RandomForestClassifier(10, min_samples_leaf=5), random_state=0),
    "correctness": CorrectnessAttack(),
    "histogram": HistogramAttack(),
    "neural": NeuralAttack(max_epochs=20, lr=0.005, width=8, random_state=0),
    "quantile": QuantileAttack(ExtraTreesRegressor(8, min_samples_leaf=5), random_state=0),
}
ORDERED = ATTACKS | {"non_monotone": NonMonotoneAttack(n_estimators=20, random_state=0)}
ON_CONFIDENCE = sorted(set(ATTACKS) - {"correctness"})


def _answers(*phis, n=400, seed=0):
    """Answers that tell who is a member, to rows that do not."""
    X, y, is_member = planted(*phis, n=n, seed=seed)
    rows = np.random.default_rng(seed).normal(size=(n, 2))
    return replace(query(Dictated().fit(), X, y), X=rows), is_member


@pytest.mark.parametrize("name", ORDERED)
def test_order_of_the_known_rows_does_not_matter(name):
    """One seed, one attacker, however the rows that it learned from were sorted."""
    answers, is_member = _answers(normal(1), normal(0), n=120)
    rows = np.random.default_rng(0).permutation(120)
    one, two = (clone(ORDERED[name]).fit_answers(answers.take(o), is_member[o]) for o in (np.arange(120), rows))
    np.testing.assert_allclose(one.score_answers(answers), two.score_answers(answers), rtol=0, atol=1e-12)
    assert one.threshold_ == pytest.approx(two.threshold_, abs=1e-12)


@pytest.mark.parametrize("name", ATTACKS)
def test_null(name):
    """Members and others answered alike are not told apart, and are called alike."""
    attack = clone(ATTACKS[name]).fit_answers(*_answers(normal(1), normal(1)))
    fresh, is_member = _answers(normal(1), normal(1), n=1000, seed=1)
    scores = attack.score_answers(fresh)
    low, high = auc_interval(is_member, scores, confidence_level=0.99)
    assert low < 0.5 < high
    called = scores >= attack.threshold_
    assert abs(called[is_member].mean() - called[~is_member].mean()) < 0.1


@pytest.mark.parametrize("phis", [(normal(3), normal(-0.5)), (normal(-0.5), normal(3))], ids=["more", "less"])
@pytest.mark.parametrize("name", ATTACKS)
def test_direction_is_learned(name, phis):
    """Members answered with more or with less confidence are found, and called."""
    attack = clone(ATTACKS[name]).fit_answers(*_answers(*phis))
    fresh, is_member = _answers(*phis, seed=1)
    scores = attack.score_answers(fresh)
    assert roc_auc_score(is_member, scores) > (0.62 if name == "correctness" else 0.9)
    assert balanced_accuracy_score(is_member, scores >= attack.threshold_) > (0.62 if name == "correctness" else 0.82)


@pytest.mark.parametrize("n_members", [30, 300])
@pytest.mark.parametrize("name", ON_CONFIDENCE)
def test_unequal_sides(name, n_members):
    """Ten known rows of one side to each of the other: both sides are still recognized."""
    answers, is_member = _answers(normal(3), normal(0), n=660)
    rows = np.r_[np.flatnonzero(is_member)[:n_members], np.flatnonzero(~is_member)[: 330 - n_members]]
    attack = clone(ATTACKS[name]).fit_answers(answers.take(rows), is_member[rows])
    fresh, is_member = _answers(normal(3), normal(0), seed=1)
    called = attack.score_answers(fresh) >= attack.threshold_
    assert min(called[is_member].mean(), (~called)[~is_member].mean()) > 0.65


@pytest.mark.parametrize("n_others", [1, 2, 5])
@pytest.mark.parametrize("n_members", [1, 2, 5])
@pytest.mark.parametrize("name", ATTACKS)
def test_few_known_rows(name, n_members, n_others):
    """From one row a side on there is a score for every row."""
    answers, is_member = _answers(normal(3), normal(0), n=20)
    rows = np.r_[np.flatnonzero(is_member)[:n_members], np.flatnonzero(~is_member)[:n_others]]
    attack = clone(ATTACKS[name])
    if name == "neural":
        attack.set_params(max_epochs=2)
    scores = attack.fit_answers(answers.take(rows), is_member[rows]).score_answers(answers)
    assert scores.shape == (20,)
    assert np.isfinite(scores).all()
    assert np.isfinite(attack.threshold_)


@pytest.mark.parametrize("name", ATTACKS)
def test_order_of_known_rows_does_not_matter(name):
    """Known rows in another order teach the same, seeds and folds and batches included."""
    answers, is_member = _answers(normal(2), normal(1), n=120)
    order = np.random.default_rng(1).permutation(120)
    one, two = (
        clone(ATTACKS[name]).fit_answers(answers.take(rows), is_member[rows]) for rows in (np.arange(120), order)
    )
    np.testing.assert_array_equal(one.score_answers(answers), two.score_answers(answers))
    assert one.threshold_ == two.threshold_


@pytest.mark.parametrize("name", ATTACKS)
def test_scores_do_not_depend_on_other_rows(name):
    """Bit by bit, in any order and any company."""
    answers, is_member = _answers(normal(2), normal(1), n=200)
    attack = clone(ATTACKS[name]).fit_answers(answers, is_member)
    scores = attack.score_answers(answers)
    order = np.random.default_rng(1).permutation(200)
    np.testing.assert_array_equal(attack.score_answers(answers.take(order)), scores[order])
    np.testing.assert_array_equal(attack.score_answers(answers.take([7])), scores[[7]])


@pytest.mark.parametrize("bad", [np.nan, 7.0])
@pytest.mark.parametrize("name", ON_CONFIDENCE)
def test_answers_that_are_no_probabilities(name, bad):
    """Refused when learned from and when scored."""
    answers, is_member = _answers(normal(2), normal(1), n=40)
    proba = answers.proba.copy()
    proba[3, 1] = bad
    attack = clone(ATTACKS[name])
    with pytest.raises(ValueError, match="Class probabilities must not be negative"):
        attack.fit_answers(replace(answers, proba=proba), is_member)
    attack.fit_answers(answers, is_member)
    with pytest.raises(ValueError, match="Class probabilities must not be negative"):
        attack.score_answers(replace(answers, proba=proba))

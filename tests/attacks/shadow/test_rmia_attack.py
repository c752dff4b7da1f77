"""What RMIA alone has as an estimator: a population of non-members to compare with."""

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import roc_auc_score

from skdiffence.attacks import RMIAAttack, query, rmia_scores, train_shadows
from skdiffence.metrics import confidence_signal
from tests.attacks.targets import Counting

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 6))
Y = (X[:, 0] + RNG.normal(size=300) > 0).astype(int)
IS_MEMBER = RNG.permutation(np.arange(300) % 2 == 0)
POOL = X[:200], Y[:200]
OUTSIDE = X[200:], Y[200:]
FOREST = RandomForestClassifier(20, random_state=0)
SHADOWS = train_shadows(FOREST, *POOL, n_shadows=4, random_state=0)
MEMBERS = IS_MEMBER[:200]
TARGET = RandomForestClassifier(20, random_state=0).fit(X[:200][MEMBERS], Y[:200][MEMBERS])


def confidences(model, rows, labels):
    """Return a model's probabilities of the true class."""
    answers = query(model, rows, labels)
    return confidence_signal(answers.y, answers.proba)


@pytest.mark.parametrize("mode", ["auto", "offline"])
def test_four_shadows_are_enough(mode):
    """A forest's members are found with few shadows."""
    attack = RMIAAttack(SHADOWS, pool=POOL, mode=mode).fit(TARGET, X[:100], Y[:100], MEMBERS[:100])
    scores = attack.score_samples(X[100:200], Y[100:200])
    assert roc_auc_score(MEMBERS[100:], scores) > 0.8
    assert 0 <= scores.min() <= scores.max() <= 1


@pytest.mark.parametrize("mode", ["online", "offline"])
def test_population_of_its_own(mode):
    """Rows that were never in the pool are what is compared with, and the target is asked about them, too."""
    attack = RMIAAttack(SHADOWS, pool=POOL, population=OUTSIDE, mode=mode, offline_a=0.6, gamma=1.2)
    assert not attack.asks_once
    scores = attack.fit(TARGET, *POOL, MEMBERS).score_samples(*POOL)
    models, trained = SHADOWS["estimator"], SHADOWS["indices"]["train"]
    membership = np.column_stack([np.isin(np.arange(200), rows) for rows in trained])
    of_pool, of_others = (np.column_stack([confidences(m, *rows) for m in models]) for rows in (POOL, OUTSIDE))
    own, of_target = confidences(TARGET, *POOL), confidences(TARGET, *OUTSIDE)
    options = {"mode": mode, "offline_a": 0.6, "gamma": 1.2}
    expected = rmia_scores(own, of_pool, membership, of_target, of_others, **options)
    np.testing.assert_allclose(scores, expected, atol=1e-12)
    assert np.isin(np.round(scores * 100, 9), np.arange(101)).all()


def test_queries_of_a_population():
    """One query for each of its rows when fitting, none when scoring."""
    y = np.arange(30) % 3
    rows = np.random.default_rng(0).normal(size=(30, 3))
    halves = [np.arange(10), np.arange(10, 20)]
    shadows = {"estimator": [Counting().fit() for _ in halves], "indices": {"train": halves}}
    target = Counting().fit()
    attack = RMIAAttack(shadows, pool=(rows[:20], y[:20]), population=(rows[20:], y[20:]))
    attack.fit(target, rows[:20], y[:20], np.arange(20) % 2 == 0)
    assert sum(n for name, n in target.calls_ if name == "predict_proba") == 30
    target.calls_.clear()
    attack.score_samples(rows[:5], y[:5])
    assert sum(n for name, n in target.calls_ if name == "predict_proba") == 5


def test_answers_can_not_be_shared_with_a_population():
    """The target would have to be asked about it."""
    attack = RMIAAttack(SHADOWS, pool=POOL, population=OUTSIDE)
    with pytest.raises(ValueError, match="RMIAAttack needs more than one answer for each row"):
        attack.fit_answers(query(TARGET, *POOL), MEMBERS)


def test_rows_outside_the_pool_are_compared_offline():
    """With the population's offline ratios, whose scale is the same."""
    attack = RMIAAttack(SHADOWS, pool=POOL).fit(TARGET, *POOL, MEMBERS)
    offline = RMIAAttack(SHADOWS, pool=POOL, mode="offline").fit(TARGET, *POOL, MEMBERS)
    with pytest.warns(UserWarning, match="100 of 100 rows are not in the pool"):
        np.testing.assert_array_equal(attack.score_samples(*OUTSIDE), offline.score_samples(*OUTSIDE))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"population": OUTSIDE[:1]}, r"population must be a tuple \(X, y\). Got one of length 1"),
        ({"population": (X[:3], Y[:2])}, "one label for each of the 3 rows"),
        ({"population": 3}, "'population' parameter of RMIAAttack"),
        ({"offline_a": -0.1}, "'offline_a' parameter of RMIAAttack"),
        ({"gamma": 0.0}, "'gamma' parameter of RMIAAttack"),
    ],
)
def test_bad_parameters(params, message):
    """Populations of the wrong form, and values that do not exist."""
    with pytest.raises(ValueError, match=message):
        RMIAAttack(SHADOWS, pool=POOL, **params).fit(TARGET, *POOL, MEMBERS)

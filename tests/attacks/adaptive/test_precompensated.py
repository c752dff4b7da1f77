"""What a regeneration takes away was added beforehand."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import roc_auc_score

from skdiffence.attacks import PrecompensatedQueryAttack, ThresholdAttack
from tests.attacks.adaptive.auxiliary import Blur, Defended, FirstFeature, Scaled
from tests.attacks.targets import Counting, normal, planted

N = 600
IS_MEMBER = np.arange(N) % 2 == 0
ONES = np.ones(N, dtype=int)
WIDE = (-1000, 1000)


def _rows(n_features):
    X = np.random.default_rng(0).normal(size=(N, n_features))
    X[:, 0] += 1.5 * IS_MEMBER
    return X


def _scores(attack, target, X):
    return attack.fit(target.fit(), X, ONES, IS_MEMBER).score_samples(X, ONES)


@pytest.mark.parametrize("factor", [0.5, 0.8])
def test_one_step_undoes_a_scaling(factor):
    """R(x) = a x, asked about x + (x - a x) / a = x / a, shows x: the answers are the undefended ones."""
    X = _rows(1)
    attack = PrecompensatedQueryAttack(Scaled(factor), strength=1 / factor, value_range=WIDE)
    np.testing.assert_allclose(_scores(attack, Defended(Scaled(factor)), X), X[:, 0], rtol=1e-9)


def test_iterations_undo_a_blur():
    """The steps converge to the row whose blur is the row, and what the blur hid is found again."""
    X = _rows(5)
    attacks = {n: PrecompensatedQueryAttack(Blur(), strength=1.0, n_iterations=n, value_range=WIDE) for n in (1, 3, 60)}
    target = Defended(Blur())
    errors = {n: np.abs(_scores(attack, target, X) - X[:, 0]).max() for n, attack in attacks.items()}
    assert errors[1] > errors[3] > 0.05
    assert errors[60] < 1e-4
    hidden = roc_auc_score(IS_MEMBER, ThresholdAttack("logit").fit(target, X, ONES, IS_MEMBER).score_samples(X, ONES))
    found = roc_auc_score(IS_MEMBER, _scores(attacks[60], target, X))
    assert found == pytest.approx(roc_auc_score(IS_MEMBER, X[:, 0]), abs=1e-3)
    assert found > hidden + 0.01


@pytest.mark.parametrize(("n_queries", "n_regenerations"), [(1, 4), (2, 4), (3, 4), (4, 4)])
def test_regenerations_are_dealt_to_the_queries(n_queries, n_regenerations):
    """Each candidate is made once, and each query adds what those of its own have lost."""
    X = _rows(3)
    regenerator, target = Scaled(0.5, drift=0.25), FirstFeature()
    attack = PrecompensatedQueryAttack(
        regenerator, n_queries=n_queries, n_regenerations=n_regenerations, strength=0.7, value_range=WIDE
    )
    attack.fit(target.fit(), X, ONES, IS_MEMBER)
    assert sorted(regenerator.made) == [(candidate, N) for candidate in range(n_regenerations)]
    assert len(target.asked_) == n_queries
    for number, asked in enumerate(target.asked_):
        candidates = np.arange(number, n_regenerations, n_queries)
        np.testing.assert_allclose(asked, X + 0.7 * (0.5 * X - 0.25 * candidates.mean()), atol=1e-12)


def test_score_is_the_mean_over_queries():
    """phi of what was asked, averaged, in the learned direction."""
    X, target = _rows(2), FirstFeature().fit()
    attack = PrecompensatedQueryAttack(Scaled(0.5, drift=0.25), n_queries=4, n_regenerations=4, value_range=WIDE)
    attack.fit(target, X, ONES, IS_MEMBER)
    target.asked_.clear()
    scores = attack.score_samples(X, ONES)
    assert attack.direction_ == 1
    np.testing.assert_allclose(scores, np.mean([asked[:, 0] for asked in target.asked_], axis=0), rtol=1e-9)


@pytest.mark.parametrize("n_queries", [1, 3])
def test_contrast_by_hand(n_queries):
    """Rows are stretched about the middle of the range and clipped to it; several queries, several amounts."""
    X = np.random.default_rng(0).random((N, 1, 2, 2)).astype(np.float32)
    target = FirstFeature().fit()
    attack = PrecompensatedQueryAttack(mode="contrast", n_queries=n_queries, strength=0.5)
    attack.fit(target, X, ONES, IS_MEMBER)
    assert attack.regenerator_ is None
    amounts = [0.5] if n_queries == 1 else [0.25, 0.5, 0.75]
    for amount, asked in zip(amounts, target.asked_, strict=True):
        assert asked.dtype == np.float32
        np.testing.assert_allclose(asked, np.clip(0.5 + (1 + amount) * (X - 0.5), 0, 1), atol=1e-6)


def test_contrast_undoes_a_shrinkage():
    """What shrinks rows about the middle by a half is undone by stretching them to twice their size."""
    X = _rows(1)
    attack = PrecompensatedQueryAttack(mode="contrast", strength=1.0, value_range=WIDE)
    np.testing.assert_allclose(_scores(attack, Defended(Scaled(0.5)), X), X[:, 0], rtol=1e-9)


@pytest.mark.parametrize("mode", ["contrast", "residual"])
def test_changed_rows_stay_in_the_range(mode):
    """Clipped to the range, or to where the row itself lies if that is further out."""
    X, target = 3 * _rows(2), FirstFeature().fit()
    attack = PrecompensatedQueryAttack(Scaled(0.1), mode=mode, strength=9.0, value_range=(-1, 1))
    attack.fit(target, X, ONES, IS_MEMBER)
    asked, outside = target.asked_[0], np.abs(X) > 1
    assert (np.abs(asked[~outside]) <= 1).all()
    np.testing.assert_array_equal(asked[outside], X[outside])
    assert outside.any()


class Half(BaseEstimator):
    """Regenerates half of a row, once it was fitted; one seed can be told from another."""

    def __init__(self, random_state=None):
        self.random_state = random_state

    def fit(self, X, y=None):
        """Remember how many rows there were."""
        self.n_rows_ = len(X)
        return self

    def regenerate(self, X, candidate):
        """Return the half."""
        return X / 2 + 0 * self.n_rows_


def test_regenerator_is_fitted_to_the_known_rows():
    """A clone, with a seed of the attack's; a frozen one and its seed are left alone."""
    X = _rows(2)
    given = Half()
    attack = PrecompensatedQueryAttack(given, random_state=0).fit(FirstFeature().fit(), X, ONES, IS_MEMBER)
    assert not hasattr(given, "n_rows_")
    assert attack.regenerator_.n_rows_ == N
    seeds = []
    for seed in (0, 1):
        seeds.append(attack.set_params(random_state=seed).fit(FirstFeature().fit(), X, ONES, IS_MEMBER).regenerator_)
    assert (
        seeds[0].random_state
        == attack.set_params(random_state=0).fit(FirstFeature().fit(), X, ONES, IS_MEMBER).regenerator_.random_state
    )
    assert seeds[0].random_state != seeds[1].random_state
    frozen = FrozenEstimator(Half().fit(X[:3]))
    attack = PrecompensatedQueryAttack(frozen).fit(FirstFeature().fit(), X, ONES, IS_MEMBER)
    assert attack.regenerator_ is frozen
    assert frozen.estimator.n_rows_ == 3


def test_queries_are_counted():
    """n_queries of the target, n_regenerations times n_iterations of the attacker's own."""
    X, y, is_member = planted(normal(2), normal(0), n=60)
    target, regenerator = Counting().fit(), Scaled(0.5)
    attack = PrecompensatedQueryAttack(regenerator, n_queries=3, n_regenerations=7, n_iterations=2)
    attack.fit(target, X, y, is_member)
    assert target.calls_.count(("predict_proba", 60)) == 3
    assert len(regenerator.made) == 14
    attack.score_samples(X[:7], y[:7])
    assert target.calls_.count(("predict_proba", 7)) == 3


class Wrong:
    """Regenerates another number of rows, or nothing finite."""

    def __init__(self, value):
        self.value = value

    def regenerate(self, X, candidate):
        """Return what it was told to."""
        return self.value(X)


@pytest.mark.parametrize(
    ("value", "message"),
    [(lambda X: X[:-1], r"shape of X, \(20, 3\). Got shape \(19, 3\)"), (lambda X: X * np.nan, "60 of the values")],
    ids=["too few", "not finite"],
)
def test_bad_regenerations(value, message):
    """What a regenerator may not return is named."""
    with pytest.raises(ValueError, match=message):
        PrecompensatedQueryAttack(Wrong(value)).fit(Counting().fit(), *planted(normal(2), normal(0), n=20))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({}, "regenerator must be given for mode='residual'. Got None"),
        ({"regenerator": "denoiser"}, "'regenerator' parameter of PrecompensatedQueryAttack"),
        ({"regenerator": Blur(), "n_queries": 9}, "n_regenerations must be at least n_queries=9.* Got 8"),
        ({"regenerator": Blur(), "n_queries": 0}, "'n_queries' parameter"),
        ({"regenerator": Blur(), "n_iterations": 0}, "'n_iterations' parameter"),
        ({"regenerator": Blur(), "n_regenerations": 0}, "'n_regenerations' parameter"),
        ({"regenerator": Blur(), "strength": -1.0}, "'strength' parameter"),
        ({"regenerator": Blur(), "strength": np.inf}, "'strength' parameter"),
        ({"regenerator": Blur(), "mode": "blur"}, "'mode' parameter"),
        ({"regenerator": Blur(), "signal": "loss"}, "'signal' parameter"),
    ],
)
def test_bad_parameters(params, message):
    """Parameters are checked before anybody is asked."""
    target = Counting().fit()
    with pytest.raises(ValueError, match=message):
        PrecompensatedQueryAttack(**params).fit(target, *planted(normal(2), normal(0), n=20))
    assert not target.calls_

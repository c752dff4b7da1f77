"""Undefended answers are recognized, and read for what they are."""

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import roc_auc_score

from skdiffence.attacks import FallbackAttack, ThresholdAttack
from tests.attacks.adaptive.auxiliary import FirstFeature
from tests.attacks.targets import Counting, Dictated, normal, planted

N = 4000
IS_MEMBER = np.arange(N) % 2 == 0
ONES = np.ones(N, dtype=int)
KNOWN = np.arange(N) < N // 2


class FallsBack(FirstFeature):
    """Answers noise of size 5, drawn anew, unless the second feature says that it found no regeneration."""

    def phi(self, X):
        """Return the undefended phi, or noise."""
        return np.where(X[:, 1] > 0.5, X[:, 0], 5 * self.rng_.normal(size=len(X)))


def _rows(share):
    rng = np.random.default_rng(0)
    phi = rng.normal(size=N) + 2 * IS_MEMBER
    return np.column_stack([phi, rng.permutation(np.arange(N) < share * N)]).astype(float)


BARE = FrozenEstimator(FirstFeature().fit())


@pytest.mark.parametrize("undefended", [None, BARE], ids=["by their steadiness", "by the bare model"])
@pytest.mark.parametrize("share", [0.1, 0.5])
def test_undefended_answers_have_the_closed_form(undefended, share):
    """Rows answered undefended are ordered by phi, the others lie between the two halves of these."""
    X = _rows(share)
    attack = FallbackAttack(undefended, random_state=0)
    attack.fit(FallsBack().fit(), X[KNOWN], ONES[KNOWN], IS_MEMBER[KNOWN])
    assert attack.undefended_rate_ == pytest.approx(X[KNOWN, 1].mean(), abs=0.01)
    found = roc_auc_score(IS_MEMBER[~KNOWN], attack.score_samples(X[~KNOWN], ONES[~KNOWN]))
    # Two normals, 2 apart: told apart in pairs, and each from the point halfway, where odds are even.
    pairs, halfway = norm.cdf(2 / np.sqrt(2)), norm.cdf(1)
    expected = share**2 * pairs + 2 * share * (1 - share) * halfway + (1 - share) ** 2 / 2
    assert found == pytest.approx(expected, abs=0.03)
    phi = ThresholdAttack("logit").fit(FallsBack().fit(), X[KNOWN], ONES[KNOWN], IS_MEMBER[KNOWN])
    assert found > roc_auc_score(IS_MEMBER[~KNOWN], phi.score_samples(X[~KNOWN], ONES[~KNOWN])) + 0.03


def test_without_undefended_answers_phi_is_left():
    """Where all answers are regenerated, or none, rows are ordered by phi."""
    X, y, is_member = planted(normal(2), normal(1))
    target = Dictated().fit()
    expected = ThresholdAttack("logit").fit(target, X, y, is_member).score_samples(X, y)
    elsewhere = FrozenEstimator(Dictated().fit())
    elsewhere.estimator.predict_proba = lambda X: Dictated.predict_proba(target, np.asarray(X) - [3, 0, 0])
    for undefended, rate in ((FrozenEstimator(target), 1.0), (elsewhere, 0.0)):
        attack = FallbackAttack(undefended).fit(target, X, y, is_member)
        assert attack.undefended_rate_ == rate
        np.testing.assert_array_equal(np.argsort(attack.score_samples(X, y)), np.argsort(expected))


def test_tolerance_is_of_logarithms():
    """Answers that differ by a tenth in one probability are the same under a larger tolerance only."""
    X, y, is_member = planted(normal(2), normal(1), n=40)
    bare = Dictated().fit()
    target = Dictated().fit()
    target.predict_proba = lambda X: bare.predict_proba(np.asarray(X) + [0.1, 0, 0])
    rates = [FallbackAttack(FrozenEstimator(bare), tolerance=tolerance) for tolerance in (0.0, 0.2)]
    assert [each.fit(target, X, y, is_member).undefended_rate_ for each in rates] == [0.0, 1.0]


@pytest.mark.parametrize(("undefended", "n"), [(None, 4), (FrozenEstimator(Dictated().fit()), 1)])
def test_queries_are_counted(undefended, n):
    """k of the target without the bare model, one with it."""
    X, y, is_member = planted(normal(2), normal(0), n=60)
    target = Counting().fit()
    attack = FallbackAttack(undefended, k=4).fit(target, X, y, is_member)
    assert target.calls_.count(("predict_proba", 60)) == n
    attack.score_samples(X[:7], y[:7])
    assert target.calls_.count(("predict_proba", 7)) == n


def test_threshold_is_learned_out_of_fold():
    """On rows that tell nothing, few enough to be learned by heart, the threshold is not set by them."""
    X, y, is_member = planted(normal(1), normal(1), n=2000)
    attack = FallbackAttack(FrozenEstimator(Dictated().fit()))
    attack.fit(Dictated().fit(), X[:40], y[:40], is_member[:40])
    called = attack.predict(X[40:], y[40:])
    assert abs(called[is_member[40:]].mean() - called[~is_member[40:]].mean()) < 0.06


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"undefended": 3}, "'undefended' parameter of FallbackAttack"),
        ({"k": 1}, "'k' parameter"),
        ({"neighbor": "gray"}, "'neighbor' parameter"),
        ({"tolerance": -0.1}, "'tolerance' parameter"),
    ],
)
def test_bad_parameters(params, message):
    """Parameters are checked when fitting."""
    with pytest.raises(ValueError, match=message):
        FallbackAttack(**params).fit(Dictated().fit(), *planted(normal(2), normal(0), n=20))

"""What an answer cost is read off, or timed, and nothing else is looked at."""

from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from sklearn.utils import Bunch

from skdiffence.attacks import AnswerCostAttack
from tests.attacks.adaptive.auxiliary import FirstFeature

IS_MEMBER = np.arange(40) % 2 == 0
Y = np.zeros(40, dtype=int)


class Searching(FirstFeature):
    """Needs as many regenerations as the first feature says."""

    def select(self, X):
        """Return the counts."""
        self.asked_.append(np.array(X))
        return Bunch(n_regenerations=X[:, 0].astype(int))


@pytest.mark.parametrize("direction", [-1, 1])
def test_counts_are_the_scores(direction):
    """Members that are found sooner, or later, are told by the count alone, in one query."""
    X = np.where((direction > 0) == IS_MEMBER, 3.0, 2.0)[:, None]
    target = Searching().fit()
    attack = AnswerCostAttack().fit(target, X, Y, IS_MEMBER)
    assert len(target.asked_) == 1
    assert attack.direction_ == direction
    np.testing.assert_array_equal(attack.score_samples(X, Y), direction * X[:, 0])
    np.testing.assert_array_equal(attack.predict(X, Y), IS_MEMBER)


def test_equal_counts_tell_nothing():
    """Where every answer costs the same, all scores are tied."""
    X = np.full((40, 1), 8.0)
    attack = AnswerCostAttack().fit(Searching().fit(), X, Y, IS_MEMBER)
    assert roc_auc_score(IS_MEMBER, attack.score_samples(X, Y)) == 0.5


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still unless it is moved."""
    clock = SimpleNamespace(now=0.0)
    clock.perf_counter = lambda: clock.now
    monkeypatch.setattr("skdiffence.attacks.adaptive._cost.time", clock)
    return clock


class Slow(FirstFeature):
    """Takes as many seconds for a row as its first feature says, but a minute more at every 53rd answer."""

    def predict_proba(self, X):
        """Answer after a while."""
        proba = super().predict_proba(X)
        self.clock_.now += X[0, 0] + 60 * (len(self.asked_) % 53 == 0)
        return proba


@pytest.mark.parametrize("n_repeats", [3, 4, 5])
def test_median_of_times(clock, n_repeats):
    """Rows are timed one by one, in rounds; a rare pause of the machine does not move the median."""
    X = np.where(IS_MEMBER, 2.0, 2.5)[:, None]
    target = Slow().fit()
    target.clock_ = clock
    attack = AnswerCostAttack("seconds", n_repeats=n_repeats).fit(target, X, Y, IS_MEMBER)
    assert [len(asked) for asked in target.asked_] == [1] * (1 + 40 * n_repeats)
    assert attack.direction_ == -1
    np.testing.assert_allclose(attack.score_samples(X, Y), -X[:, 0])


class Throttled(FirstFeature):
    """Takes longer in the second half of every forty answers, as a machine does that is now and then busy."""

    def predict_proba(self, X):
        """Answer after a while."""
        proba = super().predict_proba(X)
        self.clock_.now += 1 + (len(self.asked_) % 40 > 20)
        return proba


def test_slow_moments_fall_on_both_sides(clock):
    """Members that stand before non-members are not told by what the machine did in the meantime."""
    target = Throttled().fit()
    target.clock_ = clock
    is_member = np.arange(40) < 20
    attack = AnswerCostAttack("seconds", n_repeats=5).fit(target, np.ones((40, 1)), Y, is_member)
    assert roc_auc_score(is_member, attack.score_samples(np.ones((40, 1)), Y)) < 0.75


def test_real_time(monkeypatch):
    """With the machine's own clock a time is positive."""
    X = np.ones((4, 1))
    attack = AnswerCostAttack("seconds", n_repeats=1).fit(FirstFeature().fit(), X, Y[:4], IS_MEMBER[:4])
    assert (np.abs(attack.score_samples(X, Y[:4])) > 0).all()


class Miscounting(Searching):
    """Counts for the first row only."""

    def select(self, X):
        """Return one count."""
        return Bunch(n_regenerations=np.ones(1))


def test_bad_targets():
    """A target that does not count, or miscounts, is named."""
    X = np.ones((40, 1))
    with pytest.raises(TypeError, match="target must have select for cost='n_regenerations'. Got FirstFeature"):
        AnswerCostAttack().fit(FirstFeature().fit(), X, Y, IS_MEMBER)
    with pytest.raises(TypeError, match="target must have predict_proba for cost='seconds'. Got object"):
        AnswerCostAttack("seconds").fit(object(), X, Y, IS_MEMBER)
    with pytest.raises(ValueError, match=r"for each of the 40 rows. Got shape \(1,\)"):
        AnswerCostAttack().fit(Miscounting().fit(), X, Y, IS_MEMBER)


@pytest.mark.parametrize(("params", "message"), [({"cost": "memory"}, "'cost'"), ({"n_repeats": 0}, "'n_repeats'")])
def test_bad_parameters(params, message):
    """Parameters are checked when fitting."""
    with pytest.raises(ValueError, match=f"{message} parameter of AnswerCostAttack"):
        AnswerCostAttack(**params).fit(Searching().fit(), np.ones((40, 1)), Y, IS_MEMBER)

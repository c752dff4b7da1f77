"""The attack by the label alone."""

import numpy as np
import pytest
from sklearn.linear_model import Perceptron
from sklearn.metrics import balanced_accuracy_score

from skdiffence.attacks import Answers, CorrectnessAttack, ThresholdAttack, query
from tests.attacks.targets import Counting, Dictated, normal, planted


def _answers(correct):
    """Answers that are right, and surely so, where told."""
    label = np.where(correct, 0, 1)
    return Answers(np.eye(2)[label], label, np.zeros(len(correct), dtype=int), np.array([0, 1]))


@pytest.mark.parametrize(("right_members", "right_others"), [(9, 6), (6, 9), (10, 0), (10, 10), (0, 0), (1, 0)])
def test_gap_by_hand(right_members, right_others):
    """Balanced accuracy is one half plus half the gap in accuracy, whoever is answered better: Yeom's formula."""
    is_member = np.arange(20) < 10
    correct = np.r_[np.arange(10) < right_members, np.arange(10) < right_others]
    attack = CorrectnessAttack().fit_answers(_answers(correct), is_member)
    assert attack.direction_ == (1 if right_members >= right_others else -1)
    called = attack.score_answers(_answers(correct)) >= attack.threshold_
    np.testing.assert_array_equal(called, correct if attack.direction_ == 1 else ~correct)
    gap = abs(right_members - right_others) / 10
    assert balanced_accuracy_score(is_member, called) == pytest.approx(0.5 + gap / 2)


def test_scores_are_those_of_the_threshold_attack():
    """Two ways to the same signal."""
    X, y, is_member = planted(normal(1), normal(0))
    answers = query(Dictated().fit(), X, y)
    scores = [
        attack.fit_answers(answers, is_member).score_answers(answers)
        for attack in (CorrectnessAttack(), ThresholdAttack("correctness"))
    ]
    np.testing.assert_array_equal(*scores)


def test_only_labels_are_asked():
    """One call of predict for all rows, and none of predict_proba, which the target need not have."""
    X, y, is_member = planted(normal(1), normal(0))
    target = Counting().fit()
    attack = CorrectnessAttack().fit(target, X, y, is_member)
    attack.predict(X[:7], y[:7])
    assert target.calls_ == [("predict", len(X)), ("predict", 7)]
    perceptron = Perceptron(random_state=0).fit(X, y)
    called = CorrectnessAttack().fit(perceptron, X, y, is_member).predict(X, y)
    assert len(np.unique(called)) == 2


def test_target_without_predict():
    """The target must answer labels."""
    with pytest.raises(TypeError, match="target must have predict"):
        CorrectnessAttack().fit(object(), np.zeros((4, 2)), np.zeros(4), [0, 1, 0, 1])

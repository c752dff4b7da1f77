"""An attack by any classifier."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from skdiffence.attacks import ClassifierAttack, query
from skdiffence.attacks._known_rows import best_threshold
from skdiffence.attacks.answer._features import answer_features
from tests.attacks.targets import Dictated, normal, planted


def _answers(*phis, n=200, seed=0):
    X, y, is_member = planted(*phis, n=n, seed=seed)
    return query(Dictated().fit(), X, y), is_member


class Forgetful(ClassifierMixin, BaseEstimator):
    """Refuses to judge a row that it was trained on; judges others by their loss."""

    def fit(self, X, y):
        """Remember the rows."""
        self.classes_ = np.unique(y)
        self.seen_ = {row.tobytes() for row in X}
        return self

    def decision_function(self, X):
        """Return minus the loss."""
        assert not any(row.tobytes() in self.seen_ for row in X), "judged a row that it was trained on"
        return -X[:, -1]

    def predict(self, X):
        """Return nothing that is asked for here."""


class FirstOnly(ClassifierMixin, BaseEstimator):
    """Answers probabilities and nothing else."""

    def fit(self, X, y):
        """Keep the classes."""
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X):
        """Return the first feature."""
        return np.column_stack([1 - X[:, 0], X[:, 0]])

    def predict(self, X):
        """Return nothing that is asked for here."""


def test_threshold_is_learned_out_of_fold():
    """No known row is judged by a classifier that knew it."""
    answers, is_member = _answers(normal(2), normal(0.5))
    attack = ClassifierAttack(Forgetful()).fit_answers(answers, is_member)
    assert attack.threshold_ == best_threshold(is_member, -answer_features(answers)[:, -1])


def test_threshold_is_not_flattered_by_learning_by_heart():
    """A tree grown to its end knows every known row; fresh ones of both sides are still called alike."""
    answers, is_member = _answers(normal(1), normal(1), n=1000)
    attack = ClassifierAttack(DecisionTreeClassifier(), random_state=0).fit_answers(answers, is_member)
    fresh, is_fresh_member = _answers(normal(1), normal(1), n=1000, seed=1)
    called = attack.score_answers(fresh) >= attack.threshold_
    assert abs(called[is_fresh_member].mean() - called[~is_fresh_member].mean()) < 0.1


@pytest.mark.parametrize(
    "estimator",
    [
        None,
        GaussianNB(),  # probabilities only
        RidgeClassifier(),  # a decision function only
        make_pipeline(StandardScaler(), LogisticRegression()),
        GridSearchCV(DecisionTreeClassifier(), {"max_depth": [1, 3]}, cv=3),
    ],
    ids=["default", "bayes", "ridge", "pipeline", "search"],
)
def test_any_classifier(estimator):
    """Whatever it answers with, members score higher, and the threshold lies between the sides."""
    answers, is_member = _answers(normal(4, 0.5), normal(0, 0.5))
    fresh, is_fresh_member = _answers(normal(4, 0.5), normal(0, 0.5), seed=1)
    attack = ClassifierAttack(estimator, random_state=0).fit_answers(answers, is_member)
    scores = attack.score_answers(fresh)
    assert scores.dtype == np.float64
    assert roc_auc_score(is_fresh_member, scores) > 0.97
    assert ((scores >= attack.threshold_) == is_fresh_member).mean() > 0.95


def test_scores_are_the_estimator_s():
    """The decision function where there is one, else the probability of the members' class."""
    answers, is_member = _answers(normal(2), normal(0))
    features = answer_features(answers)
    attack = ClassifierAttack(LogisticRegression()).fit_answers(answers, is_member)
    assert attack.score_answers(answers) == pytest.approx(attack.estimator_.decision_function(features))
    attack = ClassifierAttack(FirstOnly()).fit_answers(answers, is_member)
    np.testing.assert_array_equal(attack.score_answers(answers), answers.proba[:, 0])


@pytest.mark.usefixtures("untouched_generators")
def test_seeds():
    """One seed, one attack, nested estimators included; no seed, a new one; a seed of the estimator's own is kept."""
    answers, is_member = _answers(normal(1), normal(0))
    tree = make_pipeline(StandardScaler(), DecisionTreeClassifier(max_features=1))
    one, same, other = (ClassifierAttack(tree, random_state=seed).fit_answers(answers, is_member) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one.score_answers(answers), same.score_answers(answers))
    assert one.threshold_ == same.threshold_
    states = [attack.estimator_[-1].random_state for attack in (one, other)]
    assert None not in states
    assert states[0] != states[1]
    own = ClassifierAttack(DecisionTreeClassifier(random_state=5)).fit_answers(answers, is_member)
    assert own.estimator_.random_state == 5
    assert tree[-1].random_state is None
    ClassifierAttack(tree).fit_answers(answers, is_member)


@pytest.mark.parametrize("estimator", [3, "forest", StandardScaler(), FirstOnly.predict_proba])
def test_bad_estimators(estimator):
    """What is no classifier is refused by name."""
    with pytest.raises((ValueError, TypeError), match="'estimator' parameter of ClassifierAttack"):
        ClassifierAttack(estimator).fit_answers(*_answers(normal(1), normal(0), n=20))

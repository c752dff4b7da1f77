"""Work that does not grow with the number of classes, features or threads: such audits took hours or did not end."""

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import KNeighborsClassifier
from threadpoolctl import threadpool_info, threadpool_limits

from skdiffence.attacks import Answers, ClassifierAttack, LabelOnlyReferenceAttack, QuantileAttack
from skdiffence.attacks.answer import _classifier
from skdiffence.attacks.answer._features import answer_features


def answered(n_classes, n=240, n_features=6, gain=0.8, seed=0):
    """Return answers that are surer of members and right more often, and memberships."""
    rng = np.random.default_rng(seed)
    X, is_member = rng.normal(size=(n, n_features)), np.arange(n) % 2 == 0
    logits = X[:, :6] @ rng.normal(size=(6, n_classes))
    logits *= (1 + gain * is_member)[:, None]
    proba = np.exp(logits - logits.max(axis=1, keepdims=True))
    proba /= proba.sum(axis=1, keepdims=True)
    y = np.where(rng.random(n) < 0.8, proba.argmax(axis=1), rng.integers(0, n_classes, n))
    return Answers(proba, proba.argmax(axis=1), y, np.arange(n_classes), X), is_member


@pytest.mark.parametrize("n_classes", [65, 500])
def test_features_do_not_grow_with_the_number_of_classes(n_classes):
    """A forest or boosting on two columns for each of a thousand classes took most of five minutes."""
    answers, is_member = answered(n_classes)
    assert ClassifierAttack(random_state=0).fit_answers(answers, is_member).estimator_.n_features_in_ < 200
    assert QuantileAttack(random_state=0).fit_answers(answers, is_member).center_.n_features_in_ == 6 + 64


@pytest.mark.parametrize("n_classes", [2, 64])
def test_up_to_64_classes_every_class_has_its_columns(n_classes):
    """What is common is as before."""
    answers, is_member = answered(n_classes)
    attack = ClassifierAttack(random_state=0).fit_answers(answers, is_member)
    assert attack.estimator_.n_features_in_ == answer_features(answers).shape[1] == 2 * n_classes + 1


def test_own_estimator_sees_the_whole_answer():
    """The user decides what it can bear."""
    answers, is_member = answered(150)
    attack = ClassifierAttack(ExtraTreesClassifier(5), random_state=0).fit_answers(answers, is_member)
    assert attack.estimator_.n_features_in_ == 301


@pytest.mark.parametrize("attack", [ClassifierAttack(random_state=0), QuantileAttack(random_state=0)])
def test_many_classes_are_attacked_with_success(attack):
    """The bound costs no strength."""
    answers, is_member = answered(300, n=600)
    known = np.arange(600) < 300
    attack.fit_answers(answers.take(known), is_member[known])
    assert roc_auc_score(is_member[~known], attack.score_answers(answers.take(~known))) > 0.65


@pytest.mark.parametrize("n_classes", [3, 300])
@pytest.mark.parametrize("n_features", [6, 2000])
def test_scores_do_not_depend_on_the_rows_scored_beside(n_classes, n_features):
    """Nor on the order of the known rows, with principal components as without."""
    answers, is_member = answered(n_classes, n_features=n_features)
    order = np.random.default_rng(1).permutation(len(is_member))
    for make in (ClassifierAttack, QuantileAttack):
        attack = make(random_state=0).fit_answers(answers, is_member)
        scores = attack.score_answers(answers)
        one_by_one = [attack.score_answers(answers.take([row]))[0] for row in range(5)]
        np.testing.assert_array_equal(one_by_one, scores[:5])
        again = make(random_state=0).fit_answers(answers.take(order), is_member[order])
        np.testing.assert_allclose(again.score_answers(answers), scores, atol=1e-9)


@pytest.mark.parametrize(("n_features", "width"), [(256, 256), (257, 64), (3000, 64)])
def test_wide_rows_are_replaced_by_components(n_features, width):
    """A forest on the 12,288 values of a small image did not end in ten minutes."""
    answers, is_member = answered(3, n_features=n_features)
    attack = QuantileAttack(random_state=0).fit_answers(answers, is_member)
    assert attack.center_.n_features_in_ == width + 3


def test_wide_rows_with_missing_values():
    """They are imputed for the components alone."""
    answers, is_member = answered(3, n_features=400)
    answers.X[::7, 3] = np.nan
    answers.X[:, 5] = np.nan
    scores = QuantileAttack(random_state=0).fit_answers(answers, is_member).score_answers(answers)
    assert np.isfinite(scores).all()


def test_quantile_attack_grows_two_forests(monkeypatch):
    """Not twelve: each tree judges the rows that it was not grown on."""
    fits, fit = [], ExtraTreesRegressor.fit

    def counted(self, X, y):
        fits.append(len(X))
        return fit(self, X, y)

    monkeypatch.setattr(ExtraTreesRegressor, "fit", counted)
    answers, is_member = answered(3)
    QuantileAttack(random_state=0).fit_answers(answers, is_member)
    assert fits == [120, 120]


def test_one_known_non_member_is_enough():
    """No tree can leave it out."""
    answers, _ = answered(3, n=12)
    scores = QuantileAttack(random_state=0).fit_answers(answers, np.arange(12) > 0).score_answers(answers)
    assert np.isfinite(scores).all()


@pytest.mark.filterwarnings("error::UserWarning")
@pytest.mark.parametrize(("n_classes", "kind"), [(100, ExtraTreesClassifier), (101, KNeighborsClassifier)])
def test_reference_model_of_many_classes(n_classes, kind):
    """Each leaf of a tree holds a number for every class."""
    rng = np.random.default_rng(0)
    y = np.tile(np.arange(n_classes), 4)
    X, label = rng.normal(size=(len(y), 4)), np.where(rng.random(len(y)) < 0.5, y, 0)
    answers = Answers(None, label, y, np.arange(n_classes), X)
    is_member = np.arange(len(y)) >= 2 * n_classes
    attack = LabelOnlyReferenceAttack(random_state=0).fit_answers(answers, is_member)
    assert isinstance(attack.reference_[-1], kind)
    assert np.isfinite(attack.score_answers(answers)).all()


def open_mp():
    """Return the numbers of threads that OpenMP libraries may start."""
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "openmp"]


@pytest.mark.skipif(not open_mp(), reason="no library uses OpenMP")
def test_boosting_takes_one_thread(monkeypatch):
    """On two busy cores, threads that waited for one another took over a hundred seconds for eighty rows."""
    seen = []
    for name in ("fit_member_classifier", "member_scores"):
        function = getattr(_classifier, name)
        monkeypatch.setattr(_classifier, name, lambda *args, f=function: [seen.append(max(open_mp())), f(*args)][1])
    answers, is_member = answered(3)
    with threadpool_limits(3, user_api="openmp"):
        ClassifierAttack(random_state=0).fit_answers(answers, is_member).score_answers(answers)
        assert seen == [1, 1]
        assert max(open_mp()) == 3
        # The user's own estimator has the threads that the user gives it.
        ClassifierAttack(ExtraTreesClassifier(5)).fit_answers(answers, is_member)
        assert seen[2] == 3

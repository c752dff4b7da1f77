"""SELENA: who is trained on what, who answers for whom, and what the student learns."""

import numpy as np
import pytest
import torch
from joblib import parallel_config
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.dataset import ValidSplit
from torch import nn

from skdiffence.defenses import HAMPClassifier, SELENAClassifier
from skdiffence.defenses.training._distillation import SoftNLLLoss, distill
from skdiffence.utils._random import torch_seed
from tests.defenses.cases import digits
from tests.nets import LogitMLP, make_binary_net, make_logit_net, make_net

pytestmark = pytest.mark.usefixtures("untouched_generators")


# How a student is trained whose outputs stand for the columns of the soft labels, one after the other.
ORDERED = {"seeded": True, "order": np.arange(10)}


class Memorizer(GaussianNB):
    """Remembers its rows, and is sure of the first class for these and of the second for all others."""

    def fit(self, X, y, sample_weight=None):
        self.seen_ = {row.tobytes() for row in np.asarray(X)}
        return super().fit(X, y, sample_weight)

    def predict_proba(self, X):
        known = np.array([row.tobytes() in self.seen_ for row in np.asarray(X)])
        proba = np.zeros((len(known), len(self.classes_)))
        proba[np.arange(len(known)), np.where(known, 0, 1)] = 1
        return proba


def selena(estimator, **params):
    settings = {"n_estimators": 5, "n_excluded": 2, "distill": False, "random_state": 0} | params
    return SELENAClassifier(estimator, **settings)


@pytest.mark.parametrize(("n_estimators", "n_excluded"), [(5, 2), (3, 1), (4, 3)])
def test_every_row_is_kept_from_exactly_so_many_clones(n_estimators, n_excluded):
    """And trains all others."""
    X, y = digits()
    fitted = selena(Memorizer(), n_estimators=n_estimators, n_excluded=n_excluded).fit(X, y)
    trained = np.array([[row.tobytes() in each.seen_ for each in fitted.estimators_] for row in X])
    np.testing.assert_array_equal(trained.sum(axis=1), n_estimators - n_excluded)
    counts = trained.sum(axis=0)
    share = 1 - n_excluded / n_estimators
    assert np.abs(counts - len(y) * share).max() < 4 * np.sqrt(len(y) * share * (1 - share))


def test_members_are_answered_for_by_clones_that_did_not_see_them():
    """A clone that recognizes its rows gives itself away; none ever answers for a member, or for anybody's copy."""
    X, y = digits()
    X, y = np.concatenate((X, X[:40])), np.concatenate((y, (y[:40] + 1) % 10))
    answers = selena(Memorizer()).fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(answers[:, 1], 1)


def test_mean_by_hand():
    """The mean of the probabilities of the clones that a row is kept from, found from the clones themselves."""
    X, y = digits()
    fitted = selena(GaussianNB()).fit(X, y)
    excluded = fitted._excluded(X[:20])
    for row in range(20):
        by_hand = np.mean(
            [
                each.predict_proba(X[[row]])[0]
                for each, out in zip(fitted.estimators_, excluded[row], strict=True)
                if out
            ],
            axis=0,
        )
        np.testing.assert_allclose(fitted.predict_proba(X[[row]])[0], by_hand)


@pytest.mark.parametrize("params", [{"n_excluded": 4}, {"n_excluded": 1}, {"n_estimators": 3}, {"n_estimators": 9}])
def test_parameters_that_are_set_after_fit_wait_for_the_next(params):
    """With other numbers, sub-models that were trained on a row would answer for it."""
    X, y = digits()
    fitted = selena(Memorizer()).fit(X, y)
    answers = fitted.predict_proba(X)
    fitted.set_params(**params)
    np.testing.assert_array_equal(fitted.predict_proba(X), answers)
    assert (fitted.n_estimators_, fitted.n_excluded_) == (5, 2)


def test_rows_that_trained_nothing_are_answered_for_by_as_many():
    """By clones drawn evenly, so that the answer's form tells nothing."""
    X, y = digits()
    fitted = selena(GaussianNB()).fit(X[:80], y[:80])
    excluded = fitted._excluded(X[80:])
    np.testing.assert_array_equal(excluded.sum(axis=1), 2)
    assert (excluded.sum(axis=0) > 10).all()


def test_seeds():
    """The same seed, the same lists and answers; another seed, others; n_jobs and the order of rows do not matter."""
    X, y = digits()
    first = selena(make_net(max_epochs=2)).fit(X, y)
    same = selena(make_net(max_epochs=2), n_jobs=2).fit(X, y)
    with parallel_config("threading"):
        threaded = selena(make_net(max_epochs=2), n_jobs=3).fit(X, y)
    np.testing.assert_array_equal(first.predict_proba(X), same.predict_proba(X))
    np.testing.assert_array_equal(first.predict_proba(X), threaded.predict_proba(X))
    other = selena(GaussianNB(), random_state=1).fit(X, y)
    assert (other._excluded(X) != first._excluded(X)).any()
    np.testing.assert_array_equal(first._excluded(X[::-1])[::-1], first._excluded(X))


def test_clones_are_seeded_apart():
    """Two nets on the same rows start from weights of their own."""
    X, y = digits()
    clones = selena(make_net(max_epochs=1)).fit(X, y).estimators_
    weights = {next(each.module_.parameters()).detach().numpy().tobytes() for each in clones}
    assert len(weights) == len(clones)


def test_classes_that_a_clone_lacks_get_nothing_from_it():
    """A class of one row: the clones that are kept from it know nine classes."""
    X, y = digits()
    keep = (y != 9) | (np.arange(len(y)) == np.flatnonzero(y == 9)[0])
    X, y = X[keep], y[keep]
    fitted = selena(GaussianNB()).fit(X, y)
    assert sorted(len(each.classes_) for each in fitted.estimators_) == [9, 9, 10, 10, 10]
    proba = fitted.predict_proba(X)
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    assert proba[y == 9, 9] == 0


@pytest.mark.parametrize(
    "student",
    [
        make_net(max_epochs=60),
        make_logit_net(max_epochs=60),
        make_pipeline(StandardScaler(), make_net(max_epochs=40)),
        make_pipeline(StandardScaler(), LogisticRegression(C=100, max_iter=300)),
    ],
    ids=["probabilities", "logits", "pipeline of net", "pipeline with weights"],
)
def test_student_learns_the_probabilities(student):
    """Trained on soft labels that contradict any hard ones, it answers them."""
    X, y = digits()
    soft = np.full((len(y), 10), 0.3 / 9)
    soft[np.arange(len(y)), y] = 0.7
    X = X.astype(np.float32)
    trained = distill(student, X, soft, np.arange(10), 0, **ORDERED)
    with torch_seed(0):
        answers = trained.predict_proba(X)
    assert answers[np.arange(len(y)), y].mean() == pytest.approx(0.7, abs=0.08)
    assert np.abs(answers.max(axis=1) - 0.7).mean() < 0.12


def test_binary_student_learns_the_probabilities():
    """Of the one output."""
    X, y = digits("binary")
    soft = np.where(y == "odd", 0.8, 0.3)
    net = make_binary_net(module__n_features=64, max_epochs=40)
    soft_labels = np.column_stack((1 - soft, soft))
    trained = distill(net, X.astype(np.float32), soft_labels, np.array([0, 1]), 0, seeded=True, order=np.arange(2))
    with torch_seed(0):
        answers = trained.predict_proba(X.astype(np.float32))[:, 1]
    assert np.abs(answers - soft).mean() < 0.1


def test_weights_give_the_minimum_of_the_soft_cross_entropy():
    """The mean answer of a dummy is the mean soft label."""
    X, y = digits()
    soft = np.random.default_rng(0).dirichlet(np.ones(10), size=len(y))
    trained = distill(DummyClassifier(), X, soft, np.arange(10), 0, **ORDERED)
    np.testing.assert_allclose(trained.predict_proba(X)[0], soft.mean(axis=0))


def test_soft_loss_against_torch():
    """Equal to torch's cross-entropy with probabilities as targets, and to the usual loss with codes."""
    generator = torch.Generator().manual_seed(0)
    logits, target = torch.randn(6, 4, generator=generator), torch.rand(6, 4, generator=generator)
    target = target / target.sum(dim=1, keepdim=True)
    loss = SoftNLLLoss()(logits.log_softmax(dim=1), target)
    torch.testing.assert_close(loss, nn.CrossEntropyLoss()(logits, target))
    codes = target.argmax(dim=1)
    torch.testing.assert_close(SoftNLLLoss()(logits.log_softmax(dim=1), codes), nn.CrossEntropyLoss()(logits, codes))


def test_student_hides_what_a_single_net_shows():
    """On random labels, which are learned by heart or not at all, accuracy on members falls towards chance."""
    X, y = digits()
    y = np.random.default_rng(0).permutation(y)
    with torch_seed(0):
        alone = make_net(max_epochs=60).fit(X.astype(np.float32), y).score(X.astype(np.float32), y)
    student = selena(make_net(max_epochs=60), distill=True).fit(X, y)
    assert alone > 0.6
    assert student.score(X, y) < 0.3


def test_student_keeps_no_soft_label_and_no_clone():
    """What is deployed is the student alone, and skorch's list of the labels seen is that of the classes."""
    X, y = digits("strings")
    fitted = selena(make_net(max_epochs=1), distill=True).fit(X, y)
    assert not hasattr(fitted, "estimators_")
    np.testing.assert_array_equal(fitted.estimator_.classes_inferred_, np.arange(10))
    assert not hasattr(fitted.estimator_.criterion_, "weight") or fitted.estimator_.criterion_.weight is None


def test_weights_of_classes_are_those_of_the_outputs():
    """A student whose criterion gives no weight to the class of its first output does not learn that one."""
    X, y = digits("strings")
    declared = np.unique(y)[::-1]
    weight = torch.ones(10)
    weight[0] = 0
    student = make_net(max_epochs=20, classes=list(declared), criterion__weight=weight)
    fitted = selena(GaussianNB(), student=student, distill=True).fit(X, y)
    found = fitted.predict(X)
    assert (found[y == declared[0]] == declared[0]).mean() < 0.05
    assert (found == y)[y != declared[0]].mean() > 0.7


def test_other_student():
    """Neighbors can't learn probabilities; another classifier can in their stead."""
    X, y = digits("strings")
    fitted = selena(KNeighborsClassifier(3), student=RandomForestClassifier(5, random_state=0), distill=True).fit(X, y)
    assert isinstance(fitted.estimator_, RandomForestClassifier)
    assert fitted.score(X, y) > 0.5


def test_rows_held_out_by_every_clone_are_recorded():
    """A net's own split holds rows out; only those that no clone was trained on count."""
    X, y = digits()
    net = make_net(max_epochs=1, train_split=ValidSplit(2))
    fitted = selena(net, n_estimators=2, n_excluded=1).fit(X, y)
    outside = fitted.not_trained_on_.contains(X).sum()
    assert 0 < outside < len(y)
    assert fitted.n_samples_fit_ == len(y) - outside


@pytest.mark.parametrize(
    ("estimator", "params", "message"),
    [
        (GaussianNB(), {"n_excluded": 5}, "n_excluded must be below n_estimators=5"),
        (GaussianNB(), {"n_estimators": 1}, "n_estimators"),
        (KNeighborsClassifier(), {"distill": True}, "Pass another one as student"),
        (HAMPClassifier(LogitMLP), {"distill": True}, "HAMPClassifier learns from class labels"),
        (make_net(criterion=nn.MSELoss), {"distill": True}, "criterion must be .* Got MSELoss"),
        (make_net(train_split=ValidSplit(3)), {"distill": True}, "train_split=None"),
        (FrozenEstimator(GaussianNB()), {}, "estimator must not be frozen"),
        (GaussianNB(), {"student": FrozenEstimator(GaussianNB())}, "student must not be frozen"),
    ],
)
def test_refused_settings(estimator, params, message):
    """Each names what to change."""
    with pytest.raises(ValueError, match=message):
        selena(estimator, **params).fit(*digits())


def test_a_clone_of_one_class_is_refused():
    """With a word about what to change."""
    X, y = digits()
    y = (np.arange(len(y)) == 0).astype(int)
    with pytest.raises(ValueError, match="must get rows of two classes"):
        selena(GaussianNB()).fit(X, y)

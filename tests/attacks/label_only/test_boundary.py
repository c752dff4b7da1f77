"""The boundary attack, against targets whose distances have a closed form."""

import pickle
import sys

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.spatial.distance import cdist
from scipy.stats import spearmanr
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

from skdiffence.attacks import BoundaryAttack
from skdiffence.attacks._known_rows import best_threshold
from skdiffence.base import MembershipAttack
from skdiffence.metrics import auc_interval
from tests.nets import make_net

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")

N = 12
IS_MEMBER = np.arange(N) % 2 == 0
QUICK = BoundaryAttack(max_iter=1, init_eval=5, random_state=0)
PRECISE = BoundaryAttack(max_iter=6, init_eval=60, random_state=0)


class Plane(ClassifierMixin, BaseEstimator):
    """Divides space by a plane; counts the rows that it is asked about. Knows no confidence."""

    def __init__(self, normal, offset=0.0, names=(0, 1)):
        self.normal = normal
        self.offset = offset
        self.names = names

    def __sklearn_is_fitted__(self):
        return True

    def predict(self, X):
        """Count, and say on which side rows are."""
        self.asked_ = [*getattr(self, "asked_", []), X]
        side = np.reshape(np.asarray(X, dtype=float), (len(X), -1)) @ np.ravel(self.normal) + self.offset > 0
        return np.asarray(self.names)[side.astype(int)]

    def distances(self, X, norm=2):
        """Return the distances from the plane in closed form."""
        dual = {2: 2, np.inf: 1}[norm]
        height = np.reshape(np.asarray(X, dtype=float), (len(X), -1)) @ np.ravel(self.normal) + self.offset
        return np.abs(height) / np.linalg.norm(np.ravel(self.normal), ord=dual)


class Scrambled(Plane):
    """The same labels, with confidence that is noise."""

    classes_ = np.array([0, 1])

    def predict_proba(self, X):
        """Answer noise."""
        return np.random.default_rng(0).dirichlet([1, 1], size=len(X))


def cloud(shape=(5,), seed=0, n=N):
    """Return rows, a plane through them, and their sides; two rows far out keep the range out of the way."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, *shape))
    X[0], X[1] = 5, -5
    target = Plane(rng.normal(size=shape))
    y = target.predict(X)
    target.asked_.clear()
    return X, y, target


def fitted(X, y, target, attack=QUICK):
    return clone(attack).fit(target, X, y, IS_MEMBER[: len(X)])


# --- closed forms --------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", [2, np.inf])
@pytest.mark.parametrize("shape", [(2,), (6,), (1, 3, 3)])
def test_distance_from_a_plane(shape, norm):
    """Never less than the distance in closed form, a few percent more, and in its order."""
    X, y, target = cloud(shape)
    attack = clone(PRECISE).set_params(norm=norm)
    found, expected = fitted(X, y, target, attack).distances(X, y)[2:], target.distances(X, norm)[2:]
    assert (found >= expected * (1 - 1e-6)).all()
    assert (found <= expected * (1.1 if norm == 2 else 1.2)).all()
    assert spearmanr(found, expected).statistic > 0.95


def test_wrong_labels_have_no_distance():
    """A row that is labeled wrongly has distance 0 and costs one label."""
    X, y, target = cloud()
    attack = fitted(X, y, target)
    distances, n_evaluations = attack.distances(X, 1 - y, return_evaluations=True)
    np.testing.assert_array_equal(distances, 0)
    np.testing.assert_array_equal(n_evaluations, 1)


def test_more_iterations_come_nearer():
    """What a search found is not lost by searching longer."""
    X, y, target = cloud((30,))
    short, long = (
        fitted(X, y, target, clone(QUICK).set_params(max_iter=max_iter)).distances(X, y)[2:] for max_iter in (2, 8)
    )
    assert (long <= short).all()
    assert long.mean() < 0.9 * short.mean()


def test_one_label_only():
    """Where nothing is answered otherwise, the distance is that of the farthest row in the range."""
    X, y, _ = cloud()
    target = DummyClassifier().fit(X, np.ones(N))
    attack = fitted(X, np.ones(N), target)
    far = np.maximum(X.max(axis=0) - X, X - X.min(axis=0))
    np.testing.assert_allclose(attack.distances(X, np.ones(N)), np.linalg.norm(far, axis=1))
    np.testing.assert_array_equal(attack.distances(X[:3], np.zeros(3)), 0)


def test_other_label_that_no_known_row_has():
    """Without a known row to start from, random points of the range are tried."""
    X, y, target = cloud()
    target.offset = 1 - (X @ target.normal).min()  # all on one side, but not the range's corners
    ones = np.ones(N, dtype=int)
    found, expected = fitted(X, ones, target, PRECISE).distances(X[2:4], ones[2:4]), target.distances(X[2:4])
    np.testing.assert_allclose(found, expected, rtol=0.1)
    assert (found >= expected * (1 - 1e-6)).all()


def test_scores_are_distances_and_the_threshold_is_the_best():
    """Members lie farther from the boundary: the distance is the score, as it is."""
    X, y, target = cloud()
    attack = fitted(X, y, target)
    distances = attack.distances(X, y)
    np.testing.assert_array_equal(attack.score_samples(X, y), distances)
    assert attack.threshold_ == best_threshold(IS_MEMBER, distances)
    np.testing.assert_array_equal(attack.predict(X, y), distances >= attack.threshold_)


# --- cost ----------------------------------------------------------------------------------------


def test_evaluations_are_counted():
    """The count is that of the rows which the target was asked about."""
    X, y, target = cloud()
    attack = fitted(X, y, target)
    assert attack.n_evaluations_ == sum(map(len, target.asked_))
    target.asked_.clear()
    _, n_evaluations = attack.distances(X[:5], y[:5], return_evaluations=True)
    assert n_evaluations.sum() == sum(map(len, target.asked_))
    assert n_evaluations.shape == (5,)


@pytest.mark.parametrize("share", [0.0, 0.05])
def test_search_ends_at_targets_that_change_their_minds(share):
    """HopSkipJump halves its step until the label changes; a target that answers at random is not asked for ever."""
    X, zeros = np.random.default_rng(0).normal(size=(N, 3)), np.zeros(N, dtype=int)
    rng = np.random.default_rng(0)
    answers = iter([np.arange(N) % 2, np.arange(N) // 6, np.zeros(1, dtype=int), np.ones(1, dtype=int)])

    class Fickle(Plane):
        def predict(self, X):
            return next(answers, (rng.random(len(X)) < share).astype(int))

    attack = fitted(X, zeros, Fickle(np.ones(3)))
    assert np.isfinite(attack.score_samples(X, zeros)).all()


# --- members and others --------------------------------------------------------------------------


class Nearest(ClassifierMixin, BaseEstimator):
    """Answers the label of the nearest row that it was trained on; faster than scikit-learn's on few rows."""

    def fit(self, X, y):
        """Keep all rows."""
        self.rows_ = X, y
        return self

    def predict(self, X):
        """Look for the nearest."""
        return self.rows_[1][cdist(X, self.rows_[0]).argmin(axis=1)]


def noisy(seed=0, n=160):
    """Return rows with labels that mean nothing, every other one a member."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 4)), rng.integers(2, size=n), np.arange(n) % 2 == 0


def test_memorizers():
    """Members of a target that learned random labels by heart are farther from other labels."""
    X, y, is_member = noisy()
    target = Nearest().fit(X[is_member], y[is_member])
    attack = clone(QUICK).fit(target, X[:80], y[:80], is_member[:80])
    scores = attack.score_samples(X[80:], y[80:])
    assert roc_auc_score(is_member[80:], scores) > 0.75
    assert (attack.predict(X[80:], y[80:]) == is_member[80:]).mean() > 0.65


def test_null():
    """On a target that was trained on none of the rows, nothing is found."""
    X, y, is_member = noisy()
    target = Nearest().fit(*noisy(seed=1)[:2])
    attack = clone(QUICK).fit(target, X[:80], y[:80], is_member[:80])
    low, high = auc_interval(is_member[80:], attack.score_samples(X[80:], y[80:]), confidence_level=0.99)[-2:]
    assert low < 0.5 < high


def test_no_label_preserving_defense_matters():
    """Same labels, same distances, whatever becomes of the confidence."""
    X, y, target = cloud()
    scrambled = Scrambled(target.normal)
    expected = fitted(X, y, target).score_samples(X, y)
    np.testing.assert_array_equal(fitted(X, y, scrambled).score_samples(X, y), expected)


# --- what scores depend on -----------------------------------------------------------------------


@pytest.mark.usefixtures("untouched_generators")
def test_scores_do_not_depend_on_other_rows():
    """A row's score is its own, bit by bit, and NumPy's generator is where it was."""
    X, y, target = cloud()
    attack = fitted(X, y, target)
    scores = attack.score_samples(X, y)
    order = np.random.default_rng(1).permutation(N)
    np.testing.assert_array_equal(attack.score_samples(X[order], y[order]), scores[order])
    np.testing.assert_array_equal(attack.score_samples(X[3:5], y[3:5]), scores[3:5])
    np.testing.assert_array_equal(fitted(X, y, target).score_samples(X, y), scores)
    same = clone(QUICK).set_params(max_iter=np.int64(1), init_eval=np.int32(5))
    np.testing.assert_array_equal(fitted(X, y, target, same).score_samples(X, y), scores)
    other = fitted(X, y, target, clone(QUICK).set_params(random_state=1))
    assert (other.score_samples(X, y) != scores).any()
    assert scores.dtype == np.float64


def test_generator_is_put_back_when_the_target_fails():
    """An error inside the target leaves NumPy's generator where it was."""
    X, y, target = cloud()
    attack = fitted(X, y, target)
    before = np.random.get_state()[1].copy()
    asked = []
    predict = target.predict

    def fails(X):
        asked.append(len(X))
        if len(asked) > 5:
            raise RuntimeError("no more answers")
        return predict(X)

    target.predict = fails
    with pytest.raises(RuntimeError, match="no more answers"):
        attack.score_samples(X, y)
    np.testing.assert_array_equal(np.random.get_state()[1], before)


# --- forms of rows, labels and targets -----------------------------------------------------------


@pytest.mark.parametrize("names", [("ant", "bee"), np.array(["ant", "bee"], dtype=object), (-3, 7)])
def test_labels_of_any_kind(names):
    """Labels are names: other names, the same distances."""
    X, y, target = cloud()
    expected = fitted(X, y, target).distances(X, y)
    renamed = np.asarray(names)[y]
    found = fitted(X, list(renamed), Plane(target.normal, names=names)).distances(X, renamed)
    np.testing.assert_array_equal(found, expected)


def test_several_classes_and_one_that_the_target_does_not_know():
    """The distance is that to any other label; rows of an unknown class are labeled wrongly."""
    X = np.array([[0.0, 0], [0.2, 0], [1, 0], [1.2, 0], [0, 2], [0, 2.2]])
    y = np.array([0, 0, 1, 1, 2, 2])
    target = KNeighborsClassifier(1).fit(X, y)
    attack = fitted(X, y, target, BoundaryAttack(max_iter=3, random_state=0))
    np.testing.assert_allclose(attack.distances(X[:2], [0, 9]), [0.6, 0], rtol=0.02)


def test_targets_of_any_kind():
    """Nets are asked about single precision, pipelines about frames that keep their columns."""
    X, y = cloud((4,), n=4)[0], np.array([0, 1, 0, 1])
    single = X.astype(np.float32)
    net = make_net(module__n_features=4, module__n_classes=2, max_epochs=30, lr=0.05).fit(single, y)
    assert (fitted(single, y, net).distances(single, y) > 0).all()
    frame = pd.DataFrame(X, columns=list("abcd"))
    scaled = [make_pipeline(StandardScaler(), LogisticRegression(C=100)).fit(rows, y) for rows in (frame, X)]
    of_frame, of_array = fitted(frame, y, scaled[0]).distances(frame, y), fitted(X, y, scaled[1]).distances(X, y)
    np.testing.assert_array_equal(of_frame, of_array)
    assert (of_frame > 0).all()


def test_distances_of_a_polars_frame():
    """Classifiers of such frames are asked about such frames."""
    X, y = np.random.default_rng(0).normal(size=(N, 4)), np.arange(N) % 2
    X[:, 0] += 3 * y
    frame = pl.DataFrame(X, schema=list("abcd"))
    found = [fitted(rows, y, LogisticRegression().fit(rows, y)).distances(rows, y) for rows in (frame, X)]
    np.testing.assert_array_equal(*found)


def test_whole_numbers():
    """Between whole numbers the target is asked about all others, in single precision."""
    X, _, target = cloud((3,))
    whole = np.rint(20 * X).astype(np.int8)
    y = target.predict(whole)
    found = fitted(whole, y, target, PRECISE).distances(whole, y)[2:]
    np.testing.assert_allclose(found, target.distances(whole)[2:], rtol=0.1)
    assert {asked.dtype for asked in target.asked_} == {np.dtype(np.int8), np.dtype(np.float32)}


def test_large_values_cost_no_precision():
    """The search is relative to the row, whatever the values of its features."""
    X, _, target = cloud((3,))
    far = X + 1e7
    target.offset = -1e7 * target.normal.sum()
    y = target.predict(far)
    found = fitted(far, y, target, PRECISE).distances(far, y)[2:]
    np.testing.assert_allclose(found, target.distances(far)[2:], rtol=0.1)


def test_search_stays_in_the_range():
    """The target is asked about nothing outside the known rows, and constant features stay as they are."""
    X, y, target = cloud((4,))
    X[:, 2] = 0.5
    y = target.predict(X)
    target.asked_.clear()
    fitted(X, y, target)
    for asked in target.asked_:
        assert (asked >= X.min(axis=0) - 1e-12).all()
        assert (asked <= X.max(axis=0) + 1e-12).all()


# --- conventions and bad input -------------------------------------------------------------------


def test_estimator_conventions(capsys):
    """Clone, parameters, pickle, repr, a fit that returns the attack itself, silence and a bar."""
    X, y, target = cloud()
    attack = clone(QUICK)
    assert isinstance(attack, MembershipAttack)
    assert not attack.asks_once
    assert type(attack)(**attack.get_params()).get_params() == attack.get_params()
    assert repr(attack).startswith("BoundaryAttack(")
    assert attack.fit(target, X, y, IS_MEMBER) is attack
    check_is_fitted(attack)
    target.asked_.clear()
    scores = attack.score_samples(X[:4], y[:4])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(attack)).score_samples(X[:4], y[:4]), scores)
    assert not "".join(capsys.readouterr())
    attack.set_params(verbose=1).score_samples(X[:2], y[:2])
    assert "boundary" in capsys.readouterr().err
    for ask in (QUICK.score_samples, QUICK.predict, QUICK.distances):
        with pytest.raises(NotFittedError, match="not fitted yet"):
            ask(X, y)


def test_toolbox_is_not_installed(monkeypatch):
    """Without the Adversarial Robustness Toolbox, fit says how to get it, before the target is asked."""
    X, y, target = cloud()
    monkeypatch.setitem(sys.modules, "art.attacks.evasion", None)
    with pytest.raises(ImportError, match=r"art is needed here.*skdiffence\[audit\]"):
        fitted(X, y, target)
    assert not target.asked_


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"norm": 1}, "'norm' parameter of BoundaryAttack"),
        ({"norm": "inf"}, "'norm' parameter of BoundaryAttack"),
        ({"max_iter": 0}, "'max_iter' parameter of BoundaryAttack"),
        ({"max_eval": 0}, "'max_eval' parameter of BoundaryAttack"),
        ({"init_eval": 0}, "'init_eval' parameter of BoundaryAttack"),
        ({"init_eval": 100, "max_eval": 50}, "init_eval must be at most max_eval, 50. Got 100"),
        ({"random_state": "a"}, "'random_state' parameter of BoundaryAttack"),
    ],
)
def test_bad_parameters(params, message):
    """Parameters are checked when fitting, before the target is asked."""
    X, y, _ = cloud()
    with pytest.raises(ValueError, match=message):
        fitted(X, y, None, BoundaryAttack(**params))


X4, Y4 = np.eye(4), np.array([0, 1, 0, 1])


@pytest.mark.parametrize(
    ("rows", "y", "is_member", "error", "message"),
    [
        (X4, Y4[:3], IS_MEMBER[:4], ValueError, "one label for each of the 4 rows of X. Got 3"),
        (X4, Y4, IS_MEMBER[:3], ValueError, r"one value for each row: shape \(4,\)"),
        (X4, Y4, [True] * 4, ValueError, "at least one member and one non-member"),
        (X4 * np.nan, Y4, IS_MEMBER[:4], ValueError, "X must have no missing values"),
        (X4 + np.inf, Y4, IS_MEMBER[:4], ValueError, "X must be finite. Got infinities"),
        (X4.astype(str), Y4, IS_MEMBER[:4], ValueError, "X must be numeric"),
        (X4, Y4.astype(str), IS_MEMBER[:4], ValueError, "both be text or both be numbers"),
    ],
)
def test_bad_input(rows, y, is_member, error, message):
    """What does not fit together, or has no neighborhood, is named."""
    with pytest.raises(error, match=message):
        clone(QUICK).fit(Plane(np.ones(4)), rows, y, is_member)


def test_bad_questions():
    """Rows of another shape, targets without labels."""
    X, y, target = cloud()
    with pytest.raises(ValueError, match=r"rows of shape \(5,\), as in fit. Got shape \(\d+, 4\)"):
        fitted(X, y, target).score_samples(X[:, :4], y)
    with pytest.raises(TypeError, match="target must have predict. Got StandardScaler"):
        fitted(X, y, StandardScaler())

"""The label-only attack, against labels asked for one by one and targets whose members are known to differ."""

import pickle

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage
from scipy.stats import rankdata
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from sklearn.naive_bayes import BernoulliNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils.validation import check_is_fitted

from skdiffence.attacks import LabelOnlyAttack
from skdiffence.attacks._known_rows import best_threshold
from skdiffence.base import MembershipAttack
from skdiffence.datasets import load_digit_images
from skdiffence.metrics import auc_interval
from tests.nets import CNN, make_net

N = 300
LETTERS = np.array(list("abcdefghij"))


def flatten(X):
    """Return images as rows."""
    return np.reshape(X, (len(X), -1))


class Recorded(ClassifierMixin, BaseEstimator):
    """Answers labels alone, by a fitted classifier, and keeps what it was asked about."""

    def __init__(self, estimator):
        self.estimator = estimator

    def __sklearn_is_fitted__(self):
        return True

    def predict(self, X):
        """Keep X and answer."""
        self.asked_ = [*getattr(self, "asked_", []), X]
        return self.estimator.predict(X)


class Scrambled(Recorded):
    """Keeps every label and answers noise for confidence, as the strongest label-preserving defense would."""

    @property
    def classes_(self):
        """The labels."""
        return self.estimator.classes_

    def predict_proba(self, X):
        """Answer noise."""
        return np.random.default_rng(0).dirichlet(np.ones(len(self.classes_)), size=len(X))


def digits(n=N, wrong=0.3, seed=0):
    """Return digits as images, some labels replaced at random, every other one a member."""
    data, rng = load_digit_images(), np.random.default_rng(seed)
    rows = rng.permutation(len(data.target))[:n]
    y = data.target[rows]
    return data.data[rows], np.where(rng.random(n) < wrong, rng.integers(10, size=n), y), np.arange(n) % 2 == 0


def on_images(estimator):
    """Return a classifier of images."""
    return make_pipeline(FunctionTransformer(flatten), estimator)


X, Y, IS_MEMBER = digits()
FOREST = on_images(RandomForestClassifier(10, random_state=0)).fit(X[IS_MEMBER], Y[IS_MEMBER])
KNOWN = np.arange(N) < N // 2
ATTACKS = {
    "augmentation": LabelOnlyAttack(),
    "augmentation, mean": LabelOnlyAttack(estimator="mean"),
    "noise": LabelOnlyAttack("noise", n_queries=13, random_state=0),
    "noise, mean": LabelOnlyAttack("noise", n_queries=13, estimator="mean", random_state=0),
}


def fitted(attack, target=FOREST, rows=KNOWN, y=Y):
    return clone(attack).fit(target, X[rows], y[rows], IS_MEMBER[rows])


def views_by_scipy(image, k=1):
    """Return the 18 augmentations of one image, of shape (channels, height, width)."""
    for dy in (0, -k, k):
        for dx in (0, -k, k):
            for flipped in (False, True):
                view = image[..., ::-1] if flipped else image
                yield ndimage.shift(view, (0, dy, dx), order=0, mode="nearest")


def bits_by_hand(target, X, y):
    """Return which of the 18 augmentations of each image are labeled correctly, one column each."""
    views = np.array([list(views_by_scipy(image)) for image in X])
    return np.column_stack([target.predict(views[:, number]) == y for number in range(18)])


# --- oracles -------------------------------------------------------------------------------------


def test_mean_of_augmentations():
    """The score is the share of correct labels, in the direction of the known rows; the threshold is the best one."""
    target = on_images(KNeighborsClassifier(3)).fit(X[IS_MEMBER], Y[IS_MEMBER])
    attack = LabelOnlyAttack(estimator="mean").fit(target, X[KNOWN], Y[KNOWN], IS_MEMBER[KNOWN])
    shares = bits_by_hand(target, X, Y).mean(axis=1)
    direction = 1 if roc_auc_score(IS_MEMBER[KNOWN], shares[KNOWN]) >= 0.5 else -1
    assert attack.direction_ == direction
    np.testing.assert_allclose(attack.score_samples(X, Y), direction * shares, atol=1e-12)
    assert attack.threshold_ == pytest.approx(best_threshold(IS_MEMBER[KNOWN], direction * shares[KNOWN]))


def test_augmentation_is_a_logistic_regression_on_the_bits():
    """One feature for each of the 18 labels, whatever their order."""
    attack = fitted(ATTACKS["augmentation"])
    bits = bits_by_hand(FOREST, X, Y)
    regression = LogisticRegression(max_iter=1000).fit(bits[KNOWN].astype(float), IS_MEMBER[KNOWN])
    expected = regression.decision_function(bits[~KNOWN].astype(float))
    np.testing.assert_allclose(attack.score_samples(X[~KNOWN], Y[~KNOWN]), expected, atol=1e-3)


def test_noise_queries():
    """The row itself first, then the same noise for every row, its size in turn."""
    rng = np.random.default_rng(0)
    rows, y = rng.normal(size=(200, 30)) * np.r_[1, 100, np.ones(28)], np.arange(200) % 2
    target = Recorded(KNeighborsClassifier(1).fit(rows, y))
    attack = LabelOnlyAttack("noise", n_queries=7, scale=[0.1, 1.0], random_state=0)
    attack.fit(target, rows, y, np.arange(200) < 100)
    assert len(target.asked_) == attack.n_queries_ == 7
    assert target.asked_[0] is rows
    middle = rows.mean(axis=0, keepdims=True)  # far from where changes are clipped
    target.asked_.clear()
    attack.score_samples(np.repeat(middle, 2, axis=0), y[:2])
    for number, asked in enumerate(target.asked_[1:]):
        np.testing.assert_array_equal(asked[0], asked[1])
        size = np.sqrt(np.mean(((asked[0] - middle[0]) / rows.std(axis=0)) ** 2))
        assert size == pytest.approx((0.1, 1.0)[number % 2], rel=0.4)


def test_shares_and_mean_are_those_of_the_recorded_queries():
    """What the estimator is given for noise: the first label, and the share of correct ones for each size."""
    target = Recorded(FOREST)

    class Kept(LogisticRegression):
        def fit(self, features, is_member):
            Kept.features = features
            return super().fit(features, is_member)

    attack = LabelOnlyAttack("noise", n_queries=8, scale=[0.2, 0.5, 1.0], estimator=Kept(), random_state=0)
    attack.fit(target, X[:2], Y[:2], [True, False])  # one a side: no folds, so the last fit is to all
    bits = np.column_stack([FOREST.predict(rows) == Y[:2] for rows in target.asked_])
    expected = [bits[:, 0], bits[:, [1, 4, 7]].mean(axis=1), bits[:, [2, 5]].mean(axis=1), bits[:, [3, 6]].mean(axis=1)]
    np.testing.assert_allclose(Kept.features, np.column_stack(expected))


# --- members and others --------------------------------------------------------------------------


@pytest.mark.parametrize("name", ATTACKS)
def test_null(name):
    """On a target that was trained on none of the rows, nothing is found."""
    rest, labels, _ = digits(n=900, seed=0)
    target = on_images(RandomForestClassifier(20, random_state=0)).fit(rest[N:], labels[N:])
    scores = np.empty(N)
    for half in (KNOWN, ~KNOWN):
        attack = fitted(ATTACKS[name], target, half)
        scores[~half] = rankdata(attack.score_samples(X[~half], Y[~half])) / np.count_nonzero(half)
    low, high = auc_interval(IS_MEMBER, scores, confidence_level=0.99)[-2:]
    assert low < 0.5 < high


@pytest.mark.parametrize("name", ["augmentation", "noise", "noise, mean"])
@pytest.mark.parametrize("target", ["neighbor", "forest"])
def test_memorizers(name, target):
    """Members of a target that learned wrong labels by heart score higher, and are called members more often."""
    target = on_images(KNeighborsClassifier(1)).fit(X[IS_MEMBER], Y[IS_MEMBER]) if target == "neighbor" else FOREST
    attack = fitted(ATTACKS[name], target)
    scores = attack.score_samples(X[~KNOWN], Y[~KNOWN])
    assert roc_auc_score(IS_MEMBER[~KNOWN], scores) > 0.55
    assert balanced_accuracy_score(IS_MEMBER[~KNOWN], attack.predict(X[~KNOWN], Y[~KNOWN])) > 0.53


def test_direction_is_learned():
    """A target that answers members wrongly more often is attacked the other way round."""
    rows, y = np.random.default_rng(0).normal(size=(400, 3)), np.arange(400) // 2 % 2
    is_member = np.arange(400) % 2 == 0
    target = KNeighborsClassifier(1).fit(rows, np.where(is_member, 1 - y, y))
    for estimator in ("mean", None):
        attack = LabelOnlyAttack("noise", n_queries=4, scale=0.01, estimator=estimator, random_state=0)
        attack.fit(target, rows[:200], y[:200], is_member[:200])
        assert roc_auc_score(is_member[200:], attack.score_samples(rows[200:], y[200:])) > 0.9
        assert attack.direction_ == (-1 if estimator else 1)


@pytest.mark.parametrize("name", ATTACKS)
def test_no_label_preserving_defense_matters(name):
    """Same labels, same scores, whatever becomes of the confidence; a target without any is attacked as well."""
    expected = fitted(ATTACKS[name]).score_samples(X, Y)
    for target in (Scrambled(FOREST), Recorded(FOREST)):
        np.testing.assert_array_equal(fitted(ATTACKS[name], target).score_samples(X, Y), expected)


# --- what scores depend on -----------------------------------------------------------------------


@pytest.mark.parametrize("name", ATTACKS)
def test_scores_do_not_depend_on_other_rows(name):
    """A row's score is its own, bit by bit: whatever the order, and whatever is asked with it."""
    attack = fitted(ATTACKS[name])
    rows, y = X[~KNOWN], Y[~KNOWN]
    scores = attack.score_samples(rows, y)
    order = np.random.default_rng(1).permutation(len(rows))
    np.testing.assert_array_equal(attack.score_samples(rows[order], y[order]), scores[order])
    np.testing.assert_array_equal(attack.score_samples(rows[:7], y[:7]), scores[:7])
    np.testing.assert_array_equal(attack.score_samples(rows[3:4], y[3:4]), scores[3:4])
    assert scores.dtype == np.float64


@pytest.mark.parametrize("name", ATTACKS)
def test_order_of_known_rows_does_not_matter(name):
    """Folds are dealt by content, so that known rows in another order teach the same."""
    order = np.random.default_rng(1).permutation(np.flatnonzero(KNOWN))
    one, two = fitted(ATTACKS[name]), fitted(ATTACKS[name], rows=order)
    np.testing.assert_allclose(two.score_samples(X, Y), one.score_samples(X, Y), atol=1e-3)
    assert two.threshold_ == pytest.approx(one.threshold_, abs=1e-3)


@pytest.mark.usefixtures("untouched_generators")
def test_seeds():
    """One seed, one noise; another seed or none, another noise; no global generator is drawn from."""
    noise = LabelOnlyAttack("noise", n_queries=4, estimator="mean")
    one, same, other, free = (
        fitted(clone(noise).set_params(random_state=seed)).score_samples(X, Y) for seed in (0, 0, 1, None)
    )
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()
    assert (one != free).any()


def test_estimators_without_a_seed_get_one():
    """A forest among estimators is as repeatable as the noise, and is not changed itself."""
    forest = RandomForestClassifier(5)
    attack = LabelOnlyAttack(estimator=forest, random_state=0)
    np.testing.assert_array_equal(fitted(attack).score_samples(X, Y), fitted(attack).score_samples(X, Y))
    assert forest.random_state is None
    assert fitted(attack).estimator_ is not forest


# --- forms of rows, labels and targets -----------------------------------------------------------


@pytest.mark.parametrize("name", ["augmentation", "noise"])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_images_keep_their_type_and_range(name, dtype):
    """The target sees what it was trained on: the same type, nothing below or above the known pixels."""
    images = (X * 16).astype(dtype)
    target = Recorded(clone(FOREST).fit(images[IS_MEMBER], Y[IS_MEMBER]))
    clone(ATTACKS[name]).fit(target, images[KNOWN], Y[KNOWN], IS_MEMBER[KNOWN])
    assert {asked.dtype for asked in target.asked_} == {np.dtype(dtype)}
    assert min(asked.min() for asked in target.asked_) == 0
    assert max(asked.max() for asked in target.asked_) == 16
    assert all((asked != images[KNOWN]).any() for asked in target.asked_[1:])


@pytest.mark.parametrize(("side", "scale", "expected"), [(8, None, 1), (32, None, 4), (8, 3, 3)])
def test_shifts_are_an_eighth_of_the_image(side, scale, expected):
    """18 views by default, moved by an eighth of the side: 4 pixels of 32."""
    images = np.random.default_rng(0).random((4, 1, side, side), dtype=np.float32)
    target = Recorded(on_images(KNeighborsClassifier(1)).fit(images, [0, 1, 0, 1]))
    attack = LabelOnlyAttack(scale=scale).fit(target, images, [0, 1, 0, 1], [1, 1, 0, 0])
    assert len(target.asked_) == attack.n_queries_ == 18
    asked = {view[0].tobytes() for view in target.asked_}
    assert asked == {np.ascontiguousarray(view).tobytes() for view in views_by_scipy(images[0], expected)}


def test_frames_stay_frames():
    """Columns and their types are kept, and binary columns are flipped, not blurred."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"a": rng.normal(size=80).astype(np.float32), "b": rng.integers(0, 2, 80), "c": rng.random(80) < 0.5}
    )
    y = LETTERS[rng.integers(2, size=80)]
    target = Recorded(RandomForestClassifier(5, random_state=0).fit(frame[:40], y[:40]))
    attack = LabelOnlyAttack("noise", random_state=0).fit(target, frame, y, np.arange(80) < 40)
    for asked in target.asked_:
        pd.testing.assert_series_equal(asked.dtypes, frame.dtypes)
        assert set(asked["b"]) <= {0, 1}
    assert any((asked["b"] != frame["b"]).any() for asked in target.asked_)
    assert attack.score_samples(frame[::-1], y[::-1]).shape == (80,)


def test_binary_features_are_flipped():
    """Rows of zeros and ones stay such rows."""
    rows = (np.random.default_rng(0).random((100, 20)) < 0.3).astype(np.int8)
    y = np.arange(100) % 2
    target = Recorded(BernoulliNB().fit(rows, y))
    LabelOnlyAttack("noise", random_state=0).fit(target, rows, y, np.arange(100) < 50)
    assert {tuple(np.unique(asked)) for asked in target.asked_} == {(0, 1)}
    flipped = [(asked != rows).mean() for asked in target.asked_[1:]]
    assert 0 < np.mean(flipped) < 0.25


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize("labels", ["text", "object", "spaced"])
def test_labels_of_any_kind(name, labels):
    """Labels are names: other names, the same scores."""
    names = {"text": LETTERS, "object": LETTERS.astype(object), "spaced": 10 * np.arange(10) - 5}[labels]
    plain = on_images(KNeighborsClassifier(1)).fit(X[IS_MEMBER], Y[IS_MEMBER])
    renamed = on_images(KNeighborsClassifier(1)).fit(X[IS_MEMBER], names[Y[IS_MEMBER]])
    expected = fitted(ATTACKS[name], plain).score_samples(X, Y)
    attack = clone(ATTACKS[name]).fit(renamed, X[KNOWN], list(names[Y[KNOWN]]), list(IS_MEMBER[KNOWN]))
    np.testing.assert_array_equal(attack.score_samples(X, list(names[Y])), expected)


@pytest.mark.parametrize("name", ATTACKS)
def test_class_that_the_target_does_not_know(name):
    """Rows of a class that was never trained on are answered wrongly, and scored."""
    rows = IS_MEMBER & (Y < 8)
    target = on_images(KNeighborsClassifier(1)).fit(X[rows], Y[rows])
    scores = fitted(ATTACKS[name], target).score_samples(X, Y)
    assert np.isfinite(scores).all()
    assert len(np.unique(scores[Y >= 8])) == 1


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize("n", [2, 3, 4, 37])
def test_few_rows(name, n):
    """Odd numbers, sides of unequal size, one row a side."""
    attack = clone(ATTACKS[name]).fit(FOREST, X[:n], Y[:n], IS_MEMBER[:n].astype(int))
    assert np.isfinite(attack.score_samples(X[:9], Y[:9])).all()
    assert attack.predict(X[:9], Y[:9]).dtype == bool


@pytest.mark.parametrize("name", ["augmentation", "noise"])
def test_nets(name):
    """A bare net of images, with two columns that it was never shown."""
    net = make_net(CNN, module__n_classes=12, max_epochs=1).fit(X[:40], Y[:40])
    attack = clone(ATTACKS[name]).fit(net, X[:40], Y[:40], IS_MEMBER[:40])
    assert np.isfinite(attack.score_samples(X[:40], Y[:40])).all()


def test_ties():
    """A target that answers nothing but right labels tells nothing, and nothing breaks."""
    y = np.zeros(N, dtype=int)
    target = on_images(KNeighborsClassifier(1)).fit(X[:2], y[:2])
    for attack in ATTACKS.values():
        attack = fitted(attack, target, y=y)
        assert len(np.unique(attack.score_samples(X, y))) == 1
        assert len(np.unique(attack.predict(X, y))) == 1


def test_missing_values():
    """Rows with missing values are disturbed where they have any."""
    rows, y = np.random.default_rng(0).normal(size=(60, 4)), np.arange(60) % 3 % 2
    rows[::7, 1] = np.nan
    target = Recorded(RandomForestClassifier(5, random_state=0).fit(rows[::2], y[::2]))
    LabelOnlyAttack("noise", random_state=0).fit(target, rows, y, np.arange(60) % 2 == 0)
    assert all((np.isnan(asked) == np.isnan(rows)).all() for asked in target.asked_)


# --- thresholds, conventions, bad input ----------------------------------------------------------


class SizeTeller(ClassifierMixin, BaseEstimator):
    """Scores every row by the number of rows it was fitted to."""

    def fit(self, X, y):
        """Count."""
        self.classes_, self.n_rows_ = np.unique(y), len(X)
        return self

    def decision_function(self, X):
        """Answer the count."""
        return np.full(len(X), self.n_rows_)


def test_threshold_is_learned_out_of_fold():
    """Known rows set the threshold by estimators that did not know them; others are scored by one that knew all."""
    attack = fitted(LabelOnlyAttack(estimator=SizeTeller()))
    assert attack.threshold_ == pytest.approx(120)  # four of five folds of 150
    np.testing.assert_array_equal(attack.score_samples(X[~KNOWN], Y[~KNOWN]), 150)


@pytest.mark.parametrize("name", ATTACKS)
def test_estimator_conventions(name):
    """Clone, parameters, pickle, repr, and a fit that returns the attack itself."""
    attack = clone(ATTACKS[name])
    assert isinstance(attack, MembershipAttack)
    assert not attack.asks_once
    assert type(attack)(**attack.get_params()).get_params() == attack.get_params()
    assert repr(attack).startswith("LabelOnlyAttack(")
    assert attack.fit(FOREST, X[KNOWN], Y[KNOWN], IS_MEMBER[KNOWN]) is attack
    check_is_fitted(attack)
    scores = attack.score_samples(X, Y)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(attack)).score_samples(X, Y), scores)
    np.testing.assert_array_equal(fitted(attack).score_samples(X, Y), scores)
    for ask in (clone(attack).score_samples, clone(attack).predict):
        with pytest.raises(NotFittedError, match="not fitted yet"):
            ask(X, Y)


@pytest.mark.parametrize(
    ("attack", "message"),
    [
        (LabelOnlyAttack("boundary"), "'robustness' parameter of LabelOnlyAttack"),
        (LabelOnlyAttack(n_queries=0), "'n_queries' parameter of LabelOnlyAttack"),
        (LabelOnlyAttack(n_queries=19), "n_queries must be at most 18, the number of augmentations. Got 19"),
        (LabelOnlyAttack(scale=-1), "'scale' parameter of LabelOnlyAttack"),
        (LabelOnlyAttack(scale=0.5), "whole number of pixels, less than the 8.* Got 0.5"),
        (LabelOnlyAttack(scale=8), "whole number of pixels, less than the 8.* Got 8"),
        (LabelOnlyAttack(scale=[1]), r"whole number of pixels.* Got \[1\]"),
        (LabelOnlyAttack("noise", scale=[1, 0]), r"scale must hold positive numbers.* Got \[1, 0\]"),
        (LabelOnlyAttack("noise", scale=[]), r"scale must hold positive numbers.* Got \[\]"),
        (LabelOnlyAttack("noise", scale=["a"]), "scale must hold positive numbers"),
        (LabelOnlyAttack("noise", scale=[np.inf]), "scale must be finite"),
        (LabelOnlyAttack("noise", scale=[np.nan]), "scale must hold positive numbers"),
        (LabelOnlyAttack(estimator="median"), "'estimator' parameter of LabelOnlyAttack"),
        (LabelOnlyAttack(estimator=StandardScaler()), "'estimator' parameter of LabelOnlyAttack"),
        (LabelOnlyAttack(random_state="a"), "'random_state' parameter of LabelOnlyAttack"),
    ],
)
def test_bad_parameters(attack, message):
    """Parameters are checked when fitting, before the target is asked."""
    with pytest.raises(ValueError, match=message):
        attack.fit(None, X[:4], Y[:4], IS_MEMBER[:4])


def test_rows_are_no_images():
    """Rows can't be flipped; the error says what can be done with them."""
    rows = flatten(X)
    attack = fitted(ATTACKS["augmentation"])
    for ask in (lambda: LabelOnlyAttack().fit(FOREST, rows, Y, IS_MEMBER), lambda: attack.score_samples(rows, Y)):
        with pytest.raises(ValueError, match=r'images of shape .* Got shape \(300, 64\).*robustness="noise"'):
            ask()
    with pytest.raises(ValueError, match=r"rows of shape \(1, 8, 8\), as in fit. Got shape \(\d+, 64\)"):
        fitted(ATTACKS["noise"]).score_samples(rows, Y)


@pytest.mark.parametrize(
    ("rows", "y", "is_member", "error", "message"),
    [
        (X[:4], Y[:3], IS_MEMBER[:4], ValueError, "one label for each of the 4 rows of X. Got 3"),
        (X[:4], Y[:4], IS_MEMBER[:3], ValueError, r"one value for each row: shape \(4,\)"),
        (X[:4], Y[:4], [True] * 4, ValueError, "at least one member and one non-member"),
        (X[:4] + np.inf, Y[:4], IS_MEMBER[:4], ValueError, "X must be finite. Got infinities"),
        (X[:4].astype(str), Y[:4], IS_MEMBER[:4], ValueError, "X must be numeric"),
        (X[:4], LETTERS[Y[:4]], IS_MEMBER[:4], ValueError, "both be text or both be numbers"),
    ],
)
def test_bad_input(rows, y, is_member, error, message):
    """What does not fit together, or can't be disturbed, is named."""
    with pytest.raises(error, match=message):
        LabelOnlyAttack("noise").fit(FOREST, rows, y, is_member)


def test_targets_without_labels():
    """A target must at least answer labels."""
    with pytest.raises(TypeError, match="target must have predict. Got StandardScaler"):
        LabelOnlyAttack().fit(StandardScaler(), X[:4], Y[:4], IS_MEMBER[:4])

"""What LiRA alone has as an estimator: several queries a row, and answers of exactly 0 and 1."""

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import KNeighborsClassifier

from skdiffence.attacks import LiRAAttack, RMIAAttack, lira_scores, query, train_shadows
from skdiffence.datasets import load_digit_images
from skdiffence.metrics import logit_signal
from tests.attacks.targets import Counting, Dictated, logits

N_VIEWS = {"identity": 1, "flips": 2, "shifts": 9, "flips+shifts": 18}


class OfImages(Counting):
    """Answers for images the softmax of their first three pixels."""

    def predict_proba(self, X):
        """Count, then answer."""
        return super().predict_proba(np.reshape(X, (len(X), -1))[:, :3])

    def predict(self, X):
        """Count, then answer."""
        return super().predict(np.reshape(X, (len(X), -1))[:, :3])


class OfStretchedImages(OfImages):
    """Answers logits that are stretched, each model in its own way."""

    def __init__(self, stretch=1.0):
        super().__init__()
        self.stretch = stretch

    def predict_proba(self, X):
        """Answer stretched logits."""
        return super().predict_proba(np.asarray(X) * self.stretch)


def images(n=20, n_models=6, seed=0):
    """Return shadows of images, their memberships, the images and labels."""
    rng = np.random.default_rng(seed)
    membership = rng.permuted(np.tile(np.arange(n_models) % 2 == 0, (n, 1)), axis=1)
    shadows = {
        "estimator": [OfStretchedImages(stretch).fit() for stretch in np.linspace(0.5, 1.5, n_models)],
        "indices": {"train": [np.flatnonzero(column) for column in membership.T]},
    }
    return shadows, membership, rng.normal(size=(n, 1, 4, 4)), rng.integers(3, size=n)


def mirrored(X):
    """Return the further queries of "flips"."""
    return [X[..., ::-1]]


@pytest.mark.parametrize("queries", N_VIEWS)
def test_number_of_queries(queries):
    """The target is asked about each row as often as there are views, labels are asked for once."""
    shadows, _, X, y = images()
    target = OfImages().fit()
    attack = LiRAAttack(shadows, pool=(X, y), queries=queries)
    assert attack.asks_once == (queries == "identity")
    attack.fit(target, X, y, np.arange(20) % 2 == 0)
    assert target.calls_.count(("predict_proba", 20)) == N_VIEWS[queries]
    assert target.calls_.count(("predict", 20)) == 1
    assert attack.shadow_signals_.signals("logit").shape == (20, 6, N_VIEWS[queries])


@pytest.mark.parametrize("queries", ["flips", mirrored])
def test_queries_are_averaged(queries):
    """The score is that of the array function for the row and its mirror image, the row first."""
    shadows, membership, X, y = images()
    target = OfImages().fit()
    attack = LiRAAttack(shadows, pool=(X, y), queries=queries).fit(target, X, y, np.arange(20) % 2 == 0)
    of_target = np.column_stack([phi(target, view, y) for view in (X, X[..., ::-1])])
    of_shadows = np.stack(
        [[phi(model, view, y) for model in shadows["estimator"]] for view in (X, X[..., ::-1])], axis=-1
    ).transpose(1, 0, 2)
    expected = lira_scores(of_target, of_shadows, membership)
    np.testing.assert_allclose(attack.score_samples(X, y), expected, rtol=1e-9)


def phi(model, X, y):
    """Return a model's logit signal."""
    answers = query(model, X, y)
    return logit_signal(answers.y, answers.proba)


def test_size_of_shifts():
    """Shifts by two pixels are not shifts by one."""
    shadows, _, X, y = images()
    one, two = (
        LiRAAttack(shadows, pool=(X, y), queries="shifts", shift=shift)
        .fit(OfImages().fit(), X, y, np.arange(20) % 2 == 0)
        .score_samples(X, y)
        for shift in (1, 2)
    )
    assert not np.allclose(one, two)


def test_several_queries_of_real_images():
    """On digits, attacked through a flipping or shifting eye, mislabeled members are still found."""
    digits = load_digit_images()
    X, y = digits.data[:200].astype(np.float64), digits.target[:200].copy()
    y[:80] = (y[:80] + np.random.default_rng(0).integers(1, 10, 80)) % 10
    is_member = np.random.default_rng(1).permutation(np.arange(200) % 2 == 0)
    flat = Flattened(LogisticRegression(C=10, max_iter=200))
    shadows = train_shadows(flat, X, y, n_shadows=8, random_state=0)
    target = Flattened(LogisticRegression(C=10, max_iter=200)).fit(X[is_member], y[is_member])
    for queries in ("identity", "shifts"):
        attack = LiRAAttack(shadows, pool=(X, y), queries=queries).fit(target, X, y, is_member)
        assert roc_auc_score(is_member[:80], attack.score_samples(X[:80], y[:80])) > 0.8


class Flattened(Dictated):
    """A classifier of rows that is given images."""

    def __init__(self, inner):
        self.inner = inner

    def fit(self, X, y):
        """Fit the inner one."""
        self.inner.fit(np.reshape(X, (len(X), -1)), y)
        self.classes_ = self.inner.classes_
        return self

    def predict_proba(self, X):
        """Ask the inner one."""
        return self.inner.predict_proba(np.reshape(X, (len(X), -1)))

    def predict(self, X):
        """Ask the inner one."""
        return self.inner.predict(np.reshape(X, (len(X), -1)))


def test_answers_can_not_be_shared_when_there_are_several():
    """One answer a row is then not enough."""
    shadows, _, X, y = images()
    target, is_member = OfImages().fit(), np.arange(20) % 2 == 0
    attack = LiRAAttack(shadows, pool=(X, y), queries="flips")
    with pytest.raises(ValueError, match="LiRAAttack needs more than one answer for each row"):
        attack.fit_answers(query(target, X, y), is_member)
    attack.fit(target, X, y, is_member)
    with pytest.raises(ValueError, match="LiRAAttack needs more than one answer for each row"):
        attack.score_answers(query(target, X, y))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"queries": "flips"}, r"X must hold images of shape .* Got shape \(12, 3\)"),
        ({"queries": lambda X: [X[:-1]]}, "queries must return arrays with one row for each of the 12 rows. Got 11"),
        ({"queries": "rotations"}, "'queries' parameter of LiRAAttack"),
        ({"shift": 0}, "'shift' parameter of LiRAAttack"),
        ({"clip": 0.5}, "'clip' parameter of LiRAAttack"),
        ({"clip": "none"}, "'clip' parameter of LiRAAttack"),
        ({"variance": "none"}, "'variance' parameter of LiRAAttack"),
    ],
)
def test_bad_parameters(params, message):
    """Queries that the rows do not allow, and values that do not exist."""
    y = np.arange(12) % 3
    X = logits(np.linspace(-1, 1, 12), y)
    shadows = {
        "estimator": [Dictated().fit() for _ in range(2)],
        "indices": {"train": [np.arange(6), np.arange(6, 12)]},
    }
    with pytest.raises(ValueError, match=message):
        LiRAAttack(shadows, pool=(X, y), **params).fit(Dictated().fit(), X, y, np.arange(12) % 2 == 0)


# --- clipping ------------------------------------------------------------------------------------

RNG = np.random.default_rng(0)
X = RNG.normal(size=(400, 5))
Y = RNG.integers(2, size=400)
IS_MEMBER = RNG.permutation(np.arange(400) % 2 == 0)


def attack_on(classifier, **params):
    """Return an attack on a classifier of random labels, and its AUC."""
    shadows = train_shadows(classifier, X, Y, n_shadows=8, random_state=0)
    target = classifier.fit(X[IS_MEMBER], Y[IS_MEMBER])
    attack = LiRAAttack(shadows, pool=(X, Y), **params).fit(target, X, Y, IS_MEMBER)
    return attack, roc_auc_score(IS_MEMBER, attack.score_samples(X, Y))


@pytest.mark.parametrize(("k", "clip"), [(1, 1 / 3), (4, 1 / 7), (10, 1 / 19)])
def test_votes_are_clipped_at_half_a_vote(k, clip):
    """Of k neighbors one votes otherwise at odds of 1 to k - 1; zero is taken for odds of half of that."""
    attack, _ = attack_on(KNeighborsClassifier(k))
    assert attack.clip_ == pytest.approx(clip)


def test_smooth_answers_are_not_clipped():
    """A logistic regression gives no zeros, and its large logits are left as they are."""
    attack, auc = attack_on(LogisticRegression(C=1e6))
    assert attack.clip_ == 0
    assert auc == attack_on(LogisticRegression(C=1e6), clip=1e-40)[1]


def test_clipping_finds_members_of_forests():
    """Zeros taken at their word, 100 nats from all else, drown what the other votes tell."""
    found = {clip: attack_on(RandomForestClassifier(10, random_state=0), clip=clip)[1] for clip in ("auto", 1e-44)}
    assert found["auto"] > found[1e-44] + 0.02


def test_clip_by_hand():
    """A number clips the probabilities of shadows and target alike."""
    attack, _ = attack_on(KNeighborsClassifier(4), clip=0.3)
    assert attack.clip_ == pytest.approx(0.3)
    bound = np.log(0.7 / 0.3)
    clipped = attack._clipped(attack.shadow_signals_.signals("logit"))
    assert set(np.unique(np.round(clipped, 9))) == {round(-bound, 9), 0.0, round(bound, 9)}


def test_what_is_recorded():
    """The rules that "auto" stood for."""
    attack, _ = attack_on(KNeighborsClassifier(4))
    assert (attack.mode_, attack.variance_) == ("online", "fixed")
    y = np.arange(12) % 3
    rows = logits(np.linspace(-1, 1, 12), y)
    halves = [np.arange(6), np.arange(6, 12)] * 32
    many = {"estimator": [Dictated().fit() for _ in range(64)], "indices": {"train": halves}}
    of_many = LiRAAttack(many, pool=(rows, y)).fit(Dictated().fit(), rows, y, np.arange(12) % 2 == 0)
    assert of_many.variance_ == "per_sample"


@pytest.mark.parametrize("Attack", [LiRAAttack, RMIAAttack])
def test_a_row_that_the_pool_has_often(Attack):
    """Its copies train the same shadows, so that there are shadows to compare it with."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(120, 3)), np.arange(120) % 2
    X[:14], y[:14] = X[0], y[0]
    shadows = train_shadows(LogisticRegression(), X, y, n_shadows=8, random_state=0)
    is_member = np.arange(120) % 3 == 0
    is_member[:14] = True
    target = LogisticRegression().fit(X[is_member], y[is_member])
    assert np.isfinite(Attack(shadows, pool=(X, y)).fit(target, X, y, is_member).score_samples(X, y)).all()

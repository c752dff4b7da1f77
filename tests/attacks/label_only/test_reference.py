"""The attack on labels and a reference model: the closed form of the best one, and out-of-fold reference answers."""

import numpy as np
import pytest
from sklearn.datasets import load_digits, make_blobs
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import KNeighborsClassifier

from skdiffence.attacks import CorrectnessAttack, LabelOnlyReferenceAttack
from skdiffence.metrics import auc_interval
from tests.attacks.difficulty import BEST_AUC, BEST_AUC_OF_LABELS, Knowing, Labeling, rows_of_known_difficulty

KNOWING = FrozenEstimator(Knowing().fit(None, None))


def scored(attack, target, X, y, is_member):
    """Fit to the first half of the rows, score the second."""
    half = len(y) // 2
    attack.fit(target, X[:half], y[:half], is_member[:half])
    return is_member[half:], attack.score_samples(X[half:], y[half:])


def test_best_attack_on_correctness_and_difficulty():
    """It comes within sampling error of the closed form, and above what labels alone give."""
    data = rows_of_known_difficulty(members_are_learned=True)
    is_member, scores = scored(LabelOnlyReferenceAttack(KNOWING), Labeling(), *data)
    low, high = auc_interval(is_member, scores, confidence_level=0.99)
    assert low < BEST_AUC < high
    assert low > BEST_AUC_OF_LABELS
    low, high = auc_interval(*scored(CorrectnessAttack(), Labeling(), *data), confidence_level=0.99)
    assert low < BEST_AUC_OF_LABELS < high


def test_target_that_saw_no_row():
    """What the reference model knows of difficulty alone says nothing about membership."""
    data = rows_of_known_difficulty(members_are_learned=False)
    is_member, scores = scored(LabelOnlyReferenceAttack(KNOWING), Labeling(), *data)
    low, high = auc_interval(is_member, scores, confidence_level=0.99)
    assert low < 0.5 < high


FITTED, ASKED = [], []


class Recording(KNeighborsClassifier):
    """Records the rows that it was fitted on, and those that it was asked about with them."""

    def fit(self, X, y):
        """Record and fit."""
        FITTED.append({tuple(row) for row in X})
        self.number_ = len(FITTED) - 1
        return super().fit(X, y)

    def predict_proba(self, X):
        """Record and predict."""
        ASKED.append((self.number_, {tuple(row) for row in X}))
        return super().predict_proba(X)


@pytest.fixture
def blobs():
    FITTED.clear(), ASKED.clear()
    X, y = make_blobs(120, n_features=4, cluster_std=6.0, random_state=0)
    is_member = np.random.default_rng(0).permutation(np.arange(120) % 2 == 0)
    return RandomForestClassifier(10, random_state=0).fit(X[is_member], y[is_member]), X, y, is_member


def test_reference_never_answers_rows_that_it_was_trained_on(blobs):
    """Five folds of known rows, by models of the other folds' non-members; all non-members for new rows."""
    target, X, y, is_member = blobs
    attack = LabelOnlyReferenceAttack(Recording(3)).fit(target, X, y, is_member)
    others = {tuple(row) for row in X[~is_member]}
    assert FITTED[attack.reference_.number_] == others
    assert all(fitted <= others for fitted in FITTED)
    assert all(not FITTED[number] & asked for number, asked in ASKED)
    assert set.union(*(asked for _, asked in ASKED)) == {tuple(row) for row in X}


def test_rows_that_the_attacker_brings(blobs):
    """They alone train the reference model, once."""
    target, X, y, is_member = blobs
    brought = X[:40], y[:40]
    attack = LabelOnlyReferenceAttack(Recording(3), reference_data=brought).fit(target, X[40:], y[40:], is_member[40:])
    (fitted,) = FITTED
    assert fitted == {tuple(row) for row in X[:40]}
    assert np.isfinite(attack.score_samples(X, y)).all()


def test_order_of_known_rows_does_not_matter(blobs):
    target, X, y, is_member = blobs
    order = np.random.default_rng(1).permutation(80)
    attacks = [
        LabelOnlyReferenceAttack(random_state=0).fit(target, X[rows], y[rows], is_member[rows])
        for rows in (np.arange(80), order)
    ]
    np.testing.assert_array_equal(*(attack.score_samples(X[80:], y[80:]) for attack in attacks))
    assert attacks[0].threshold_ == attacks[1].threshold_


@pytest.mark.parametrize("shape", [(1, 4, 4), (1, 20, 20)], ids=["small images", "principal components"])
def test_images_with_missing_values(shape):
    """Images are flattened, and many pixels become 64 components."""
    rng = np.random.default_rng(0)
    X, y = rng.random((180, *shape)).astype(np.float32), np.arange(180) % 3
    X[0, 0, 0, 0] = np.nan
    is_member = np.arange(180) % 2 == 0
    target = KNeighborsClassifier(1).fit(np.nan_to_num(X[is_member]).reshape(90, -1), y[is_member])
    target.predict = lambda X: KNeighborsClassifier.predict(target, np.nan_to_num(X).reshape(len(X), -1))
    attack = LabelOnlyReferenceAttack(random_state=0).fit(target, X, y, is_member)
    assert np.isfinite(attack.score_samples(X, y)).all()
    assert ("pca" in attack.reference_.named_steps) == (shape == (1, 20, 20))


def test_reference_may_lack_classes(blobs):
    """A class without known non-members can be scored."""
    target, X, y, is_member = blobs
    known = is_member | (y != 2)
    attack = LabelOnlyReferenceAttack(LogisticRegression()).fit(target, X[known], y[known], is_member[known])
    np.testing.assert_array_equal(attack.reference_.classes_, [0, 1])
    assert np.isfinite(attack.score_samples(X, y)).all()


def test_noisy_neighbors_add_to_a_reference():
    """A forest with wrong labels among its members leaks by them and by their neighbors."""
    X, y = load_digits(return_X_y=True)
    rng = np.random.default_rng(0)
    y = np.where(rng.random(len(y)) < 0.1, (y + 1) % 10, y)
    is_member = rng.permutation(np.arange(len(y)) % 2 == 0)
    forest = RandomForestClassifier(20, random_state=0).fit(X[is_member], y[is_member])
    attacks = [LabelOnlyReferenceAttack(n_queries=n, random_state=0) for n in (1, 31)]
    one, many = (roc_auc_score(*scored(attack, forest, X, y, is_member)) for attack in attacks)
    assert 0.6 < one < many - 0.02


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"reference": "forest"}, "'reference' parameter"),
        ({"reference_data": ([[0.0]],)}, "must be a tuple"),
        ({"reference_data": ([[0.0]], [0, 1])}, "one label for each"),
        ({"n_queries": 0}, "'n_queries' parameter"),
        ({"scale": -1.0}, "'scale' parameter"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_bad_parameters(blobs, params, message):
    with pytest.raises(ValueError, match=message):
        LabelOnlyReferenceAttack(**params).fit(*blobs)

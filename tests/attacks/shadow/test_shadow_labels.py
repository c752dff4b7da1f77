"""LiRA and RMIA with labels: the closed form of the best attack on labels and difficulty."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from skdiffence.attacks import LiRAAttack, RMIAAttack
from skdiffence.metrics import auc_interval
from tests.attacks.difficulty import BEST_AUC, BEST_AUC_OF_LABELS, Knowing, Labeling, rows_of_known_difficulty

N_SHADOWS = 8


class KnowingShadow(Knowing):
    """Knows how difficult rows are, and the labels of those that it has learned by heart."""

    def fit(self, X, y):
        """Store the rows."""
        self.learned_ = X[:, :-1].max(axis=1)
        return super().fit(X, y)

    def predict_proba(self, X):
        """Return near certainty for rows that it has learned."""
        proba = super().predict_proba(X)
        sure = np.where(proba == proba.max(axis=1, keepdims=True), 0.99, 0.005)
        return np.where(np.isin(X[:, :-1].max(axis=1, keepdims=True), self.learned_), sure, proba)


@pytest.fixture(scope="module", params=[True, False], ids=["members learned", "no row learned"])
def world(request):
    X, y, is_member = rows_of_known_difficulty(members_are_learned=request.param, n=4000)
    rng = np.random.default_rng(0)
    train = [rng.permutation(len(y))[: len(y) // 2] for _ in range(N_SHADOWS)]
    estimators = [KnowingShadow().fit(X[rows], y[rows]) for rows in train]
    shadows = {"estimator": estimators, "indices": {"train": train}}
    return shadows, X, y, is_member, BEST_AUC if request.param else 0.5


@pytest.mark.parametrize("mode", ["online", "offline"])
@pytest.mark.parametrize("make", [LiRAAttack, RMIAAttack])
@pytest.mark.filterwarnings("ignore::skdiffence.exceptions.MembershipWarning")
def test_best_attack_on_labels(make, mode, world):
    """The target never tells a probability; the shadows tell how difficult a row is."""
    shadows, X, y, is_member, best = world
    there = np.bincount(np.concatenate(shadows["indices"]["train"]), minlength=len(y))
    X, y, is_member = (part[(there > 0) & (there < N_SHADOWS)] for part in (X, y, is_member))
    half = len(y) // 2
    attack = make(shadows, pool=world[1:3], mode=mode, uses="labels")
    assert (attack.uses, attack.family) == ("labels", "shadow")
    scores = attack.fit(Labeling(), X[:half], y[:half], is_member[:half]).score_samples(X[half:], y[half:])
    low, high = auc_interval(is_member[half:], scores, confidence_level=0.99)
    assert low < best < high
    assert best == 0.5 or roc_auc_score(is_member[half:], scores) > BEST_AUC_OF_LABELS

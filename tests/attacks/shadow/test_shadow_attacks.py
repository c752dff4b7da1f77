"""LiRA and RMIA as estimators: rows are found in the pool, shadows asked once, and nothing counted wrongly."""

import pickle
import warnings
from functools import cache

import numpy as np
import pandas as pd
import pytest
from joblib import parallel_config
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.datasets import load_digits, make_blobs
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from sklearn.model_selection import KFold, cross_validate
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skdiffence._fitted import stored_rows
from skdiffence.attacks import Answers, LiRAAttack, RMIAAttack, lira_scores, query, rmia_scores, train_shadows
from skdiffence.attacks.shadow._shadow_signals import ShadowSignals
from skdiffence.defenses import DefendedClassifier
from skdiffence.exceptions import MembershipWarning
from skdiffence.metrics import auc_interval, confidence_signal, logit_signal
from skdiffence.model_selection import AttackScorer
from skdiffence.utils._rows import RowSet
from tests.attacks.shadow.shadow_estimators import Tallied
from tests.attacks.targets import Counting, Dictated, logits
from tests.defenses.regenerators import NoiseRegenerator
from tests.nets import make_binary_net, make_net

ATTACKS = [LiRAAttack, RMIAAttack]
N = 300
WRONG = np.arange(N) < 90
KNOWN = np.arange(N) % 2 == 0
IS_MEMBER = np.random.default_rng(0).permutation(np.arange(N) % 2 == 0)


@cache
def digits():
    """Return 300 digits as a pool, the first 90 with wrong labels."""
    X, y = load_digits(return_X_y=True)
    y = y.copy()
    y[:N][WRONG] = (y[:N][WRONG] + np.random.default_rng(0).integers(1, 10, WRONG.sum())) % 10
    return X[:N] / 16, y[:N]


@cache
def shadows():
    """Return 16 logistic regressions trained on halves of the pool."""
    return train_shadows(LogisticRegression(C=10, max_iter=200), *digits(), n_shadows=16, random_state=0)


@cache
def target():
    """Return a logistic regression trained on the members of the pool."""
    X, y = digits()
    return LogisticRegression(C=10, max_iter=200).fit(X[IS_MEMBER], y[IS_MEMBER])


def fitted(Attack, **params):
    """Return an attack that knows every other row of the pool."""
    X, y = digits()
    return Attack(shadows(), pool=(X, y), **params).fit(target(), X[KNOWN], y[KNOWN], IS_MEMBER[KNOWN])


def dictated_pool(n=24, n_models=6, *, seed=0):
    """Return shadows that answer alike, their memberships, and the pool, all made by hand."""
    rng = np.random.default_rng(seed)
    y = rng.integers(3, size=n)
    X = logits(rng.normal(size=n), y)
    membership = rng.permuted(np.tile(np.arange(n_models) % 2 == 0, (n, 1)), axis=1)
    models = [Skewed(tilt).fit() for tilt in np.linspace(-1, 1, n_models)]
    return as_shadows(models, membership), membership, (X, y)


def as_shadows(models, membership):
    """Return models and their memberships in the form of cross_validate."""
    train = [np.flatnonzero(column) for column in membership.T]
    return {"estimator": models, "indices": {"train": train, "test": [np.flatnonzero(~c) for c in membership.T]}}


class Skewed(Dictated):
    """Answers logits that are stretched, each model in its own way."""

    def __init__(self, tilt=0.0, classes=(0, 1, 2)):
        super().__init__(classes)
        self.tilt = tilt

    def predict_proba(self, X):
        """Return the softmax of the stretched rows."""
        return super().predict_proba(np.asarray(X) * (1 + self.tilt / 4))


# --- leaks are found, and nothing else is --------------------------------------------------------


@pytest.mark.parametrize("mode", ["auto", "offline"])
@pytest.mark.parametrize("Attack", ATTACKS)
def test_mislabeled_members_are_found(Attack, mode):
    """Sixteen shadows show which of the mislabeled digits the target has learned by heart."""
    X, y = digits()
    attack = fitted(Attack, mode=mode)
    scores = attack.score_samples(X, y)
    assert attack.mode_ == ("online" if mode == "auto" else "offline")
    unknown = WRONG & ~KNOWN
    assert roc_auc_score(IS_MEMBER[unknown], scores[unknown]) > 0.85
    assert roc_auc_score(IS_MEMBER[~KNOWN], scores[~KNOWN]) > 0.65
    called = attack.predict(X[unknown], y[unknown])
    assert balanced_accuracy_score(IS_MEMBER[unknown], called) > 0.65


@cache
def exchangeable():
    """Return a pool of digits, forests trained on halves of it, and a target trained on other digits."""
    X, y = load_digits(return_X_y=True)
    pool = X[:800], y[:800]
    forests = train_shadows(RandomForestClassifier(10, random_state=0), *pool, n_shadows=6, random_state=0)
    return pool, forests, RandomForestClassifier(20, random_state=0).fit(X[1200:], y[1200:])


@pytest.mark.parametrize("mode", ["auto", "offline"])
@pytest.mark.parametrize("Attack", ATTACKS)
def test_null(Attack, mode):
    """A target trained on neither side: nothing is found, whatever "members" the attacker is told of."""
    (X, y), forests, elsewhere = exchangeable()
    is_member = np.random.default_rng(0).permutation(np.arange(800) % 2 == 0)
    known = np.arange(800) % 2 == 0
    attack = Attack(forests, pool=(X, y), mode=mode).fit(elsewhere, X[known], y[known], is_member[known])
    low, high = auc_interval(is_member[~known], attack.score_samples(X[~known], y[~known]), confidence_level=0.99)
    assert low < 0.5 < high


BLOBS = make_blobs(201, n_features=4, centers=3, cluster_std=6.0, random_state=0)
LETTERS = np.array(["ant", "bee", "cat"])
KINDS = {
    "neighbors": (KNeighborsClassifier(3), BLOBS[1]),
    "pipeline": (make_pipeline(StandardScaler(), RandomForestClassifier(10, random_state=0)), BLOBS[1]),
    "strings": (RandomForestClassifier(10, random_state=0), LETTERS[BLOBS[1]]),
    "objects": (RandomForestClassifier(10, random_state=0), LETTERS.astype(object)[BLOBS[1]]),
    "binary": (RandomForestClassifier(10, random_state=0), BLOBS[1] == 1),
    "net": (make_net(module__n_features=4, module__n_classes=3, max_epochs=8, lr=0.05), BLOBS[1]),
    "binary net": (make_binary_net(module__n_features=4, max_epochs=8, lr=0.05), (BLOBS[1] == 1).astype(np.float32)),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("Attack", ATTACKS)
def test_any_classifier(Attack, kind):
    """Odd numbers of rows, two classes, labels of any kind, answers of 0 and 1: finite scores, above chance."""
    classifier, y = KINDS[kind]
    X = BLOBS[0].astype(np.float32)
    is_member = np.random.default_rng(1).permutation(np.arange(201) % 2 == 0)
    victim = clone(classifier).fit(X[is_member], y[is_member])
    attack = Attack(estimator=classifier, pool=(X, y), n_shadows=2 if "net" in kind else 6, random_state=0)
    attack.fit(victim, X[:101], y[:101], is_member[:101])
    scores = attack.score_samples(X, y)
    assert np.isfinite(scores).all()
    assert scores.dtype == np.float64
    # The nets are too small to learn rows by heart.
    assert "net" in kind or roc_auc_score(is_member, scores) > 0.6


@pytest.mark.parametrize("Attack", ATTACKS)
def test_missing_classes(Attack):
    """A class that some shadows, or the target, never saw has probability zero there, not that of another class."""
    X, y = BLOBS[0], BLOBS[1].copy()
    y[:3], y[3:9] = 7, 8
    models = train_shadows(KNeighborsClassifier(1), X, y, n_shadows=6, random_state=0)
    assert {len(model.classes_) for model in models["estimator"]} != {5}
    is_member = (np.random.default_rng(0).random(201) < 0.5) & (y != 7)
    is_member[3:9:2] = True
    victim = KNeighborsClassifier(1).fit(X[is_member], y[is_member])
    attack = Attack(models, pool=(X, y)).fit(victim, X, y, is_member)
    scores = attack.score_samples(X, y)
    assert np.isfinite(scores).all()
    assert scores[3:9:2].min() > scores[:3].max()


# --- rows are found by content and label ---------------------------------------------------------


@pytest.mark.parametrize("n_queries", [1, 3])
@pytest.mark.parametrize("Attack", ATTACKS)
def test_scores_do_not_depend_on_other_rows(Attack, n_queries):
    """A row's score is its own, bit by bit: whatever the order, and whatever is asked with it, outsiders included."""
    models, _, (X, y) = dictated_pool(n=60)
    if n_queries == 3 and Attack is LiRAAttack:
        attack = Attack(models, pool=(X[:50], y[:50]), queries=lambda rows: [rows + 1, rows - 1])
    else:
        attack = Attack(models, pool=(X[:50], y[:50]))
    models["indices"] = {side: [part[part < 50] for part in parts] for side, parts in models["indices"].items()}
    attack.fit(Dictated().fit(), X[:50], y[:50], np.arange(50) % 2 == 0)
    with pytest.warns(MembershipWarning):
        scores = attack.score_samples(X, y)
        order = np.random.default_rng(1).permutation(60)
        np.testing.assert_array_equal(attack.score_samples(X[order], y[order]), scores[order])
        np.testing.assert_array_equal(attack.score_samples(X[48:55], y[48:55]), scores[48:55])
        np.testing.assert_array_equal([attack.score_samples(X[i : i + 1], y[i : i + 1])[0] for i in range(60)], scores)


@pytest.mark.parametrize("Attack", ATTACKS)
def test_order_of_the_pool_does_not_matter(Attack):
    """A pool in another order, with its indices renumbered, is the same pool."""
    X, y = digits()
    order = np.random.default_rng(1).permutation(N)
    place = np.argsort(order)
    indices = {side: [place[rows] for rows in parts] for side, parts in shadows()["indices"].items()}
    attack = Attack({"estimator": shadows()["estimator"], "indices": indices}, pool=(X[order], y[order]))
    scores = attack.fit(target(), X[KNOWN], y[KNOWN], IS_MEMBER[KNOWN]).score_samples(X, y)
    np.testing.assert_allclose(scores, fitted(Attack).score_samples(X, y), rtol=1e-9)


@pytest.mark.parametrize("Attack", ATTACKS)
def test_rows_are_found_in_any_form(Attack):
    """Single precision, frames and lists of the pool's rows are the pool's rows."""
    X, y = digits()
    attack, rows = fitted(Attack), slice(0, 20)
    expected = attack.score_samples(X[rows], y[rows])
    with warnings.catch_warnings():
        warnings.simplefilter("error", MembershipWarning)
        for form in (X[rows].astype(np.float32), X[rows].tolist()):
            np.testing.assert_allclose(attack.score_samples(form, list(y[rows])), expected, rtol=1e-4)
    frame, target_of_frames = pd.DataFrame(X).add_prefix("p"), clone(target())
    target_of_frames.fit(frame[IS_MEMBER], y[IS_MEMBER])
    models = train_shadows(target(), frame, y, n_shadows=4, random_state=0)
    of_frames = Attack(models, pool=(frame, y)).fit(target_of_frames, frame, y, IS_MEMBER)
    assert of_frames.mode_ == "online"
    assert roc_auc_score(IS_MEMBER[WRONG], of_frames.score_samples(frame, y)[WRONG]) > 0.8


def test_rows_outside_the_pool_are_scored_offline():
    """They are rows that no shadow was trained on, and so is a row of the pool under another label."""
    X, y = digits()
    strange, label = np.vstack((X[:3] * 0.9, X[20:21])), np.append(y[:3], (y[20] + 1) % 10)
    attack = fitted(LiRAAttack)
    with pytest.warns(MembershipWarning, match="4 of 5 rows are not in the pool"):
        scores = attack.score_samples(np.vstack((strange, X[30:31])), np.append(label, y[30]))
    asked = np.column_stack([logit_signal(*answered(model, strange, label)) for model in shadows()["estimator"]])
    own, pooled = logit_signal(*answered(target(), strange, label)), attack._pooled[1]
    expected = lira_scores(own, asked, np.zeros(asked.shape, dtype=bool), mode="offline")
    # Its spread is the pool's, not that of the rows asked about together.
    spread = np.sqrt(np.mean((asked - asked.mean(axis=1, keepdims=True)) ** 2))
    assert np.corrcoef(scores[:4], expected)[0, 1] > 0.9
    assert spread != pytest.approx(pooled)
    assert scores[4] == pytest.approx(attack.score_samples(X[30:31], y[30:31])[0])


def answered(model, X, y):
    """Return the columns of labels and a model's probabilities."""
    answers = query(model, X, y)
    return answers.y, answers.proba


def test_outsiders_are_called_at_their_own_threshold():
    """Offline scores are shifted so that the threshold of the online ones is that which they would have had alone."""
    X, y = digits()
    attack, offline = fitted(LiRAAttack), fitted(LiRAAttack, mode="offline")
    outside = X * 0.97
    with pytest.warns(MembershipWarning):
        called, alone = attack.predict(outside, y), offline.predict(outside, y)
    np.testing.assert_array_equal(called, alone)
    assert called.any()
    assert not called.all()


@pytest.mark.parametrize("Attack", ATTACKS)
def test_known_rows_outside_the_pool(Attack):
    """With no known row of the pool, everything is offline, unless "online" is insisted on."""
    X, y = digits()
    attack = Attack(shadows(), pool=(X, y))
    with pytest.warns(MembershipWarning, match="300 of 300"):
        attack.fit(target(), X * 0.97, y, IS_MEMBER)
    assert attack.mode_ == "offline"
    with pytest.warns(MembershipWarning), pytest.raises(ValueError, match="mode='online' needs known .* Got 0 members"):
        attack.set_params(mode="online").fit(target(), X * 0.97, y, IS_MEMBER)


@pytest.mark.parametrize("Attack", ATTACKS)
def test_outsiders_of_unknown_classes(Attack):
    """Outside the pool a label that the target does not know can't be told to the shadows."""
    X, y = digits()
    with pytest.raises(ValueError, match="1 rows are not in the pool and have labels that the target does not know"):
        fitted(Attack).score_samples(X[:2] * 0.97, np.array([y[0], 77]))


def test_signals_are_those_of_array_functions():
    """On the whole pool an attack gives what the array function gives for the same signals."""
    X, y = digits()
    models, trained = shadows()["estimator"], shadows()["indices"]["train"]
    membership = np.column_stack([np.isin(np.arange(N), rows) for rows in trained])
    signals = np.column_stack([logit_signal(*answered(model, X, y)) for model in models])
    for mode in ("online", "offline"):
        expected = lira_scores(logit_signal(*answered(target(), X, y)), signals, membership, mode=mode)
        np.testing.assert_allclose(fitted(LiRAAttack, mode=mode).score_samples(X, y), expected, rtol=1e-9)
    confidences = np.column_stack([confidence_signal(*answered(model, X, y)) for model in models])
    own, others = confidence_signal(*answered(target(), X, y)), KNOWN & ~IS_MEMBER
    for mode in ("online", "offline"):
        of_others = {"population_membership": membership[others], "mode": mode}
        expected = rmia_scores(own, confidences, membership, own[others], confidences[others], **of_others)
        np.testing.assert_allclose(fitted(RMIAAttack, mode=mode).score_samples(X, y), expected, atol=1e-12)


# --- who was trained on what ---------------------------------------------------------------------


def signals_of(models, pool):
    """Return the signals and memberships of dictated shadows."""
    return ShadowSignals(models, pool)


def test_memberships_come_from_the_indices():
    """Row by row and model by model, whatever the order of the distinct rows is."""
    models, membership, pool = dictated_pool()
    kept = signals_of(models, pool)
    found, is_in, inside = kept.gather(query(Dictated().fit(), *pool), "logit")
    assert inside.all()
    np.testing.assert_array_equal(is_in, membership)
    expected = np.column_stack([logit_signal(*answered(model, *pool)) for model in models["estimator"]])
    np.testing.assert_array_equal(found[:, :, 0], expected)


def test_copies_in_the_pool_are_one_row():
    """A model trained on any copy was trained on the row; the same content under another label is another row."""
    models, membership, (X, y) = dictated_pool()
    X[1], y[1] = X[0], y[0]
    X[2], y[2] = X[0], (y[0] + 1) % 3
    kept = signals_of(models, (X, y))
    assert len(kept.membership) == 23
    _, is_in, _ = kept.gather(query(Dictated().fit(), X, y), "logit")
    np.testing.assert_array_equal(is_in[0], membership[0] | membership[1])
    np.testing.assert_array_equal(is_in[1], is_in[0])
    np.testing.assert_array_equal(is_in[2:], membership[2:])


def test_rows_that_a_shadow_held_back_are_on_no_side():
    """Neither those in neither list nor those that an estimator itself names, in wrappers or behind a step."""
    models, _, (X, y) = dictated_pool()
    first, second, third, *_ = models["estimator"]
    first.not_trained_on_ = RowSet.of(X[[3, 4]])
    second.calibrated_on_ = RowSet.of(X[[5]])
    scaler = StandardScaler().fit(X)
    third.not_trained_on_ = RowSet.of(scaler.transform(X[[6]]))
    models["estimator"][1] = FrozenEstimator(second)
    models["estimator"][2] = make_pipeline(scaler, third)
    models["indices"]["train"][4] = np.setdiff1d(models["indices"]["train"][4], [7])
    models["indices"]["test"][4] = np.setdiff1d(models["indices"]["test"][4], [7])
    kept = signals_of(models, (X, y))
    found, _, _ = kept.gather(query(Dictated().fit(), X, y), "logit")
    gaps = set(zip(*np.nonzero(np.isnan(found[:, :, 0])), strict=True))
    assert gaps == {(3, 0), (4, 0), (5, 1), (6, 2), (7, 4)}
    assert not stored_rows(models["estimator"][3], X).any.any()


@cache
def defended_shadows():
    """Return a defense that calibrates itself, and shadows with the same defense."""
    neighbors = KNeighborsClassifier(3)
    defended = DefendedClassifier(neighbors, NoiseRegenerator(0.01), selection="matched", calibration_size=0.2)
    return defended, train_shadows(defended, *digits(), n_shadows=4, random_state=0)


@pytest.mark.parametrize("Attack", ATTACKS)
def test_defended_targets(Attack):
    """A defense that calibrates itself is attacked through shadows that do; calibration rows are on no side."""
    X, y = digits()
    defended, models = defended_shadows()
    victim = clone(defended).set_params(random_state=5).fit(X[IS_MEMBER], y[IS_MEMBER])
    usable = ~(victim.not_trained_on_.contains(X) | victim.calibrated_on_.contains(X))
    attack = Attack(models, pool=(X, y)).fit(victim, X[usable], y[usable], IS_MEMBER[usable])
    assert roc_auc_score(IS_MEMBER[usable], attack.score_samples(X[usable], y[usable])) > 0.6
    missing, _, _ = attack.shadow_signals_.gather(query(victim, X, y), "logit")
    for model, of_model in zip(models["estimator"], missing[:, :, 0].T, strict=True):
        aside = model.not_trained_on_.contains(X) | model.calibrated_on_.contains(X)
        np.testing.assert_array_equal(np.isnan(of_model), aside)
        assert aside.sum() > 20


def test_indices_without_test_rows():
    """Where nothing is said about them, all rows that did not train were left out."""
    models, membership, pool = dictated_pool()
    del models["indices"]["test"]
    kept = signals_of(models, pool)
    assert not np.isnan(kept.signals("logit")).any()
    np.testing.assert_array_equal(kept.gather(query(Dictated().fit(), *pool), "logit")[1], membership)


@pytest.mark.parametrize("Attack", ATTACKS)
def test_rows_that_every_shadow_was_trained_on(Attack):
    """Nothing to compare with: an error, not a number. Canaries of the same pool can be scored."""
    X, y = digits()
    canaries = np.arange(0, N, 3)
    models = train_shadows(KNeighborsClassifier(3), X, y, n_shadows=4, canaries=canaries, random_state=0)
    attack = Attack(models, pool=(X, y)).fit(target(), X[canaries], y[canaries], IS_MEMBER[canaries])
    assert np.isfinite(attack.score_samples(X[canaries], y[canaries])).all()
    with pytest.raises(ValueError, match="2 of 3 rows have no shadow that was not .* the first is at position 1"):
        attack.score_samples(X[:3], y[:3])


def test_shadows_of_cross_validate():
    """Any splitter's estimators and indices will do, as cross_validate returns them."""
    X, y = digits()
    made = cross_validate(
        RandomForestClassifier(10, random_state=0), X, y, cv=KFold(5), return_estimator=True, return_indices=True
    )
    forest = RandomForestClassifier(10, random_state=1).fit(X[IS_MEMBER], y[IS_MEMBER])
    attack = LiRAAttack(made, pool=(X, y)).fit(forest, X[KNOWN], y[KNOWN], IS_MEMBER[KNOWN])
    assert roc_auc_score(IS_MEMBER[~KNOWN], attack.score_samples(X[~KNOWN], y[~KNOWN])) > 0.8


# --- estimators ----------------------------------------------------------------------------------


@pytest.mark.parametrize("Attack", ATTACKS)
def test_shadows_are_trained_where_there_are_none(Attack):
    """From an estimator and a pool, the same as with shadows made before from the same seed."""
    X, y = BLOBS
    is_member = np.arange(201) % 2 == 0
    tree = RandomForestClassifier(5, random_state=0)
    victim = clone(tree).fit(X[is_member], y[is_member])
    made = train_shadows(tree, X, y, n_shadows=4, random_state=3)
    expected = Attack(made, pool=(X, y)).fit(victim, X, y, is_member).score_samples(X, y)
    for n_jobs in (None, 2):
        attack = Attack(estimator=tree, pool=(X, y), n_shadows=4, random_state=3, n_jobs=n_jobs)
        with parallel_config("threading"):
            np.testing.assert_array_equal(attack.fit(victim, X, y, is_member).score_samples(X, y), expected)


@pytest.mark.parametrize("Attack", ATTACKS)
def test_shadows_are_kept(Attack, tmp_path, monkeypatch):
    """With a folder, the second fit trains nothing."""
    X, y = BLOBS
    is_member = np.arange(201) % 2 == 0
    victim = KNeighborsClassifier(1).fit(X[is_member], y[is_member])
    settings = {"pool": (X, y), "n_shadows": 4, "random_state": 0, "cache_dir": tmp_path}
    attack = Attack(estimator=KNeighborsClassifier(1), **settings)
    scores = attack.fit(victim, X, y, is_member).score_samples(X, y)
    monkeypatch.setattr(KNeighborsClassifier, "fit", lambda *_: pytest.fail("trained again"))
    np.testing.assert_array_equal(attack.fit(victim, X, y, is_member).score_samples(X, y), scores)


@pytest.mark.parametrize("Attack", ATTACKS)
def test_estimator_conventions(Attack):
    """Parameters, clone, pickle, and a fit that returns the attack itself and changes no parameter."""
    X, y = digits()
    attack = Attack(shadows(), pool=(X, y))
    assert attack.asks_once
    parameters = attack.get_params()
    copy = clone(attack)
    assert type(copy) is Attack
    assert copy.get_params().keys() == parameters.keys()
    assert copy.shadows is attack.shadows
    assert copy.pool is attack.pool
    assert attack.fit(target(), X[KNOWN], y[KNOWN], IS_MEMBER[KNOWN]) is attack
    assert attack.get_params() == parameters
    scores = attack.score_samples(X, y)
    restored = pickle.loads(pickle.dumps(attack))
    np.testing.assert_array_equal(restored.score_samples(X, y), scores)
    assert "_memo" not in vars(restored)
    assert not hasattr(clone(attack), "threshold_")
    inner = clone(Attack(estimator=KNeighborsClassifier(3), pool=(X, y)))
    assert inner.set_params(estimator__n_neighbors=5).get_params()["estimator__n_neighbors"] == 5
    with pytest.raises(NotFittedError):
        clone(attack).score_samples(X, y)
    with pytest.raises(NotFittedError):
        clone(attack).score_answers(query(target(), X, y))


@pytest.mark.usefixtures("untouched_generators")
@pytest.mark.parametrize("Attack", ATTACKS)
def test_shared_answers_give_the_same(Attack):
    """Fitting and scoring shared answers is fitting and scoring."""
    X, y = digits()
    answers = query(target(), X, y)
    attack = Attack(shadows(), pool=(X, y)).fit_answers(answers.take(KNOWN), IS_MEMBER[KNOWN])
    expected = fitted(Attack)
    assert attack.threshold_ == expected.threshold_
    np.testing.assert_array_equal(attack.score_answers(answers), expected.score_samples(X, y))


@pytest.mark.parametrize("Attack", ATTACKS)
def test_clones_ask_the_shadows_once(Attack):
    """Two halves of an audit, and all later ones, share what the shadows answered, until one of them changes."""
    _, membership, (X, y) = dictated_pool(n=40)
    models = as_shadows([Tallied().fit() for _ in range(6)], membership)
    is_member = np.arange(40) % 2 == 0
    original = Attack(models, pool=(X, y))
    Tallied.total.rows.clear()
    for _ in range(3):
        clone(original).fit(Dictated().fit(), X, y, is_member).score_samples(X, y)
    assert Tallied.total.rows == [40] * 6
    X[0] += 1.0
    clone(original).fit(Dictated().fit(), X, y, is_member)
    assert Tallied.total.rows == [40] * 12
    models["estimator"][0].classes_ = np.array([2, 1, 0])
    clone(original).fit(Dictated().fit(), X, y, is_member)
    assert len(Tallied.total.rows) == 18


@pytest.mark.parametrize("Attack", ATTACKS)
def test_the_target_is_asked_once_a_row(Attack):
    """One query a row, of the target; rows of the pool cost the shadows nothing when they are scored."""
    _, membership, (X, y) = dictated_pool(n=40)
    models = as_shadows([Tallied().fit() for _ in range(6)], membership)
    victim = Counting().fit()
    attack = Attack(models, pool=(X, y)).fit(victim, X, y, np.arange(40) % 2 == 0)
    assert sorted(victim.calls_) == [("predict", 40), ("predict_proba", 40)]
    victim.calls_.clear()
    Tallied.total.rows.clear()
    attack.score_samples(X[:7], y[:7])
    assert sorted(victim.calls_) == [("predict", 7), ("predict_proba", 7)]
    assert Tallied.total.rows == []


def test_in_a_scorer():
    """Both stand beside other attacks in the scorer and find more than a threshold on confidence."""
    X, y = digits()
    scorer = AttackScorer(
        ["confidence", ("lira", LiRAAttack(shadows(), pool=(X, y))), ("rmia", RMIAAttack(shadows(), pool=(X, y)))],
        pool=(X, y, IS_MEMBER),
        random_state=0,
    )
    scores = scorer(FrozenEstimator(target()), X, y)
    assert scores["lira_roc_auc"] > scores["confidence_roc_auc"]
    assert scores["rmia_roc_auc"] > scores["confidence_roc_auc"]


# --- what is refused -----------------------------------------------------------------------------

MODELS, MEMBERSHIP, POOL = dictated_pool()


def broken(**changes):
    """Return dictated shadows with a part replaced."""
    return MODELS | changes


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({}, r"Attack needs shadows= with the pool= .* or estimator= and pool="),
        ({"estimator": KNeighborsClassifier()}, "Attack needs shadows="),
        ({"shadows": MODELS}, r"pool must be the tuple \(X, y\) that the shadows were trained on. Got None"),
        ({"shadows": MODELS, "pool": POOL[:1]}, r"pool must be a tuple \(X, y\).* Got tuple of length 1"),
        (
            {"estimator": KNeighborsClassifier(), "pool": POOL[:1]},
            r"pool must be a tuple \(X, y\). Got one of length 1",
        ),
        ({"shadows": MODELS, "pool": (POOL[0], POOL[1][:-1])}, r"one label for each. Got 24 and shape \(23,\)"),
        ({"shadows": MODELS, "pool": (POOL[0][:9], POOL[1][:9])}, "numbers of rows of the pool, from 0 to 8. Got from"),
        ({"shadows": {"estimator": []}, "pool": POOL}, r"what train_shadows returns.* keys \['estimator'\]"),
        ({"shadows": broken(indices={}), "pool": POOL}, "return_indices=True. Got a dict with the keys"),
        (
            {"shadows": broken(estimator=MODELS["estimator"][:5]), "pool": POOL},
            "Got 5 estimators and train indices of 6",
        ),
        ({"shadows": broken(estimator=[], indices={"train": []}), "pool": POOL}, "at least two estimators"),
        (
            {"shadows": broken(indices={"train": [np.array([0.5])] * 6}), "pool": POOL},
            "train indices must be numbers of rows of the pool, from 0 to 23. Got from 0.5 to 0.5",
        ),
        ({"shadows": broken(estimator=[StandardScaler()] * 6), "pool": POOL}, "with predict_proba. Got StandardScaler"),
        ({"shadows": 5}, "'shadows' parameter of"),
        ({"n_shadows": 1}, "'n_shadows' parameter of"),
        ({"n_shadows": 5, "estimator": KNeighborsClassifier(), "pool": POOL}, "n_shadows must be an even integer"),
        ({"mode": "both"}, "'mode' parameter of"),
        ({"estimator": StandardScaler()}, "'estimator' parameter of"),
    ],
)
@pytest.mark.parametrize("Attack", ATTACKS)
def test_bad_parameters(Attack, params, message):
    """What is missing or does not fit together is said, by name."""
    X, y = POOL
    with pytest.raises(ValueError, match=message):
        Attack(**params).fit(Dictated().fit(), X, y, np.arange(24) % 2 == 0)


@pytest.mark.parametrize("Attack", ATTACKS)
def test_a_shadow_is_no_target(Attack):
    """Its answers would be compared with themselves."""
    with pytest.raises(ValueError, match="target must not be one of the shadows"):
        Attack(MODELS, pool=POOL).fit(MODELS["estimator"][2], *POOL, np.arange(24) % 2 == 0)
    with pytest.raises(ValueError, match="target must not be one of the shadows"):
        Attack(MODELS, pool=POOL).fit(FrozenEstimator(MODELS["estimator"][2]), *POOL, np.arange(24) % 2 == 0)


@pytest.mark.parametrize("Attack", ATTACKS)
def test_bad_calls(Attack):
    """Answers without rows, one side only, other lengths."""
    X, y = POOL
    is_member = np.arange(24) % 2 == 0
    attack, victim = Attack(MODELS, pool=POOL), Dictated().fit()
    answers = query(victim, X, y)
    bare = Answers(answers.proba, answers.label, answers.y, answers.classes)
    with pytest.raises(ValueError, match="answers must hold their rows"):
        attack.fit_answers(bare, is_member)
    with pytest.raises(ValueError, match="at least one member and one non-member"):
        attack.fit(victim, X, y, np.ones(24))
    with pytest.raises(ValueError, match=r"one value for each row: shape \(24,\)"):
        attack.fit(victim, X, y, is_member[:-1])
    with pytest.raises(ValueError, match="one label for each of the 24 rows"):
        attack.fit(victim, X, y[:-1], is_member)
    with pytest.raises(TypeError, match="must have predict_proba"):
        attack.fit(Mute(), X, y, is_member)


class Mute(ClassifierMixin, BaseEstimator):
    """Gives labels only."""

    def predict(self, X):
        """Answer zeros."""
        return np.zeros(len(X), dtype=int)

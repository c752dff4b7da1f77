"""What must hold for attacks on signals of an answer, and for the thresholds that they learn."""

import pickle
from functools import cache

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import make_blobs
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.utils.validation import check_is_fitted

from skdiffence import attacks
from skdiffence.attacks import NonMonotoneAttack, ThresholdAttack, get_attack, query
from skdiffence.attacks._known_rows import best_threshold
from skdiffence.base import MembershipAttack
from skdiffence.metrics import auc_interval, confidence_signal, entropy_signal, label_columns
from tests.attacks.targets import Dictated, logits, normal, planted

OF_LABELS = ["correctness", "label_only_reference"]
ON_CONFIDENCE = ["confidence", "entropy", "logit", "loss", "modified_entropy", "non_monotone"]
NAMES = sorted(OF_LABELS + ON_CONFIDENCE)
SIGNALS = ["correctness", *ON_CONFIDENCE[:-1]]
LETTERS = np.array(["ant", "bee", "cat"])


def _attack(name):
    attack = get_attack(name)
    fast = {"random_state": 0, "n_estimators": 30}
    return attack.set_params(**{key: value for key, value in fast.items() if key in attack.get_params()})


def _halves(n):
    return np.arange(n) % 2 == 0


def _auc(name, target, X, y, is_member):
    """Fit to every other row, score the rest."""
    known = _halves(len(X))
    attack = _attack(name).fit(target, X[known], y[known], is_member[known])
    return roc_auc_score(is_member[~known], attack.score_samples(X[~known], y[~known]))


@cache
def _memorizing_forest(share_mislabeled):
    """Return a deep forest with its members and as many non-members, some with a wrong label."""
    X, y = make_blobs(1200, n_features=8, centers=3, cluster_std=6.0, random_state=0)
    rng = np.random.default_rng(0)
    y = np.where(rng.random(1200) < share_mislabeled, (y + 1) % 3, y)
    is_member = rng.permutation(_halves(1200))
    return RandomForestClassifier(30, random_state=0).fit(X[is_member], y[is_member]), X, y, is_member


@pytest.mark.parametrize("name", NAMES)
def test_null(name):
    """A target trained on neither side: nothing is found, whatever "members" the attacker is told of."""
    X, y = make_blobs(1500, n_features=8, centers=3, cluster_std=6.0, random_state=0)
    target = RandomForestClassifier(30, random_state=0).fit(X[:300], y[:300])
    X, y = X[300:], y[300:]
    is_member = np.random.default_rng(0).permutation(_halves(1200))
    known = _halves(1200)
    attack = _attack(name).fit(target, X[known], y[known], is_member[known])
    low, high = auc_interval(is_member[~known], attack.score_samples(X[~known], y[~known]), confidence_level=0.99)
    assert low < 0.5 < high


@pytest.mark.parametrize("name", NAMES)
def test_memorizer_is_found(name):
    """A deep forest knows its members by heart; with wrong labels among them, even its labels tell."""
    target, X, y, is_member = _memorizing_forest(0.3 if name in OF_LABELS else 0.0)
    assert _auc(name, target, X, y, is_member) > 0.6


@pytest.mark.parametrize("name", NAMES)
def test_memorizer_is_called(name):
    """Calls beat chance on rows that the attacker did not know, and are the scores at the threshold."""
    target, X, y, is_member = _memorizing_forest(0.3)
    known = _halves(len(X))
    attack = _attack(name).fit(target, X[known], y[known], is_member[known])
    called = attack.predict(X[~known], y[~known])
    assert called.dtype == bool
    np.testing.assert_array_equal(called, attack.score_samples(X[~known], y[~known]) >= attack.threshold_)
    # Mislabeled rows blur what the entropy tells: it knows nothing of labels.
    assert balanced_accuracy_score(is_member[~known], called) > (0.5 if name == "entropy" else 0.58)


@pytest.mark.parametrize("name", ["confidence", "correctness", "logit", "loss", "modified_entropy", "non_monotone"])
def test_nearest_neighbor_is_found(name):
    """A 1-nearest-neighbor target answers 0 and 1 only: all ties, and a wrong label tells a non-member."""
    _, X, y, is_member = _memorizing_forest(0.3)
    target = KNeighborsClassifier(1).fit(X[is_member], y[is_member])
    assert _auc(name, target, X, y, is_member) > 0.6


@pytest.mark.parametrize("name", ON_CONFIDENCE)
def test_direction_is_learned(name):
    """A target less sure of members than of others is attacked the other way round."""
    found = [_auc(name, Dictated().fit(), *planted(*phis)) for phis in [(normal(4), normal(2)), (normal(2), normal(4))]]
    assert min(found) > 0.75


def test_direction_of_correctness():
    """The same of the label alone: members answered wrongly more often."""
    rows = planted(normal(-0.5), normal(1.5))
    assert _auc("correctness", Dictated().fit(), *rows) > 0.6
    assert ThresholdAttack("correctness").fit(Dictated().fit(), *rows).direction_ == -1


def _middle():
    ends = lambda rng, n: rng.normal(3, 0.3, size=n) + 2 * rng.choice([-1, 1], size=n)  # noqa: E731
    return planted(normal(3, 0.3), ends, n=600)


def test_members_in_the_middle():
    """No threshold finds members that are answered too ordinarily; the forest finds nearly all."""
    X, y, is_member = _middle()
    found = {name: _auc(name, Dictated().fit(), X, y, is_member) for name in NAMES}
    assert found["non_monotone"] > 0.95
    assert max(found[name] for name in NAMES if name != "non_monotone") < 0.65


@pytest.mark.parametrize("name", NAMES)
def test_scores_do_not_depend_on_other_rows(name):
    """A row's score is its own, bit by bit: whatever the order, and whatever is asked with it."""
    target, X, y, is_member = _memorizing_forest(0.3)
    attack = _attack(name).fit(target, X[:600], y[:600], is_member[:600])
    scores = attack.score_samples(X[600:], y[600:])
    order = np.random.default_rng(1).permutation(600)
    np.testing.assert_array_equal(attack.score_samples(X[600:][order], y[600:][order]), scores[order])
    np.testing.assert_array_equal(attack.score_samples(X[600:607], y[600:607]), scores[:7])
    assert scores.dtype == np.float64
    assert scores.shape == (600,)


@pytest.mark.parametrize("threshold", ["global", "per_class"])
@pytest.mark.parametrize("name", SIGNALS)
def test_order_of_known_rows_does_not_matter(name, threshold):
    """Known rows in another order teach a threshold attack the same."""
    X, y, is_member = planted(normal(2), normal(1))
    order = np.random.default_rng(1).permutation(len(X))
    target = Dictated().fit()
    one, two = (
        ThresholdAttack(name, threshold=threshold).fit(target, X[rows], y[rows], is_member[rows]).score_samples(X, y)
        for rows in (slice(None), order)
    )
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("name", NAMES)
def test_ties(name):
    """With nothing but equal answers, no row is told from another, and nothing breaks."""
    is_member = _halves(40)
    X, y = logits(np.ones(40), np.zeros(40, dtype=int)), np.zeros(40, dtype=int)
    attack = _attack(name).fit(Dictated().fit(), X, y, is_member)
    scores = attack.score_samples(X, y)
    assert len(np.unique(scores)) == 1
    assert roc_auc_score(is_member, scores) == 0.5
    assert len(np.unique(attack.predict(X, y))) == 1


@pytest.mark.parametrize("name", ["confidence", "logit", "loss", "modified_entropy"])
def test_tied_scores_have_scikit_learns_auc(name):
    """On answers of few values, the attack's AUC is that of the tied whole numbers behind them."""
    X, y, is_member = planted(normal(2), normal(1))
    phi = np.round(X[np.arange(len(y)), y]).astype(int)
    attack = _attack(name).fit(Dictated().fit(), logits(phi, y), y, is_member)
    # The last bits of a sum depend on its order.
    scores = np.round(attack.score_samples(logits(phi, y), y), 9)
    assert len(np.unique(scores)) == len(np.unique(phi)) < 12
    assert roc_auc_score(is_member, scores) == pytest.approx(roc_auc_score(is_member, phi), abs=1e-12)


@pytest.mark.parametrize("dtype", ["text", "object", "spaced"])
@pytest.mark.parametrize("name", NAMES)
def test_labels_of_any_kind(name, dtype):
    """Labels are names: other names, the same scores."""
    X, y, is_member = planted(normal(2), normal(0))
    names = {"text": LETTERS, "object": LETTERS.astype(object), "spaced": np.array([0, 10, 20])}[dtype]
    expected = _attack(name).fit(Dictated().fit(), X, y, is_member).score_samples(X, y)
    target = Dictated(tuple(names)).fit()
    scores = _attack(name).fit(target, X, names[y], is_member).score_samples(X, names[y])
    np.testing.assert_array_equal(scores, expected)
    as_list = _attack(name).fit(target, X, list(names[y]), list(is_member)).score_samples(X, list(names[y]))
    np.testing.assert_array_equal(as_list, expected)


@pytest.mark.parametrize("threshold", ["global", "per_class"])
@pytest.mark.parametrize("name", NAMES)
def test_classes_missing_from_known_rows(name, threshold):
    """Classes that the attacker knows no row of, and one that the target does not know either."""
    X, y, is_member = planted(normal(3), normal(0))
    known = (y < 2) & _halves(len(y))
    attack = ThresholdAttack(name, threshold=threshold) if name in SIGNALS else _attack(name)
    attack.fit(Dictated().fit(), X[known], y[known], is_member[known])
    y = np.where(np.arange(len(y)) < 5, 99, y)
    scores = attack.score_samples(X, y)
    assert np.isfinite(scores).all()
    unseen = y == 2
    assert roc_auc_score(is_member[unseen], scores[unseen]) > (0.6 if name in OF_LABELS else 0.7)


@pytest.mark.parametrize("n", [4, 5, 37])
@pytest.mark.parametrize("name", NAMES)
def test_binary_and_odd_numbers_of_rows(name, n):
    """Two classes and few rows, the sides of unequal size, numbers in place of booleans."""
    X, y, is_member = planted(normal(3), normal(0), n=n, n_classes=2)
    attack = _attack(name).fit(Dictated((0, 1)).fit(), X, y, is_member.astype(int))
    assert np.isfinite(attack.score_samples(X, y)).all()
    assert attack.predict(X, y).shape == (n,)
    assert attack.predict(X[:1], y[:1]).shape == (1,)


@pytest.mark.parametrize("name", NAMES)
def test_estimator_conventions(name):
    """Clone, parameters, pickle, repr, and a fit that returns the attack itself."""
    X, y, is_member = planted(normal(2), normal(0), n=60)
    attack = _attack(name)
    assert isinstance(attack, MembershipAttack)
    assert type(attack)(**attack.get_params()).get_params() == attack.get_params()
    assert clone(attack).get_params() == attack.get_params()
    assert repr(attack).startswith(type(attack).__name__)
    assert attack.fit(Dictated().fit(), X, y, is_member) is attack
    check_is_fitted(attack)
    scores = attack.score_samples(X, y)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(attack)).score_samples(X, y), scores)
    np.testing.assert_array_equal(clone(attack).fit(Dictated().fit(), X, y, is_member).score_samples(X, y), scores)
    with pytest.raises(NotFittedError):
        clone(attack).score_samples(X, y)


@pytest.mark.usefixtures("untouched_generators")
@pytest.mark.parametrize("name", NAMES)
def test_shared_answers_give_the_same(name):
    """Fitting and scoring shared answers is fitting and scoring, and draws from no global generator."""
    X, y, is_member = planted(normal(2), normal(0), n=100)
    target = Dictated().fit()
    answers = query(target, X, y)
    shared = _attack(name).fit_answers(answers, is_member)
    alone = _attack(name).fit(target, X, y, is_member)
    np.testing.assert_array_equal(shared.score_answers(answers), alone.score_samples(X, y))
    assert shared.threshold_ == alone.threshold_
    get_attack(name).fit(target, X, y, is_member)
    with pytest.raises(NotFittedError):
        shared.score_samples(X, y)  # it was given answers, but nobody to ask


@pytest.mark.parametrize("name", NAMES)
def test_unfitted(name):
    """Nothing is scored or called before fit."""
    X, y, _ = planted(normal(2), normal(0), n=10)
    answers = query(Dictated().fit(), X, y)
    for ask in (lambda a: a.score_samples(X, y), lambda a: a.predict(X, y), lambda a: a.score_answers(answers)):
        with pytest.raises(NotFittedError, match="not fitted yet"):
            ask(_attack(name))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("is_member", "message"),
    [
        ([True] * 6, "at least one member and one non-member"),
        ([False] * 6, "at least one member and one non-member"),
        ([True, False], r"one value for each row: shape \(6,\). Got shape \(2,\)"),
        ([[True]] * 6, r"Got shape \(6, 1\)"),
        ([0, 1, 2, 0, 1, 2], "True for members and False for non-members"),
        ([0.2, 1, 0, 1, 0, 1], "True for members and False for non-members"),
        ([np.nan, 1, 0, 1, 0, 1], "True for members and False for non-members"),
        (["in", "out"] * 3, "True for members and False for non-members"),
    ],
)
def test_bad_memberships(name, is_member, message):
    """What is known must be known of each row, and of both sides; the target is not asked otherwise."""
    with pytest.raises(ValueError, match=message):
        _attack(name).fit(None, np.zeros((6, 3)), np.zeros(6, dtype=int), is_member)


@pytest.mark.parametrize("name", ON_CONFIDENCE)
def test_targets_that_answer_logits(name):
    """What is not probabilities is refused, not scored."""
    X, y, is_member = planted(normal(2), normal(0), n=20)
    target = Dictated().fit()
    target.predict_proba = lambda X: np.asarray(X)
    with pytest.raises(ValueError, match="Are these logits"):
        _attack(name).fit(target, X, y, is_member)


@pytest.mark.parametrize(
    ("attack", "message"),
    [
        (ThresholdAttack("margin"), "'signal' parameter of ThresholdAttack"),
        (ThresholdAttack(threshold="local"), "'threshold' parameter of ThresholdAttack"),
        (NonMonotoneAttack(n_estimators=0), "'n_estimators' parameter of NonMonotoneAttack"),
        (NonMonotoneAttack(min_samples_leaf=0), "'min_samples_leaf' parameter of NonMonotoneAttack"),
        (NonMonotoneAttack(random_state="a"), "'random_state' parameter of NonMonotoneAttack"),
    ],
)
def test_bad_parameters(attack, message):
    """Parameters are checked when fitting."""
    with pytest.raises(ValueError, match=message):
        attack.fit(Dictated().fit(), *planted(normal(2), normal(0), n=20))


@pytest.mark.parametrize("name", ["phi", "", None, 3, ["loss"]])
def test_bad_names(name):
    """A name that is none is answered with those there are."""
    with pytest.raises(ValueError, match="name must be one of .*'confidence'.*'non_monotone'"):
        get_attack(name)


def test_names():
    """Each name gives a new attack; what the package announces is sorted."""
    assert sorted(NAMES) == NAMES
    assert all(get_attack(name) is not get_attack(name) for name in NAMES)
    assert attacks.__all__ == sorted(attacks.__all__)


@pytest.mark.parametrize("ties", [False, True])
def test_best_threshold_is_the_best(ties):
    """No other threshold has a higher balanced accuracy, one that accuses nobody among them."""
    for seed in range(6):
        rng = np.random.default_rng(seed)
        is_member = rng.permutation(np.arange(31) < 11)
        scores = rng.normal(size=31) + is_member * rng.normal()
        scores = np.round(scores) if ties else scores
        reached = balanced_accuracy_score(is_member, scores >= best_threshold(is_member, scores))
        best = max(balanced_accuracy_score(is_member, scores >= t) for t in [*scores, np.inf])
        assert reached == pytest.approx(best)


@pytest.mark.parametrize(
    ("members", "others", "expected"),
    [
        ([3.0, 4.0], [1.0, 2.0], 2.5),
        ([1.0, 4.0], [0.0, 2.0], 3.0),  # as good as 0.5, and accuses fewer
        ([1.0, 1.0], [1.0, 1.0], np.nextafter(1.0, 2)),  # nobody
        ([1.0], [2.0], np.nextafter(2.0, 3)),
        ([np.nextafter(1.0, 2)], [1.0], np.nextafter(1.0, 2)),  # neighbors have no middle
        ([8e307], [-8e307], 0.0),  # neither do they overflow
    ],
)
def test_best_threshold_by_hand(members, others, expected):
    """Halfway between the scores that it separates; the highest of equally good ones."""
    is_member = np.repeat([True, False], [len(members), len(others)])
    assert best_threshold(is_member, np.array(members + others)) == expected


def test_score_at_the_threshold_calls_a_member():
    """Rows that score at least the threshold are called members, so the row at the threshold is one."""
    X, y, is_member = planted(normal(2), normal(1), n=40)
    attack = ThresholdAttack("logit").fit(Dictated().fit(), X, y, is_member)
    scores = attack.score_samples(X, y)
    attack.threshold_ = np.sort(scores)[-10]
    assert attack.predict(X, y).sum() == 10


def test_per_class_thresholds_by_hand():
    """One threshold a class; the global one for a class of one side only, and for unknown classes."""
    p = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.35])
    y = np.array([0, 0, 0, 0, 1, 1, 1, 1, 2])
    is_member = np.array([1, 1, 0, 0, 1, 1, 0, 0, 1], dtype=bool)
    X = logits(np.log(p / (1 - p)), y)
    attack = ThresholdAttack("confidence", threshold="per_class").fit(Dictated().fit(), X, y, is_member)
    # Globally: from 0.35 on, all five members and two of four others, against two members and none from 0.75 on.
    np.testing.assert_allclose(attack.class_thresholds_, [0.75, 0.35, 0.325, 0.325])
    assert attack.threshold_ == 0
    np.testing.assert_array_equal(attack.predict(X, y), is_member)
    np.testing.assert_allclose(attack.score_samples(X, y), p - attack.class_thresholds_[y], atol=1e-12)
    # A class without a column has probability zero.
    np.testing.assert_allclose(attack.score_samples(X[:1], [7]), -0.325)


def test_per_class_thresholds_help_where_classes_differ():
    """Classes answered with unlike confidence: one threshold for all misses what one for each finds."""
    X, y, is_member = planted(normal(1, 0.3), normal(0, 0.3), n=900)
    X = X * (1 + 3 * y[:, None])
    known = _halves(len(X))
    accuracy = {}
    for threshold in ("global", "per_class"):
        attack = ThresholdAttack("logit", threshold=threshold)
        attack.fit(Dictated().fit(), X[known], y[known], is_member[known])
        accuracy[threshold] = balanced_accuracy_score(is_member[~known], attack.predict(X[~known], y[~known]))
    assert accuracy["per_class"] > accuracy["global"] + 0.05


def test_threshold_scores_are_the_signal():
    """Scores are the signal, turned round if members have less of it."""
    for phis, direction in (((normal(4), normal(2)), 1), ((normal(2), normal(4)), -1)):
        X, y, is_member = planted(*phis)
        target = Dictated(tuple(LETTERS)).fit()
        proba = target.predict_proba(X)
        expected = {"confidence": confidence_signal(label_columns(LETTERS[y], LETTERS), proba)}
        expected["entropy"] = entropy_signal(None, proba)
        for name, signal in expected.items():
            attack = ThresholdAttack(name).fit(target, X, LETTERS[y], is_member)
            assert attack.direction_ == direction
            np.testing.assert_array_equal(attack.score_samples(X, LETTERS[y]), direction * signal)


def test_correctness_follows_the_predicted_label():
    """Where predict is not the argmax of predict_proba, as in some SVMs, the label attack goes by predict."""

    class Contrary(Dictated):
        def predict(self, X):
            return self.classes_[np.argmin(X, axis=1)]

    X, y = np.eye(3), np.arange(3)
    answers = query(Contrary().fit(), X, y)
    assert not answers.correct.all()
    attack = ThresholdAttack("correctness").fit_answers(answers, [True, False, True])
    np.testing.assert_array_equal(np.abs(attack.score_answers(answers)), answers.correct)


def test_forest_threshold_is_learned_out_of_bag():
    """The forest's own rows do not flatter its threshold: few false alarms on rows that it did not know."""
    X, y, is_member = planted(normal(2), normal(1.5), n=1200)
    known = np.arange(1200) < 600
    attack = NonMonotoneAttack(random_state=0).fit(Dictated().fit(), X[known], y[known], is_member[known])
    called = attack.predict(X[~known], y[~known])
    assert 0.1 < called[~is_member[~known]].mean() < 0.75
    assert balanced_accuracy_score(is_member[~known], called) > 0.53


def test_forest_seeds():
    """One seed, one forest; no seed, a new one."""
    rows = planted(normal(2), normal(1))
    one, same, other = (
        NonMonotoneAttack(n_estimators=5, random_state=seed).fit(Dictated().fit(), *rows).score_samples(*rows[:2])
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()

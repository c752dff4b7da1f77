"""What must hold for every attack on a regeneration defense, and the list of them."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import roc_auc_score
from sklearn.utils.validation import check_is_fitted

from skdiffence.attacks import FallbackAttack, SurrogateRegenerationAttack, attacks_on_regeneration
from skdiffence.base import MembershipAttack
from skdiffence.metrics import auc_interval
from skdiffence.model_selection import AttackScorer
from tests.attacks.adaptive.auxiliary import Scaled, Selecting, every_attack
from tests.attacks.targets import Dictated, normal, planted

NAMES = sorted(every_attack())
KNOWN = np.arange(400) % 2 == 0
LETTERS = np.array(["ant", "bee", "cat"])


def _fitted(name, rows, known=KNOWN, target=None):
    X, y, is_member = rows
    return every_attack()[name].fit(target or Selecting().fit(), X[known], y[known], is_member[known])


@pytest.mark.parametrize("name", NAMES)
def test_null(name):
    """Members and others that are answered alike are not told apart."""
    X, y, is_member = planted(normal(1), normal(1), n=1200)
    known = np.arange(1200) % 2 == 0
    scores = _fitted(name, (X, y, is_member), known).score_samples(X[~known], y[~known])
    low, high = auc_interval(is_member[~known], scores, confidence_level=0.99)
    assert low < 0.5 < high


@pytest.mark.parametrize("surer", ["members", "others"])
@pytest.mark.parametrize("name", NAMES)
def test_direction_is_learned(name, surer):
    """Members are found whether they are the surer or the less sure ones."""
    X, y, is_member = planted(*((normal(3), normal(1)) if surer == "members" else (normal(1), normal(3))))
    attack = _fitted(name, (X, y, is_member))
    assert roc_auc_score(is_member[~KNOWN], attack.score_samples(X[~KNOWN], y[~KNOWN])) > 0.75
    called = attack.predict(X[~KNOWN], y[~KNOWN])
    assert called.dtype == bool
    assert (called == is_member[~KNOWN]).mean() > 0.65


@pytest.mark.parametrize("name", NAMES)
def test_a_score_is_the_row_s_own(name):
    """Other rows, their order and the order of the known rows change no score."""
    X, y, is_member = planted(normal(2), normal(1))
    attack = _fitted(name, (X, y, is_member))
    scores = attack.score_samples(X, y)
    order = np.random.default_rng(1).permutation(400)
    np.testing.assert_array_equal(attack.score_samples(X[order], y[order]), scores[order])
    np.testing.assert_array_equal(attack.score_samples(X[:1], y[:1]), scores[:1])
    shuffled = _fitted(name, (X[order], y[order], is_member[order]), KNOWN[order])
    np.testing.assert_allclose(shuffled.score_samples(X, y), scores, rtol=1e-9, atol=1e-9)
    assert shuffled.threshold_ == pytest.approx(attack.threshold_, abs=1e-9)
    assert (scores.dtype, scores.shape) == (np.float64, (400,))


@pytest.mark.parametrize("name", NAMES)
def test_estimator_conventions(name):
    """Clone, parameters, pickle, repr, and a fit that returns the attack itself."""
    X, y, is_member = planted(normal(2), normal(0), n=60)
    attack = every_attack()[name]
    assert isinstance(attack, MembershipAttack)
    assert not attack.asks_once
    params = attack.get_params(deep=False)
    assert type(attack)(**params).get_params(deep=False) == params
    assert repr(attack).startswith(type(attack).__name__)
    assert attack.fit(Selecting().fit(), X, y, is_member) is attack
    check_is_fitted(attack)
    scores = attack.score_samples(X, y)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(attack)).score_samples(X, y), scores)
    np.testing.assert_array_equal(clone(attack).fit(Selecting().fit(), X, y, is_member).score_samples(X, y), scores)
    for ask in (clone(attack).score_samples, clone(attack).predict):
        with pytest.raises(NotFittedError, match="not fitted yet"):
            ask(X, y)


@pytest.mark.usefixtures("untouched_generators")
@pytest.mark.parametrize("name", NAMES)
def test_no_global_generator_is_used(name):
    """Without a ``random_state`` seeds come from the operating system."""
    X, y, is_member = planted(normal(2), normal(0), n=20)
    attack = every_attack()[name]
    if "random_state" in attack.get_params():
        attack.set_params(random_state=None)
    attack.fit(Selecting().fit(), X, y, is_member).score_samples(X, y)


@pytest.mark.parametrize("name", NAMES)
def test_labels_of_any_kind(name):
    """Labels are names, and may come as a list."""
    X, y, is_member = planted(normal(2), normal(0), n=60)
    attack = every_attack()[name]
    for part in ("undefended", "surrogate"):
        if attack.get_params().get(part) is not None:
            attack.set_params(**{part: FrozenEstimator(Dictated(tuple(LETTERS)).fit())})
    attack.fit(Selecting(tuple(LETTERS)).fit(), X, list(LETTERS[y]), list(is_member))
    expected = _fitted(name, (X, y, is_member), slice(None)).score_samples(X, y)
    np.testing.assert_array_equal(attack.score_samples(X, list(LETTERS[y])), expected)


@pytest.mark.parametrize("n", [2, 3, 9])
@pytest.mark.parametrize("name", NAMES)
def test_few_known_rows(name, n):
    """One row of each side is enough to learn from, badly."""
    X, y, _ = planted(normal(3), normal(0), n=n)
    attack = _fitted(name, (X, y, np.arange(n) % 2 == 0), slice(None))
    assert np.isfinite(attack.score_samples(X, y)).all()
    assert np.isfinite(attack.threshold_)


@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.uint8])
@pytest.mark.parametrize("name", [name for name in NAMES if name not in {"cost", "fallback, bare model known"}])
def test_rows_are_asked_about_in_their_own_dtype(name, dtype):
    """A target that was trained on bytes is asked about bytes, with bytes' limits."""
    rows = np.random.default_rng(0).integers(256, size=(40, 3)).astype(dtype)
    rows[0], rows[1] = 0, 255

    class Watching(Selecting):
        def predict_proba(self, X):
            assert X.dtype == dtype
            return Dictated.predict_proba(self, np.asarray(X, dtype=np.float64) / 255)

    attack = every_attack()[name].fit(Watching().fit(), rows, np.arange(40) % 3, np.arange(40) % 2)
    assert np.isfinite(attack.score_samples(rows, np.arange(40) % 3)).all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("is_member", "message"),
    [
        ([True] * 6, "at least one member and one non-member"),
        ([True, False], r"one value for each row: shape \(6,\)"),
        ([0, 1, 2] * 2, "True for members"),
    ],
    ids=["one side", "too few", "no memberships"],
)
def test_bad_memberships(name, is_member, message):
    """What is known must be known of each row and of both sides; the target is not asked otherwise."""
    target = Selecting().fit()
    with pytest.raises(ValueError, match=message):
        every_attack()[name].fit(target, np.zeros((6, 3)), np.zeros(6, dtype=int), is_member)
    assert not target.calls_


CHANGING = [name for name in NAMES if name not in {"cost", "fallback, bare model known"}]


@pytest.mark.parametrize("name", CHANGING)
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (pd.DataFrame, "numeric array .* Got DataFrame"),
        (lambda X: X.astype(str), "numeric array .* Got ndarray of dtype <U"),
        (lambda X: np.where(X > 1, np.nan, X), "finite in float32"),
        (lambda X: X * 1e300, "finite in float32"),
        (lambda X: X[:, 0], r"numeric array .* shape \(20,\)"),
    ],
    ids=["frame", "text", "missing", "overflow", "one column"],
)
def test_rows_that_cannot_be_changed(name, spoil, message):
    """Rows must be numbers, in an array; nothing is asked otherwise, neither while fitting nor while scoring."""
    X, y, is_member = planted(normal(2), normal(0), n=20)
    target = Selecting().fit()
    with pytest.raises(ValueError, match=message):
        every_attack()[name].fit(target, spoil(X), y, is_member)
    attack = every_attack()[name].fit(target, X, y, is_member)
    target.calls_.clear()
    with pytest.raises(ValueError, match=message):
        attack.score_samples(spoil(X), y)
    assert not target.calls_


@pytest.mark.parametrize("name", CHANGING)
def test_rows_of_another_shape(name):
    """Rows to score have the shape of those that were known, and there is at least one."""
    X, y, is_member = planted(normal(2), normal(0), n=20)
    attack = _fitted(name, (X, y, is_member), slice(None))
    with pytest.raises(ValueError, match=r"rows of shape \(3,\), as in fit. Got shape \(20, 2\)"):
        attack.score_samples(X[:, :2], y)
    with pytest.raises(ValueError, match="at least one row"):
        attack.score_samples(X[:0], y[:0])


@pytest.mark.parametrize("name", NAMES)
def test_labels_that_are_too_few(name):
    """X and y must be of one length."""
    X, y, is_member = planted(normal(2), normal(0), n=20)
    with pytest.raises(ValueError, match="y must hold one label for each of the 20 rows of X"):
        every_attack()[name].fit(Selecting().fit(), X, y[:5], is_member)


@pytest.mark.parametrize(
    ("make", "parameter"),
    [(FallbackAttack, "undefended"), (lambda own: SurrogateRegenerationAttack(Scaled(0.5), own), "surrogate")],
)
def test_classifiers_of_the_attacker(make, parameter):
    """They must be fitted, which cloning undoes, and know the target's classes."""
    X, y, is_member = planted(normal(2), normal(0), n=20)
    attack = clone(make(RandomForestClassifier(5).fit(X, y)))
    with pytest.raises(NotFittedError, match=rf"{parameter} must be fitted.*FrozenEstimator\({parameter}\)"):
        attack.fit(Selecting().fit(), X, y, is_member)
    with pytest.raises(ValueError, match=rf"{parameter} must have the target's classes, \[0, 1, 2\]. Got \[1, 2, 3\]"):
        make(RandomForestClassifier(5).fit(X, y + 1)).fit(Selecting().fit(), X, np.ones_like(y), is_member)


def test_the_list_by_what_the_attacker_has():
    """A denoiser, a target that counts its work and a number of queries each add to the list or change it."""
    repeated = {"non_monotone", "repeated_exact", "repeated_gray", "repeated_quantum", "repeated_ulp"}
    assert set(attacks_on_regeneration()) == repeated | {"contrast"}
    assert set(attacks_on_regeneration(target=Selecting())) == repeated | {"contrast", "answer_cost"}
    with_denoiser = attacks_on_regeneration(Scaled(0.5), target=Dictated(), k=4, random_state=3)
    assert set(with_denoiser) == repeated | {"precompensated_1", "precompensated_4", "surrogate"}
    assert with_denoiser["repeated_ulp"].get_params()["k"] == 4
    assert all(attack.random_state == 3 for attack in with_denoiser.values())


@pytest.mark.parametrize(
    ("params", "message"),
    [({"k": 1}, "'k' parameter"), ({"regenerator": 3}, "'regenerator' parameter"), ({"target": 3}, "'target'")],
)
def test_bad_parameters_of_the_list(params, message):
    """What the list is made from is checked at once."""
    with pytest.raises(ValueError, match=message):
        attacks_on_regeneration(**params)


def test_the_list_is_what_a_scorer_takes():
    """All of them run inside ``AttackScorer``, which clones them, and find a forest that knows its rows by heart."""
    X, y = (part[:240] for part in load_digits(return_X_y=True))
    is_member = np.arange(240) % 2 == 0
    forest = RandomForestClassifier(15, random_state=0).fit(X[is_member], y[is_member])
    attacks = attacks_on_regeneration(Scaled(0.9), target=forest, k=2, random_state=0)
    attacks["non_monotone"].set_params(n_estimators=10)
    scorer = AttackScorer(list(attacks.items()), pool=(X, y, is_member), metrics=["roc_auc"], random_state=0)
    numbers = scorer(FrozenEstimator(forest), X, y)
    assert all(numbers[f"{name}_roc_auc"] > 0.75 for name in attacks)

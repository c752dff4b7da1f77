"""Nine properties that every attack has, each of which some auditing tool was once found without.

(a) A target that saw neither side gives nothing away. (b) A memorizer is found, the right way round. (c) The order of
rows does not matter. (d) Ties are ties. (e) Shadows are trained anew when anything changed. (f) A score is monotone in
its own signal. (g) Intervals cover: ``tests/metrics``. (h) Every row is in half of the shadows. (i) It works on what
people have: pipelines, neighbors, two classes, a class never seen, an odd number of rows, labels of text.
"""

import pickle
from functools import cache

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import Bunch, estimator_checks

from skdiffence.attacks import LiRAAttack, ThresholdAttack, train_shadows
from skdiffence.metrics import auc_interval, tpr_at_fpr_score
from tests.attacks.cases import (
    CASES,
    COVERED,
    N_FEATURES,
    N_ROWS,
    OF_SHADOWS,
    OFFERED,
    fit,
    parts,
    rows,
    shadows,
    world,
)

pytestmark = [
    pytest.mark.filterwarnings("ignore::skdiffence.exceptions.MembershipWarning"),
    pytest.mark.usefixtures("untouched_generators"),
]
EVERY = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def without(exemption):
    """Parametrize over the cases that a property applies to."""
    return pytest.mark.parametrize("case", [c for c in CASES if exemption not in c.exempt], ids=lambda case: case.name)


def scores_of(case, kind, *, many=False, **changes):
    """Fit to a world and score its other rows."""
    of_kind, _, scored = parts(case, kind, many=many)
    y = changes.get("y", of_kind.y)
    return fit(case, kind, many=many, **changes).score_samples(of_kind.X[scored], y[scored]), of_kind.is_member[scored]


def test_every_attack_is_here():
    """A new attack joins this suite or the suite fails."""
    assert COVERED >= OFFERED


# (a)
@EVERY
def test_null(case):
    """Members of no training set are told from others no better than by a guess."""
    scores, is_member = scores_of(case, "null", many=True)
    low, high = auc_interval(is_member, scores, confidence_level=0.99)
    assert low < 0.5 < high


# (b)
@EVERY
def test_memorizer(case):
    """A forest that knows its members by heart is found, with members scored higher."""
    scores, is_member = scores_of(case, "memorizer", many=True)
    low, _ = auc_interval(is_member, scores, confidence_level=0.9)
    assert low > 0.5


# (c)
@EVERY
def test_order_of_rows(case):
    """A row's score is its own: in another order, and in other company."""
    of_kind, _, scored = parts(case, "memorizer")
    attack = fit(case, "memorizer")
    X, y = of_kind.X[scored], of_kind.y[scored]
    scores = attack.score_samples(X, y)
    order = np.random.default_rng(1).permutation(len(scored))
    np.testing.assert_allclose(attack.score_samples(X[order], y[order]), scores[order], rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(attack.score_samples(X[:7], y[:7]), scores[:7], rtol=1e-7, atol=1e-9)


# (d)
@EVERY
def test_equal_rows_have_equal_scores(case):
    """The same row with the same label ties with itself."""
    of_kind, _, scored = parts(case, "memorizer")
    X, y = (np.repeat(values[scored[:5]], 3, axis=0) for values in (of_kind.X, of_kind.y))
    scores = fit(case, "memorizer").score_samples(X, y).reshape(5, 3)
    np.testing.assert_array_equal(scores, scores[:, :1].repeat(3, axis=1))


class Constant(ClassifierMixin, BaseEstimator):
    """Answers one and the same to everybody."""

    classes_ = np.arange(3)

    def fit(self, X, y):
        """Learn nothing."""
        return self

    def predict_proba(self, X):
        """Return one answer."""
        return np.tile([0.7, 0.2, 0.1], (len(X), 1))

    def predict(self, X):
        """Return one label."""
        return np.zeros(len(X), dtype=int)

    def select(self, X):
        """Return one cost."""
        return Bunch(n_regenerations=np.ones(len(X), dtype=int))


@without("constant")
def test_one_answer_for_all(case):
    """Where all rows are answered alike, and have one label, all scores tie: an area of exactly 0.5."""
    scores, is_member = scores_of(case, "null", target=Constant(), y=np.zeros(N_ROWS, dtype=int))
    assert roc_auc_score(is_member, scores) == 0.5
    assert tpr_at_fpr_score(is_member, scores, max_fpr=0.5) == 0.0


# (e)
@pytest.mark.parametrize(
    "change",
    ["nothing", "parameters", "rows", "order", "seed", "number"],
)
def test_shadows_are_trained_anew_when_anything_changed(change, tmp_path):
    """A second run finds the first one's shadows only where it would train the very same."""
    X, y = rows()
    settings = {"estimator": RandomForestClassifier(2), "n_shadows": 4, "random_state": 0, "cache_dir": tmp_path}

    def n_files(X, y, **changes):
        LiRAAttack(pool=(X, y), **settings | changes).fit(world("null").target, X[:50], y[:50], np.arange(50) % 2 == 0)
        return len(list(tmp_path.rglob("*.joblib")))

    assert n_files(X, y) == 4
    moved = X.copy()
    moved[-1, -1] += 1e-6
    n_more = {
        "nothing": lambda: n_files(X, y),
        "parameters": lambda: n_files(X, y, estimator=RandomForestClassifier(3)),
        "rows": lambda: n_files(moved, y),
        "order": lambda: n_files(X[::-1], y[::-1]),
        "seed": lambda: n_files(X, y, random_state=1),
        "number": lambda: n_files(X, y, n_shadows=6),
    }[change]()
    assert n_more == {"nothing": 4, "number": 6}.get(change, 8)


# (f)
class Ramp(ClassifierMixin, BaseEstimator):
    """Is as sure of class 0 as the last feature says, whatever else is in the row."""

    classes_ = np.arange(3)

    def fit(self, X, y):
        """Learn nothing."""
        return self

    def predict_proba(self, X):
        """Return the softmax of the last feature and zeros."""
        X = np.asarray(X, dtype=np.float64)
        return softmax(np.column_stack([X[:, -1], np.zeros((len(X), 2))]), axis=1)

    def predict(self, X):
        """Return the likeliest label."""
        return self.predict_proba(X).argmax(axis=1)


class Answering(Ramp):
    """Answers rows that are all alike with a confidence that rises from one to the next."""

    def predict_proba(self, X):
        """Return answers that grow surer from row to row."""
        return super().predict_proba(np.linspace(0.5, 6.0, len(X))[:, None])


@without("monotone")
def test_monotone_in_its_own_signal(case):
    """Of equal rows, the one that is answered with more confidence is the likelier member."""
    of_kind, known, _ = parts(case, "null")
    X, y = of_kind.X.copy(), np.zeros(N_ROWS, dtype=int)
    # Known members are answered more surely than known non-members.
    X[:, -1] = np.where(of_kind.is_member, 4.0, 2.0) + np.linspace(-1, 1, N_ROWS)
    changed = Bunch(**{**of_kind, "X": X, "y": y, "shadows": _shadows_of(X)})
    attack = case.make(changed).fit(Ramp(), X[known], y[known], of_kind.is_member[known])
    attack.target_ = Answering()
    same = np.repeat(X[1:2], 20, axis=0)
    scores = attack.score_samples(same, np.zeros(20, dtype=int))
    assert (np.diff(scores) >= -1e-12).all()
    assert scores[-1] > scores[0]


def _shadows_of(X):
    return train_shadows(LogisticRegression(), X, (X[:, 0] > 0).astype(int) * 2, n_shadows=4, random_state=0)


# (h)
@pytest.mark.parametrize("n_rows", [20, 21])
def test_every_row_is_in_half_of_the_shadows(n_rows):
    """Membership is balanced, for an odd number of rows as well; the last row is not forgotten."""
    X, y = rows()
    trained = train_shadows(KNeighborsClassifier(1), X[:n_rows], y[:n_rows], n_shadows=6, random_state=0)
    counts = np.bincount(np.concatenate(trained["indices"]["train"]), minlength=n_rows)
    np.testing.assert_array_equal(counts, 3)


# (i)
@EVERY
def test_names_of_labels(case):
    """Labels are names: text gives the scores that numbers give."""
    if OF_SHADOWS in case.exempt.values():
        pytest.skip("shadows are trained on the labels of their pool; tested with the shadow attacks")
    names = np.array(["ant", "bee", "cat"])
    of_kind = world("memorizer", case.of_neighbors)
    target = clone(of_kind.target)
    members = np.flatnonzero(of_kind.is_member)
    target.fit(of_kind.X[members], names[of_kind.y[members]])
    if case.name == "fallback":
        pytest.skip("holds the bare model itself, of the other labels")
    expected, _ = scores_of(case, "memorizer")
    scores, _ = scores_of(case, "memorizer", target=target, y=names[of_kind.y])
    np.testing.assert_allclose(scores, expected, rtol=1e-6, atol=1e-9)


def _targets():
    of_kind = world("memorizer")
    X, y, members = of_kind.X, of_kind.y, of_kind.is_member
    seen = members & (y != 2)
    return {
        "pipeline": (make_pipeline(StandardScaler(), RandomForestClassifier(10, random_state=0)), members, y),
        "neighbors": (KNeighborsClassifier(1), members, y),
        "two classes": (RandomForestClassifier(10, random_state=0), members, y % 2),
        "a class never seen": (RandomForestClassifier(10, random_state=0), seen, y),
    }, X


@pytest.mark.parametrize("which", ["pipeline", "neighbors", "two classes", "a class never seen"])
@EVERY
def test_targets_that_people_have(case, which):
    """Scores are finite, one a row, for an odd number of rows."""
    if case.name == "answer_cost":
        pytest.skip("needs a target with select")
    targets, X = _targets()
    estimator, members, y = targets[which]
    target = clone(estimator).fit(X[members], y[members])
    of_kind = Bunch(**{**world("memorizer"), "target": target, "y": y})
    if which == "two classes":
        of_kind["shadows"] = _binary_shadows()
    _, known, scored = parts(case, "memorizer")
    attack = case.make(of_kind).fit(target, X[known], y[known], of_kind.is_member[known])
    odd = scored[: len(scored) - 1 + len(scored) % 2]
    scores = attack.score_samples(X[odd], y[odd])
    assert scores.shape == (len(odd),)
    assert scores.dtype == np.float64
    assert np.isfinite(scores).all()
    assert attack.predict(X[odd], y[odd]).dtype == bool


@cache
def _binary_shadows():
    X, y = rows()
    return train_shadows(RandomForestClassifier(5), X, y % 2, n_shadows=8, random_state=0)


CHECKS = [
    estimator_checks.check_do_not_raise_errors_in_init_or_set_params,
    estimator_checks.check_estimator_cloneable,
    estimator_checks.check_estimator_repr,
    estimator_checks.check_estimator_tags_renamed,
    estimator_checks.check_get_params_invariance,
    estimator_checks.check_no_attributes_set_in_init,
    estimator_checks.check_set_params,
    estimator_checks.check_valid_tag_types,
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@EVERY
def test_scikit_learns_checks(case, check):
    """Parameters, clones, representations and tags are as scikit-learn wants them."""
    attack = case.make(world("null"))
    check(type(attack).__name__, attack)


@EVERY
def test_clone_and_pickle(case):
    """A clone is unfitted and has the parameters; a pickled attack scores as before."""
    of_kind, _, scored = parts(case, "memorizer")
    attack = fit(case, "memorizer")
    X, y = of_kind.X[scored[:9]], of_kind.y[scored[:9]]
    copied = clone(attack)
    assert set(copied.get_params()) == set(attack.get_params())
    assert not [name for name in vars(copied) if name.endswith("_") and not name.startswith("_")]
    again = pickle.loads(pickle.dumps(attack))
    np.testing.assert_allclose(again.score_samples(X, y), attack.score_samples(X, y), rtol=1e-12)


@EVERY
def test_unfitted(case):
    """Asked before it was fitted, an attack says so."""
    of_kind = world("null")
    for method in ("score_samples", "predict"):
        with pytest.raises(NotFittedError):
            getattr(case.make(of_kind), method)(of_kind.X[:2], of_kind.y[:2])


@EVERY
def test_known_rows_must_have_both_sides(case):
    """An attacker who knows members only, or whose lists differ in length, is told so."""
    of_kind = world("null")
    with pytest.raises(ValueError, match="is_member"):
        case.make(of_kind).fit(of_kind.target, of_kind.X[:8], of_kind.y[:8], np.ones(8, dtype=bool))
    with pytest.raises(ValueError, match="is_member"):
        case.make(of_kind).fit(of_kind.target, of_kind.X[:8], of_kind.y[:8], np.arange(7) % 2 == 0)


def test_worlds_are_what_they_say():
    """The memorizer answers its members all but surely; the other target answers both sides alike."""
    assert len(shadows()["estimator"]) == 16
    for kind, lowest in (("memorizer", 0.2), ("null", -0.05)):
        of_kind = world(kind)
        attack = ThresholdAttack("confidence").fit(of_kind.target, of_kind.X, of_kind.y, of_kind.is_member)
        scores = attack.score_samples(of_kind.X, of_kind.y)
        gap = scores[of_kind.is_member].mean() - scores[~of_kind.is_member].mean()
        assert gap > lowest
        assert of_kind.X.shape == (N_ROWS, N_FEATURES)

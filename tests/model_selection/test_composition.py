"""AttackScorer with the tools of scikit-learn: cross-validation, searches, clones, processes, saved files."""

import gc
import io
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import log_loss, roc_curve
from sklearn.model_selection import GridSearchCV, KFold, LeaveOneGroupOut, cross_val_score, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from skdiffence.attacks import NonMonotoneAttack, ThresholdAttack
from skdiffence.model_selection import AttackScorer
from skdiffence.utils._random import draw_seed, torch_seed
from tests.model_selection.cases import FOREST, HALVES, chosen, defend, digits, make_scorer, mask_of, quiet
from tests.nets import make_net

pytestmark = pytest.mark.usefixtures("untouched_generators")
GRID = {"max_depth": [2, 8]}


class SpyForest(RandomForestClassifier):
    """Notes every batch that it is asked about, in a class attribute that survives clones."""

    asked = []

    def predict_proba(self, X):
        SpyForest.asked.append(np.array(X))
        return super().predict_proba(X)


@pytest.fixture
def asked():
    SpyForest.asked.clear()
    return SpyForest.asked


def half_trained():
    """Return rows, labels, and a forest trained on the first half."""
    X, y = digits()
    return X, y, clone(FOREST).fit(X[:160], y[:160])


def search(scorer, **params):
    """Return an unfitted search over forests that refits on privacy."""
    settings = {"refit": "privacy", "cv": KFold(2), "error_score": "raise"} | params
    return GridSearchCV(FOREST, GRID, scoring=scorer, **settings)


def numbers_of(results):
    """Return what scorers gave, without times."""
    return {key: np.asarray(value).tolist() for key, value in results.items() if "_time" not in key}


# The dict


def test_keys():
    X, y, forest = half_trained()
    numbers = make_scorer((X, y))(forest, X[160:], y[160:])
    metrics = ("roc_auc", "attack_accuracy", "tpr_at_fpr_0.1", "correct_roc_auc")
    expected = {f"{name}_{metric}" for name in ("confidence", "entropy") for metric in metrics} | {"privacy"}
    expected |= {f"{key}{end}" for key in expected for end in ("_low", "_high")}
    expected |= {"accuracy", "neg_log_loss", "expected_calibration_error", "failure_detection_auc"}
    assert set(numbers) == expected | {"n_members", "n_non_members", "denoiser_saw_members"}
    assert all(isinstance(value, (int, float)) for value in numbers.values())
    for key in numbers:
        if key.endswith("_low"):
            low, value, high = (numbers[key.removesuffix("_low") + end] for end in ("_low", "", "_high"))
            assert 0 <= low <= value <= high <= 1, key


def test_a_denoiser_that_saw_members_is_told():
    X, y, forest = half_trained()
    forest.denoiser_saw_members_ = True
    for model, expected in [
        (forest, 1),
        (make_pipeline("passthrough", forest), 1),
        (clone(forest).fit(X[:160], y[:160]), 0),
    ]:
        assert make_scorer((X, y))(model, X[160:], y[160:])["denoiser_saw_members"] == expected


def test_standard_attacks():
    X, y, forest = half_trained()
    numbers = AttackScorer(pool=(X, y), metrics=["roc_auc"], random_state=0)(forest, X[160:], y[160:])
    names = {key.removesuffix("_roc_auc") for key in numbers if key.endswith("_roc_auc")}
    of_answers = {"confidence", "correctness", "entropy", "logit", "modified_entropy", "non_monotone"}
    assert names == {*of_answers, "label_only_reference", "reference"}
    assert numbers["leak_beyond_labels_low"] < numbers["leak_beyond_labels"] < numbers["leak_beyond_labels_high"]
    worst = max(abs(numbers[f"{name}_roc_auc"] - 0.5) for name in names)
    assert numbers["privacy"] == pytest.approx(0.5 - worst)


def test_numbers_of_the_classifier_are_those_of_non_members():
    X, y, forest = half_trained()
    numbers = make_scorer((X, y))(forest, X[160:], y[160:])
    assert numbers["accuracy"] == forest.score(X[160:], y[160:])
    assert numbers["neg_log_loss"] == pytest.approx(-log_loss(y[160:], forest.predict_proba(X[160:])))


# Ten rows of a tenth of the pool, and 0.1 for a smaller pool of at least 200.
LEVELS = [(199, None), (200, 0.1), (1999, 0.1), (2000, 0.05), (9999, 0.05), (10_000, 0.01), (100_000, 0.001)]


def rate_keys(level, attack="confidence"):
    """Return the keys of the figures at an error rate."""
    stems = set() if level is None else {f"{attack}_tpr_at_fpr_{level}", f"{attack}_tnr_at_fnr_{level}"}
    return stems | {f"{stem}{end}" for stem in stems for end in ("_low", "_high")}


def rates_of(numbers):
    """Return the figures at an error rate among those of a scorer or of a cross-validation."""
    named = {key.removeprefix("test_"): value for key, value in numbers.items()}
    return {key: value for key, value in named.items() if "_tpr_at_fpr_" in key or "_tnr_at_fnr_" in key}


@pytest.mark.parametrize(("n_others", "level"), LEVELS)
@pytest.mark.parametrize("told", [True, False])
def test_rates_are_read_at_a_level_of_the_pool(told, n_others, level):
    """All rows count, or the non-members where they are told; the rows of the call do not."""
    n_pool = n_others + 50 * told
    X = np.random.default_rng(0).random((n_pool, 2))
    y, is_member = np.arange(n_pool) % 2, np.arange(n_pool) < 50
    pool = (X, y, is_member) if told else (X, y)
    for held in (np.arange(20), np.arange(n_pool - 60, n_pool)):
        trained = np.arange(50) if told else np.setdiff1d(np.arange(n_pool), held)
        tree = DecisionTreeClassifier(max_depth=2, random_state=0).fit(X[trained], y[trained])
        scorer = make_scorer(pool, ["confidence"], metrics=["tpr_at_fpr", "tnr_at_fnr"])
        numbers = quiet(scorer, tree, X[held], y[held], ignore=Warning)
        assert set(rates_of(numbers)) == rate_keys(level)


@pytest.mark.parametrize(("n_rows", "level"), [(99, None), (100, 0.1), (199, 0.1), (200, 0.05)])
def test_routed_membership_has_the_level_of_the_call(n_rows, level):
    X, y = digits(2 * n_rows)
    forest = clone(FOREST).fit(X[:n_rows], y[:n_rows])
    scorer = make_scorer(None, ["confidence"], metrics=["tpr_at_fpr", "tnr_at_fnr"])
    numbers = scorer(forest, X, y, is_member=np.arange(len(X)) < n_rows)
    assert set(rates_of(numbers)) == rate_keys(level)
    scorer.set_params(max_fpr=0.2)
    numbers = quiet(scorer, forest, X, y, is_member=np.arange(len(X)) < n_rows, ignore=UndefinedMetricWarning)
    assert set(rates_of(numbers)) == rate_keys(0.2)


@pytest.mark.parametrize("sizes", [(150, 250, 500), (500, 320, 80), (80, 320, 500)], ids=str)
def test_folds_of_any_size_give_the_same_keys(sizes):
    """A fold with too few rows for the level of all folds has NaN there."""
    n_rows, groups = sum(sizes), np.repeat(np.arange(3), sizes)
    X, y = digits(n_rows)
    scorer = make_scorer((X, y), ["confidence"], metrics=["roc_auc", "tpr_at_fpr", "tnr_at_fnr"])
    splits = {"cv": LeaveOneGroupOut(), "error_score": "raise"}
    results = quiet(
        cross_validate, FOREST, X, y, groups=groups, scoring=scorer, **splits, ignore=UndefinedMetricWarning
    )
    rates = rates_of(results)
    assert set(rates) == rate_keys(0.1)
    for values in rates.values():
        np.testing.assert_array_equal(np.isnan(values), np.array(sizes) < 90)
    assert not np.isnan(results["test_confidence_roc_auc"]).any()
    found = GridSearchCV(FOREST, GRID, scoring=scorer, refit="privacy", **splits)
    found = quiet(found.fit, X, y, groups=groups, ignore=UndefinedMetricWarning)
    assert found.best_index_ == found.cv_results_["mean_test_privacy"].argmax()


def test_folds_of_any_number_give_the_same_keys():
    X, y = digits(600)
    few, many = (
        quiet(
            cross_validate,
            FOREST,
            X,
            y,
            cv=KFold(n),
            scoring=make_scorer((X, y)),
            error_score="raise",
            ignore=UndefinedMetricWarning,
        )
        for n in (3, 10)
    )
    assert set(few) == set(many)
    assert np.isfinite(few["test_entropy_tpr_at_fpr_0.1"]).all()
    assert np.isnan(many["test_entropy_tpr_at_fpr_0.1"]).all()


def test_too_few_rows_for_the_level_are_warned_about():
    X, y, forest = half_trained()
    held = X[160:249], y[160:249]
    is_member = np.arange(len(X)) < 160
    scorer = make_scorer((X, y, is_member), ["confidence"], metrics=["tpr_at_fpr"], max_fpr=0.1)
    with pytest.warns(UndefinedMetricWarning, match="confidence_tpr_at_fpr_0.1 by.*too few rows stand for max_fpr"):
        numbers = scorer(forest, *held)
    assert np.isnan([numbers[f"confidence_tpr_at_fpr_0.1{end}"] for end in ("", "_low", "_high")]).all()


@pytest.mark.parametrize("max_fpr", [0.1, 0.25, 0.5])
def test_a_level_of_one_s_own(max_fpr):
    """The figures are those of sklearn's curve, by the scores of the same halves for any level."""
    X, y, forest = half_trained()
    scorer = make_scorer((X, y), metrics=["tpr_at_fpr", "tnr_at_fnr"], max_fpr=max_fpr)
    numbers = scorer(forest, X[160:], y[160:])
    assert set(rates_of(numbers)) == rate_keys(max_fpr) | rate_keys(max_fpr, "entropy")
    is_member = np.arange(len(X)) < 160
    proba = forest.predict_proba(X)
    # The attacks call high confidence and low entropy a member.
    scores = {
        "confidence": proba[np.arange(len(X)), y],
        "entropy": (proba * np.log(proba, out=np.zeros_like(proba), where=proba > 0)).sum(axis=1),
    }
    for name, score in scores.items():
        fpr, tpr, _ = roc_curve(is_member, score, drop_intermediate=False)
        assert numbers[f"{name}_tpr_at_fpr_{max_fpr}"] == pytest.approx(tpr[fpr <= max_fpr].max())
        fnr, tnr, _ = roc_curve(~is_member, -score, drop_intermediate=False)
        assert numbers[f"{name}_tnr_at_fnr_{max_fpr}"] == pytest.approx(tnr[fnr <= max_fpr].max())


@pytest.mark.parametrize("known", [0.1, 0.3])
def test_an_attacker_who_knows_less(known):
    X, y, forest = half_trained()
    numbers = make_scorer((X, y), known=known)(forest, X[160:], y[160:])
    everything = make_scorer((X, y))(forest, X[160:], y[160:])
    assert numbers["n_members"] == 160
    assert numbers["confidence_roc_auc"] == everything["confidence_roc_auc"]  # all rows are scored all the same
    assert 0.5 < numbers["confidence_attack_accuracy"] <= everything["confidence_attack_accuracy"] + 0.1


def test_attacks_in_every_form():
    X, y, forest = half_trained()
    attacks = [
        "confidence",
        ThresholdAttack("entropy"),
        ThresholdAttack("confidence", threshold="per_class"),
        ("mine", NonMonotoneAttack()),
    ]
    numbers = make_scorer((X, y), attacks, metrics=["roc_auc"])(forest, X[160:], y[160:])
    names = {key.removesuffix("_roc_auc") for key in numbers if key.endswith("_roc_auc")}
    assert names == {"confidence", "entropy", "confidence_per_class", "mine"}


# Tools of scikit-learn


def test_cross_val_score():
    X, y = digits()
    scores = cross_val_score(FOREST, X, y, cv=HALVES, scoring=make_scorer((X, y), score="privacy"))
    whole = cross_validate(FOREST, X, y, cv=HALVES, scoring=make_scorer((X, y)))["test_privacy"]
    np.testing.assert_array_equal(scores, whole)
    assert (scores < 0.45).all()


def test_dict_of_scorers():
    X, y = digits()
    scoring = {"right": "accuracy", "privacy": make_scorer((X, y), score="privacy")}
    results = cross_validate(FOREST, X, y, cv=HALVES, scoring=scoring, error_score="raise")
    whole = cross_validate(FOREST, X, y, cv=HALVES, scoring=make_scorer((X, y)))
    np.testing.assert_array_equal(results["test_privacy"], whole["test_privacy"])
    np.testing.assert_array_equal(results["test_right"], whole["test_accuracy"])


def test_search_refits_on_privacy():
    X, y = digits()
    found = search(make_scorer((X, y))).fit(X, y)
    privacy = found.cv_results_["mean_test_privacy"]
    assert found.best_index_ == privacy.argmax()
    assert found.best_params_ == {"max_depth": 2}
    assert "mean_test_entropy_roc_auc_high" in found.cv_results_


def test_search_over_a_defense():
    X, y = digits()
    model = make_pipeline(StandardScaler(), defend(FOREST))
    grid = {"defendedclassifier__selection": ["first", "swap", "matched"]}
    scorer = make_scorer((X, y), ["confidence"])
    found = GridSearchCV(model, grid, scoring=scorer, refit="privacy", cv=2, error_score="raise")
    found = quiet(found.fit, X, y)
    assert (found.cv_results_["mean_test_n_members"] < 120).all()
    assert found.predict(X).shape == y.shape


def test_workers_find_the_same():
    X, y = digits()
    one, two = (numbers_of(search(make_scorer((X, y)), n_jobs=n).fit(X, y).cv_results_) for n in (1, 2))
    assert one == two


def test_workers_share_a_seed_that_was_not_given():
    X, y = digits(960)
    scorer = make_scorer((X, y), ["confidence"], random_state=None, metrics=["roc_auc"])
    two, one = (
        numbers_of(cross_validate(FOREST, X, y, cv=KFold(3), scoring=scorer, n_jobs=n, error_score="raise"))
        for n in (2, 1)
    )
    assert one == two


def test_threads_share_a_seed_that_was_not_given(monkeypatch):
    """All of them ask while the first one draws; copies have the seed too."""
    drawn = []

    def slow(random_state):
        time.sleep(0.05)
        drawn.append(draw_seed(random_state))
        return drawn[-1]

    monkeypatch.setattr("skdiffence.model_selection._attack_scorer.draw_seed", slow)
    scorer = make_scorer(digits(), random_state=None)
    together = threading.Barrier(8)
    with ThreadPoolExecutor(8) as threads:
        seeds = list(threads.map(lambda _: (together.wait(), scorer._seed())[1], range(8)))
    assert set(seeds) == set(drawn)
    assert len(drawn) == 1
    copies = clone(scorer), joblib.load(io.BytesIO(dumped(scorer)))
    assert {copy._seed() for copy in copies} == set(drawn)


@pytest.mark.parametrize(
    "wrap", [lambda net: net, lambda net: make_pipeline(StandardScaler(), net)], ids=["bare", "pipeline"]
)
def test_bare_net(wrap):
    X, y = digits()
    X, y = X.astype(np.float32), y.astype(np.int64)
    with torch_seed(0):
        results = cross_validate(wrap(make_net()), X, y, cv=2, scoring=make_scorer((X, y)), error_score="raise")
    np.testing.assert_array_equal(results["test_n_members"], 160)
    assert (results["test_accuracy"] > 0.3).all()


# Queries and rows


def test_each_row_is_asked_about_once(asked):
    X, y = digits()
    forest = SpyForest(5, random_state=0).fit(X[:200], y[:200])
    scorer = AttackScorer(pool=(X, y), random_state=0)
    numbers = scorer(forest, X[200:], y[200:])
    assert len(asked) == 1
    assert len(np.unique(asked[0], axis=0)) == len(asked[0]) == numbers["n_members"] + numbers["n_non_members"] == 240


def test_all_candidates_are_scored_on_the_same_rows(asked):
    X, y = digits()
    spy = GridSearchCV(SpyForest(5, random_state=0), GRID, cv=KFold(4), scoring=make_scorer((X, y)), refit=False)
    spy.set_params(error_score="raise").fit(X, y)
    assert len(asked) == 8
    for first, second in zip(asked[:4], asked[4:], strict=True):
        np.testing.assert_array_equal(first, second)


def test_the_choice_of_members_depends_on_the_seed_alone(asked):
    """Not on the order of the rows, nor on how often the scorer was called."""
    X, y = digits()
    forest = SpyForest(5, random_state=0).fit(X[:200], y[:200])
    order = np.random.default_rng(0).permutation(len(X))
    held = order[order >= 200]
    pools = (X, y), (X[order], y[order])
    first, again = (make_scorer(pool)(forest, X[held], y[held]) for pool in pools)
    other = make_scorer((X, y), random_state=1)
    other(forest, X[held], y[held])
    sets = [{row.tobytes() for row in batch} for batch in asked]
    assert sets[0] == sets[1] != sets[2]
    assert first == pytest.approx(again, abs=1e-12)
    members = chosen(other, X, ~mask_of(len(X), held))
    assert sets[2] == {row.tobytes() for row in X[members]}


def test_same_seed_same_result():
    X, y, forest = half_trained()
    call = forest, X[160:], y[160:]
    assert make_scorer((X, y), ["non_monotone"])(*call) == make_scorer((X, y), ["non_monotone"])(*call)
    drawn = make_scorer((X, y), ["non_monotone"], random_state=np.random.RandomState(3))
    assert drawn(*call) == drawn(*call) == clone(drawn)(*call)
    unseeded = make_scorer((X, y), ["non_monotone"], random_state=None)
    assert unseeded(*call) == unseeded(*call) == clone(unseeded)(*call)


# As an estimator


def test_clone_and_parameters():
    X, y = digits()
    scorer = make_scorer((X, y), known=0.3, score="privacy", metrics=["roc_auc"], max_fpr=0.2)
    copy = clone(scorer)
    assert copy is not scorer
    assert copy.get_params() == scorer.get_params()
    assert copy.pool is scorer.pool  # the rows are not copied
    other = copy.set_params(pool=(X[:100], y[:100]))
    assert (len(other.pool), len(scorer.pool)) == (100, 320)


def test_repr_shows_no_row():
    X, y = digits()
    for shown in (repr(make_scorer((X, y))), make_scorer((X, y))._repr_html_()):
        assert "0.3125" not in shown
        assert "pool of 320 rows" in shown


def test_requests_need_routing_and_survive_a_clone():
    with pytest.raises(RuntimeError, match="enable_metadata_routing=True"):
        make_scorer().set_score_request(is_member=True)
    with config_context(enable_metadata_routing=True):
        scorer = make_scorer().set_score_request(is_member=True).set_score_request(sample_index="place")
        requests = clone(scorer).get_metadata_routing().score.requests
    assert requests == {"is_member": True, "sample_index": "place"}


# Saved


def dumped(thing):
    """Return the bytes that joblib saves."""
    file = io.BytesIO()
    joblib.dump(thing, file)
    return file.getvalue()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("form", ["scorer", "used scorer", "search", "results"])
def test_saved_objects_hold_no_row(form, dtype):
    X, y = digits()
    X = X.astype(dtype)
    scorer = make_scorer((X, y))
    if form == "used scorer":
        scorer(clone(FOREST).fit(X[:160], y[:160]), X[160:], y[160:])
    saved = {
        "search": lambda: search(scorer).fit(X, y),
        "results": lambda: cross_validate(FOREST, X, y, scoring=scorer, cv=2, return_estimator=True),
    }.get(form, lambda: scorer)()
    content = dumped(saved)
    for other in (np.float32, np.float64):
        assert not any(row.tobytes() in content for row in X.astype(other))
        assert not any(row[20:28].tobytes() in content for row in X.astype(other) if row[20:28].all())


def test_a_loaded_scorer_asks_for_its_rows():
    X, y, forest = half_trained()
    scorer = make_scorer((X, y))
    expected = scorer(forest, X[160:], y[160:])
    content = dumped(scorer)
    assert joblib.load(io.BytesIO(content))(forest, X[160:], y[160:]) == expected
    del scorer
    gc.collect()
    loaded = joblib.load(io.BytesIO(content))
    assert "pool without rows" in repr(loaded)
    with pytest.raises(ValueError, match=r"pool has no rows here.*set_params\(pool=\(X, y\)\)"):
        loaded(forest, X[160:], y[160:])
    assert loaded.set_params(pool=(X, y))(forest, X[160:], y[160:]) == expected


def test_saved_search_predicts():
    X, y = digits()
    content = dumped(search(make_scorer((X, y))).fit(X, y))
    gc.collect()
    assert joblib.load(io.BytesIO(content)).predict(X).shape == y.shape


# Bad input


@pytest.mark.parametrize(
    ("params", "match"),
    [
        ({"attacks": []}, "at least one attack"),
        ({"attacks": ["confidence", ThresholdAttack()]}, "none twice"),
        ({"attacks": ["lira"]}, "'lira' needs shadows="),
        ({"attacks": ["conf"]}, "attacks must hold attacks or names of attacks: .*confidence.*Got 'conf'"),
        ({"attacks": [3]}, "attacks must hold names"),
        ({"attacks": "all"}, "'attacks' parameter"),
        ({"metrics": ["roc"]}, "metrics must be 'auto' or a list"),
        ({"metrics": []}, "metrics must be 'auto' or a list"),
        ({"max_fpr": 0}, "'max_fpr' parameter"),
        ({"max_fpr": 1}, "'max_fpr' parameter"),
        ({"max_fpr": "low"}, "'max_fpr' parameter"),
        ({"max_fpr": None}, "'max_fpr' parameter"),
        ({"known": 0.6}, "'known' parameter"),
        ({"known": 0}, "'known' parameter"),
        ({"score": "secrecy"}, "score must be one of .*privacy.*Got 'secrecy'"),
        ({"score": 1}, "'score' parameter"),
        ({"random_state": "now"}, "'random_state' parameter"),
        ({"pool": np.zeros((4, 2))}, r"pool must be a tuple \(X, y\)"),
        ({"pool": (np.zeros((4, 2)),)}, "Got tuple of length 1"),
        ({"pool": (np.zeros((4, 2)), np.zeros(3))}, r"Got 4 rows and labels of shape \(3,\)"),
        ({"pool": (np.zeros((4, 2)), np.zeros(4), np.zeros(4))}, "is_member must hold"),
    ],
    ids=str,
)
def test_bad_parameters(params, match):
    X, y, forest = half_trained()
    scorer = AttackScorer(**{"attacks": ["confidence"], "pool": (X, y), "random_state": 0} | params)
    with pytest.raises(ValueError, match=match):
        scorer(forest, X[160:], y[160:])

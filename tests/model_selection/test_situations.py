"""AttackScorer against a computation by hand: in every situation the right number or an error that names it."""

import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import BaggingClassifier, RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold, ShuffleSplit, cross_validate, learning_curve
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from skorch.dataset import ValidSplit

from skdiffence.attacks import LiRAAttack, RMIAAttack, train_shadows
from skdiffence.exceptions import MembershipWarning
from skdiffence.inspection import MembershipRocDisplay, audit
from skdiffence.utils._random import torch_seed
from tests.model_selection.cases import (
    FOREST,
    HALVES,
    auc_by_hand,
    chosen,
    defend,
    digits,
    make_scorer,
    mask_of,
    quiet,
)
from tests.nets import MLP, make_net

pytestmark = pytest.mark.usefixtures("untouched_generators")
SIGNALS = ("confidence", "entropy")


def crossed(estimator, scorer, X, y, cv=HALVES, **params):
    """Cross-validate; yield for each fold its numbers, the fitted estimator and the test rows."""
    settings = {"error_score": "raise", "return_estimator": True, "return_indices": True} | params
    results = quiet(cross_validate, estimator, X, y, cv=cv, scoring=scorer, **settings)
    for k, (fitted, test) in enumerate(zip(results["estimator"], results["indices"]["test"], strict=True)):
        numbers = {key.removeprefix("test_"): value[k] for key, value in results.items() if key.startswith("test_")}
        yield numbers, fitted, test


def assert_same(numbers, fitted, X, y, is_member, rows=slice(None)):
    """Compare a scorer's numbers with those computed by hand on rows."""
    for signal in SIGNALS:
        expected = auc_by_hand(fitted, X[rows], y[rows], is_member[rows], signal)
        assert numbers[f"{signal}_roc_auc"] == pytest.approx(expected, abs=1e-12)
        assert expected > 0.55


def net_digits():
    """Return the digits in the types of a bare net."""
    X, y = digits()
    return X.astype(np.float32), y.astype(np.int64)


def half_trained(n_train=160):
    """Return rows, labels, membership and a forest trained on the members."""
    X, y = digits()
    is_member = mask_of(len(X), np.random.default_rng(0).permutation(len(X))[:n_train])
    return X, y, is_member, clone(FOREST).fit(X[is_member], y[is_member])


# Cross-validation


def test_two_halves():
    X, y = digits()
    for numbers, fitted, test in crossed(FOREST, make_scorer((X, y)), X, y):
        assert_same(numbers, fitted, X, y, ~mask_of(len(X), test))
        assert numbers["n_members"] == numbers["n_non_members"] == len(X) // 2
        assert numbers["accuracy"] == fitted.score(X[test], y[test])


@pytest.mark.parametrize("model", [FOREST, make_pipeline(StandardScaler(), FOREST), BaggingClassifier(n_estimators=5)])
def test_plain_k_fold(model):
    X, y = digits()
    model = clone(model).set_params(**{key: 0 for key in model.get_params() if key.endswith("random_state")})
    scorer = make_scorer((X, y))
    for numbers, fitted, test in crossed(model, scorer, X, y, cv=KFold(3, shuffle=True, random_state=0)):
        is_member = ~mask_of(len(X), test)
        rows = chosen(scorer, X, is_member)
        assert np.count_nonzero(is_member[rows]) == len(test)
        assert_same(numbers, fitted, X, y, is_member, rows)


def test_frames_and_string_labels():
    X, y = digits()
    frame, names = pd.DataFrame(X).add_prefix("pixel"), np.array(list("abcdefghij"))[y]
    by_frame = [numbers for numbers, *_ in crossed(FOREST, make_scorer((frame, names)), frame, names)]
    by_array = [numbers for numbers, *_ in crossed(FOREST, make_scorer((X, y)), X, y)]
    assert by_frame == by_array


def test_duplicates_across_folds_are_left_out():
    X, y = digits(160)
    X, y = np.r_[X, X[:10]], np.r_[y, y[:10]]
    scorer = make_scorer((X, y))
    split = [(np.arange(85), np.arange(85, 170))]
    with pytest.warns(MembershipWarning, match="20 rows are in the training set and outside it"):
        [(numbers, fitted, test)] = crossed(FOREST, scorer, X, y, cv=split)
    assert numbers["n_members"] == numbers["n_non_members"] == 75
    assert_same(numbers, fitted, X, y, np.arange(170) < 85, slice(10, 160))
    assert numbers["accuracy"] == fitted.score(X[85:], y[85:])


def test_duplicates_with_another_label():
    """Each call is about its own labels, wherever the same row stands with another one."""
    X, y = digits(160)
    X, y = np.r_[X[80:], X], np.r_[(y[80:] + 1) % 10, y]
    split = [(np.r_[:20, 80:160], np.r_[20:80, 160:240])]
    with pytest.warns(MembershipWarning, match="40 rows"):
        [(numbers, fitted, test)] = crossed(FOREST, make_scorer((X, y)), X, y, cv=split)
    assert numbers["accuracy"] == fitted.score(X[test], y[test])
    assert numbers["n_non_members"] == 120


def test_duplicates_on_one_side_stay():
    X, y = digits(100)
    X, y = np.r_[X[:50], X[:10], X[50:]], np.r_[y[:50], y[:10], y[50:]]
    split = [(np.arange(60), np.arange(60, 110))]
    [(numbers, _, _)] = crossed(FOREST, make_scorer((X, y)), X, y, cv=split)
    assert numbers["n_members"] == numbers["n_non_members"] == 50


# Trained before


def test_frozen_needs_membership():
    X, y, is_member, forest = half_trained()
    with pytest.raises(ValueError, match=r"pool must be \(X, y, is_member\) for a frozen estimator"):
        make_scorer((X, y))(FrozenEstimator(forest), X[~is_member], y[~is_member])
    with pytest.raises(ValueError, match="frozen estimator"):
        next(crossed(make_pipeline(StandardScaler(), FrozenEstimator(forest)), make_scorer((X, y)), X, y))


@pytest.mark.parametrize("wrap", [lambda model: model, FrozenEstimator], ids=["bare", "frozen"])
@pytest.mark.parametrize("side", ["members", "non-members", "both"])
def test_membership_is_looked_up(wrap, side):
    X, y, is_member, forest = half_trained()
    rows = {"members": is_member, "non-members": ~is_member, "both": is_member | True}[side]
    numbers = make_scorer((X, y, is_member))(wrap(forest), X[rows], y[rows])
    assert_same(numbers, forest, X, y, is_member)
    assert numbers["accuracy"] == forest.score(X[~is_member], y[~is_member])


def test_frozen_in_cross_validation():
    """Each fold brings members and non-members, and the number is that of its rows."""
    X, y, is_member, forest = half_trained()
    scorer = make_scorer((X, y, is_member))
    for numbers, _, test in crossed(FrozenEstimator(forest), scorer, X, y, cv=2):
        rows = test[chosen(scorer, X[test], is_member[test])]
        assert_same(numbers, forest, X, y, is_member, rows)


def test_membership_of_another_training_is_an_error():
    X, y, is_member, _ = half_trained()
    with pytest.raises(ValueError, match="is_member marks 160 rows as trained on, but .* 213"):
        next(crossed(FOREST, make_scorer((X, y, is_member)), X, y, cv=3))


def test_some_members_of_a_frozen_model_may_be_listed():
    X, y, is_member, forest = half_trained(200)
    listed = ~is_member | (np.cumsum(is_member) <= 120)
    pool = X[listed], y[listed], is_member[listed]
    assert_same(make_scorer(pool)(FrozenEstimator(forest), *pool[:2]), forest, *pool)
    with pytest.raises(ValueError, match="marks 120 rows"):
        make_scorer(pool)(forest, *pool[:2])


# What would give a wrong number in silence


def test_train_scores_are_an_error():
    X, y = digits()
    with pytest.raises(ValueError, match="was trained on 213 rows, but 107 .*train scores"):
        next(crossed(FOREST, make_scorer((X, y)), X, y, cv=3, return_train_score=True))


def test_train_scores_of_halves_are_warned_about():
    """The halves change sides, which no count can see; the answers can."""
    X, y = digits()
    with pytest.warns(MembershipWarning, match="Rows taken for non-members .* more often"):
        next(crossed(FOREST, make_scorer((X, y)), X, y, return_train_score=True))


def test_train_scores_of_an_estimator_that_tells_nothing():
    X, y = digits()
    with pytest.raises(ValueError, match=r"more than the 107 members .* train scores \(return_train_score=True\)"):
        fold = crossed(LogisticRegression(), make_scorer((X, y)), X, y, cv=3, return_train_score=True)
        quiet(next, fold, ignore=MembershipWarning)


def test_nested_search_is_an_error():
    X, y = digits()
    search = GridSearchCV(FOREST, {"max_depth": [2, 8]}, scoring=make_scorer((X, y)), refit="privacy", cv=2)
    with pytest.raises(ValueError, match="nested search"):
        quiet(cross_validate, search.set_params(error_score="raise"), X, y, cv=2, error_score="raise")


def test_search_inside_is_right():
    """A search that does not use the scorer itself is one more classifier."""
    X, y = digits()
    search = GridSearchCV(FOREST, {"max_depth": [6, 8]}, cv=2)
    for numbers, fitted, test in crossed(search, make_scorer((X, y)), X, y):
        assert_same(numbers, fitted, X, y, ~mask_of(len(X), test))


def test_learning_curve_is_an_error():
    X, y = digits()
    scorer = make_scorer((X, y), score="privacy")
    with pytest.raises(ValueError, match="was trained on .* learning_curve"):
        learning_curve(FOREST, X, y, train_sizes=[0.5], cv=3, scoring=scorer, error_score="raise")


def test_subsampled_rows_are_an_error():
    X, y = digits()
    cv = ShuffleSplit(1, train_size=0.5, test_size=0.3, random_state=0)
    with pytest.raises(ValueError, match="was trained on 160 rows, but 224 rows .* subsampled"):
        next(crossed(FOREST, make_scorer((X, y)), X, y, cv=cv))


def test_pool_larger_than_the_data_is_an_error():
    X, y = digits()
    with pytest.raises(ValueError, match="was trained on 100 rows, but 220 rows"):
        next(crossed(FOREST, make_scorer((X, y)), X[:200], y[:200]))


def test_early_stopping_inside_is_an_error():
    X, y = digits()
    mlp = MLPClassifier((8,), early_stopping=True, max_iter=3, random_state=0)
    for model in (mlp, make_pipeline(StandardScaler(), mlp), CalibratedClassifierCV(mlp, cv=2)):
        with pytest.raises(ValueError, match=r"MLPClassifier\(early_stopping=True\) kept a validation split"):
            next(quiet(lambda m: list(crossed(m, make_scorer((X, y)), X, y)), model, ignore=UserWarning))


def test_early_stopping_with_membership_told():
    X, y, is_member, _ = half_trained()
    mlp = MLPClassifier((8,), early_stopping=True, max_iter=3, random_state=0)
    mlp = quiet(mlp.fit, X[is_member], y[is_member], ignore=UserWarning)
    with pytest.raises(ValueError, match="marks 160 rows as trained on, but .* 144"):
        make_scorer((X, y, is_member))(mlp, X, y)


def test_bare_net_with_train_split_is_an_error():
    X, y = net_digits()
    net = make_net(train_split=ValidSplit(5), max_epochs=1)  # the default of skorch
    with torch_seed(0), pytest.raises(ValueError, match="trained on 128 rows, but 160 .*train_split"):
        next(crossed(net, make_scorer((X, y)), X, y))


def test_instantiated_module_is_warned_about():
    X, y = net_digits()
    with torch_seed(0), pytest.warns(MembershipWarning, match=r"module instance \(MLP\)"):
        list(crossed(make_net(MLP(), max_epochs=1), make_scorer((X, y)), X, y))


def test_unverifiable_membership_is_warned_about():
    X, y = digits()
    with pytest.warns(MembershipWarning, match="LogisticRegression does not record how many rows"):
        for numbers, fitted, test in crossed(LogisticRegression(C=1e4), make_scorer((X, y)), X, y):
            assert_same(numbers, fitted, X, y, ~mask_of(len(X), test))


def test_held_out_rows_answered_better_are_warned_about():
    X, y, is_member, forest = half_trained()
    with pytest.warns(MembershipWarning, match="Rows taken for non-members are labeled correctly more often"):
        numbers = make_scorer((X, y, ~is_member))(FrozenEstimator(forest), X, y)
    assert numbers["confidence_roc_auc"] > 0.55  # the direction is learned


# Membership that is routed


def test_routed_is_member():
    X, y, is_member, forest = half_trained()
    scorer = make_scorer()
    with config_context(enable_metadata_routing=True):
        scorer.set_score_request(is_member=True)
        for numbers, _, test in crossed(FrozenEstimator(forest), scorer, X, y, cv=2, params={"is_member": is_member}):
            rows = test[chosen(scorer, X[test], is_member[test])]
            assert_same(numbers, forest, X, y, is_member, rows)


def test_routed_sample_index_of_rows_of_text():
    rows, y = digits()
    lines = [[" ".join(map(str, np.rint(row * 16).astype(int)))] for row in rows]
    words = np.array(lines, dtype=object)
    model = make_pipeline(OneHotEncoder(handle_unknown="ignore"), RandomForestClassifier(5, random_state=0))
    scorer = make_scorer((words, y))
    with config_context(enable_metadata_routing=True):
        scorer.set_score_request(sample_index=True)
        for numbers, fitted, test in crossed(model, scorer, words, y, params={"sample_index": np.arange(len(y))}):
            assert_same(numbers, fitted, words, y, ~mask_of(len(y), test))


def test_routed_under_another_name_through_a_search():
    X, y, is_member, forest = half_trained()
    with config_context(enable_metadata_routing=True):
        scorer = make_scorer(score="privacy").set_score_request(is_member="trained_on")
        model = FrozenEstimator(forest)
        search = GridSearchCV(make_pipeline("passthrough", model), {}, scoring=scorer, cv=2, error_score="raise")
        search.fit(X, y, trained_on=is_member)
    assert 0 < search.best_score_ < 0.45


@pytest.mark.parametrize(
    ("index", "match"),
    [
        (np.arange(160) + 200, "from 0 to 319.*from 200 to 359"),
        (np.zeros(160, dtype=int), "none twice"),
        (np.arange(160) * 1.0, "dtype float64"),
        (np.arange(10), r"shape \(10,\)"),
    ],
)
def test_bad_sample_index(index, match):
    X, y, is_member, forest = half_trained()
    with pytest.raises(ValueError, match=match):
        make_scorer((X, y))(forest, X[~is_member], y[~is_member], sample_index=index)


@pytest.mark.parametrize(
    ("bad", "match"),
    [
        (np.ones(320), "at least one member and one non-member"),
        (np.arange(320), "True for members and False for non-members"),
        (np.ones(3), r"shape \(320,\). Got shape \(3,\)"),
        (np.array(["yes", "no"] * 160), "True for members and False for non-members"),
    ],
    ids=["members only", "numbers", "too few", "text"],
)
def test_bad_is_member(bad, match):
    X, y, _, forest = half_trained()
    with pytest.raises(ValueError, match=match):
        make_scorer()(forest, X, y, is_member=bad)
    with pytest.raises(ValueError, match=match):
        make_scorer((X, y, bad))(forest, X, y)


# Rows that a defense keeps for itself


def reach(fitted, X):
    """Return the defended classifier at the end of a pipeline, and the rows as they reach it."""
    if hasattr(fitted, "steps"):
        return fitted[-1], fitted[:-1].transform(X)
    return fitted, X


@pytest.mark.parametrize("rule", ["matched", "members", "first", "swap"])
@pytest.mark.parametrize("wrap", [lambda m: m, lambda m: make_pipeline(StandardScaler(), m)], ids=["bare", "pipeline"])
def test_calibration_rows_are_neither(wrap, rule):
    X, y = digits()
    scorer = make_scorer((X, y))
    for numbers, fitted, test in crossed(wrap(defend(FOREST, selection=rule)), scorer, X, y):
        defended, rows = reach(fitted, X)
        kept = defended.not_trained_on_.contains(rows) | defended.calibrated_on_.contains(rows)
        outside = ~mask_of(len(X), test)
        assert np.count_nonzero(kept) >= 45
        assert not kept[test].any()
        candidates = np.flatnonzero(~kept)
        rows = candidates[chosen(scorer, X[candidates], outside[candidates])]
        assert numbers["n_members"] == min(np.count_nonzero(outside & ~kept), len(test))
        for signal in SIGNALS:
            expected = auc_by_hand(fitted, X[rows], y[rows], outside[rows], signal)
            # The direction may be learned differently in the two halves where the defense leaves little.
            if numbers[f"{signal}_roc_auc"] != pytest.approx(expected, abs=1e-12):
                assert abs(expected - 0.5) < 0.07


def test_duplicates_stay_together_in_calibration():
    X, y = digits(160)
    X, y = np.r_[X, X[:40]], np.r_[y, y[:40]]
    split = [(np.r_[:100, 160:200], np.arange(100, 160))]
    [(numbers, fitted, _)] = crossed(defend(FOREST), make_scorer((X, y)), X, y, cv=split)
    assert numbers["n_non_members"] == 60
    assert fitted.n_samples_fit_ + np.count_nonzero(fitted.not_trained_on_.contains(X)) == 140


def test_calibration_rows_of_a_passthrough():
    """The baseline holds the same rows out, and its number is exact."""
    X, y = digits()
    scorer = make_scorer((X, y))
    model = defend(FOREST).set_params(regenerator="passthrough")
    for numbers, fitted, test in crossed(model, scorer, X, y):
        kept = fitted.not_trained_on_.contains(X) | fitted.calibrated_on_.contains(X)
        outside = ~mask_of(len(X), test)
        candidates = np.flatnonzero(~kept)
        rows = candidates[chosen(scorer, X[candidates], outside[candidates])]
        assert_same(numbers, fitted, X, y, outside, rows)


def test_frozen_defense_with_calibration_rows():
    """Calibration rows are left out of looked-up and of routed membership."""
    X, y, is_member, _ = half_trained()
    defended = quiet(defend(FOREST).set_params(regenerator="passthrough").fit, X[is_member], y[is_member])
    kept = defended.not_trained_on_.contains(X) | defended.calibrated_on_.contains(X)
    told = is_member & ~defended.not_trained_on_.contains(X)
    scorer = make_scorer((X, y, told))
    candidates = np.flatnonzero(~kept)
    rows = candidates[chosen(scorer, X[candidates], told[candidates])]
    for numbers in (scorer(defended, X, y), make_scorer()(defended, X, y, is_member=told)):
        assert_same(numbers, defended, X, y, told, rows)
        assert numbers["accuracy"] == defended.score(X[~is_member], y[~is_member])


@pytest.mark.parametrize(
    ("split", "n_held"),
    [(ValidSplit(0.2, random_state=0), 32), (ValidSplit(5), 0)],
    ids=["explicit", "default, which a defense takes out"],
)
def test_rows_that_a_net_splits_off_inside_a_defense(split, n_held):
    X, y = net_digits()
    net = make_net(train_split=split, max_epochs=40)
    model = defend(net, selection="swap", calibration_size=0).set_params(regenerator="passthrough")
    for numbers, fitted, test in crossed(model, make_scorer((X, y)), X, y):
        held = fitted.not_trained_on_.contains(X)
        outside = ~mask_of(len(X), test)
        assert np.count_nonzero(held) == n_held
        assert numbers["n_members"] == 160 - n_held
        # Members are no more than non-members, so all rows are attacked.
        expected = auc_by_hand(fitted, X[~held], y[~held], outside[~held])
        assert numbers["confidence_roc_auc"] == pytest.approx(expected, abs=1e-6)
        assert expected > 0.55


def test_step_that_changes_from_call_to_call_is_an_error():
    X, y = digits()
    generator = np.random.default_rng(0)
    shaky = FunctionTransformer(lambda rows: rows + generator.normal(scale=0.01, size=rows.shape))
    with pytest.raises(ValueError, match="rows that it held out or was calibrated on are not there"):
        next(crossed(make_pipeline(shaky, defend(FOREST)), make_scorer((X, y)), X, y))


# Too little to go on


def test_no_membership_is_an_error():
    X, y, is_member, forest = half_trained()
    with pytest.raises(ValueError, match="must know which rows are members.*Got pool=None and no is_member"):
        make_scorer()(forest, X[~is_member], y[~is_member])


def test_row_outside_the_pool_is_an_error():
    X, y, is_member, forest = half_trained()
    others = X[~is_member].copy()
    others[7] += 1
    with pytest.raises(ValueError, match="1 of 160 rows are not there, the first at position 7"):
        make_scorer((X, y))(forest, others, y[~is_member])
    with pytest.raises(ValueError, match="10 of 20 rows are not there, the first at position 10"):
        rows = np.tile(np.flatnonzero(~is_member)[:10], 2)
        make_scorer((X, y))(forest, X[rows], y[rows])


def test_labels_that_are_not_the_pool_s_are_an_error():
    """They would give a number, of wrong answers."""
    X, y, is_member, forest = half_trained()
    with pytest.raises(ValueError, match="the first at position 0, which is there with another label"):
        make_scorer((X, (y + 1) % 10))(forest, X[~is_member], y[~is_member])
    with pytest.raises(ValueError, match="y must hold the labels .* 160 of 160 differ, the first at position 0"):
        index = np.flatnonzero(~is_member)
        make_scorer((X, (y + 1) % 10))(forest, X[index], y[index], sample_index=index)
    with pytest.raises(ValueError, match="which is there with another label"):
        make_scorer((X, y.astype(str)))(forest, X[~is_member], y[~is_member])


@pytest.mark.parametrize("told", [False, True])
@pytest.mark.parametrize("bad", ["empty", "short", "column", "none"])
def test_rows_without_a_label_each_are_an_error(bad, told):
    X, y, is_member, forest = half_trained()
    pool = (X, y, is_member) if told else (X, y)
    rows = X[:0] if bad == "empty" else X
    labels = {"empty": y[:0], "short": y[:5], "column": y[:, None], "none": None}[bad]
    none = "y must hold the true label of each row: .* Got None"
    message = none if bad == "none" else "X and y must hold rows, at least one, and one label for each"
    with pytest.raises(ValueError, match=message):
        make_scorer(pool)(forest, rows, labels)


def test_too_few_rows_are_an_error():
    X, y = digits()
    with pytest.raises(ValueError, match="At least 4 different members.*Got 317 members and 3 non-members"):
        next(crossed(FOREST, make_scorer((X, y)), X, y, cv=[(range(3, 320), range(3))]))


def test_copies_of_one_row_are_too_few_rows():
    """Halves of a side that holds one row many times would have nothing on one side."""
    X, y, is_member, forest = half_trained()
    X, y = np.r_[X, np.repeat(X[~is_member][:1], 20, axis=0)], np.r_[y, np.repeat(y[~is_member][:1], 20)]
    told = np.r_[is_member, np.zeros(20, dtype=bool)]
    rows = np.r_[np.flatnonzero(is_member), np.arange(len(is_member), len(X))]
    with pytest.raises(ValueError, match="Got .* members and 1 non-members"):
        make_scorer()(forest, X[rows], y[rows], is_member=told[rows])


@pytest.mark.parametrize("Attack", [LiRAAttack, RMIAAttack])
def test_a_shadow_is_no_target(Attack):
    """Whoever asks it for the attack: its answers would be compared with themselves, and look like a leak."""
    X, y = digits()
    shadows = train_shadows(FOREST, X, y, n_shadows=4, random_state=0)
    target, is_member = shadows["estimator"][0], mask_of(len(X), shadows["indices"]["train"][0])
    attack = Attack(shadows, pool=(X, y))
    sides = [(X[side], y[side]) for side in (is_member, ~is_member)]
    message = "target must not be one of the shadows"
    for asked in (target, FrozenEstimator(target)):
        with pytest.raises(ValueError, match=message):
            make_scorer(attacks=[attack])(asked, X, y, is_member=is_member)
        with pytest.raises(ValueError, match=message):
            audit(asked, *sides, attacks=[attack])
        with pytest.raises(ValueError, match=message):
            MembershipRocDisplay.from_estimator(asked, X, y, is_member=is_member, attack=attack)


def test_classifier_without_probabilities_is_an_error():
    X, y, is_member, _ = half_trained()
    with pytest.raises(TypeError, match="estimator must have predict_proba"):
        make_scorer((X, y, is_member))(object(), X, y)


def test_no_leak_is_no_leak():
    X, y = digits()
    with pytest.warns(MembershipWarning, match="does not record"):
        for numbers, *_ in crossed(DummyClassifier(strategy="uniform", random_state=0), make_scorer((X, y)), X, y):
            assert numbers["confidence_roc_auc"] == numbers["entropy_roc_auc"] == 0.5

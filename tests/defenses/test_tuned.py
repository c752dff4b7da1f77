"""Rule and timestep chosen together: the table against a count by hand, the choice, and what every estimator does."""

import pickle
from functools import partial

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import softmax
from scipy.stats import cramervonmises_2samp
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skdiffence.defenses import (
    DefendedClassifier,
    FirstRule,
    LowestRule,
    MeanRule,
    NearestRule,
    TunedDefendedClassifier,
    WithinRule,
)
from skdiffence.defenses._calibration import measure_candidates
from skdiffence.defenses._tuning import CandidateTable
from skdiffence.metrics import logit_signal
from skdiffence.model_selection import AttackScorer
from tests.defenses.cases import NotToBeTrained, bare_proba, defend, digits, half, quiet
from tests.defenses.regenerators import NoiseRegenerator
from tests.nets import make_net


class TimedNoise(NoiseRegenerator):
    """Noise in proportion to a timestep; counts how often it was fitted."""

    n_fits = 0

    def __init__(self, scale=0.1, timestep=1):
        super().__init__(scale)
        self.timestep = timestep

    def fit(self, X, y=None):
        TimedNoise.n_fits += 1
        self.max_timestep_ = self.timestep
        return super().fit(X, y)

    def regenerate(self, X, candidate=0):
        assert self.timestep <= self.max_timestep_
        return (X + self.timestep * (super().regenerate(X, candidate) - X)).astype(np.float32)


class Refuses(FirstRule):
    """A rule that finds nothing to learn from."""

    needs_members = True
    needs_non_members = True

    def fit(self, members, non_members):
        raise ValueError("nothing to learn from")


class Nested(FirstRule):
    """A rule around another one, whose parameter is invalid."""

    def fit(self, members, non_members):
        MeanRule(0).fit(members, non_members)
        return self


def tuned(estimator=None, *, n_candidates=4, regenerator=None, random_state=0, **params):
    settings = {"timesteps": (1, 4), "selections": ("swap", "lowest", "nearest", "mean")} | params
    net = make_net(max_epochs=30) if estimator is None else estimator
    regenerator = TimedNoise() if regenerator is None else regenerator
    defended = defend(net, regenerator, n_candidates=n_candidates, random_state=random_state)
    return TunedDefendedClassifier(defended, **settings)


@pytest.fixture(scope="module")
def fitted():
    X, y = digits("strings")
    TimedNoise.n_fits = 0
    model = quiet(tuned().fit, X, y, is_member=half(y))
    return model, X, y, TimedNoise.n_fits


def test_trained_once(fitted):
    """One classifier, one denoiser, trained for the highest timestep."""
    model, _, _, n_fits = fitted
    assert n_fits == 1
    assert model.best_estimator_.regenerator_.max_timestep_ == 4


def test_results_are_what_a_defended_classifier_would_give(fitted):
    """For rules that learn nothing, entries are counted again from the answers to the calibration rows."""
    model, X, y, _ = fitted
    rows = model.best_estimator_.calibrated_on_.contains(X)
    assert rows.sum() > 50
    results = model.cv_results_
    for index, params in enumerate(results["params"]):
        if params["selection"] == "nearest":
            continue
        defended = clone(model.defended).set_params(
            selection=params["selection"], regenerator__timestep=params["timestep"]
        )
        defended = quiet(defended.fit, X, y, is_member=half(y))
        selected = defended.select(X[rows])
        labels = selected.proba.argmax(axis=1)
        phi, members = logit_signal(labels, selected.proba), half(y)[rows]
        n, m = members.sum(), (~members).sum()
        statistic = cramervonmises_2samp(phi[members], phi[~members], method="asymptotic").statistic
        expected = (statistic - (1 + 1 / (n + m)) / 6) * (n + m) / (n * m)
        assert results["test_divergence"][index] == pytest.approx(expected, abs=1e-6)
        assert results["test_calls"][index] == selected.n_regenerations.mean()
        at_label = selected.proba[~members, np.searchsorted(model.classes_, y[rows][~members])]
        assert results["test_nll"][index] == pytest.approx(-np.log(at_label).mean(), abs=1e-5)


def test_results_have_the_form_of_a_search(fitted):
    """What reads the results of scikit-learn's searches reads these."""
    model, *_ = fitted
    results = model.cv_results_
    assert {len(column) for column in results.values()} == {10}
    for name in ("timestep", "selection"):
        assert results[f"param_{name}"].tolist() == [params[name] for params in results["params"]]
    assert sorted(results["rank_test_score"]) == list(range(1, 11))
    assert results["rank_test_score"][model.best_index_] == 1
    assert model.best_params_ == results["params"][model.best_index_]


def entries(model, affordable=True):
    """Return (calls, divergence, excess error, index) of the entries within the budget."""
    results = model.cv_results_
    return [
        (results["test_calls"][i], results["test_divergence"][i], results["test_excess_error"][i], i)
        for i in range(len(results["test_calls"]))
        if results["affordable"][i] or not affordable
    ]


@pytest.mark.parametrize(("max_calls", "tolerance"), [(4.0, 1.0), (4.0, 0.0), (1.0, 1.0), (4.0, 1e6)])
def test_choice_by_hand(max_calls, tolerance):
    """The cheapest within the error of the least, of equals the least divergence; at no tolerance the least."""
    X, y = digits()
    model = quiet(tuned(max_calls=max_calls, tolerance=tolerance, objective="calls").fit, X, y, is_member=half(y))
    assert all(calls <= max_calls for calls, *_ in entries(model))
    least = min(divergence for _, divergence, _, _ in entries(model))
    near = [entry for entry in entries(model) if entry[1] - least <= tolerance * entry[2]]
    assert model.best_index_ == min(near)[3]
    if tolerance == 0:
        assert model.cv_results_["test_divergence"][model.best_index_] == least
    if max_calls == 1 or tolerance == 1e6:
        assert model.cv_results_["param_selection"][model.best_index_] == "swap"


@pytest.mark.parametrize(
    ("objective", "sign"), [("log_loss", 1), ("failure_detection_auc", -1), ("calls", 1)], ids=lambda value: str(value)
)
def test_objective_decides_among_those_that_leak_least(objective, sign):
    """With every affordable setting eligible, the best of them by hand."""
    X, y = digits()
    model = quiet(tuned(objective=objective, tolerance=1e6).fit, X, y, is_member=half(y))
    name = {"log_loss": "recalibrated_nll"}.get(objective, objective)
    values = sign * np.round(model.cv_results_[f"test_{name}"], 9)
    assert model.cv_results_["eligible"].all()
    assert len(np.unique(values)) > 2
    assert values[model.best_index_] == values.min()


def test_worth_of_non_members_by_hand():
    """The temperature of each fold comes from the others; scipy finds it as scikit-learn does."""
    X, y = digits()
    defended = defend(LogisticRegression(), NoiseRegenerator(3.0), selection="mean")
    candidates = quiet(defended.fit, X, y, is_member=half(y))._candidates()
    table = CandidateTable(candidates, X, y, half(y), [MeanRule(2)])
    proba = defended.set_params(selection=MeanRule(2)).fit(X, y, is_member=half(y)).predict_proba(X)[~half(y)]
    others, fold = y[~half(y)], np.arange((~half(y)).sum()) % 3
    losses = np.empty(len(others))

    def loss(temperature, rows):
        scaled = softmax(np.log(proba[rows] + 1e-12) / temperature, axis=1)
        return -np.log(scaled[np.arange(rows.sum()), others[rows]])

    for number in range(3):
        mean_loss = partial(lambda rows, temperature: loss(temperature, rows).mean(), fold != number)
        losses[fold == number] = loss(minimize_scalar(mean_loss, bounds=(0.05, 20)).x, fold == number)
    worth = table.worth(proba, 3)
    assert worth["recalibrated_nll"] == pytest.approx(losses.mean(), rel=1e-3)
    assert worth["recalibrated_nll"] < worth["nll"] - 0.01
    right = others == LogisticRegression().fit(X[half(y)], y[half(y)]).predict(X[~half(y)])
    assert worth["failure_detection_auc"] == pytest.approx(roc_auc_score(right, proba.max(axis=1)))


def test_worth_with_two_mistakes():
    """One mistake among the other folds must not make a temperature near zero, which the next mistake pays for."""
    X, y = digits()
    defended = defend(LogisticRegression(), NoiseRegenerator(3.0), selection="mean")
    candidates = quiet(defended.fit, X, y, is_member=half(y))._candidates()
    table = CandidateTable(candidates, X, y, half(y), [MeanRule(2)])
    others = ~half(y)
    n, n_classes = others.sum(), table.undefended.shape[1]
    true = table.labels[others].copy()
    mistakes = [0, 1]  # in different folds; the first is one of little confidence, and the second of much
    true[mistakes] = (true[mistakes] + 1) % n_classes
    table.y[others] = true
    confidence = np.full(n, 0.9)
    confidence[mistakes] = 1.01 / n_classes, 0.99
    proba = np.tile((1 - confidence)[:, np.newaxis] / (n_classes - 1), n_classes)
    proba[np.arange(n), table.labels[others]] = confidence
    worth = table.worth(proba, 3)
    assert worth["recalibrated_nll"] <= worth["nll"]


def test_mean_stands_for_numbers_within_the_budget():
    """Numbers of candidates beyond the budget, or beyond what there are, are not measured."""
    X, y = digits()
    model = tuned(LogisticRegression(), n_candidates=16, timesteps=(1,), selections=("mean",), max_calls=8.5)
    assert [rule.n for rule in quiet(model.fit, X, y, is_member=half(y)).cv_results_["param_selection"]] == [2, 4, 8]
    model = tuned(LogisticRegression(), n_candidates=4, timesteps=(1,), selections=("mean",), max_calls=8.5)
    assert [rule.n for rule in quiet(model.fit, X, y, is_member=half(y)).cv_results_["param_selection"]] == [2, 4]
    model = tuned(LogisticRegression(), timesteps=(1,), selections=("mean",), max_calls=1.0)
    assert [rule.n for rule in quiet(model.fit, X, y, is_member=half(y)).cv_results_["param_selection"]] == [1]


def test_choice_answers_as_if_it_had_been_the_only_one(fitted):
    """The chosen classifier is the one that its settings, fitted alone, would give, with its measurements."""
    model, X, y, _ = fitted
    best = model.best_estimator_
    index = model.best_index_
    assert best.selection == model.cv_results_["param_selection"][index]
    assert best.regenerator_.timestep == best.regenerator.timestep == model.cv_results_["param_timestep"][index]
    assert set(best.retention_) == {"members", "non_members"}
    np.testing.assert_array_equal(model.predict_proba(X), best.predict_proba(X))
    np.testing.assert_array_equal(model.predict(X), best.predict(X))
    np.testing.assert_array_equal(model.classes_[model.predict_proba(X).argmax(axis=1)], model.predict(X))
    assert not np.any(np.all(model.predict_proba(X) == bare_proba(best, X), axis=1))


def test_learning_rules_are_measured_on_rows_that_they_did_not_learn_from():
    """On rows of no difference a rule with hundreds of choices finds one that looks good; the folds don't."""
    X, y = digits()
    rule = WithinRule(n_grid=25)
    model = tuned(LogisticRegression(C=1e-6), timesteps=(2,), selections=(rule,))
    model = quiet(model.fit, X, y, is_member=half(y))
    assert model.cv_results_["test_divergence"][0] > model.best_estimator_.selection_.objective_ + 1e-4


def test_calibration_rows_are_on_record_whatever_is_chosen():
    """ "swap" learns nothing, and was chosen on them all the same: the scorer must not score them."""
    X, y = digits()
    is_member = half(y) & (np.arange(len(y)) < 120)
    model = quiet(tuned(max_calls=1.0).fit, X[:120], y[:120], is_member=is_member[:120])
    assert model.best_estimator_.selection == "swap"
    calibrated = model.best_estimator_.calibrated_on_.contains(X)
    assert calibrated[:120].sum() >= 40
    scored = AttackScorer(["confidence"], pool=(X, y, is_member), random_state=0)(model, X, y)
    assert scored["n_members"] == (is_member & ~calibrated).sum()
    assert scored["n_non_members"] == 40


def test_without_is_member_rows_are_held_out():
    """As DefendedClassifier does, by its calibration_size."""
    X, y = digits()
    model = tuned()
    model.defended.set_params(calibration_size=0.3)
    model = quiet(model.fit, X, y)
    held_out = model.best_estimator_.not_trained_on_.contains(X)
    assert held_out.mean() == pytest.approx(0.3, abs=0.05)
    assert model.best_estimator_.n_samples_fit_ == (~held_out).sum()


def test_frozen_parts_are_not_trained():
    """A trained classifier and a fitted regenerator stay as they are."""
    X, y = digits()
    net = make_net(max_epochs=30).fit(X[half(y)].astype(np.float32), y[half(y)])
    regenerator = TimedNoise(0.1, 4).fit(X)
    TimedNoise.n_fits = 0
    model = tuned(FrozenEstimator(net), regenerator=FrozenEstimator(regenerator))
    model = quiet(model.fit, X, y, is_member=half(y))
    assert TimedNoise.n_fits == 0
    assert regenerator.timestep == 4
    np.testing.assert_array_equal(model.predict(X), net.predict(X.astype(np.float32)))


def test_timesteps_none_keeps_the_regenerators():
    """Rules alone are chosen, for regenerators without a timestep."""
    X, y = digits()
    model = quiet(tuned(regenerator=NoiseRegenerator(0.3), timesteps=None).fit, X, y, is_member=half(y))
    assert list(model.cv_results_["param_timestep"]) == [None] * 5


def test_a_rule_that_cannot_be_fitted_is_passed_over():
    """Its entries are NaN; where nothing is left, what it said is part of the error."""
    X, y = digits()
    model = quiet(tuned(selections=(Refuses(), "swap")).fit, X, y, is_member=half(y))
    assert list(np.isnan(model.cv_results_["test_divergence"])) == [True, False] * 2
    assert model.best_estimator_.selection == "swap"
    with pytest.raises(ValueError, match="must allow for one rule at least.*nothing to learn from"):
        quiet(tuned(selections=(Refuses(),)).fit, X, y, is_member=half(y))


@pytest.mark.parametrize("fallback", ["swap", "original"])
@pytest.mark.parametrize("rule", [WithinRule(), LowestRule()], ids=lambda rule: type(rule).__name__)
def test_rules_are_tuned_on_what_they_would_learn_from(rule, fallback):
    """phi of candidates and of the fallback in use, as a defended classifier measures them one after another."""
    X, y = digits()
    defended = defend(LogisticRegression(), NoiseRegenerator(3.0), selection=rule, fallback=fallback)
    candidates = quiet(defended.fit, X, y, is_member=half(y))._candidates()
    phi = CandidateTable(candidates, X, y, half(y), [rule]).phi(rule, np.arange(len(y)))
    expected = measure_candidates(candidates, X, rule, calibrate=True).phi
    assert rule.relabels or np.sum(~np.isnan(expected[:, -1])) > 5
    np.testing.assert_allclose(phi, expected)


def test_few_calibration_rows():
    """With one row a side nothing is left to learn from; rules that learn nothing are still chosen from."""
    X, y = digits()
    is_member = np.arange(len(y)) != 0
    model = tuned(LogisticRegression(), selections=("swap", "budgeted", "within"), timesteps=(1,))
    model = quiet(model.fit, X, y, is_member=is_member)
    assert model.best_estimator_.selection == "swap"
    np.testing.assert_array_equal(np.isnan(model.cv_results_["test_divergence"]), [False, True, True])


def test_frozen_classifier_needs_is_member():
    """Only its owner knows which rows trained it."""
    X, y = digits()
    with pytest.raises(ValueError, match="is_member must say which rows trained the frozen classifier"):
        tuned(FrozenEstimator(LogisticRegression().fit(X, y))).fit(X, y)


def test_one_side_is_too_few():
    """Without non-members there is nothing to compare; the message does not name what the user never gave."""
    X, y = digits()
    with pytest.raises(ValueError, match="selection=<to be chosen> needs non-members, but is_member marks every row"):
        tuned(LogisticRegression()).fit(X, y, is_member=np.ones(len(y), dtype=bool))


def test_clone_pickle_and_pipeline(fitted):
    """As every estimator."""
    model, X, y, _ = fitted
    assert not hasattr(clone(model), "best_estimator_")
    assert clone(model).get_params()["defended__n_candidates"] == 4
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copy.predict_proba(X), model.predict_proba(X))
    pipeline = make_pipeline(StandardScaler(), clone(model))
    pipeline = quiet(pipeline.fit, X, y)
    assert pipeline.predict_proba(X).shape == (len(X), 10)
    assert pipeline.score(X, y) > 0.5


def test_equal_seeds_choose_and_answer_alike(fitted):
    """random_state of the defended classifier decides everything."""
    model, X, y, _ = fitted
    again = quiet(clone(model).fit, X, y, is_member=half(y))
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    np.testing.assert_array_equal(again.cv_results_["test_divergence"], model.cv_results_["test_divergence"])


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"timesteps": ()}, "timesteps must be whole numbers from 0 on, at least one"),
        ({"timesteps": (1.5,)}, "timesteps must be whole numbers"),
        ({"timesteps": (-1,)}, "timesteps must be whole numbers"),
        ({"timesteps": (True,)}, "timesteps must be whole numbers"),
        ({"timesteps": np.array(5)}, r"timesteps must be a sequence, such as a list. Got array\(5\), which is"),
        ({"timesteps": 5}, "The 'timesteps' parameter of TunedDefendedClassifier must be"),
        ({"selections": ()}, "selections must name at least one rule"),
        ({"selections": np.array("swap")}, "selections must be a sequence, such as a list. Got array"),
        ({"selections": ("swap", "best")}, "The 'selection' parameter of DefendedClassifier must be"),
        ({"objective": "best"}, "The 'objective' parameter of TunedDefendedClassifier must be"),
        ({"max_calls": 0.5}, "The 'max_calls' parameter of TunedDefendedClassifier must be"),
        ({"tolerance": -1}, "The 'tolerance' parameter of TunedDefendedClassifier must be"),
        ({"n_folds": 1}, "The 'n_folds' parameter of TunedDefendedClassifier must be"),
        ({"defended": LogisticRegression()}, "The 'defended' parameter of TunedDefendedClassifier must be"),
        ({"defended": DefendedClassifier(LogisticRegression(), "passthrough")}, "defended must have a regenerator"),
        ({"defended": defend(LogisticRegression())}, "timesteps can't be set on NoiseRegenerator"),
        ({"selections": (NearestRule(n_grid=0),)}, "The 'n_grid' parameter of NearestRule must be"),
        ({"selections": (MeanRule(0), "swap")}, "The 'n' parameter of MeanRule must be"),
        ({"selections": ("swap", LowestRule(max_candidates=0))}, "The 'max_candidates' parameter of LowestRule must"),
    ],
    ids=str,
)
def test_bad_input(params, message):
    """The message names the parameter, before anything is trained."""
    X, y = digits()
    with pytest.raises(ValueError, match=message):
        quiet(tuned(NotToBeTrained()).set_params(**params).fit, X, y, is_member=half(y))


def test_too_few_calls_for_any_rule():
    """The message names the budget and the cheapest rule."""
    X, y = digits()
    model = tuned(LogisticRegression(), selections=(LowestRule(max_candidates=3),), max_calls=2)
    with pytest.raises(ValueError, match="max_calls=2 must allow for one rule at least. The cheapest costs 3"):
        quiet(model.fit, X, y, is_member=half(y))


def test_an_invalid_parameter_inside_a_rule_is_no_rule_to_pass_over():
    """A rule that cannot be fitted is passed over, one that was made with an invalid parameter is not."""
    X, y = digits()
    with pytest.raises(ValueError, match="The 'n' parameter of MeanRule must be"):
        quiet(tuned(LogisticRegression(), selections=(Nested(), "swap")).fit, X, y, is_member=half(y))


def test_unfitted():
    """Nothing answers before fit."""
    for method in ("predict", "predict_proba", "predict_log_proba", "select"):
        with pytest.raises(ValueError, match="not fitted yet"):
            getattr(tuned(), method)(digits()[0])

"""Labels are the wrapped classifier's, answers are not, and what each costs."""

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.svm import SVC
from sklearn.utils import Bunch
from skorch.dataset import ValidSplit

from skdiffence.defenses import ChoosingRule, FirstRule, Rule
from skdiffence.defenses._classifier import put_label_on_top
from skdiffence.exceptions import DefenseWarning
from tests.defenses.cases import (
    CLASSIFIERS,
    RULES,
    bare_labels,
    bare_proba,
    defend,
    digits,
    fitted,
    half,
    quiet,
    with_rules,
)
from tests.defenses.regenerators import ConstantRegenerator, CountingRegenerator, NoiseRegenerator
from tests.nets import MLP, make_net

NETS = ["net", "logit_net", "binary_net", "image_net", "net_in_pipeline", "binary_net_in_pipeline", "frozen_net"]


class CountingMLP(MLP):
    """Counts the rows that pass through it."""

    n_rows = 0

    def forward(self, X):
        """Count, then answer."""
        CountingMLP.n_rows += len(X)
        return super().forward(X)


@pytest.mark.parametrize(("name", "selection"), with_rules(CLASSIFIERS))
def test_labels_are_the_classifiers(name, selection):
    """predict and the argmax of predict_proba are the wrapped classifier's label on every row."""
    defended, X, y = fitted(name, selection=selection)
    labels = bare_labels(defended, X)
    np.testing.assert_array_equal(defended.predict(X), labels)
    proba = defended.predict_proba(X)
    np.testing.assert_array_equal(defended.classes_[proba.argmax(axis=1)], labels)
    np.testing.assert_allclose(proba.sum(axis=1), 1, atol=1e-5)
    assert defended.score(X, y) == np.mean(labels == y) > 0.4


@pytest.mark.parametrize("fallback", ["swap", "original"])
@pytest.mark.parametrize("search", ["lazy", "constant"])
@pytest.mark.parametrize("selection", RULES)
def test_labels_hold_where_nothing_keeps_them(selection, search, fallback):
    """Strong noise drives most rows to the fallback, whose argmax is the label as well."""
    defended, X, _ = fitted("net", NoiseRegenerator(3.0), selection=selection, search=search, fallback=fallback)
    selected = defended.select(X)
    assert np.mean(~selected.kept) > 0.03
    np.testing.assert_array_equal(defended.classes_[selected.proba.argmax(axis=1)], bare_labels(defended, X))
    originals = selected.candidate == -1
    np.testing.assert_array_equal(
        originals, ~selected.kept if fallback == "original" and not defended.selection_.relabels else False
    )


def test_swapped_rows_are_permutations():
    """The fallback "swap" gives the last candidate's probabilities with two entries exchanged."""
    defended, X, _ = fitted("net", NoiseRegenerator(3.0))
    selected = defended.select(X)
    lost = ~selected.kept
    last = defended.estimator_.predict_proba(defended.regenerator_.regenerate(X, 3))
    np.testing.assert_allclose(np.sort(selected.proba[lost]), np.sort(last[lost]), rtol=1e-5)
    moved = np.sum(np.abs(selected.proba - last) > 1e-6, axis=1)[lost]
    assert set(moved) <= {0, 2}
    assert np.all(selected.candidate[lost] == 3)


def test_original_answers_are_the_undefended_ones():
    """The fallback "original" gives the undefended vector, in rows that lost the label and in no others."""
    defended, X, _ = fitted("net", NoiseRegenerator(3.0), fallback="original")
    selected = defended.select(X)
    same = np.all(np.isclose(selected.proba, bare_proba(defended, X), atol=1e-6), axis=1)
    assert 0.03 < same.mean() < 1
    np.testing.assert_array_equal(same, selected.candidate == -1)


def test_exact_ties_are_settled_for_the_label():
    """Where all entries are equal the label's becomes the largest, by the smallest step there is."""
    proba = np.full((3, 3), np.float32(1) / 3)
    put_label_on_top(proba, np.arange(3))
    np.testing.assert_array_equal(proba.argmax(axis=1), np.arange(3))
    np.testing.assert_allclose(proba, 1 / 3, rtol=1e-6)


def test_label_is_put_on_top_of_two_column_ties_and_certainties():
    """Rows at the ends of [0, 1], too, end with the label on top."""
    proba = np.array([[0.5, 0.5], [1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])
    put_label_on_top(proba, np.array([1, 1, 0, 0]))
    np.testing.assert_array_equal(proba.argmax(axis=1), [1, 1, 0, 0])
    np.testing.assert_array_equal(proba[1:3], [[0.0, 1.0], [1.0, 0.0]])


def test_argmax_that_differs_from_predict_is_said():
    """fit names a classifier whose predict is not the argmax of its probabilities."""
    make, kind = CLASSIFIERS["threshold"]
    X, y = digits(kind)
    with pytest.warns(DefenseWarning, match="predict of FixedThresholdClassifier differs from the argmax"):
        defend(make()).fit(X, y)


@pytest.mark.filterwarnings("ignore:.*probability.*:FutureWarning")
def test_labels_of_a_support_vector_machine():
    """An SVC's label comes from its margins, its probabilities from a calibration of them."""
    X, y = digits()
    defended = quiet(defend(SVC(probability=True, random_state=0)).fit, X, y)
    np.testing.assert_array_equal(defended.predict_proba(X).argmax(axis=1), defended.estimator_.predict(X))


@pytest.mark.parametrize("selection", RULES)
def test_predict_costs_no_regeneration(selection):
    """Labels need no candidates."""
    X, y = digits()
    defended = quiet(defend(make_net(), CountingRegenerator(0.15), selection=selection).fit, X, y)
    CountingRegenerator.n_regenerated = 0
    defended.predict(X)
    assert CountingRegenerator.n_regenerated == 0
    defended.predict_proba(X)
    assert CountingRegenerator.n_regenerated >= len(X)


def test_predict_costs_one_pass_of_a_net():
    """predict passes each row once; an answer passes it once more for each candidate."""
    X, y = digits()
    defended = quiet(defend(make_net(CountingMLP), selection="swap").fit, X, y)
    CountingMLP.n_rows = 0
    defended.predict(X)
    assert CountingMLP.n_rows == len(X)
    defended.predict_proba(X)
    assert CountingMLP.n_rows == 3 * len(X)


@pytest.mark.parametrize("search", ["lazy", "constant"])
def test_swap_regenerates_once(search):
    """Under "swap" every row costs one regeneration, whatever n_candidates says."""
    X, y = digits()
    defended = quiet(
        defend(make_net(), CountingRegenerator(3.0), selection="swap", search=search, n_candidates=30).fit, X, y
    )
    CountingRegenerator.n_regenerated = 0
    selected = defended.select(X)
    assert CountingRegenerator.n_regenerated == len(X)
    assert np.all(selected.n_regenerations == 1)
    assert np.all(selected.candidate == 0)


def test_first_costs_what_the_retention_says():
    """On candidates that keep the label with a known chance, "first" costs a truncated geometric number."""
    X, y = digits()
    X, y = np.tile(X, (10, 1)) + np.arange(10 * len(X))[:, None] * 1e-6, np.tile(y, 10)
    defended = quiet(defend(make_net(), IndependentNoise(1.0), n_candidates=30).fit, X, y)
    labels = defended.predict(X)
    kept = np.stack([defended.predict(defended.regenerator_.regenerate(X, number)) == labels for number in range(30)])
    expected = np.mean(np.where(kept.any(axis=0), kept.argmax(axis=0) + 1, 30))
    CountingRegenerator.n_regenerated = 0
    selected = defended.select(X)
    assert selected.n_regenerations.sum() == CountingRegenerator.n_regenerated
    assert selected.n_regenerations.mean() <= 1.05 * expected
    assert expected > 1.2


class IndependentNoise(CountingRegenerator):
    """Noise of each row and candidate of its own, and counted."""

    def regenerate(self, X, candidate=0):
        CountingRegenerator.n_regenerated += len(X)
        seeds = np.abs(np.asarray(X, dtype=np.float64).sum(axis=1) * 1e7).astype(np.int64)
        noise = [np.random.default_rng((seed, candidate)).normal(scale=self.scale, size=X.shape[1]) for seed in seeds]
        return (X + np.array(noise)).astype(np.float32)


def test_constant_search_makes_the_same_number_for_every_row():
    """What an answer took tells nothing about the row."""
    defended, X, _ = fitted("net", NoiseRegenerator(1.0), search="constant")
    assert set(defended.select(X).n_regenerations) == {4}


@pytest.mark.parametrize("method", ["predict_proba", "predict_log_proba", "select"])
@pytest.mark.parametrize("selection", RULES)
def test_no_method_answers_around_the_defense(selection, method):
    """Poisoning the regenerator changes what every response method but predict answers."""
    X, y = digits()
    defended = quiet(defend(make_net(), selection=selection).fit, X, y)
    labels, clean = defended.predict(X), getattr(defended, method)(X)
    defended.regenerator_.regenerate = ConstantRegenerator().regenerate
    poisoned = getattr(defended, method)(X)
    if isinstance(clean, Bunch):
        clean, poisoned = clean.proba, poisoned.proba
    assert np.all(np.any(clean != poisoned, axis=1))
    np.testing.assert_array_equal(defended.predict(X), labels)


def test_nothing_is_delegated():
    """The response methods are the four of the contract, and no others of the classifier shine through."""
    defended, X, y = fitted("pipeline")
    public = {name for name in dir(defended) if not name.startswith("_")}
    responses = {name for name in public if name.startswith(("predict", "decision", "transform", "select", "score"))}
    assert responses == {"predict", "predict_proba", "predict_log_proba", "select", "selection", "selection_", "score"}
    with pytest.raises(AttributeError):
        defended.decision_function(X)
    np.testing.assert_allclose(defended.predict_log_proba(X), np.log(defended.predict_proba(X)))


@pytest.mark.parametrize(("name", "selection"), with_rules(NETS))
def test_no_answer_is_the_undefended_one(name, selection):
    """No row of predict_proba is the bare net's vector, not even where nothing keeps the label."""
    for scale in (0.15, 2.0):
        defended, X, _ = fitted(name, NoiseRegenerator(scale), selection=selection)
        assert not np.any(np.all(defended.predict_proba(X) == bare_proba(defended, X), axis=1))


@pytest.mark.parametrize("selection", ["matched", "nearest"])
def test_passthrough_is_the_undefended_baseline(selection):
    """With "passthrough" the same rows train, and answers are the classifier's."""
    X, y = digits()
    baseline = defend(make_net(), "passthrough", selection=selection).fit(X, y)
    defended = quiet(defend(make_net(), selection=selection).fit, X, y)
    assert baseline.n_samples_fit_ == defended.n_samples_fit_ < len(X)
    np.testing.assert_array_equal(baseline.not_trained_on_.contains(X), defended.not_trained_on_.contains(X))
    np.testing.assert_array_equal(baseline.predict(X), defended.predict(X))
    np.testing.assert_array_equal(baseline.predict_proba(X), bare_proba(baseline, X))
    assert np.all(baseline.select(X).candidate == -1)
    assert baseline.interval_ == (-np.inf, np.inf)
    assert baseline.retention_ == baseline.fallback_rate_ == {}
    assert not len(baseline.calibrated_on_)
    assert baseline.denoiser_saw_members_ is False


def test_a_regenerator_in_place_of_passthrough_needs_another_fit():
    """No answer is undefended that asks for a defense; the other way round, the baseline shares what was fitted."""
    X, y = digits()
    defended = defend(make_net(), "passthrough").fit(X, y)
    bare = defended.predict_proba(X)
    defended.set_params(regenerator=NoiseRegenerator())
    for method in ("predict_proba", "predict_log_proba", "select"):
        with pytest.raises(NotFittedError, match="regenerator must be fitted.*'passthrough' in fit.*Call fit again"):
            getattr(defended, method)(X)
    assert not np.array_equal(quiet(defended.fit, X, y).predict_proba(X), bare)
    np.testing.assert_array_equal(defended.set_params(regenerator="passthrough").predict_proba(X), bare)


def test_passthrough_has_neither_key_nor_bound():
    """The message says what is missing."""
    baseline = defend(make_net(), "passthrough").fit(*digits())
    with pytest.raises(ValueError, match="regenerator must have a key to rotate.*Got 'passthrough'"):
        baseline.rotate_key()
    with pytest.raises(AttributeError, match="none with regenerator='passthrough'"):
        _ = baseline.lipschitz_
    assert not hasattr(baseline, "lipschitz_")
    keyless = fitted("net")[0]
    with pytest.raises(ValueError, match="regenerator must have a key to rotate.*Got NoiseRegenerator"):
        keyless.rotate_key()


class SecondBest(ChoosingRule):
    """A rule of a user's own: two candidates, the less confident one."""

    max_candidates = 2

    def cost(self, phi):
        """Grow with phi, and never be 0."""
        return 1 / (1 + np.exp(-phi)) + 1


def test_rules_of_a_users_own():
    """A rule is one class with one method; its limit on candidates holds in lazy and in constant search."""
    X, y = digits()
    for search in ("lazy", "constant"):
        defended = quiet(defend(make_net(), selection=SecondBest(), search=search).fit, X, y)
        selected = defended.select(X)
        assert set(selected.n_regenerations) == {2}
        assert set(selected.candidate) == {0, 1}
        assert defended.interval_ == (-np.inf, np.inf)


class LikeMembers(SecondBest):
    """Derived from the base of all rules, with calibration rows of both sides; keeps what it was fitted to."""

    needs_members = needs_non_members = True

    def fit(self, members, non_members):
        """Remember the sides."""
        self.sides_ = members, non_members
        return self


class Alone(Rule):
    """A rule that chooses nothing: it answers with candidate 0, and is fitted to members and non-members."""

    needs_members = needs_non_members = True
    max_candidates = 1

    def fit(self, members, non_members):
        self.sides_ = members, non_members
        return self

    def start(self, labels, n_classes, dtype):
        shape = len(labels), n_classes
        return Bunch(labels=labels, proba=np.empty(shape, dtype), kept=np.zeros(len(labels), bool), done=False)

    def add(self, state, rows, candidate, predicted, proba):
        state.proba[rows], state.kept[rows], state.done = proba, predicted == state.labels[rows], True

    def unfinished(self, state):
        return np.full(len(state.labels), not state.done)

    def finish(self, state):
        return Bunch(proba=state.proba, kept=state.kept, candidate=np.zeros(len(state.labels), dtype=int))


@pytest.mark.parametrize("rule", [LikeMembers(), Alone()], ids=lambda rule: type(rule).__name__)
def test_rules_of_a_users_own_are_fitted_to_both_sides(rule):
    """They get phi of each calibration row, whichever base class they have."""
    X, y = digits()
    defended = quiet(defend(make_net(), selection=rule).fit, X, y, is_member=half(y))
    for side in defended.selection_.sides_:
        assert side.ndim == 2
        assert np.isfinite(side).any()
    np.testing.assert_array_equal(defended.predict_proba(X).argmax(axis=1), defended.predict(X))


class LateRegenerator(NoiseRegenerator):
    """Destroys the input but for the candidates from number 104 on."""

    def regenerate(self, X, candidate=0):
        """Return the input, or nothing of it."""
        return np.asarray(X, dtype=np.float32) * np.float32(candidate >= 104)


class Later(FirstRule):
    """Asks for candidates of other numbers."""

    def candidate(self, index):
        """Begin at 100."""
        return index + 100


def test_fallback_rate_is_that_of_the_rules_own_candidates():
    """Of six candidates the last two keep the label: no row needs the fallback, as its answers say."""
    X, y = digits()
    defended = quiet(defend(make_net(), LateRegenerator(), selection=Later(), n_candidates=6).fit, X, y)
    assert defended.select(X).kept.all()
    assert {rates.overall for rates in defended.fallback_rate_.values()} == {0}


def test_members_that_nets_hold_out_are_none_to_calibrate_on():
    """A net that holds out nearly all of few rows leaves no member: an error before the denoiser is trained."""
    X, y = digits()
    net, messages = make_net(train_split=ValidSplit(0.8), max_epochs=1), []
    for seed in range(12):
        defended = defend(net, selection="matched", calibration_size=0.1, random_state=seed)
        try:
            quiet(defended.fit, X[:24], y[:24] % 2)
        except ValueError as error:
            messages.append(str(error))
            assert not hasattr(defended, "estimator_")
    assert messages
    assert all("selection='matched' needs calibration rows that are members" in message for message in messages)


def test_first_takes_the_first_candidate_that_keeps_the_label():
    """By hand, candidate after candidate."""
    defended, X, y = fitted("net", NoiseRegenerator(1.0))
    labels = defended.predict(X)
    kept = np.stack([defended.predict(defended.regenerator_.regenerate(X, number)) == labels for number in range(4)])
    selected = defended.select(X)
    found = kept.any(axis=0)
    np.testing.assert_array_equal(selected.candidate[found], kept.argmax(axis=0)[found])
    np.testing.assert_array_equal(selected.kept, found)
    assert isinstance(defended.selection_, FirstRule)


def test_members_of_a_frame_keep_their_types():
    """Candidates reach a classifier that knows frames as frames: names, integers and booleans included."""
    defended, X, y = fitted("forest")
    seen = []
    predict_proba = defended.estimator_.predict_proba
    defended.estimator_.predict_proba = lambda rows: seen.append(rows) or predict_proba(rows)
    try:
        defended.predict_proba(X)
    finally:
        del defended.estimator_.predict_proba
    assert seen
    for rows in seen:
        assert list(rows.columns) == list(X.columns)
        assert rows.dtypes.equals(X.dtypes)
    np.testing.assert_array_equal(defended.feature_names_in_, X.columns)
    assert half(y).sum() == defended.n_samples_fit_

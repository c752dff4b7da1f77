"""The audit: what it finds, what it must not find, what it leaves out and what it costs."""

import warnings
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import sparse
from sklearn.datasets import load_digits
from sklearn.ensemble import IsolationForest, RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import FixedThresholdClassifier, GridSearchCV
from sklearn.naive_bayes import GaussianNB, MultinomialNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skdiffence._evaluation._named_attacks import named_attacks
from skdiffence._evaluation._rows import AttackedRows
from skdiffence.attacks import ThresholdAttack, get_attack, get_attack_names
from skdiffence.datasets import membership_partition
from skdiffence.defenses import DefendedClassifier, DistilledDefense, OutputClassifier, TunedDefendedClassifier
from skdiffence.exceptions import MembershipWarning
from skdiffence.inspection import audit
from skdiffence.inspection._audit import STANDARD, _runnable, _shown
from skdiffence.inspection._audit_controls import MemorizingClassifier, blind_control, positive_control
from skdiffence.inspection._audit_defense import without_defense
from skdiffence.inspection._audit_rows import audit_rows
from skdiffence.inspection.report._sentences import defense_sentences
from skdiffence.metrics import logit_signal
from skdiffence.utils._rows import RowSet
from tests.attacks.targets import Counting, Dictated, normal
from tests.defenses.regenerators import NoiseRegenerator
from tests.inspection.audit_cases import FAST, Cheating, Deaf, Labels, Repeated, sides
from tests.nets import make_net

CLOCK = {"created", "seconds", "seconds_asked"}
X_DIGITS, Y_DIGITS = load_digits(return_X_y=True)


def quick(*parts, attacks=FAST, **params):
    """Run an audit with few permutations and one seed."""
    return audit(*parts, attacks=attacks, **{"n_permutations": 200, "random_state": 0} | params)


def digit_sides(n_members=150, n_others=200, seed=0):
    """Return random members and non-members of scikit-learn's digits."""
    parts = membership_partition(len(Y_DIGITS), {"members": n_members, "others": n_others}, random_state=seed)
    return tuple((X_DIGITS[rows], Y_DIGITS[rows]) for rows in (parts.members, parts.others))


@pytest.fixture(scope="module")
def forest():
    """An overfitted forest with its members and non-members."""
    members, others = digit_sides()
    return RandomForestClassifier(20, random_state=0).fit(*members), members, others


@pytest.fixture(scope="module")
def forest_report(forest):
    """Its audit."""
    return quick(*forest, attacks=[*FAST, "logit"])


# --- what it finds -------------------------------------------------------------------------------


def test_overfitted_forest_leaks(forest_report):
    """The verdict says so, beyond the label too, and labels are the floor."""
    assert forest_report.verdict.status == "leak"
    assert forest_report.worst.auc.low > 0.6
    assert forest_report.worst.p_value < 0.05
    assert forest_report.floor.attack == "correctness"
    assert forest_report.targets["audited"].among_correct.p_value < 0.05
    assert forest_report.targets["audited"].beyond_labels.difference.low > 0
    assert not forest_report.failed_controls


def test_floor_with_a_model_of_the_attackers_own_is_named(forest):
    """Difficult rows that are labeled right: the report names what it is, and what it gives among those."""
    report = quick(*forest, attacks=[*FAST, "label_only_reference"])
    assert report.floor.attack == "label_only_reference"
    assert "labels and own model" in repr(report)
    assert "a model that saw none of the rows" in repr(report)
    found = report.targets["audited"].beyond_labels
    assert found.difference.value == pytest.approx(report.worst.auc.value - report.floor.auc.value)
    assert report.to_dict()["targets"]["audited"]["beyond_labels"]["floor"] == "label_only_reference"


def test_no_leak_is_claimed_where_there_is_none():
    """Members and non-members with the same answers: 0.5 is in every interval, and the verdict says chance."""
    report = quick(*sides(normal(0.0), normal(0.0), n=400, seed=3))
    assert report.verdict.status == "none found"
    for attack in report.targets["audited"].attacks:
        assert attack.auc.low <= 0.5 <= attack.auc.high
    assert "can't be ruled out" in repr(report)


def test_figures_are_those_of_the_scores(forest, forest_report):
    """AUC, correct AUC, accuracy and rates against scikit-learn and counting, from the scores that are kept."""
    is_member = forest_report.is_member
    found = next(attack for attack in forest_report.targets["audited"].attacks if attack.attack == "entropy")
    scores = forest_report.scores["audited"]["entropy"]
    assert found.auc.value == pytest.approx(roc_auc_score(is_member, scores))
    assert len(scores) == len(is_member) == 350
    for point in found.tpr_at_fpr:
        allowed = [t for t in np.unique(scores) if np.mean(scores[~is_member] >= t) <= point.max_fpr + 1e-9]
        assert point.tpr.value == pytest.approx(max([0.0, *(np.mean(scores[is_member] >= t) for t in allowed)]))
        assert point.fpr <= point.max_fpr + 1e-9
        assert point.is_reliable == (point.max_fpr * 200 >= 10)
    model, members, others = forest
    X, y = np.concatenate([members[0], others[0]]), np.concatenate([members[1], others[1]])
    right = model.predict(X) == y
    assert found.correct_auc.value == pytest.approx(roc_auc_score(is_member[right], scores[right]))
    classes = found.by_class
    rows = y == 3
    assert classes["3"]["value"] == pytest.approx(roc_auc_score(is_member[rows], scores[rows]))


def test_attack_weaker_than_labels_is_marked():
    """Confidence that tells nothing beside labels that tell all."""
    target, members, (X, y) = sides(normal(2.0), normal(2.0))
    report = quick(target, members, (X, (y + 1) % 3), attacks=["entropy", "correctness"])
    target = report.targets["audited"]
    assert [target.is_weaker_than_labels(attack) for attack in target.attacks] == [True, False]
    assert target.among_correct is None  # no non-member is labeled correctly
    calm = replace(report, controls={})  # the label alone gives these sides away
    assert calm.verdict.status == "labels only"
    assert "weaker than labels" in repr(report)


# --- what it costs -------------------------------------------------------------------------------


def test_target_is_asked_once_for_all_attacks():
    """Every row once for each method, controls included."""
    _, members, others = sides()
    target = Counting().fit()
    report = quick(target, members, others)
    assert target.calls_ == [("predict_proba", 200), ("predict", 200)]
    assert report.targets["audited"].rows_asked == {"predict_proba": 200, "predict": 200}
    assert {attack.queries_per_row for attack in report.targets["audited"].attacks} == {1.0}


@pytest.mark.parametrize(("attack", "label_only"), [(Repeated(3), False), (Labels(3), True)])
def test_queries_of_an_attack_are_counted(attack, label_only):
    """Three queries for each row, known or scored; who asks for labels alone is a floor."""
    report = quick(*sides(), attacks=[("mine", attack)])
    found = report.targets["audited"].attacks[0]
    assert found.queries_per_row == pytest.approx(3)
    assert found.label_only is label_only
    assert (report.floor is not None) is label_only
    assert found.seconds > 0


# --- controls ------------------------------------------------------------------------------------


def test_cheating_attack_fails_the_null_control():
    """An attack that knows memberships of rows it scores is found out, and the report opens with that."""
    Cheating.memory.clear()
    report = quick(*sides(), attacks=[("cheating", Cheating("entropy")), "correctness"])
    assert report.controls["null"].holds is False
    assert report.verdict.status == "invalid"
    assert report.verdict.headline in repr(report) and report.verdict.headline.startswith("A control failed")
    assert "cheating separated non-members from non-members" in report.verdict.sentences[0]


@pytest.mark.parametrize("n_rows", [50, 3000])
def test_positive_control_takes_some_thousand_rows(monkeypatch, n_rows):
    """Distances between all pairs took more than half of an audit of 40,000 rows, and each was computed twice."""
    calls = []
    for name in ("fit", "predict_proba", "predict"):
        method = getattr(MemorizingClassifier, name)
        monkeypatch.setattr(
            MemorizingClassifier,
            name,
            lambda self, X, *y, method=method, name=name: [calls.append((name, len(X))), method(self, X, *y)][1],
        )
    rng = np.random.default_rng(0)
    members, others = ((rng.normal(size=(n_rows, 4)), rng.integers(0, 3, n_rows)) for _ in range(2))
    rows, _ = audit_rows([GaussianNB().fit(*members)], members, others, 0)
    control = positive_control(named_attacks(["confidence"]), rows, known=0.5, seed=0)
    assert control.holds
    used = min(n_rows, 1000)
    assert calls == [("fit", used), ("predict_proba", 2 * used)]


def test_positive_control_of_one_label_is_not_run():
    """Nothing can be memorized, and the audit goes on."""
    rng = np.random.default_rng(0)
    members, others = ((rng.normal(size=(20, 4)), np.full(20, label)) for label in (0, 1))
    rows, _ = audit_rows([GaussianNB().fit(*members)], members, others, 0)
    control = positive_control(named_attacks(["confidence"]), rows, known=0.5, seed=0)
    assert control.holds is None and "same label" in control.why


def test_quick_suite(forest):
    """One query for each row, at any kind of row; the rest is as in any audit."""
    model, members, others = forest
    report = quick(model, members, others, attacks="quick")
    assert set(report.settings["attacks"]) < set(STANDARD)
    assert {attack.queries_per_row for attack in report.targets["audited"].attacks} == {1.0}
    assert report.floor.attack == "correctness" and report.verdict.status == "leak"
    assert all(get_attack(name).row_type == "any" for name in report.settings["attacks"])


def test_attacks_on_arrays_are_left_out_where_rows_are_a_frame():
    """Attackers who ask about changed rows are told why they can't; of the same rows in an array they can."""
    X, y = load_digits(return_X_y=True)
    defended = DefendedClassifier(GaussianNB(), NoiseRegenerator(), random_state=0)
    named, left_out = {}, {}
    for kind, rows in (("frame", pd.DataFrame(X[:40])), ("array", X[:40])):
        attacked = AttackedRows(rows, y[:40], np.arange(40) < 20)
        named[kind], left_out[kind] = _runnable("adaptive", defended, attacked)
    assert set(left_out["frame"].values()) == {"needs an array, which these rows are not"}
    assert "repeated_exact" in left_out["frame"] and not left_out["array"]
    assert set(named["array"]) == set(named["frame"]) | set(left_out["frame"])


def test_weak_attacks_fail_the_positive_control():
    """Who hardly looks at the probabilities does not see through a classifier that memorizes."""
    members, others = digit_sides(200, 200)
    report = quick(KNeighborsClassifier(3).fit(*members), members, others, attacks=[("deaf", Deaf()), "correctness"])
    assert report.controls["positive"].holds is False
    assert "deaf" in report.failed_controls[0].why


@pytest.mark.parametrize("attacks", [["correctness"], ["correctness", ("labels", Labels())]])
def test_attacks_on_labels_alone_do_not_fail_the_positive_control(attacks):
    """Even one that memorizes labels others right: their area is limited by its accuracy, and the control failed."""
    members, others = digit_sides(200, 200)
    report = quick(KNeighborsClassifier(3).fit(*members), members, others, attacks=attacks)
    assert report.controls["positive"].holds is None and not report.failed_controls
    said = "1 control of 3 could not be run: positive, attacks that see labels only can't identify all"
    assert any(said in sentence for sentence in report.verdict.sentences)
    rows, _ = audit_rows([], members, others, 0)
    control = positive_control(named_attacks(["entropy", "correctness"]), rows, known=0.5, seed=0)
    assert list(control.attacks) == ["entropy"]


@pytest.mark.parametrize("duplicated", [False, True])
def test_positive_control_sees_through_a_memory(duplicated):
    """Rows of members, even twice, are known by their distance of zero."""
    members, others = digit_sides(100, 100)
    if duplicated:
        members = tuple(np.concatenate([part, part[:20]]) for part in members)
    rows, _ = audit_rows([], members, others, 0)
    control = positive_control(named_attacks(["entropy", "correctness"]), rows, known=0.5, seed=0)
    assert control.holds
    assert control.attacks["entropy"].value == 1.0


def test_blind_control_finds_sides_that_differ_as_data():
    """Digits as they come are sorted by writer; shifted rows differ; a random split does not."""
    ordered = [(X_DIGITS[rows], Y_DIGITS[rows]) for rows in (slice(0, 200), slice(200, 400))]
    assert blind_control(audit_rows([], *ordered, 0)[0], seed=0).holds is False
    members, others = digit_sides(200, 200)
    assert blind_control(audit_rows([], members, others, 0)[0], seed=0).holds is True
    shifted = members[0] + 0.5, members[1]
    control = blind_control(audit_rows([], shifted, others, 0)[0], seed=0)
    assert control.holds is False
    assert "differ as data" in control.why


def test_controls_that_cannot_run_say_why():
    """Too few non-members, attacks that need more than one answer, rows that are no numbers."""
    target, members, others = sides(n=60)
    few = others[0][:5], others[1][:5]
    report = quick(target, members, few, attacks=[("mine", Repeated())])
    assert report.controls["null"].holds is None
    assert "8 different non-members" in report.controls["null"].why
    assert "none of the attacks works on one answer" in report.controls["positive"].why
    assert report.settings["max_fpr"] is None
    assert "takes at least 100" in repr(report)


# --- rows ----------------------------------------------------------------------------------------


class Recording(Dictated):
    """Says that it held some rows out, and was calibrated on others."""

    def fit(self, held_out, calibrated):
        """Remember digests."""
        self.not_trained_on_, self.calibrated_on_ = RowSet.of(held_out), RowSet.of(calibrated)
        return super().fit()


def test_rows_held_out_or_calibrated_on_are_left_out():
    """On both sides, and counted."""
    _, members, others = sides()
    target = Recording().fit(members[0][:3], others[0][:5])
    report = quick(target, members, others)
    assert report.rows["held_out_or_calibrated_left_out"] == 8
    assert (report.rows["n_members"], report.rows["n_non_members"]) == (97, 95)
    assert len(report.is_member) == 192


def test_duplicates_across_the_sides_are_left_out_and_near_ones_counted():
    """The same content twice, and one that is equal after rounding to 256 steps of its column."""
    target, members, others = sides()
    X = np.concatenate([others[0], members[0][:4], members[0][4:6] + 1e-6])
    y = np.concatenate([others[1], members[1][:6]])
    report = quick(target, members, (X, y))
    assert report.rows["duplicates_left_out"] == 8
    assert report.rows["near_duplicates"] >= 4
    assert (report.rows["n_members"], report.rows["n_non_members"]) == (96, 102)
    with pytest.raises(ValueError, match="100 and 100 rows.*200 have a duplicate"):
        quick(target, members, members)


@given(*2 * [arrays(np.int8, st.tuples(st.integers(4, 12), st.just(2)), elements=st.integers(0, 3))])
@settings(max_examples=60, deadline=None)
def test_rows_are_left_out_as_sets_say(members, others):
    """Against sets of tuples: what is on both sides is on none, and at least four different rows are needed."""
    tuples = [[tuple(row) for row in side] for side in (members, others)]
    both = set(tuples[0]) & set(tuples[1])
    kept = [[row for row in side if row not in both] for side in tuples]
    labeled = [(X, np.zeros(len(X), dtype=int)) for X in (members, others)]
    if min(len(set(side)) for side in kept) < 4:
        with pytest.raises(ValueError, match="at least 4 different rows"):
            audit_rows([], *labeled, 0)
        return
    rows, counts = audit_rows([], *labeled, 0)
    assert [tuple(row) for row in rows.X] == kept[0] + kept[1]
    assert rows.is_member.sum() == len(kept[0])
    assert counts["duplicates_left_out"] == sum(map(len, tuples)) - sum(map(len, kept))


def rounded(facts):
    """Return what a report holds, clock times left out and floats rounded: sums in another order differ."""
    if isinstance(facts, dict):
        return {key: rounded(value) for key, value in facts.items() if key not in CLOCK}
    if isinstance(facts, list):
        return [rounded(value) for value in facts]
    return round(facts, 9) if isinstance(facts, float) else facts


def test_same_seed_same_report_in_whatever_order_rows_come():
    """Splits go by content; another seed gives another split."""
    target, members, others = sides()
    order = np.random.default_rng(1).permutation(100)
    shuffled = [tuple(part[order] for part in side) for side in (members, others)]
    first, second = quick(target, members, others), quick(target, *shuffled)
    assert rounded(first.to_dict()) == rounded(second.to_dict())
    scores = [report.scores["audited"]["entropy"][:100] for report in (first, second)]
    np.testing.assert_array_equal(scores[0][order], scores[1])
    other = quick(target, members, others, random_state=1)
    assert (other.scores["audited"]["entropy"] != first.scores["audited"]["entropy"]).any() or (
        other.worst != first.worst
    )


@pytest.mark.usefixtures("untouched_generators")
def test_global_generators_are_left_alone():
    """Neither read nor reseeded."""
    quick(*sides(n=60))


def test_frames_sparse_rows_and_lists():
    """What the estimator takes, the audit takes, and finds the same."""
    members, others = digit_sides(60, 60)
    model = MultinomialNB().fit(*members)
    names = [f"pixel {i}" for i in range(64)]
    frames = [(pd.DataFrame(X, columns=names), pd.Series(y)) for X, y in (members, others)]
    forms = {
        "sparse": (model, *((sparse.csr_matrix(X), y) for X, y in (members, others))),
        "lists": (model, *((X.tolist(), y.tolist()) for X, y in (members, others))),
        "frames": (MultinomialNB().fit(*frames[0]), *frames),
    }
    dense = quick(model, members, others, attacks=["entropy"])
    for form in forms.values():
        report = quick(*form, attacks=["entropy"])
        # Sums in another order: equal up to rounding.
        np.testing.assert_allclose(
            report.scores["audited"]["entropy"], dense.scores["audited"]["entropy"], rtol=1e-6, atol=1e-12
        )
        assert report.worst.auc.value == pytest.approx(dense.worst.auc.value, abs=0.01)
        assert report.rows["duplicates_left_out"] == 0


def test_rows_of_text_are_attacked_though_they_are_no_numbers():
    """Duplicates are left out as of numbers; the controls that need numbers do not run, and neither do such attacks."""
    rng = np.random.default_rng(0)
    words = np.array(["ash", "oak", "elm", "fir", "yew", "box", "bay", "fig"])
    texts = np.array([" ".join(rng.choice(words, 4)) for _ in range(60)])
    texts[30:32] = texts[:2]
    y = np.array(["a", "b"])[rng.integers(2, size=60)]
    model = make_pipeline(CountVectorizer(), MultinomialNB()).fit(texts[:30], y[:30])
    report = quick(model, (texts[:30], y[:30]), (texts[30:], y[30:]))
    twice = set(texts[:30]) & set(texts[30:])
    assert report.rows["duplicates_left_out"] == np.isin(texts, list(twice)).sum() >= 4
    assert report.rows["near_duplicates"] is None
    assert report.controls["blind"].holds is None
    assert report.controls["positive"].holds is None


def test_unequal_sides_string_labels_and_a_class_that_the_target_does_not_know():
    """All rows are attacked; a label that is unknown is noted."""
    members, others = digit_sides(61, 130)
    named = [(X, np.char.add("digit ", y.astype(str))) for X, y in (members, others)]
    few = named[0][1] != "digit 9"
    model = KNeighborsClassifier(1).fit(named[0][0][few], named[0][1][few])
    report = quick(model, (named[0][0][few], named[0][1][few]), named[1])
    assert report.rows["n_non_members"] == 130
    assert any("label that the classifier does not know" in note for note in report.notes)
    assert np.isnan(report.targets["audited"].attacks[0].by_class["digit 9"]["value"])
    report.to_json()


def test_images_of_rows_only_where_asked_for():
    """Those of the members found most surely, as bytes; a table has none."""
    members, others = digit_sides(60, 60)
    net = make_net(max_epochs=1).fit(members[0].astype(np.float32).reshape(-1, 1, 8, 8), members[1])
    images = [(X.astype(np.float32).reshape(-1, 1, 8, 8), y) for X, y in (members, others)]
    report = quick(net, *images, attacks=["entropy"], show_rows=True)
    assert report.shown["images"].shape == (12, 1, 8, 8)
    scores = report.scores["audited"][report.worst.attack]
    best = int(np.argmax(np.where(report.is_member, scores, -np.inf)))
    np.testing.assert_array_equal(report.shown["images"][0][0], np.rint(images[0][0][best, 0] / 16 * 255))
    assert _shown(audit_rows([], members, others, 0)[0], {}) is None  # a table
    assert quick(net, *images, attacks=["entropy"]).shown is None


# --- defenses ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def defended():
    """A defended net on text labels, with its members and non-members."""
    members, others = digit_sides(80, 100)
    X = np.concatenate([members[0], others[0][:20]])
    y = np.char.add("digit ", np.concatenate([members[1], others[1][:20]]).astype(str))
    classifier = DefendedClassifier(
        make_net(max_epochs=30), NoiseRegenerator(scale=1.0), selection="swap", random_state=0
    )
    classifier.fit(X, y, is_member=np.arange(100) < 80)
    return classifier, (X[:80], y[:80]), (others[0], np.char.add("digit ", others[1].astype(str)))


def test_defended_classifier_is_measured_beside_itself_undefended(defended):
    """No label changed, undefended answers are the inner net's, and the defense says of itself what it knows."""
    classifier, members, others = defended
    report = quick(classifier, members, others)
    assert set(report.targets) == {"audited", "undefended"}
    assert report.defense["labels_changed"] == 0
    assert report.defense["selection"] == "swap"
    assert report.defense["denoiser_saw_members"] is False
    assert set(report.defense["retention"]) == {"members", "non_members"}
    assert report.rows["held_out_or_calibrated_left_out"] == 20  # the known non-members, which did not train the net
    kept = np.concatenate([members[0], others[0][20:]]).astype(np.float32)
    proba = classifier.estimator_.predict_proba(kept)
    expected = logit_signal(proba.argmax(axis=1), proba)
    np.testing.assert_allclose(report.phi["undefended"], expected, rtol=1e-5, atol=1e-4)
    assert "Without the defense" in repr(report)
    assert classifier.regenerator != "passthrough"  # the estimator itself is as it was


def wrapped(name, members):
    """Return a fitted classifier with a defense somewhere inside, and the same answers without it."""
    X, y = members
    bare = LogisticRegression(C=0.01)
    defend = partial(DefendedClassifier, regenerator=NoiseRegenerator(scale=4.0), selection="swap", random_state=0)
    scaler, known = StandardScaler().fit(X), np.arange(len(y)) >= 0
    made = {
        "behind an encoder": lambda: make_pipeline(StandardScaler(), defend(bare)).fit(X, y),
        "frozen behind an encoder": lambda: FrozenEstimator(make_pipeline(StandardScaler(), defend(bare)).fit(X, y)),
        "frozen in a pipeline": lambda: make_pipeline(
            scaler, FrozenEstimator(defend(bare).fit(scaler.transform(X), y))
        ),
        "nested pipelines": lambda: make_pipeline(make_pipeline(StandardScaler(), defend(bare))).fit(X, y),
        "regenerator as a step": lambda: make_pipeline(StandardScaler(), NoiseRegenerator(scale=4.0), bare).fit(X, y),
        "searched": lambda: GridSearchCV(defend(bare), {"n_candidates": [2]}, cv=2).fit(X, y),
        "tuned": lambda: TunedDefendedClassifier(defend(bare), timesteps=None, selections=["swap"]).fit(
            X, y, is_member=np.arange(len(y)) < 60
        ),
        "coarse": lambda: OutputClassifier(bare, "label", confidence=0.6).fit(X, y, is_member=known),
        "distilled": lambda: DistilledDefense(defend(bare), LogisticRegression(), public=X_DIGITS[-200:]).fit(X, y),
        "thresholded": lambda: FixedThresholdClassifier(defend(bare), threshold=0.5).fit(X, y % 2),
    }
    return made[name]()


@pytest.mark.parametrize(
    "name",
    [
        "behind an encoder",
        "frozen behind an encoder",
        "frozen in a pipeline",
        "nested pipelines",
        "regenerator as a step",
        "searched",
        "tuned",
        "coarse",
        "distilled",
        "thresholded",
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_defense_is_found_wherever_it_is(name):
    """An audit of a pipeline around a defense lost what the classifier reveals without it."""
    (X, y), others = digit_sides(80, 100)
    model = wrapped(name, (X, y))
    undefended = without_defense(model)
    proba = undefended.predict_proba(X)
    bare = LogisticRegression(C=0.01)
    trained = X[:60] if name == "tuned" else X
    scale = StandardScaler().fit(trained) if "encoder" in name or "pipeline" in name or "step" in name else None
    seen = X if scale is None else scale.transform(X)
    kept = y % 2 if name == "thresholded" else y
    bare.fit(seen[: len(trained)], kept[: len(trained)])
    np.testing.assert_allclose(proba, bare.predict_proba(seen), atol=1e-8)
    assert np.abs(model.predict_proba(X) - proba).max() > 1e-3  # the model itself is as it was


@pytest.mark.parametrize(
    "model",
    [GaussianNB(), make_pipeline(StandardScaler(), GaussianNB()), DefendedClassifier(GaussianNB(), "passthrough")],
)
def test_without_a_defense_there_is_nothing_beside(model):
    """A second target that is the same would be named a defense that does nothing."""
    members, _ = digit_sides(40, 40)
    assert without_defense(model.fit(*members)) is None


class SawMembers(NoiseRegenerator):
    """Says that its denoiser was trained on what it was fitted to."""

    def fit(self, X, y=None):
        """Say so."""
        super().fit(X)
        self.denoiser_saw_members_ = True
        return self


@pytest.mark.parametrize("wrap", [partial(DefendedClassifier, GaussianNB()), lambda r: make_pipeline(r, GaussianNB())])
@pytest.mark.filterwarnings("ignore:The regenerator returned")
def test_denoiser_that_saw_members_is_named(wrap):
    """Inside a defense or as a step in front of a classifier."""
    members, others = digit_sides(40, 40)
    model = wrap(SawMembers(scale=0.0)).fit(*members)
    report = quick(model, members, others, attacks=["entropy"])
    assert report.defense["denoiser_saw_members"] is True
    assert any("trained on members" in sentence for sentence in defense_sentences(report))


def test_undefended_classifier_may_be_given():
    """Also behind a frozen wrapper; changed labels are counted."""
    target, members, others = sides()
    report = quick(FrozenEstimator(target), members, others, undefended=Contrary().fit())
    assert report.defense["labels_changed"] == 200
    assert report.targets["undefended"].utility["members"]["accuracy"] < 0.3


class Contrary(Dictated):
    """Answers the opposite."""

    def predict_proba(self, X):
        """Return the softmax of the negated rows."""
        return super().predict_proba(-np.asarray(X))

    def predict(self, X):
        """Return the label of the smallest logit."""
        return super().predict(-np.asarray(X))


# --- doubts --------------------------------------------------------------------------------------


def test_swapped_sides_are_noted():
    """Non-members that are answered better than members."""
    target, members, others = sides()
    report = quick(target, others, members)
    assert any("Membership may be wrong" in note for note in report.notes)


def test_more_members_than_were_trained_on():
    """What the estimator's state contradicts is warned of and written down."""
    members, others = digit_sides(100, 100)
    model = KNeighborsClassifier(1).fit(members[0][:60], members[1][:60])
    with pytest.warns(MembershipWarning, match="100 rows were given as members, but the classifier was trained on 60"):
        report = quick(model, members, others)
    assert any("trained on 60" in note for note in report.notes)


# --- what it refuses -----------------------------------------------------------------------------

TARGET, MEMBERS, OTHERS = sides(n=40)


@pytest.mark.parametrize(
    ("changed", "error", "match"),
    [
        ({"estimator": LogisticRegression()}, ValueError, "not fitted"),
        ({"estimator": LogisticRegression}, TypeError, "Got the class LogisticRegression"),
        ({"estimator": object()}, TypeError, "estimator must have predict_proba"),
        ({"members": None}, ValueError, "'members' parameter"),
        ({"members": (torch.tensor(MEMBERS[0], requires_grad=True), MEMBERS[1])}, ValueError, "without a gradient"),
        ({"estimator": IsolationForest()}, TypeError, "Got IsolationForest, which has none.$"),
        ({"members": MEMBERS[0].tolist()}, TypeError, "rows as an array or a frame. Got a list of length 20"),
        ({"members": (*MEMBERS, 1)}, TypeError, "members must be a tuple"),
        ({"members": (MEMBERS[0], MEMBERS[1][:-1])}, ValueError, "one label for each of its 20 rows"),
        ({"non_members": (OTHERS[0][:0], OTHERS[1][:0])}, ValueError, "Got none"),
        ({"non_members": (OTHERS[0][:3], OTHERS[1][:3])}, ValueError, "at least 4 different rows"),
        ({"non_members": (OTHERS[0][:, :2], OTHERS[1])}, ValueError, "rows of one shape"),
        ({"non_members": (OTHERS[0], OTHERS[1].astype(str))}, ValueError, "labels of one kind"),
        ({"non_members": (OTHERS[0], np.full(20, np.nan))}, ValueError, "finite labels"),
        ({"attacks": ["nonsense"]}, ValueError, "nonsense"),
        ({"attacks": []}, ValueError, "at least one attack"),
        ({"attacks": ["entropy", "entropy"]}, ValueError, "none twice"),
        ({"attacks": [3]}, ValueError, "Got 3"),
        ({"attacks": "all"}, ValueError, "'attacks' parameter"),
        ({"attacks": ["lira"]}, ValueError, "needs shadows"),
        ({"max_fpr": 0.0}, ValueError, "'max_fpr' parameter"),
        ({"known": 0.8}, ValueError, "'known' parameter"),
        ({"n_permutations": 3}, ValueError, "'n_permutations' parameter"),
    ],
)
def test_bad_input_is_refused(changed, error, match):
    """By name, with what was expected and what came."""
    params = {"estimator": TARGET, "members": MEMBERS, "non_members": OTHERS} | changed
    with pytest.raises(error, match=match):
        quick(**params) if "attacks" in changed else quick(attacks=FAST, **params)


class Infinite(ThresholdAttack):
    """Gives scores that are not finite."""

    def score_answers(self, answers):
        """Return infinities."""
        return np.full(len(answers), np.inf)


def test_scores_that_are_not_finite_name_their_attack():
    """An area of them would be silently false."""
    with pytest.raises(ValueError, match="attack 'mine' must give finite scores"):
        quick(TARGET, MEMBERS, OTHERS, attacks=[("mine", Infinite())])


class Logits(Dictated):
    """Answers what are no probabilities."""

    def predict_proba(self, X):
        """Return the rows."""
        return np.asarray(X)


def test_answers_that_are_no_probabilities_are_refused():
    """Before any attack."""
    with pytest.raises(ValueError, match="Class probabilities must not be negative"):
        quick(Logits().fit(), MEMBERS, OTHERS)


def test_no_deprecated_warning_is_swallowed():
    """Only the warning about sides is caught and written down."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quick(TARGET, MEMBERS, OTHERS)


def runnable(attacks, X):
    """Return which attacks run on rows with labels, and why others do not."""
    return _runnable(attacks, None, AttackedRows(X, np.zeros(X.shape[0]), np.ones(X.shape[0], dtype=bool)))


def test_suites_ask_about_neighbors_of_numeric_rows_alone():
    """Images are shifted, rows get noise, text gets neither; the adaptive suite has the standard one in it."""
    X = np.zeros((4, 64))
    standard, left_out = runnable("standard", X)
    assert not left_out
    assert set(STANDARD) <= set(get_attack_names())
    assert {"confidence", "correctness", "non_monotone", "label_only_noise"} <= set(standard)
    assert set(runnable("standard", X.reshape(-1, 1, 8, 8))[0]) == {*standard, "label_only_augmentation"}
    of_numbers = {"label_only_noise", "label_only_reference", "label_only_reference_noise", "quantile", "reference"}
    for other in (X.astype(str), pd.DataFrame(X).astype({3: "category"}), sparse.csr_array(X), X.astype(object)):
        named, left_out = runnable("standard", other)
        assert set(named) == set(standard) - of_numbers
        assert set(left_out) == of_numbers
    assert set(standard) < set(runnable("adaptive", X)[0])


@pytest.mark.parametrize("X", [pd.DataFrame({"a": [1.0], "town": ["Ulm"]}), sparse.csr_array(np.eye(2))])
def test_an_attack_that_cannot_be_run_is_named_before_anything_is(X):
    """Not after several others have run."""
    with pytest.raises(ValueError, match="'quantile' needs dense rows of numbers. Got .*(town|csr_array)"):
        runnable(["entropy", "quantile"], X)
    with pytest.raises(ValueError, match="'label_only_augmentation' needs images of shape"):
        runnable(["label_only_augmentation"], np.zeros((3, 4)))



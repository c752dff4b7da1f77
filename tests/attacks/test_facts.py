"""What an attack says of itself: a subclass is audited and reported as its parent is."""

import numpy as np
import pandas as pd
import pytest
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from skdiffence._evaluation._named_attacks import row_types
from skdiffence.attacks import (
    FallbackAttack,
    HistogramAttack,
    PrecompensatedQueryAttack,
    QuantileAttack,
    RepeatedQueryAttack,
    ThresholdAttack,
    get_attack,
    get_attack_names,
)
from skdiffence.inspection import audit
from skdiffence.inspection.report._sentences import untested
from tests.attacks.cases import CASES, OFFERED, world

N_ROWS_OF_A_SIDE = 10
# By the word that tells in which of the questions that a report leaves open they are answered.
ANSWERS = {
    "shadow": {"LiRAAttack", "RMIAAttack"},
    "Repeated": {"PrecompensatedQueryAttack", "RepeatedQueryAttack", "SurrogateRegenerationAttack"},
    "labels": {"BoundaryAttack", "LabelOnlyAttack"},
    "Timing": {"AnswerCostAttack"},
}
READ_LABELS = {"BoundaryAttack", "CorrectnessAttack", "LabelOnlyAttack", "LabelOnlyReferenceAttack"}
ONE_EACH = {type(case.make(world("null"))).__name__: case for case in reversed(CASES)}


def subclass(attack):
    """Return an attack with the same parameters, of a class that a user derived and named anew."""
    params = attack.get_params(deep=False)
    if "undefended" in params:
        params["undefended"] = FrozenEstimator(params["undefended"])
    return type("Mine", (type(attack),), {})(**params)


@pytest.mark.filterwarnings("ignore::skdiffence.exceptions.MembershipWarning")
@pytest.mark.parametrize("name", ONE_EACH)
def test_subclass_is_treated_as_its_parent(name):
    """Floor, shared queries and what a report leaves open: nothing goes by the name of a class."""
    case = ONE_EACH[name]
    of_kind = world("memorizer", case.of_neighbors)
    sides = [np.flatnonzero(side)[:N_ROWS_OF_A_SIDE] for side in (of_kind.is_member, ~of_kind.is_member)]
    members, others = ((of_kind.X[rows], of_kind.y[rows]) for rows in sides)
    attacks = {"mine": subclass(case.make(of_kind)), "entropy": get_attack("entropy")}
    report = audit(of_kind.target, members, others, attacks=attacks, n_permutations=100, random_state=0)
    assert report.targets["audited"].attacks[0].label_only == (name in READ_LABELS)
    assert (report.floor and report.floor.attack) == ("mine" if name in READ_LABELS else None)
    left_open = " ".join(untested(report))
    assert {word for word in ANSWERS if word in left_open} == {w for w, names in ANSWERS.items() if name not in names}


@pytest.mark.parametrize("name", sorted(attack.__name__ for attack in OFFERED))
def test_families_are_the_rooms(name):
    """An attack stands in the folder of its family, and only that of shadows needs shadows."""
    attack = ONE_EACH[name].make(world("null"))
    assert type(attack).__module__.split(".")[2] == ("adaptive" if name == "FallbackAttack" else attack.family)
    assert attack.needs_shadows == (attack.family == "shadow")
    assert attack.uses in {"proba", "labels", "cost"}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_attacks_that_need_true_labels_say_so(case):
    """Without labels they refuse by name, and the others score every row: audits go by this attribute."""
    of_kind, attack = world("memorizer", case.of_neighbors), case.make(world("memorizer", case.of_neighbors))
    rows = np.arange(2 * N_ROWS_OF_A_SIDE)
    X, is_member = of_kind.X[rows], of_kind.is_member[rows]
    if not attack.needs_true_labels:
        assert np.isfinite(attack.fit(of_kind.target, X, None, is_member).score_samples(X, None)).all()
        return
    with pytest.raises(ValueError, match="y must hold the true label of each row.* Got None"):
        attack.fit(of_kind.target, X, None, is_member)


@pytest.mark.parametrize(
    ("attack", "needs"),
    [
        (ThresholdAttack("entropy"), False),
        (ThresholdAttack("entropy", threshold="per_class"), True),
        (HistogramAttack("entropy"), False),
        (QuantileAttack(signal="entropy"), True),
        (RepeatedQueryAttack(signal="entropy"), False),
        (RepeatedQueryAttack(signal="answered_logit"), False),
        (RepeatedQueryAttack(), True),
    ],
    ids=repr,
)
def test_signal_decides_whether_true_labels_are_read(attack, needs):
    """The entropy of an answer has no true label in it, thresholds of classes have."""
    assert attack.needs_true_labels == needs


@pytest.mark.parametrize("attack", [ThresholdAttack(), HistogramAttack(), QuantileAttack()], ids=repr)
def test_signal_decides_what_is_read(attack):
    """Correctness needs nothing but labels."""
    assert attack.uses == "proba"
    assert attack.set_params(signal="correctness").uses == "labels"


def test_fallback_attack_is_adaptive_where_it_changes_rows():
    """With the bare classifier at hand one answer for each row is all that it looks at."""
    assert FallbackAttack().family == "adaptive"
    assert FallbackAttack(world("null").target).family == "answer"
    assert (FallbackAttack().row_type, FallbackAttack(world("null").target).row_type) == ("arrays", "any")


@pytest.mark.parametrize(
    "attack",
    [RepeatedQueryAttack(), PrecompensatedQueryAttack(mode="contrast"), FallbackAttack()],
    ids=lambda attack: type(attack).__name__,
)
def test_attacks_on_arrays_take_no_frames(attack):
    """Audits of frames leave them out by this attribute, and a fit says so."""
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(40, 3)), columns=list("abc"))
    y = np.arange(40) % 2
    target = LogisticRegression().fit(frame, y)
    assert attack.row_type == "arrays"
    assert "arrays" in row_types(frame.to_numpy())
    assert "arrays" not in row_types(frame)
    with pytest.raises(ValueError, match="X must be a numeric array .* Got DataFrame"):
        attack.fit(target, frame, y, np.arange(40) < 20)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", get_attack_names())
def test_row_type_is_what_an_attack_can_be_run_on(name):
    """Attacks on any rows are fitted to rows of text, all others refuse them: audits go by this attribute."""
    words = pd.DataFrame(np.random.default_rng(0).choice(list("abcd"), (60, 3)), columns=["x", "y", "z"])
    y, is_member = np.arange(60) % 2, np.arange(60) < 30
    encoder = make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression())
    target, attack = encoder.fit(words[is_member], y[is_member]), get_attack(name)
    if attack.row_type == "any":
        assert np.isfinite(attack.fit(target, words, y, is_member).score_samples(words, y)).all()
    else:
        with pytest.raises((TypeError, ValueError), match="(?i)numeric|numbers|images"):
            attack.fit(target, words, y, is_member)

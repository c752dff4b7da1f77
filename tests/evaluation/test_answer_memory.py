"""What an evaluation asks its target: every question once, whoever asks it, and exactly as often as it must."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skdiffence._evaluation import _answer_memory as module
from skdiffence._evaluation._answer_memory import AnswerMemory, n_queries, remember_answers
from skdiffence._evaluation._cross_fit import cross_fit
from skdiffence._evaluation._rows import AttackedRows
from skdiffence.attacks import (
    AnswerCostAttack,
    LabelOnlyAttack,
    LiRAAttack,
    RepeatedQueryAttack,
    RMIAAttack,
    query,
    train_shadows,
)
from skdiffence.defenses import DefendedClassifier
from skdiffence.inspection import audit
from skdiffence.model_selection import AttackScorer
from tests.defenses.regenerators import CountingRegenerator, NoiseRegenerator
from tests.inspection.audit_cases import Repeated, sides

N = 60
_X, Y_DIGITS = load_digits(return_X_y=True)
IMAGES = (_X / 16).reshape(-1, 1, 8, 8).astype(np.float32)


class Images(ClassifierMixin, BaseEstimator):
    """Answers images by a model of their pixels, and writes down what it is asked."""

    def __init__(self, inner=None):
        self.inner = inner

    def fit(self, X, y):
        self.inner_ = RandomForestClassifier(10, random_state=0).fit(X.reshape(len(X), -1), y)
        self.classes_, self.calls_ = self.inner_.classes_, []
        return self

    def predict_proba(self, X):
        self.calls_.append(("predict_proba", len(X)))
        return self.inner_.predict_proba(X.reshape(len(X), -1))

    def predict(self, X):
        self.calls_.append(("predict", len(X)))
        return self.inner_.predict(X.reshape(len(X), -1))

    def rows_asked(self):
        """Return the rows asked about since the last time, by method."""
        asked = {method: sum(n for name, n in self.calls_ if name == method) for method in ("predict_proba", "predict")}
        self.calls_.clear()
        return asked


def images(n=N):
    """Return a target, members and non-members."""
    members, others = ((IMAGES[rows], Y_DIGITS[rows]) for rows in (slice(0, n), slice(n, 2 * n)))
    return Images().fit(*members), members, others


# --- exact costs -----------------------------------------------------------------------------------

SINGLE = ["confidence", "correctness", "entropy", "logit"]
EXACT = ("exact", RepeatedQueryAttack(4))
GRAY = ("gray", RepeatedQueryAttack(4, neighbor="gray", value_range=(0, 1)))
FLIPS = ("labels", LabelOnlyAttack("augmentation"))


@pytest.mark.parametrize(
    ("attacks", "proba", "labels"),
    [
        (SINGLE, 1, 1),
        ([*SINGLE, EXACT], 4, 4),  # three more, of both, because each answer is one of both
        ([EXACT, ("again", RepeatedQueryAttack(3, statistic="max"))], 4, 4),
        ([GRAY], 4, 4),
        ([*SINGLE, FLIPS], 1, 18),
        ([GRAY, EXACT, FLIPS], 7, 24),  # the row itself once; 3 neighbors, 3 repetitions, 17 views
    ],
)
def test_cost_of_an_audit(attacks, proba, labels):
    """So many answers for each row, with the null control and both halves: what one attacker would pay, or less."""
    target, members, others = images()
    audit(target, members, others, attacks=attacks, n_permutations=100, random_state=0)
    assert target.rows_asked() == {"predict_proba": 2 * N * proba, "predict": 2 * N * labels}


@pytest.mark.parametrize(("attacks", "proba", "labels"), [(SINGLE, 1, 1), ([GRAY, EXACT, FLIPS], 7, 24)])
def test_cost_of_a_scorer(attacks, proba, labels):
    """The same, in cross-validation."""
    target, members, others = images()
    X, y, is_member = np.concatenate([members[0], others[0]]), np.r_[members[1], others[1]], np.arange(2 * N) < N
    AttackScorer(attacks, pool=(X, y, is_member), random_state=0)(target, X, y)
    assert target.rows_asked() == {"predict_proba": 2 * N * proba, "predict": 2 * N * labels}


def test_cost_of_attacks_with_shadows():
    """One answer a row for both, beside all others."""
    target, members, others = images()
    pool, is_member = (np.concatenate([members[0], others[0]]), np.r_[members[1], others[1]]), np.arange(2 * N) < N
    shadows = train_shadows(Images(), *pool, n_shadows=4, random_state=0)
    attacks = [*SINGLE, ("lira", LiRAAttack(shadows, pool=pool)), ("rmia", RMIAAttack(shadows, pool=pool))]
    AttackScorer(attacks, pool=(*pool, is_member), random_state=0)(target, *pool)
    assert target.rows_asked() == {"predict_proba": 2 * N, "predict": 2 * N}


@pytest.mark.parametrize("selection", ["first", "swap"])
def test_network_calls_of_an_audit(selection):
    """As many as the answers to all rows take: neither the work that they took nor undefended answers cost more."""
    members, others = ((IMAGES[rows], Y_DIGITS[rows]) for rows in (slice(0, N), slice(N, 2 * N)))
    defended = DefendedClassifier(Images(), CountingRegenerator(0.05), selection=selection, random_state=0)
    defended.fit(*members)
    rows = np.concatenate([members[0], others[0]])
    CountingRegenerator.n_regenerated = 0
    defended.predict_proba(rows)
    expected, CountingRegenerator.n_regenerated = CountingRegenerator.n_regenerated, 0
    attacks = [*SINGLE, ("cost", AnswerCostAttack()), FLIPS]
    report = audit(defended, members, others, attacks=attacks, n_permutations=100, random_state=0)
    assert CountingRegenerator.n_regenerated == expected >= len(rows)
    results = {result.attack: result for result in report.targets["audited"].attacks}
    assert results["cost"].queries_per_row == 1


class Forgetful(AnswerMemory):
    """Asks its target whenever it is asked."""

    def view(self, attack=None):
        asked = super().view(attack)
        asked.repeats_ = None
        return asked


def test_attacks_score_as_if_alone():
    """What is told again is what would have been answered."""
    target, members, others = images()
    X, y, is_member = np.concatenate([members[0], others[0]]), np.r_[members[1], others[1]], np.arange(2 * N) < N
    memory = AnswerMemory(target)
    answers = query(memory.view(), X, y)
    run = partial(cross_fit, answers=answers, rows=AttackedRows(X, y, is_member).keyed(0), known=0.5, seed=0)
    for _, attack in (EXACT, GRAY, FLIPS):
        alone = Forgetful(target)
        np.testing.assert_array_equal(run(attack, memory).scores, run(attack, alone).scores)
        assert alone.target_queries == alone.attacker_queries
    assert memory.target_queries["predict"] < memory.attacker_queries["predict"]


# --- one memory ------------------------------------------------------------------------------------


class Drawing(Images):
    """Draws a new answer each time."""

    def predict_proba(self, X):
        super().predict_proba(X)
        draws = np.random.default_rng(len(self.calls_)).random((len(X), 2))
        return draws / draws.sum(axis=1, keepdims=True)


def test_repeated_questions_are_answered_anew():
    """To one attacker; the next is told the same sequence, whatever the order of the rows and the batches."""
    target, rows = Drawing().fit(IMAGES[:9], Y_DIGITS[:9]), IMAGES[:9]
    memory = AnswerMemory(target)
    first = memory.view()
    told = [first.predict_proba(rows) for _ in range(2)]
    assert not np.array_equal(*told)
    second, order = memory.view(), np.random.default_rng(0).permutation(9)
    for answered in told:
        parts = [second.predict_proba(rows[order[half]]) for half in (slice(0, 4), slice(4, 9))]
        np.testing.assert_array_equal(np.concatenate(parts), answered[order])
    assert memory.target_queries == {"predict_proba": 18}
    assert memory.attacker_queries == {"predict_proba": 36}
    np.testing.assert_array_equal(memory.view().predict_proba(rows[[3, 3]]), [told[0][3], told[1][3]])


def test_rows_that_are_known_and_new_come_in_their_order():
    """Only the new are asked about."""
    target, rows = Images().fit(IMAGES[:9], Y_DIGITS[:9]), IMAGES[:9]
    memory = AnswerMemory(target)
    memory.view().predict(rows[::2])
    np.testing.assert_array_equal(memory.view().predict(rows), target.predict(rows))
    assert memory.target_queries == {"predict": 9}


@pytest.mark.parametrize("changed", [lambda X: X + np.float32(1e-7), lambda X: X.astype(np.float64)])
def test_other_rows_are_other_questions(changed):
    """A last bit and a type of numbers count, because they do for targets."""
    memory = AnswerMemory(Images().fit(IMAGES[:9], Y_DIGITS[:9]))
    for rows in (IMAGES[:9], changed(IMAGES[:9])):
        memory.view().predict(rows)
    assert memory.target_queries == {"predict": 18}


def test_attacks_that_time_answers_get_real_ones():
    """As does any attack that does not say otherwise."""
    target, rows = Images().fit(IMAGES[:9], Y_DIGITS[:9]), IMAGES[:9]
    memory = AnswerMemory(target)
    for _ in range(2):
        memory.view(AnswerCostAttack("seconds")).predict_proba(rows)
    assert memory.target_queries == {"predict_proba": 18}
    assert not Repeated().shares_answers
    assert AnswerCostAttack().shares_answers


def test_frames_are_asked_about_each_time():
    """Where a row has no bytes of its own nothing is taken for the same."""
    target, members, _ = sides()
    frame = pd.DataFrame(members[0])
    memory = AnswerMemory(target)
    for _ in range(2):
        np.testing.assert_array_equal(memory.view().predict_proba(frame), target.predict_proba(frame))
    assert memory.target_queries == {"predict_proba": 2 * len(frame)}


def test_memory_is_bounded(monkeypatch):
    """What no longer fits is asked again, and answered right."""
    monkeypatch.setattr(module, "_MOST_BYTES", 12 * (module._NAME_BYTES + 8))
    target = Images().fit(IMAGES[:9], Y_DIGITS[:9])
    memory = AnswerMemory(target)
    for rows in (IMAGES[:9], IMAGES[5:14], IMAGES[:9]):
        np.testing.assert_array_equal(memory.view().predict(rows), target.predict(rows))
    assert memory.target_queries == {"predict": 14}


def test_memory_of_an_attacker_is_bounded(monkeypatch):
    """One who asks too much is answered by the target from then on; the next is told what others were."""
    monkeypatch.setattr(module, "_MOST_BYTES", 20 * module._NAME_BYTES)
    memory = AnswerMemory(Images().fit(IMAGES[:9], Y_DIGITS[:9]))
    insatiable = memory.view()
    for rows in (IMAGES[:9], IMAGES[9:21], IMAGES[:9]):
        np.testing.assert_array_equal(insatiable.predict(rows), memory.target.predict(rows))
    assert [len(names) for names in insatiable.repeats_.values()] == [21]
    assert memory.target_queries == {"predict": 30}
    memory.view().predict(IMAGES[:9])
    assert memory.target_queries == {"predict": 30}


@pytest.mark.parametrize("with_select", [False, True])
def test_answers_are_safe_from_those_who_got_them(with_select):
    """An attacker who changes its answer in place changes nobody else's."""
    rows, labels = _X[:40], Y_DIGITS[:40]
    defended = DefendedClassifier(LogisticRegression(), NoiseRegenerator(), random_state=0).fit(rows, labels)
    memory = AnswerMemory(defended, with_select=with_select)
    for _ in range(3):
        told = memory.view().predict_proba(rows)
        np.testing.assert_array_equal(told, defended.predict_proba(rows))
        told[:] = 0.0


def test_answers_keep_their_type():
    """Labels are objects where they were, also those that are put together from several answers."""
    labels = np.array(["zero", "one"], dtype=object)[Y_DIGITS[:40] % 2]
    model = RandomForestClassifier(5, random_state=0).fit(_X[:40], labels)
    memory = AnswerMemory(model)
    for rows in (_X[:9], _X[:20], _X[:20]):
        told = memory.view().predict(rows)
        assert told.dtype == object
        np.testing.assert_array_equal(told, model.predict(rows))


def test_pipelines_do_not_pass_on_what_took_how_long():
    """A defended classifier inside one is asked for probabilities, and the attack says what it lacks."""
    X, y = _X[:80], Y_DIGITS[:80]
    defended = DefendedClassifier(LogisticRegression(), NoiseRegenerator(), random_state=0)
    target = make_pipeline(StandardScaler(), defended).fit(X, y, defendedclassifier__is_member=np.arange(80) < 40)
    memory = remember_answers(target, [AnswerCostAttack()])
    np.testing.assert_array_equal(memory.view().predict_proba(X), target.predict_proba(X))
    with pytest.raises(TypeError, match="target must have select"):
        AnswerCostAttack().fit(memory.view(), X, y, np.arange(80) < 40)


def test_target_answers_as_its_own():
    """It is looked through where a type decides how a target is asked; select is there if it was."""
    rows, labels = _X[:40], Y_DIGITS[:40]
    model = RandomForestClassifier(5, random_state=0).fit(rows, labels)
    memory = AnswerMemory(FrozenEstimator(model))
    np.testing.assert_array_equal(query(memory.view(), rows, labels).proba, model.predict_proba(rows))
    assert memory.target_queries == {"predict_proba": 40}  # a forest's label is the argmax
    assert n_queries(memory.attacker_queries) == 40
    assert not hasattr(memory.view(), "select")
    defended = DefendedClassifier(LogisticRegression(), NoiseRegenerator(), random_state=0).fit(rows, labels)
    memory = remember_answers(defended, [AnswerCostAttack()])
    np.testing.assert_array_equal(memory.view().predict_proba(rows), defended.predict_proba(rows))
    np.testing.assert_array_equal(memory.view().select(rows).candidate, defended.select(rows).candidate)
    assert memory.target_queries == {"select": 40}
    assert memory.view().regenerator_ is defended.regenerator_


class Returning:
    """Answers something of the user's own, whatever is asked."""

    classes_ = np.array([0, 1])

    def __init__(self, answer):
        self.answer = answer

    def predict_proba(self, X):
        """Return it."""
        return self.answer


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (None, "predict_proba with one row for each of the 40 rows of X. Got NoneType"),
        (torch.full((40, 2), 0.5, requires_grad=True), "arrays from predict_proba. Got a tensor with a gradient"),
        (np.full((20, 2), 0.5), r"one row for each of the 40 rows of X. Got shape \(20, 2\)"),
        (np.full(40, 0.5), r"one column for each class. Got shape \(40,\). For the probability p .*column_stack"),
        ([np.full((40, 2), 0.5)] * 2, r"Got shape \(2, 40, 2\). Several outputs are out of scope"),
        (np.full((40, 2), 50.0), "Are these percentages"),
    ],
    ids=["nothing", "gradient", "too few rows", "one column", "several outputs", "percentages"],
)
def test_answers_of_a_wrong_form_are_named(answer, message):
    """Not the rows, nor a module of torch that is not there."""
    X, y = np.random.default_rng(0).normal(size=(40, 3)), np.arange(40) % 2
    with pytest.raises(ValueError, match=message):
        audit(Returning(answer), (X[:20], y[:20]), (X[20:], y[20:]), attacks=["entropy"], random_state=0)

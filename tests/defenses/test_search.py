"""The search through candidates, against a brute force over all of them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.special import softmax

from skdiffence.defenses import FirstRule, IntervalRule, LowestRule, SwapRule
from skdiffence.defenses._answer import answer
from skdiffence.diffusion import DiffusionRegenerator
from skdiffence.metrics import logit_signal
from tests.defenses.cases import RULES, defend, digits, fitted, half, quiet
from tests.defenses.regenerators import NoiseRegenerator
from tests.nets import make_net

EVERYTHING = (-np.inf, np.inf)


def interval_rule(interval):
    rule = IntervalRule()
    rule.interval_ = interval
    return rule


def by_brute_force(probas, original, label, interval, fallback):
    """Answer one row as the paper does, candidate after candidate, with plain Python."""
    low, high = interval
    kept = []
    for number, proba in enumerate(probas):
        if int(np.argmax(proba)) == label:
            rest = sum(float(p) for k, p in enumerate(proba) if k != label)
            kept.append((number, np.log(float(proba[label]) + 1e-45) - np.log(rest + 1e-45)))
    for number, phi in kept:
        if low <= phi <= high:
            return number, probas[number]
    if kept:
        if interval == EVERYTHING:
            return kept[0][0], probas[kept[0][0]]
        number = min(kept, key=lambda pair: abs(pair[1] - (low + high) / 2))[0]
        return number, probas[number]
    if fallback == "original":
        return -1, original
    answer = list(probas[-1])
    top = int(np.argmax(answer))
    answer[top], answer[label] = answer[label], answer[top]
    return len(probas) - 1, answer


def answers(probas, originals, rule, *, lazy, fallback, fill=1):
    """Answer rows of a table of candidates, shape (n_candidates, n, n_classes)."""
    labels = originals.argmax(axis=1)

    def classify(rows, candidate):
        proba = probas[candidate, rows]
        return proba.argmax(axis=1), proba

    original = (lambda rows: originals[rows].copy()) if fallback == "original" else None
    return answer(classify, labels, rule, len(probas), lazy=lazy, fill=fill, original=original)


TABLE = np.array([
    # Three candidates of one row; its label is 2. phi of the first and third: ln(.7/.3), ln(.4/.6).
    [0.1, 0.1, 0.7, 0.1],
    [0.6, 0.2, 0.1, 0.1],
    [0.3, 0.2, 0.4, 0.1],
])  # fmt: skip
ORIGINAL = np.array([0.02, 0.02, 0.95, 0.01])


@pytest.mark.parametrize(
    ("interval", "candidate"),
    [
        (EVERYTHING, 0),
        ((0.5, 1.0), 0),
        ((-1.0, 0.0), 2),
        ((-1.0, 1.0), 0),
        ((5.0, 6.0), 0),
        ((-9.0, -8.0), 2),
        ((0.1, 0.2), 2),  # The middle 0.15 is 0.70 from the first and 0.56 from the third.
        ((0.3, 0.4), 0),  # The middle 0.35 is 0.50 from the first and 0.76 from the third.
    ],
)
@pytest.mark.parametrize("lazy", [True, False])
def test_table_by_hand(interval, candidate, lazy):
    """Three candidates and four classes, chosen by hand for each kind of interval."""
    found = answers(TABLE[:, None], ORIGINAL[None], interval_rule(interval), lazy=lazy, fallback="swap")
    assert found.candidate[0] == candidate
    np.testing.assert_array_equal(found.proba[0], TABLE[candidate])


@pytest.mark.parametrize("lazy", [True, False])
def test_table_without_a_candidate_that_keeps_the_label(lazy):
    """The last candidate's top entry and the label's change places, or the original answers."""
    original = ORIGINAL[[0, 2, 1, 3]][None]
    swapped = answers(TABLE[:, None], original, FirstRule(), lazy=lazy, fallback="swap")
    np.testing.assert_array_equal(swapped.proba[0], [0.3, 0.4, 0.2, 0.1])
    undefended = answers(TABLE[:, None], original, FirstRule(), lazy=lazy, fallback="original")
    np.testing.assert_array_equal(undefended.proba, original)
    assert undefended.candidate[0] == -1


TABLES = st.tuples(st.integers(1, 5), st.integers(1, 6), st.integers(2, 4)).flatmap(
    lambda shape: arrays.arrays(np.float64, (shape[0] + 1, *shape[1:]), elements=st.floats(-4, 4, width=16))
)
INTERVALS = st.one_of(
    st.just(EVERYTHING), st.tuples(st.floats(-3, 3), st.floats(0.1, 3)).map(lambda pair: (pair[0], sum(pair)))
)


@settings(deadline=None, max_examples=80)
@given(TABLES, INTERVALS, st.sampled_from(["swap", "original"]), st.booleans())
def test_search_equals_brute_force(logits, interval, fallback, lazy):
    """Whatever the candidates, interval and fallback, lazy or not: the answer is the paper's."""
    table = softmax(logits, axis=2)
    # Exact ties are settled elsewhere; here the larger index gets an edge that no rounding loses.
    table = softmax(np.log(table) + 1e-6 * np.arange(table.shape[2]), axis=2)
    probas, originals = table[:-1], table[-1]
    found = answers(probas.copy(), originals, interval_rule(interval), lazy=lazy, fallback=fallback)
    for row, label in enumerate(originals.argmax(axis=1)):
        candidate, proba = by_brute_force(probas[:, row], originals[row], label, interval, fallback)
        assert found.candidate[row] == candidate
        np.testing.assert_allclose(found.proba[row], proba)


@settings(deadline=None, max_examples=60)
@given(TABLES, INTERVALS, st.integers(2, 40), st.booleans())
def test_candidates_made_ahead_change_nothing(logits, interval, fill, lazy):
    """Filling batches with later candidates gives the same answers, from the same number of candidates looked at."""
    table = softmax(np.round(logits, 1), axis=2)
    one, ahead = (
        answers(table[:-1].copy(), table[-1], interval_rule(interval), lazy=lazy, fallback="swap", fill=n)
        for n in (1, fill)
    )
    for name in one:
        np.testing.assert_array_equal(ahead[name], one[name])


def test_last_rows_do_not_run_alone():
    """Four rows are asked about together, the two that are left with two candidates each, the last with four."""
    probas = np.full((9, 4, 2), [0.1, 0.9])
    for row, found_at in enumerate((0, 0, 2, 8)):
        probas[found_at, row] = 0.9, 0.1
    asked = []

    def classify(rows, candidate):
        asked.append(len(rows))
        return probas[candidate, rows].argmax(axis=1), probas[candidate, rows]

    found = answer(classify, np.zeros(4, dtype=int), FirstRule(), 9, lazy=True, fill=4)
    np.testing.assert_array_equal(found.candidate, [0, 0, 2, 8])
    np.testing.assert_array_equal(found.n_regenerations, [1, 1, 3, 9])
    assert asked == [4, 4, 4, 2]


@pytest.mark.parametrize("lazy, rule", [(False, FirstRule()), (True, LowestRule())])
def test_searches_that_can_not_end_early_fill_their_first_batch(lazy, rule):
    """What all rows need is made at once."""
    asked = []

    def classify(rows, candidate):
        asked.append(len(rows))
        return np.zeros(len(rows), dtype=int), np.tile([0.9, 0.1], (len(rows), 1))

    answer(classify, np.zeros(1, dtype=int), rule, 4, lazy=lazy, fill=4)
    assert asked == [4]


def test_rows_that_missed_often_get_more_candidates_at_once():
    """One at first, then as many as they have missed, up to eight times what fills a batch."""
    probas = np.full((60, 1, 2), [0.1, 0.9])
    probas[50, 0] = 0.9, 0.1
    asked = []

    def classify(rows, candidate):
        asked.append(len(rows))
        return probas[candidate, rows].argmax(axis=1), probas[candidate, rows]

    found = answer(classify, np.zeros(1, dtype=int), FirstRule(), 60, lazy=True, fill=2)
    assert (found.candidate[0], found.n_regenerations[0]) == (50, 51)
    assert asked == [1, 2, 3, 6, 12, 16, 16]


@settings(deadline=None, max_examples=40)
@given(TABLES, INTERVALS)
def test_choose_is_the_search_over_columns(logits, interval):
    """The rules' own ``choose``, used in calibration, takes what a search takes."""
    probas, originals = softmax(logits, axis=2)[:-1], softmax(logits, axis=2)[-1]
    labels, rule = originals.argmax(axis=1), interval_rule(interval)
    found = answers(probas.copy(), originals, rule, lazy=False, fallback="swap")
    kept = probas.argmax(axis=2) == labels
    # Read as the search does: another sum rounds otherwise, and candidates that are mirror images then tie no more.
    phi = np.where(kept, [logit_signal(labels, proba) for proba in probas], np.nan).T
    rows = kept.any(axis=0)
    np.testing.assert_array_equal(rule.choose(phi)[rows], found.candidate[rows])


def test_swap_is_the_search_with_one_candidate():
    """SwapRule never asks for a second candidate."""
    found = answers(TABLE[1:, None][:1], ORIGINAL[None], SwapRule(), lazy=True, fallback="swap")
    np.testing.assert_array_equal(found.proba[0], [0.1, 0.2, 0.6, 0.1])


@pytest.mark.parametrize("fallback", ["swap", "original"])
@pytest.mark.parametrize("selection", RULES)
@pytest.mark.parametrize("scale", [0.3, 2.0])
def test_lazy_equals_constant(selection, fallback, scale):
    """Making all candidates changes no answer."""
    pair = [
        fitted("net", NoiseRegenerator(scale), selection=selection, fallback=fallback, search=search)
        for search in ("lazy", "constant")
    ]
    (lazy, X, _), (constant, _, _) = pair
    np.testing.assert_array_equal(lazy.select(X).candidate, constant.select(X).candidate)
    np.testing.assert_allclose(lazy.predict_proba(X), constant.predict_proba(X), atol=1e-5)


def apart(asked, together):
    """Count rows that differ by more than rounding; one decided within 1e-4 of a tie may."""
    return np.sum(np.abs(asked - together).max(axis=1) > 1e-5)


@pytest.mark.parametrize("selection", RULES)
def test_answers_depend_on_the_row_alone(selection):
    """Order, company and repetition change nothing."""
    defended, X, _ = fitted("net", NoiseRegenerator(0.5), selection=selection)
    together = defended.predict_proba(X)
    order = np.random.default_rng(0).permutation(len(X))
    assert apart(defended.predict_proba(X[order]), together[order]) == 0
    assert apart(np.vstack([defended.predict_proba(X[i : i + 7]) for i in range(0, len(X), 7)]), together) == 0
    np.testing.assert_array_equal(defended.predict_proba(X), together)


@pytest.mark.parametrize(("kind", "selection"), [("rows", "matched"), ("images", "matched"), ("images", "mean")])
def test_exact_answers_are_equal_to_the_last_bit(kind, selection):
    """With exact=True the real regenerator and a real net answer bit for bit, in any company."""
    X, y = digits(kind)
    denoiser = {"width": 16} if kind == "rows" else {"block_out_channels": (8, 8), "norm_num_groups": 4}
    regenerator = DiffusionRegenerator(denoiser, timestep=100, max_epochs=1, exact=True)
    defended = quiet(defend(make_net(), regenerator, selection=selection).fit, X, y, is_member=half(y))
    X = X[:70]
    together = defended.predict_proba(X)
    order = np.random.default_rng(0).permutation(len(X))
    np.testing.assert_array_equal(defended.predict_proba(X[order]), together[order])
    np.testing.assert_array_equal(np.vstack([defended.predict_proba(X[i : i + 1]) for i in range(20)]), together[:20])
    constant = defended.set_params(search="constant").predict_proba(X)
    np.testing.assert_array_equal(constant, together)


def test_blocks_of_rows_change_nothing(monkeypatch):
    """Rows too many for memory are answered block by block."""
    defended, X, _ = fitted("net", NoiseRegenerator(0.5))
    together = defended.select(X)
    monkeypatch.setattr("skdiffence.utils._blocks.BLOCK_BYTES", 1)
    in_blocks = defended.select(X)
    assert apart(in_blocks.proba, together.proba) == 0
    for name in ("candidate", "n_regenerations", "kept"):
        np.testing.assert_array_equal(in_blocks[name], together[name])


def test_progress_counts_every_row(capsys):
    """verbose shows a bar that ends at the number of rows."""
    X, y = digits()
    defended = quiet(defend(make_net(), NoiseRegenerator(0.5), verbose=1).fit, X, y)
    defended.predict_proba(X)
    assert f"{len(X)}/{len(X)}" in capsys.readouterr().err

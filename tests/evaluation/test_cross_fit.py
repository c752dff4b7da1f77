"""Attackers who know half of the rows, and what is left of privacy under them."""

import numpy as np
import pytest
from scipy.special import expit

from skdiffence._evaluation._cross_fit import AttackScores, cross_fit, cross_fit_interval, split_halves
from skdiffence._evaluation._measure import measure_attack
from skdiffence._evaluation._rows import AttackedRows
from skdiffence.attacks import Answers, SingleQueryAttack, ThresholdAttack, query
from skdiffence.metrics import auc_interval
from skdiffence.model_selection._attack_scorer import _privacy
from skdiffence.utils._rows import row_digests
from tests.attacks.targets import Dictated, logits

N_ROWS = 60


class Memorizer(SingleQueryAttack):
    """Recognizes the answers that it was shown."""

    n_known = []

    def _learn(self, answers, is_member):
        Memorizer.n_known.append((int(is_member.sum()), int((~is_member).sum())))
        self.known_, self.threshold_ = answers.proba[:, 0], 0.5

    def _score(self, answers):
        return np.isin(answers.proba[:, 0], self.known_).astype(float)


def random_answers():
    """Return answers that all differ."""
    first = np.random.default_rng(0).uniform(size=N_ROWS)
    zeros = np.zeros(N_ROWS, dtype=int)
    return Answers(np.c_[first, 1 - first], zeros, zeros, np.arange(2))


@pytest.mark.parametrize(("known", "n_known"), [(0.5, 15), (0.2, 6)])
def test_no_attacker_scores_a_row_that_it_knows(known, n_known):
    Memorizer.n_known.clear()
    X, is_member = np.arange(N_ROWS)[:, None], np.arange(N_ROWS) < N_ROWS // 2
    rows = AttackedRows(X, np.zeros(N_ROWS), is_member).keyed(0)
    found = cross_fit(Memorizer(), None, random_answers(), rows, known=known, seed=0)
    assert not found.scores.any()
    assert not found.predictions.any()
    assert Memorizer.n_known == [(n_known, n_known)] * 2


def test_equal_rows_are_in_the_same_half():
    X = np.repeat(np.arange(N_ROWS // 3), 3)[:, None]
    half, _ = split_halves(row_digests(X, b"key"), X[:, 0] < 10)
    assert (half.reshape(-1, 3) == half[::3, None]).all()
    assert set(half) == {0, 1}


def test_reversed_scores_leave_no_more_privacy():
    scores, is_member = np.arange(N_ROWS, dtype=float), np.arange(N_ROWS) >= 20
    scores[::3] = 30
    attacks = [AttackScores(sign * scores, sign * scores > 0, np.arange(len(scores)) % 2) for sign in (1, -1)]
    results = [measure_attack("any", attack, is_member) for attack in attacks]
    straight, turned = (_privacy([result]).to_dict("privacy") for result in results)
    assert straight == pytest.approx(turned)
    assert straight["privacy"] < 0.2
    assert _privacy(results).to_dict("privacy") == pytest.approx(straight)


def test_intervals_hold_a_guess_where_nothing_leaks():
    """Two attackers who learn from each other's rows make the same mistake: their interval must allow for it.

    Of 150 intervals with a coverage of 0.98, seven or more miss with a probability of 0.03.
    """
    rng = np.random.default_rng(0)
    missed = 0
    for draw in range(150):
        is_member = rng.permutation(np.arange(120) % 2 == 0)
        y = rng.integers(3, size=120)
        answers = query(Dictated().fit(), logits(rng.normal(size=120), y), y)
        rows = AttackedRows(answers.X, y, is_member, row_digests(rng.normal(size=(120, 1))))
        said = cross_fit(ThresholdAttack("confidence"), None, answers, rows, known=0.5, seed=draw)
        low, high = cross_fit_interval(auc_interval, is_member, said.scores, said.half)
        missed += not low <= 0.5 <= high
    assert missed <= 6


def cross_fitted(seed, n=100):
    """Attack answers that do not differ; return what each half made of the other's chance differences."""
    rng = np.random.default_rng(seed)
    is_member, y = np.arange(2 * n) % 2 == 0, np.zeros(2 * n, dtype=int)
    p = expit(rng.normal(size=2 * n))
    answers = Answers(np.column_stack([p, 1 - p]), y, y, np.arange(2))
    rows = AttackedRows(None, y, is_member, row_digests(rng.normal(size=(2 * n, 1))))
    said = cross_fit(ThresholdAttack("logit"), None, answers, rows, known=0.5, seed=0)
    return is_member, said.scores, said.half


def test_cross_fit_interval_covers_where_pooled_rows_do_not():
    """Nominal 95 %, without a leak, 120 audits: pooled intervals hold 0.5 too rarely, the mean of the halves' does."""
    audits = [cross_fitted(seed) for seed in range(120)]
    pooled = [auc_interval(is_member, scores) for is_member, scores, _ in audits]
    honest = [cross_fit_interval(auc_interval, *parts) for parts in audits]
    shares = [np.mean([low <= 0.5 <= high for low, high in ends]) for ends in (pooled, honest)]
    # Binomial standard error at 0.95: 0.02.
    assert shares[0] < 0.93
    assert shares[1] > 0.93


def test_cross_fit_interval_is_the_pooled_one_where_there_is_a_leak():
    """Where the halves' own intervals exclude a guess, nothing is widened; a one-sided half is passed over."""
    rng = np.random.default_rng(0)
    is_member, half = np.arange(400) % 2 == 0, np.arange(400) // 2 % 2
    scores = rng.normal(size=400) + 1.5 * is_member
    assert cross_fit_interval(auc_interval, is_member, scores, half) == auc_interval(is_member, scores)
    noise = rng.normal(size=400)
    assert cross_fit_interval(auc_interval, is_member, noise, is_member.astype(int)) == auc_interval(is_member, noise)

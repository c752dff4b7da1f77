"""MemGuard: labels, budgets and decisions, against brute force and by hand."""

import functools

import numpy as np
import pytest
import torch
from sklearn.naive_bayes import GaussianNB
from torch import nn

from skdiffence.defenses import MemGuardClassifier
from skdiffence.defenses.output._memguard import (
    release_probability,
    search_noise,
    train_attack,
    uniform_of_rows,
)
from skdiffence.utils._random import torch_seed
from tests.defenses.cases import digits, half
from tests.nets import make_net

pytestmark = pytest.mark.usefixtures("untouched_generators")


class Confidence(nn.Module):
    """An attack that calls a row a member if its largest probability is above a half, by log-odds of its own."""

    def forward(self, proba):
        return 10 * (proba.max(dim=1).values - 0.6)


@functools.cache
def guarded(distortion_budget=1.0):
    """Return an overfitted net behind MemGuard, with rows of either side."""
    X, y = digits()
    settings = {"random_state": 0, "attack_epochs": 200, "max_steps": 60}
    fitted = MemGuardClassifier(make_net(max_epochs=40), distortion_budget=distortion_budget, **settings)
    return fitted.fit(X, y, is_member=half(y)), X[:80]


def test_search_crosses_a_known_attack_at_its_boundary():
    """With two classes, an attack on the largest probability is crossed where that is 0.6, from either side."""
    proba = np.array([[0.9, 0.1], [0.2, 0.8], [0.52, 0.48]])
    changed = search_noise(Confidence(), proba, step=0.01, max_steps=1000)
    np.testing.assert_allclose(changed.max(axis=1), 0.6, atol=0.02)
    np.testing.assert_array_equal(changed.argmax(axis=1), proba.argmax(axis=1))
    np.testing.assert_allclose(changed.sum(axis=1), 1)


def test_search_leaves_alone_what_it_cannot_change():
    """An attack that is sure whatever it is shown, and one that guesses already."""

    class Constant(nn.Module):
        def __init__(self, value):
            super().__init__()
            self.value = value

        def forward(self, proba):
            return proba.sum(dim=1) * 0 + self.value

    proba = np.random.default_rng(0).dirichlet(np.ones(3), size=5)
    for value in (3.0, 0.0):
        np.testing.assert_array_equal(search_noise(Constant(value), proba, 0.1, 20), proba)


def test_search_does_not_depend_on_other_rows():
    """One by one, and in batches that try all weights of the distortion at once, some or one after the other."""
    rng = np.random.default_rng(0)
    proba = rng.dirichlet(np.full(10, 0.3), size=150)
    found = [
        np.concatenate([search_noise(Confidence(), some, 0.1, 40) for some in np.split(proba, n_batches)])
        for n_batches in (1, 3, 15, 150)
    ]
    for each in found[1:]:
        np.testing.assert_allclose(each, found[0], rtol=1e-9, atol=1e-12)
    assert np.mean(np.any(found[0] != proba, axis=1)) > 0.5


def test_release_is_the_best_of_all_probabilities():
    """Against a fine grid of them: within the budget, none brings the attack nearer to a guess."""
    rng = np.random.default_rng(0)
    before, after = rng.uniform(-0.5, 0.5, size=(2, 500))
    distortion = rng.uniform(0, 2, size=500)
    distortion[:5] = 0
    for budget in (0.0, 0.1, 1.0):
        p = release_probability(before, after, distortion, budget)
        assert (p * distortion <= budget + 1e-12).all()
        assert ((p >= 0) & (p <= 1)).all()
        grid = np.linspace(0, 1, 1001)[:, None]
        left = np.where(grid * distortion <= budget, np.abs((1 - grid) * before + grid * after), np.inf).min(axis=0)
        assert (np.abs((1 - p) * before + p * after) <= left + 1e-12).all()


def test_release_by_hand():
    """Half of the time between +0.4 and -0.4, the nearer end on one side, nothing where noise makes it worse."""
    before, after = np.array([0.4, 0.4, 0.1]), np.array([-0.4, 0.2, 0.3])
    np.testing.assert_allclose(release_probability(before, after, np.ones(3), 1.0), [0.5, 1, 0])
    np.testing.assert_allclose(release_probability(before, after, np.full(3, 2.0), 0.5), [0.25, 0.25, 0])


def test_attack_is_learned():
    """Confident members and unsure others are told apart, whatever the order of the classes."""
    rng = np.random.default_rng(0)
    members, others = (rng.permuted(rng.dirichlet(a, size=60), axis=1) for a in ([20, 1, 1], [2, 2, 2]))
    with torch_seed(0):
        attack = train_attack(members, others, (16,), 300)
    placed = [(attack(torch.from_numpy(side)) > 0).double().mean().item() for side in (members, others)]
    assert placed[0] > 0.85
    assert placed[1] < 0.15


@pytest.mark.parametrize("budget", [0.0, 0.2, 1.0])
def test_budget_and_label_hold_on_every_row(budget):
    """Expected distortion within the budget, probabilities valid, labels the net's own."""
    fitted, X = guarded(distortion_budget=budget)
    before, changed, probability = fitted.release(X)
    assert (probability * np.abs(changed - before).sum(axis=1) <= budget + 1e-12).all()
    answers = fitted.predict_proba(X)
    np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(answers.argmax(axis=1), fitted.predict(X))
    np.testing.assert_array_equal(changed.argmax(axis=1), before.argmax(axis=1))
    if budget == 0:
        np.testing.assert_array_equal(answers, before)


def test_answers_are_released_with_their_probability():
    """Either answer and no third; how often the changed one fits the probabilities; asking again tells nothing."""
    fitted, X = guarded(distortion_budget=0.3)
    before, changed, probability = fitted.release(X)
    answers = fitted.predict_proba(X)
    is_changed = np.abs(answers - changed).max(axis=1) < 1e-9
    assert (is_changed | (np.abs(answers - before).max(axis=1) < 1e-9)).all()
    differs = np.abs(changed - before).max(axis=1) > 1e-9
    spread = np.sqrt((probability * (1 - probability))[differs].sum())
    assert abs(is_changed[differs].sum() - probability[differs].sum()) < 4 * spread + 1
    np.testing.assert_array_equal(fitted.predict_proba(X), answers)
    np.testing.assert_allclose(fitted.predict_proba(X[::-1])[::-1], answers, atol=1e-5)


def test_the_attack_is_brought_to_a_guess():
    """Its mean certainty about the rows that it learned from falls to a fraction."""
    fitted, X = guarded()
    before, changed, probability = fitted.release(X)
    assert fitted.attack_accuracy_ > 0.55
    sure = fitted._decide(before)
    expected = (1 - probability) * sure + probability * fitted._decide(changed)
    assert np.abs(expected).mean() < 0.3 * np.abs(sure).mean()


def test_uniform_numbers_of_rows():
    """Equal rows draw equal numbers, other keys others, and all are spread evenly."""
    X = np.random.default_rng(0).normal(size=(4000, 3))
    drawn = uniform_of_rows(X, b"a")
    np.testing.assert_array_equal(drawn[::-1], uniform_of_rows(X[::-1], b"a"))
    assert np.abs(np.quantile(drawn, [0.25, 0.5, 0.75]) - [0.25, 0.5, 0.75]).max() < 0.03
    assert abs(np.corrcoef(drawn, uniform_of_rows(X, b"b"))[0, 1]) < 0.06


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"distortion_budget": -1}, "distortion_budget"),
        ({"step": 0.0}, "step"),
        ({"calibration_size": 1.0}, "calibr"),
        ({"hidden_layer_sizes": (8, 0)}, r"hidden_layer_sizes must hold whole numbers from 1 on. Got \(8, 0\)"),
        ({"hidden_layer_sizes": [-3]}, "hidden_layer_sizes must hold"),
        ({"hidden_layer_sizes": ("a",)}, "hidden_layer_sizes must hold"),
        ({"hidden_layer_sizes": (8.0,)}, "hidden_layer_sizes must hold"),
    ],
)
def test_refused_parameters(params, message):
    """Each is named."""
    with pytest.raises(ValueError, match=message):
        MemGuardClassifier(GaussianNB(), **params).fit(*digits())


def test_an_attack_without_hidden_layers():
    """It is a logistic regression."""
    X, y = digits()
    fitted = MemGuardClassifier(GaussianNB(), hidden_layer_sizes=(), attack_epochs=2, random_state=0).fit(X, y)
    assert [weight.shape for weight in fitted.attack_.parameters()] == [(1, 10), (1,)]

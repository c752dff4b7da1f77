"""The mean of the probabilities on several candidates, against loops and closed forms."""

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.frozen import FrozenEstimator
from sklearn.tree import DecisionTreeClassifier

from skdiffence.defenses import DefendedClassifier, MeanRule, TunedDefendedClassifier
from skdiffence.diffusion import DiffusionRegenerator
from skdiffence.diffusion._schedule import Schedule
from tests.defenses.cases import defend, digits, quiet
from tests.defenses.regenerators import NoiseRegenerator
from tests.diffusion.networks import ZeroNoise
from tests.nets import make_net


@pytest.mark.parametrize("fallback", ["swap", "original"])
@pytest.mark.parametrize("search", ["lazy", "constant"])
@pytest.mark.parametrize(("rule", "numbers"), [(MeanRule(3), [0, -1, 2]), (MeanRule(3, antithetic=False), [0, 1, 2])])
def test_mean_against_a_loop(rule, numbers, search, fallback):
    """The mean over the candidates made one by one, the label on top, at the same cost for every row."""
    X, y = digits()
    defended = defend(make_net(), NoiseRegenerator(1.0), selection=rule, search=search, fallback=fallback)
    defended = quiet(defended.fit, X, y)
    candidates = [defended.regenerator_.regenerate(X.astype(np.float32), number) for number in numbers]
    expected = np.mean([defended.estimator_.predict_proba(rows) for rows in candidates], axis=0)
    labels = np.searchsorted(defended.classes_, defended.predict(X))
    for row in np.flatnonzero(expected.argmax(axis=1) != labels):
        pair = [expected[row].argmax(), labels[row]]
        expected[row, pair] = expected[row, pair[::-1]]
    selected = defended.select(X)
    np.testing.assert_allclose(selected.proba, expected, atol=1e-6)
    assert set(selected.n_regenerations) == {3}
    assert set(selected.candidate) == {-2}


def test_a_call_leaves_no_trace_on_the_rule():
    """Whatever a call has to remember belongs to the call: rules are the same before and after."""
    X, y = digits()
    for selection in ("first", "lowest", "nearest", MeanRule(2)):
        defended = quiet(defend(make_net(), selection=selection).fit, X, y, is_member=np.arange(len(y)) % 2 == 0)
        before = dict(vars(defended.selection_))
        defended.predict_proba(X)
        assert vars(defended.selection_) == before


def test_no_more_candidates_than_the_classifier_allows():
    """``n_candidates`` of the defended classifier cuts the mean short."""
    X, y = digits()
    few, many = (quiet(defend(make_net(), selection=MeanRule(n), n_candidates=2).fit, X, y).select(X) for n in (2, 16))
    np.testing.assert_array_equal(few.proba, many.proba)
    assert set(many.n_regenerations) == {2}


def as_defense(classifier, X, y, rule, timestep=200, **params):
    """Return a fitted classifier behind Gaussian noise: a denoiser that sees none leaves it in."""
    regenerator = DiffusionRegenerator(ZeroNoise(), timestep=timestep, key=b"key", **params)
    frozen = FrozenEstimator(classifier)
    return quiet(defend(frozen, regenerator, selection=rule, n_candidates=10_000).fit, X, y)


class Affine(ClassifierMixin, BaseEstimator):
    """Probabilities that are affine in the first feature."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X):
        p = 0.5 + 1e-3 * X[:, 0]
        return np.column_stack((1 - p, p))

    def predict(self, X):
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


def test_pairs_are_exact_for_an_affine_classifier():
    """Opposite noise cancels where probabilities are affine in the input; that of two candidates does not."""
    X = np.random.default_rng(0).normal(size=(40, 3))
    y = (X[:, 0] > 0).astype(int)
    X[:, 0] += 20 * np.where(y, 1, -1)
    classifier = Affine().fit(X, y)
    expected = classifier.predict_proba(X)
    for n in (2, 6):
        defended = as_defense(classifier, X, y, MeanRule(n))
        np.testing.assert_allclose(defended.predict_proba(X), expected, atol=1e-8)
        independent = as_defense(classifier, X, y, MeanRule(n, antithetic=False))
        assert np.abs(independent.predict_proba(X) - expected).max() > 1e-3


@pytest.mark.parametrize("timestep", [50, 300])
def test_probit_of_a_half_space_has_the_largest_slope(timestep):
    """Behind a half-space the probit of the expected answer is linear, with slope sqrt(abar / (1 - abar)).

    This is the bound of the guide, which a half-space attains.
    """
    X = np.random.default_rng(0).normal(3, 2, size=(500, 2))
    y = (X[:, 0] > 3).astype(int)
    tree = DecisionTreeClassifier(max_depth=1).fit(X, y)
    assert tree.tree_.feature[0] == 0
    n = 4000
    defended = as_defense(tree, X, y, MeanRule(n), timestep)
    abar = Schedule(defended.regenerator_.scheduler_).alphas_cumprod[timestep].item()
    slope = np.sqrt(abar / (1 - abar))
    steps = np.array([-2, -1, -0.5, -0.25, 0.25, 0.5, 1, 2]) / slope
    points = np.column_stack((tree.tree_.threshold[0] + steps * X[:, 0].std(), np.full(8, 3.0)))
    expected = norm.cdf(slope * steps)
    error = np.abs(defended.predict_proba(points)[:, 1] - expected)
    # Pairs of opposite noise vary less than the independent draws of this bound.
    assert np.all(error < 4 * np.sqrt(expected * (1 - expected) / n))


def test_fresh_noise_has_no_pairs():
    """Noise that is drawn anew cannot be negated at the next call; means of independent candidates are taken."""
    X, y = digits()
    defended = defend(make_net(), DiffusionRegenerator(ZeroNoise(), noise="fresh"), selection="mean")
    with pytest.raises(ValueError, match=r"noise='fresh'.*Use noise='shared', or MeanRule\(antithetic=False\)"):
        quiet(defended.fit, X, y)
    defended.set_params(selection=MeanRule(2, antithetic=False))
    assert quiet(defended.fit, X, y).predict_proba(X).shape == (len(X), 10)


class NoOpposites(NoiseRegenerator):
    """Seeds a generator with the number of the candidate, as a user's regenerator may."""

    def regenerate(self, X, candidate=0):
        return (X + np.random.default_rng(candidate).normal(size=X.shape[1:])).astype(np.float32)


def test_regenerator_without_opposite_noise():
    """The default rule asks for negative numbers: the error says so, before any candidate is made in vain."""
    X, y = digits()
    defended = DefendedClassifier(make_net(), NoOpposites(), random_state=0)
    with pytest.raises(ValueError, match=r"regenerator must accept negative.*Got NoOpposites.*antithetic=False\)"):
        quiet(defended.fit, X, y)
    tuned = TunedDefendedClassifier(defended.set_params(calibration_size=0.2), timesteps=None)
    with pytest.raises(ValueError, match="regenerator must accept negative"):
        quiet(tuned.fit, X, y)
    defended.set_params(selection=MeanRule(2, antithetic=False))
    assert quiet(defended.fit, X, y).predict_proba(X).shape == (len(X), 10)


@pytest.mark.parametrize("timestep", [80, 240])
def test_answers_of_a_net_are_within_the_bound(timestep):
    """Behind a trained denoiser, to within the sampling error of 200 candidates; and not far below it everywhere."""
    X, y = digits()
    images = X.reshape(-1, 1, 8, 8).astype(np.float32)
    low, high = images.min(), images.max()
    regenerator = DiffusionRegenerator(timestep=timestep, max_epochs=4, value_range=(low, high), random_state=0)
    n = 200
    defended = defend(make_net(max_epochs=30), regenerator, selection=MeanRule(n, antithetic=False), n_candidates=n)
    defended = quiet(defended.fit, images, y)
    abar = Schedule(defended.regenerator_.scheduler_).alphas_cumprod[timestep].item()
    assert defended.lipschitz_ == pytest.approx(np.sqrt(abar / (1 - abar)))
    rows, others = images[:60], images[60:120]
    answers = [mean_without_exchange(defended, each, n) for each in (rows, rows + 0.1 * (others - rows))]
    distance = 0.1 * np.linalg.norm((others - rows).reshape(60, -1), axis=1) * 2 / (high - low)
    p = np.clip(np.stack(answers), 0.02, 0.98)
    inside = (p == np.stack(answers)).all(axis=0)
    # The delta method: the standard error of a probit is that of the probability, over the density there.
    error = np.sqrt((p * (1 - p) / n / norm.pdf(norm.ppf(p)) ** 2).sum(axis=0))
    excess = np.abs(norm.ppf(p[0]) - norm.ppf(p[1])) - defended.lipschitz_ * distance[:, None]
    assert inside.sum() > 30
    assert (excess < 4 * error)[inside].all()
    assert not (excess + 0.9 * defended.lipschitz_ * distance[:, None] < 0)[inside].all()


def mean_without_exchange(defended, X, n):
    """Return the mean of the net's probabilities over candidates."""
    net, regenerator = defended.estimator_, defended.regenerator_
    return np.mean([net.predict_proba(regenerator.regenerate(X, number)) for number in range(n)], axis=0)

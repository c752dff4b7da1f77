"""Output noise: its distribution, its key, and the label that stays."""

import numpy as np
from scipy.stats import kstest
from sklearn.frozen import FrozenEstimator
from sklearn.naive_bayes import GaussianNB

from skdiffence.defenses import OutputNoiseClassifier
from skdiffence.defenses.output._noise import normal_of_rows
from skdiffence.metrics import logit_signal
from tests.defenses.cases import digits


def noisy(scale=4.0, **params):
    X, y = digits()
    bare = GaussianNB(var_smoothing=1.0).fit(X[:100], y[:100])
    return OutputNoiseClassifier(FrozenEstimator(bare), scale=scale, **params).fit(X, y), bare, X


def test_noise_is_standard_normal():
    """Over rows, whatever they are."""
    X = np.random.default_rng(0).normal(size=(2000, 3))
    assert kstest(normal_of_rows(X, b"key"), "norm").pvalue > 0.01


def test_logit_of_the_label_is_moved_by_the_noise():
    """By hand: the clip is what keeps the label on top."""
    fitted, bare, X = noisy(scale=0.5, key=b"key")
    labels = bare.predict_proba(X).argmax(axis=1)
    moved = logit_signal(labels, bare.predict_proba(X)) + 0.5 * normal_of_rows(X, b"key")
    expected = np.clip(1 / (1 + np.exp(-moved)), 1 / 10 + 1e-6, 1 - 1e-6)
    np.testing.assert_allclose(fitted.predict_proba(X).max(axis=1), expected)


def test_other_classes_share_the_rest():
    """Only the confidence is left of an answer."""
    fitted, _, X = noisy(random_state=0)
    proba = np.sort(fitted.predict_proba(X), axis=1)
    np.testing.assert_allclose(proba[:, :-1], np.tile(proba[:, :1], 9))


def test_noise_is_a_function_of_row_and_key():
    """The same row gets the same noise, under another key another; without a key, fits differ."""
    (first, _, X), (again, _, _), (other, _, _) = noisy(key=b"1"), noisy(key=b"1"), noisy(key=b"2")
    np.testing.assert_array_equal(first.predict_proba(X)[::-1], again.predict_proba(X[::-1]))
    assert not np.array_equal(first.predict_proba(X), other.predict_proba(X))
    assert not np.array_equal(noisy()[0].predict_proba(X), noisy()[0].predict_proba(X))

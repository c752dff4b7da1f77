"""HAMP: the published soft labels, the loss by hand, answers that keep the order of classes and nothing else."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import entropy
from sklearn.metrics import log_loss
from skorch.callbacks import EpochScoring
from skorch.dataset import Dataset, ValidSplit

from skdiffence.defenses.training._hamp import _range_of, exchange_values, high_entropy_labels
from tests.defenses.training.trained import codes, make
from tests.nets import CNN

# What the settings of the published codes come to: classes, share of entropy, probability at the class and elsewhere.
PUBLISHED = [
    (10, 0.95, 0.26, 0.0822),
    (10, 0.8, 0.47, 0.0589),
    (100, 0.5, 0.64, 0.00364),
    (100, 0.8, 0.33, 0.00677),
    (100, 0.6, 0.54, 0.00465),
    (30, 0.5, 0.68, 0.01103),
]


@pytest.mark.parametrize(("n_classes", "threshold", "top", "other"), PUBLISHED)
def test_labels_are_those_of_the_published_settings(n_classes, threshold, top, other):
    """Worked out for the published settings by a computation of its own."""
    labels = high_entropy_labels(n_classes, threshold)
    np.testing.assert_allclose(np.diag(labels), top, atol=1e-12)
    np.testing.assert_allclose(labels[~np.eye(n_classes, dtype=bool)], other, atol=5e-6 if n_classes > 10 else 5e-5)


@pytest.mark.parametrize("n_classes", [2, 3, 10, 100])
@pytest.mark.parametrize("threshold", [0.0, 0.01, 0.3, 0.9])
def test_labels_are_the_first_to_reach_the_threshold(n_classes, threshold):
    """They are distributions that reach the entropy, and a step of 0.01 less does not."""
    label = high_entropy_labels(n_classes, threshold)[1]
    assert label.sum() == pytest.approx(1)
    assert label.argmax() == 1
    wanted = threshold * np.log(n_classes)
    assert entropy(label) >= wanted
    if label[1] < 1:
        less = np.full(n_classes, (0.99 - label[1]) / (n_classes - 1))
        less[1] = label[1] + 0.01
        assert entropy(less) < wanted


def test_labels_always_prefer_their_class():
    """An entropy that only a label without preference has is refused."""
    with pytest.raises(ValueError, match=r"entropy_threshold must be at most 0\.99\d+ with 3 classes"):
        high_entropy_labels(3, 0.99999)


def test_loss_by_hand():
    """Divergence per row, averaged, less the weighted mean entropy."""
    rng = np.random.default_rng(0)
    logits, y = rng.normal(size=(5, 10)), rng.integers(0, 10, 5)
    proba = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = high_entropy_labels(10, 0.8)[y]
    expected = entropy(labels, proba, axis=1).mean() - 0.3 * entropy(proba, axis=1).mean()
    net = make("hamp", entropy_threshold=0.8, regularization=0.3)
    assert net.defended_loss(torch.tensor(logits), torch.tensor(y)).item() == pytest.approx(expected)


def test_without_its_parts_it_is_the_cross_entropy():
    """Threshold and weight of zero leave the usual loss."""
    logits, y = torch.randn(4, 10, generator=torch.Generator().manual_seed(0)), torch.arange(4)
    net = make("hamp", entropy_threshold=0.0, regularization=0.0)
    torch.testing.assert_close(net.defended_loss(logits, y), torch.nn.functional.cross_entropy(logits, y))


tables = arrays(np.float32, (6, 5), elements=st.sampled_from([0.0, 0.1, 0.2, 0.5, 1.0]))


@settings(max_examples=60, deadline=None)
@given(proba=tables, values=tables)
def test_values_are_exchanged_and_order_is_kept(proba, values):
    """Each row has the other's values, up to rounding, never in an opposite order, and its own argmax."""
    exchanged = exchange_values(proba, values)
    np.testing.assert_allclose(np.sort(exchanged, axis=1), np.sort(values, axis=1), rtol=1e-6, atol=1e-44)
    np.testing.assert_array_equal(exchanged.argmax(axis=1), proba.argmax(axis=1))
    for row, old in zip(exchanged, proba, strict=True):
        greater = old[:, None] > old[None, :]
        assert (row[:, None] >= row[None, :])[greater].all()


@pytest.fixture(scope="module")
def fitted():
    """A trained net with modified answers."""
    return make("hamp", max_epochs=10).fit(*codes())


def test_labels_are_kept_on_every_row(fitted):
    """Modified or not, in the same order of classes."""
    X, _ = codes()
    modified = fitted.predict_proba(X)
    unmodified = copy.deepcopy(fitted).set_params(modify_output=False).predict_proba(X)
    np.testing.assert_array_equal(modified.argmax(axis=1), unmodified.argmax(axis=1))
    assert not np.isclose(modified, unmodified).all(axis=1).any()


@pytest.mark.parametrize("modify_output", [True, False])
@pytest.mark.parametrize("in_callback", ["valid_acc", "neg_log_loss"])
def test_validation_split_is_scored_by_what_is_answered(modify_output, in_callback):
    """skorch scores its validation split from cached outputs, in which those of random inputs are not."""
    X, y = codes()
    split = ValidSplit(4, stratified=True)
    score = EpochScoring("neg_log_loss", name="neg_log_loss", lower_is_better=False)
    net = make("hamp", train_split=split, modify_output=modify_output, callbacks=[score], max_epochs=2).fit(X, y)
    again = make("hamp", train_split=split, modify_output=modify_output, max_epochs=2).fit(X, y)
    np.testing.assert_array_equal(net.predict_proba(X), again.predict_proba(X))
    valid = split(Dataset(X, y), y)[1].indices
    proba, y_valid = net.predict_proba(X[valid]), y[valid]
    expected = {
        "valid_acc": np.mean(proba.argmax(axis=1) == y_valid),
        "neg_log_loss": -log_loss(y_valid, proba.astype(np.float64), labels=np.arange(proba.shape[1])),
    }
    assert net.history[-1, in_callback] == pytest.approx(expected[in_callback], rel=1e-4)


def test_answer_depends_on_the_row_alone(fitted):
    """Whatever rows are asked with it, in whatever order and as often as one likes; a row nearby is answered anew."""
    X, _ = codes()
    proba = fitted.predict_proba(X)
    order = np.random.default_rng(0).permutation(len(X))
    np.testing.assert_allclose(fitted.predict_proba(X[order]), proba[order], rtol=1e-4)
    np.testing.assert_allclose(fitted.predict_proba(X[:1]), proba[:1], rtol=1e-4)
    nearby = fitted.predict_proba(X + np.float32(1e-4))
    assert not np.isclose(nearby, proba, rtol=1e-2).all(axis=1).any()


def test_random_inputs_fill_the_range_of_training():
    """Features keep to what training had: uniform between the ends, or one of two values; images by channel."""
    rng = np.random.default_rng(0)
    X = np.c_[rng.uniform(-2, 3, 400), rng.integers(0, 2, 400) * 4 - 1, np.full(400, 7)].astype(np.float32)
    net = make("hamp", module__n_features=3, module__n_classes=2, max_epochs=1).fit(X, rng.integers(0, 2, 400))
    made = net._random_inputs(X)
    low, high = X[:, 0].min(), X[:, 0].max()
    assert made.dtype == X.dtype
    assert low <= made[:, 0].min() < low + 0.1 and high - 0.1 < made[:, 0].max() <= high
    assert set(made[:, 1]) == {-1, 3} and abs(made[:, 1].mean() - 1) < 0.4
    assert set(made[:, 2]) == {7}
    assert abs(np.corrcoef(made[:, :2].T)[0, 1]) < 0.2
    images = rng.uniform(size=(50, 2, 4, 4)).astype(np.float32) * np.array([1, 9])[:, None, None]
    low, high, is_binary = _range_of(images, None)
    assert low.shape == high.shape == is_binary.shape == (2, 1, 1)
    assert 0.9 < high[0] < 1 and 8.5 < high[1] < 9


def test_range_grows_with_further_rows():
    """What partial_fit sees later is added; two values and other two values are more than two."""
    first = _range_of(np.array([[0.0, 0.0], [1.0, 1.0]]), None)
    low, high, is_binary = _range_of(np.array([[0.0, 2.0], [1.0, 3.0]]), first)
    np.testing.assert_array_equal([low, high], [[0, 0], [1, 3]])
    np.testing.assert_array_equal(is_binary, [True, False])


class Cnn(CNN):
    """Without the softmax at its end."""

    def __init__(self):
        super().__init__()
        self.layers = self.layers[:-1]


def test_images():
    """Four dimensions work like two."""
    X, y = codes(60)
    images = X.reshape(-1, 1, 8, 8)
    net = make("hamp", Cnn, max_epochs=2).fit(images, y)
    assert net.input_range_[0].shape == (1, 1, 1)
    np.testing.assert_array_equal(net.predict_proba(images), net.predict_proba(images))


@pytest.mark.parametrize(
    "params", [{"entropy_threshold": 1.0}, {"regularization": -1}, {"modify_output": "no"}, {"criterion__weight": None}]
)
def test_own_parameters_are_checked(params):
    """Each is named."""
    name = next(iter(params))
    with pytest.raises(ValueError, match=name):
        make("hamp", **params).fit(*codes(60))

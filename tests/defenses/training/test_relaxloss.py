"""RelaxLoss: each branch of the loss, and its gradient, against a computation by hand."""

import numpy as np
import pytest
import torch

from skdiffence.defenses.training._relaxloss import relaxed_loss
from tests.defenses.training.trained import codes, make

LOGITS = np.array([[2.0, 0.5, -1.0], [0.3, 1.2, 0.1], [-0.5, 0.4, 0.9], [1.5, 1.0, -0.2]])
Y = np.array([0, 1, 0, 1])  # the last two are wrong


def softmax(logits):
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


PROBA = softmax(LOGITS)
ONE_HOT = np.eye(3)[Y]
OF_ROWS = -np.log(PROBA[np.arange(4), Y])
MEAN = OF_ROWS.mean()
# What the mean cross-entropy's gradient is in the logits.
GRADIENT = (PROBA - ONE_HOT) / 4


def loss_and_gradient(target_loss, max_posterior=1.0, *, is_first):
    logits = torch.tensor(LOGITS, requires_grad=True)
    loss = relaxed_loss(logits, torch.tensor(Y), target_loss, max_posterior, is_first)
    loss.backward()
    return loss.item(), logits.grad.numpy()


@pytest.mark.parametrize("is_first", [True, False])
def test_above_the_level_is_descended(is_first):
    """In both kinds of epochs; the first measures from the level."""
    loss, gradient = loss_and_gradient(MEAN - 0.2, is_first=is_first)
    assert loss == pytest.approx(0.2 if is_first else MEAN)
    np.testing.assert_allclose(gradient, GRADIENT)


def test_below_the_level_first_epochs_ascend():
    """The gradient is turned round."""
    loss, gradient = loss_and_gradient(MEAN + 0.2, is_first=True)
    assert loss == pytest.approx(0.2)
    np.testing.assert_allclose(gradient, -GRADIENT)


@pytest.mark.parametrize("max_posterior", [1.0, 0.3])
def test_below_the_level_second_epochs_flatten(max_posterior):
    """Rows ascend; wrong ones are pulled to a label that keeps the true class's probability, up to its bound."""
    at_class = np.minimum(PROBA[np.arange(4), Y], max_posterior)
    labels = np.where(ONE_HOT == 1, at_class[:, None], (1 - at_class[:, None]) / 2)
    wrong = np.array([0, 0, 1, 1])
    flattened = -(labels * np.log(PROBA)).sum(axis=1)
    loss, gradient = loss_and_gradient(MEAN + 0.2, max_posterior, is_first=False)
    assert loss == pytest.approx((wrong * flattened - OF_ROWS).mean())
    # The label is a constant: it adds nothing to the gradient of its cross-entropy.
    np.testing.assert_allclose(gradient, wrong[:, None] * (PROBA - labels) / 4 - GRADIENT, atol=1e-12)


def test_epochs_alternate(monkeypatch):
    """The first epoch of a fit is a first one, and partial_fit goes on counting."""
    seen = []

    def recorded(logits, y, target_loss, max_posterior, is_first):
        seen.append((target_loss, max_posterior, is_first))
        return relaxed_loss(logits, y, target_loss, max_posterior, is_first)

    monkeypatch.setattr("skdiffence.defenses.training._relaxloss.relaxed_loss", recorded)
    net = make("relaxloss", max_epochs=3, batch_size=-1, target_loss=0.7, max_posterior=0.9)
    net.fit(*codes(60)).partial_fit(*codes(60))
    assert seen == [(0.7, 0.9, is_first) for is_first in [True, False] * 3]
    seen.clear()
    net.fit(*codes(60))
    assert [is_first for _, _, is_first in seen] == [True, False, True]


@pytest.mark.parametrize("target_loss", [0.2, 0.8])
def test_training_ends_at_the_level(target_loss):
    """The cross-entropy of the members is near the level; without one it goes on towards zero."""
    X, y = codes()

    def final(level):
        net = make("relaxloss", target_loss=level, max_epochs=41, batch_size=-1, lr=0.05).fit(X, y)
        proba = net.predict_proba(X)
        return -np.log(proba[np.arange(len(y)), y]).mean()

    assert final(target_loss) == pytest.approx(target_loss, abs=0.1)
    assert final(0.0) < 0.05


@pytest.mark.parametrize("params", [{"target_loss": -0.1}, {"max_posterior": 0.0}, {"criterion__label_smoothing": 0.1}])
def test_own_parameters_are_checked(params):
    """Each is named."""
    name = next(iter(params))
    with pytest.raises(ValueError, match=name):
        make("relaxloss", **params).fit(*codes(60))

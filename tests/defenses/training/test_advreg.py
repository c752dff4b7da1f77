"""Adversarial regularization: who trains what, the opponent's gain by hand, and rows that nobody mistakes."""

import copy

import numpy as np
import pytest
import torch
from sklearn import config_context
from sklearn.model_selection import cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback
from skorch.dataset import ValidSplit
from torch import nn
from torch.nn import functional

from skdiffence.defenses.training._adversary import Adversary
from skdiffence.defenses.training._advreg import lowest_share
from skdiffence.utils._random import torch_seed
from skdiffence.utils._rows import row_digests
from tests.defenses.cases import defend, half, quiet
from tests.defenses.training.trained import codes, make


def batch(seed, n=8):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, 4, generator=generator), torch.randint(4, (n,), generator=generator)


def opponent(lr=0.1):
    """Return an adversary from seeded weights, wide enough that some of its units are alive."""
    with torch_seed(0):
        return Adversary(4, 8, lr, torch.device("cpu"))


def weights(module):
    return copy.deepcopy(module.state_dict())


def same(first, second):
    return all(torch.equal(first[key], second[key]) for key in first)


def test_gain_by_hand():
    """Mean membership probability less one half, with a network whose log-odds are the logit of the true class."""

    class TrueLogit(nn.Module):
        def forward(self, logits, y):
            return logits.gather(1, y[:, None]).squeeze(1)

    adversary = opponent()
    adversary.network = TrueLogit()
    logits, y = batch(0)
    at_class = logits.numpy()[np.arange(8), y.numpy()].astype(float)
    assert adversary.gain(logits, y).item() == pytest.approx((1 / (1 + np.exp(-at_class))).mean() - 0.5, abs=1e-6)


def test_opponent_reads_answer_and_label():
    """Its log-odds depend on both, and on the row alone."""
    network = opponent().network
    logits, y = batch(0)
    log_odds = network(logits, y)
    assert log_odds.shape == (8,)
    assert not torch.isclose(network(logits, (y + 1) % 4), log_odds).all()
    assert not torch.isclose(network(logits + 1, y), log_odds).all()
    torch.testing.assert_close(network(logits[2:3], y[2:3]), log_odds[2:3])


def test_opponent_learns_by_the_mean_of_both_sides():
    """Its loss is the cross-entropy of membership, by hand, and goes down until the sides are told apart."""
    adversary = opponent(lr=0.02)
    members, reference = batch(0), batch(1)
    with torch.no_grad():
        odds = adversary.network(*members), adversary.network(*reference)
    expected = (-functional.logsigmoid(odds[0]).mean() - functional.logsigmoid(-odds[1]).mean()) / 2
    assert adversary.learn(members, reference) == pytest.approx(expected.item())
    for _ in range(100):
        loss = adversary.learn(members, reference)
    assert loss < 0.1
    assert adversary.gain(*members).item() > 0.4 and adversary.gain(*reference).item() < -0.4


def test_neither_trains_the_other():
    """The classifier's loss moves no weight of the opponent, and the opponent's step none of the classifier."""
    adversary = opponent()
    with torch_seed(0):
        classifier = nn.Linear(4, 4)
    inputs, y = batch(0)
    before = weights(adversary.network)
    adversary.gain(classifier(inputs), y).backward()
    assert classifier.weight.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in adversary.network.parameters())
    assert same(weights(adversary.network), before)
    before = weights(classifier)
    with torch.no_grad():
        answers = classifier(inputs), y
    adversary.learn(answers, batch(1))
    assert same(weights(classifier), before)


class Watch(Callback):
    """Keeps the rows of the classifier's batches, and what the opponent is at the end of each epoch."""

    def __init__(self):
        self.rows_ = []
        self.adversaries_ = []

    def on_batch_end(self, net, batch=None, training=False, **kwargs):
        if training:
            self.rows_.extend(row.numpy().tobytes() for row in batch[0])

    def on_epoch_end(self, net, **kwargs):
        self.adversaries_.append(net.adversary_)


def watched(net, *args, **params):
    """Fit; return the net, the rows that trained it, and the opponents of its epochs."""
    watch = Watch()
    net.set_params(callbacks=[("watch", watch)]).fit(*args, **params)
    watch = dict(net.callbacks_)["watch"]
    return net, set(watch.rows_), watch.adversaries_


def test_told_reference_rows_do_not_train():
    """Rows that are no members are never in a batch of the classifier; all others are."""
    X, y = codes()
    net, trained, _ = watched(make("advreg"), X, y, is_member=half(y))
    assert trained == {row.tobytes() for row in X[half(y)]}
    np.testing.assert_array_equal(net.not_trained_on_.contains(X), ~half(y))
    np.testing.assert_array_equal(net.held_out_, np.flatnonzero(~half(y)))
    assert net.n_samples_fit_ == half(y).sum()


@pytest.mark.parametrize("split", [None, ValidSplit(4, stratified=True)])
def test_drawn_reference_rows_do_not_train(split):
    """A share of each class is held out, of what a validation split leaves; both are recorded."""
    X, y = codes()
    net, trained, _ = watched(make("advreg", reference_size=0.3, train_split=split), X, y)
    is_trained = np.array([row.tobytes() in trained for row in X])
    np.testing.assert_array_equal(net.not_trained_on_.contains(X), ~is_trained)
    assert net.n_samples_fit_ == is_trained.sum()
    left = 0.7 * (1 if split is None else 0.75)
    shares = [is_trained[y == label].mean() for label in range(10)]
    np.testing.assert_allclose(shares, left, atol=0.12)


def test_warmup_comes_before_the_opponent():
    """The first epochs are plain; the opponent is made after them, and gone at the end with the rows it saw."""
    X, y = codes(60)
    net, _, adversaries = watched(make("advreg", warmup_epochs=2, max_epochs=4), X, y)
    assert [adversary is not None for adversary in adversaries] == [False, False, True, True]
    assert ["adversary_gain" in epoch["batches"][0] for epoch in net.history] == [False, False, True, True]
    assert net.adversary_ is None and net.sides_ is None and net.told_ is None


def test_reference_rows_reach_the_classifier_through_the_opponent_only():
    """At weight zero other reference rows give the same net, batch statistics included; at another weight another."""
    X, y = codes()
    members = np.arange(len(y)) < 80
    other = np.r_[X[:80], X[80:][::-1] * np.float32(0.5)]

    def trained(rows, weight):
        net = make("advreg", Normed, adversary_weight=weight, adversary_width=8, max_epochs=3)
        net.fit(rows, y, is_member=members)
        return weights(net.module_)

    assert same(trained(X, 0.0), trained(other, 0.0))
    assert not same(trained(X, 5.0), trained(other, 5.0))


class Normed(nn.Module):
    """With statistics over batches."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(64, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 10))

    def forward(self, X):
        return self.layers(X)


def test_loss_is_the_criterion_s_plus_the_weighted_gain():
    """With arguments of the criterion, and as the history notes it."""
    X, y = codes(60)
    net = make("advreg", criterion__label_smoothing=0.1, adversary_weight=7.0, batch_size=-1).fit(X, y)
    logits, labels = torch.randn(5, 10, generator=torch.Generator().manual_seed(0)), torch.arange(5)
    plain = functional.cross_entropy(logits, labels, label_smoothing=0.1)
    torch.testing.assert_close(net.defended_loss(logits, labels), plain)
    with torch_seed(0):
        net.adversary_ = Adversary(10, 8, 0.1, torch.device("cpu"))
    expected = plain + 7 * net.adversary_.gain(logits, labels)
    net.history.new_batch()
    torch.testing.assert_close(net.defended_loss(logits, labels), expected)


def test_equal_rows_stay_on_one_side():
    """Duplicates, of one class or of two, are not held out while their like trains."""
    X, y = codes(60)
    X, y = np.tile(X, (3, 1)), np.r_[y, y, (y + 1) % 10]
    digests = row_digests(X)
    for share in (0.2, 0.5, 0.8):
        chosen = lowest_share(digests, y, share)
        assert not np.isin(digests[chosen], digests[~chosen]).any()
        assert chosen.any()
    lonely = lowest_share(digests[:3], np.array([0, 1, 1]), 0.5)
    assert lonely.sum() == 1 and not lonely[0]


def test_choice_does_not_depend_on_the_order_of_rows():
    """The same rows are held out, in whatever order they come."""
    X, y = codes()
    first, turned = (make("advreg", max_epochs=1).fit(*data) for data in ((X, y), (X[::-1].copy(), y[::-1].copy())))
    np.testing.assert_array_equal(first.not_trained_on_.contains(X), turned.not_trained_on_.contains(X))


def test_training_is_not_continued():
    """Neither by partial_fit nor by a warm start, since roles of rows would change."""
    X, y = codes(60)
    net = make("advreg", max_epochs=1, warm_start=True).fit(X, y)
    for train_on in (net.fit, net.partial_fit):
        with pytest.raises(ValueError, match="can't go on training"):
            train_on(X, y)
    assert net.predict(X).shape == y.shape


@pytest.mark.parametrize(
    ("is_member", "message"),
    [
        (np.ones(59, dtype=bool), "is_member must have one value for each row"),
        (np.ones(60, dtype=bool), "There must be both rows to train on"),
        (np.zeros(60), "There must be both rows to train on"),
        (np.full(60, 0.5), "is_member must hold True for members"),
        (np.full(60, "yes"), "is_member must hold True for members"),
    ],
)
def test_bad_membership(is_member, message):
    """Refused in words."""
    with pytest.raises(ValueError, match=message):
        make("advreg").fit(*codes(60), is_member=is_member)


@pytest.mark.parametrize(
    "params", [{"adversary_weight": -1}, {"reference_size": 1.0}, {"adversary_steps": 0}, {"adversary_lr": 0.0}]
)
def test_own_parameters_are_checked(params):
    """Each is named."""
    with pytest.raises(ValueError, match=next(iter(params))):
        make("advreg", **params).fit(*codes(60))


def test_membership_is_routed_in_folds():
    """cross_validate passes each fold its part, and the module nothing."""
    X, y = codes()
    with config_context(enable_metadata_routing=True):
        net = make("advreg", max_epochs=2).set_fit_request(is_member=True)
        results = cross_validate(
            net, X, y, cv=2, params={"is_member": half(y)}, return_estimator=True, return_indices=True
        )
    for fitted, rows in zip(results["estimator"], results["indices"]["train"], strict=True):
        np.testing.assert_array_equal(fitted.not_trained_on_.contains(X[rows]), ~half(y)[rows])


def test_membership_for_the_defended_classifier_is_not_the_net_s():
    """The outer one consumes it; the net holds out its own share of the members it gets."""
    X, y = codes()
    with config_context(enable_metadata_routing=True):
        net = make("advreg").set_fit_request(is_member=False)
        defended = defend(make_pipeline(StandardScaler(), net), selection="matched").set_fit_request(is_member=True)
        quiet(defended.fit, X, y, is_member=half(y))
    outside = defended.not_trained_on_.contains(X)
    assert outside[~half(y)].all()
    assert (~outside).sum() == defended.n_samples_fit_ == defended.estimator_[-1].n_samples_fit_
    assert 0.3 * len(y) > defended.n_samples_fit_ > 0.2 * len(y)


def test_defended_classifier_calibrates_members_on_rows_that_trained():
    """Reference rows are no members: the rule is not calibrated on them as if they were."""
    X, y = codes()
    defended = quiet(defend(make("advreg"), selection="members").fit, X, y)
    both = defended.calibrated_on_.contains(X) & defended.not_trained_on_.contains(X)
    assert len(defended.calibrated_on_) and not both.any()

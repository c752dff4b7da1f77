"""DP-SGD: the account, the noise, the batches, and what is left of opacus afterwards."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from skorch.callbacks import Callback
from skorch.dataset import ValidSplit
from skorch.exceptions import NotInitializedError
from torch import nn
from torch.nn import functional

from skdiffence.attacks import ThresholdAttack
from skdiffence.defenses import DefendedClassifier, DPSGDClassifier
from skdiffence.defenses.training._opacus import noise_for_epsilon, spent_epsilon
from tests.defenses.cases import digits
from tests.defenses.training.trained import keepers
from tests.nets import LogitMLP

opacus = pytest.importorskip("opacus")
pytestmark = [
    pytest.mark.usefixtures("untouched_generators"),
    pytest.mark.filterwarnings("ignore:Optimal order is the:UserWarning"),
]


class Normed(nn.Module):
    """Batch normalization between two layers."""

    def __init__(self, width=16):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(64, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Linear(width, 10))

    def forward(self, X):
        """Return logits."""
        return self.layers(X)


class InPlace(nn.Module):
    """A block of a ResNet: normalization, activations and a sum, all in place or none."""

    def __init__(self, in_place, functional=False):
        super().__init__()
        self.first, self.second = (nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1))
        self.norms = nn.ModuleList([nn.BatchNorm2d(4), nn.BatchNorm2d(4)])
        self.relu = nn.ReLU(inplace=in_place)
        self.last = nn.Linear(4, 10)
        self.in_place, self.functional = in_place, functional

    def activate(self, X):
        return functional.relu(X, inplace=self.in_place) if self.functional else self.relu(X)

    def forward(self, X):
        """Return logits."""
        start = self.activate(self.norms[0](self.first(X.reshape(-1, 1, 8, 8))))
        end = self.norms[1](self.second(start))
        if self.in_place:
            end += start
        else:
            end = end + start
        return self.last(self.activate(end).mean((2, 3)))


class Remembering(LogitMLP):
    """Has weights and a state of its own, as normalization over batches does."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(10))
        self.register_buffer("mean", torch.zeros(10))

    def forward(self, X):
        """Return logits."""
        return self.weight * super().forward(X) - self.mean


class Interrupt(Callback):
    """Interrupts the second epoch."""

    def on_batch_end(self, net, training=False, **kwargs):
        if len(net.history) == 2:
            raise KeyboardInterrupt


def data():
    X, y = digits()
    return X.astype(np.float32), y


def private(module=LogitMLP, **params):
    settings = {"max_epochs": 2, "batch_size": 40, "lr": 0.5, "verbose": 0, "random_state": 0} | params
    return DPSGDClassifier(module, **settings)


def test_epsilon_is_that_of_opacus_accountant():
    """Stepped one by one, with the rate of 4 batches in 160 rows."""
    net = private(noise_multiplier=1.3, delta=1e-3, max_epochs=3).fit(*data())
    account = opacus.accountants.RDPAccountant()
    for _ in range(12):
        account.step(noise_multiplier=1.3, sample_rate=0.25)
    assert net.n_steps_ == 12
    assert net.epsilon_ == pytest.approx(account.get_epsilon(1e-3), rel=1e-9)


def test_epsilon_against_the_closed_form_of_full_batches():
    """Without sampling, Rényi's bound of the Gaussian mechanism is the least over alpha of a formula."""
    noise, steps, delta = 2.0, 3, 1e-3
    alpha = np.linspace(1.01, 200, 200_000)
    bound = steps * alpha / (2 * noise**2) + np.log1p(-1 / alpha) - np.log(delta * alpha) / (alpha - 1)
    assert spent_epsilon("rdp", noise, 1.0, steps, delta) == pytest.approx(bound.min(), rel=0.01)


def test_accountants_agree_on_order():
    """The tighter one is below the bound; without noise epsilon is infinite, without steps nothing is spent."""
    assert spent_epsilon("prv", 4.0, 0.25, 8, 1e-3) < spent_epsilon("rdp", 4.0, 0.25, 8, 1e-3)
    assert spent_epsilon("rdp", 0.0, 0.25, 8, 1e-3) == np.inf
    assert spent_epsilon("rdp", 1.0, 0.25, 0, 1e-3) == 0


def test_target_epsilon_is_met_from_below():
    """By the noise chosen for it; delta is one divided by the rows."""
    net = private(target_epsilon=3.0).fit(*data())
    assert 2.9 < net.epsilon_ <= 3.0
    assert net.delta_ == 1 / 160
    assert net.epsilon_ == spent_epsilon("rdp", net.noise_multiplier_, 0.25, 8, 1 / 160)


def refuse_no_steps(accountant, target_epsilon, sample_rate, n_steps, delta):
    """Stand in for the search for the noise, which has no end if there is no step."""
    assert n_steps
    return noise_for_epsilon(accountant, target_epsilon, sample_rate, n_steps, delta)


@pytest.fixture
def refused(monkeypatch):
    monkeypatch.setattr("skdiffence.defenses.training._dpsgd.noise_for_epsilon", refuse_no_steps)


@pytest.mark.usefixtures("refused")
def test_no_step_needs_no_noise():
    """Nothing is spent."""
    net = private(max_epochs=0, target_epsilon=3.0).fit(*data())
    assert net.epsilon_ == net.n_steps_ == 0


@pytest.mark.usefixtures("refused")
def test_target_epsilon_where_labels_have_a_gap():
    """The outputs of the module are counted without a training, of which no noise could be asked."""
    X, y = data()
    keep = y != 4
    defended = DefendedClassifier(private(target_epsilon=8.0), "passthrough").fit(X[keep], y[keep])
    np.testing.assert_array_equal(defended.classes_, np.arange(10))
    np.testing.assert_array_equal(defended.estimator_.classes_, np.unique(y[keep]))
    assert 7.9 < defended.estimator_.epsilon_ <= 8


def test_search_for_the_noise_ends_at_a_jump(monkeypatch):
    """Epsilon may be infinite below some noise: then the least noise above is taken, though it spends less."""
    spend = lambda accountant, noise, *rest: 3 / noise if noise > 0.3 else np.inf  # noqa: E731
    monkeypatch.setattr("skdiffence.defenses.training._opacus.spent_epsilon", spend)
    assert noise_for_epsilon("prv", 1000.0, 0.25, 8, 1e-3) == pytest.approx(0.3, rel=1e-5)


@pytest.mark.parametrize("as_function", [False, True])
@pytest.mark.filterwarnings("error::UserWarning")
def test_changes_in_place_train_the_same_net(as_function):
    """Activations and sums in place, in modules or as functions, as in every ResNet and VGG of torchvision.

    torch refuses them behind opacus' hooks, and a repair that loses gradients would train another net.
    """
    settings = {"max_grad_norm": 0.1, "noise_multiplier": 0.1, "module__functional": as_function}
    nets = [private(InPlace, module__in_place=in_place, **settings).fit(*data()) for in_place in (True, False)]
    weights = [torch.cat([each.ravel() for each in net.module_.parameters()]) for net in nets]
    torch.testing.assert_close(*weights, rtol=0, atol=0)
    new = private(InPlace, **settings, module__in_place=False).initialize().module_
    assert (weights[0] != torch.cat([each.ravel() for each in new.parameters()])).all()
    assert not any(layer._forward_hooks or layer._backward_hooks for layer in nets[0].module_.modules())


def test_noise_has_the_size_that_was_asked_for():
    """A step of size 1 on clipped-away gradients moves weights by Gaussian noise of a known deviation."""
    X, y = data()
    net = private(noise_multiplier=2.0, max_grad_norm=1e-3, batch_size=-1, max_epochs=1, lr=1.0)
    start = clone(net).initialize().module_.state_dict()
    moved = net.fit(X, y).module_.state_dict()
    steps = torch.cat([(moved[name] - start[name]).ravel() for name in start])
    # The 160 clipped gradients together have at most 80 times the norm of the noise of one parameter.
    assert steps.std().item() == pytest.approx(2e-3 / 160, rel=0.1)


def test_without_noise_the_step_is_the_mean_of_clipped_gradients():
    """By hand: a gradient for each row, scaled to the norm, summed, divided by the rows."""
    X, y = data()
    net = private(noise_multiplier=0.0, max_grad_norm=0.3, batch_size=-1, max_epochs=1, lr=1.0)
    module = clone(net).initialize().module_
    total = [torch.zeros_like(parameter) for parameter in module.parameters()]
    for row, label in zip(torch.from_numpy(X), torch.from_numpy(y), strict=True):
        loss = nn.functional.cross_entropy(module(row[None]), label[None])
        gradient = torch.autograd.grad(loss, list(module.parameters()))
        norm = torch.cat([part.ravel() for part in gradient]).norm()
        for part, sum_ in zip(gradient, total, strict=True):
            sum_ += part * min(1.0, 0.3 / norm.item())
    expected = [parameter - part / len(y) for parameter, part in zip(module.parameters(), total, strict=True)]
    for got, want in zip(net.fit(X, y).module_.parameters(), expected, strict=True):
        torch.testing.assert_close(got, want, atol=1e-5, rtol=1e-4)


def test_batches_are_drawn_row_by_row():
    """Their sizes vary, about the mean that was asked for."""
    net = private(max_epochs=10).fit(*data())
    sizes = np.array([batch["train_batch_size"] for epoch in net.history for batch in epoch["batches"]])
    assert len(np.unique(sizes)) > 5
    assert abs(sizes.mean() - 40) < 4 * np.sqrt(160 * 0.25 * 0.75 / 40)


def test_empty_batches_are_steps_of_noise():
    """Six rows in batches of one: many batches are empty, and each is accounted for."""
    X, y = data()
    net = private(batch_size=1, max_epochs=6).fit(X[:6], y[:6])
    sizes = [batch["train_batch_size"] for epoch in net.history for batch in epoch["batches"]]
    assert 0 in sizes
    assert net.n_steps_ == 36
    assert all(torch.isfinite(parameter).all() for parameter in net.module_.parameters())


def test_an_epoch_of_empty_batches_has_a_loss():
    """Two rows: some epoch has no batch with any."""
    X, y = data()
    net = private(batch_size=1, max_epochs=30).fit(X[:2], y[:2])
    assert np.isfinite(net.history[:, "train_loss"]).all()
    assert net.n_steps_ == 60


def test_nothing_of_opacus_and_no_clean_gradient_is_left():
    """A saved net knows only torch and skorch, answers alike, and harms no training after it."""
    X, y = data()
    net = private().fit(X, y)
    saved = pickle.dumps(net)
    assert b"opacus" not in saved
    assert b"grad_sample" not in saved
    assert not any(vars(parameter) or parameter.grad is not None for parameter in net.module_.parameters())
    loaded = pickle.loads(saved)
    np.testing.assert_array_equal(loaded.predict_proba(X), net.predict_proba(X))
    np.testing.assert_array_equal(clone(loaded).fit(X, y).predict_proba(X), net.predict_proba(X))


def test_weights_of_an_epoch_are_those_of_the_net(tmp_path):
    """Callbacks that keep weights write them under the names of the module, not of its wrapper, and find them again."""
    X, y = data()
    net = private(callbacks=keepers(tmp_path), max_epochs=3).fit(X, y)
    assert set(torch.load(tmp_path / "every" / "params.pt")) == set(net.module_.state_dict())
    other = private().initialize()
    other.load_params(checkpoint=keepers(tmp_path)[1])
    np.testing.assert_array_equal(other.predict_proba(X), net.predict_proba(X))
    bare = private(max_epochs=3).fit(X, y)
    assert bare.n_steps_ == net.n_steps_
    assert bare.history[:, "train_loss"] == net.history[:, "train_loss"]


def test_no_seed_of_noise_is_kept_unless_given(monkeypatch):
    """With random_state=None the weights' seed is stored, and the noise is not made from it."""
    X, y = data()
    monkeypatch.setattr("skdiffence.defenses.training._base.draw_seed", lambda random_state: 5)
    net = private(random_state=None, max_epochs=1).fit(X, y)
    again = private(random_state=5, max_epochs=1).fit(X, y)
    assert net.seed_ == again.seed_
    assert (net.predict_proba(X) != again.predict_proba(X)).any()
    assert not [name for name in vars(net) if name.endswith("private_") and getattr(net, name) is not None]


def test_batch_normalization_is_replaced_before_the_optimizer_is_made():
    """The weights of group normalization move."""
    net = private(Normed, max_epochs=3).fit(*data())
    norms = [layer for layer in net.module_.modules() if isinstance(layer, nn.GroupNorm)]
    assert norms
    assert not [layer for layer in net.module_.modules() if isinstance(layer, nn.BatchNorm1d)]
    assert (norms[0].weight != 1).all()


def test_layers_without_replacement_are_refused():
    """By name."""
    with pytest.raises(ValueError, match="must not have layers that mix rows.*Remembering"):
        private(Remembering).fit(*data())


@pytest.mark.parametrize("go_on", ["partial_fit", "warm_start"])
def test_training_is_not_continued(go_on):
    """What was spent before would not be known."""
    X, y = data()
    net = private(warm_start=go_on == "warm_start").fit(X, y)
    with pytest.raises(ValueError, match="can't go on training"):
        (net.partial_fit if go_on == "partial_fit" else net.fit)(X, y)
    assert net.epsilon_ == private().fit(X, y).epsilon_


def test_held_out_rows_are_recorded():
    """They are neither trained on nor accounted for."""
    X, y = data()
    net = private(train_split=ValidSplit(4), batch_size=30).fit(X, y)
    assert len(net.held_out_) == 40
    assert net.n_samples_fit_ == 120
    np.testing.assert_array_equal(np.flatnonzero(net.not_trained_on_.contains(X)), net.held_out_)
    assert net.delta_ == 1 / 120


def test_interrupted_training_leaves_nothing():
    """Neither weights nor an account of them."""
    X, y = data()
    net = private(callbacks=[Interrupt()], max_epochs=5)
    with pytest.raises(KeyboardInterrupt):
        net.fit(X, y)
    assert not hasattr(net, "epsilon_")
    with pytest.raises(NotInitializedError):
        net.predict(X)
    assert not hasattr(net, "module_")


def test_inside_a_defended_classifier():
    """Labels of any type; the row sets are found."""
    X, y = digits("strings")
    net = DefendedClassifier(private(max_epochs=8), "passthrough", random_state=0).fit(X, y)
    assert net.score(X, y) > 0.5
    assert net.estimator_.epsilon_ > 0
    attack = ThresholdAttack("confidence").fit(net, X, y, np.arange(len(y)) % 2 == 0)
    assert np.isfinite(attack.score_samples(X, y)).all()


def test_parameters_are_unchanged_by_fit():
    """skorch takes any attribute without an underscore for a parameter."""
    net = private()
    before = set(net.get_params())
    net.fit(*data())
    assert set(net.get_params()) == before


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"noise_multiplier": -1.0}, "noise_multiplier"),
        ({"target_epsilon": 0.0}, "target_epsilon"),
        ({"target_epsilon": 0.05, "delta": 1e-5}, r"target_epsilon=0.05 is too small.* 8 steps.*it is 0\.103"),
        ({"target_epsilon": 0.3, "delta": 1e-12, "max_epochs": 50}, r"target_epsilon=0.3 is too small.* 200 steps"),
        ({"delta": 1.0}, "delta"),
        ({"accountant": "gdp"}, "accountant"),
        ({"iterator_train__shuffle": True}, "draws its own batches"),
    ],
)
def test_refused_parameters(params, message):
    """Each is named."""
    with pytest.raises(ValueError, match=message):
        private(**params).fit(*data())

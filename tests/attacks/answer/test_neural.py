"""The neural attack."""

import pickle

import numpy as np
import pytest
import torch
from scipy.special import softmax
from scipy.stats import norm
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss, roc_auc_score
from torch import nn

from skdiffence.attacks import Answers, NeuralAttack, query
from skdiffence.attacks._known_rows import canonical_order
from skdiffence.attacks.answer import _neural as neural
from skdiffence.attacks.answer._features import answer_features
from tests.attacks.targets import Dictated, normal, planted

QUICK = {"max_epochs": 40, "lr": 0.005, "width": 8, "random_state": 0}


def _answers(*phis, n=400, seed=0):
    X, y, is_member = planted(*phis, n=n, seed=seed)
    return query(Dictated().fit(), X, y), is_member


def test_reaches_the_ideal_attack():
    """Two normal signals of known distance: the area is Phi of it, and members are those above 0."""
    known, is_known_member = _answers(normal(1.5), normal(0), n=600)
    fresh, is_member = _answers(normal(1.5), normal(0), n=2000, seed=1)
    attack = NeuralAttack(**QUICK).fit_answers(known, is_known_member)
    scores = attack.score_answers(fresh)
    assert roc_auc_score(is_member, scores) == pytest.approx(norm.cdf(1.5 / np.sqrt(2)), abs=0.03)
    called = scores >= attack.threshold_
    assert attack.threshold_ == 0
    assert (called == is_member).mean() == pytest.approx(norm.cdf(0.75), abs=0.03)


def test_default_learns_from_few_rows():
    """Three hundred known rows are enough for the default network, which starts from the weights that torch gives."""
    known, is_known_member = _answers(normal(2), normal(0), n=300)
    fresh, is_member = _answers(normal(2), normal(0), n=1000, seed=1)
    scores = NeuralAttack(max_epochs=40, random_state=0).fit_answers(known, is_known_member).score_answers(fresh)
    assert roc_auc_score(is_member, scores) > norm.cdf(np.sqrt(2)) - 0.04


def test_order_of_the_signal_does_not_matter():
    """Members in the middle are found as well as members on top."""
    ends = lambda rng, n: rng.normal(3, 0.3, size=n) + 2 * rng.choice([-1, 1], size=n)  # noqa: E731
    known, is_known_member = _answers(normal(3, 0.3), ends, n=600)
    fresh, is_member = _answers(normal(3, 0.3), ends, seed=1)
    scores = NeuralAttack(**QUICK | {"max_epochs": 100}).fit_answers(known, is_known_member).score_answers(fresh)
    assert roc_auc_score(is_member, scores) > 0.9


@pytest.mark.parametrize("seed", [2, 9, 12])
def test_narrow_networks_do_not_die(seed):
    """Where all units of a layer are lost, training starts anew from other weights."""
    known, is_known_member = _answers(normal(2), normal(0), n=300)
    attack = NeuralAttack(max_epochs=15, lr=0.005, width=4, random_state=seed).fit_answers(known, is_known_member)
    assert roc_auc_score(is_known_member, attack.score_answers(known)) > 0.85


def test_networks_that_die_whatever_they_start_from(monkeypatch):
    """Are named, so that an area of 0.5 is not taken for safety; equal answers are no reason to."""
    monkeypatch.setattr(neural, "_MOST_STARTS", 1)
    known, is_known_member = _answers(normal(2), normal(0), n=300)
    with pytest.warns(ConvergenceWarning, match="known rows are equal after 1 starts"):
        NeuralAttack(max_epochs=2, lr=0.005, width=1, random_state=0).fit_answers(known, is_known_member)
    same = Answers(np.full((4, 2), 0.5), np.zeros(4, int), np.zeros(4, int), np.arange(2))
    attack = NeuralAttack(max_epochs=2, random_state=0).fit_answers(same, np.arange(4) < 2)
    assert np.ptp(attack.score_answers(same)) == 0


@pytest.mark.parametrize("share", [0.1, 0.9])
def test_sides_weigh_the_same(share):
    """Ten times as many known rows of one side do not make everybody likelier to be of it."""
    known, is_known_member = _answers(normal(3), normal(0), n=800)
    rows = np.flatnonzero(is_known_member)[: int(400 * min(1, share / (1 - share)))]
    others = np.flatnonzero(~is_known_member)[: int(400 * min(1, (1 - share) / share))]
    rows = np.r_[rows, others]
    attack = NeuralAttack(**QUICK).fit_answers(known.take(rows), is_known_member[rows])
    fresh, is_member = _answers(normal(3), normal(0), seed=1)
    called = attack.score_answers(fresh) >= 0
    assert min(called[is_member].mean(), (~called)[~is_member].mean()) > 0.75


def test_scores_are_the_same_bits_in_any_company():
    """Alone, in another order, across blocks: one row, one score."""
    known, is_member = _answers(normal(2), normal(0), n=300)
    attack = NeuralAttack(**QUICK | {"max_epochs": 3}).fit_answers(known, is_member)
    scores = attack.score_answers(known)
    order = np.random.default_rng(0).permutation(300)
    np.testing.assert_array_equal(attack.score_answers(known.take(order)), scores[order])
    for rows in ([299], np.arange(127, 130), np.arange(200)):
        np.testing.assert_array_equal(attack.score_answers(known.take(rows)), scores[rows])
    assert attack.score_answers(known.take([])).shape == (0,)
    with torch.inference_mode():
        direct = attack.network_(torch.from_numpy(answer_features(known).astype(np.float32))).numpy()
    np.testing.assert_allclose(scores, direct, atol=1e-5)


def _validation_loss(attack, answers, is_member):
    """Return the loss on the rows that chose the epoch, computed by scikit-learn."""
    features = answer_features(answers)
    order = canonical_order(features, is_member)
    seed = neural.mix_seed("validation rows", attack.random_state)
    rows = order[neural._validation_rows(is_member[order], attack.validation_size, seed)]
    log_odds = attack.score_answers(answers)[rows]
    return log_loss(is_member[rows], 1 / (1 + np.exp(-log_odds)))


def test_best_epoch_is_kept():
    """The network is that of the lowest validation loss, not the last one, and training ended soon after it."""
    answers, is_member = _answers(normal(1), normal(0))
    attack = NeuralAttack(**QUICK | {"max_epochs": 200, "patience": 5}).fit_answers(answers, is_member)
    losses = [epoch["valid_loss"] for epoch in attack.history_]
    assert attack.best_epoch_ == attack.history_[np.argmin(losses)]["epoch"]
    assert len(losses) == attack.best_epoch_ + 5
    assert _validation_loss(attack, answers, is_member) == pytest.approx(min(losses), abs=1e-5)
    assert min(losses) < losses[-1]


@pytest.mark.parametrize(("n_members", "n_others", "expected"), [(50, 50, (10, 10)), (3, 40, (1, 8)), (2, 2, (1, 1))])
def test_validation_rows(n_members, n_others, expected):
    """The same share of each side, at least one row and never all."""
    is_member = np.arange(n_members + n_others) < n_members
    mask = neural._validation_rows(is_member, 0.2, 0)
    assert (mask[is_member].sum(), mask[~is_member].sum()) == expected
    assert neural._validation_rows(is_member, 0.99, 0).sum() == n_members + n_others - 2
    assert (neural._validation_rows(is_member, 0.2, 1) != mask).any() or n_members == 2


def test_single_rows_are_not_held_out():
    """One known row of a side must train, so nothing is held out."""
    assert not neural._validation_rows(np.array([True, False, False]), 0.5, 0).any()


def test_batches_are_even():
    """Every row once in each pass, in another order, and in each batch as many of a side as its share."""
    is_member = np.arange(90) % 3 == 0
    sampler = neural._EvenSampler(is_member)
    one, two = (list(sampler) for _ in range(2))
    assert one != two
    assert sorted(one) == sorted(two) == list(range(90))
    assert len(sampler) == 90
    for start in range(0, 90, 15):
        assert abs(is_member[one[start : start + 15]].sum() - 5) <= 1


def test_layers_are_the_paper_s():
    """With width 64, three branches of 1024-512-64, 128-64 and C-64 units, joined by 256-128-64 and one logit."""
    network = neural._AttackNetwork(torch.zeros(21), torch.ones(21), 10, 64)
    shapes = [tuple(layer.weight.shape) for layer in network.modules() if isinstance(layer, nn.Linear)]
    branches = [(1024, 10), (512, 1024), (64, 512), (128, 10), (64, 128), (10, 1), (64, 10)]
    assert shapes == [*branches, (256, 192), (128, 256), (64, 128), (1, 64)]


@pytest.mark.parametrize("n_classes", [2, 3, 4, 5])
def test_without_true_labels_the_answer_is_all_there_is(n_classes):
    """Whatever the number of classes, one branch sees all probabilities, and finds what they tell."""
    rng = np.random.default_rng(0)
    is_member = np.arange(400) % 2 == 0
    proba = softmax(rng.normal(size=(400, n_classes)) * np.where(is_member, 6, 1)[:, None], axis=1)
    answers = Answers(proba, proba.argmax(axis=1), None, np.arange(n_classes))
    attack = NeuralAttack(**QUICK)
    attack.fit_answers(answers.take(np.arange(200)), is_member[:200])
    assert [len(attack.network_.sizes), attack.network_.sizes[0]] == [1, n_classes]
    assert roc_auc_score(is_member[200:], attack.score_answers(answers.take(np.arange(200, 400)))) > 0.8


@pytest.mark.usefixtures("untouched_generators")
def test_seeds():
    """One seed, one network, whatever the order of the known rows; no seed, a new one."""
    answers, is_member = _answers(normal(1), normal(0), n=100)
    order = np.random.default_rng(0).permutation(100)
    params = QUICK | {"max_epochs": 2}
    fits = [
        NeuralAttack(**params | {"random_state": seed}).fit_answers(answers.take(rows), is_member[rows])
        for seed, rows in ((0, np.arange(100)), (0, order), (1, order), (None, order), (None, order))
    ]
    scores = [fit.score_answers(answers) for fit in fits]
    np.testing.assert_array_equal(scores[0], scores[1])
    assert len({tuple(each) for each in scores}) == 4


@pytest.mark.parametrize("call", [0, 3, 9])
def test_interrupts_are_not_swallowed(call, monkeypatch):
    """Training that somebody stopped leaves no attack behind, in the first epoch, between, and in the last."""
    answers, is_member = _answers(normal(1), normal(0), n=100)
    calls, forward = [], neural._AttackNetwork.forward

    def interrupted(self, features):
        calls.append(features)
        if len(calls) == 1 + call:
            raise KeyboardInterrupt
        return forward(self, features)

    monkeypatch.setattr(neural._AttackNetwork, "forward", interrupted)
    attack = NeuralAttack(**QUICK | {"max_epochs": 5})  # a training and a validation batch each
    with pytest.raises(KeyboardInterrupt):
        attack.fit_answers(answers, is_member)
    assert not hasattr(attack, "network_")


def test_divergence_is_an_error():
    """A learning rate that blows the weights up is named, and leaves no attack behind."""
    attack = NeuralAttack(lr=1e30, max_epochs=3, random_state=0)
    with pytest.raises(ValueError, match="lr must be small enough"):
        attack.fit_answers(*_answers(normal(1), normal(0), n=100))
    assert not hasattr(attack, "network_")


def test_pickle_holds_the_network_and_no_optimizer():
    """What is saved scores as before, and is little more than its weights."""
    answers, is_member = _answers(normal(1), normal(0), n=100)
    attack = NeuralAttack(**QUICK | {"max_epochs": 2}).fit_answers(answers, is_member)
    saved = pickle.dumps(attack)
    np.testing.assert_array_equal(pickle.loads(saved).score_answers(answers), attack.score_answers(answers))
    n_bytes = sum(weight.nbytes for weight in attack.network_.parameters())
    assert len(saved) < 1.5 * n_bytes + 15_000


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"max_epochs": 0}, "'max_epochs' parameter of NeuralAttack"),
        ({"patience": 0}, "'patience' parameter of NeuralAttack"),
        ({"validation_size": 0.0}, "'validation_size' parameter of NeuralAttack"),
        ({"validation_size": 1.0}, "'validation_size' parameter of NeuralAttack"),
        ({"lr": 0.0}, "'lr' parameter of NeuralAttack"),
        ({"batch_size": 0}, "'batch_size' parameter of NeuralAttack"),
        ({"width": 0}, "'width' parameter of NeuralAttack"),
        ({"device": "abacus"}, "device must be 'auto' or a device that torch knows"),
        ({"random_state": "a"}, "'random_state' parameter of NeuralAttack"),
    ],
)
def test_bad_parameters(params, message):
    """Parameters are checked when fitting."""
    with pytest.raises(ValueError, match=message):
        NeuralAttack(**params).fit_answers(*_answers(normal(1), normal(0), n=20))

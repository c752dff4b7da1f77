"""The attack by a neural network on the whole answer."""

import itertools
import warnings
from numbers import Integral, Real

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from skorch import NeuralNetBinaryClassifier
from skorch.callbacks import EarlyStopping
from skorch.dataset import Dataset
from skorch.helper import predefined_split
from torch import nn
from torch.utils.data import Sampler

from skdiffence.attacks._base import SingleQueryAttack
from skdiffence.attacks._known_rows import canonical_order
from skdiffence.attacks.answer._features import answer_features
from skdiffence.utils._random import draw_seed, mix_seed, torch_seed
from skdiffence.utils._sklearn import Interval
from skdiffence.utils._torch import resolve_device

# Rows are scored in zero-padded blocks of this size: matrix products of one shape sum each row in the same order.
_BLOCK = 128
# In a narrow network all units of a layer may die, so that all outputs are equal.
_MOST_STARTS = 10


class NeuralAttack(SingleQueryAttack):
    """Call a row a member by a neural network on the whole answer.

    Three branches encode the class probabilities, the true label and the cross-entropy of the answer; a fourth combines
    them. Without true labels the first is the only one. This is the learned attack that Diffence was evaluated with,
    corrected as described in the notes.

    Parameters
    ----------
    max_epochs : int, default=200
        Maximum number of epochs.
    patience : int, default=20
        Number of epochs without a lower validation loss after which training stops.
    validation_size : float, default=0.2
        Share of the known rows of each side, at least one row, held out to choose the epoch.
    lr : float, default=0.0005
        Learning rate of Adam.
    batch_size : int, default=128
        Number of known rows in a batch, with both sides in proportion.
    width : int, default=16
        Size of the network. The widest layer has 16 times as many units. The paper's is 64.
    device : str or torch.device, default="auto"
        Device of the training. "auto" is the first CUDA device if there is one. Scores are computed on the CPU.
    random_state : int, RandomState instance or None, default=None
        Seeds the weights, the validation rows and the order of the known rows.

    Attributes
    ----------
    target_ : classifier
        The target, after ``fit``.
    network_ : torch.nn.Module
        The network of the best epoch, on the CPU. Scores are its log-odds of membership.
    history_ : list of dict
        "epoch", "train_loss" and "valid_loss" of each epoch.
    best_epoch_ : int
        The epoch of the lowest validation loss, counted from 1.
    threshold_ : float
        0.0, because scores are log-odds with both sides weighted equally.

    See Also
    --------
    ClassifierAttack : Fits a scikit-learn classifier to the same features, with less training.
    NonMonotoneAttack : Fits a random forest to a summary of the answer.

    Notes
    -----
    Cost: one query for each row. Training takes seconds for some hundred known rows.

    Unlike the network of the paper's code, this one labels members 1, chooses the epoch on known rows instead of the
    evaluated rows, shuffles them each epoch, and weights both sides equally whatever their numbers. It minimizes the
    cross-entropy instead of the squared error, standardizes its inputs, and starts from torch's default weights: from
    N(0, 0.01) it does not learn from a few hundred rows. If all outputs for the known rows are equal, as may happen in
    narrow networks, training is repeated from other weights.

    If only one row of a side is known, nothing is held out, and the training loss chooses the epoch.

    References
    ----------
    Nasr et al., "Machine learning with membership privacy using adversarial regularization", CCS 2018.

    Peng et al., "Diffence: fencing membership privacy with diffusion models", NDSS 2025.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> from skdiffence.attacks import NeuralAttack
    >>> X, y = load_digits(return_X_y=True)
    >>> is_member = y[:800] >= 0
    >>> is_member[::2] = False
    >>> forest = RandomForestClassifier(20, random_state=0).fit(X[:800][is_member], y[:800][is_member])
    >>> attack = NeuralAttack(max_epochs=15, lr=0.005, width=4, random_state=0)
    >>> called = attack.fit(forest, X[:400], y[:400], is_member[:400]).predict(X[400:800], y[400:800])
    >>> bool((called == is_member[400:]).mean() > 0.65)
    True
    """

    needs_true_labels = False

    _parameter_constraints: dict = {
        "max_epochs": [Interval(Integral, 1, None, closed="left")],
        "patience": [Interval(Integral, 1, None, closed="left")],
        "validation_size": [Interval(Real, 0, 1, closed="neither")],
        "lr": [Interval(Real, 0, None, closed="neither")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "width": [Interval(Integral, 1, None, closed="left")],
        "device": [str, torch.device],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        *,
        max_epochs=200,
        patience=20,
        validation_size=0.2,
        lr=0.0005,
        batch_size=128,
        width=16,
        device="auto",
        random_state=None,
    ):
        self.max_epochs = max_epochs
        self.patience = patience
        self.validation_size = validation_size
        self.lr = lr
        self.batch_size = batch_size
        self.width = width
        self.device = device
        self.random_state = random_state

    def _learn(self, answers, is_member):
        features, seed = answer_features(answers), draw_seed(self.random_state)
        n_classes = answers.proba.shape[1]
        order = canonical_order(features, is_member)
        features, is_member = features[order].astype(np.float32), is_member[order]
        valid = _validation_rows(is_member, self.validation_size, mix_seed("validation rows", seed))
        trained = ~valid if valid.any() else np.ones_like(valid)
        self.threshold_ = 0.0
        for start in range(_MOST_STARTS):
            net = self._net(features, n_classes, is_member, trained, valid if valid.any() else trained)
            with torch_seed(mix_seed("attack network", seed, *([start] if start else []))):
                net.fit(features[trained], is_member[trained].astype(np.float32))
            self._keep(net, features)
            if np.ptp(_block_scores(self.network_, features)) or not np.ptp(features, axis=0).any():
                return
        warnings.warn(
            f"All outputs of the attack's network for the known rows are equal after {_MOST_STARTS} starts. Raise "
            f"width={self.width} or lower lr={self.lr}.",
            ConvergenceWarning,
            stacklevel=2,
        )
        return self

    def _net(self, features, n_classes, is_member, trained, valid):
        n_members = np.count_nonzero(is_member[trained])
        return NeuralNetBinaryClassifier(
            _AttackNetwork,
            module__center=torch.from_numpy(features[trained].mean(axis=0)),
            module__scale=torch.from_numpy(features[trained].std(axis=0)),
            module__n_classes=n_classes,
            module__width=self.width,
            criterion__pos_weight=torch.tensor((np.count_nonzero(trained) - n_members) / n_members),
            optimizer=torch.optim.Adam,
            lr=self.lr,
            batch_size=self.batch_size,
            max_epochs=self.max_epochs,
            iterator_train__sampler=_EvenSampler(is_member[trained]),
            train_split=predefined_split(Dataset(features[valid], is_member[valid].astype(np.float32))),
            callbacks=[("stop", EarlyStopping(patience=self.patience, load_best=True))],
            callbacks__valid_acc=None,
            device=resolve_device(self.device),
            verbose=0,
        )

    def _keep(self, net, features):
        """Store the best epoch's network and the history, if training ended regularly and converged."""
        stop, history = dict(net.callbacks_)["stop"], net.history
        # skorch stops early by raising KeyboardInterrupt, and swallows that of the user as well.
        to_the_end = len(history) == self.max_epochs and "valid_loss" in history[-1]
        if not to_the_end and stop.misses_ < self.patience:
            raise KeyboardInterrupt("training of the attack's network was interrupted")
        network = net.module_.cpu().eval()
        if not (stop.best_epoch_ and np.isfinite(_block_scores(network, features)).all()):
            raise ValueError(f"lr must be small enough for the attack's training to converge. Got lr={self.lr}.")
        self.network_, self.best_epoch_ = network, stop.best_epoch_
        self.history_ = [
            {"epoch": epoch["epoch"]} | {name: float(epoch[name]) for name in ("train_loss", "valid_loss")}
            for epoch in history
        ]

    def _score(self, answers):
        return _block_scores(self.network_, answer_features(answers).astype(np.float32))


def _layers(*widths):
    pairs = itertools.pairwise(widths)
    return nn.Sequential(*(layer for n_in, n_out in pairs for layer in (nn.Linear(n_in, n_out), nn.ReLU())))


class _AttackNetwork(nn.Module):
    """Network from the features of an answer to the log-odds of membership; width 64 gives the paper's layers.

    Features that are no more than the class probabilities, without a true label, have one branch.
    """

    def __init__(self, center, scale, n_classes, width):
        super().__init__()
        self.register_buffer("center", center)
        # Features that are constant among the known rows are not scaled.
        self.register_buffer("scale", torch.where(scale > 0, scale, 1))
        branches = {"answer": _layers(n_classes, 16 * width, 8 * width, width)}
        self.sizes = [n_classes]
        if len(center) > n_classes:
            branches |= {"label": _layers(n_classes, 2 * width, width), "loss": _layers(1, n_classes, width)}
            self.sizes += [n_classes, 1]
        self.branches = nn.ModuleDict(branches)
        self.joint = _layers(len(branches) * width, 4 * width, 2 * width, width)
        self.logit = nn.Linear(width, 1)

    def forward(self, features):
        """Return one logit a row, of shape (n_samples,)."""
        features = (features - self.center) / self.scale
        parts = zip(self.branches.values(), features.split(self.sizes, dim=1), strict=True)
        joint = torch.cat([branch(part) for branch, part in parts], dim=1)
        return self.logit(self.joint(joint)).squeeze(1)


class _EvenSampler(Sampler):
    """Sampler that shuffles rows and spreads members and non-members evenly over the batches."""

    def __init__(self, is_member):
        self.sides = [torch.from_numpy(np.flatnonzero(side)) for side in (is_member, ~is_member)]

    def __iter__(self):
        places = torch.cat([(torch.randperm(len(side)) + 0.5) / len(side) for side in self.sides])
        return iter(torch.cat(self.sides)[places.argsort()].tolist())

    def __len__(self):
        return sum(map(len, self.sides))


def _validation_rows(is_member, share, seed):
    """Return a mask of validation rows, a share of each side; of no rows if a side has only one."""
    rng, mask = np.random.default_rng(seed), np.zeros(len(is_member), dtype=bool)
    sides = [np.flatnonzero(is_member), np.flatnonzero(~is_member)]
    if min(map(len, sides)) > 1:
        for side in sides:
            n_valid = min(max(1, round(share * len(side))), len(side) - 1)
            mask[rng.permutation(side)[:n_valid]] = True
    return mask


def _block_scores(network, features):
    """Return the network's output for each row, to the last bit independent of the rows scored with it."""
    padded = np.zeros((-(-len(features) // _BLOCK) * _BLOCK, features.shape[1]), dtype=np.float32)
    padded[: len(features)] = features
    with torch.inference_mode():
        scores = [network(block) for block in torch.from_numpy(padded).split(_BLOCK)]
    return torch.cat(scores)[: len(features)].numpy().astype(np.float64) if scores else np.empty(0)

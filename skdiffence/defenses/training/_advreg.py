"""Adversarial regularization: a net that is trained against a membership attack."""

from numbers import Integral, Real

import numpy as np
import torch
from skorch.dataset import get_len
from skorch.utils import to_numpy, to_tensor
from torch import nn
from torch.utils.data import Subset, default_collate

from skdiffence.defenses.training._adversary import Adversary
from skdiffence.defenses.training._base import TrainingDefense, as_array
from skdiffence.utils._random import mix_seed
from skdiffence.utils._rows import row_digests
from skdiffence.utils._sklearn import Interval, all_or_nothing
from skdiffence.utils._validation import check_is_member

# Passes over the members that train the adversary before the classifier is trained against it.
_FIRST_PASSES = 5


class AdvRegClassifier(TrainingDefense):
    """Train a net against a membership attack that is trained at the same time.

    The attack is a network whose inputs are the logits and the true label of a row. It is trained to separate members
    from reference rows, which do not train the classifier. The attack's gain on members is added to the classifier's
    loss.

    Parameters
    ----------
    module : torch.nn.Module class or callable
        Returns the module, which returns one logit for each class.
    adversary_weight : float, default=3.0
        Weight of the attack's gain in the classifier's loss.
    reference_size : float, default=0.5
        Share of the rows of each class that is held out as reference rows, in (0, 1), if ``is_member`` is not given to
        ``fit``.
    adversary_steps : int, default=1
        Number of steps of the attack before each step of the classifier.
    adversary_lr : float, default=0.001
        Learning rate of Adam for the attack.
    adversary_width : int, default=16
        Size of the attack's network, whose widest layer has 16 times as many units. The paper has 64.
    warmup_epochs : int, default=1
        Number of epochs of the classifier without the attack, which is then trained for five passes over the members.
    criterion : type, default=torch.nn.CrossEntropyLoss
        The classification loss: this class or a subclass.
    train_split : callable or None, default=None
        As in skorch, but nothing is held out for validation unless asked for.
    random_state : int, RandomState instance or None, default=None
        Seeds weights, reference rows and the batches of both networks.
    **net_params : dict
        As in :class:`skorch.NeuralNetClassifier`: ``module__width``, ``optimizer``, ``lr``, ``max_epochs`` and others.

    Attributes
    ----------
    n_samples_fit_ : int
        Number of rows that trained the classifier: the members.
    not_trained_on_ : RowSet
        Keyed digests of the rows given to ``fit`` that did not train it: reference and validation rows.
    held_out_ : ndarray of int
        Their indices.
    classes_ : ndarray of shape (n_classes,)
        The class codes, including those of reference rows only.

    See Also
    --------
    RelaxLossClassifier : A defense that needs no reference rows.
    skdiffence.defenses.DefendedClassifier : May be put around it, for labels of any type with "passthrough".
    skdiffence.model_selection.AttackScorer : Uses held-out rows neither as members nor as non-members.

    Notes
    -----
    A step of the classifier costs, beside its own, ``adversary_steps`` passes of twice a batch through the classifier
    and as many steps of the attack. Prediction costs the same as without the defense.

    The loss is the criterion plus ``adversary_weight`` times (mean membership probability of the batch - 1/2). The
    attack minimizes the cross-entropy of membership, on as many members as reference rows. Its weights are initialized
    as usual in torch; the published codes draw them from N(0, 0.01), from which a few hundred rows do not train them.

    Reference rows influence the classifier, but only through the attack: layers that keep statistics of a batch do not
    get them. They are neither members nor unseen rows, so that attacks must not be scored on them. ``history`` has the
    attack's ``adversary_loss`` and, as ``adversary_gain``, its gain in each batch. The attack itself is discarded after
    training, because it was trained on membership.

    Privacy costs accuracy: on digits with a tenth of wrong labels, the default weight lowered the area under the ROC
    curve of the entropy attack by 0.020 ± 0.013, and that of the confidence attack not at all, for 0.04 of accuracy. A
    weight of 10 lowered them by 0.062 ± 0.036 and 0.032 ± 0.027, for 0.10 (``benchmarks/training_defenses.py``).

    Without ``is_member`` half of the rows do not train the classifier, which by itself costs accuracy.

    Training can't be continued by ``partial_fit``, because the held-out rows would not be known any more.

    References
    ----------
    Nasr, Shokri and Houmansadr, "Machine learning with membership privacy using adversarial regularization", CCS 2018,
    equation 8 and algorithm 1.

    Examples
    --------
    >>> import torch
    >>> from sklearn.datasets import load_digits
    >>> from torch import nn
    >>> from skdiffence.defenses import AdvRegClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> X = (X[:400] / 16).astype("float32")
    >>> net = AdvRegClassifier(nn.Linear, module__in_features=64, module__out_features=10, lr=0.02, max_epochs=15,
    ...                        batch_size=32, optimizer=torch.optim.Adam, verbose=0, random_state=0)
    >>> net = net.fit(X[:300], y[:300])
    >>> net.score(X[300:], y[300:400]) > 0.7
    True
    >>> net.n_samples_fit_ + len(net.not_trained_on_)
    300
    """

    _parameter_constraints: dict = {
        **TrainingDefense._parameter_constraints,
        "adversary_weight": [Interval(Real, 0, None, closed="left")],
        "reference_size": [Interval(Real, 0, 1, closed="neither")],
        "adversary_steps": [Interval(Integral, 1, None, closed="left")],
        "adversary_lr": [Interval(Real, 0, None, closed="neither")],
        "adversary_width": [Interval(Integral, 1, None, closed="left")],
        "warmup_epochs": [Interval(Integral, 0, None, closed="left")],
    }
    _uses_criterion = True
    _trains_once_because = "rows that were held out would be trained on now, or the other way round"

    def __init__(
        self,
        module,
        *,
        adversary_weight=3.0,
        reference_size=0.5,
        adversary_steps=1,
        adversary_lr=0.001,
        adversary_width=16,
        warmup_epochs=1,
        criterion=nn.CrossEntropyLoss,
        train_split=None,
        random_state=None,
        **net_params,
    ):
        super().__init__(
            module, criterion=criterion, train_split=train_split, random_state=random_state, **net_params
        )
        self.adversary_weight = adversary_weight
        self.reference_size = reference_size
        self.adversary_steps = adversary_steps
        self.adversary_lr = adversary_lr
        self.adversary_width = adversary_width
        self.warmup_epochs = warmup_epochs

    @all_or_nothing(forget=False)
    def fit(self, X, y, is_member=None, **fit_params):
        """Train the net on members, against an attack that separates them from reference rows.

        Parameters
        ----------
        X : ndarray or tensor of shape (n_samples, ...)
            Inputs, in the dtype of the module's weights.
        y : array-like of shape (n_samples,)
            Class codes from 0 to n_classes - 1, as in skorch.
        is_member : array-like of shape (n_samples,), dtype bool, default=None
            True for rows that train the classifier. The others are reference rows. None holds out a stratified share
            of ``reference_size``, chosen by a keyed hash of the rows' content.
        **fit_params : dict
            Passed to the module's ``forward``.

        Returns
        -------
        self : AdvRegClassifier

        Raises
        ------
        ValueError
            If X, y, ``is_member`` or a parameter is invalid, or one side has no rows.
        KeyboardInterrupt
            If training was interrupted.
        """
        self.told_ = None if is_member is None else check_is_member(is_member, get_len(X))
        try:
            return super().fit(X, y, **fit_params)
        finally:
            self.told_ = None

    def get_split_datasets(self, X, y=None, **fit_params):
        """Hold out the reference rows, from the rows that ``train_split`` leaves for training.

        Parameters
        ----------
        X : ndarray or tensor of shape (n_samples, ...)
            Inputs.
        y : array-like of shape (n_samples,), default=None
            Class codes.
        **fit_params : dict
            Passed to ``train_split``.

        Returns
        -------
        members : torch.utils.data.Subset
            The rows that train the classifier.
        dataset_valid : dataset or None
            The validation rows.
        """
        dataset, dataset_valid = super().get_split_datasets(X, y, **fit_params)
        rows = np.arange(len(dataset))
        if isinstance(dataset, Subset):
            dataset, rows = dataset.dataset, np.asarray(dataset.indices)
        is_member = self._sides(as_array(X)[rows], to_numpy(y)[rows], rows)
        members = rows[is_member]
        self.sides_ = Subset(dataset, members), Subset(dataset, rows[~is_member])
        self.adversary_ = None
        self._record_training_rows(X, members)
        return self.sides_[0], dataset_valid

    def train_step(self, batch, **fit_params):
        """Take the steps of the attack, after the warm-up, and then a step of the classifier.

        Parameters
        ----------
        batch : tuple of (X, y)
            Members.
        **fit_params : dict
            Passed to the module's ``forward``.

        Returns
        -------
        step : dict
            ``loss`` and ``y_pred`` of the classifier.
        """
        if len(self.history) > self.warmup_epochs:
            n_steps = self.adversary_steps
            if self.adversary_ is None:
                n_steps += _FIRST_PASSES * -(-len(self.sides_[0]) // self._n_of_each())
            losses = [self._teach(**fit_params) for _ in range(n_steps)]
            self.history.record_batch("adversary_loss", float(np.mean(losses)))
        return super().train_step(batch, **fit_params)

    def defended_loss(self, logits, y):
        """Return the classification loss plus the weighted gain of the attack.

        Parameters
        ----------
        logits : tensor of shape (n_samples, n_classes)
            The output of the module.
        y : int64 tensor of shape (n_samples,)
            Class codes.

        Returns
        -------
        loss : tensor of shape ()
        """
        loss = self.get_loss(logits, y)
        if self.adversary_ is None:
            return loss
        gain = self.adversary_.gain(logits, y)
        self.history.record_batch("adversary_gain", gain.item())
        return loss + self.adversary_weight * gain

    def _end_training(self):
        # They hold the private rows, and a network that tells them from others.
        self.adversary_ = self.sides_ = None

    def _sides(self, X, y, rows):
        """Return which rows train, as a mask; the others are reference rows."""
        if self.told_ is None:
            key = mix_seed(self.seed_, "reference rows").to_bytes(8, "little")
            is_member = ~lowest_share(row_digests(X, key), y, self.reference_size)
        else:
            is_member = self.told_[rows]
        if is_member.all() or not is_member.any():
            raise ValueError(
                "There must be both rows to train on and reference rows. Got "
                f"{is_member.sum()} of the former and {(~is_member).sum()} of the latter, by "
                f"{'is_member' if self.told_ is not None else f'reference_size={self.reference_size}'}."
            )
        return is_member

    def _n_of_each(self):
        smaller = min(map(len, self.sides_))
        return smaller if self.batch_size == -1 else min(self.batch_size, smaller)

    def _teach(self, **fit_params):
        # In training mode batch statistics would be updated by reference rows, and would separate the sides.
        self._set_training(False)
        answers = [self._ask(side, **fit_params) for side in self.sides_]
        if self.adversary_ is None:
            logits = answers[0][0]
            self.adversary_ = Adversary(logits.shape[1], self.adversary_width, self.adversary_lr, logits.device)
        return self.adversary_.learn(*answers)

    def _ask(self, side, **fit_params):
        """Return logits and labels of randomly drawn rows of a side."""
        drawn = torch.randperm(len(side))[: self._n_of_each()]
        Xi, yi = default_collate([side[row] for row in drawn.tolist()])
        with torch.no_grad():
            return self.infer(Xi, **fit_params), to_tensor(yi, device=self.device).long()


def lowest_share(digests, y, share):
    """Choose a share of the rows of each class by their digests, so that duplicates stay together.

    Parameters
    ----------
    digests : ndarray of shape (n_samples,)
        Of the rows.
    y : ndarray of shape (n_samples,)
        Their classes.
    share : float
        In (0, 1).

    Returns
    -------
    chosen : ndarray of shape (n_samples,), dtype bool
        In each class at least one row is not chosen, and none is if there is only one.
    """
    chosen = np.zeros(len(y), dtype=bool)
    for label in np.unique(y):
        rows = np.flatnonzero(y == label)
        n = min(max(round(share * len(rows)), 1), len(rows) - 1)
        if n > 0:
            chosen[rows] = digests[rows] <= np.sort(digests[rows])[n - 1]
    # A row is not chosen if a duplicate of it, of another class, is not.
    return chosen & ~np.isin(digests, digests[~chosen])

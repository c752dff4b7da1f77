"""RelaxLoss: the training loss is kept at a level instead of at zero."""

from numbers import Real

import torch
from torch import nn
from torch.nn import functional

from skdiffence.defenses.training._base import TrainingDefense
from skdiffence.utils._sklearn import Interval


class RelaxLossClassifier(TrainingDefense):
    """Train a net to a cross-entropy that its non-members reach as well, and not below.

    Epochs alternate. In every first one the distance of a batch's mean cross-entropy from the level is minimized,
    upwards from below. In every second one a batch above the level is trained as usual; one below has its posteriors
    flattened: the cross-entropy of its rows is raised, and rows that are wrong are pulled to a label that keeps the
    probability of the true class and shares out the rest.

    Parameters
    ----------
    module : torch.nn.Module class or callable
        Makes the module, which gives logits, one for each class.
    target_loss : float, default=0.3
        The level, in nats; 0 trains as usual.
    max_posterior : float, default=1.0
        Highest probability of the true class in the labels of flattening, in (0, 1].
    criterion : type, default=torch.nn.CrossEntropyLoss
        What the validation loss is; it must be this class or a subclass without arguments.
    train_split : callable or None, default=None
        As in skorch, but nothing is held out unless asked for.
    random_state : int, RandomState instance or None, default=None
        Seeds weights and batches.
    **net_params : dict
        As in :class:`skorch.NeuralNetClassifier`: ``module__width``, ``optimizer``, ``lr``, ``max_epochs`` and others.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The class codes.

    See Also
    --------
    HAMPClassifier : Soft labels, and answers that belong to random inputs.
    skdiffence.defenses.DefendedClassifier : May be put around it, for labels of any type with "passthrough".

    Notes
    -----
    Training and answering cost what they cost without the defense.

    Epochs are those of ``history``, so that ``partial_fit`` goes on where ``fit`` ended. With an even ``max_epochs``
    the last epoch flattens.

    The label of flattening is a constant here: no gradient flows through the probability that it is made from. In the
    authors' code, and in the copies of it, the gradient does flow.

    The loss of an epoch may be negative. It says little about how good the net is; the validation loss does.

    References
    ----------
    Chen, Yu and Fritz, "RelaxLoss: defending membership inference attacks without losing utility", ICLR 2022,
    algorithm 1.

    Examples
    --------
    >>> import torch
    >>> from sklearn.datasets import load_digits
    >>> from torch import nn
    >>> from skdiffence.defenses import RelaxLossClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> X = (X[:400] / 16).astype("float32")
    >>> net = RelaxLossClassifier(nn.Linear, module__in_features=64, module__out_features=10, lr=0.02, max_epochs=20,
    ...                           optimizer=torch.optim.Adam, verbose=0, random_state=0).fit(X[:300], y[:300])
    >>> net.score(X[300:], y[300:400]) > 0.8
    True
    """

    _parameter_constraints: dict = {
        **TrainingDefense._parameter_constraints,
        "target_loss": [Interval(Real, 0, None, closed="left")],
        "max_posterior": [Interval(Real, 0, 1, closed="right")],
    }

    def __init__(
        self,
        module,
        *,
        target_loss=0.3,
        max_posterior=1.0,
        criterion=nn.CrossEntropyLoss,
        train_split=None,
        random_state=None,
        **net_params,
    ):
        super().__init__(
            module, criterion=criterion, train_split=train_split, random_state=random_state, **net_params
        )
        self.target_loss = target_loss
        self.max_posterior = max_posterior

    def defended_loss(self, logits, y):
        """Return the loss of the epoch's kind.

        Parameters
        ----------
        logits : tensor of shape (n_samples, n_classes)
            What the module gives.
        y : int64 tensor of shape (n_samples,)
            Class codes.

        Returns
        -------
        loss : tensor of shape ()
        """
        is_first = len(self.history) % 2 == 1
        return relaxed_loss(logits, y, self.target_loss, self.max_posterior, is_first)


def relaxed_loss(logits, y, target_loss, max_posterior, is_first):
    """Return the loss of a batch.

    Parameters
    ----------
    logits : tensor of shape (n_samples, n_classes)
        What the module gives.
    y : int64 tensor of shape (n_samples,)
        Class codes.
    target_loss : float
        The level.
    max_posterior : float
        Highest probability of the true class in a label of flattening.
    is_first : bool
        Whether the epoch is the first, the third and so on.

    Returns
    -------
    loss : tensor of shape ()
    """
    of_rows = functional.cross_entropy(logits, y, reduction="none")
    mean = of_rows.mean()
    if is_first:
        return (mean - target_loss).abs()
    if mean > target_loss:
        return mean
    is_wrong = (logits.argmax(dim=1) != y).to(logits.dtype)
    flattened = functional.cross_entropy(logits, _flat_labels(logits, y, max_posterior), reduction="none")
    return (is_wrong * flattened - of_rows).mean()


def _flat_labels(logits, y, max_posterior):
    """Keep the probability of the true class, and share out the rest equally."""
    with torch.no_grad():
        at_class = functional.softmax(logits, dim=1).gather(1, y[:, None]).clamp(max=max_posterior)
        elsewhere = (1 - at_class) / (logits.shape[1] - 1)
        return elsewhere.expand_as(logits).scatter(1, y[:, None], at_class)

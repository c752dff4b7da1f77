"""RelaxLoss: the training loss is kept at a target instead of zero."""

from numbers import Real

import torch
from torch import nn
from torch.nn import functional

from skdiffence.defenses.training._base import TrainingDefense
from skdiffence.utils._sklearn import Interval


class RelaxLossClassifier(TrainingDefense):
    """Train a net to a target cross-entropy, one that non-members reach as well.

    Epochs alternate. In every first epoch the distance of a batch's mean cross-entropy from the target is minimized,
    from above and from below. In every second epoch a batch above the target is trained as usual. A batch below it has
    its posteriors flattened: the cross-entropy of its rows is increased, and incorrectly classified rows are trained on
    a label that keeps the probability of the true class and has equal shares of the rest.

    Parameters
    ----------
    module : torch.nn.Module class or callable
        Returns the module, which returns one logit for each class.
    target_loss : float, default=0.3
        The target, in nats. 0 trains as usual.
    max_posterior : float, default=1.0
        Highest probability of the true class in the flattened labels, in (0, 1].
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
    HAMPClassifier : Soft labels, and confidences of random inputs.
    skdiffence.defenses.DefendedClassifier : May be put around it, for labels of any type with "passthrough".

    Notes
    -----
    Training and answering cost what they cost without the defense.

    Epochs are counted by ``history``, so that ``partial_fit`` continues where ``fit`` ended. With an even
    ``max_epochs`` the last epoch flattens.

    The flattened label is a constant: no gradient flows through the probability in it. In the authors' code it does.

    The loss of an epoch can be negative and is no measure of the net's quality; the validation loss is.

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
        """Return the loss of a batch, which depends on the number of the epoch.

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
        The target.
    max_posterior : float
        Highest probability of the true class in a flattened label.
    is_first : bool
        Whether it is the first, the third, the fifth epoch and so on.

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
    """Return labels with the predicted probability of the true class and equal shares of the rest."""
    with torch.no_grad():
        at_class = functional.softmax(logits, dim=1).gather(1, y[:, None]).clamp(max=max_posterior)
        elsewhere = (1 - at_class) / (logits.shape[1] - 1)
        return elsewhere.expand_as(logits).scatter(1, y[:, None], at_class)

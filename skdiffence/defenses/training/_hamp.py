"""HAMP: soft labels and entropy regularization in training, confidences of random inputs in answers."""

from numbers import Real

import numpy as np
import torch
from sklearn.exceptions import NotFittedError
from skorch.utils import to_numpy
from torch import nn
from torch.nn import functional
from torch.utils.data import Dataset

from skdiffence.defenses._classifier import put_label_on_top
from skdiffence.defenses.training._base import TrainingDefense, as_array
from skdiffence.utils._random import mix_seed
from skdiffence.utils._rows import row_digests
from skdiffence.utils._sklearn import Interval

_STEP = 100  # steps from probability 1 to 0


class HAMPClassifier(TrainingDefense):
    """Train a net to be less confident, and return confidences of random inputs.

    There are three parts: soft labels; an entropy regularization of the predicted probabilities in training; and
    answers that consist of the confidences of a random input, sorted into the row's ranking of the classes. The
    ranking, and so the predicted label, is kept.

    Parameters
    ----------
    module : torch.nn.Module class or callable
        Returns the module, which returns one logit for each class.
    entropy_threshold : float, default=0.8
        Entropy of the soft labels as a share of that of the uniform distribution, in [0, 1). 0 uses hard labels.
    regularization : float, default=0.01
        Weight of the entropy of the predicted probabilities.
    modify_output : bool, default=True
        Whether ``predict_proba`` returns the confidences of a random input.
    criterion : type, default=torch.nn.CrossEntropyLoss
        What the validation loss is; it must be this class or a subclass without arguments.
    train_split : callable or None, default=None
        As in skorch, but nothing is held out unless asked for.
    random_state : int, RandomState instance or None, default=None
        Seeds weights, batches and random inputs. With an integer, the random inputs can be computed by anybody who
        knows it and the range of the inputs.
    **net_params : dict
        As in :class:`skorch.NeuralNetClassifier`: ``module__width``, ``optimizer``, ``lr``, ``max_epochs`` and others.

    Attributes
    ----------
    input_range_ : tuple of three ndarrays
        Lowest and highest value in training, and whether there are no others, of each feature or channel of images.
    classes_ : ndarray of shape (n_classes,)
        The class codes.

    See Also
    --------
    RelaxLossClassifier : Keeps the training loss at a target.
    skdiffence.defenses.DefendedClassifier : May be put around it, for labels of any type with "passthrough".

    Notes
    -----
    ``predict_proba`` and ``predict`` cost two forward passes for each row instead of one.

    The loss is the Kullback-Leibler divergence of the predicted probabilities from the soft label, averaged over rows,
    less ``regularization`` times the mean entropy. The authors' code averages the divergence over rows and classes: for
    the same loss, multiply their weight by the number of classes and divide their learning rate by it.

    The random input of a row is drawn from a keyed hash of its content, so that a repeated query gets the same answer.
    The authors draw anew for each query, which can be averaged away. A row that differs in one bit has another random
    input. Features with two values are drawn from these, others uniformly between the lowest and the highest value in
    training. This range, which is private, is stored in the fitted net; the weights that ``save_params`` writes do not
    hold it.

    Training alone need not hide members: for a network that memorized digits with a tenth of wrong labels, the
    confidence attack had an area under the ROC curve of 0.65 undefended, 0.73 with the training part and 0.60 with
    modified answers (``benchmarks/training_defenses.py``).

    Modified answers do not depend on the row's own confidence: probabilities are not calibrated, and confidence does
    not separate correct from incorrect labels. Label-only attacks are not affected by them.

    References
    ----------
    Chen and Pattabiraman, "Overconfidence is a dangerous thing: mitigating membership inference attacks by enforcing
    less confident prediction", NDSS 2024, section IV.

    Aerni, Zhang and Tramèr, "Evaluations of machine learning privacy defenses are misleading", CCS 2024, on what
    label-only attacks find.

    Examples
    --------
    >>> import torch
    >>> from sklearn.datasets import load_digits
    >>> from torch import nn
    >>> from skdiffence.defenses import HAMPClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> X = (X[:400] / 16).astype("float32")
    >>> net = HAMPClassifier(nn.Linear, module__in_features=64, module__out_features=10, lr=0.02, max_epochs=20,
    ...                      optimizer=torch.optim.Adam, verbose=0, random_state=0).fit(X[:300], y[:300])
    >>> net.score(X[300:], y[300:400]) > 0.8
    True
    >>> answers = net.predict_proba(X[300:])
    >>> bool((answers == net.predict_proba(X[300:])).all())
    True
    """

    _parameter_constraints: dict = {
        **TrainingDefense._parameter_constraints,
        "entropy_threshold": [Interval(Real, 0, 1, closed="left")],
        "regularization": [Interval(Real, 0, None, closed="left")],
        "modify_output": ["boolean"],
    }

    def __init__(
        self,
        module,
        *,
        entropy_threshold=0.8,
        regularization=0.01,
        modify_output=True,
        criterion=nn.CrossEntropyLoss,
        train_split=None,
        random_state=None,
        **net_params,
    ):
        super().__init__(
            module, criterion=criterion, train_split=train_split, random_state=random_state, **net_params
        )
        self.entropy_threshold = entropy_threshold
        self.regularization = regularization
        self.modify_output = modify_output

    def initialize(self):
        """Initialize module, criterion, optimizer and history, and reset the range of the inputs.

        Returns
        -------
        self : HAMPClassifier
        """
        self.input_range_ = None
        return super().initialize()

    def check_data(self, X, y):
        """Raise an error if the data are invalid, and record the range of the inputs.

        Parameters
        ----------
        X : ndarray or tensor of shape (n_samples, ...)
            Inputs.
        y : array-like of shape (n_samples,)
            Class codes.
        """
        super().check_data(X, y)
        self.input_range_ = _range_of(as_array(X), self.input_range_)

    def defended_loss(self, logits, y):
        """Return the divergence from the soft labels less the weighted entropy.

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
        labels = high_entropy_labels(logits.shape[1], self.entropy_threshold)
        target = torch.as_tensor(labels, dtype=logits.dtype, device=logits.device)[y]
        log_proba = functional.log_softmax(logits, dim=1)
        entropy = -(log_proba.exp() * log_proba).sum(dim=1).mean()
        return functional.kl_div(log_proba, target, reduction="batchmean") - self.regularization * entropy

    def predict_proba(self, X):
        """Return the confidences of a random input, sorted into the row's ranking.

        Parameters
        ----------
        X : ndarray or tensor of shape (n_samples, ...)
            Inputs.

        Returns
        -------
        proba : ndarray of shape (n_samples, n_classes)
        """
        proba = super().predict_proba(X)
        if not self.modify_output:
            return proba
        # While skorch scores its validation split, the outputs for these rows alone are in a cache.
        cached = vars(self).pop("forward_iter", None)
        try:
            values = super().predict_proba(self._random_inputs(X))
        finally:
            if cached is not None:
                vars(self)["forward_iter"] = cached
        return exchange_values(proba, values)

    def _random_inputs(self, X):
        """Return a random input for each row, a function of its content and the seed."""
        if self.input_range_ is None:
            raise NotFittedError(
                "HAMPClassifier answers with random inputs in the range of its training inputs, which initialize and "
                "load_params do not know. Fit it, load all of it (pickle, joblib), or set modify_output=False."
            )
        X = _rows_of(X)
        low, high, is_binary = self.input_range_
        # One keyed stream of numpy's Philox for each row, so that an answer does not depend on the other rows.
        digests = row_digests(X, mix_seed(self.seed_, "random inputs").to_bytes(8, "little"))
        keys = (int.from_bytes(bytes(digest).ljust(16, b"\0"), "little") for digest in digests)
        uniform = np.stack([np.random.Generator(np.random.Philox(key=key)).random(X[0].shape) for key in keys])
        share = np.where(is_binary, uniform < 0.5, uniform)
        return (low + (high - low) * share).astype(X.dtype)


def _rows_of(X):
    """Return the inputs of an array, a tensor or, as skorch's validation split is one, a dataset."""
    if isinstance(X, Dataset):
        X = np.stack([to_numpy(torch.as_tensor(X[row][0])) for row in range(len(X))])
    return as_array(X)


def high_entropy_labels(n_classes, entropy_threshold):
    """Return the soft label of each class: the one closest to one-hot whose entropy reaches a threshold.

    Parameters
    ----------
    n_classes : int
        Number of classes, at least 2.
    entropy_threshold : float
        Share of the entropy of the uniform distribution, in [0, 1).

    Returns
    -------
    labels : ndarray of shape (n_classes, n_classes)
        Row k has the greatest multiple of 0.01 at k, and the rest in equal shares elsewhere.

    Raises
    ------
    ValueError
        If no label whose class has the largest probability reaches the threshold.
    """
    at_class = np.arange(_STEP, 0, -1) / _STEP
    at_class = at_class[at_class > 1 / n_classes]
    elsewhere = (1 - at_class) / (n_classes - 1)
    logs = np.log(at_class), np.log(np.where(elsewhere > 0, elsewhere, 1))
    entropy = -at_class * logs[0] - (n_classes - 1) * elsewhere * logs[1]
    reached = entropy >= entropy_threshold * np.log(n_classes)
    if not reached.any():
        raise ValueError(
            f"entropy_threshold must be at most {entropy.max() / np.log(n_classes):.6f} with {n_classes} classes, so "
            f"that labels still prefer their class. Got {entropy_threshold}."
        )
    first = reached.argmax()
    labels = np.full((n_classes, n_classes), elsewhere[first])
    np.fill_diagonal(labels, at_class[first])
    return labels


def exchange_values(proba, values):
    """Return the values of other rows, sorted into each row's ranking.

    Parameters
    ----------
    proba : ndarray of shape (n_samples, n_classes)
        Probabilities whose ranking is kept.
    values : ndarray of shape (n_samples, n_classes)
        Probabilities whose values are returned.

    Returns
    -------
    exchanged : ndarray of shape (n_samples, n_classes)
        With the argmax of ``proba`` in each row, also where values are equal.
    """
    # Of equal entries the first ranks higher, as for argmax.
    order = np.argsort(-proba, axis=1, kind="stable")
    exchanged = np.empty_like(values)
    np.put_along_axis(exchanged, order, -np.sort(-values, axis=1), axis=1)
    return put_label_on_top(exchanged, proba.argmax(axis=1))


def _range_of(X, before):
    """Return low, high and is_binary of X and of earlier data, in a shape that broadcasts to a row."""
    # The pixels of a channel share one range: a range for each pixel would reveal where private images have ink.
    axes = (0, *range(2, X.ndim)) if X.ndim > 2 else (0,)
    low, high = (function(axis=axes, keepdims=True)[0] for function in (X.min, X.max))
    is_binary = ((low == X) | (high == X)).all(axis=axes, keepdims=True)[0]
    if before is None:
        return low, high, is_binary
    wider = np.minimum(low, before[0]), np.maximum(high, before[1])
    same = (low == before[0]) & (high == before[1])
    return *wider, is_binary & before[2] & same

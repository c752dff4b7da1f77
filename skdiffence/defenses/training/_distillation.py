"""Distillation: train a classifier or regressor on probabilities instead of labels."""

import warnings

import numpy as np
from sklearn import config_context
from sklearn.base import clone, is_regressor
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags
from sklearn.utils.validation import has_fit_parameter
from torch import nn

from skdiffence.defenses._classes import count_outputs
from skdiffence.defenses._classifier import FittedClassifier
from skdiffence.defenses.training._base import TrainingDefense
from skdiffence.metrics import label_columns
from skdiffence.utils import _skorch as skorch
from skdiffence.utils._frames import is_frame
from skdiffence.utils._random import mix_seed, seed_nested, torch_seed
from skdiffence.utils._rows import data_digest
from skdiffence.utils._sklearn import safe_indexing

# The smallest probability that a regressor gives a class, before its answer is made to sum to 1.
_FLOOR = 1e-6
# Rows on which a regressor is tried: enough for a cross-validation of a few folds.
_TRIAL_ROWS = 12


class SoftNLLLoss(nn.NLLLoss):
    """The negative log-likelihood under labels that are probabilities."""

    def forward(self, log_proba, target):
        """Return the mean over rows, or the usual loss where labels are codes."""
        if not target.is_floating_point():
            return super().forward(log_proba, target)
        weight = 1 if self.weight is None else self.weight
        # As torch's CrossEntropyLoss does, the mean is over rows whatever they weigh.
        return -(weight * target * log_proba).sum(dim=1).mean()


def check_student(student):
    """Raise an error if a student can't be trained on probabilities.

    Parameters
    ----------
    student : classifier or regressor
        Not changed.

    Raises
    ------
    ValueError
        With the remedy.
    """
    inside = skorch.nets_inside(student, frozen=False)
    final = skorch.final_estimator(student)
    if inside and [*inside.values()] == [final]:
        check_net(final)
    elif inside or not (is_regressor(student) or _weight_name(student) is not None):
        raise ValueError(
            f"A student is trained on probabilities: {type(final).__name__} is neither a skorch net nor takes "
            "sample_weight in fit. Pass another one as student."
        )
    elif not (is_regressor(student) or hasattr(student, "predict_proba")):
        raise ValueError(
            f"A student answers probabilities: {final!r} has no predict_proba. Pass another one as student, or change "
            "its settings."
        )
    elif is_regressor(student) and _has_one_output(student):
        raise ValueError(
            f"A student has an output for each class: {type(final).__name__} has one only. Pass a regressor of several "
            "outputs as student."
        )


def _has_one_output(regressor):
    """Return whether a regressor learns one output and fails with two, by a trial on a few rows."""
    # The tag is not set by all that learn several.
    if get_tags(regressor).target_tags.multi_output:
        return False
    rows = np.linspace(0.1, 0.9, 2 * _TRIAL_ROWS).reshape(-1, 2)
    return _learns(regressor, rows, rows[:, 0]) and not _learns(regressor, rows, rows)


def _learns(regressor, X, y):
    try:
        with warnings.catch_warnings(), torch_seed(0):
            warnings.simplefilter("ignore")
            seed_nested(clone(regressor), "trial").fit(X, y)
    except Exception:  # of any library
        return False
    return True


def check_net(net):
    """Refuse nets whose criterion or validation knows nothing of probabilities as labels.

    Raises
    ------
    ValueError
        Naming the parameter.
    """
    if isinstance(net, TrainingDefense):
        raise ValueError(
            f"A student is trained on probabilities. {type(net).__name__} learns from class labels, to which it has a "
            "loss of its own. Pass another one as student."
        )
    criterion = net.criterion if isinstance(net.criterion, type) else type(net.criterion)
    if not (skorch.is_binary_net(net) or issubclass(criterion, (nn.CrossEntropyLoss, nn.NLLLoss))):
        raise ValueError(
            f"A student's criterion must be torch.nn.CrossEntropyLoss or NLLLoss. Got {criterion.__name__}."
        )
    recorders = skorch.prepare_splits(clone(net))
    if recorders:
        raise ValueError(
            f"A student is trained on probabilities, which can't be scored as labels on rows of its own: set "
            f"train_split=None. Got {net.train_split!r}."
        )


def output_order(student, classes):
    """Return the columns of soft labels that the outputs of a student stand for.

    Parameters
    ----------
    student : classifier or regressor
        Not changed.
    classes : ndarray of shape (n_classes,)
        The class of each column.

    Returns
    -------
    order : ndarray of shape (n_classes,), dtype int
        That of the ``classes`` which a net was given, if they are the same; otherwise the order of the columns.
    """
    columns, declared = np.arange(len(classes)), skorch.declared_classes(student)
    try:
        order = columns if declared is None else label_columns(declared, classes)
    except ValueError:  # text and numbers
        return columns
    return order if np.array_equal(np.sort(order), columns) else columns


def distill(student, X, proba, classes, seed, *, seeded, order):
    """Train a clone of a classifier or regressor on probabilities.

    Parameters
    ----------
    student : classifier or regressor
        A net, a pipeline that ends in one, a regressor of several outputs, or a classifier that takes
        ``sample_weight``. The latter gets each row once for every class, weighted by its probability.
    X : array-like of shape (n, ...)
        Rows.
    proba : ndarray of shape (n, n_classes)
        Their soft labels.
    classes : ndarray of shape (n_classes,)
        The class of each column.
    seed : int
        Seeds training.
    seeded : bool
        Whether estimators without a ``random_state`` of their own are seeded, too.
    order : ndarray of shape (n_classes,), dtype int
        The column that each output of a net learns, from :func:`output_order`.

    Returns
    -------
    trained : classifier or regressor
        With a column for every class; a net can have more.
    """
    X = skorch.as_nets_take(student, X)
    trained = clone(student)
    if seeded:
        seed_nested(trained, seed, "student", data_digest(X, proba))
    inside = skorch.nets_inside(trained, frozen=False)
    if not inside and is_regressor(trained):
        return trained.fit(X, proba)
    if not inside:
        return _distill_by_weights(trained, X, proba, classes)
    ((prefix, net),) = inside.items()
    skorch.prepare_splits(trained)
    proba = proba.astype(skorch.input_dtype(net))
    if skorch.is_binary_net(net):
        target = proba[:, 1]
    else:
        # Outputs without a class, as of one that the rows lack, learn a probability of zero.
        n_outputs = max(count_outputs(student, X, proba.argmax(axis=1)), len(classes))
        target = np.pad(proba, ((0, 0), (0, n_outputs - len(classes))))
        columns = np.arange(n_outputs)
        columns[: len(order)] = order
        target = np.take(target, columns, axis=1)
        trained.set_params(**{f"{prefix}classes": columns} | _soft_criterion(net, prefix))
    with torch_seed(mix_seed(seed, "student", data_digest(X, proba))):
        trained.fit(X, target)
    skorch.check_trained_to_the_end([net])
    # skorch stores the distinct labels of training, which are the soft labels of private rows.
    skorch.final_estimator(trained).classes_inferred_ = np.arange(len(classes))
    return trained


def student_proba(student, X, n_classes):
    """Return the probabilities of a student.

    Parameters
    ----------
    student : classifier or regressor
        From :func:`distill`.
    X : array-like of shape (n, ...)
        Rows.
    n_classes : int
        Number of classes.

    Returns
    -------
    proba : ndarray of shape (n, n_classes)
    """
    if is_regressor(student):
        proba = student.predict(skorch.as_nets_take(student, X))
    else:
        columns = skorch.declared_classes(student)
        proba = FittedClassifier(student, student.classes_ if columns is None else columns).predict_proba(X)
        if proba.shape[1] == n_classes:
            return proba
    proba = np.clip(proba[:, :n_classes], _FLOOR, None)
    return proba / proba.sum(axis=1, keepdims=True)


def _soft_criterion(net, prefix):
    criterion = net.criterion
    if isinstance(criterion, nn.NLLLoss):
        return {f"{prefix}criterion": SoftNLLLoss, f"{prefix}criterion__weight": criterion.weight}
    is_nll = isinstance(criterion, type) and issubclass(criterion, nn.NLLLoss)
    return {f"{prefix}criterion": SoftNLLLoss} if is_nll else {}


def _distill_by_weights(trained, X, proba, classes):
    n, n_classes = proba.shape
    rows, columns = np.repeat(np.arange(n), n_classes), np.tile(np.arange(n_classes), n)
    # Rows of weight 0 stay, so that transformers in a pipeline get every row equally often.
    repeated = safe_indexing(X, rows) if is_frame(X) else np.asarray(X)[rows]
    with config_context(enable_metadata_routing=False):
        return trained.fit(repeated, classes[columns], **{_weight_name(trained): proba.ravel()})


def _weight_name(estimator):
    """Return the name of the parameter that passes weights to the final classifier, or None."""
    if isinstance(estimator, Pipeline):
        name, final = estimator.steps[-1]
        inner = _weight_name(final)
        return None if inner is None else f"{name}__{inner}"
    return "sample_weight" if has_fit_parameter(estimator, "sample_weight") else None

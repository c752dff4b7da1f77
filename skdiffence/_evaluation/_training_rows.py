"""How many rows a fitted estimator was trained on, where its fitted state tells."""

from numbers import Integral

from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import AdaBoostClassifier, GradientBoostingClassifier, HistGradientBoostingClassifier
from sklearn.linear_model import Perceptron, SGDClassifier
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    LeaveOneGroupOut,
    LeaveOneOut,
    StratifiedGroupKFold,
    StratifiedKFold,
)
from sklearn.neural_network import MLPClassifier
from sklearn.tree import BaseDecisionTree
from skorch import NeuralNet

from skdiffence._evaluation._parts import children, fitted_parts

# Each row is in exactly one test set of theirs.
_PARTITIONS = (Integral, KFold, StratifiedKFold, GroupKFold, StratifiedGroupKFold, LeaveOneOut, LeaveOneGroupOut)


def _of_calibrated(estimator):
    counts = [n_training_rows(child) for child, _ in children(estimator)]
    if len(counts) == 1 or None in counts:
        return counts[0] if len(counts) == 1 else None
    if not (estimator.cv is None or isinstance(estimator.cv, _PARTITIONS)):
        return None  # repeated and random splits hold a row out more than once or never
    if any(len(getattr(part, "not_trained_on_", ())) for part, _ in fitted_parts(estimator)):
        return None  # what one fold's classifier held out, another's was trained on
    # Each of the k classifiers was trained on all rows but a k-th.
    return sum(counts) / (len(counts) - 1)


def _of_net(net):
    if hasattr(net, "n_samples_fit_"):
        return net.n_samples_fit_
    if getattr(net, "iterator_train__drop_last", False) or not len(net.history):
        return None
    return sum(batch["train_batch_size"] for batch in net.history[0]["batches"] if "train_batch_size" in batch) or None


def _of_mlp(mlp):
    # t_ counts the rows seen in all epochs.
    return None if mlp.solver == "lbfgs" else mlp.t_ / mlp.n_iter_


def _of_gradient_boosting(boosting):
    return _of_tree(boosting.estimators_[0, 0]) if boosting.subsample == 1 else None


def _of_tree(tree):
    return int(tree.tree_.n_node_samples[0])


# The first entry whose type fits is asked. Reading fitted state that a future scikit-learn no longer has gives
# None, "can't be told", which is said in a warning.
_BY_TYPE = (
    (CalibratedClassifierCV, _of_calibrated),
    (NeuralNet, _of_net),
    (BaseDecisionTree, _of_tree),
    (AdaBoostClassifier, lambda boosting: n_training_rows(boosting.estimators_[0])),
    (GradientBoostingClassifier, _of_gradient_boosting),
    (HistGradientBoostingClassifier, lambda boosting: int(boosting._predictors[0][0].nodes["count"][0])),
    (MLPClassifier, _of_mlp),
    ((SGDClassifier, Perceptron), lambda linear: (linear.t_ - 1) / linear.n_iter_),
)
# Own classifiers and neighbors; forests and bagging; support vector machines; label spreading.
_BY_ATTRIBUTE = (
    ("n_samples_fit_", lambda count: count),
    ("_n_samples", lambda count: count),
    ("shape_fit_", lambda shape: shape[0]),
    ("X_", lambda rows: rows.shape[0]),
)


def n_training_rows(estimator):
    """Return how many rows an estimator was trained on.

    Parameters
    ----------
    estimator : estimator
        A fitted estimator; pipelines, searches and wrappers are looked through.

    Returns
    -------
    n_rows : int or None
        None where its fitted state does not tell.
    """
    count = _read_count(estimator)
    if count is not None:
        return int(count) if count == int(count) else None
    if isinstance(estimator, CalibratedClassifierCV):
        return None
    counts = (n_training_rows(child) for child, _ in children(estimator))
    return next((count for count in counts if count is not None), None)


def _read_count(estimator):
    try:
        for types, reader in _BY_TYPE:
            if isinstance(estimator, types):
                return reader(estimator)
        for name, reader in _BY_ATTRIBUTE:
            if hasattr(estimator, name):
                return reader(getattr(estimator, name))
    except (AttributeError, IndexError, KeyError, TypeError, ZeroDivisionError):
        return None
    return None


def unrecorded_hold_out(estimator):
    """Say which part of an estimator kept rows out of its training without telling which.

    Parameters
    ----------
    estimator : estimator
        A fitted estimator; pipelines, searches and wrappers are looked through.

    Returns
    -------
    reason : str or None
        The part's class and the parameter that made it hold rows out; None if no part did.
    """
    for part, _ in fitted_parts(estimator):
        if (setting := _hold_out_setting(part)) is not None:
            return f"{type(part).__name__}({setting})"
    return None


def _hold_out_setting(part):
    if getattr(part, "validation_fraction", None) is None:
        return None  # stops by the training loss, or never
    stops = getattr(part, "do_early_stopping_", getattr(part, "early_stopping", False))
    if stops is True:
        return f"early_stopping={part.early_stopping!r}"
    patience = getattr(part, "n_iter_no_change", None)
    # Where there is no early_stopping parameter, a patience turns it on.
    if not hasattr(part, "early_stopping") and isinstance(patience, Integral):
        return f"n_iter_no_change={patience}"
    return None

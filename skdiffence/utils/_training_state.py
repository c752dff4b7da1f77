"""What the fitted state of a single classifier of scikit-learn or skorch tells about the rows that trained it."""

from numbers import Integral

from sklearn.ensemble import AdaBoostClassifier, GradientBoostingClassifier, HistGradientBoostingClassifier
from sklearn.linear_model import Perceptron, SGDClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.tree import BaseDecisionTree
from skorch import NeuralNet


def n_samples_seen(estimator):
    """Return the number of rows that a classifier was fitted to.

    Parameters
    ----------
    estimator : classifier
        Fitted.

    Returns
    -------
    n_samples : int, float or None
        Float where it is the mean over epochs. None if the fitted state does not tell.
    """
    try:
        for types, read in _BY_TYPE:
            if isinstance(estimator, types):
                return read(estimator)
        for name, read in _BY_ATTRIBUTE:
            if hasattr(estimator, name):
                return read(getattr(estimator, name))
    except (AttributeError, IndexError, KeyError, TypeError, ZeroDivisionError):
        return None  # fitted state that this version of scikit-learn does not have
    return None


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


# The first entry whose type fits is read.
_BY_TYPE = (
    (NeuralNet, _of_net),
    (BaseDecisionTree, _of_tree),
    (AdaBoostClassifier, lambda boosting: n_samples_seen(boosting.estimators_[0])),
    (GradientBoostingClassifier, _of_gradient_boosting),
    (HistGradientBoostingClassifier, lambda boosting: int(boosting._predictors[0][0].nodes["count"][0])),
    (MLPClassifier, _of_mlp),
    ((SGDClassifier, Perceptron), lambda linear: (linear.t_ - 1) / linear.n_iter_),
)
# Classifiers of ours and neighbors; forests and bagging; support vector machines; label spreading.
_BY_ATTRIBUTE = (
    ("n_samples_fit_", lambda count: count),
    ("_n_samples", lambda count: count),
    ("shape_fit_", lambda shape: shape[0]),
    ("X_", lambda rows: rows.shape[0]),
)


def early_stopping_setting(estimator):
    """Return the parameter that made a classifier hold out a validation split for early stopping.

    Parameters
    ----------
    estimator : classifier
        Fitted.

    Returns
    -------
    setting : str or None
        As ``name=value``; None if it held out nothing.
    """
    if getattr(estimator, "validation_fraction", None) is None:
        return None  # stops by the training loss, or never
    stops = getattr(estimator, "do_early_stopping_", getattr(estimator, "early_stopping", False))
    if stops is True:
        return f"early_stopping={estimator.early_stopping!r}"
    patience = getattr(estimator, "n_iter_no_change", None)
    # Without an early_stopping parameter, n_iter_no_change turns it on.
    if not hasattr(estimator, "early_stopping") and isinstance(patience, Integral):
        return f"n_iter_no_change={patience}"
    return None

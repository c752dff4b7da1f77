"""Baselines: coarser probabilities with the label kept."""

from numbers import Integral, Real

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import softmax
from sklearn.utils.validation import check_is_fitted

from skdiffence.defenses.output._base import OutputDefense
from skdiffence.utils._sklearn import HasMethods, Interval, StrOptions

# Bounds of the calibrated temperature.
_TEMPERATURES = (0.05, 50.0)


class OutputClassifier(OutputDefense):
    """Coarsen the predicted probabilities: the usual baselines of output defenses.

    The predicted label of a row is always the wrapped classifier's. Its probabilities are rounded, scaled by a
    temperature, cut to the largest ones, or replaced by one confidence for all rows.

    Read more in the :ref:`User Guide <output_defenses>`.

    Parameters
    ----------
    estimator : classifier
        With ``predict`` and ``predict_proba``. ``FrozenEstimator(net)`` is not trained again.
    output : {"round", "temperature", "top_k", "label"}, default="round"
        How probabilities are modified. "round": rounded to ``decimals`` digits, with a sum of 1. "temperature": the
        softmax of the log-probabilities divided by ``temperature``. "top_k": the ``k`` largest probabilities, and equal
        shares of the rest. "label": the label with ``confidence``, and equal shares of the rest.
    decimals : int, default=1
        Number of digits for "round".
    temperature : float or None, default=None
        Temperature for "temperature"; above 1 it flattens. None minimizes the cross-entropy of held-out rows.
    k : int, default=1
        Number of probabilities that "top_k" keeps.
    confidence : float or None, default=None
        Confidence for "label", in (0, 1]. None is the accuracy on held-out rows, with one correct and one incorrect row
        added.
    calibration_size : float, default=0.1
        Share of the rows held out to fit the temperature or the confidence, in (0, 1). Not used if neither is fitted,
        or if ``is_member`` is given to ``fit``.
    random_state : int, RandomState instance or None, default=None
        Seeds training and which rows are held out.

    Attributes
    ----------
    undefended_ : DefendedClassifier
        The fitted classifier with its undefended probabilities.
    temperature_ : float
        The fitted temperature, if there is one.
    confidence_ : float
        The fitted confidence, if there is one.
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted, in the order of the columns of ``predict_proba``.
    n_features_in_ : int
        Number of features, or of channels of images.
    feature_names_in_ : ndarray of shape (n_features,)
        Column names, where X was a frame with names.
    n_samples_fit_ : int or None
        Number of rows that trained the classifier; None if it is frozen.
    not_trained_on_ : RowSet
        Keyed digests of rows given to ``fit`` that did not train it.
    calibrated_on_ : RowSet
        Keyed digests of the calibration rows.

    See Also
    --------
    MemGuardClassifier : Adds noise optimized against an attack.
    DefendedClassifier : Computes probabilities on regenerated inputs.

    Notes
    -----
    It costs one call of the classifier for each row, or two if its ``predict`` is not the argmax of its
    ``predict_proba``.

    With two classes a fixed temperature keeps the ranking of confidences, so that threshold attacks are not affected.
    "label" leaks what labels leak, which is the floor of every defense that keeps labels.

    If the classifier's label is not the argmax of its probabilities, as for SVC, the two probabilities are exchanged.

    References
    ----------
    Shokri, Stronati, Song and Shmatikov, "Membership inference attacks against machine learning models", S&P 2017,
    section VIII, on rounding, top-k and temperature.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> from skdiffence.defenses import OutputClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> forest = RandomForestClassifier(20, random_state=0)
    >>> coarse = OutputClassifier(forest, "round", decimals=1).fit(X[:300], y[:300])
    >>> coarse.predict_proba(X[300:301]).tolist()
    [[0.0, 0.0, 0.1, 0.1, 0.1, 0.0, 0.0, 0.6, 0.1, 0.0]]
    >>> bool((coarse.predict(X) == coarse.estimator_.predict(X)).all())
    True
    """

    _parameter_constraints: dict = {
        "estimator": [HasMethods(["fit", "predict", "predict_proba"])],
        "output": [StrOptions({"round", "temperature", "top_k", "label"})],
        "decimals": [Interval(Integral, 0, 12, closed="both")],
        "temperature": [Interval(Real, 0, None, closed="neither"), None],
        "k": [Interval(Integral, 1, None, closed="left")],
        "confidence": [Interval(Real, 0, 1, closed="right"), None],
        "calibration_size": [Interval(Real, 0, 1, closed="neither")],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        estimator,
        output="round",
        *,
        decimals=1,
        temperature=None,
        k=1,
        confidence=None,
        calibration_size=0.1,
        random_state=None,
    ):
        self.estimator = estimator
        self.output = output
        self.decimals = decimals
        self.temperature = temperature
        self.k = k
        self.confidence = confidence
        self.calibration_size = calibration_size
        self.random_state = random_state

    def _share_to_calibrate(self):
        measured = {"temperature": self.temperature is None, "label": self.confidence is None}
        return self.calibration_size if measured.get(self.output, False) else 0.0

    def _calibrate(self, members, non_members, seed):
        proba, columns = non_members
        if self.output == "label":
            # Laplace's rule: with a confidence of exactly 1 an incorrect label would have infinite log loss.
            self.confidence_ = float((np.sum(proba.argmax(axis=1) == columns) + 1) / (len(columns) + 2))
        else:
            self.temperature_ = calibrated_temperature(proba[columns >= 0], columns[columns >= 0])

    def _change(self, proba, X):
        if self.output == "round":
            return round_to_sum(proba, self.decimals)
        if self.output == "temperature":
            return heat(proba, self._given_or_fitted("temperature"))
        if self.output == "top_k":
            return keep_top(proba, self.k)
        confidence = max(self._given_or_fitted("confidence"), 1 / proba.shape[1])
        return with_confidence(proba.argmax(axis=1), confidence, proba.shape[1])

    def _given_or_fitted(self, name):
        if (given := getattr(self, name)) is not None:
            return given
        # A parameter may have been changed after fit.
        msg = f"output={self.output!r} with {name}=None needs a {name} that fit has not measured. Call fit again."
        check_is_fitted(self, f"{name}_", msg=msg)
        return getattr(self, f"{name}_")


def round_to_sum(proba, decimals):
    """Round each row with a sum of 1, by the largest remainder method.

    Parameters
    ----------
    proba : ndarray of shape (n, n_classes)
        Probabilities.
    decimals : int
        Digits to keep.

    Returns
    -------
    rounded : ndarray of shape (n, n_classes)
        A larger probability is never rounded below a smaller one of the same row.
    """
    units = 10**decimals
    # Rows of float32 do not sum to exactly 1.
    scaled = units * proba / proba.sum(axis=1, keepdims=True)
    # A product just below a whole number, by rounding, is that number.
    whole = np.floor(scaled + 1e-9)
    order = np.argsort(whole - scaled, axis=1, kind="stable")
    missing = np.rint(units - whole.sum(axis=1)).astype(int)
    extra = np.arange(proba.shape[1]) < missing[:, None]
    np.put_along_axis(whole, order, np.take_along_axis(whole, order, axis=1) + extra, axis=1)
    return whole / units


def heat(proba, temperature):
    """Return the softmax of log-probabilities divided by a temperature.

    Parameters
    ----------
    proba : ndarray of shape (n, n_classes)
        Probabilities; zeros stay zeros.
    temperature : float
        Above 0.

    Returns
    -------
    heated : ndarray of shape (n, n_classes)
    """
    with np.errstate(divide="ignore", over="ignore"):
        # The largest of a row is 0, so that no temperature makes all of them infinite.
        return softmax(np.log(proba / proba.max(axis=1, keepdims=True)) / temperature, axis=1)


def calibrated_temperature(proba, columns):
    """Return the temperature that minimizes the cross-entropy.

    Parameters
    ----------
    proba : ndarray of shape (n, n_classes)
        Probabilities.
    columns : ndarray of shape (n,)
        True labels.

    Returns
    -------
    temperature : float
        Between 0.05 and 50.
    """
    if not len(columns):
        return 1.0
    logits = np.log(np.maximum(proba, np.finfo(np.float64).tiny))
    rows = np.arange(len(columns))

    def loss(log_temperature):
        heated = softmax(logits / np.exp(log_temperature), axis=1)[rows, columns]
        return -np.log(np.maximum(heated, np.finfo(np.float64).tiny)).mean()

    return float(np.exp(minimize_scalar(loss, bounds=np.log(_TEMPERATURES), method="bounded").x))


def keep_top(proba, k):
    """Return the largest probabilities of each row, and equal shares of the rest.

    Parameters
    ----------
    proba : ndarray of shape (n, n_classes)
        Probabilities.
    k : int
        Number of probabilities to keep; of equal ones the first.

    Returns
    -------
    cut : ndarray of shape (n, n_classes)
    """
    cut = proba.copy()
    others = np.argsort(-proba, axis=1, kind="stable")[:, k:]
    if others.shape[1]:
        rest = np.take_along_axis(proba, others, axis=1).mean(axis=1, keepdims=True)
        np.put_along_axis(cut, others, np.broadcast_to(rest, others.shape), axis=1)
    return cut


def with_confidence(labels, confidence, n_classes):
    """Return probabilities with a given confidence in each label, and equal shares of the rest on the other classes.

    Parameters
    ----------
    labels : ndarray of shape (n,)
        Column indices.
    confidence : float or ndarray of shape (n,)
        In [1 / n_classes, 1].
    n_classes : int
        Number of columns.

    Returns
    -------
    proba : ndarray of shape (n, n_classes)
    """
    confidence = np.broadcast_to(confidence, len(labels))
    proba = np.repeat((1 - confidence)[:, None] / max(n_classes - 1, 1), n_classes, axis=1)
    proba[np.arange(len(labels)), labels] = confidence
    return proba

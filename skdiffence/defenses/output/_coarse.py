"""Baselines: answers made coarser, with the label kept."""

from numbers import Integral, Real

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import softmax

from skdiffence.defenses.output._base import OutputDefense
from skdiffence.utils._sklearn import HasMethods, Interval, StrOptions

# The temperatures among which the calibrated one is sought.
_TEMPERATURES = (0.05, 50.0)


class OutputClassifier(OutputDefense):
    """Answer less than the wrapped classifier knows: the usual baselines of output-time defenses.

    The label of a row is the wrapped classifier's, always; its probabilities are rounded, flattened, cut to the
    largest ones, or replaced by one confidence for all rows.

    Read more in the :ref:`User Guide <output_defenses>`.

    Parameters
    ----------
    estimator : classifier
        With ``predict`` and ``predict_proba``. ``FrozenEstimator(net)`` is not trained again.
    output : {"round", "temperature", "top_k", "label"}, default="round"
        What is answered. "round": probabilities of ``decimals`` digits that sum to 1. "temperature": the softmax of
        the log-probabilities divided by ``temperature``. "top_k": the ``k`` largest probabilities, and equal shares of
        the rest. "label": the label with ``confidence``, and equal shares of the rest.
    decimals : int, default=1
        Digits of "round".
    temperature : float or None, default=None
        Of "temperature"; above 1 flattens. None minimizes the cross-entropy of held-out rows.
    k : int, default=1
        Entries that "top_k" keeps.
    confidence : float or None, default=None
        Of "label", in (0, 1]. None is the accuracy on held-out rows, with one error and one hit added.
    calibration_size : float, default=0.1
        Share of the rows held out to measure what is None, in (0, 1); not used where nothing is, or where ``fit`` is
        told ``is_member``.
    random_state : int, RandomState instance or None, default=None
        Seeds training and which rows are held out.

    Attributes
    ----------
    undefended_ : DefendedClassifier
        The fitted classifier as it answers without this.
    temperature_ : float
        In force; under "temperature" only.
    confidence_ : float
        In force; under "label" only.
    classes_ : ndarray of shape (n_classes,)
        The labels.
    n_features_in_ : int
        Number of features, or of channels of images.
    feature_names_in_ : ndarray of shape (n_features,)
        Column names, where X was a frame with names.
    n_samples_fit_ : int or None
        Number of rows that trained the classifier; None where it is frozen.
    not_trained_on_ : RowSet
        Keyed digests of rows given to ``fit`` that did not train it.
    calibrated_on_ : RowSet
        Keyed digests of rows that the temperature or the confidence was measured on.

    See Also
    --------
    MemGuardClassifier : Changes answers so that an attack can't read them.
    DefendedClassifier : Answers on regenerated inputs.

    Notes
    -----
    Costs no call beyond the classifier's own: one a row, two where its ``predict`` is not the argmax of its
    ``predict_proba``.

    A fixed temperature keeps the order of answers of two classes, so that attacks which only rank confidences lose
    nothing there. "label" leaves what labels tell, which is the floor for every defense that keeps labels.

    Where the classifier's own argmax is not its label, as SVC's, the two entries change places.

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
            # Laplace's rule: a confidence of exactly 1 would make every error infinitely costly.
            self.confidence_ = float((np.sum(proba.argmax(axis=1) == columns) + 1) / (len(columns) + 2))
        else:
            self.temperature_ = calibrated_temperature(proba[columns >= 0], columns[columns >= 0])

    def _change(self, proba, X):
        if self.output == "round":
            return round_to_sum(proba, self.decimals)
        if self.output == "temperature":
            return heat(proba, self.temperature_ if self.temperature is None else self.temperature)
        if self.output == "top_k":
            return keep_top(proba, self.k)
        confidence = self.confidence_ if self.confidence is None else self.confidence
        return with_confidence(proba.argmax(axis=1), max(confidence, 1 / proba.shape[1]), proba.shape[1])


def round_to_sum(proba, decimals):
    """Round each row so that it still sums to 1: digits are cut, and what is missing goes to the largest rests.

    Parameters
    ----------
    proba : ndarray of shape (n, n_classes)
        Probabilities.
    decimals : int
        Digits to keep.

    Returns
    -------
    rounded : ndarray of shape (n, n_classes)
        In each row, a larger entry is never rounded below a smaller one.
    """
    units = 10**decimals
    # Rows of float32 sum to 1 but nearly.
    scaled = units * proba / proba.sum(axis=1, keepdims=True)
    # A product a hair below a whole number is that number.
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
    with np.errstate(divide="ignore"):
        return softmax(np.log(proba) / temperature, axis=1)


def calibrated_temperature(proba, columns):
    """Return the temperature of least cross-entropy.

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
    """Keep the largest entries of each row and share out the rest equally.

    Parameters
    ----------
    proba : ndarray of shape (n, n_classes)
        Probabilities.
    k : int
        Entries to keep; of equal ones the first.

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

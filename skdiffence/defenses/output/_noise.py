"""Output noise: a random confidence around the classifier's own."""

from numbers import Real

import numpy as np
from scipy.special import expit
from scipy.stats import norm

from skdiffence.defenses.output._base import OutputDefense
from skdiffence.defenses.output._coarse import with_confidence
from skdiffence.metrics import logit_signal
from skdiffence.utils._rows import row_digests
from skdiffence.utils._secret import SecretParameter
from skdiffence.utils._sklearn import HasMethods, Interval

# Distance of confidences from 1 and from an equal share, at which the label would not be the largest any more.
_CLEAR = 1e-6
_LONGEST_KEY = 64  # of BLAKE2b


class OutputNoiseClassifier(OutputDefense):
    """Add normal noise to the logit of the predicted label's confidence.

    The label of a row is always the wrapped classifier's; the other classes get equal shares of the rest. The noise is
    a function of the row under a key, so that repeated queries cannot average it away.

    Read more in the :ref:`User Guide <output_defenses>`.

    Parameters
    ----------
    estimator : classifier
        With ``predict`` and ``predict_proba``. ``FrozenEstimator(net)`` is not trained again.
    scale : float, default=4.0
        Standard deviation of the noise, in logits.
    key : bytes or None, default=None
        Key of the noise, of 1 to 64 bytes. It is stored in a wrapper that is never printed. None draws one from
        ``random_state``.
    random_state : int, RandomState instance or None, default=None
        Seeds training and the key. From an integer the noise can be computed.

    Attributes
    ----------
    undefended_ : DefendedClassifier
        The fitted classifier with its undefended answers.
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

    See Also
    --------
    OutputClassifier : Coarser probabilities.
    MemGuardClassifier : Noise optimized against an attack.

    Notes
    -----
    It costs one call of the classifier for each row, or two if its ``predict`` is not the argmax of its
    ``predict_proba``. It is a baseline: the noise hides membership and, to the same degree, what confidence tells about
    correctness. Near-duplicates of a row get independent noise.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skdiffence.defenses import OutputNoiseClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> noisy = OutputNoiseClassifier(LogisticRegression(max_iter=1000), random_state=0).fit(X[:300], y[:300])
    >>> bool((noisy.predict(X) == noisy.estimator_.predict(X)).all())
    True
    >>> bool((noisy.predict_proba(X[:50]) == noisy.predict_proba(X[:50])).all())
    True
    """

    _parameter_constraints: dict = {
        "estimator": [HasMethods(["fit", "predict", "predict_proba"])],
        "scale": [Interval(Real, 0, None, closed="left")],
        "key": "no_validation",  # by its descriptor, which does not print it
        "random_state": ["random_state"],
    }

    key = SecretParameter()

    def __init__(self, estimator, *, scale=4.0, key=None, random_state=None):
        self.estimator = estimator
        self.scale = scale
        self.key = key
        self.random_state = random_state

    def _check_params(self):
        self._given_key()

    def _given_key(self):
        return type(self).key.check(self, (bytes,), longest=_LONGEST_KEY)

    def _change(self, proba, X):
        n_classes = proba.shape[1]
        labels = proba.argmax(axis=1)
        key = self._given_key()
        noise = normal_of_rows(X, self.key_ if key is None else key)
        confidence = expit(logit_signal(labels, proba) + self.scale * noise)
        return with_confidence(labels, np.clip(confidence, 1 / n_classes + _CLEAR, 1 - _CLEAR), n_classes)


def normal_of_rows(X, key):
    """Return a standard normal number for each row, a keyed hash of its content.

    Parameters
    ----------
    X : array-like of shape (n, ...)
        Rows.
    key : bytes
        Key of the hash.

    Returns
    -------
    normal : ndarray of shape (n,)
        Between -8 and 8.
    """
    words = row_digests(X, key, as_float32=True).view("<u8").reshape(-1, 2)[:, 0]
    return norm.ppf((words.astype(np.float64) + 0.5) / 2.0**64).clip(-8, 8)

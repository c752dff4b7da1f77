"""Test-time augmentation: answers averaged over views of the input."""

from numbers import Integral

from skdiffence.defenses._classifier import put_label_on_top
from skdiffence.defenses.output._base import OutputDefense
from skdiffence.utils._sklearn import HasMethods, Interval, StrOptions
from skdiffence.utils._views import check_images, further_views


class AugmentedClassifier(OutputDefense):
    """Average the predicted probabilities over flips and shifts of the input.

    The label of a row is always the wrapped classifier's: where the largest mean probability is another class's, the
    two are exchanged. A classifier that was trained without augmentation can be surer of the exact pixels that it was
    trained on than of their mirror image or of a copy that is shifted by one pixel. A classifier that was trained on
    these very views has learned them too, and is not defended by them.

    Read more in the :ref:`User Guide <augmented_answers>`.

    Parameters
    ----------
    estimator : classifier
        With ``predict`` and ``predict_proba``. ``FrozenEstimator(net)`` is not trained again.
    views : {"flips", "shifts", "flips+shifts"} or callable, default="flips+shifts"
        Views of images besides the image itself: 1, 8 or 17 of them. "flips" is horizontal. A callable takes X, a block
        of its rows at a time, and returns a list of arrays, each with one row for each of them; it makes the class
        usable for other inputs. It must treat every row by itself.
    shift : int, default=1
        Number of pixels of a shift.
    random_state : int, RandomState instance or None, default=None
        Seeds training.

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
    MeanRule : The average over regenerations, which no training has seen.

    Notes
    -----
    It costs one call of the classifier for each view, and no denoiser. Nothing is secret: whoever asks about shifted
    copies of a row learns the averages around it. It can be wrapped in a
    :class:`~skdiffence.defenses.DefendedClassifier`, whose candidates are then averaged over views as well.

    Test-time augmentation is known as a means to better predictions [1]_. Here it is a baseline that a defense by
    regeneration should be compared with. On photographs, for three classifiers that were trained without
    augmentation, it was the better defense (:ref:`measurements <frontier>`).

    References
    ----------
    .. [1] Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional neural networks",
       NeurIPS 2012, section 4.1.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skorch import NeuralNetClassifier
    >>> from torch import nn
    >>> from skdiffence.defenses import AugmentedClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> X = X.reshape(-1, 1, 8, 8).astype("float32") / 16
    >>> class Net(nn.Sequential):
    ...     def __init__(self):
    ...         super().__init__(nn.Flatten(), nn.Linear(64, 10))
    >>> net = NeuralNetClassifier(Net, criterion=nn.CrossEntropyLoss, max_epochs=5, verbose=0)
    >>> augmented = AugmentedClassifier(net, "shifts", random_state=0).fit(X[:300], y[:300])
    >>> bool((augmented.predict(X) == augmented.estimator_.predict(X)).all())
    True
    """

    _parameter_constraints: dict = {
        "estimator": [HasMethods(["fit", "predict", "predict_proba"])],
        "views": [StrOptions({"flips", "shifts", "flips+shifts"}), callable],
        "shift": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
    }

    def __init__(self, estimator, views="flips+shifts", *, shift=1, random_state=None):
        self.estimator = estimator
        self.views = views
        self.shift = shift
        self.random_state = random_state

    def _check_fit_data(self, X, y):
        X, y = super()._check_fit_data(X, y)
        if isinstance(self.views, str):
            check_images(X)
        return X, y

    def _change(self, proba, X):
        classifier, n_views = self._classifier(), 1
        labels, total = proba.argmax(axis=1), proba.copy()
        for view in further_views(X, queries=self.views, shift=self.shift, name="views"):
            total += classifier.predict_proba(view)
            n_views += 1
        return put_label_on_top(total / n_views, labels)

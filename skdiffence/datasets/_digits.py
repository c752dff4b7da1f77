"""scikit-learn's handwritten digits as images."""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.utils import Bunch


def load_digit_images():
    """Load the handwritten digits that ship with scikit-learn as images.

    Nothing is downloaded.

    Returns
    -------
    digits : Bunch
        ``data`` of shape (1797, 1, 8, 8), dtype float32, in [0, 1]; ``target`` of shape (1797,), dtype int64.

    Examples
    --------
    >>> from skdiffence.datasets import load_digit_images
    >>> load_digit_images().data.shape
    (1797, 1, 8, 8)
    """
    digits = load_digits()
    images = digits.images[:, None] / 16.0
    return Bunch(data=images.astype(np.float32), target=digits.target.astype(np.int64))

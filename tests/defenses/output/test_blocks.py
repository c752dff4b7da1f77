"""Large inputs: output defenses answer a block of rows at a time, and the same whatever its size."""

import tracemalloc

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.frozen import FrozenEstimator

from skdiffence.defenses import AugmentedClassifier, _classifier
from skdiffence.utils import _blocks
from tests.defenses.cases import digits
from tests.defenses.test_wrappers import OUTPUT

BLOCK = 16


class Brightness(ClassifierMixin, BaseEstimator):
    """Tells dark images from bright ones, and remembers the largest number of rows of a call."""

    largest = 0

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X):
        Brightness.largest = max(Brightness.largest, len(X))
        bright = np.clip(X[:, :, 1:].mean(axis=(1, 2, 3), dtype=np.float64), 0.01, 0.99)
        return np.column_stack([1 - bright, bright])

    def predict(self, X):
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


def all_views(estimator):
    """Return a defense that answers 18 views of each image."""
    return AugmentedClassifier(estimator)


@pytest.mark.parametrize("make", [*OUTPUT, all_views])
def test_blocks_change_no_answer(make, monkeypatch):
    """No more than a block of rows reaches the network, or is changed, at once."""
    X, y = digits("images")
    X, y = X - X.mean() + 0.5, y % 2
    defense, changed = make(Brightness()).fit(X, y), []
    change = type(defense)._change
    monkeypatch.setattr(type(defense), "_change", lambda *args: (changed.append(len(args[2])), change(*args))[1])
    Brightness.largest = 0
    whole = defense.predict_proba(X)
    assert changed == [len(X)] == [Brightness.largest]
    monkeypatch.setattr(_blocks, "BLOCK_BYTES", 1)
    monkeypatch.setattr(_classifier, "_BLOCK_ROWS", BLOCK)
    Brightness.largest = 0
    np.testing.assert_allclose(defense.predict_proba(X), whole, rtol=1e-9)
    assert changed[1:] == len(X) // BLOCK * [BLOCK] and Brightness.largest == BLOCK


def test_views_of_a_file_are_never_made_of_all_rows(monkeypatch, tmp_path):
    """Memory is that of some views of a block, not of the file, though a callable returns its views all at once."""
    with open(tmp_path / "rows", "wb") as rows:
        rows.truncate(2**24)  # zeros, which take no space
    X = np.memmap(tmp_path / "rows", dtype=np.uint8, mode="r").reshape(-1, 1, 64, 64)
    monkeypatch.setattr(_blocks, "BLOCK_BYTES", 2**20)
    few = X[:2]
    for views in ("shifts", lambda rows: [rows.copy() for _ in range(4)]):
        augmented = AugmentedClassifier(FrozenEstimator(Brightness().fit(few, [0, 1])), views).fit(few, [0, 1])
        tracemalloc.start()
        proba = augmented.predict_proba(X)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        np.testing.assert_allclose(proba[:, 0], 0.99)
        assert peak < 2**23 < X.nbytes

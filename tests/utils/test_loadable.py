"""Rows in the form that a net loads fastest: the same answers, and only where nothing of the net's own is bypassed."""

import numpy as np
import pytest
import torch
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch import NeuralNetClassifier
from skorch.dataset import Dataset

from skdiffence.utils._skorch import Rows, loadable
from tests.nets import MLP, make_binary_net, make_net

X = np.random.default_rng(0).normal(size=(70, 2)).astype(np.float32)
Y = np.arange(70) % 2


class OwnDataset(Dataset):
    """Doubles the inputs on the way."""

    def transform(self, X, y):
        """Double X."""
        X, y = super().transform(X, y)
        return 2 * X, y


class OwnAnswers(NeuralNetClassifier):
    """Answers in its own way."""

    def predict_proba(self, X):
        """Look at the rows first."""
        return super().predict_proba(X - X.mean())


def _fitted(net):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return net.fit(X, Y.astype(np.float32) if "Binary" in type(net).__name__ else Y)


@pytest.mark.parametrize("make", [lambda: make_net(module__n_features=2), make_binary_net])
@pytest.mark.parametrize("batch_size", [1, 32, -1])
def test_same_answers(make, batch_size):
    """A net answers the same bits on loadable rows as on the array, in any batches, frozen or not."""
    net = _fitted(make()).set_params(batch_size=batch_size)
    for estimator in (net, FrozenEstimator(net)):
        rows = loadable(estimator, X)
        assert isinstance(rows, Rows) and len(rows) == 70
        np.testing.assert_array_equal(estimator.predict_proba(rows), net.predict_proba(X))
        np.testing.assert_array_equal(estimator.predict(rows), net.predict(X))


def test_read_only_rows():
    """Rows that can't be written to are taken without a warning."""
    frozen = X.copy()
    frozen.flags.writeable = False
    assert torch.equal(loadable(_fitted(make_net(module__n_features=2)), frozen)[3][0], torch.from_numpy(X[3]))


@pytest.mark.parametrize("turned", [X[::-1], X[:, ::-1], X[::-1, ::-1]], ids=["rows", "columns", "both"])
def test_rows_that_run_backwards(turned):
    """Views in reverse order, such as flipped images, are rows like others."""
    net = _fitted(make_net(module__n_features=2))
    np.testing.assert_array_equal(net.predict_proba(loadable(net, turned)), net.predict_proba(turned.copy()))


@pytest.mark.parametrize(
    "estimator",
    [
        LogisticRegression(),
        make_pipeline(StandardScaler(), make_net(module__n_features=2)),
        make_net(module__n_features=2, dataset=OwnDataset),
        make_net(module__n_features=2, iterator_valid__collate_fn=torch.utils.data.default_collate),
        OwnAnswers(MLP, module__n_features=2, train_split=None, verbose=0),
    ],
)
def test_own_ways_with_data_stay(estimator):
    """Pipelines, other estimators and nets with a way of their own get the array."""
    assert loadable(estimator, X) is X


def test_other_dtypes_stay():
    """Only float32 arrays are taken."""
    assert isinstance(loadable(make_net(), X.astype(np.float64)), np.ndarray)

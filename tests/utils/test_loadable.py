"""Rows in the form that a net loads fastest: the same answers, and only where nothing of the net's own is bypassed."""

import threading

import numpy as np
import pytest
import torch
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import RandomForestClassifier, VotingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch import NeuralNetClassifier
from skorch.dataset import Dataset

from skdiffence import DefendedClassifier, from_module
from skdiffence.defenses import RelaxLossClassifier
from skdiffence.utils._loading import Rows, loadable, with_own_loaders
from tests.nets import MLP, LogitMLP, make_binary_net, make_net

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


class OneDrawn(MLP):
    """Draws from the global generator while it answers, as another thread would in the middle of an answer."""

    drawn = []

    def forward(self, X):
        """Note a number."""
        if not self.training:
            type(self).drawn.append(torch.rand(()).item())
        return super().forward(X)


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


FORMS = {
    "net": lambda net: net,
    "frozen": FrozenEstimator,
    "pipeline": lambda net: make_pipeline(StandardScaler(), net),
    "calibrated": lambda net: CalibratedClassifierCV(net, cv=2),
    "vote": lambda net: VotingClassifier([("net", net), ("line", LogisticRegression())], voting="soft"),
    "search": lambda net: GridSearchCV(net, {"lr": [0.01]}, cv=2),
    "defended": lambda net: DefendedClassifier(net, "passthrough"),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("method", ["predict", "predict_proba"])
def test_generator_is_neither_moved_nor_turned_back(form, method):
    """While a net answers, draws of the global generator, as of another thread, go on as if it did not.

    Restoring the generator after an answer gave another thread the same numbers twice.
    """
    net = _fitted(make_net(OneDrawn, module__n_features=2, module__n_classes=2, max_epochs=1))
    defended = DefendedClassifier(FrozenEstimator(net) if form == "frozen" else FORMS[form](net), "passthrough")
    defended.fit(X, Y)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        alone = torch.rand(7).tolist()
        torch.manual_seed(0)
        OneDrawn.drawn = []
        drawn = []
        while len(drawn) < 7:
            getattr(defended, method)(X)
            drawn, OneDrawn.drawn = drawn + OneDrawn.drawn, []
    assert drawn[:7] == alone


def test_other_threads_never_draw_a_number_twice():
    """A second thread draws while nets inside defenses predict; no number comes twice."""
    defenses = [
        DefendedClassifier(make_net(module__n_features=2, module__n_classes=2), "passthrough").fit(X, Y),
        RelaxLossClassifier(LogitMLP, module__n_features=2, module__n_classes=2, max_epochs=1, verbose=0).fit(X, Y),
        from_module(LogitMLP(2, 2), 2),
    ]
    drawn, stop = [], threading.Event()

    def draw():
        while not stop.is_set():
            drawn.append(torch.randint(2**62, ()).item())

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        thread = threading.Thread(target=draw)
        thread.start()
        for _ in range(20):
            for classifier in defenses:
                classifier.predict_proba(X)
        stop.set()
        thread.join()
    assert len(drawn) > 100
    assert len(set(drawn)) == len(drawn)


def test_estimators_without_nets_are_not_copied():
    """A forest of many trees is the same object, and a copy of a net shares its weights."""
    forest = RandomForestClassifier(5).fit(X, Y)
    assert with_own_loaders(forest) is forest
    net = _fitted(make_net(module__n_features=2))
    assert with_own_loaders(net).module_ is net.module_
    assert "get_iterator" not in vars(net)

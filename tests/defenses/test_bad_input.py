"""What can't be used is refused at once, by name."""

import numpy as np
import pytest
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch import NeuralNet
from torch import nn

from tests.defenses.cases import defend, digits, fitted, half
from tests.nets import CNN, MLP, LogitMLP, make_binary_net, make_net


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["net", "pipeline", "image_net"])
def test_values_that_are_not_finite(name, value):
    """In fit and in every answer."""
    defended, X, y = fitted(name)
    X = np.array(X, dtype=float)
    X[3].flat[0] = value
    expected = "NaN" if np.isnan(value) else "infinity"
    with pytest.raises(ValueError, match=expected):
        defended.predict(X)
    with pytest.raises(ValueError, match=expected):
        defended.predict_proba(X)
    with pytest.raises(ValueError, match=expected):
        defend(make_net()).fit(X, y)


@pytest.mark.parametrize("method", ["predict", "predict_proba", "predict_log_proba", "select"])
def test_images_of_another_shape(method):
    """Channels are features to scikit-learn; height and width are ours to check."""
    defended, X, _ = fitted("image_net")
    with pytest.raises(ValueError, match="X has 3 features, but DefendedClassifier is expecting 1"):
        getattr(defended, method)(np.repeat(X, 3, axis=1))
    with pytest.raises(
        ValueError, match=r"rows of shape \(1, 8, 8\), as in fit. Got .* \(160, 1, 7, 8\)"
    ):
        getattr(defended, method)(X[:, :, 1:])


@pytest.mark.parametrize("shape", [(0, 64), (0, 1, 8, 8)])
def test_no_rows(shape):
    """An empty X."""
    with pytest.raises(ValueError, match="Found array with 0 sample"):
        defend(make_net()).fit(np.empty(shape), np.empty(0))
    defended, _, _ = fitted("net")
    with pytest.raises(ValueError, match="0 sample"):
        defended.predict_proba(np.empty((0, 64)))


def test_one_class():
    """A classifier needs two."""
    X, y = digits()
    with pytest.raises(ValueError, match="at least two classes. Got one class: 7"):
        defend(make_net()).fit(X, np.full(len(y), 7))


@pytest.mark.parametrize("method", ["predict", "predict_proba", "predict_log_proba", "select"])
def test_unfitted(method):
    """Nothing answers before fit."""
    with pytest.raises(ValueError, match="not fitted yet"):
        getattr(defend(make_net()), method)(digits()[0])


@pytest.mark.parametrize(
    ("params", "name"),
    [
        ({"selection": "best"}, "selection"),
        ({"selection": 3}, "selection"),
        ({"n_candidates": 0}, "n_candidates"),
        ({"n_candidates": 2.0}, "n_candidates"),
        ({"fallback": "zero"}, "fallback"),
        ({"search": "eager"}, "search"),
        ({"calibration_size": 1.0}, "calibration_size"),
        ({"calibration_size": -0.1}, "calibration_size"),
        ({"calibration_size": "half"}, "calibration_size"),
        ({"random_state": "seed"}, "random_state"),
        ({"verbose": -1}, "verbose"),
        ({"regenerator": "none"}, "regenerator"),
        ({"regenerator": StandardScaler()}, "regenerator"),
        ({"estimator": StandardScaler()}, "estimator"),
    ],
)
def test_parameters(params, name):
    """The message names the parameter and what is expected of it."""
    defended = defend(LogisticRegression()).set_params(**params)
    with pytest.raises(ValueError, match=f"The '{name}' parameter of DefendedClassifier must be"):
        defended.fit(*digits())


def test_labels_of_another_length():
    """X and y go together."""
    X, y = digits()
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        defend(make_net()).fit(X, y[:-1])


@pytest.mark.parametrize("in_pipeline", [True, False])
def test_net_that_answers_logits(in_pipeline):
    """A criterion for which skorch derives no softmax is named, before anything is regenerated."""
    net = make_net(LogitMLP, criterion=nn.MultiMarginLoss)
    with pytest.raises(ValueError, match="criterion is MultiMarginLoss: skorch derives the softmax"):
        defend(make_pipeline(StandardScaler(), net) if in_pipeline else net).fit(*digits())


def test_logits_under_the_criterion_for_probabilities():
    """The most frequent mistake: a module of logits under NLLLoss."""
    with pytest.raises(ValueError, match="criterion is NLLLoss"):
        defend(make_net(LogitMLP)).fit(*digits())


def test_net_that_is_no_classifier():
    """A plain NeuralNet answers no labels."""
    net = NeuralNet(MLP, nn.CrossEntropyLoss, max_epochs=1, train_split=None, verbose=0)
    with pytest.raises(ValueError, match=r"estimator.predict must answer one label for each row. Got .*\(160, 10\)"):
        defend(net).fit(*digits())


@pytest.mark.parametrize("estimator", [LogisticRegression(), make_net()], ids=["sklearn", "net"])
def test_frame_with_text_columns(estimator):
    """The columns are named."""
    X, y = digits("frame")
    X = X.assign(town="Ulm", day=np.datetime64("2024-01-01"))
    with pytest.raises(ValueError, match="numeric columns only.*not: town, day"):
        defend(estimator).fit(X, y)


def test_frame_with_other_columns_at_prediction():
    """Names are those of fit."""
    defended, X, _ = fitted("forest")
    with pytest.raises(ValueError, match="feature names should match"):
        defended.predict_proba(X[X.columns[::-1]])
    with pytest.raises(ValueError, match="not: pixel0"):
        defended.predict_proba(X.assign(pixel0="dark"))


@pytest.mark.parametrize(
    ("is_member", "message"),
    [
        (np.ones(159, dtype=bool), r"one value for each row: shape \(160,\). Got shape \(159,\)"),
        (np.ones((160, 1), dtype=bool), r"Got shape \(160, 1\)"),
        (np.full(160, 0.5), "must hold True for members.*dtype float64"),
        (np.array(["yes"] * 160), "must hold True for members.*dtype <U3"),
        (np.zeros(160, dtype=bool), "Got no row marked"),
    ],
)
def test_is_member(is_member, message):
    """One boolean a row, and somebody must train."""
    with pytest.raises(ValueError, match=message):
        defend(make_net()).fit(*digits(), is_member=is_member)


def test_is_member_that_leaves_no_non_member():
    """ "matched" needs both sides."""
    with pytest.raises(ValueError, match="selection='matched' needs non-members, but is_member marks every row"):
        defend(make_net(), selection="matched").fit(*digits(), is_member=np.ones(160, dtype=bool))


def test_matched_without_calibration_rows():
    """calibration_size=0 contradicts the rule."""
    with pytest.raises(ValueError, match="selection='matched' needs known non-members. Got calibration_size=0"):
        defend(make_net(), selection="matched", calibration_size=0.0).fit(*digits())


@pytest.mark.parametrize(
    "estimator",
    [LogisticRegression(), make_net(), make_pipeline(StandardScaler(), LogisticRegression())],
    ids=["sklearn", "net", "pipeline"],
)
def test_frozen_classifier_that_is_not_fitted(estimator):
    """FrozenEstimator takes anything; fit finds out."""
    with pytest.raises(ValueError, match="must hold a fitted classifier. Got an unfitted one"):
        defend(FrozenEstimator(estimator)).fit(*digits())


def test_binary_net_with_three_classes():
    """One output can't tell three classes apart."""
    X, y = digits()
    with pytest.raises(ValueError, match="Only binary classification is supported"):
        defend(make_binary_net(module__n_features=64)).fit(X, y % 3)


@pytest.mark.parametrize("in_pipeline", [True, False])
@pytest.mark.parametrize("module", [MLP(), CNN()], ids=["MLP", "CNN"])
def test_module_instance(module, in_pipeline):
    """Trained weights would survive clone, and members with them."""
    net = make_net(module)
    name = "estimator__neuralnetclassifier__module" if in_pipeline else "estimator__module"
    with pytest.raises(ValueError, match=f"{name} must be a module class or a function"):
        defend(make_pipeline(StandardScaler(), net) if in_pipeline else net).fit(*digits())


def test_module_instance_that_is_frozen():
    """A trained net may have been made from an instance: it is not trained again."""
    X, y = digits()
    frozen = FrozenEstimator(make_net(MLP()).fit(X.astype(np.float32), y))
    defended = defend(frozen, selection="swap").fit(X, y, is_member=half(y))
    np.testing.assert_array_equal(defended.predict(X), frozen.predict(X.astype(np.float32)))

"""How many rows a classifier was trained on, and whether it held out others: the right answer or None."""

import inspect
import warnings

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import make_blobs
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, Perceptron, SGDClassifier
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    RepeatedStratifiedKFold,
    ShuffleSplit,
    TunedThresholdClassifierCV,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.semi_supervised import LabelSpreading, SelfTrainingClassifier
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils import all_estimators

from skdiffence._fitted import n_training_rows, unrecorded_validation_split
from skdiffence.defenses import DefendedClassifier
from tests.defenses.regenerators import NoiseRegenerator
from tests.nets import make_net

N_ROWS = 75
TREE = DecisionTreeClassifier(max_depth=3, random_state=0)
FOREST = RandomForestClassifier(3, random_state=0)


def _rows(n_classes=3):
    X, y = make_blobs(N_ROWS, 4, centers=n_classes, cluster_std=2.0, random_state=0)
    return X - X.min(), y  # multinomial models want no negative numbers


def _count(estimator, X, y, **fit_params):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return n_training_rows(estimator.fit(X, y, **fit_params))


def _simple_classifiers():
    for name, cls in all_estimators(type_filter="classifier"):
        first = next(iter(inspect.signature(cls).parameters.values()))
        if first.name not in ("base_estimator", "estimator", "estimators"):
            yield pytest.param(cls, id=name)


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("cls", list(_simple_classifiers()))
def test_every_classifier_of_sklearn_gives_the_number_or_none(cls):
    X, y = _rows()
    model = cls()
    small = {"n_estimators": 3, "max_iter": 20, "random_state": 0}
    model.set_params(**{name: value for name, value in small.items() if name in model.get_params(deep=False)})
    assert _count(model, X, y) in (N_ROWS, None)


KNOWN = {
    "adaboost": AdaBoostClassifier(TREE, n_estimators=3, random_state=0),
    "bagging": BaggingClassifier(TREE, n_estimators=3, max_samples=0.5, random_state=0),
    "calibrated": CalibratedClassifierCV(FOREST, cv=3),
    "calibrated as one": CalibratedClassifierCV(FOREST, cv=3, ensemble=False),
    "defended": DefendedClassifier(FOREST, NoiseRegenerator(), n_candidates=2, selection="swap"),
    "extra trees": ExtraTreesClassifier(3, random_state=0),
    "forest of subsamples": RandomForestClassifier(3, max_samples=10, random_state=0),
    "gradient boosting": GradientBoostingClassifier(n_estimators=2),
    "histogram boosting": HistGradientBoostingClassifier(max_iter=2),
    "label spreading": LabelSpreading(),
    "mlp": MLPClassifier((4,), max_iter=7, batch_size=16),
    "neighbors": KNeighborsClassifier(),
    "net": make_net(module__n_features=4, module__n_classes=3, max_epochs=2),
    "one against the rest": OneVsRestClassifier(TREE),
    "perceptron": Perceptron(max_iter=4, tol=None),
    "pipeline": make_pipeline(StandardScaler(), FOREST),
    "search": GridSearchCV(TREE, {"max_depth": [1, 2]}, cv=2),
    "self-training": SelfTrainingClassifier(TREE),
    "sgd": SGDClassifier(max_iter=4, tol=None),
    "stacking": StackingClassifier([("tree", TREE), ("line", LogisticRegression())], cv=2),
    "svc": SVC(),
    "tree": TREE,
    "voting": VotingClassifier([("line", LogisticRegression()), ("tree", TREE)]),
}


@pytest.mark.parametrize("name", KNOWN)
def test_the_number_is_told(name):
    X, y = _rows()
    assert _count(KNOWN[name], X.astype(np.float32), y) == N_ROWS


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (FixedThresholdClassifier(TREE), N_ROWS),
        (TunedThresholdClassifierCV(TREE, cv=3), N_ROWS),
        (TunedThresholdClassifierCV(TREE, cv=0.2, refit=False), int(0.8 * N_ROWS)),
    ],
)
def test_classifiers_with_a_threshold(model, expected):
    assert _count(model, *_rows(2)) == expected


@pytest.mark.parametrize(
    "model",
    [
        LogisticRegression(),
        # What is summed up over repeated or random splits says nothing about the number of rows.
        CalibratedClassifierCV(FOREST, cv=RepeatedStratifiedKFold(n_splits=2, n_repeats=2, random_state=0)),
        CalibratedClassifierCV(FOREST, cv=ShuffleSplit(3, test_size=0.2, random_state=0)),
        CalibratedClassifierCV(LogisticRegression(), cv=3),
        GradientBoostingClassifier(n_estimators=2, subsample=0.5),
        MLPClassifier((4,), solver="lbfgs", max_iter=5),
        make_net(module__n_features=4, module__n_classes=3, max_epochs=1, iterator_train__drop_last=True),
        make_net(module__n_features=4, module__n_classes=3, max_epochs=0),
    ],
    ids=lambda model: type(model).__name__,
)
def test_none_where_fitted_state_does_not_tell(model):
    X, y = _rows()
    assert _count(model, X.astype(np.float32), y) is None


def test_a_net_tells_how_many_rows_its_split_left():
    X, y = _rows()
    net = make_net(module__n_features=4, module__n_classes=3, max_epochs=1)
    net.set_params(train_split=type(net)(net.module).train_split)
    assert _count(net, X.astype(np.float32), y) == int(0.8 * N_ROWS)


@pytest.mark.parametrize("model", [GaussianNB(), TREE, FOREST, SGDClassifier(max_iter=2, tol=None), SVC()])
def test_weights_are_not_taken_for_rows(model):
    X, y = _rows()
    assert _count(model, X, y, sample_weight=np.full(N_ROWS, 2.0)) in (N_ROWS, None)


def test_a_frozen_model_tells_about_its_own_training():
    X, y = _rows()
    frozen = FrozenEstimator(RandomForestClassifier(3).fit(X[:30], y[:30]))
    assert _count(frozen, X, y) == 30
    assert _count(CalibratedClassifierCV(frozen), X, y) == 30


STOPPING = {
    "MLPClassifier(early_stopping=True)": MLPClassifier((4,), early_stopping=True),
    "SGDClassifier(early_stopping=True)": SGDClassifier(early_stopping=True),
    "HistGradientBoostingClassifier(early_stopping=True)": HistGradientBoostingClassifier(
        max_iter=2, early_stopping=True
    ),
    "GradientBoostingClassifier(n_iter_no_change=2)": GradientBoostingClassifier(n_estimators=3, n_iter_no_change=2),
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("wrap", [lambda m: m, lambda m: make_pipeline(StandardScaler(), m), OneVsRestClassifier])
@pytest.mark.parametrize("reason", STOPPING)
def test_an_unrecorded_hold_out_is_named(reason, wrap):
    assert unrecorded_validation_split(wrap(STOPPING[reason]).fit(*_rows())) == reason


@pytest.mark.parametrize(
    "model",
    [
        FOREST,
        MLPClassifier((4,), max_iter=3),
        SGDClassifier(),
        HistGradientBoostingClassifier(max_iter=2),  # "auto" stops early above 10,000 rows only
        HistGradientBoostingClassifier(max_iter=2, early_stopping=True, validation_fraction=None),
        GradientBoostingClassifier(n_estimators=2),
    ],
    ids=repr,
)
def test_no_hold_out(model):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        assert unrecorded_validation_split(model.fit(*_rows())) is None

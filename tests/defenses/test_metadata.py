"""is_member and fit parameters, with metadata routing on and off, alone and in a Pipeline."""

import numpy as np
import pytest
from sklearn import config_context
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_validate
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.defenses.cases import defend, digits, half, quiet
from tests.nets import make_net


class Weighted(LogisticRegression):
    """Remembers the weights that it was trained with."""

    def fit(self, X, y, sample_weight=None):
        self.seen_ = X, sample_weight
        return super().fit(X, y, sample_weight)


def trained_rows(defended, X):
    return ~defended.not_trained_on_.contains(X)


@pytest.mark.parametrize("routing", [True, False])
def test_is_member_alone(routing):
    """The rows marked True train; routed or not, fit takes the argument itself."""
    X, y = digits()
    with config_context(enable_metadata_routing=routing):
        defended = quiet(defend(LogisticRegression()).fit, X, y, is_member=half(y))
    np.testing.assert_array_equal(trained_rows(defended, X), half(y))


@pytest.mark.parametrize("convert", [list, np.array, lambda mask: np.array(mask).astype(int)])
def test_is_member_in_many_forms(convert):
    """A list, an array, or zeros and ones."""
    X, y = digits()
    defended = quiet(defend(LogisticRegression()).fit, X, y, is_member=convert(half(y)))
    np.testing.assert_array_equal(trained_rows(defended, X), half(y))


def test_is_member_in_a_pipeline_without_routing():
    """By the step's name."""
    X, y = digits()
    pipeline = Pipeline([("scale", StandardScaler()), ("clf", defend(LogisticRegression(), selection="matched"))])
    quiet(pipeline.fit, X, y, clf__is_member=half(y))
    np.testing.assert_array_equal(trained_rows(pipeline["clf"], pipeline["scale"].transform(X)), half(y))


def test_is_member_in_a_pipeline_with_routing():
    """By request."""
    X, y = digits()
    with config_context(enable_metadata_routing=True):
        defended = defend(LogisticRegression(), selection="matched").set_fit_request(is_member=True)
        pipeline = Pipeline([("scale", StandardScaler()), ("clf", defended)])
        quiet(pipeline.fit, X, y, is_member=half(y))
    np.testing.assert_array_equal(trained_rows(pipeline["clf"], pipeline["scale"].transform(X)), half(y))


def test_is_member_is_cut_to_folds():
    """cross_validate routes each fold its part."""
    X, y = digits()
    with config_context(enable_metadata_routing=True):
        defended = defend(LogisticRegression()).set_fit_request(is_member=True)
        results = quiet(
            cross_validate,
            defended,
            X,
            y,
            cv=3,
            params={"is_member": half(y)},
            return_estimator=True,
            return_indices=True,
            error_score="raise",
        )
    for fitted, rows in zip(results["estimator"], results["indices"]["train"], strict=True):
        np.testing.assert_array_equal(trained_rows(fitted, X[rows]), half(y)[rows])


def test_fit_parameters_without_routing():
    """The error says what to call."""
    X, y = digits()
    with pytest.raises(ValueError, match=r"fit got sample_weight, which only metadata routing.*set_config"):
        defend(LogisticRegression()).fit(X, y, sample_weight=np.ones(len(y)))


@pytest.mark.parametrize("selection", ["first", "matched"])
def test_sample_weight_is_cut_to_the_training_rows(selection):
    """Weights stay with their rows when others are held out."""
    X, y = digits()
    weight = 1 + np.arange(len(y)) / 7
    with config_context(enable_metadata_routing=True):
        estimator = Weighted().set_fit_request(sample_weight=True)
        defended = quiet(defend(estimator, selection=selection).fit, X, y, sample_weight=weight)
    rows, seen = defended.estimator_.seen_
    position = {row.tobytes(): number for number, row in enumerate(X)}
    np.testing.assert_array_equal(seen, weight[[position[row.tobytes()] for row in rows]])


def test_sample_weight_reaches_a_nested_step():
    """Through the defended classifier into a Pipeline inside it."""
    X, y = digits()
    with config_context(enable_metadata_routing=True):
        inner = make_pipeline(StandardScaler(), Weighted().set_fit_request(sample_weight=True))
        inner[0].set_fit_request(sample_weight=False)
        defended = quiet(defend(inner).fit, X, y, sample_weight=np.arange(len(y)) + 1.0, is_member=half(y))
    np.testing.assert_array_equal(defended.estimator_[-1].seen_[1], (np.arange(len(y)) + 1.0)[half(y)])


def test_unrequested_metadata_is_refused():
    """What nobody asked for is not silently dropped."""
    X, y = digits()
    with config_context(enable_metadata_routing=True), pytest.raises((TypeError, ValueError), match="sample_weight"):
        defend(Weighted()).fit(X, y, sample_weight=np.ones(len(y)))


def test_routing_works_around_a_net():
    """A skorch net requests nothing and stands in nobody's way."""
    X, y = digits()
    with config_context(enable_metadata_routing=True):
        defended = defend(make_net()).set_fit_request(is_member=True)
        assert quiet(defended.fit, X, y, is_member=half(y)).n_samples_fit_ == half(y).sum()

"""Shadow models by cross-validation."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import make_blobs
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.naive_bayes import GaussianNB

from skdiffence.model_selection import ShadowSplit

X, y = make_blobs(41, centers=2, random_state=0)


def sides(cv, X=X):
    """Return the splits as two lists of lists."""
    return [(train.tolist(), test.tolist()) for train, test in cv.split(X)]


@pytest.mark.parametrize("n_rows", [40, 41])
@pytest.mark.parametrize("canaries", [None, [3, 30, 7, 22, 1]])
def test_cross_validate_trains_every_row_in_half_of_the_models(n_rows, canaries):
    """Through scikit-learn itself, for odd numbers of rows as well; rows that do not vary are always in."""
    cv = ShadowSplit(6, canaries=canaries, random_state=0)
    found = cross_validate(
        GaussianNB(), X[:n_rows], y[:n_rows], cv=cv, return_estimator=True, return_indices=True, error_score="raise"
    )
    times = np.bincount(np.concatenate(found["indices"]["train"]), minlength=n_rows)
    varying = np.arange(n_rows) if canaries is None else np.array(canaries)
    np.testing.assert_array_equal(times[varying], 3)
    assert (np.delete(times, varying) == 6).all()
    for train, test, shadow in zip(*found["indices"].values(), found["estimator"], strict=True):
        np.testing.assert_array_equal(np.sort(np.concatenate([train, test])), np.arange(n_rows))
        assert set(test) <= set(varying)
        assert shadow.class_count_.sum() == len(train)


def test_integers_repeat_and_others_draw_anew():
    """As scikit-learn's splitters do."""
    cv = ShadowSplit(4, random_state=1)
    assert sides(cv) == sides(cv) == sides(ShadowSplit(4, random_state=1)) != sides(ShadowSplit(4, random_state=2))
    for unsettled in (None, np.random.RandomState(0)):
        cv = ShadowSplit(4, random_state=unsettled)
        assert sides(cv) != sides(cv)


def test_more_splits_begin_with_the_same():
    """A run may be enlarged."""
    assert sides(ShadowSplit(4, random_state=0)) == sides(ShadowSplit(10, random_state=0))[:4]


def test_is_a_splitter_of_scikit_learn():
    """It is cloned and shown by its parameters, says how many splits it makes, and works in a search."""
    cv = ShadowSplit(4, canaries=[1, 2], random_state=3)
    assert repr(clone(cv)) == repr(cv) == "ShadowSplit(canaries=[1, 2], n_splits=4, random_state=3)"
    assert sides(clone(cv)) == sides(cv)
    assert cv.get_n_splits() == cv.get_n_splits(X, y) == 4
    assert ShadowSplit().get_n_splits() == 64
    search = GridSearchCV(GaussianNB(), {"var_smoothing": [1e-9, 1e-3]}, cv=cv.set_params(canaries=None)).fit(X, y)
    assert search.n_splits_ == 4


@pytest.mark.parametrize(
    ("cv", "message"),
    [
        (ShadowSplit(5), "n_splits must be an even integer of at least 2, .* Got 5"),
        (ShadowSplit("6"), "n_splits must be an even integer"),
        (ShadowSplit(2, canaries=[1, 41]), "distinct row numbers from 0 to 40"),
        (ShadowSplit(2, canaries=[[1], [2, 3]]), "canaries must be a list of at least two row numbers. Got list"),
        (ShadowSplit(2, canaries=np.ma.array([1, 2], mask=[0, 1])), "canaries must not have masked values"),
        (ShadowSplit(2, random_state=-1), "random_state must be None"),
    ],
)
def test_impossible_splits(cv, message):
    """Said when it is used, as constructors only store."""
    with pytest.raises(ValueError, match=message):
        list(cv.split(X))


def test_odd_numbers_are_refused_before_a_search_begins():
    """``get_n_splits`` is asked first there."""
    with pytest.raises(ValueError, match="n_splits must be an even integer"):
        ShadowSplit(3).get_n_splits()


@pytest.mark.usefixtures("untouched_generators")
def test_no_global_generator_is_touched():
    """None asks the operating system."""
    sides(ShadowSplit(4))

"""Keys that are given or drawn are printed nowhere: not by repr, HTML, a search, an error or a report."""

import pickle
import re
from functools import partial

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.ensemble import VotingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.utils.validation import check_is_fitted

from skdiffence.base import InferenceOnly
from skdiffence.defenses import DefendedClassifier, OutputNoiseClassifier, SELENAClassifier
from skdiffence.diffusion import DiffusionRegenerator
from tests.diffusion.networks import ZeroNoise

X = np.random.default_rng(0).normal(size=(40, 3))
y = np.arange(40) % 2
KEYS = ["open sesame", b"open sesame", 170081]


def regenerator(key="open sesame"):
    return DiffusionRegenerator(ZeroNoise(), timestep=50, key=key)


def shown(thing):
    """Return all that a person or a log sees of an object."""
    html = thing._repr_html_() if hasattr(thing, "_repr_html_") else ""
    return "\n".join([repr(thing), str(thing), f"{thing}", html, repr(thing.get_params())])


def hidden(text, key_=b""):
    """Whether no given key is in a text, nor the start of a fitted one as digits or as the repr of bytes."""
    start = bytes(key_[:4])
    return not any(part in text for part in ("sesame", "170081", *([start.hex(), repr(start)[2:-1]] if start else [])))


AROUND = {
    "itself": lambda r: r,
    "defended": lambda r: DefendedClassifier(GaussianNB(), r, n_candidates=2),
    "pipeline": lambda r: make_pipeline(r, GaussianNB()),
    "vote": lambda r: VotingClassifier([("a", DefendedClassifier(GaussianNB(), r, n_candidates=2))]),
    "search": lambda r: GridSearchCV(DefendedClassifier(GaussianNB(), r), {"n_candidates": [1, 2]}, cv=2),
    "inference only": lambda r: InferenceOnly(r),
}


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("around", AROUND)
def test_a_given_key_is_not_shown(around, key):
    """Before and after fit, and inside FrozenEstimator; the fitted key_, which pages list as well, is not either."""
    r = regenerator(key)
    thing = AROUND[around](r)
    assert hidden(shown(thing))
    fitted = thing.fit(X, y)
    check_is_fitted(fitted)
    text = shown(fitted) + shown(FrozenEstimator(fitted)) + shown(clone(fitted))
    assert "<secret key>" in shown(r) or "&lt;secret key&gt;" in shown(r)
    assert hidden(text, r.fit(X).key_)


@pytest.mark.parametrize(
    "make", [SELENAClassifier, OutputNoiseClassifier, partial(OutputNoiseClassifier, key=b"open sesame")]
)
def test_keys_of_other_defenses(make):
    """Their fitted keys select what a row is answered with, and are listed by pages as well."""
    fitted = make(GaussianNB()).fit(X, y)
    text = shown(fitted)
    assert hidden(text, fitted.key_)


def test_verbose_search_and_results(capsys):
    """A verbose search prints the estimators that it tries."""
    grid = {"regenerator": [regenerator("open sesame"), regenerator(b"open sesame")]}
    search = GridSearchCV(DefendedClassifier(GaussianNB(), n_candidates=1), grid, cv=2, verbose=4).fit(X, y)
    captured = capsys.readouterr()
    assert "regenerator=" in captured.out
    assert "sesame" not in captured.out + captured.err + repr(search.cv_results_) + repr(search.best_params_)


@pytest.mark.parametrize(
    "key", [["open sesame"], ("open sesame",), {"open sesame": 1}, 1.5, True, object(), bytearray(b"open sesame")]
)
@pytest.mark.parametrize("make", [regenerator, lambda key: OutputNoiseClassifier(GaussianNB(), key=key)])
def test_a_wrong_type_is_named_without_the_key(make, key):
    """The error once printed what came."""
    with pytest.raises(TypeError, match=f"key must be .* Got {type(key).__name__}") as raised:
        make(key).fit(X, y)
    assert "sesame" not in str(raised.value)


@pytest.mark.parametrize("key", ["", b"", " ", "\n", b" \t\n"])
@pytest.mark.parametrize("make", [regenerator, lambda key: OutputNoiseClassifier(GaussianNB(), key=key)])
def test_an_empty_key_is_refused(make, key):
    """An empty file or environment variable once gave noise that everybody can compute."""
    with pytest.raises((ValueError, TypeError), match="key must"):
        make(key).fit(X, y)


def test_a_key_too_long_for_the_hash_is_refused_by_fit():
    """Predictions would raise an error that names no parameter."""
    with pytest.raises(ValueError, match="key must be of length 64 at most. Got bytes of length 65"):
        OutputNoiseClassifier(GaussianNB(), key=b"x" * 65).fit(X, y)


@pytest.mark.parametrize("key", [*KEYS, np.int64(5), np.str_("open sesame"), None])
def test_parameter_behaves_like_any_other(key):
    """It is cloned, set, read, pickled and compared, and gives the noise that it gave before it was masked."""
    r = regenerator(key)
    assert r.key == key and (key is None) == (r.get_params()["key"] is None)
    copy, loaded, again = clone(r), pickle.loads(pickle.dumps(r)), regenerator().set_params(**r.get_params())
    assert copy.key == loaded.key == again.key == r.key
    assert clone(copy).key is copy.key
    if key is not None:
        transformed = r.fit(X).transform(X)
        for other in (copy, loaded, again, regenerator(r.key)):
            np.testing.assert_array_equal(other.fit(X).transform(X), transformed)
        assert not np.array_equal(regenerator("another").fit(X).transform(X), transformed)
        assert set(vars(r)) >= {"key"}


def test_fitted_key_can_be_given_again():
    """key_ is bytes; given as key=, it derives what the same bytes derive."""
    first = regenerator().fit(X)
    assert isinstance(first.key_, bytes) and len(first.key_) == 32
    given, plain = (regenerator(key).fit(X).key_ for key in (first.key_, bytes(first.key_)))
    assert given == plain
    assert re.search("secret", repr(first.rotate_key().key_))

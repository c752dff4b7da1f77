"""Images with their channels last are refused, with the transpose to write, wherever images are taken."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skdiffence import DefendedClassifier
from skdiffence.attacks import LabelOnlyAttack, LiRAAttack
from skdiffence.datasets import make_canaries
from skdiffence.diffusion import DiffusionRegenerator
from skdiffence.inspection import CandidateDisplay, audit, canary_audit
from skdiffence.utils._images import check_channels_first, has_channels_last
from tests.diffusion.networks import ZeroNoise

RNG = np.random.default_rng(0)
X = RNG.random((40, 16, 16, 3), dtype=np.float32)
Y = np.arange(40) % 2
REFUSED = r"channels first.*\(40, 16, 16, 3\).*\.transpose\(0, 3, 1, 2\)"


@pytest.mark.parametrize(
    "shape",
    [(16, 16, 3), (28, 28, 1), (8, 8, 3), (5, 5, 3), (32, 32, 4), (16, 16, 2), (64, 96, 3), (224, 224, 3), (7, 9, 1)]
    + [(1080, 1920, 3), (64, 64, 13), (32, 32, 5), (16, 16, 8)],
)  # fmt: skip
def test_channels_last(shape):
    """Gray, color, alpha, photographs of other sides, and many bands in a square."""
    assert has_channels_last((10, *shape))
    with pytest.raises(ValueError, match=r"X\.transpose\(0, 3, 1, 2\)"):
        check_channels_first(np.zeros((1, *shape)))
    assert not has_channels_last((10, shape[2], *shape[:2]))  # what the message says to write is accepted


@pytest.mark.parametrize(
    "shape",
    [(3, 16, 16), (1, 8, 8), (3, 16, 3), (1, 16, 1), (1, 1, 1), (3, 3, 3), (4, 4, 3), (2, 2, 3)]  # small and narrow
    + [(64, 4, 4), (16, 1, 1), (512, 2, 2), (8, 8, 8), (64, 64, 64), (13, 64, 64), (12, 16, 16)]  # maps of features
    + [(9, 128, 1), (22, 1000, 1), (9, 1, 128), (5, 20, 1), (6, 500, 3)],  # series
)  # fmt: skip
def test_channels_first(shape):
    """Nothing else is refused: what may be either passes, and so do maps of features and series."""
    assert not has_channels_last((10, *shape))


@pytest.mark.parametrize("X", [np.zeros((5, 3)), np.zeros((5, 16, 16)), np.zeros(4), [[1, 2], [3]], None, "text"])
def test_others_pass(X):
    """Rows, and what is no array, are for other checks."""
    check_channels_first(X)


def test_regenerator():
    """They were regenerated as 16 channels of 16x3 pixels."""
    with pytest.raises(ValueError, match=REFUSED):
        DiffusionRegenerator(ZeroNoise()).fit(X)
    fitted = DiffusionRegenerator(ZeroNoise()).fit(X.transpose(0, 3, 1, 2))
    for method in (fitted.transform, lambda X: fitted.regenerate(X, 1)):
        with pytest.raises(ValueError, match=REFUSED):
            method(X)
    fitted = DiffusionRegenerator(ZeroNoise()).fit(np.zeros((4, 1, 3, 4)) + np.arange(4))
    with pytest.raises(ValueError, match=r"transpose\(0, 3, 1, 2\)"):  # told by the shape of fit alone
        fitted.transform(np.zeros((4, 3, 4, 1)))
    with pytest.raises(ValueError, match=r"X\[:, None\] for one channel"):
        DiffusionRegenerator(ZeroNoise()).fit(X[..., 0])


class Counting(LogisticRegression):
    """Counts its trainings."""

    n_fits = 0

    def fit(self, X, y):
        """Count, then fit."""
        Counting.n_fits += 1
        return super().fit(X, y)


def flat(classifier=LogisticRegression):
    return make_pipeline(FunctionTransformer(lambda X: np.asarray(X).reshape(len(X), -1)), classifier())


def test_defended_classifier():
    """Before the classifier is trained."""
    Counting.n_fits = 0
    with pytest.raises(ValueError, match="channels first"):
        DefendedClassifier(flat(Counting), DiffusionRegenerator(ZeroNoise())).fit(X, Y)
    assert Counting.n_fits == 0


IS_MEMBER = np.arange(40) < 20


def _fit_augmentation(X):
    LabelOnlyAttack(robustness="augmentation").fit(flat().fit(X, Y), X, Y, IS_MEMBER)


def _fit_lira(X):
    attack = LiRAAttack(estimator=flat(Counting), pool=(X, Y), n_shadows=4, queries="flips", random_state=0)
    attack.fit(flat().fit(X, Y), X, Y, IS_MEMBER)


def _draw(X):
    proba = np.full((40, 2), 0.5)
    CandidateDisplay.from_predictions(X, X[:, None], proba, proba[:, None], np.zeros(40, dtype=int))


TAKERS = {
    "augmentations": _fit_augmentation,
    "views of LiRA": _fit_lira,
    "audit": lambda X: audit(flat().fit(X, Y), (X[:20], Y[:20]), (X[20:], Y[20:]), attacks=["confidence"]),
    "display": _draw,
    "canaries": lambda X: make_canaries(X, Y, n_canaries=4, random_state=0),
    "canary audit": lambda X: canary_audit(flat(Counting), X, Y, n_shadows=4, n_canaries=4, queries="flips"),
}


@pytest.mark.parametrize("taker", TAKERS)
def test_takers(taker):
    """Whatever looks at images refuses them before it trains; they were flipped along their colors."""
    Counting.n_fits = 0
    with pytest.raises(ValueError, match=r"channels first.*\.transpose\(0, 3, 1, 2\)"):
        TAKERS[taker](X)
    assert Counting.n_fits == 0

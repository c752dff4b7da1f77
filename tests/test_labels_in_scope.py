"""Labels that are none: regression and multilabel targets, NaN, and labels that the classifier never saw."""

import warnings

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_validate

from skdiffence import DefendedClassifier
from skdiffence.attacks import ThresholdAttack
from skdiffence.defenses import OutputClassifier, SELENAClassifier
from skdiffence.exceptions import MembershipWarning
from skdiffence.inspection import audit
from skdiffence.model_selection import AttackScorer

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(80, 3)), np.arange(80) % 4
IS_MEMBER = np.arange(80) < 40
MODEL = LogisticRegression().fit(X[:40], Y[:40])

USES = {
    "audit": lambda y: audit(MODEL, (X[:40], y[:40]), (X[40:], y[40:]), attacks=["entropy"], n_permutations=100),
    "scorer": lambda y: AttackScorer(["entropy"], pool=(X, y, IS_MEMBER))(MODEL, X, y),
    "attack": lambda y: ThresholdAttack("entropy").fit(MODEL, X, y, IS_MEMBER),
    "defended": lambda y: DefendedClassifier(MODEL, "passthrough").fit(X, y),
    "output": lambda y: OutputClassifier(MODEL).fit(X, y),
    "selena": lambda y: SELENAClassifier(MODEL).fit(X, y),
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize(
    ("y", "message"),
    [
        (Y + RNG.random(80), "Regression targets are out of scope"),
        (Y / 4 - 0.1, "Regression targets are out of scope"),
        (np.eye(4)[Y], r"\(\d0, 4\): multilabel and one-hot targets are out of scope"),
        (np.eye(4, dtype=bool)[Y], "multilabel and one-hot targets are out of scope"),
        (np.where(Y == 3, np.nan, Y), "NaN"),
        (np.full(80, np.nan), "NaN"),
        (np.where(Y == 3, np.inf, Y), "infinity"),
    ],
)
def test_targets_that_are_no_classes(use, y, message):
    """The sentence says so at once, where accuracies of zero or a message on shapes said something else."""
    with pytest.raises(ValueError, match=message):
        USES[use](y)


@pytest.mark.parametrize("use", ["audit", "scorer"])
@pytest.mark.parametrize("y", [Y + 100, -Y - 1.0, np.array(list("abcd"))[Y]])
def test_labels_of_another_model(use, y):
    """Labels that the classifier knows none of gave a privacy of 0.5 and an accuracy of 0."""
    with pytest.raises(ValueError, match="such as 0.*Got none of them, but labels such as|both be text or both"):
        USES[use](y)


def test_some_labels_that_the_classifier_does_not_know():
    """A part of them is a warning with their number, as for a class that a fold lacks; no figure is silently wrong."""
    y = np.where(Y == 2, 7, Y)
    with pytest.warns(MembershipWarning, match="20 of 80 rows have a label that the classifier does not know"):
        USES["scorer"](y)
    assert any("20 of 80 rows have a label" in note for note in USES["audit"](y).notes)
    with warnings.catch_warnings():
        warnings.simplefilter("error", MembershipWarning)
        USES["scorer"](Y)


def test_folds_that_lack_a_class():
    """A class that all rows of a fold have and no training row had is warned about, and the others are scored."""
    scorer = AttackScorer(["entropy"], pool=(X, Y))
    test = np.flatnonzero((Y == 3) | (np.arange(80) > 70))
    train = np.setdiff1d(np.arange(80), test)
    with pytest.warns(MembershipWarning, match="20 of .* rows have a label that the classifier does not know"):
        cross_validate(LogisticRegression(), X, Y, cv=[(train, test)], scoring=scorer, error_score="raise")


@pytest.mark.parametrize("y", [Y, Y.astype(float), Y.tolist(), Y > 1, np.array(list("abcd"))[Y], Y[:, None]])
def test_labels_of_every_kind_stay_welcome(y):
    """Whole numbers in floating point are classes, and a column of labels is one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        defended = DefendedClassifier(LogisticRegression(), "passthrough").fit(X, y)
    assert len(defended.classes_) in (2, 4)

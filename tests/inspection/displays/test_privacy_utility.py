"""Privacy against utility: what is measured against an oracle, what is drawn, and what is refused."""

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.metrics import accuracy_score, roc_auc_score

from skdiffence.inspection import PrivacyUtilityDisplay
from skdiffence.inspection.displays._privacy_plane import named_estimators
from skdiffence.metrics import auc_interval, failure_detection_auc
from tests.inspection.displays.cases import IS_MEMBER, answers, axes, scores


def test_points_are_measured_on_the_same_rows(forests):
    """Both planes, against sklearn's numbers, on rows that no defense was calibrated on."""
    defended, X, y, is_member = forests
    scored = ~defended["matched"].calibrated_on_.contains(X)
    arguments = {"estimators": defended, "X": X, "y": y, "is_member": is_member, "random_state": 0}
    for plane in ("accuracy", "failure_detection"):
        display = PrivacyUtilityDisplay.from_estimator(**arguments, plane=plane, ax=axes())
        assert display.name == ["undefended", "matched", "swap"]
        others = scored & ~is_member
        for i, name in enumerate(display.name):
            proba, label = defended[name].predict_proba(X[others]), defended[name].predict(X[others])
            expected = {
                "accuracy": accuracy_score(y[others], label),
                "failure_detection": failure_detection_auc(y[others], proba),
            }
            assert display.utility[i] == pytest.approx(expected[plane])
        confidence = defended["undefended"].predict_proba(X)[np.arange(400), y]
        right = defended["undefended"].predict(X) == y
        rows = scored & (right if plane == "failure_detection" else True)
        assert display.privacy[0] == pytest.approx(roc_auc_score(is_member[rows], confidence[rows]))
        ends = auc_interval(is_member[rows], confidence[rows])
        margin = display.privacy_margin[:, 0]
        assert (display.privacy[0] - margin[0], display.privacy[0] + margin[1]) == pytest.approx(ends)
        assert len(display.arrows_) == 2
    assert display.floor is display.floor_ is None
    accuracy = PrivacyUtilityDisplay.from_estimator(**arguments, plane="accuracy", ax=axes())
    right = (defended["undefended"].predict(X) == y)[scored]
    assert accuracy.floor == pytest.approx(roc_auc_score(is_member[scored], right))
    assert accuracy.floor_.get_ydata()[0] == accuracy.floor


def test_points_of_answers():
    """Answers and attack scores by name are enough."""
    proba, y = answers()
    given = {"sharp": proba, "flat": 0.5 * proba + 0.125}
    named = {"sharp": scores(), "flat": scores(1)}
    display = PrivacyUtilityDisplay.from_predictions(
        IS_MEMBER, y, given, named, plane="accuracy", reference="flat", ax=axes()
    )
    assert display.utility[0] == display.utility[1] == np.mean(proba.argmax(axis=1)[~IS_MEMBER] == y[~IS_MEMBER])
    np.testing.assert_allclose(display.privacy, [roc_auc_score(IS_MEMBER, named[name]) for name in given])
    assert display.reference == "flat"
    assert display.floor == roc_auc_score(IS_MEMBER, proba.argmax(axis=1) == y)
    assert len(display.arrows_) == 1
    assert [text.get_text() for text in display.texts_] == ["sharp", "flat"]


def test_points_of_a_list(forests):
    """Classifiers without names are named by their classes."""
    defended, X, y, is_member = forests
    listed = [defended["undefended"], defended["swap"], defended["matched"]]
    display = PrivacyUtilityDisplay.from_estimator(listed, X, y, is_member, reference=None, ax=axes())
    assert display.name == ["RandomForestClassifier", "DefendedClassifier", "DefendedClassifier 2"]
    assert display.arrows_ == []


def test_classes_of_one_name_are_told_apart():
    """Two modules can have one; the later classifier took the place of the earlier one."""
    first, second = DummyClassifier(), type("DummyClassifier", (DummyClassifier,), {})()
    named = named_estimators([first, second, first])
    assert list(named) == ["DummyClassifier", "DummyClassifier 2", "DummyClassifier 3"]
    assert list(named.values()) == [first, second, first]


def test_arrows_lead_from_each_reference():
    """One for all or one for each; none to itself."""
    points = {"utility": [0.7, 0.6, 0.8, 0.5], "privacy": [0.7, 0.6, 0.8, 0.5], "name": list("abcd")}
    assert len(PrivacyUtilityDisplay(**points, reference=0).plot(axes()).arrows_) == 3
    display = PrivacyUtilityDisplay(**points, reference=[None, "a", None, 2]).plot(axes())
    assert [arrow.xy for arrow in display.arrows_] == [(0.6, 0.6), (0.5, 0.5)]
    assert [arrow.get_position() for arrow in display.arrows_] == [(0.7, 0.7), (0.8, 0.8)]
    assert display.errorbar_ is None
    assert display.chance_level_.get_ydata()[0] == 0.5


@pytest.mark.parametrize("seed", range(2))
def test_names_of_many_points_can_be_read(seed):
    """Of crowded points too: beside their points, on the side with more room, apart, and inside the axes."""
    rng = np.random.default_rng(seed)
    names = ["undefended", *(f"defense {i}" for i in range(9))]
    x, y = 0.6 + np.append(rng.random((2, 2)), 0.4 + 0.03 * rng.random((2, 8)), axis=1)
    display = PrivacyUtilityDisplay(utility=x, privacy=y, name=names, reference=0).plot()
    display.figure_.canvas.draw()
    # Without the leader line, which belongs to an annotation's extent.
    boxes = [matplotlib.text.Text.get_window_extent(text) for text in display.texts_]
    frame = display.ax_.get_window_extent()
    assert all(frame.contains(*box.min) and frame.contains(*box.max) for box in boxes)
    on_left = x > sum(display.ax_.get_xlim()) / 2
    places = display.ax_.transData.transform(np.column_stack([x, y]))[:, 0]
    assert [box.x1 < place for box, place in zip(boxes, places, strict=True)] == list(on_left)
    same_side = [(boxes[i], boxes[j]) for i in range(10) for j in range(i) if on_left[i] == on_left[j]]
    assert not [pair for pair in same_side if pair[0].overlaps(pair[1])]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"utility": [0.5, np.nan]}, "utility must hold a finite number"),
        ({"privacy": [0.5]}, "privacy must hold a finite number"),
        ({"name": ["a"]}, "for each of the 1 points"),
        ({"privacy_margin": [[0.1, 0.1]]}, "privacy_margin must hold"),
        ({"utility_margin": [0.1, -0.1]}, "must not be negative"),
        ({"reference": "c"}, "reference must be one of"),
        ({"reference": 2}, "from 0 to 1"),
        ({"reference": ["a"]}, "one for each of the 2 points"),
    ],
)
def test_points_refuse(change, match):
    """Each error says what is wrong."""
    arguments = {"utility": [0.6, 0.5], "privacy": [0.6, 0.5], "name": ["a", "b"]} | change
    with pytest.raises(ValueError, match=match):
        PrivacyUtilityDisplay(**arguments).plot()
    assert plt.get_fignums() == []


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"proba": {}, "y_score": {}}, "at least one"),
        ({"y_score": {"b": scores()}}, "the same names"),
        ({"proba": {"a": np.full((60, 4), 0.3)}}, "must not be negative"),
        ({"y": np.zeros(59, dtype=int)}, "one label for each of"),
        ({"plane": "cartesian"}, "'plane'"),
        ({"is_member": np.zeros(60)}, "at least one member"),
        ({"y_score": {"a": np.ones(59)}}, "equally long"),
        ({"y": answers()[0].argmax(axis=1)}, "Use plane='accuracy'"),
    ],
)
def test_answers_that_can_t_be_measured_are_refused(change, match):
    """Each error says what is wrong, or what to do."""
    proba, y = answers()
    good = {"is_member": IS_MEMBER, "y": y, "proba": {"a": proba}, "y_score": {"a": scores()}}
    with pytest.raises(ValueError, match=match):
        PrivacyUtilityDisplay.from_predictions(**(good | change))

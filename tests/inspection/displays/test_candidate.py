"""Rows beside their candidates: what they show, and what they refuse."""

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator

from skdiffence.datasets import load_digit_images
from skdiffence.defenses import DefendedClassifier
from skdiffence.inspection import CandidateDisplay
from tests.defenses.regenerators import NoiseRegenerator
from tests.inspection.displays.cases import answers, axes
from tests.nets import make_net


def test_candidates_are_those_that_answer(nets):
    """Pictures, labels, confidence and the frame are what the classifier says of each candidate."""
    defended, X, y = nets
    rows = [3, 50, 200]
    display = CandidateDisplay.from_estimator(defended, X, rows=rows, n_candidates=12, y=y)
    selected = defended.select(X[rows])
    np.testing.assert_array_equal(display.chosen, selected.candidate)
    np.testing.assert_array_equal(display.label, defended.predict(X[rows]))
    for candidate in (0, 11):
        made = defended.regenerator_.regenerate(X[rows], candidate)
        np.testing.assert_array_equal(display.candidates[:, candidate], made)
        proba = defended.estimator_.predict_proba(made)
        np.testing.assert_array_equal(display.candidate_label[:, candidate], defended.classes_[proba.argmax(axis=1)])
        np.testing.assert_allclose(display.candidate_confidence[:, candidate], proba.max(axis=1), rtol=1e-5)
    changed = display.candidate_label != display.label[:, None]
    assert 0 < changed.sum() == len(display.strikes_)
    for row, frame in enumerate(display.frames_):
        picture = display.images_[row][1 + selected.candidate[row]]
        assert frame.get_bbox().extents == pytest.approx(np.array(picture.get_extent())[[0, 2, 1, 3]])
        assert "true: " + y[rows[row]] in display.texts_[row][0].get_text()


def test_candidates_show_a_late_one_last(nets):
    """Where the one that answers would be out of sight it takes the last place, with its number."""
    defended, X, _ = nets
    late = int(np.argmax(defended.select(X).candidate))
    number = int(defended.select(X[[late]]).candidate[0])
    assert number >= 2
    display = CandidateDisplay.from_estimator(defended, X, rows=[late], n_candidates=2, ax=axes())
    np.testing.assert_array_equal(display.number, [[0, number]])
    np.testing.assert_array_equal(display.candidates[0, 1], defended.regenerator_.regenerate(X[[late]], number)[0])
    assert display.texts_[0][2].get_text().startswith(f"#{number}: ")
    assert display.texts_[0][2].get_fontweight() == "bold"


def test_candidates_of_rows_are_lines(forests):
    """Rows of features, from an array and from a frame, by the same call."""
    pandas = pytest.importorskip("pandas")
    defended, X, _, _ = forests
    display = CandidateDisplay.from_estimator(defended["swap"], X, rows=[0, 1], n_candidates=3, ax=axes())
    frame = pandas.DataFrame(X[:20], index=np.arange(20)[::-1])
    again = CandidateDisplay.from_estimator(defended["swap"], frame.to_numpy(), rows=[0, 1], n_candidates=3, ax=axes())
    assert len(display.images_) == 2
    assert len(display.images_[0]) == 4
    assert len(display.images_[0][0].get_xdata()) == 64
    np.testing.assert_array_equal(display.candidate_confidence, again.candidate_confidence)
    np.testing.assert_array_equal(display.chosen, [0, 0])


@pytest.mark.parametrize(("channels", "shape"), [(1, (6, 5)), (2, (6, 5)), (3, (6, 5, 3)), (4, (6, 5, 3)), (7, (6, 5))])
def test_candidates_of_any_channels(channels, shape):
    """One channel is gray, three are colors, a fourth is left out; values go from the range's low to its high."""
    X = np.random.default_rng(0).random((2, channels, 6, 5)) * 255
    proba = answers(n=2)[0]
    display = CandidateDisplay.from_predictions(
        X.astype(np.uint8), X[:, None], proba, proba[:, None], [0, -1], value_range=(0, 255), ax=axes()
    )
    picture = np.asarray(display.images_[0][1].get_array())
    assert picture.shape == shape
    first = picture[..., 0] if len(shape) == 3 else picture
    np.testing.assert_allclose(first, X[0, 0] / 255)
    assert display.frames_[1].get_x() == 0


def test_averaged_candidates_are_framed_together():
    """Those that the mean is taken over, by their numbers, inside one frame; not the original."""
    digits = load_digit_images()
    X, y = digits.data[:200], digits.target[:200]
    defended = DefendedClassifier(make_net(max_epochs=5), NoiseRegenerator(0.35), random_state=0).fit(X, y)
    display = CandidateDisplay.from_estimator(defended, X, rows=[3, 4], ax=axes())
    np.testing.assert_array_equal(display.number, [[0, -1, 2, -3]] * 2)
    for place, number in enumerate((0, -1, 2, -3)):
        np.testing.assert_array_equal(display.candidates[:, place], defended.regenerator_.regenerate(X[3:5], number))
    frame = display.frames_[0]
    boxes = [image.get_extent() for image in display.images_[0]]
    assert frame.get_x() == boxes[1][0]
    assert frame.get_x() + frame.get_width() == boxes[-1][1]
    assert "#" not in "".join(text.get_text() for text in display.texts_[0])


def test_candidate_whose_labels_are_exchanged_says_so():
    """It is framed and struck out, and shows the label that it stands for."""
    X, proba = np.zeros((1, 1, 4, 4)), np.array([[0.9, 0.1]])
    display = CandidateDisplay.from_predictions(
        X, X[:, None], proba, np.array([[[0.2, 0.8]]]), [0], classes=["cat", "a very long label"], ax=axes()
    )
    assert display.texts_[0][1].get_text() == "a very long…\n→ cat\n0.800"
    assert len(display.strikes_) == 1


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"rows": [400]}, "rows must hold"),
        ({"rows": []}, "rows must hold"),
        ({"rows": [0.5]}, "rows must hold"),
        ({"y": [1, 2]}, "one label for each of the 400 rows"),
        ({"n_candidates": 0}, "'n_candidates'"),
        ({"estimator": RandomForestClassifier()}, "'estimator'"),
    ],
)
def test_candidates_refuse(forests, change, match):
    """What can't be shown."""
    defended, X, _, _ = forests
    with pytest.raises(ValueError, match=match):
        CandidateDisplay.from_estimator(**({"estimator": defended["swap"], "X": X} | change))


def test_candidates_refuse_what_is_no_defense(forests):
    """Neither the baseline nor noise that is drawn anew shows what answers."""
    defended, X, y, _ = forests
    baseline = DefendedClassifier(FrozenEstimator(defended["undefended"]), "passthrough").fit(X, y)
    with pytest.raises(ValueError, match="passthrough"):
        CandidateDisplay.from_estimator(baseline, X)
    fresh = NoiseRegenerator()
    fresh.noise = "fresh"
    baseline.regenerator_ = fresh
    with pytest.raises(ValueError, match="noise='fresh'"):
        CandidateDisplay.from_estimator(baseline, X)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"X": np.zeros((2, 3, 4))}, "X must have shape"),
        ({"candidates": np.zeros((2, 3, 5))}, "X must have shape"),
        ({"candidates": np.zeros((1, 3, 4))}, "candidate"),
        ({"chosen": [5, 0]}, "chosen must hold numbers"),
        ({"chosen": [0]}, "Shapes must fit"),
        ({"y": [0]}, "Shapes must fit"),
        ({"number": [[0, 1, 2]]}, "Shapes must fit"),
        ({"proba": np.full((2, 3), 1 / 3)}, "candidate_proba must have shape"),
        ({"candidate_proba": np.full((2, 3, 4), 0.5)}, "must not be negative"),
        ({"value_range": (0, np.nan)}, "value_range must be finite"),
        ({"value_range": (0, 1, 2)}, "value_range must be finite"),
    ],
)
def test_candidates_refuse_arrays_that_do_not_fit(change, match):
    """Each error says what was expected."""
    proba = answers(n=2)[0]
    arguments = {"X": np.zeros((2, 4)), "candidates": np.zeros((2, 3, 4)), "proba": proba, "chosen": [0, 1]}
    arguments["candidate_proba"] = np.repeat(proba[:, None], 3, axis=1)
    with pytest.raises(ValueError, match=match):
        CandidateDisplay.from_predictions(**(arguments | change), ax=axes())

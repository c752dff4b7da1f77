"""Distributions of signals: what they measure against an oracle, what they draw, and what they refuse."""

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from skdiffence.inspection import SignalDisplay
from skdiffence.inspection.displays._signal import _bins, _placed
from skdiffence.metrics import auc_interval, logit_signal
from skdiffence.metrics._signals import SIGNALS
from tests.inspection.displays.cases import IS_MEMBER, answers, axes


def test_signal_is_a_histogram_of_phi():
    """Each outline is the density of its side, at the answered label, in the same bins."""
    proba, _ = answers()
    display = SignalDisplay.from_predictions(IS_MEMBER, proba, n_bins=10, ax=axes())
    phi = logit_signal(proba.argmax(axis=1), proba)
    np.testing.assert_allclose(display.signal, phi)
    for patch, side in zip(display.hists_[0], (~IS_MEMBER, IS_MEMBER), strict=True):
        density, _ = np.histogram(phi[side].clip(*display.bins_[[0, -1]]), display.bins_, density=True)
        assert patch.get_xy()[:, 1].max() == pytest.approx(density.max())
    auc, (low, high) = roc_auc_score(IS_MEMBER, phi), auc_interval(IS_MEMBER, phi)
    assert display.ax_.get_title("left") == f"AUC {auc:.2f} ({low:.2f} to {high:.2f})"
    assert len(display.bins_) == 11
    display = SignalDisplay.from_predictions(IS_MEMBER, proba, confidence_level=0.8, ax=axes())
    low, high = auc_interval(IS_MEMBER, phi, confidence_level=0.8)
    assert display.ax_.get_title("left") == f"AUC {auc:.2f} ({low:.2f} to {high:.2f})"


def test_signal_before_and_after_share_axes():
    """Two panels, two titles, one scale."""
    proba, y = answers()
    before, _ = answers(1)
    display = SignalDisplay.from_predictions(IS_MEMBER, proba, proba_before=before, y=y, at="true", signal="entropy")
    left, right = display.ax_
    assert left.get_xlim() == right.get_xlim()
    assert left.get_ylim() == right.get_ylim()
    assert left.get_title("left").startswith("undefended\n")
    assert right.get_title("left").startswith("defended\n")
    assert len(plt.get_fignums()) == 1
    for panel, patches in zip(display.ax_, display.hists_, strict=True):
        assert max(patch.get_xy()[:, 1].max() for patch in patches) < panel.get_ylim()[1]


@pytest.mark.parametrize("signal", SIGNALS)
def test_every_signal_is_drawn(signal):
    """At the true label, by its name."""
    proba, y = answers()
    display = SignalDisplay.from_predictions(IS_MEMBER, proba.astype(np.float32), y=y, at="true", signal=signal)
    assert display.xlabel == display.ax_.get_xlabel() != ""


def test_signal_that_is_constant_is_drawn():
    """Answers that say nothing have one bar."""
    display = SignalDisplay.from_predictions(IS_MEMBER, np.full((60, 4), 0.25), ax=axes())
    assert "AUC 0.50" in display.ax_.get_title("left")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sides", ["p = 1", "p = 0", "both"])
def test_probabilities_of_one_have_a_bin_of_their_own(sides, dtype):
    """Forests answer 1 exactly: their phi of 104 left all other rows in one or two of thirty bins."""
    proba, _ = answers()
    p = proba.max(axis=1)
    p[::4] = 0.0 if sides == "p = 0" else 1.0
    if sides == "both":
        p[1::4] = 0.0
    two = np.column_stack([p, 1 - p]).astype(dtype)
    display = SignalDisplay.from_predictions(IS_MEMBER, two, y=np.zeros(len(p), dtype=int), at="true", ax=axes())
    assert -20 < display.bins_[0] < display.bins_[-1] < 20
    np.testing.assert_allclose(np.diff(display.bins_), np.diff(display.bins_)[0])
    phi = logit_signal(np.zeros(len(p), dtype=int), two)
    ends = {"p = 0": (0, phi < -100), "p = 1": (-1, phi > 100)}
    for name in ends if sides == "both" else [sides]:
        place, extreme = ends[name]
        assert name in [tick.get_text() for tick in display.ax_.get_xticklabels()]
        # Nothing else is counted there, rare ordinary values included.
        placed = _placed(phi, display.bins_, _bins(phi, 30)[1])
        counts, _ = np.histogram(placed, display.bins_)
        assert counts[place] == extreme.sum() > 0
        assert counts.sum() == len(phi)


@pytest.mark.parametrize("n_bins", [2, 3, 30])
def test_answers_that_are_all_certain_are_drawn(n_bins):
    """A nearest neighbor answers nothing else."""
    two = np.eye(2)[np.arange(60) % 2]
    display = SignalDisplay.from_predictions(
        IS_MEMBER, two, y=np.zeros(60, dtype=int), at="true", n_bins=n_bins, ax=axes()
    )
    assert len(display.bins_) == n_bins + 1 and np.isfinite(display.bins_).all()


def test_signal_of_a_defended_classifier_shows_what_it_hides(forests):
    """The undefended panel is what the inner classifier answers; calibration rows are left out of both."""
    defended, X, y, is_member = forests
    display = SignalDisplay.from_estimator(defended["matched"], X, y, is_member, at="true")
    scored = ~defended["matched"].calibrated_on_.contains(X)
    before, after = (defended[name].predict_proba(X[scored]) for name in ("undefended", "matched"))
    np.testing.assert_allclose(display.signal[0], logit_signal(y[scored], before))
    np.testing.assert_allclose(display.signal[1], logit_signal(y[scored], after))
    bare = SignalDisplay.from_estimator(defended["undefended"], X, y, is_member, ax=axes())
    assert len(bare.hists_) == 1


def test_signal_of_a_defended_net(nets):
    """Inner nets know encoded labels and float32 only."""
    defended, X, y = nets
    inner = defended.estimator_.predict_proba(X.astype(np.float32))
    display = SignalDisplay.from_estimator(defended, X.astype(np.float64), y, np.arange(300) < 150)
    np.testing.assert_allclose(display.signal[0], logit_signal(inner.argmax(axis=1), inner), rtol=1e-4)


def test_signal_kwargs_reach_the_outlines():
    """By side."""
    proba, _ = answers()
    display = SignalDisplay.from_predictions(IS_MEMBER, proba, members_kw={"ec": "red"}, non_members_kw={"lw": 4})
    non_members, members = display.hists_[0]
    assert matplotlib.colors.same_color(members.get_edgecolor(), "red")
    assert non_members.get_linewidth() == 4


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"signal": "charm"}, "'signal'"),
        ({"at": "true"}, "y must hold the columns"),
        ({"signal": "correctness"}, "needs the true labels"),
        ({"proba": np.full((60, 4), np.nan)}, "must not be negative"),
        ({"proba": np.full((60, 4), 0.5)}, "must not be negative"),
        ({"proba": np.full((60, 1), 1.0)}, "at least two"),
        ({"proba_before": np.full((60, 2), 0.5)}, "of one shape"),
        ({"is_member": IS_MEMBER[:9]}, r"one value for each row: shape \(60,\)"),
        ({"is_member": np.zeros(60)}, "at least one member and one non-member"),
        ({"y": np.full(60, 9)}, "Column numbers"),
        ({"n_bins": 1}, "'n_bins'"),
        ({"ax": []}, "one matplotlib Axes. Got 0"),
    ],
)
def test_signal_refuses(change, match):
    """Each error says what is wrong, and no figure is left."""
    arguments = {"is_member": IS_MEMBER, "proba": answers()[0]} | change
    with pytest.raises(ValueError, match=match):
        SignalDisplay.from_predictions(**arguments)
    assert plt.get_fignums() == []


@pytest.mark.parametrize("signal", [[np.ones(60), np.ones(59)], np.full(60, np.inf), np.ones((60, 2))])
def test_signal_refuses_arrays_that_do_not_fit(signal):
    """Lengths and infinities."""
    with pytest.raises(ValueError, match="signal must"):
        SignalDisplay(is_member=IS_MEMBER, signal=signal).plot()

"""What all displays have in common."""

import importlib

import matplotlib.pyplot as plt
import numpy as np
import pytest

from skdiffence.inspection import CandidateDisplay, MembershipRocDisplay, PrivacyUtilityDisplay, SignalDisplay
from skdiffence.inspection.displays._attack_auc import AttackAucDisplay
from tests.inspection.displays.cases import IS_MEMBER, answers, axes, scores

PROBA, LABELS = answers()
DRAW = {
    "attacks": lambda ax: AttackAucDisplay(name=["a", "b"], auc={"x": [(0.6, 0.5, 0.7), (0.4, 0.3, 0.5)]}).plot(ax),
    "candidates": lambda ax: CandidateDisplay.from_predictions(
        np.eye(4)[:2], np.zeros((2, 1, 4)), PROBA[:2], PROBA[:2, None], [0, 0], ax=ax
    ),
    "points": lambda ax: PrivacyUtilityDisplay.from_predictions(
        IS_MEMBER, LABELS, {"a": PROBA}, {"a": scores()}, ax=ax
    ),
    "roc": lambda ax: MembershipRocDisplay.from_predictions(IS_MEMBER, scores(), ax=ax),
    "signals": lambda ax: SignalDisplay.from_predictions(IS_MEMBER, PROBA, ax=ax),
}


@pytest.mark.parametrize("name", DRAW)
def test_given_axes_are_drawn_on_and_pyplot_is_left_alone(name):
    """A figure of one's own touches no global state; without axes pyplot makes one figure, and plot another."""
    ax = axes()
    display = DRAW[name](ax)
    assert display.ax_ is ax
    assert display.figure_ is ax.figure
    assert plt.get_fignums() == []
    assert DRAW[name](None).figure_.number in plt.get_fignums()
    first = display.plot()
    assert first is display
    assert display.ax_ is not ax
    assert len(plt.get_fignums()) == 2


@pytest.mark.parametrize("name", DRAW)
def test_without_matplotlib_an_error_says_what_to_install(name, monkeypatch):
    """Before anything is computed."""
    real = importlib.import_module

    def missing(module, *args):
        if module.startswith("matplotlib"):
            raise ImportError(module)
        return real(module, *args)

    monkeypatch.setattr("skdiffence.utils._optional.importlib.import_module", missing)
    with pytest.raises(ImportError, match=r"pip install 'skdiffence\[plot\]'"):
        DRAW[name](None)


@pytest.mark.usefixtures("untouched_generators")
def test_global_generators_are_untouched(forests):
    """Displays draw seeds of their own."""
    defended, X, y, is_member = forests
    MembershipRocDisplay.from_estimator(defended["swap"], X, y, is_member, attack="non_monotone", ax=axes())
    PrivacyUtilityDisplay.from_estimator(defended, X, y, is_member, ax=axes())


def test_attacks_are_drawn_with_intervals_beside_the_floor():
    """One line for each attack, in their order from the top; long names are cut, and two classifiers stand apart."""
    auc = {"audited": [(0.7, 0.6, 0.75), (0.5, 0.4, 0.6)], "undefended": [(0.8, 0.7, 0.9), (0.6, 0.5, 0.7)]}
    display = AttackAucDisplay(name=["entropy", "x" * 60], auc=auc, floor=0.55).plot(axes())
    labels = [label.get_text() for label in display.ax_.get_yticklabels()]
    assert labels == ["entropy", "x" * 39 + "…"]
    assert display.ax_.get_ylim() == (1.5, -0.5)
    for container, ends in zip(display.errorbars_, auc.values(), strict=True):
        points, _, (bars,) = container.lines
        np.testing.assert_allclose(points.get_xdata(), [value for value, _, _ in ends])
        np.testing.assert_allclose([bar[:, 0] for bar in bars.get_segments()], [end[1:] for end in ends])
    heights = [container.lines[0].get_ydata() for container in display.errorbars_]
    assert (heights[0] < heights[1]).all()
    assert (display.chance_level_.get_xdata()[0], display.floor_.get_xdata()[0]) == (0.5, 0.55)

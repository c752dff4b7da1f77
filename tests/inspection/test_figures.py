"""The figures: what they draw, and that they leave pyplot alone."""

import numpy as np
import pytest

from skdiffence.inspection._figures import plot_regenerations, plot_roc, plot_signals


def test_roc_has_a_curve_for_each_attack_on_logarithmic_axes():
    """And the diagonal."""
    is_member = np.arange(100) < 40
    figure = plot_roc(is_member, {"a": np.arange(100.0), "b": -np.arange(100.0)})
    (axes,) = figure.axes
    assert axes.get_xscale() == axes.get_yscale() == "log"
    assert [line.get_label() for line in axes.lines] == ["a", "b", "guessing"]


def test_signals_share_their_bins():
    """Before and after stand on one axis."""
    proba = np.random.default_rng(0).dirichlet(np.ones(4), size=60)
    figure = plot_signals(np.arange(60) < 30, proba, proba[::-1])
    assert figure.axes[0].get_xlim() == pytest.approx(figure.axes[1].get_xlim())


def test_regenerations_stand_below_their_originals():
    """One row of images for the originals and each candidate."""
    images = np.random.default_rng(0).random((3, 1, 8, 8))
    figure = plot_regenerations(images, [images, images])
    assert len(figure.axes) == 9
    np.testing.assert_array_equal(figure.axes[4].images[0].get_array(), images[1, 0])

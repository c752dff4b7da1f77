"""Flips and shifts, against pixels moved by hand and against ``scipy.ndimage``."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from skdiffence.utils._views import augmentations, flip, shift

IMAGES = np.random.default_rng(0).integers(0, 256, size=(3, 2, 5, 6), dtype=np.uint8)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_flip(dtype):
    """Left for right, twice is nothing, and torch can read the result."""
    X = IMAGES.astype(dtype)
    np.testing.assert_array_equal(flip(X), np.flip(X, axis=3))
    np.testing.assert_array_equal(flip(flip(X)), X)
    assert flip(X).dtype == dtype
    assert torch.from_numpy(flip(X)).shape == X.shape


@pytest.mark.parametrize(("dy", "dx"), [(0, 0), (1, 0), (0, 1), (-2, 1), (3, -4), (9, 0)])
def test_shift_is_scipys(dy, dx):
    """Down and right are positive, and the edge is repeated."""
    expected = ndimage.shift(IMAGES, (0, 0, dy, dx), order=0, mode="nearest")
    np.testing.assert_array_equal(shift(IMAGES, dy, dx), expected)
    assert shift(IMAGES, dy, dx).dtype == IMAGES.dtype


def test_shift_by_hand():
    """One image of three by three pixels, one down and one left."""
    X = np.arange(9).reshape(1, 1, 3, 3)
    assert shift(X, 1, -1).tolist() == [[[[1, 2, 2], [1, 2, 2], [4, 5, 5]]]]


@pytest.mark.parametrize(("kind", "n_views"), [("identity", 1), ("flips", 2), ("shifts", 9), ("flips+shifts", 18)])
@pytest.mark.parametrize("step", [1, 2])
def test_views_are_all_different_and_the_first_is_the_image(kind, n_views, step):
    """Every view of an irregular image is a new one, and each row's views are its own."""
    views = [view(IMAGES) for view in augmentations(kind, step=step)]
    np.testing.assert_array_equal(views[0], IMAGES)
    assert len({view.tobytes() for view in views}) == len(views) == n_views
    for view, alone in zip(views, augmentations(kind, step=step), strict=True):
        np.testing.assert_array_equal(view[1:2], alone(IMAGES[1:2]))


def test_small_changes_come_first():
    """Who takes the first few of the 18 gets the flip and the single steps, not the corners."""
    moves = [view.keywords for view in augmentations()]
    lengths = [abs(move["dy"]) + abs(move["dx"]) for move in moves]
    assert lengths == sorted(lengths)
    assert moves[1] == {"flipped": True, "dy": 0, "dx": 0}


def test_bad_input():
    """Rows are no images; kinds and steps are named."""
    with pytest.raises(ValueError, match=r"images of shape .* Got shape \(3, 4\)"):
        flip(np.zeros((3, 4)))
    with pytest.raises(ValueError, match=r"Got shape \(3, 4, 5\)"):
        augmentations()[-1](np.zeros((3, 4, 5)))
    with pytest.raises(ValueError, match="kind must be one of 'identity', .* Got 'turns'"):
        augmentations("turns")
    with pytest.raises(ValueError, match="step must be at least 1 pixel. Got 0"):
        augmentations(step=0)

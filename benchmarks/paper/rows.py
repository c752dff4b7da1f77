"""Members, known rows and scored rows: disjoint parts of one shuffle of all images."""

import numpy as np
from sklearn.utils import Bunch

from skdiffence._demo._engine import data_digest
from skdiffence.datasets import load_images, membership_partition

# Of the draw of the public rows, and of what is trained on them alone.
PUBLIC_SEED = 0


def draw_rows(path, preset, seed):
    """Load images and draw the parts.

    Official training and test images are pooled before the shuffle, so that members and non-members have one
    distribution. The public rows are the same for all seeds, so that the denoisers and the attacker's own model are
    trained once; the others are shuffled by the seed.

    Parameters
    ----------
    path : path
        A folder of images, an archive of one, or an ``.npz`` file.
    preset : Preset
        The sizes.
    seed : int
        Seeds the shuffle of all rows but the public ones.

    Returns
    -------
    rows : Bunch
        For each part a Bunch of ``X`` (n, channels, height, width), float32 in [0, 1], and ``y`` (n,), int64;
        ``facts``, which identify these rows; ``n_classes``.

    Raises
    ------
    ValueError
        If there are too few images.
    """
    images = load_images(path)
    n = len(images.target)
    reserve = n - sum(preset.private.values()) - preset.public
    if reserve < 0:
        raise ValueError(f"--data must hold at least {n - reserve} images for this preset. Got {n}.")
    public = membership_partition(n, {"private": n - preset.public, "public": preset.public}, random_state=PUBLIC_SEED)
    sizes = preset.private | ({"reserve": reserve} if reserve else {})
    private = membership_partition(n - preset.public, sizes, random_state=seed)
    parts = {name: public["private"][numbers] for name, numbers in private.items()} | {"public": public["public"]}
    rows = Bunch(n_classes=len(images.target_names), facts={"seed": seed})
    for name in (*preset.private, "public"):
        X = np.ascontiguousarray(images.data[parts[name]], dtype=np.float32)
        rows[name] = Bunch(X=X / 255 if images.data.dtype == np.uint8 else X, y=images.target[parts[name]])
        rows.facts[name] = data_digest(rows[name].X, rows[name].y).hex()
    return rows


def joined(*parts):
    """Return several parts as one."""
    return Bunch(X=np.concatenate([part.X for part in parts]), y=np.concatenate([part.y for part in parts]))


def members(rows):
    """Return the rows that train a target."""
    parts = ("member_calibration", "member_known", "member_scored", "member_further")
    return joined(*(rows[name] for name in parts if name in rows))


def calibration(rows):
    """Return the rows that a defense may calibrate on, with ``is_member``."""
    both = joined(rows.member_calibration, rows.other_calibration)
    return Bunch(is_member=np.arange(len(both.y)) < len(rows.member_calibration.y), **both)


def attacked(rows, what):
    """Return the ``"known"`` or the ``"scored"`` rows of both sides, with ``is_member``."""
    both = joined(rows[f"member_{what}"], rows[f"other_{what}"])
    return Bunch(is_member=np.arange(len(both.y)) < len(rows[f"member_{what}"].y), **both)


def some(part, n):
    """Return n rows of each side at random, always the same ones: a part is in the order of its images."""
    rng = np.random.default_rng(0)
    sides = [rng.permutation(np.flatnonzero(part.is_member == side))[:n] for side in (True, False)]
    return Bunch(**{name: value[np.concatenate(sides)] for name, value in part.items()})

"""Images from a folder with one folder for each class, from a tar archive of such a folder, or from an .npz file."""

import io
import os
import tarfile
from pathlib import Path, PurePosixPath

import numpy as np
from sklearn.utils import Bunch

from skdiffence.utils._images import has_channels_last
from skdiffence.utils._sklearn import validate_params

_SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}


@validate_params({"path": [str, os.PathLike]}, prefer_skip_nested_validation=True)
def load_images(path):
    """Load images and the names of their classes.

    Parameters
    ----------
    path : str or path
        - A folder, or a tar archive of one (compressed or not), of image files. The class of a file is the name of the
          folder that it lies in; folders above that may group the classes, as ``train/cat/1.png`` does.
        - A ``.npz`` file with arrays ``X`` of shape (n, channels, height, width), (n, height, width, channels) or
          (n, height, width), and ``y`` of shape (n,). Pickled objects are not loaded.

    Returns
    -------
    images : Bunch
        With rows in the order of the file names, and the attributes

        - ``data`` of shape (n_samples, channels, height, width), uint8 if read from image files
        - ``target`` of shape (n_samples,), dtype int64: indices of ``target_names``
        - ``target_names``: sorted labels
        - ``group`` of shape (n_samples,): the folder above each class, such as "train", or ""

    Raises
    ------
    FileNotFoundError
        If there is nothing at the path.
    ValueError
        If there are no images, they differ in size, or the file is of another kind.

    Notes
    -----
    Nothing is shuffled. If a folder groups "train" and "test" images, draw members and non-members from both together
    with :func:`membership_partition`, so that they have one distribution.

    Examples
    --------
    >>> import numpy as np, tempfile
    >>> from skdiffence.datasets import load_images
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.savez(f"{folder}/digits.npz", X=np.zeros((4, 8, 8), dtype=np.uint8), y=[7, 7, 9, 9])
    ...     images = load_images(f"{folder}/digits.npz")
    >>> images.data.shape, images.target.tolist(), images.target_names.tolist()
    ((4, 1, 8, 8), [0, 0, 1, 1], [7, 9])
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"path must be a folder, a tar archive or an .npz file. There is nothing at {path}.")
    if path.suffix == ".npz":
        return _from_npz(path)
    files = _files_of_folder(path) if path.is_dir() else _files_of_archive(path)
    names, images = [], []
    for name, image in files:
        names.append(name)
        images.append(_decode(name, image))
    if not images:
        raise ValueError(f"path must hold image files ({', '.join(sorted(_SUFFIXES))}). Found none in {path}.")
    _check_alike(names, images)
    order = sorted(range(len(names)), key=names.__getitem__)
    paths = [PurePosixPath(names[i]) for i in order]
    labels = np.array([each.parent.name for each in paths])
    group = np.array([each.parent.parent.name for each in paths])
    return _bunch(_channels_first(np.stack([images[i] for i in order])), labels, group)


def _bunch(data, labels, group):
    target_names, target = np.unique(labels, return_inverse=True)
    return Bunch(data=data, target=target.astype(np.int64), target_names=target_names, group=group)


def _is_image(name):
    return PurePosixPath(name).suffix.lower() in _SUFFIXES


def _files_of_folder(folder):
    for path in folder.rglob("*"):
        if _is_image(path.name) and path.is_file():
            yield path.relative_to(folder).as_posix(), path.read_bytes()


def _files_of_archive(path):
    try:
        with tarfile.open(path, "r|*") as archive:
            for member in archive:
                if member.isfile() and _is_image(member.name):
                    yield member.name.removeprefix("./"), archive.extractfile(member).read()
    except tarfile.ReadError as error:
        raise ValueError(f"path must be a folder, a tar archive or an .npz file. {path} is none: {error}") from None


def _decode(name, content):
    from PIL import Image, UnidentifiedImageError  # comes with diffusers

    try:
        with Image.open(io.BytesIO(content)) as image:
            # Palettes and transparency become plain colors. Gray images keep one channel.
            return np.asarray(image.convert("L" if image.mode in ("1", "L", "I;16") else "RGB"))
    except (UnidentifiedImageError, OSError) as error:
        raise ValueError(f"{name} cannot be read as an image: {error}") from None


def _check_alike(names, images):
    for name, image in zip(names, images, strict=True):
        if image.shape != images[0].shape:
            raise ValueError(
                f"All images must have one size and number of channels. {names[0]} has shape {images[0].shape}, {name} "
                f"has shape {image.shape}. Resize them first."
            )


def _channels_first(images):
    return images[:, None] if images.ndim == 3 else np.ascontiguousarray(images.transpose(0, 3, 1, 2))


def _from_npz(path):
    try:
        with np.load(path, allow_pickle=False) as arrays:
            X, y = arrays["X"], arrays["y"]
    except (KeyError, ValueError) as error:
        raise ValueError(f"{path} must hold arrays X and y, not pickled objects: {error}") from None
    if y.shape != X.shape[:1] or X.ndim not in (3, 4) or not len(X):
        raise ValueError(
            f"{path} must hold images X, at least one, and a label y for each. Got shapes {X.shape} and {y.shape}."
        )
    if X.ndim == 3 or has_channels_last(X.shape):
        X = _channels_first(X)
    return _bunch(X, y, np.full(len(y), ""))

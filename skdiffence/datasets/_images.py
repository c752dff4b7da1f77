"""Images from a folder with one folder for each class, from a tar archive of such a folder, or from an .npz file."""

import io
import os
import tarfile
import zlib
from operator import itemgetter
from pathlib import Path, PurePosixPath
from zipfile import BadZipFile

import numpy as np
from sklearn.utils import Bunch

from skdiffence.utils._frames import is_numeric
from skdiffence.utils._images import has_channels_last
from skdiffence.utils._sklearn import validate_params
from skdiffence.utils._validation import as_labels

# The mode of Pillow that gray images are read in; all others are read as colors.
_KEPT = {"1": "L", "L": "L", "LA": "L", "I": "I", "F": "F"}
_SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}


@validate_params({"path": [str, os.PathLike]}, prefer_skip_nested_validation=True)
def load_images(path):
    """Load images and the names of their classes.

    Parameters
    ----------
    path : str or path
        - A folder, or a tar archive of one (compressed or not), of image files. The class of a file is the name of the
          folder that it lies in; folders above that may group the classes, as ``train/cat/1.png`` does. All images have
          one size, one number of channels and one dtype.
        - A ``.npz`` file with arrays ``X`` of shape (n, channels, height, width), (n, height, width, channels) or
          (n, height, width), and ``y`` of shape (n,). Pickled objects are not loaded.

    Returns
    -------
    images : Bunch
        With rows in the order of the file names, and the attributes

        - ``data`` of shape (n_samples, channels, height, width). Of image files it has the values that are stored:
          uint8 with one channel for gray images of at most 8 bits and with three for colors, without transparency;
          uint16 with one channel for gray images of 16 bits, or int32 if their values are beyond those of uint16;
          float32 with one channel for gray images of floating point
        - ``target`` of shape (n_samples,), dtype int64: indices of ``target_names``
        - ``target_names``: sorted labels
        - ``group`` of shape (n_samples,): the folder above each class, such as "train", or ""

    Raises
    ------
    FileNotFoundError
        If there is nothing at the path.
    ValueError
        If there are no images, one lies outside the folders of the classes, they differ in size, number of channels or
        dtype, labels are missing, or the file is of another kind, damaged or cut off.

    Notes
    -----
    Colors of 16 bits are reduced to 8, which is all that Pillow reads of them.

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
    decoded = sorted(((name, *_decode(name, content)) for name, content in files), key=itemgetter(0))
    if not decoded:
        raise ValueError(f"path must hold image files ({', '.join(sorted(_SUFFIXES))}). Found none in {path}.")
    names, modes, images = zip(*decoded, strict=True)
    images = _narrowed(images)
    _check_alike(names, modes, images)
    paths = [PurePosixPath(name) for name in names]
    labels = np.array([each.parent.name for each in paths])
    group = np.array([each.parent.parent.name for each in paths])
    return _bunch(_channels_first(np.stack(images)), labels, group)


def _bunch(data, labels, group):
    target_names, target = np.unique(labels, return_inverse=True)
    return Bunch(data=data, target=target.astype(np.int64), target_names=target_names, group=group)


def _is_image(name):
    return PurePosixPath(name).suffix.lower() in _SUFFIXES


def _files_of_folder(folder):
    for root, folders, names in os.walk(folder, followlinks=True):
        above = Path(root).relative_to(folder).parents
        if os.path.realpath(root) in {os.path.realpath(folder / each) for each in above}:
            folders.clear()  # a link to a folder that it lies in
            continue
        for path in (Path(root, name) for name in names if _is_image(name)):
            if path.is_file():
                yield _in_a_class(path.relative_to(folder).as_posix()), path.read_bytes()


def _files_of_archive(path):
    try:
        with tarfile.open(path, "r|*", tarinfo=_WholeHeader) as archive:
            for member in archive:
                if member.isfile() and _is_image(member.name):
                    yield _in_a_class(member.name.removeprefix("./")), archive.extractfile(member).read()
    except (tarfile.ReadError, EOFError) as error:
        raise ValueError(
            f"path must be a folder, a tar archive or an .npz file. {path} is none, or is damaged: {error}"
        ) from None


class _WholeHeader(tarfile.TarInfo):
    """A header of an archive that must not end before its mark of the end, where tarfile would stop without a word."""

    @classmethod
    def fromtarfile(cls, archive):
        """Return the next header."""
        try:
            return super().fromtarfile(archive)
        except (tarfile.EmptyHeaderError, tarfile.TruncatedHeaderError, tarfile.InvalidHeaderError) as error:
            if archive.offset == 0:
                raise  # no archive at all
            raise tarfile.ReadError(f"it ends early, at byte {archive.offset} ({error})") from None


def _in_a_class(name):
    if "/" not in name:
        raise ValueError(
            f"path must hold a folder for each class, with its images in it. {name} lies outside of them. Move it to "
            "the folder of its class."
        )
    return name


def _decode(name, content):
    """Return the mode of an image and its values, which have one axis more if it has colors."""
    from PIL import Image, UnidentifiedImageError  # comes with diffusers

    try:
        with Image.open(io.BytesIO(content)) as image:
            if image.mode.startswith("I;16"):  # of either byte order
                return image.mode, np.asarray(image).astype(np.uint16)
            # Palettes and transparency become plain colors. Gray images keep one channel.
            plain = image.convert("LA") if image.mode == "La" else image
            return image.mode, np.asarray(plain.convert(_KEPT.get(plain.mode, "RGB")))
    except (UnidentifiedImageError, OSError, ValueError) as error:
        raise ValueError(f"{name} cannot be read as an image: {error}") from None


def _narrowed(images):
    """Return images with the integers of 32 bits, as which some files of 16 bits are read, as uint16 if all fit."""
    wide = [image for image in images if image.dtype == np.int32]
    fits = all(image.min() >= 0 and image.max() <= np.iinfo(np.uint16).max for image in wide)
    return [image.astype(np.uint16) if fits and image.dtype == np.int32 else image for image in images]


def _check_alike(names, modes, images):
    for name, mode, image in zip(names, modes, images, strict=True):
        if image.shape != images[0].shape:
            raise ValueError(
                f"All images must have one size and number of channels. {names[0]} has mode {modes[0]!r} and shape "
                f"{images[0].shape}, {name} has mode {mode!r} and shape {image.shape}. Resize or convert them first."
            )
        if image.dtype != images[0].dtype:
            raise ValueError(
                f"All images must have values of one dtype. {names[0]} has mode {modes[0]!r} and {images[0].dtype}, "
                f"{name} has mode {mode!r} and {image.dtype}. Convert them to one mode first."
            )


def _channels_first(images):
    return images[:, None] if images.ndim == 3 else np.ascontiguousarray(images.transpose(0, 3, 1, 2))


def _from_npz(path):
    try:
        with np.load(path, allow_pickle=False) as arrays:
            X, y = arrays["X"], arrays["y"]
    except (KeyError, ValueError) as error:
        raise ValueError(f"{path} must hold arrays X and y, not pickled objects: {error}") from None
    except (EOFError, OSError, TypeError, BadZipFile, zlib.error) as error:
        raise ValueError(f"path must be an .npz file with arrays X, y. {path} is none, or damaged: {error}") from None
    if y.shape != X.shape[:1] or X.ndim not in (3, 4) or not len(X) or not is_numeric(X.dtype):
        raise ValueError(
            f"{path} must hold images X, numbers of at least one, and a label y for each. Got shapes {X.shape} and "
            f"{y.shape} of dtypes {X.dtype} and {y.dtype}."
        )
    if X.ndim == 3 or has_channels_last(X.shape):
        X = _channels_first(X)
    return _bunch(X, as_labels(y), np.full(len(y), ""))

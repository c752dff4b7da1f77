"""Images from folders, archives and arrays."""

import tarfile

import numpy as np
import pytest
from PIL import Image

from skdiffence.datasets import load_images


def write_images(folder, mode="RGB", size=(5, 4)):
    """Write two classes in two groups, one flat color each; return colors by path."""
    colors = {}
    for number, name in enumerate(["train/cat/1.png", "train/dog/0.png", "test/cat/2.png", "test/dog/3.png"]):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        colors[name] = (10 * number, 20, 30) if mode == "RGB" else 10 * number
        Image.new(mode, size, colors[name]).save(path)
    (folder / "readme.txt").write_text("no image")
    return colors


def check(images, colors, n_channels):
    """Rows are in the order of the names, with their pixels, classes and groups."""
    names = sorted(colors)
    assert images.data.shape == (4, n_channels, 4, 5)
    assert images.data.dtype == np.uint8
    np.testing.assert_array_equal(images.data[:, :, 0, 0].squeeze(), [colors[name] for name in names])
    assert images.target_names.tolist() == ["cat", "dog"]
    assert images.target_names[images.target].tolist() == [name.split("/")[1] for name in names]
    assert images.group.tolist() == [name.split("/")[0] for name in names]


@pytest.mark.parametrize(("mode", "n_channels"), [("RGB", 3), ("L", 1)])
def test_folder(tmp_path, mode, n_channels):
    """The folder of a file is its class, the folder above its group; other files are left alone."""
    colors = write_images(tmp_path, mode)
    check(load_images(tmp_path), colors, n_channels)


@pytest.mark.parametrize("kind", ["", ":gz", ":xz"])
def test_archive(tmp_path, kind):
    """An archive is the folder that it was made of."""
    (tmp_path / "images").mkdir()
    colors = write_images(tmp_path / "images")
    with tarfile.open(tmp_path / "images.tar", f"w{kind}") as archive:
        archive.add(tmp_path / "images", arcname=".")
    check(load_images(str(tmp_path / "images.tar")), colors, 3)


@pytest.mark.parametrize("shape", [(6, 3, 8, 8), (6, 8, 8, 3), (6, 8, 8)])
def test_arrays(tmp_path, shape):
    """Arrays keep their values; channels come first; labels of any kind are named."""
    X, y = np.arange(np.prod(shape), dtype=np.float32).reshape(shape), np.array(list("abcabc"))
    np.savez(tmp_path / "a.npz", X=X, y=y)
    images = load_images(tmp_path / "a.npz")
    expected = {8: X[:, None], 3: X}[shape[1]] if shape[-1] == 8 else X.transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(images.data, expected)
    assert images.data.dtype == np.float32
    np.testing.assert_array_equal(images.target_names[images.target], y)


def test_different_sizes(tmp_path):
    """The message names the two files."""
    write_images(tmp_path)
    Image.new("RGB", (9, 9)).save(tmp_path / "train" / "cat" / "9.png")
    with pytest.raises(ValueError, match=r"(?s)one size.*cat/.*Resize"):
        load_images(tmp_path)


def test_broken_image(tmp_path):
    """The message names the file."""
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "1.png").write_bytes(b"nothing of the kind")
    with pytest.raises(ValueError, match="cat/1.png cannot be read"):
        load_images(tmp_path)


def test_nothing_there(tmp_path):
    """A wrong path, an empty folder, a file of another kind, arrays of other names."""
    with pytest.raises(FileNotFoundError, match="nothing at"):
        load_images(tmp_path / "missing")
    with pytest.raises(ValueError, match="Found none"):
        load_images(tmp_path)
    (tmp_path / "notes.txt").write_text("text")
    with pytest.raises(ValueError, match="is none"):
        load_images(tmp_path / "notes.txt")
    np.savez(tmp_path / "b.npz", images=np.zeros((2, 4, 4)))
    with pytest.raises(ValueError, match="arrays X and y"):
        load_images(tmp_path / "b.npz")
    np.savez(tmp_path / "c.npz", X=np.zeros((2, 4, 4)), y=np.zeros(3))
    with pytest.raises(ValueError, match="label y for each"):
        load_images(tmp_path / "c.npz")


def test_pickled_arrays_are_refused(tmp_path):
    """Loading an object array would run whatever is in it."""
    np.savez(tmp_path / "d.npz", X=np.zeros((2, 4, 4)), y=np.array([{}, []], dtype=object))
    with pytest.raises(ValueError, match="pickled"):
        load_images(tmp_path / "d.npz")

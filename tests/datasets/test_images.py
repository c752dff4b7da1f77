"""Images from folders, archives and arrays."""

import tarfile

import numpy as np
import pytest
from PIL import Image

from skdiffence.datasets import load_images
from skdiffence.diffusion import DiffusionRegenerator


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


WORDS = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
SIGNED = WORDS.astype(np.int32) - 1024


def save_each(folder, *images):
    """Write each image as a file of one class."""
    (folder / "cat").mkdir()
    for name, image in images:
        image.save(folder / "cat" / name)


@pytest.mark.parametrize(
    ("image", "suffix", "expected"),
    [
        (Image.fromarray(WORDS), "png", WORDS),
        (Image.frombytes("I;16B", (8, 8), WORDS.astype(">u2").tobytes()), "tif", WORDS),
        (Image.fromarray(WORDS), "ppm", WORDS),  # read as integers of 32 bits
        (Image.fromarray(WORDS.astype(np.int32)), "tif", WORDS),
        (Image.fromarray(SIGNED), "tif", SIGNED),
        (Image.fromarray(WORDS / np.float32(65535)), "tif", WORDS / np.float32(65535)),
        (Image.fromarray(WORDS > 30000), "png", np.where(WORDS > 30000, 255, 0).astype(np.uint8)),
    ],
    ids=["16 bits", "big-endian", "ppm", "32 bits", "signed", "float", "1 bit"],
)
def test_gray_images_keep_their_values(tmp_path, image, suffix, expected):
    """In one channel, in the machine's byte order, and the regenerator takes them with their range."""
    save_each(tmp_path, (f"1.{suffix}", image), (f"2.{suffix}", image))
    data = load_images(tmp_path).data
    np.testing.assert_array_equal(data, np.stack([expected, expected])[:, None])
    assert data.dtype == expected.dtype and data.dtype.isnative
    regenerator = DiffusionRegenerator({"block_out_channels": (4,)}, timestep=0, max_epochs=1, random_state=0).fit(data)
    np.testing.assert_array_equal(regenerator.value_range_, [expected.min(), expected.max()])
    assert np.ptp(regenerator.transform(data)) > 0.5 * np.ptp(expected)


def test_gray_images_with_transparency(tmp_path):
    """They have one channel, as those without have, and none for transparency."""
    gray = Image.fromarray((WORDS >> 8).astype(np.uint8))
    save_each(tmp_path, ("1.png", gray.convert("LA")), ("2.png", gray))
    data = load_images(tmp_path).data
    assert data.shape == (2, 1, 8, 8) and data.dtype == np.uint8
    np.testing.assert_array_equal(data[0], data[1])


def test_integers_of_32_bits_are_of_one_dtype(tmp_path):
    """One value beyond 16 bits keeps the whole folder in 32."""
    save_each(tmp_path, ("1.tif", Image.fromarray(SIGNED)), ("2.tif", Image.fromarray(WORDS.astype(np.int32))))
    np.testing.assert_array_equal(load_images(tmp_path).data, np.stack([SIGNED, WORDS])[:, None])


@pytest.mark.parametrize("values", [WORDS, SIGNED, WORDS.astype(np.float32)], ids=["16 bits", "32 bits", "float"])
def test_different_dtypes(tmp_path, values):
    """Nothing says how values of one are those of the other: the message names the files and their modes."""
    other = Image.fromarray(values)
    save_each(tmp_path, ("1.tif", Image.new("L", (8, 8))), ("2.tif", other))
    with pytest.raises(ValueError, match=rf"one dtype.*cat/1.tif has mode 'L'.*cat/2.tif has mode '{other.mode}'"):
        load_images(tmp_path)


@pytest.mark.parametrize("kind", ["folder", "archive"])
def test_images_outside_of_classes(tmp_path, kind):
    """The folder of the classes is none: the message names the file."""
    save_each(tmp_path, ("1.png", Image.new("L", (8, 8))))
    Image.new("L", (8, 8)).save(tmp_path / "2.png")
    if kind == "archive":
        with tarfile.open(tmp_path / "images.tar", "w") as archive:
            archive.add(tmp_path / "cat", arcname="./cat")
            archive.add(tmp_path / "2.png", arcname="./2.png")
    with pytest.raises(ValueError, match="a folder for each class.*2.png lies outside"):
        load_images(tmp_path if kind == "folder" else tmp_path / "images.tar")


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

"""Images from folders, archives and arrays."""

import gzip
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


@pytest.mark.parametrize("kind", ["", "gz"])
def test_archive_that_was_cut_off(tmp_path, kind):
    """At any byte: a part of the images is never taken for all of them."""
    (tmp_path / "images").mkdir()
    write_images(tmp_path / "images")
    with tarfile.open(tmp_path / "images.tar", "w") as archive:
        archive.add(tmp_path / "images", arcname=".")
    plain = (tmp_path / "images.tar").read_bytes()
    # Two blocks mark the end, of which the first is enough, and more zeros fill the record.
    end = -(-len(plain.rstrip(b"\0")) // 512) * 512 + 512
    whole = gzip.compress(plain[:end]) if kind else plain[:end]
    for length in range(1, len(whole) - 30, 7 if kind else 255):
        (tmp_path / "cut.tar").write_bytes(whole[:length])
        with pytest.raises(ValueError, match="path must be a folder, a tar archive.*damaged"):
            load_images(tmp_path / "cut.tar")
    (tmp_path / "cut.tar").write_bytes(whole)
    assert len(load_images(tmp_path / "cut.tar").data) == 4


def test_folder_with_links(tmp_path):
    """Classes that are links are classes, also two of one folder; a link to a folder above ends."""
    colors = write_images(tmp_path / "images")
    (tmp_path / "all" / "train").mkdir(parents=True)
    for name in ("cat", "dog"):
        (tmp_path / "all" / "train" / name).symlink_to(tmp_path / "images" / "train" / name)
    (tmp_path / "all" / "test").symlink_to(tmp_path / "images" / "test")
    (tmp_path / "all" / "train" / "again").symlink_to(tmp_path / "all")
    check(load_images(tmp_path / "all"), colors, 3)
    (tmp_path / "all" / "train" / "lion").symlink_to(tmp_path / "images" / "train" / "cat")
    assert load_images(tmp_path / "all").target_names.tolist() == ["cat", "dog", "lion"]


@pytest.mark.parametrize("damage", ["empty", "cut", "flipped", "npy", "folder"])
def test_damaged_arrays(tmp_path, damage):
    """The error is that of a file of another kind, and names it."""
    path = tmp_path / "a.npz"
    np.savez(path, X=np.zeros((4, 1, 8, 8)), y=np.arange(4))
    whole = bytearray(path.read_bytes())
    if damage == "folder":
        path.unlink()
        path.mkdir()
    elif damage == "npy":
        with open(path, "wb") as file:
            np.save(file, np.zeros((4, 1, 8, 8)))
    else:
        whole[300] ^= 255
        path.write_bytes({"empty": b"", "cut": whole[: len(whole) // 2], "flipped": whole}[damage])
    with pytest.raises(ValueError, match=r"path must be an .npz file with arrays X, y. .*a\.npz is none"):
        load_images(path)


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (np.full((4, 8, 8), "a"), np.arange(4), "must hold images X, numbers.* of dtypes <U1 and int64"),
        (np.zeros((4, 8, 8)), np.array([0, 1, np.nan, 1]), "y must hold finite labels. Got 1 that are NaN"),
    ],
)
def test_arrays_that_are_no_images_with_labels(tmp_path, X, y, message):
    """Text, and labels that are missing."""
    np.savez(tmp_path / "a.npz", X=X, y=y)
    with pytest.raises(ValueError, match=message):
        load_images(tmp_path / "a.npz")


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

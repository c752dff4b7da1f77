"""Files that appear whole or not at all."""

import multiprocessing
import os
import signal
import stat

import pytest

from skdiffence.utils._files import remove_leftovers, whole_file
from tests.utils.folder_work import write_file_and_die

FORK = multiprocessing.get_context("fork")


def test_finished_file_replaces_the_old_one(tmp_path):
    """Nothing else is left in the folder."""
    path = tmp_path / "a.txt"
    path.write_text("old")
    with whole_file(path) as unfinished:
        unfinished.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_unfinished_file_never_appears(tmp_path):
    """An error in the middle leaves the old file alone."""
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), whole_file(path) as unfinished:
        unfinished.write_text("ne")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["report.html", ".hidden", "shadow.v1.joblib", "no suffix", "[a]*.npy"])
def test_next_writer_removes_what_a_killed_one_left(name, tmp_path):
    """Also the writer of another file; half-written and empty files once stayed for ever."""
    process = FORK.Process(target=write_file_and_die, args=(tmp_path / name,))
    process.start()
    process.join(30)
    assert process.exitcode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 1 and not (tmp_path / name).exists()
    with whole_file(tmp_path / "other.txt") as unfinished:
        unfinished.write_text("text")
    assert [path.name for path in tmp_path.iterdir()] == ["other.txt"]


def test_files_of_others_stay(tmp_path):
    """A file that is being written, and hidden files of other programs, are no leftovers."""
    mine = [".skdiffence-notes", ".a.txt-0123456789abcdef", ".skdiffence-new-xyz-a"]
    for name in mine:
        (tmp_path / name).write_text("text")
    with whole_file(tmp_path / "a") as first, whole_file(tmp_path / "a") as second:
        remove_leftovers(tmp_path)
        assert first.exists() and second.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*mine, "a"])


def test_permissions(tmp_path):
    """A private file is for its owner only, whatever the mask is; another one is made as programs usually do."""
    before = os.umask(0o022)
    try:
        for private in (True, False):
            with whole_file(tmp_path / str(private), private=private) as unfinished:
                unfinished.write_text("rows")
                assert stat.S_IMODE(unfinished.stat().st_mode) == (0o600 if private else 0o644)
    finally:
        os.umask(before)
    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("True", "False")] == [0o600, 0o644]


def test_a_file_that_is_replaced_keeps_its_permissions_and_links(tmp_path):
    """Closed files stay closed, private ones become so, and what a link leads to is what is replaced."""
    (tmp_path / "file").write_text("old")
    (tmp_path / "link").symlink_to("file")
    for mode, private in ((0o640, False), (0o600, False), (0o644, True)):
        (tmp_path / "file").chmod(mode)
        with whole_file(tmp_path / "link", private=private) as unfinished:
            unfinished.write_text(str(mode))
            assert stat.S_IMODE(unfinished.stat().st_mode) == 0o600
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "file").read_text() == str(mode)
        assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == (0o600 if private else mode)

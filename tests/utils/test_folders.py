"""Folders of which one whole version is always found."""

import errno
import multiprocessing
import os
import signal
from pathlib import Path

import pytest

from skdiffence.utils._files import beside, lock, opened
from skdiffence.utils._folders import read_folder, recover, whole_folder
from tests.utils.folder_work import (
    read_on_and_on,
    read_versions,
    read_when_told,
    write_and_die,
    write_on_and_on,
    write_version,
)

# Forked, children start at once; nothing here uses threads.
FORK = multiprocessing.get_context("fork")


def killed(target, *args, **kwargs):
    """Run a function in a process that ends by SIGKILL."""
    process = FORK.Process(target=target, args=args, kwargs=kwargs)
    process.start()
    process.join(30)
    assert process.exitcode == -signal.SIGKILL


# "den.v1": with_suffix on a dotted name once led to the files of another folder.
@pytest.mark.parametrize("name", ["den", "den.v1", ".den", "den.old", "den[1]*", "den-1 b", "a" * 200])
def test_replaces_one_folder_and_nothing_else(name, tmp_path):
    """Whatever the name is, the folders beside it stay, those of similar names among them."""
    others = ["den.old", ".den.old", ".den-1.old", "den.v2", ".den.v1.old", ".skdiffence-notes"]
    for other in set(others) - {name}:
        (tmp_path / other).mkdir()
        (tmp_path / other / "thesis.txt").write_text("text")
    for version in (1, 2):
        write_version(tmp_path / name, version)
        assert read_folder(tmp_path / name, read_versions) == [version] * 4
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted({name, *others})
    assert all((tmp_path / other / "thesis.txt").exists() for other in set(others) - {name})


@pytest.mark.parametrize("after", [-1, 0, 1, 2])
@pytest.mark.parametrize("heal", [recover, lambda folder: write_version(folder, 9)])
def test_killed_writer(after, heal, tmp_path):
    """A kill before, between or after the two renames loses no version, and the next load or save cleans up.

    Between the renames there was no folder at the path, and its last version was in a hidden one.
    """
    folder = tmp_path / "den.v1"
    write_version(folder, 1)
    killed(write_and_die, folder, 2, after=after)
    assert len(list(tmp_path.iterdir())) > 1  # there is something to clean up
    heal(folder)
    assert list(tmp_path.iterdir()) == [folder]
    found = read_folder(folder, read_versions)
    assert found == [9] * 4 if heal is not recover else found in ([1] * 4, [2] * 4)


def test_other_writers_keep_the_only_version(tmp_path):
    """A file or folder that is saved beside an interrupted replacement does not clean away what it left to find."""
    folder = tmp_path / "den"
    write_version(folder, 1)
    killed(write_and_die, folder, 2, after=1)
    assert not folder.exists()
    write_version(tmp_path / "other", 5)
    assert read_folder(folder, read_versions) == [1] * 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["den", "other"]


def test_living_writers_are_left_alone(tmp_path):
    """What another process still writes is no leftover."""
    with whole_folder(tmp_path / "slow") as unfinished:
        (unfinished / "a").write_text("1")
        write_version(tmp_path / "quick", 1)
        write_version(tmp_path / "slow", 2)
        assert unfinished.exists()
    assert [path.name for path in (tmp_path / "slow").iterdir()] == ["a"]


def test_a_version_that_was_in_the_way_and_is_gone(tmp_path, monkeypatch):
    """A writer that finds another version in its way tries again, even if that one was moved away at once."""
    rename, refused = os.rename, []

    def once(old, new):
        if not refused:
            refused.append(new)
            raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY))
        rename(old, new)

    monkeypatch.setattr(os, "rename", once)
    write_version(tmp_path / "den", 1)
    assert refused == [tmp_path / "den"]
    assert read_folder(tmp_path / "den", read_versions) == [1] * 4


def test_readers_and_writers_at_the_same_time(tmp_path):
    """No load fails or mixes two versions while two writers replace the folder, and writers are not kept out."""
    folder = tmp_path / "den"
    write_version(folder, 0)
    stop, outcomes = FORK.Event(), FORK.Queue()
    writers = [FORK.Process(target=write_on_and_on, args=(folder, start, stop)) for start in (1, 10_000)]
    readers = [FORK.Process(target=read_on_and_on, args=(folder, 150, outcomes)) for _ in range(3)]
    for process in (*writers, *readers):
        process.start()
    wrong = [each for _ in readers for each in outcomes.get(timeout=120)]
    stop.set()
    for process in (*writers, *readers):
        process.join(60)
    assert not wrong
    assert [process.exitcode for process in writers] == [0, 0]
    assert read_folder(folder, read_versions)[0] > 0
    assert list(tmp_path.iterdir()) == [folder]


def test_steady_readers_do_not_keep_a_writer_out(tmp_path, monkeypatch):
    """A writer waits for readers only so long; a reader whose folder was replaced reads again."""
    monkeypatch.setattr("skdiffence.utils._folders.PATIENCE", 0.05)
    folder = tmp_path / "den"
    write_version(folder, 1)
    seen = []

    def read(place):
        seen.append(read_versions(place)[0])
        if len(seen) == 1:
            write_version(folder, 2)
        return read_versions(place)

    assert read_folder(folder, read) == [2] * 4
    assert seen == [1, 2]


def test_failed_write_changes_nothing(tmp_path):
    """An error leaves the earlier version."""
    write_version(tmp_path / "den", 1)
    with pytest.raises(KeyboardInterrupt), whole_folder(tmp_path / "den"):
        raise KeyboardInterrupt
    assert read_folder(tmp_path / "den", read_versions) == [1] * 4
    assert [path.name for path in tmp_path.iterdir()] == ["den"]


def test_a_link_is_followed(tmp_path):
    """The folder that a link leads to is replaced, and the link stays."""
    write_version(tmp_path / "den", 1)
    (tmp_path / "link").symlink_to(tmp_path / "den")
    write_version(tmp_path / "link", 2)
    assert (tmp_path / "link").is_symlink()
    assert read_folder(tmp_path / "den", read_versions) == [2] * 4


def test_current_folder_is_refused(tmp_path, monkeypatch):
    """Replaced, the process would stand in a removed folder."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OSError, match="is the current folder"):
        write_version(Path("."), 1)


def test_missing_folder(tmp_path):
    """Nothing is made up."""
    assert not recover(tmp_path / "den")
    with pytest.raises(FileNotFoundError, match="den does not exist"):
        read_folder(tmp_path / "den", read_versions)


def test_locked_old_version_is_not_put_back(tmp_path, monkeypatch):
    """Where a writer stands between its two renames, a reader waits for it instead of undoing its work."""
    monkeypatch.setattr("skdiffence.utils._folders.PATIENCE", 5.0)
    folder = tmp_path / "den"
    write_version(folder, 1)
    write_version(tmp_path / "next", 2)
    outcomes, go = FORK.Queue(), FORK.Event()
    reader = FORK.Process(target=read_when_told, args=(go, folder, outcomes))
    reader.start()  # before the lock, of which a forked process would have a copy
    with opened(folder) as handle:
        assert lock(handle)
        os.rename(folder, beside(folder, "old"))
        go.set()
        reader.join(0.3)
        assert reader.is_alive() and not folder.exists()
        os.rename(tmp_path / "next", folder)
    assert outcomes.get(timeout=30) == []
    reader.join(30)
    assert read_folder(folder, read_versions) == [2] * 4

"""Files that appear whole or not at all."""

import pytest

from skdiffence.utils._files import whole_file


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

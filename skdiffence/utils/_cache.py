"""Results of long computations, kept in files that are found again by their content key."""

from dataclasses import dataclass
from pathlib import Path

import joblib

from skdiffence.utils._files import remove_leftovers, whole_file


def make_cache_folder(folder):
    """Make a folder that only the current user can read, if it does not exist, and clean it of unfinished files.

    Parameters
    ----------
    folder : str or path
        The permissions of an existing folder are left as they are.

    Returns
    -------
    folder : Path
    """
    folder = Path(folder)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    remove_leftovers(folder)
    return folder


def check_cache_seed(cache_dir, random_state, name="cache_dir"):
    """Raise an error for a cache without a seed.

    Parameters
    ----------
    cache_dir : str, path or None
        The folder.
    random_state : int, RandomState instance or None
        The seed.
    name : str, default="cache_dir"
        Name of the parameter.

    Raises
    ------
    ValueError
        If there is a folder and no seed.
    """
    if cache_dir is not None and random_state is None:
        raise ValueError(
            f"{name} needs random_state: without one every call draws new seeds, and nothing is found again. "
            "Got random_state=None. Pass an integer."
        )


@dataclass(frozen=True)
class Kept:
    """One result in a file.

    Parameters
    ----------
    path : Path
        The file.
    key : str
        Digest of all that the result depends on. It is also written into the file, because a file can be renamed.
    kinds : dict of str to type
        The entries of the result and their types.
    """

    path: Path
    key: str
    kinds: dict

    @classmethod
    def at(cls, folder, name, key, kinds):
        """Return the result of this key in a folder; the name says what it is."""
        return cls(Path(folder, f"{name}-{key}.joblib"), key, kinds)

    def load(self):
        """Return the stored result, or None if there is none, the file is damaged or holds something else."""
        if not self.path.exists():
            return None
        try:
            stored = joblib.load(self.path)
        except Exception:  # a damaged file raises whatever its first wrong byte leads to
            return None
        return stored["result"] if self._is_mine(stored) else None

    def save(self, result):
        """Write a result, completely or not at all, to be read by the current user only."""
        with whole_file(self.path, private=True) as unfinished:
            # Wrapped, classes of a notebook go into the file, which pickle alone can't write in another process.
            wrapped = joblib.wrap_non_picklable_objects(result, keep_wrapper=False)
            # Compression adds a checksum: a damaged file is never taken for a result.
            joblib.dump({"key": self.key, "result": wrapped}, unfinished, compress=1)

    def _is_mine(self, stored):
        if not isinstance(stored, dict) or stored.get("key") != self.key or not isinstance(stored.get("result"), dict):
            return False
        result = stored["result"]
        return result.keys() == self.kinds.keys() and all(isinstance(result[name], self.kinds[name]) for name in result)

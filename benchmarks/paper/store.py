"""Results of a run, kept by content, so that an interrupted run continues where it was."""

import time
from pathlib import Path

import joblib
import numpy as np

from skdiffence._demo._engine import fingerprint, library_versions, whole_file


class OutOfTime(Exception):
    """The time of this run is over, and there is more to do."""


class Store:
    """A folder of results, each under a name and a digest of everything that it depends on.

    The files are pickles: use no folder that others write.

    Parameters
    ----------
    folder : path
        Made if it is not there.
    minutes : float, default=inf
        Time after which nothing new is begun.
    """

    def __init__(self, folder, minutes=np.inf):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.until = time.monotonic() + 60 * minutes

    def place(self, name, facts):
        """Return where a result of these facts, made with these versions of libraries, belongs, without suffix."""
        digest = fingerprint((facts, library_versions())).hex()
        return self.folder / f"{name.replace(' ', '_')}-{digest[:16]}"

    def take(self, name, facts, make):
        """Return a result, made now or by an earlier run.

        Parameters
        ----------
        name : str
            What it is called.
        facts : object
            Everything that it depends on.
        make : callable ()
            Makes it.

        Returns
        -------
        result : object

        Raises
        ------
        OutOfTime
            If it is still to be made, and there is no time left.
        """
        path = self.place(name, facts).with_suffix(".joblib")
        if path.exists():
            return joblib.load(path)
        if time.monotonic() > self.until:
            raise OutOfTime(f"Stopped before {name}. The same command goes on from there.")
        start = time.perf_counter()
        print(f"{name} ...", end=" ", flush=True)
        result = make()
        with whole_file(path) as unfinished:
            joblib.dump(result, unfinished, compress=1)
        print(f"{time.perf_counter() - start:.0f} s", flush=True)
        return result
